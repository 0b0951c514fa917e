//! The labels of an image that the OCI's annotations name, and its date.

use std::collections::BTreeMap;

use super::clean;
use crate::text;

const PREFIX: &str = "org.opencontainers.image.";
/// More would be no description; the standard has fewer than twenty.
const MOST: usize = 32;
const LONGEST_NAME: usize = 64;
/// What builds that leave the date out write in its place: the epoch, or where ZIP's dates begin (and a day for zones).
const NO_DATE_BEFORE: u64 = 315_532_800 + 86_400;

/// Those of an image, by their names without the prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// Of all that an image has.
    pub fn new(all: &BTreeMap<String, String>) -> Self {
        let ours = all.iter().filter_map(|(name, value)| {
            let name = name.strip_prefix(PREFIX)?;
            let plain = !name.is_empty()
                && name.len() <= LONGEST_NAME
                && name
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
            let value = match name {
                "source" | "url" | "documentation" => super::scm::without_login(value),
                _ => clean(value),
            };
            (plain && !value.is_empty()).then(|| (name.to_owned(), value))
        });
        Self(ours.take(MOST).collect())
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `revision`, without the word that build tools put behind it.
    pub(super) fn commit(&self) -> Option<String> {
        let revision = self.get("revision")?;
        Some(revision.strip_suffix("-dirty").unwrap_or(revision).to_owned())
    }

    pub(super) fn shown(self) -> BTreeMap<String, String> {
        self.0
    }
}

/// When the image was built: the engine's date, or the label's where that says nothing.
pub(super) fn created(engine: Option<&str>, labels: &Labels) -> Option<u64> {
    engine
        .and_then(date)
        .or_else(|| labels.get("created").and_then(date))
}

/// RFC 3339, with or without an offset; `None` for a date that stands for none.
fn date(text: &str) -> Option<u64> {
    let text = text.trim();
    let seconds = match text.len().checked_sub(6).and_then(|at| text.split_at_checked(at)) {
        Some((local, offset)) if offset.starts_with(['+', '-']) && !text.ends_with(['Z', 'z']) => {
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let ahead = hours.parse::<u64>().ok()? * 3600 + minutes.parse::<u64>().ok()? * 60;
            let local = text::parse_timestamp_millis(&format!("{local}Z"))? / 1000;
            match offset.starts_with('+') {
                true => local.checked_sub(ahead)?,
                false => local + ahead,
            }
        }
        _ => text::parse_timestamp_millis(text)? / 1000,
    };
    (seconds >= NO_DATE_BEFORE).then_some(seconds)
}
