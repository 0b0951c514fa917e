//! What a value may be, in words: for `monopod explain` and the reference.

use std::time::Duration;

use super::{Grammar, Shape};
use crate::text;

impl Shape {
    /// Type, range and unit, without a full stop.
    pub fn in_words(&self) -> String {
        match self {
            Self::Flag => "true or false".to_owned(),
            Self::StrictFlag => "true or false; a string is an error".to_owned(),
            Self::Text(Grammar::Any | Grammar::NotEmpty) => "text".to_owned(),
            Self::Text(grammar) => format!("text: {}", grammar.words()),
            Self::Secret => {
                "a secret, which is never shown: text, or a reference such as `aws:kms:` and a ciphertext"
                    .to_owned()
            }
            Self::Reference => {
                "a reference: `aws:kms:<base64>`, `aws:ssm:<name>` or `aws:secretsmanager:<name>`".to_owned()
            }
            Self::Scalar => "a single value".to_owned(),
            Self::Number { least, most, unit } => {
                with_unit(format!("a whole number from {least} to {most}"), unit)
            }
            Self::Decimal {
                least_thousandths,
                most,
                unit,
            } => {
                let least = f64::from(*least_thousandths) / 1000.0;
                with_unit(format!("a number from {least} to {most}"), unit)
            }
            Self::Size { least } => format!(
                "a size of {} or more: bytes, or a number with b, k, m or g",
                text::bytes(*least)
            ),
            Self::Time { least, most } => {
                let of = |seconds: u32| text::duration(Duration::from_secs(u64::from(seconds)));
                format!(
                    "a time from {} to {}: seconds, or units as in 90s, 15m, 1h30m",
                    of(*least),
                    of(*most)
                )
            }
            Self::Choice(words) => one_of(words),
            Self::List(item) => format!("a list; each item is {}", item.in_words()),
            Self::Words => {
                "a list of words, or one string that is split at blanks as a shell would".to_owned()
            }
            Self::Map { key, names, value } => {
                let names = match names.words() {
                    "" => String::new(),
                    words => format!(" ({words})"),
                };
                format!("a map from {key}{names} to {}", value.in_words())
            }
            Self::Object(_) => "a map with keys of its own".to_owned(),
            Self::Either(shapes) => {
                let all: Vec<String> = shapes.iter().map(Self::in_words).collect();
                all.join("; or ")
            }
            Self::Anything => "anything".to_owned(),
        }
    }
}

fn with_unit(text: String, unit: &str) -> String {
    if unit.is_empty() {
        text
    } else {
        format!("{text} {unit}")
    }
}

/// `a`, `b` or `c`.
fn one_of(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => words.join(""),
    }
}
