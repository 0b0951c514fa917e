//! Why a text is left as it is.

/// Why a text can't be changed as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Bytes of another kind.
    #[error("it is not a text in UTF-8; unpack it first (gzip, base64)")]
    NotText,
    /// The text can't be read.
    #[error("line {line}: {what}; `monopod validate` shows the place")]
    Unreadable {
        /// Where.
        line: usize,
        /// What is wrong, without any value.
        what: String,
    },
    /// No keys.
    #[error("it is not a map of keys and values")]
    NotAMap,
    /// Nobody wrote this key.
    #[error("there is no key `{key}`{hint}")]
    NotThere {
        /// As it was asked for.
        key: String,
        /// What may have been meant.
        hint: String,
    },
    /// Which one?
    #[error("`{key}` stands there more than once, or can be read in two ways; leave one of them")]
    Ambiguous {
        /// As it was asked for.
        key: String,
    },
    /// Only values can be encrypted.
    #[error("`{key}` is {what}; name a single value")]
    NotAValue {
        /// As it was asked for.
        key: String,
        /// `a map with the keys A, B`.
        what: String,
    },
    /// Nothing to hide.
    #[error("`{key}` is empty; write the value there first, or give it on standard input with --stdin")]
    Empty {
        /// As it was asked for.
        key: String,
    },
    /// An alias, or an anchor.
    #[error("`{key}` is shared by an anchor or an alias; write the value out where it is used")]
    Shared {
        /// As it was asked for.
        key: String,
    },
    /// A tag of YAML's, or of a template's.
    #[error("`{key}` has a YAML tag; take the tag away, or encrypt what the template will put there")]
    Tagged {
        /// As it was asked for.
        key: String,
    },
    /// A value that YAML takes for a number or date that does not exist.
    #[error("the value of `{key}` can't be read; put it in quotes if it is meant as text")]
    NoValue {
        /// As it was asked for.
        key: String,
    },
    /// A form that can't be replaced in place.
    #[error(
        "`{key}` is written in a form that can't be changed in place; write `name: \"value\"` on a line of its own"
    )]
    Form {
        /// As it was asked for.
        key: String,
    },
    /// The agent takes no reference for this key.
    #[error("with an encrypted value in that place no machine would boot: {what}")]
    NoSecretHere {
        /// What `validate` would say, which quotes no value.
        what: String,
    },
    /// The new text would not mean what the old one did.
    #[error(
        "after the change other values would read differently, so nothing was changed; encrypt the value from standard input and put it in by hand"
    )]
    WouldChangeMore,
}

impl EditError {
    /// Whether the command line has to be mended, not the file.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NotThere { .. } | Self::NotAValue { .. })
    }
}
