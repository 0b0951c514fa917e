//! Who the application is and where it runs, as OpenTelemetry's SDKs take it: `OTEL_RESOURCE_ATTRIBUTES`.
//!
//! The names are those of its semantic conventions, and the form is what its specification of resources says: `name=value`
//! with commas between, other characters by percent. What is not known is left out.

use std::fmt::Write as _;

use crate::config::Config;
use crate::facts::InstanceFacts;

/// What the user data says of it.
pub(super) fn known(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("service.name", config.application_id().to_owned()),
        ("service.version", config.application_version().to_owned()),
    ]
}

/// With what the machine is.
pub(super) fn filled(known: &[(&'static str, String)], facts: &InstanceFacts) -> String {
    let machine = [
        // There is one container on a machine.
        ("service.instance.id", Some(facts.instance_id.as_str())),
        ("cloud.provider", Some("aws")),
        ("cloud.platform", Some("aws_ec2")),
        ("cloud.region", Some(&facts.region)),
        ("cloud.availability_zone", Some(&facts.availability_zone)),
        ("cloud.account.id", Some(&facts.account_id)),
        ("host.id", Some(&facts.instance_id)),
        ("host.type", facts.instance_type.as_deref()),
        ("host.image.id", facts.image_id.as_deref()),
    ];
    let machine = machine
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .filter(|(_, value)| !value.is_empty());
    let known = known.iter().map(|(name, value)| (*name, value.as_str()));
    joined(known.chain(machine))
}

/// What a plan says in its place.
pub(super) fn shown(known: &[(&'static str, String)]) -> String {
    let known = joined(known.iter().map(|(name, value)| (*name, value.as_str())));
    format!("{known},<service.instance.id, cloud.* and host.* of the machine>")
}

fn joined<'a>(all: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let all: Vec<String> = all
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    all.join(",")
}

/// RFC 3986's unreserved characters as they are.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ok = write!(out, "%{byte:02X}").is_ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_there_and_nothing_else() {
        let known = [
            ("service.name", "my-app".to_owned()),
            ("service.version", "1.0".to_owned()),
        ];
        let mut facts = InstanceFacts {
            instance_id: "i-0123456789abcdef0".to_owned(),
            region: "eu-central-1".to_owned(),
            availability_zone: "eu-central-1a".to_owned(),
            account_id: "123456789012".to_owned(),
            image_id: None,
            instance_type: None,
            local_ipv4: None,
            public_ipv4: None,
            pending_time: None,
        };
        let least = "service.name=my-app,service.version=1.0,service.instance.id=i-0123456789abcdef0,cloud.provider=aws,\
                     cloud.platform=aws_ec2,cloud.region=eu-central-1,cloud.availability_zone=eu-central-1a,\
                     cloud.account.id=123456789012,host.id=i-0123456789abcdef0";
        assert_eq!(filled(&known, &facts), least);
        facts.instance_type = Some("t3.micro".to_owned());
        facts.image_id = Some("ami-1".to_owned());
        assert_eq!(
            filled(&known, &facts),
            format!("{least},host.type=t3.micro,host.image.id=ami-1")
        );
    }

    #[test]
    fn what_has_a_meaning_of_its_own_is_encoded() {
        assert_eq!(encoded("a,b=c d%\"\\;é"), "a%2Cb%3Dc%20d%25%22%5C%3B%C3%A9");
    }
}
