//! Takes known secrets out of text, in every spelling they are likely to appear in.
//!
//! Design: a needle is made for each spelling (as it is, base64 in its three alignments, URL- and
//! JSON-escaped) of the value, of the value without the space around it, and of each of its lines;
//! and for its lines joined in every way this agent joins lines. A text is searched in one pass for
//! all needles at once, and what any of them covers is hidden. Masking goes by value, never by the
//! name of a variable: names lie.
//!
//! Invariants
//! - A value shorter than [`MIN_LENGTH`] bytes is not redactable (it would blacken half of every
//!   line, and tell the reader its length); [`Redactor::learn`] says so, and the caller warns.
//! - Whole texts are redacted, and cut afterwards: a part of a secret is not found.
//! - Keys of JSON stay, whatever they spell: they are ours, and their reader needs them.
//!
//! Deliberately absent: encodings nobody produces by accident (rot13, hex), secrets inside secrets
//! (one field of a JSON document, as long as its line is not quoted), and secrets that were never
//! told to it.

mod spelling;

use std::borrow::Cow;
use std::ops::Range;

use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use crate::secret::Secret;
use spelling::{base64_shifted, joined, json_escaped, url_escaped};

/// Shortest value that can be searched for.
pub const MIN_LENGTH: usize = 8;

/// What a secret is replaced with.
pub const MARK: &str = "[redacted]";

/// How lines are found joined: as they were, from another system, in one line of a journal, indented
/// in a list, and such a list in one line of a journal.
const LINE_BREAKS: [&str; 5] = ["\n", "\r\n", " | ", "\n  ", " |   "];

/// Whether a value will be found in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redactable {
    /// It will.
    Yes,
    /// It is shorter than [`MIN_LENGTH`] bytes, the space around it not counted.
    TooShort,
}

/// Knows the secrets of this run.
#[derive(Default)]
pub struct Redactor {
    /// Sorted by their bytes, so that those with the same beginning are neighbours; none is shorter
    /// than [`MIN_LENGTH`].
    needles: Vec<Zeroizing<String>>,
}

impl Redactor {
    /// Adds a value and its spellings.
    pub fn learn(&mut self, secret: &Secret) -> Redactable {
        let value = secret.expose();
        let trimmed = value.trim();
        if trimmed.len() < MIN_LENGTH {
            return Redactable::TooShort;
        }
        self.add_spellings(value);
        self.add_spellings(trimmed);
        for line in trimmed.lines() {
            // The comma is JSON's: the same line may be quoted without it.
            self.add_spellings(line.trim().trim_end_matches(','));
        }
        if trimmed.contains('\n') {
            for line_break in LINE_BREAKS {
                let joined = joined(trimmed, line_break);
                self.add(json_escaped(&joined));
                self.add(joined);
            }
        }
        Redactable::Yes
    }

    /// Nothing is known, so nothing will be found.
    pub fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    /// The text without any known secret.
    pub fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let hidden = self.find(text);
        if hidden.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut shown = 0;
        for Range { start, end } in hidden {
            out.push_str(text.get(shown..start).unwrap_or_default());
            out.push_str(MARK);
            shown = end;
        }
        out.push_str(text.get(shown..).unwrap_or_default());
        Cow::Owned(out)
    }

    /// Takes known secrets out of the text in its place.
    pub fn redact_in(&self, text: &mut String) {
        if let Cow::Owned(redacted) = self.redact(text) {
            *text = redacted;
        }
    }

    /// Takes known secrets out of every string in it; keys stay.
    pub fn redact_json(&self, value: &mut serde_json::Value) {
        use serde_json::Value;
        match value {
            Value::String(text) => self.redact_in(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.redact_json(value)),
            Value::Object(map) => map.values_mut().for_each(|value| self.redact_json(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Where any needle lies, in order; needles that overlap are one place.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        if self.is_empty() {
            return found;
        }
        let bytes = text.as_bytes();
        for (at, beginning) in bytes.windows(MIN_LENGTH).enumerate() {
            let Some(length) = self.longest(beginning, bytes.get(at..).unwrap_or_default()) else {
                continue;
            };
            // A needle is whole characters, so it begins and ends between two of the text's.
            let end = at + length;
            match found.last_mut() {
                Some(last) if at < last.end => last.end = last.end.max(end),
                _ => found.push(at..end),
            }
        }
        found
    }

    /// The length of the longest needle that `text`, which begins with `beginning`, begins with.
    fn longest(&self, beginning: &[u8], text: &[u8]) -> Option<usize> {
        let first = self
            .needles
            .partition_point(|needle| needle.as_bytes() < beginning);
        let neighbours = self.needles.get(first..).unwrap_or_default();
        let alike = neighbours
            .iter()
            .take_while(|needle| needle.as_bytes().starts_with(beginning));
        alike
            .filter(|needle| text.starts_with(needle.as_bytes()))
            .map(|needle| needle.len())
            .max()
    }

    fn add_spellings(&mut self, value: &str) {
        if value.len() < MIN_LENGTH {
            return;
        }
        self.add(Zeroizing::new(value.to_owned()));
        self.add(url_escaped(value));
        self.add(json_escaped(value));
        for shift in 0..3 {
            self.add(base64_shifted(&STANDARD_NO_PAD, value.as_bytes(), shift));
            self.add(base64_shifted(&URL_SAFE_NO_PAD, value.as_bytes(), shift));
        }
    }

    fn add(&mut self, needle: Zeroizing<String>) {
        if needle.len() < MIN_LENGTH {
            return;
        }
        if let Err(place) = self.needles.binary_search_by(|known| known.as_str().cmp(&needle)) {
            self.needles.insert(place, needle);
        }
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} spellings)", self.needles.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
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
            format!("url {}", *url_escaped(value)),
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

    #[test]
    fn a_line_of_a_secret_is_found_in_every_spelling() {
        let line = r#""password": "hunter2-hunter2""#;
        let redactor = knowing(&format!("{{\n  {line},\n  \"user\": 1\n}}"));
        for text in [
            line.to_owned(),
            serde_json::json!({ "detail": format!("it said {line}") }).to_string(),
            url_escaped(line).to_string(),
            STANDARD.encode(line),
        ] {
            let out = redactor.redact(&text);
            assert!(
                out.contains(MARK) && !out.contains("hunter2"),
                "{text:?} gave {out:?}"
            );
        }
    }

    #[test]
    fn the_newline_that_echo_appends_is_no_part_of_it() {
        let redactor = knowing("hunter2-hunter2\n");
        for text in [
            "hunter2-hunter2".to_owned(),
            STANDARD.encode("hunter2-hunter2"),
            STANDARD.encode("x:hunter2-hunter2"),
        ] {
            assert!(redactor.redact(&text).contains(MARK), "{text}");
        }
        assert_eq!(redactor.redact("it is hunter2-hunter2!"), "it is [redacted]!");
        assert_eq!(redactor.redact(&STANDARD.encode("hunter2-hunter2")), MARK);
        assert_eq!(
            redactor.redact(r#"{"v":"hunter2-hunter2\n"}"#),
            r#"{"v":"[redacted]"}"#
        );
    }

    #[test]
    fn a_value_is_too_short_without_the_space_around_it() {
        assert_eq!(
            Redactor::default().learn(&Secret::new("hunter2\n".into())),
            Redactable::TooShort
        );
        assert_eq!(
            Redactor::default().learn(&Secret::new("  \t\r\n    \n".into())),
            Redactable::TooShort
        );
    }

    #[test]
    fn short_lines_are_found_however_they_were_joined() {
        let lines = ["ab-1", "cd-2", "", "ef-3"];
        for value in [lines.join("\n"), lines.join("\r\n") + "\r\n"] {
            let redactor = knowing(&value);
            for text in [
                lines.join("\n"),
                lines.join("\r\n"),
                lines.join(" | "),
                lines.join("\n  "),
                lines.join("\n  ").replace('\n', " | "),
                lines.join(r"\n"),
            ] {
                assert_eq!(
                    redactor.redact(&format!("said {text}.")),
                    "said [redacted].",
                    "{text:?}"
                );
            }
        }
    }

    #[test]
    fn two_secrets_that_overlap_leave_nothing_of_either() {
        let mut redactor = knowing("left-middle");
        redactor.learn(&Secret::new("middle-right".into()));
        assert_eq!(
            redactor.redact("a left-middle-right b left-middle c"),
            "a [redacted] b [redacted] c"
        );
    }

    #[test]
    fn nothing_is_copied_when_nothing_is_found() {
        assert!(matches!(
            Redactor::default().redact("it is hunter2-hunter2"),
            Cow::Borrowed(_)
        ));
        assert!(matches!(
            knowing("hunter2-hunter2").redact("it is hunter3-hunter3"),
            Cow::Borrowed(_)
        ));
        let mut text = "it is hunter2-hunter2".to_owned();
        knowing("hunter2-hunter2").redact_in(&mut text);
        assert_eq!(text, "it is [redacted]");
    }

    #[test]
    fn of_a_json_value_the_strings_are_redacted_and_never_the_keys() {
        let mut value =
            serde_json::json!({ "container": ["a container", { "deeper": "container" }], "n": 1 });
        knowing("container").redact_json(&mut value);
        assert_eq!(
            value,
            serde_json::json!({ "container": ["a [redacted]", { "deeper": "[redacted]" }], "n": 1 })
        );
    }

    proptest! {
        /// Taking needles out one after the other is slower and easier to get right.
        #[test]
        fn whatever_is_known_is_not_there_afterwards(
            values in proptest::collection::vec("[ab]{8,10}", 1..6),
            text in "[ab]{0,60}",
        ) {
            let mut redactor = Redactor::default();
            for value in &values {
                redactor.learn(&Secret::new(value.clone()));
            }
            let out = redactor.redact(&text);
            let known = values.iter().any(|value| text.contains(value));
            prop_assert_eq!(out.contains(MARK), known);
            // Every byte in no occurrence of a value stays, every other goes.
            let mut hidden = vec![false; text.len()];
            for value in &values {
                for at in (0..text.len()).filter(|at| text.as_bytes()[*at..].starts_with(value.as_bytes())) {
                    hidden[at..at + value.len()].fill(true);
                }
            }
            let kept: String = text.chars().zip(&hidden).filter(|(_, hidden)| !**hidden).map(|(c, _)| c).collect();
            prop_assert_eq!(out.replace(MARK, ""), kept);
        }

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
