//! The whole table, and what follows from each row.

use super::*;

fn role() -> RoleArn {
    RoleArn::parse("arn:aws:iam::123456789012:role/my-app").unwrap()
}

#[test]
fn every_row_of_the_table() {
    let networks = [Networking::Bridge, Networking::Host];
    for networking in networks {
        for policy_blocks in [false, true] {
            for said in [None, Some(true), Some(false)] {
                let of = |credentials| decide(&credentials, said, policy_blocks, networking);
                let blocked = policy_blocks || said == Some(false);
                let instance = of(Credentials::Instance);
                assert_eq!(instance.blocks_metadata(), blocked);
                assert_eq!(instance.served(), blocked.then_some(Served::Instance));
                let a_role = of(Credentials::Role(role()));
                assert!(a_role.blocks_metadata());
                assert_eq!(a_role.served(), Some(Served::Role(role())));
                let none = of(Credentials::None);
                assert!(none.blocks_metadata());
                assert_eq!(none.served(), None);
            }
        }
    }
}

#[test]
fn without_a_network_nothing_is_blocked_and_nothing_served() {
    for credentials in [
        Credentials::Instance,
        Credentials::None,
        Credentials::Role(role()),
    ] {
        let identity = decide(&credentials, Some(false), true, Networking::None);
        assert!(!identity.blocks_metadata());
        assert_eq!(identity.served(), None);
        assert_eq!(identity.variables(), []);
    }
}

#[test]
fn variables_are_those_that_sdks_know() {
    let names = |credentials, said| -> Vec<&str> {
        decide(&credentials, said, false, Networking::Bridge)
            .variables()
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    };
    assert_eq!(names(Credentials::Instance, None), [""; 0]);
    let all = [FULL_URI, AUTHORIZATION_FILE, METADATA_DISABLED];
    assert_eq!(names(Credentials::Instance, Some(false)), all);
    assert_eq!(names(Credentials::Role(role()), None), all);
    assert_eq!(names(Credentials::None, None), [METADATA_DISABLED]);
    let variables = decide(&Credentials::Role(role()), None, false, Networking::Host).variables();
    assert_eq!(variables[0].1, "http://169.254.170.2:51680/credentials");
    assert_eq!(variables[1].1, "/run/monopod-identity/token");
}

#[test]
fn it_survives_json_and_a_hint_without_it_is_an_instance_s() {
    let identity = decide(&Credentials::Role(role()), None, false, Networking::Bridge);
    let json = serde_json::to_string(&identity).unwrap();
    assert_eq!(serde_json::from_str::<Identity>(&json).unwrap(), identity);
    let old: Identity = serde_json::from_str("{}").unwrap();
    assert_eq!(
        old,
        decide(&Credentials::Instance, None, false, Networking::Bridge)
    );
    assert!(serde_json::from_str::<Credentials>(r#"{"role":"my-app"}"#).is_err());
}
