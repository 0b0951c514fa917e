//! What people read when an image is refused, or a policy cannot be used.

use monopod_core::config::{ImageLayer, KeyFile, Style, Text, read};
use monopod_core::trust::RuleRef;
use monopod_core::trust::day::Day;

use super::*;
use crate::host::chain;

fn rule() -> RuleRef {
    RuleRef {
        file: "/etc/monopod/policy.yaml".to_owned(),
        line: 12,
        pattern: "registry.example.org/team/*".to_owned(),
    }
}

fn refusals() -> Vec<Refusal> {
    let key = || "team.pub".to_owned();
    let all = vec![
        Refusal::OtherDigest,
        Refusal::Unsigned {
            tag: "sha256-0123.sig".to_owned(),
        },
        Refusal::WrongKey {
            keys: "team.pub, old.pub".to_owned(),
        },
        Refusal::WrongDigest {
            key: key(),
            signed: "sha256:4567".to_owned(),
        },
        Refusal::WrongName { key: key() },
        Refusal::KeyExpired {
            key: "old.pub".to_owned(),
            not_after: Day::parse("2027-06-30").unwrap(),
        },
        Refusal::BadSignature {
            what: "no layer has one in base64",
        },
        Refusal::NoHeader,
        Refusal::HeaderRefused { reason: None },
        Refusal::HeaderRefused {
            reason: Some("it has 3 known CVEs".to_owned()),
        },
        Refusal::TagMoved,
        Refusal::Gone,
    ];
    for one in &all {
        // A new way to fail has to be put into the list above.
        match one {
            Refusal::OtherDigest
            | Refusal::Unsigned { .. }
            | Refusal::WrongKey { .. }
            | Refusal::WrongDigest { .. }
            | Refusal::WrongName { .. }
            | Refusal::KeyExpired { .. }
            | Refusal::BadSignature { .. }
            | Refusal::NoHeader
            | Refusal::HeaderRefused { .. }
            | Refusal::TagMoved
            | Refusal::Gone => {}
        }
    }
    all
}

#[test]
fn every_refusal_in_words() {
    let mut told = String::new();
    for why in refusals() {
        let error = BootError::Refused(Box::new(Refused {
            image: "registry.example.org/team/app:1".to_owned(),
            digest: "sha256:0123".to_owned(),
            rule: Some(rule()),
            why,
        }));
        assert_eq!(error.exit_code(), 78);
        told.push_str(&format!("{}\n", chain(&error)));
    }
    let unverified = || {
        Box::new(Unverified {
            image: "registry.example.org/team/app:1".to_owned(),
            rule: Some(rule()),
            source: "the registry registry.example.org cannot be reached".into(),
        })
    };
    let refused = BootError::Unverified(unverified());
    let away = BootError::BudgetSpent {
        step: StepId::Image,
        last: unverified(),
    };
    assert_eq!((refused.exit_code(), away.exit_code()), (78, 75));
    for error in [refused, away] {
        told.push_str(&format!("{}\n", chain(&error)));
    }
    expect_test::expect_file!["../../../tests/golden/trust.txt"].assert_eq(&told);
}

#[test]
fn every_mistake_in_the_rules_in_words() {
    let user_data = "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/team/app:1\n";
    let team = "images:\n  - match: registry.example.org/team/*\n    require: signature\n    keys:\n      - /etc/monopod/keys/team.pub\n";
    let mut told = String::new();
    for (policy, content) in [
        (
            "images:\n  - match: registry.example.org/other/*\n    require: nothing\n",
            None,
        ),
        (
            "images:\n  - match: registry.example.org/**\n    require: digest\n",
            None,
        ),
        (
            "images:\n  - match: \"**\"\n    require: nothing\n  - match: registry.example.org/team/*\n    require: header\n",
            None,
        ),
        (
            "images:\n  - match: registry.example.org/team/app:1\n    require: header\n",
            None,
        ),
        ("images:\n  - match: docker.io/nginx\n    require: header\n", None),
        ("images:\n  - match: nginx\n    require: header\n", None),
        ("images:\n  - match: \"**\"\n    require: signature\n", None),
        (
            "images:\n  - match: \"**\"\n    require: header\n    keys: [/etc/monopod/keys/team.pub]\n",
            None,
        ),
        (team, None),
        (team, Some(Ok("hello"))),
        (team, Some(Ok("-----BEGIN EC PRIVATE KEY-----"))),
        (team, Some(Err("its point does not lie on the curve P-256"))),
        (
            "images:\n  - match: \"**\"\n    require: signature\n    keys:\n      - {file: keys/team.pub, not_after: soon}\n",
            None,
        ),
    ] {
        let image = ImageLayer {
            policy: Some(Text {
                name: "/etc/monopod/policy.yaml",
                bytes: policy.as_bytes(),
            }),
            keys: content
                .map(|content: Result<&str, &'static str>| KeyFile {
                    path: "/etc/monopod/keys/team.pub",
                    content: content.map(str::as_bytes),
                })
                .into_iter()
                .collect(),
            ..ImageLayer::default()
        };
        let report = read(
            Text {
                name: "user data",
                bytes: user_data.as_bytes(),
            },
            &image,
        );
        assert!(report.has_errors(), "{policy}");
        told.push_str(&report.render(Style::Plain));
        told.push('\n');
    }
    expect_test::expect_file!["../../../tests/golden/trust-policy.txt"].assert_eq(&told);
}
