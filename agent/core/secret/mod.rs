//! The one type that may hold a secret in clear.
//!
//! A [`Secret`] shows itself as `<secret>` wherever it is formatted, has no serialisation, and is
//! wiped when dropped. The value leaves it only through [`Secret::expose`], so every place that
//! handles clear text can be found by searching for that name.

mod reference;

use std::fmt;

use zeroize::Zeroizing;

pub use reference::{NotAReference, NotInThere, SecretRef, Source};

/// A secret in clear: a decrypted value, a registry password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes over a clear-text value.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// Takes over bytes that should be a text; what is none is wiped.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(Self::new(text)),
            Err(error) => {
                drop(Zeroizing::new(error.into_bytes()));
                None
            }
        }
    }

    /// Without the one newline that `echo` puts behind it.
    pub fn without_newline(mut self) -> Self {
        let kept = self
            .0
            .strip_suffix('\n')
            .map(|text| text.strip_suffix('\r').unwrap_or(text).len());
        if let Some(kept) = kept {
            self.0.truncate(kept);
        }
        self
    }

    /// The value in clear. Call it where the value is handed over, never where it is described.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// What KMS encrypted: safe to show and to hash, useless without the key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ciphertext(Vec<u8>);

impl Ciphertext {
    /// Takes over the decoded bytes of an `aws:kms:<base64>` value.
    pub fn new(blob: Vec<u8>) -> Self {
        Self(blob)
    }

    /// The blob as KMS made it.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<kms>")
    }
}

impl fmt::Display for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<kms>")
    }
}

/// A value of the user data that may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// Written in clear where only a secret can stand (a registry password).
    Literal(Secret),
    /// Fetched at boot.
    Stored(SecretRef),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_newline_is_cut() {
        for (text, cut) in [
            ("a", "a"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            ("\n", ""),
            ("a\r", "a\r"),
        ] {
            assert_eq!(Secret::new(text.into()).without_newline().expose(), cut);
        }
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::new("hunter2-hunter2".into());
        assert_eq!(
            format!("{secret} {secret:?} {secret:#?}"),
            "<secret> <secret> <secret>"
        );
        assert_eq!(secret.expose(), "hunter2-hunter2");
        assert_eq!(
            Secret::from_bytes(b"hunter2-hunter2".to_vec()).as_ref(),
            Some(&secret)
        );
        assert_eq!(Secret::from_bytes(vec![0xff]), None);
        let source = SecretSource::Literal(secret);
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
