//! The engine's json-file records, joined to lines.
//!
//! A record is `{"log":"text\n","stream":"stdout","time":"…"}` and a line feed. The engine cuts a line at 16 KiB:
//! all but its last record have no `\n` at the end of `log`. Both streams share the file, so records of two cut
//! lines can alternate.

use std::borrow::Cow;

use serde::Deserialize;

use super::batch::{Batch, Line, Stream};
use super::cursor::Partial;

/// Lines are cut at this many bytes. It bounds what a line that never ends can take of our memory.
pub const MAX_LINE: usize = 256 * 1024;

/// Nothing inside a JSON string can look like this: a quote in there has a backslash before it.
const RECORD_START: &[u8] = b"{\"log\":\"";

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

/// What became of some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes of whole records: what the position moves by.
    pub consumed: usize,
    /// Records that could not be read.
    pub garbage: u64,
}

/// Joins records to lines, keeping the beginnings of lines that aren't whole yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joiner {
    partials: Vec<Partial>,
}

impl Joiner {
    /// Goes on with the beginnings a cursor has kept.
    pub fn new(partials: Vec<Partial>) -> Self {
        Self { partials }
    }

    /// The beginnings so far, to be kept with the position.
    pub fn partials(&self) -> &[Partial] {
        &self.partials
    }

    /// Takes every whole record of `bytes`, which begin at the start of a record. A torn last record is left for
    /// the next call. Stops early once the batch has `limit` bytes.
    pub fn decode(&mut self, bytes: &[u8], limit: usize, batch: &mut Batch) -> Decoded {
        let mut decoded = Decoded::default();
        for record in bytes.split_inclusive(|byte| *byte == b'\n') {
            if record.last() != Some(&b'\n') || batch.bytes() >= limit {
                break;
            }
            decoded.consumed += record.len();
            decoded.garbage += self.record(record, batch);
        }
        decoded
    }

    /// The lines that have begun, as lines: nothing will end them any more.
    pub fn flush(&mut self, batch: &mut Batch) {
        for partial in self.partials.drain(..) {
            batch.push(partial.finish().line());
        }
    }

    /// Returns how much of it was garbage, 0 or 1.
    fn record(&mut self, bytes: &[u8], batch: &mut Batch) -> u64 {
        if let Ok(record) = serde_json::from_slice::<Record<'_>>(bytes) {
            self.take(&record, batch);
            return 0;
        }
        // After a full disk or a dead engine a record can be cut and the next one written behind it.
        if let Some(record) = last_start(bytes).and_then(|at| bytes.get(at..)).and_then(parse) {
            self.take(&record, batch);
        }
        1
    }

    fn take(&mut self, record: &Record<'_>, batch: &mut Batch) {
        let stream = if record.stream == "stderr" {
            Stream::Stderr
        } else {
            Stream::Stdout
        };
        let began = self.partials.iter().position(|partial| partial.stream == stream);
        match (record.log.strip_suffix('\n'), began) {
            (Some(text), None) if text.len() <= MAX_LINE => {
                batch.push(Line {
                    time: &record.time,
                    stream,
                    text,
                });
            }
            (Some(text), began) => {
                let mut partial = match began {
                    Some(at) => self.partials.swap_remove(at),
                    None => Partial::new(stream, &record.time),
                };
                partial.push(text);
                batch.push(partial.finish().line());
            }
            (None, Some(at)) => {
                if let Some(partial) = self.partials.get_mut(at) {
                    partial.push(&record.log);
                }
            }
            (None, None) => {
                let mut partial = Partial::new(stream, &record.time);
                partial.push(&record.log);
                self.partials.push(partial);
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Record<'_>> {
    serde_json::from_slice(bytes).ok()
}

/// The last place, but not the first byte, where a record begins.
fn last_start(bytes: &[u8]) -> Option<usize> {
    let at = bytes
        .windows(RECORD_START.len())
        .rposition(|window| window == RECORD_START)?;
    (at > 0).then_some(at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(log: &str, stream: &str) -> String {
        format!(
            "{}\n",
            serde_json::json!({"log": log, "stream": stream, "time": "2026-01-02T03:04:05.6Z"})
        )
    }

    fn decode(joiner: &mut Joiner, bytes: &[u8]) -> (Vec<(Stream, String)>, Decoded) {
        let mut batch = Batch::default();
        let decoded = joiner.decode(bytes, usize::MAX, &mut batch);
        (
            batch
                .lines()
                .map(|line| (line.stream, line.text.to_owned()))
                .collect(),
            decoded,
        )
    }

    #[test]
    fn a_torn_record_waits() {
        let whole = record("one\n", "stdout");
        let bytes = [whole.as_bytes(), &record("two\n", "stdout").as_bytes()[..20]].concat();
        let (lines, decoded) = decode(&mut Joiner::default(), &bytes);
        assert_eq!(lines, [(Stream::Stdout, "one".to_owned())]);
        assert_eq!(
            decoded,
            Decoded {
                consumed: whole.len(),
                garbage: 0
            }
        );
    }

    #[test]
    fn joins_cut_lines_of_two_streams() {
        let bytes = [
            ("a", "stdout"),
            ("x", "stderr"),
            ("b", "stdout"),
            ("y\n", "stderr"),
            ("c\n", "stdout"),
        ]
        .map(|(log, stream)| record(log, stream))
        .concat();
        let mut joiner = Joiner::default();
        let (lines, _) = decode(&mut joiner, bytes.as_bytes());
        assert_eq!(
            lines,
            [
                (Stream::Stderr, "xy".to_owned()),
                (Stream::Stdout, "abc".to_owned())
            ]
        );
        assert!(joiner.partials().is_empty());
    }

    #[test]
    fn garbage_is_counted_and_what_follows_in_the_same_record_is_saved() {
        let good = record("good\n", "stderr");
        let bytes = format!("not json\n{{\"log\":\"cut of{good}{good}");
        let (lines, decoded) = decode(&mut Joiner::default(), bytes.as_bytes());
        assert_eq!(
            lines,
            [
                (Stream::Stderr, "good".to_owned()),
                (Stream::Stderr, "good".to_owned())
            ]
        );
        assert_eq!(
            decoded,
            Decoded {
                consumed: bytes.len(),
                garbage: 2
            }
        );
    }

    #[test]
    fn a_line_without_end_is_cut_with_a_marker_at_a_character() {
        let mut joiner = Joiner::default();
        let piece = record(&"ü".repeat(8 * 1024 - 1), "stdout").repeat(40);
        let (lines, _) = decode(&mut joiner, piece.as_bytes());
        assert!(lines.is_empty());
        assert!(joiner.partials()[0].line().text.len() <= MAX_LINE);
        let (lines, _) = decode(&mut joiner, record("end\n", "stdout").as_bytes());
        let missing = 40 * (16 * 1024 - 2) + "end".len() - MAX_LINE;
        assert!(
            lines[0]
                .1
                .ends_with(&format!("ü [monopod: cut, {missing} bytes missing]"))
        );
    }

    #[test]
    fn stops_at_the_limit_between_records() {
        let bytes = record("0123456789\n", "stdout").repeat(10);
        let mut batch = Batch::default();
        let decoded = Joiner::default().decode(bytes.as_bytes(), 60, &mut batch);
        assert_eq!(batch.len(), 2);
        assert_eq!(decoded.consumed, bytes.len() / 5);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_input_gives_the_same_lines(
            texts in prop::collection::vec("[a-z\"\\\\\u{1}ü]{0,12}\n?", 0..20),
            cut in 0usize..400,
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| record(text, "stdout").into_bytes()).collect();
            let mut whole = Batch::default();
            Joiner::default().decode(&bytes, usize::MAX, &mut whole);
            let mut joiner = Joiner::default();
            let mut parts = Batch::default();
            let cut = cut.min(bytes.len());
            let first = joiner.decode(&bytes[..cut], usize::MAX, &mut parts);
            let mut joiner = Joiner::new(joiner.partials().to_vec());
            joiner.decode(&bytes[first.consumed..], usize::MAX, &mut parts);
            prop_assert_eq!(whole, parts);
        }

        #[test]
        fn nothing_makes_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut batch = Batch::default();
            let decoded = Joiner::default().decode(&bytes, usize::MAX, &mut batch);
            prop_assert!(decoded.consumed <= bytes.len());
        }
    }
}
