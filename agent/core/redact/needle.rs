//! What is searched for, and where in a text it could begin.
//!
//! Design: a value is kept once as it is and once in each alignment of base64; a needle is a part of
//! one of these (the whole, a line), so that a key of many lines costs no more than its length. Needles
//! are found by a hash of their first [`KEY`] characters that are no noise, with a filter of bits
//! before it: nearly every place of an ordinary text is turned away by one look.

use std::collections::HashMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::noise::{fits, folded, is_noise, is_white};
use super::view::View;

/// So many characters find a needle; one with fewer is thorny.
pub(super) const KEY: usize = 8;

/// Bits of the filter for each needle: of other places one in so many gets past it.
const SPARSE: usize = 64;
const FILTER_LEAST: usize = 1 << 12;
const FILTER_MOST: usize = 1 << 21;

/// How a buffer is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    /// The value itself.
    Plain,
    /// Either alphabet of base64.
    Base64,
}

/// How a needle and a text agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Agreement {
    /// It is there, up to this place.
    Whole(usize),
    /// The text ends before the needle does.
    Begun,
    /// It is something else.
    Not,
}

#[derive(Debug)]
struct Buffer {
    spelling: Spelling,
    bytes: Zeroizing<Vec<u8>>,
}

#[derive(Clone, Copy, Debug)]
struct Needle {
    buffer: u32,
    start: u32,
    end: u32,
    /// The next one that begins the same.
    next: Option<u32>,
}

/// All that is known.
#[derive(Default)]
pub(super) struct Needles {
    buffers: Vec<Buffer>,
    needles: Vec<Needle>,
    /// By the hash of their key.
    first: HashMap<u32, u32>,
    filter: Vec<u64>,
    /// Those with less than [`KEY`] characters that are no noise: by the first of them, or by 0 if there is none.
    thorny: HashMap<u8, u32>,
}

impl Needles {
    pub(super) fn is_empty(&self) -> bool {
        self.needles.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.needles.len()
    }

    pub(super) fn has_thorny(&self) -> bool {
        !self.thorny.is_empty()
    }

    /// Whether this value is kept as it is, and so in every spelling.
    pub(super) fn has_kept(&self, value: &[u8]) -> bool {
        self.buffers
            .iter()
            .any(|buffer| buffer.spelling == Spelling::Plain && buffer.bytes.as_slice() == value)
    }

    /// How many buffers are kept.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> usize {
        self.buffers.len()
    }

    /// Keeps a value, of which parts are searched for.
    pub(super) fn keep(&mut self, spelling: Spelling, bytes: Zeroizing<Vec<u8>>) -> usize {
        self.buffers.push(Buffer { spelling, bytes });
        self.buffers.len() - 1
    }

    /// Searches for this part of a buffer from now on.
    pub(super) fn add(&mut self, buffer: usize, part: Range<usize>) {
        let Some(kept) = self.buffers.get(buffer) else {
            return;
        };
        let core = core(kept.bytes.get(part.clone()).unwrap_or_default());
        // Noise alone is searched for as it is.
        let (start, end) = core.map_or((part.start, part.end), |core| {
            (part.start + core.start, part.start + core.end)
        });
        let bytes = kept.bytes.get(start..end).unwrap_or_default();
        let key = key(bytes);
        let first = match key {
            Some(hash) => self.first.get(&hash),
            None => self.thorny.get(&first_kept(bytes)),
        };
        let first = first.copied();
        if self
            .chain(first)
            .any(|(known, spelling, _)| known == bytes && spelling == kept.spelling)
        {
            return;
        }
        let (Ok(buffer), Ok(start), Ok(end), Ok(number)) = (
            u32::try_from(buffer),
            u32::try_from(start),
            u32::try_from(end),
            u32::try_from(self.needles.len()),
        ) else {
            return;
        };
        match key {
            Some(hash) => {
                self.first.insert(hash, number);
                self.mark(hash);
            }
            None => _ = self.thorny.insert(first_kept(bytes), number),
        }
        self.needles.push(Needle {
            buffer,
            start,
            end,
            next: first,
        });
    }

    /// Whether a needle may begin with a key of this hash.
    pub(super) fn may_begin(&self, hash: u32) -> bool {
        let (word, bit) = self.bit(hash);
        self.filter.get(word).is_some_and(|bits| bits & bit != 0)
    }

    /// How far the needles of this hash agree with the text at this place.
    pub(super) fn with_key(
        &self,
        hash: u32,
        text: &View<'_>,
        at: usize,
        tell: impl FnMut(Range<usize>, Agreement),
    ) {
        self.agree(self.first.get(&hash).copied(), text, at, tell);
    }

    /// The same for the thorny ones, of which every character counts.
    pub(super) fn with_thorns(
        &self,
        byte: u8,
        text: &View<'_>,
        at: usize,
        tell: impl FnMut(Range<usize>, Agreement),
    ) {
        self.agree(self.thorny.get(&folded(byte)).copied(), text, at, tell);
    }

    fn agree(
        &self,
        first: Option<u32>,
        text: &View<'_>,
        at: usize,
        mut tell: impl FnMut(Range<usize>, Agreement),
    ) {
        for (bytes, spelling, needle) in self.chain(first) {
            let agreement = agreement(bytes, spelling, &text.bytes, at);
            let end = match agreement {
                Agreement::Whole(end) => end,
                // The first letter of something thorny says nothing.
                Agreement::Begun if key(bytes).is_some() => {
                    tell(at..at + 1, agreement);
                    continue;
                }
                Agreement::Begun | Agreement::Not => continue,
            };
            let around = self.around(needle);
            let (start, before) = leading(around.0, text, at);
            let (end, after) = trailing(around.1, text, end);
            // Too little of it is left without its thorns to be known by that.
            if key(bytes).is_some() || (before && after) {
                tell(start..end, Agreement::Whole(end));
            }
        }
    }

    fn chain(&self, first: Option<u32>) -> impl Iterator<Item = (&[u8], Spelling, &Needle)> {
        let at = |number: u32| self.needles.get(number as usize);
        std::iter::successors(first.and_then(at), move |needle| needle.next.and_then(at)).filter_map(
            |needle| {
                let buffer = self.buffers.get(needle.buffer as usize)?;
                let bytes = buffer.bytes.get(needle.start as usize..needle.end as usize)?;
                Some((bytes, buffer.spelling, needle))
            },
        )
    }

    /// The noise of the value before and after the needle, without white space around it.
    fn around(&self, needle: &Needle) -> (&[u8], &[u8]) {
        let Some(buffer) = self.buffers.get(needle.buffer as usize) else {
            return (&[], &[]);
        };
        let before = buffer.bytes.get(..needle.start as usize).unwrap_or_default();
        let noise = before.iter().rev().take_while(|byte| is_thorn(**byte)).count();
        let after = buffer.bytes.get(needle.end as usize..).unwrap_or_default();
        let behind = after.iter().take_while(|byte| is_noise(**byte)).count();
        (
            before.get(before.len() - noise..).unwrap_or_default(),
            after.get(..behind).unwrap_or_default(),
        )
    }

    fn bit(&self, hash: u32) -> (usize, u64) {
        let place = hash as usize & (self.filter.len() * 64).wrapping_sub(1);
        (place / 64, 1 << (place % 64))
    }

    fn mark(&mut self, hash: u32) {
        let wanted = (self.first.len() * SPARSE)
            .next_power_of_two()
            .clamp(FILTER_LEAST, FILTER_MOST);
        if self.filter.len() * 64 < wanted {
            self.filter = vec![0; wanted / 64];
            let hashes: Vec<u32> = self.first.keys().copied().collect();
            hashes.into_iter().for_each(|known| self.set(known));
        }
        self.set(hash);
    }

    fn set(&mut self, hash: u32) {
        let (word, bit) = self.bit(hash);
        if let Some(bits) = self.filter.get_mut(word) {
            *bits |= bit;
        }
    }
}

const fn is_thorn(byte: u8) -> bool {
    is_noise(byte) && !is_white(byte)
}

/// Half of what the key is made of is lost in it, so that a map of hashes tells nobody a value's beginning.
pub(super) fn hash(key: u64) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    (key.wrapping_mul(ODD) >> 32) as u32
}

/// The hash of the first characters that are no noise; none if there are too few.
fn key(bytes: &[u8]) -> Option<u32> {
    let mut kept = bytes.iter().map(|byte| folded(*byte)).filter(|byte| *byte != 0);
    let mut key = 0_u64;
    for _ in 0..KEY {
        key = key << 8 | u64::from(kept.next()?);
    }
    Some(hash(key))
}

fn first_kept(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .map(|byte| folded(*byte))
        .find(|byte| *byte != 0)
        .unwrap_or(0)
}

/// From the first to the last character that is no noise; none if there is none.
fn core(bytes: &[u8]) -> Option<Range<usize>> {
    let start = bytes.iter().position(|byte| !is_noise(*byte))?;
    let last = bytes.iter().rposition(|byte| !is_noise(*byte))?;
    Some(start..last + 1)
}

/// Walks along both, and looks at the noise between characters.
fn agreement(needle: &[u8], spelling: Spelling, text: &[u8], at: usize) -> Agreement {
    let same = |one: u8, other: u8| match spelling {
        Spelling::Plain => one == other,
        Spelling::Base64 => folded(one) == folded(other),
    };
    if first_kept(needle) == 0 {
        // Nothing but noise: as it is or not at all.
        let here = text.get(at..).unwrap_or_default();
        return if here.starts_with(needle) {
            Agreement::Whole(at + needle.len())
        } else {
            Agreement::Not
        };
    }
    let (mut known, mut seen) = (0, at);
    loop {
        match (needle.get(known), text.get(seen)) {
            (Some(one), Some(other)) if same(*one, *other) => {}
            (Some(_), None) => return Agreement::Begun,
            _ => return Agreement::Not,
        }
        (known, seen) = (known + 1, seen + 1);
        if known >= needle.len() {
            return Agreement::Whole(seen);
        }
        let meant = noise(needle, known);
        let there = noise(text, seen);
        (known, seen) = (known + meant.len(), seen + there.len());
        if seen < text.len() && !fits(meant, there) {
            return Agreement::Not;
        }
    }
}

fn noise(bytes: &[u8], at: usize) -> &[u8] {
    let rest = bytes.get(at..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| !is_noise(*byte))
        .unwrap_or(rest.len());
    rest.get(..length).unwrap_or_default()
}

/// Takes in what the value has before the needle; says whether all of it is there.
fn leading(thorns: &[u8], text: &View<'_>, mut start: usize) -> (usize, bool) {
    let before = |at: usize| at.checked_sub(1).and_then(|at| text.bytes.get(at));
    for thorn in thorns.iter().rev() {
        let mut at = start;
        while *thorn != b'\\' && before(at) == Some(&b'\\') {
            at -= 1;
        }
        if before(at) != Some(thorn) {
            return (start, false);
        }
        start = at - 1;
    }
    (start, true)
}

/// Takes in what the value has behind the needle; says whether all of it is there, white space not counted: of that an
/// escaped one is taken, and the end of a line stays.
fn trailing(thorns: &[u8], text: &View<'_>, mut end: usize) -> (usize, bool) {
    for (number, thorn) in thorns.iter().enumerate() {
        let mut at = end;
        while *thorn != b'\\' && text.bytes.get(at) == Some(&b'\\') {
            at += 1;
        }
        let there = text.bytes.get(at) == Some(thorn);
        if !there || (is_white(*thorn) && text.origin(at..at + 1).len() < 2) {
            let rest = thorns.get(number..).unwrap_or_default();
            return (end, rest.iter().all(|byte| is_white(*byte)));
        }
        end = at + 1;
    }
    (end, true)
}
