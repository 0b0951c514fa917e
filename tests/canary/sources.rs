//! Where values are kept, and how user data asks for them.

use monopod_testrig::Machine;
use serde_json::json;

use super::Canary;

/// How the container gets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// A variable: the engine and `/proc` show it, by design.
    Variable,
    /// `secrets`: a file of a set.
    Secret,
    /// `files`: a text.
    Text,
}

/// How user data refers to a value that is kept elsewhere.
pub(crate) struct Source {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    /// Puts the value where it is kept, and says what stands in the user data.
    pub(crate) reference: fn(&Machine, &Canary) -> String,
}

pub(crate) const SOURCES: &[Source] = &[
    Source {
        name: "KMS",
        way: Way::Variable,
        reference: kms,
    },
    Source {
        name: "SSM",
        way: Way::Variable,
        reference: parameter,
    },
    Source {
        name: "Secrets Manager",
        way: Way::Variable,
        reference: secret,
    },
    Source {
        name: "Secrets Manager, key",
        way: Way::Variable,
        reference: key_of_secret,
    },
    Source {
        name: "KMS, file",
        way: Way::Secret,
        reference: kms,
    },
    Source {
        name: "SSM, file",
        way: Way::Secret,
        reference: parameter,
    },
    Source {
        name: "Secrets Manager, file",
        way: Way::Secret,
        reference: secret,
    },
    Source {
        name: "Secrets Manager, key, file",
        way: Way::Secret,
        reference: key_of_secret,
    },
    Source {
        name: "SSM, text",
        way: Way::Text,
        reference: parameter,
    },
    Source {
        name: "Secrets Manager, key, text",
        way: Way::Text,
        reference: key_of_secret,
    },
];

pub(crate) fn kms(machine: &Machine, canary: &Canary) -> String {
    machine.aws().encrypt(&canary.value)
}

pub(crate) fn parameter(machine: &Machine, canary: &Canary) -> String {
    machine.aws().put_parameter(&canary.name, &canary.value)
}

fn secret(machine: &Machine, canary: &Canary) -> String {
    machine.aws().put_secret(&canary.name, &canary.value).0
}

pub(crate) fn key_of_secret(machine: &Machine, canary: &Canary) -> String {
    let document = json!({"host": "db.internal", "password": canary.value, "port": 5432}).to_string();
    let (secret, _) = machine.aws().put_secret(&canary.name, &document);
    format!("{secret}?key=password")
}

/// A file whose value can be another one the next time it is asked for.
pub(crate) fn can_change(canary: &Canary) -> bool {
    canary
        .source
        .is_some_and(|source| source.way == Way::Secret && !source.name.starts_with("KMS"))
}

/// Puts another value where this one is kept.
pub(crate) fn replace(machine: &Machine, canary: &Canary, value: &str) {
    let other = Canary {
        value: value.to_owned(),
        ..canary.clone()
    };
    if let Some(source) = canary.source {
        drop((source.reference)(machine, &other));
    }
}
