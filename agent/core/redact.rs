//! Takes known secrets out of text, in every spelling they are likely to appear in.
//!
//! Design: a needle is made for each spelling of each value (raw, every line of it, base64 in its
//! three alignments, URL- and JSON-escaped), and every text that leaves the agent passes
//! [`Redactor::redact`]. Masking goes by value, never by the name of a variable: names lie.
//!
//! Invariant: a value shorter than [`MIN_LENGTH`] bytes is not redactable (it would blacken half of
//! every line, and tell the reader its length); [`Redactor::learn`] says so, and the caller warns.
//!
//! Deliberately absent: encodings nobody produces by accident (rot13, hex), and secrets that were
//! never told to it.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::secret::Secret;

/// Shortest value that can be searched for.
pub const MIN_LENGTH: usize = 8;

/// What a secret is replaced with.
pub const MARK: &str = "[redacted]";

/// Whether a value will be found in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redactable {
    /// It will.
    Yes,
    /// It is shorter than [`MIN_LENGTH`] bytes.
    TooShort,
}

/// Knows the secrets of this run.
#[derive(Default)]
pub struct Redactor {
    /// Longest first, so that a value is not half replaced by a part of itself.
    needles: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Adds a value and its spellings.
    pub fn learn(&mut self, secret: &Secret) -> Redactable {
        let value = secret.expose();
        if value.len() < MIN_LENGTH {
            return Redactable::TooShort;
        }
        self.add(value.to_owned());
        for line in value.lines().filter(|line| line.trim().len() >= MIN_LENGTH) {
            self.add(line.trim().to_owned());
        }
        self.add(url_escaped(value));
        self.add(json_escaped(value));
        for spelling in base64_spellings(value.as_bytes()) {
            self.add(spelling);
        }
        self.needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        Redactable::Yes
    }

    /// The text without any known secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut text = Cow::Borrowed(text);
        for needle in &self.needles {
            if text.contains(needle.as_str()) {
                text = Cow::Owned(text.replace(needle.as_str(), MARK));
            }
        }
        text
    }

    fn add(&mut self, needle: String) {
        let needle = Zeroizing::new(needle);
        if needle.len() >= MIN_LENGTH && !self.needles.contains(&needle) {
            self.needles.push(needle);
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} spellings)", self.needles.len())
    }
}

/// Base64 of the value standing alone and inside a longer text: bytes before it shift the alignment,
/// so the two shifted spellings leave out the characters that its neighbours share.
fn base64_spellings(value: &[u8]) -> Vec<String> {
    let mut spellings = Vec::new();
    for shift in 0..3usize {
        let mut shifted = Zeroizing::new(vec![0u8; shift]);
        shifted.extend_from_slice(value);
        let whole = shifted.len() / 3 * 3;
        // The first group holds foreign bits when shifted; the incomplete last group holds the next value's.
        let from = if shift == 0 { 0 } else { 4 };
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(shifted.get(..whole).unwrap_or_default());
            spellings.push(encoded.get(from..).unwrap_or_default().to_owned());
        }
    }
    spellings
}

fn url_escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len() * 2);
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted
        .trim_start_matches('"')
        .strip_suffix('"')
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    fn knowing(value: &str) -> Redactor {
        let mut redactor = Redactor::default();
        assert_eq!(redactor.learn(&Secret::new(value.to_owned())), Redactable::Yes);
        redactor
    }

    #[test]
    fn a_short_value_is_refused() {
        assert_eq!(
            Redactor::default().learn(&Secret::new("hunter2".into())),
            Redactable::TooShort
        );
    }

    #[test]
    fn every_spelling_is_found() {
        let value = "p@ss \"word\"\nsecond line/+=";
        let redactor = knowing(value);
        for text in [
            format!("got {value}!"),
            "only the second line/+= leaked".to_owned(),
            format!("url {}", url_escaped(value)),
            format!("json {}", serde_json::json!({ "v": value })),
        ] {
            let out = redactor.redact(&text);
            assert!(out.contains(MARK), "{text:?} gave {out:?}");
            assert!(!out.contains("word") && !out.contains("second"), "{out:?}");
        }
    }

    #[test]
    fn a_longer_value_is_not_half_replaced_by_a_shorter_one() {
        let mut redactor = knowing("password");
        redactor.learn(&Secret::new("password-and-more".into()));
        assert_eq!(redactor.redact("x password-and-more y"), "x [redacted] y");
    }

    #[test]
    fn debug_shows_a_count_only() {
        assert!(!format!("{:?}", knowing("canary-canary")).contains("canary"));
    }

    proptest! {
        #[test]
        fn base64_is_found_in_every_alignment(value in "[ -~]{12,64}", before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
            let redactor = knowing(&value);
            let encoded = STANDARD.encode(format!("{before}{value}{after}"));
            let out = redactor.redact(&encoded);
            prop_assert!(out.contains(MARK), "{} gave {}", encoded, out);
        }

        #[test]
        fn raw_is_always_found(value in "\\PC{8,64}", around in "\\PC{0,20}") {
            prop_assume!(value.len() >= MIN_LENGTH);
            let redactor = knowing(&value);
            let text = format!("{around}{value}{around}");
            prop_assert!(!redactor.redact(&text).contains(&value));
        }
    }
}
