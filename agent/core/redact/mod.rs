//! Takes known secrets out of text, in every spelling they are likely to appear in.
//!
//! Design: a value, and each of its lines, is searched for as it is and in base64 in its three
//! alignments. What quoting and wrapping add (backslashes, quotes, line breaks, the blanks beside
//! them) is left out of the search on both sides and looked at afterwards; what escapes with letters
//! and digits (`\u00e9`, `%2F`, `+`) is read back first, several times if need be, and the reading
//! searched like the text itself. So a value is found in a shell's quotes, in Rust's `{:?}`, in JSON
//! inside JSON, and broken over lines at any place, without a needle for each. Masking goes by value,
//! never by the name of a variable: names lie.
//!
//! Invariants
//! - A value shorter than [`MIN_LENGTH`] bytes is not redactable (it would blacken half of every
//!   line, and tell the reader its length); [`Redactor::learn`] says so, and the caller warns.
//! - Whole texts are redacted, and cut afterwards: a part of a secret is not found. Who has a text in
//!   pieces asks [`Redactor::begun`] whether to wait for the next.
//! - Blanks alone join nothing: `read timeout` stays where `readtimeout` is secret.
//! - Keys of JSON stay, whatever they spell: they are ours, and their reader needs them.
//!
//! Deliberately absent: encodings nobody produces by accident (rot13, hex, base64 twice), secrets
//! inside secrets (one field of a JSON document, as long as its line is not quoted), and secrets that
//! were never told to it.

mod needle;
mod noise;
mod spelling;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use zeroize::Zeroizing;

use crate::secret::Secret;
use needle::{Agreement, KEY, Needles, Spelling, hash};
use noise::folded;
use spelling::{SHIFTS, base64_part, base64_shifted};
use view::View;

/// Shortest value that can be searched for.
pub const MIN_LENGTH: usize = 8;

/// What a secret is replaced with.
pub const MARK: &str = "[redacted]";

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
    needles: Needles,
    /// Any of them has a blank, so `+` may be one.
    blanks: bool,
    /// Those that are replaced all the time, the newest first: what they replaced has ended before it is forgotten here.
    /// By their kind, as each is replaced when its own time has come.
    passing: BTreeMap<&'static str, VecDeque<Redactor>>,
}

/// Of what is replaced all the time: those in use, and those before them, which may be in use still.
const GENERATIONS: usize = 2;

impl Redactor {
    /// Adds a value and its spellings.
    pub fn learn(&mut self, secret: &Secret) -> Redactable {
        let value = secret.expose();
        if value.trim().len() < MIN_LENGTH {
            return Redactable::TooShort;
        }
        // A set is read again and again: what is known is not to be kept twice.
        if self.needles.has_kept(value.as_bytes()) {
            return Redactable::Yes;
        }
        self.blanks |= value.trim().contains(' ');
        let parts = parts(value);
        let plain = self
            .needles
            .keep(Spelling::Plain, Zeroizing::new(value.as_bytes().to_vec()));
        for part in &parts {
            self.needles.add(plain, part.clone());
        }
        for shift in 0..SHIFTS {
            let encoded = base64_shifted(value.as_bytes(), shift);
            let buffer = self.needles.keep(Spelling::Base64, encoded);
            for part in &parts {
                self.needles.add(buffer, base64_part(shift, part));
            }
        }
        Redactable::Yes
    }

    /// Adds values that end by themselves and that others follow, such as credentials of an hour. Those before the last ones
    /// are forgotten: a machine that runs for a year would know ten thousand of them.
    pub fn learn_passing<'s>(&mut self, kind: &'static str, secrets: impl IntoIterator<Item = &'s Secret>) {
        let secrets: Vec<&Secret> = secrets.into_iter().collect();
        let passing = self.passing.entry(kind).or_default();
        let is_known = |secret: &&Secret| {
            passing
                .front()
                .is_some_and(|newest| newest.needles.has_kept(secret.expose().as_bytes()))
        };
        if secrets.iter().all(is_known) {
            return;
        }
        let mut newest = Self::default();
        for secret in secrets {
            newest.learn(secret);
        }
        passing.push_front(newest);
        passing.truncate(GENERATIONS);
    }

    /// Nothing is known, so nothing will be found.
    pub fn is_empty(&self) -> bool {
        self.everybody().all(|one| one.needles.is_empty())
    }

    fn everybody(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.passing.values().flatten())
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

    /// Where known secrets lie, in order; those that overlap are one place.
    pub fn find(&self, text: &str) -> Vec<Range<usize>> {
        self.search(text).0
    }

    /// Where something begins that may turn out to be a secret when the text goes on: at least [`MIN_LENGTH`]
    /// characters of one, up to the end of the text.
    pub fn begun(&self, text: &str) -> Option<usize> {
        self.search(text).1
    }

    /// [`Self::find`] and [`Self::begun`] in one search.
    pub fn search(&self, text: &str) -> (Vec<Range<usize>>, Option<usize>) {
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut begun: Option<usize> = None;
        if self.is_empty() {
            return (found, begun);
        }
        for view in View::all(text, self.everybody().any(|one| one.blanks)) {
            for one in self.everybody().filter(|one| !one.needles.is_empty()) {
                one.look(&view, |range, agreement| match agreement {
                    Agreement::Whole(_) => found.push(view.origin(range)),
                    Agreement::Begun => {
                        let at = view.origin(range).start;
                        begun = Some(begun.map_or(at, |known| known.min(at)));
                    }
                    Agreement::Not => {}
                });
            }
        }
        (merged(found, text), begun)
    }

    /// Everything that agrees with anything, in any order.
    fn look(&self, view: &View<'_>, mut tell: impl FnMut(Range<usize>, Agreement)) {
        let thorns = self.needles.has_thorny();
        // The last characters that are no noise, and where they are.
        let mut key = 0_u64;
        let mut places = [0_usize; KEY];
        let mut count = 0_usize;
        for (at, byte) in view.bytes.iter().copied().enumerate() {
            if thorns {
                self.needles.with_thorns(byte, view, at, &mut tell);
            }
            let kept = folded(byte);
            if kept == 0 {
                continue;
            }
            key = key << 8 | u64::from(kept);
            if let Some(place) = places.get_mut(count % KEY) {
                *place = at;
            }
            count += 1;
            if count < KEY {
                continue;
            }
            let hash = hash(key);
            if self.needles.may_begin(hash) {
                let start = places.get(count % KEY).copied().unwrap_or(at);
                self.needles.with_key(hash, view, start, &mut tell);
            }
        }
    }
}

/// The whole value without the space around it, and each of its lines.
fn parts(value: &str) -> Vec<Range<usize>> {
    let begin = value.len() - value.trim_start().len();
    let whole = begin..begin + value.trim().len();
    let mut parts = vec![whole.clone()];
    let mut at = 0;
    for line in value.split_inclusive('\n') {
        let start = at + (line.len() - line.trim_start().len());
        // The comma is JSON's: the same line may be quoted without it.
        let text = line.trim().trim_end_matches(',');
        at += line.len();
        let part = start..start + text.len();
        if text.len() >= MIN_LENGTH && part != whole {
            parts.push(part);
        }
    }
    parts
}

/// In order, what overlaps joined, and never within a character.
fn merged(mut found: Vec<Range<usize>>, text: &str) -> Vec<Range<usize>> {
    found.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for range in found {
        let range = text.floor_char_boundary(range.start)..text.ceil_char_boundary(range.end);
        match merged.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} spellings)", self.needles.len())
    }
}
