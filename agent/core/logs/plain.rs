//! Plain files: bytes to lines, the fingerprint of a file, and the names that rotation gives.
//!
//! A line ends with a line feed, `\r\n` too. The last line of a file waits for its line feed. Bytes that are not UTF-8
//! become U+FFFD. Zero bytes before a line are left out: they are the hole that a writer without `O_APPEND` leaves
//! when its file is truncated.

use super::batch::{Batch, Line, Stream};
use super::cursor::{FileIdentity, Partial};
use super::record::{Decoded, MAX_LINE};
use crate::text::{parse_timestamp_millis, timestamp};

/// So much of the first line tells a file from others. No more, so that it is soon known and stays the same while a
/// long line grows.
const FINGERPRINT_MAX: usize = 4096;
/// Of a line that is longer, the beginning is taken before its end is there: a reader's buffer needn't hold it.
const LONG: usize = 64 * 1024;

/// Lines of a plain file, keeping the beginning of one too long to wait for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    partials: Vec<Partial>,
}

impl Lines {
    /// Goes on with the beginning a cursor has kept.
    pub fn new(partials: Vec<Partial>) -> Self {
        Self { partials }
    }

    /// The beginning so far, to be kept with the position.
    pub fn partials(&self) -> &[Partial] {
        &self.partials
    }

    /// Takes every whole line of `bytes`, read at `now`. The rest is left for the next call. Stops early once the batch
    /// has `limit` bytes.
    pub fn decode(&mut self, bytes: &[u8], now: &str, limit: usize, batch: &mut Batch) -> Decoded {
        let mut consumed = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if batch.bytes() >= limit {
                break;
            }
            if let Some(text) = line.strip_suffix(b"\n") {
                self.line(text.strip_suffix(b"\r").unwrap_or(text), now, batch);
                consumed += line.len();
            } else if line.len() >= LONG {
                consumed += self.begin(line, now);
            }
        }
        Decoded { consumed, garbage: 0 }
    }

    /// What is left of a file that nobody will write to any more, as its last line.
    pub fn end(&mut self, bytes: &[u8], now: &str, batch: &mut Batch) {
        if !bytes.is_empty() {
            self.line(bytes, now, batch);
        }
        self.flush(batch);
    }

    /// The line that has begun, as a line: nothing will end it any more.
    pub fn flush(&mut self, batch: &mut Batch) {
        for partial in self.partials.drain(..) {
            batch.push(partial.finish().line());
        }
    }

    fn line(&mut self, bytes: &[u8], now: &str, batch: &mut Batch) {
        if let Some(mut partial) = self.partials.pop() {
            partial.push(&String::from_utf8_lossy(bytes));
            batch.push(partial.finish().line());
            return;
        }
        let text = String::from_utf8_lossy(without_hole(bytes));
        if text.len() > MAX_LINE {
            let mut partial = Partial::new(Stream::Stdout, now);
            partial.push(&text);
            batch.push(partial.finish().line());
        } else {
            let (time, stream, text) = (now, Stream::Stdout, text.as_ref());
            batch.push(Line { time, stream, text });
        }
    }

    /// Takes the beginning of a line, up to a place where it can be cut: neither within a character nor before what may
    /// be the first half of `\r\n`.
    fn begin(&mut self, bytes: &[u8], now: &str) -> usize {
        let whole = match std::str::from_utf8(bytes) {
            // Only an end that is cut short has no length; other bytes that aren't UTF-8 will never be.
            Err(_) => bytes.len() - cut_short(bytes),
            Ok(_) => bytes.len(),
        };
        let taken = bytes.get(..whole).unwrap_or_default();
        let taken = taken.strip_suffix(b"\r").unwrap_or(taken);
        let text = if self.partials.is_empty() {
            without_hole(taken)
        } else {
            taken
        };
        if self.partials.is_empty() && !text.is_empty() {
            self.partials.push(Partial::new(Stream::Stdout, now));
        }
        if let Some(partial) = self.partials.last_mut() {
            partial.push(&String::from_utf8_lossy(text));
        }
        taken.len()
    }
}

/// How many bytes at the end are the beginning of a character.
fn cut_short(bytes: &[u8]) -> usize {
    let most = bytes.len().min(3);
    (1..=most)
        .find(|length| {
            let end = bytes.get(bytes.len() - length..).unwrap_or_default();
            std::str::from_utf8(end)
                .is_err_and(|error| error.error_len().is_none() && error.valid_up_to() == 0)
        })
        .unwrap_or(0)
}

fn without_hole(bytes: &[u8]) -> &[u8] {
    let hole = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.get(hole..).unwrap_or_default()
}

/// What a file that begins with `head` is recognised by: a hash of its first line, or of the line's first 4 KiB. None
/// while it has neither a whole line nor so many bytes, since what grows would change it.
pub fn fingerprint(head: &[u8]) -> Option<String> {
    let head = head.get(..FINGERPRINT_MAX).unwrap_or(head);
    let line = match head.iter().position(|byte| *byte == b'\n') {
        Some(end) => head.get(..=end)?,
        None if head.len() == FINGERPRINT_MAX => head,
        None => return None,
    };
    Some(FileIdentity::hash(line))
}

/// A moment as the time of a line: RFC 3339 with milliseconds. A plain file's own times are its text.
pub fn read_at_time(epoch_millis: u64) -> String {
    let seconds = timestamp(epoch_millis / 1000);
    let seconds = seconds.strip_suffix('Z').unwrap_or(&seconds);
    format!("{seconds}.{:03}Z", epoch_millis % 1000)
}

/// The place of a rotated file among its like, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// `x.log.3`: the higher, the older.
    Number(u64),
    /// `x.log-20261121` and the like, in milliseconds since the epoch: the higher, the newer.
    Date(u64),
}

impl Rotated {
    /// Reads the name of a file beside `current`. None for any other file, compressed ones too.
    pub fn parse(current: &str, name: &str) -> Option<Self> {
        let suffix = name.strip_prefix(current)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if let Some(number) = suffix.strip_prefix('.') {
            return digits(number).then(|| number.parse().ok().map(Self::Number))?;
        }
        let date = suffix.strip_prefix('-')?;
        let (day, time) = date.split_once('-').unwrap_or((date, ""));
        if !digits(day) || !(time.is_empty() || digits(time)) || (time.is_empty() && date.ends_with('-')) {
            return None;
        }
        match (day.len(), time.len()) {
            (8, 0 | 2 | 4 | 6) => calendar(day, time).map(Self::Date),
            (9..=11, 0) => day.parse::<u64>().ok().map(|seconds| Self::Date(seconds * 1000)),
            _ => None,
        }
    }
}

fn calendar(day: &str, time: &str) -> Option<u64> {
    let (year, month, day) = (day.get(..4)?, day.get(4..6)?, day.get(6..)?);
    let of = |at: usize| time.get(at..at + 2).unwrap_or("00");
    parse_timestamp_millis(&format!("{year}-{month}-{day}T{}:{}:{}Z", of(0), of(2), of(4)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(lines: &mut Lines, bytes: &[u8]) -> (Vec<String>, usize) {
        let mut batch = Batch::default();
        let decoded = lines.decode(bytes, "t", usize::MAX, &mut batch);
        let texts = batch.lines().map(|line| line.text.to_owned()).collect();
        (texts, decoded.consumed)
    }

    #[test]
    fn lines_end_with_a_line_feed_or_wait() {
        let mut lines = Lines::default();
        let (texts, consumed) = decode(&mut lines, b"a\r\n\nb\xffc\n\0\0\0d\nwaits\r");
        assert_eq!(texts, ["a", "", "b\u{fffd}c", "d"]);
        assert_eq!(consumed, 13);
        let mut batch = Batch::default();
        lines.end(b"waits", "t", &mut batch);
        assert_eq!(batch.last().unwrap().text, "waits");
    }

    #[test]
    fn a_line_without_end_is_cut_with_a_marker_at_a_character() {
        let mut lines = Lines::default();
        let piece = [b"x".as_slice(), "ü".repeat(LONG).as_bytes()].concat();
        let (texts, consumed) = decode(&mut lines, &piece[..piece.len() - 1]);
        assert_eq!((texts.len(), consumed), (0, piece.len() - 2));
        let rest = [&piece[consumed..], "ü".repeat(LONG).as_bytes(), b"\r\n"].concat();
        let (texts, _) = decode(&mut lines, &rest);
        let end = "ü [monopod: cut, 1 bytes missing]";
        assert!(texts[0].starts_with("xü") && !texts[0].contains('\u{fffd}'));
        // One `x` and 2 * 64 Ki characters of two bytes: the last one doesn't fit.
        assert!(
            texts[0].ends_with(&end.replace('1', "2")),
            "{}",
            &texts[0][MAX_LINE - 9..]
        );
    }

    #[test]
    fn a_hole_of_any_length_is_no_line() {
        let mut lines = Lines::default();
        let (texts, consumed) = decode(&mut lines, &[0; 2 * LONG]);
        assert_eq!((texts.len(), consumed, lines.partials().len()), (0, 2 * LONG, 0));
        assert_eq!(decode(&mut lines, b"\0after\n").0, ["after"]);
    }

    #[test]
    fn a_growing_line_does_not_change_the_fingerprint() {
        assert_eq!(fingerprint(b""), None);
        assert_eq!(fingerprint(b"begun"), None);
        assert_eq!(fingerprint(b"a\nb"), fingerprint(b"a\nc"));
        assert_ne!(fingerprint(b"a\n"), fingerprint(b"b\n"));
        let long = [b'x'; 5000];
        assert_eq!(fingerprint(&long[..4095]), None);
        let taken = fingerprint(&long[..4096]);
        assert!(taken.is_some());
        assert_eq!(fingerprint(&long), taken);
        assert_eq!(fingerprint(&[&long[..], b"\n"].concat()), taken);
    }

    #[test]
    fn knows_the_names_of_rotation() {
        let number = |number| Some(Rotated::Number(number));
        for (name, place) in [
            ("x.log.1", number(1)),
            ("x.log.12", number(12)),
            ("x.log-20261121", Some(Rotated::Date(1_795_219_200_000))),
            ("x.log-20261121-1530", Some(Rotated::Date(1_795_275_000_000))),
            ("x.log-1795219200", Some(Rotated::Date(1_795_219_200_000))),
            ("x.log", None),
            ("x.log.1.gz", None),
            ("x.log-20261121.xz", None),
            ("x.log-20269921", None),
            ("x.log-20261121-", None),
            ("x.log-old", None),
            ("x.log.", None),
            ("x.log.+1", None),
            ("y.log.1", None),
        ] {
            assert_eq!(Rotated::parse("x.log", name), place, "{name}");
        }
    }

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(read_at_time(1_795_219_200_007), "2026-11-21T00:00:00.007Z");
    }

    proptest! {
        #[test]
        fn any_cut_of_the_input_gives_the_same_lines(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..20), cut in 0usize..200,
            long in prop::option::of(0..20usize),
        ) {
            let mut texts = texts;
            if let Some(text) = long.and_then(|at| texts.get_mut(at)) {
                *text = [b"\xc3\xbc\r".repeat(LONG / 3), text.clone()].concat();
            }
            let bytes = texts.join(&b"\r\n"[..]);
            let cut = (cut * bytes.len() / 200).min(bytes.len());
            let (mut whole, mut parts) = (Batch::default(), Batch::default());
            let mut lines = Lines::default();
            let read = lines.decode(&bytes, "t", usize::MAX, &mut whole).consumed;
            lines.end(&bytes[read..], "t", &mut whole);
            let mut lines = Lines::default();
            let read = lines.decode(&bytes[..cut], "t", usize::MAX, &mut parts).consumed;
            let mut lines = Lines::new(lines.partials().to_vec());
            let more = lines.decode(&bytes[read..], "t", usize::MAX, &mut parts).consumed;
            lines.end(&bytes[read + more..], "t", &mut parts);
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn nothing_makes_it_fail(name in "x.log[-.0-9a-z]{0,20}", bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            Rotated::parse("x.log", &name);
            fingerprint(&bytes);
            let mut batch = Batch::default();
            prop_assert!(Lines::default().decode(&bytes, "t", 50, &mut batch).consumed <= bytes.len());
        }
    }
}
