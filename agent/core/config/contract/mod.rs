//! The contract: every key there is, once, as data.
//!
//! Design: a [`Key`] says what a value may be ([`Shape`]), what becomes of it ([`Fate`]), and what a person wants to
//! know about it. Everything that has to agree reads this one table: the checks take types, limits and allowed words
//! from it, and the JSON Schema, the reference and `monopod explain` are printed from it.
//!
//! Invariants: a name stands once in its map. Every shape has a check in [`super::check`]; what a shape cannot say (the
//! grammar of an image reference) has a named [`Grammar`], which is both a pattern for the schema and a parser there.
//!
//! It deliberately holds no value of any user.

mod application;
mod container;
pub mod explain;
mod gone;
mod grammar;
mod health;
mod host;
mod lessons;
mod lifecycle;
mod logging;
mod metrics;
mod names;
mod otlp;
mod policy;
pub mod reference;
pub mod schema;
mod secrets;
mod storage;
#[cfg(test)]
mod tests;
mod walk;
mod words;

pub use grammar::Grammar;
pub(crate) use names::{CAPABILITIES, SIGNALS, SYSFS, ULIMITS};
pub use policy::POLICY;
pub use walk::{Path, every, every_policy, find, find_policy};

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It takes effect.
    Read,
    /// Checked and kept; has no effect in this version, which a warning says. What would have happened.
    Later(&'static str),
    /// Checked; the boot is refused while it cannot be carried out. What would be lost.
    Refused(&'static str),
    /// Its service is gone. What to use instead.
    Retired(&'static str),
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// True or false; a string that says so is taken with a warning.
    Flag,
    /// True or false; any string is an error, because guessing wrong is dangerous.
    StrictFlag,
    /// A string.
    Text(Grammar),
    /// A string that is never shown; a reference where the key takes effect.
    Secret,
    /// A reference to a secret; never shown, since a text in clear may stand there by mistake.
    Reference,
    /// Anything single, printed as Python prints it; never shown.
    Scalar,
    /// A whole number.
    Number {
        /// The least allowed.
        least: u32,
        /// The most allowed.
        most: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// A number with a fraction.
    Decimal {
        /// The least allowed, in thousandths.
        least_thousandths: u32,
        /// The most allowed.
        most: u32,
        /// What is counted.
        unit: &'static str,
    },
    /// Bytes: a number, or one with b, k, m or g.
    Size {
        /// The least allowed.
        least: u64,
    },
    /// A time: seconds, or `90s`, `15m`, `1h30m`.
    Time {
        /// The least allowed, in seconds.
        least: u32,
        /// The most allowed, in seconds.
        most: u32,
    },
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list.
    List(&'static Shape),
    /// A list of strings, or one string that is split at blanks as a shell would.
    Words,
    /// A map whose keys the user chooses.
    Map {
        /// What a key is, in words.
        key: &'static str,
        /// What a key has to look like.
        names: Grammar,
        /// What each value is.
        value: &'static Shape,
    },
    /// A map with known keys.
    Object(&'static [Key]),
    /// One of several.
    Either(&'static [Shape]),
    /// Anything at all.
    Anything,
}

/// One key of the contract.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name; a family of names ends in `*`.
    pub name: &'static str,
    /// What its value may be.
    pub shape: Shape,
    /// What becomes of it.
    pub fate: Fate,
    /// Whether it has to be there.
    pub required: bool,
    /// What holds when it is left out; empty where nothing does.
    pub default: &'static str,
    /// What it does, in one sentence or two.
    pub summary: &'static str,
    /// What Taupage did with it; empty for a key Taupage did not know.
    pub taupage: &'static str,
    /// What is different here, if anything.
    pub ours: &'static str,
    /// A piece of user data.
    pub example: &'static str,
}

impl Key {
    pub(crate) const fn new(name: &'static str, shape: Shape, fate: Fate, summary: &'static str) -> Self {
        Self {
            name,
            shape,
            fate,
            required: false,
            default: "",
            summary,
            taupage: "",
            ours: "",
            example: "",
        }
    }

    pub(crate) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    pub(crate) const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }

    pub(crate) const fn taupage(self, taupage: &'static str) -> Self {
        Self { taupage, ..self }
    }

    pub(crate) const fn ours(self, ours: &'static str) -> Self {
        Self { ours, ..self }
    }

    pub(crate) const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }

    /// Whether this is the key, or a family it belongs to.
    pub fn matches(&self, name: &str) -> bool {
        match self.name.strip_suffix('*') {
            // Of a plain word only: what follows the beginning of a family may be anything else.
            Some(prefix) => name.strip_prefix(prefix).is_some_and(|rest| {
                !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }),
            None => self.name == name,
        }
    }
}

/// Keys that belong together.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// A heading.
    pub title: &'static str,
    /// In the order of the reference.
    pub keys: &'static [Key],
}

/// All of them, in the order of the reference.
pub const CONTRACT: &[Group] = &[
    Group {
        title: "The application",
        keys: application::KEYS,
    },
    Group {
        title: "The container",
        keys: container::KEYS,
    },
    Group {
        title: "Limits",
        keys: container::LIMITS,
    },
    Group {
        title: "Health",
        keys: health::KEYS,
    },
    Group {
        title: "The machine's life",
        keys: lifecycle::KEYS,
    },
    Group {
        title: "Secrets",
        keys: secrets::KEYS,
    },
    Group {
        title: "Storage",
        keys: storage::KEYS,
    },
    Group {
        title: "Logs",
        keys: logging::KEYS,
    },
    Group {
        title: "OpenTelemetry",
        keys: otlp::KEYS,
    },
    Group {
        title: "The machine",
        keys: host::KEYS,
    },
    Group {
        title: "Metrics",
        keys: metrics::KEYS,
    },
    Group {
        title: "Audit",
        keys: host::AUDIT,
    },
    Group {
        title: "Gone",
        keys: gone::KEYS,
    },
];

/// Every key of the top level.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    CONTRACT.iter().flat_map(|group| group.keys)
}

/// A key of the top level.
pub fn top(name: &str) -> Option<&'static Key> {
    keys().find(|key| key.matches(name))
}

impl Shape {
    /// The map in it that has keys below, a list's items looked into.
    pub(super) fn map(&'static self) -> Option<&'static Shape> {
        match self {
            Self::Map { .. } | Self::Object(_) => Some(self),
            Self::List(item) => item.map(),
            Self::Either(shapes) => shapes.iter().find_map(Self::map),
            _ => None,
        }
    }

    /// Whether keys stand below it.
    pub const fn is_map(&self) -> bool {
        matches!(self, Self::Map { .. } | Self::Object(_))
    }

    /// What a key below it holds.
    pub(super) fn inside(&self, name: &str) -> &'static Shape {
        match self {
            Self::Map { value, .. } => value,
            Self::Object(keys) => keys
                .iter()
                .find(|key| key.matches(name))
                .map_or(&Shape::Anything, |key| &key.shape),
            Self::Either(shapes) => shapes
                .iter()
                .find(|shape| shape.is_map())
                .map_or(&Shape::Anything, |shape| shape.inside(name)),
            _ => &Shape::Anything,
        }
    }

    /// What an item of it is.
    pub(super) fn item(&self) -> &'static Shape {
        match self {
            Self::List(item) => item,
            Self::Either(shapes) => shapes
                .iter()
                .find(|shape| matches!(shape, Shape::List(_)))
                .map_or(&Shape::Anything, Shape::item),
            _ => &Shape::Anything,
        }
    }

    /// The known keys below it.
    pub(super) fn known(&self) -> &'static [Key] {
        match self {
            Self::Object(keys) => keys,
            Self::Either(shapes) => shapes
                .iter()
                .map(Shape::known)
                .find(|keys| !keys.is_empty())
                .unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The words it may be.
    pub(super) fn words(&self) -> &'static [&'static str] {
        match self {
            Self::Choice(words) => words,
            Self::Either(shapes) => shapes
                .iter()
                .map(Shape::words)
                .find(|words| !words.is_empty())
                .unwrap_or(&[]),
            _ => &[],
        }
    }

    /// The least and the most a number may be.
    pub(super) fn range(&self) -> (u32, u32) {
        match self {
            Self::Number { least, most, .. } | Self::Time { least, most } => (*least, *most),
            Self::Either(shapes) => shapes
                .iter()
                .find(|shape| matches!(shape, Shape::Number { .. }))
                .map_or((0, u32::MAX), Shape::range),
            _ => (0, u32::MAX),
        }
    }

    /// Whether a value of it may be shown: nobody writes a secret here.
    pub fn may_be_shown(&self) -> bool {
        match self {
            Self::Secret
            | Self::Reference
            | Self::Scalar
            | Self::Anything
            | Self::Words
            // A private key may stand beside a certificate by mistake, a password in a header; a presigned URL is one.
            | Self::Text(Grammar::Certificates | Grammar::HiddenUrl | Grammar::HeaderValue)
            // A single value where a list or a map belongs: who knows what it is.
            | Self::List(_)
            | Self::Map { .. }
            | Self::Object(_) => false,
            Self::Either(shapes) => shapes.iter().filter(|shape| !shape.is_map()).all(Self::may_be_shown),
            Self::Flag
            | Self::StrictFlag
            | Self::Text(_)
            | Self::Number { .. }
            | Self::Decimal { .. }
            | Self::Size { .. }
            | Self::Time { .. }
            | Self::Choice(_) => true,
        }
    }
}
