//! Lines without the secrets that are known: what a value was broken into, by its writer or by the engine, is looked
//! at together.
//!
//! A stream's lines are searched as one text, so a key over many lines, or base64 in columns, is found though no line
//! of it is a secret. Where a text ends in something that may become one, [`LineRedaction::redact`] says so; what was
//! passed on all the same is remembered, and the rest of it is hidden when it comes.

use std::ops::Range;

use zeroize::Zeroizing;

use super::batch::{Batch, Line, Stream};
use crate::redact::{MARK, Redactor};

/// So much of what was passed on is remembered where nothing known has begun: less of a value is not recognised.
const TAIL: usize = 64;
/// And so much where something has.
const TAIL_MOST: usize = 16 * 1024;

/// Whether lines may wait for those behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// They may.
    Some,
    /// They have to go now.
    None,
}

/// What became of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// They can be passed on.
    Done,
    /// They may end in the beginning of a secret: nothing is changed.
    Waits,
}

/// The end of what was passed on of each stream.
#[derive(Default)]
pub struct LineRedaction {
    stdout: Zeroizing<String>,
    stderr: Zeroizing<String>,
}

impl LineRedaction {
    /// Takes the secrets out of the lines, and remembers their end. Where the lines end in what may be the beginning of
    /// a secret and the rest may be waited for, it says so and changes nothing.
    pub fn redact(&mut self, redactor: &Redactor, batch: &mut Batch, patience: Patience) -> Redacted {
        let mut hidden: Vec<(usize, String)> = Vec::new();
        let mut tails = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let text = Text::new(self.tail(stream), batch, stream);
            if text.lines.is_empty() {
                continue;
            }
            let (found, begun) = redactor.search(&text.joined);
            if begun.is_some() && patience == Patience::Some {
                return Redacted::Waits;
            }
            hidden.extend(text.hide(&found));
            tails.push((stream, end_of(&text.joined, begun)));
        }
        for (stream, tail) in tails {
            *self.tail_mut(stream) = tail;
        }
        // Our own words are a line each, whatever is before them.
        for (number, line) in batch.lines().enumerate() {
            if line.stream == Stream::Monopod
                && let std::borrow::Cow::Owned(text) = redactor.redact(line.text)
            {
                hidden.push((number, text));
            }
        }
        if !hidden.is_empty() {
            replace(batch, hidden);
        }
        Redacted::Done
    }

    fn tail(&self, stream: Stream) -> &str {
        match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
            Stream::Monopod => "",
        }
    }

    fn tail_mut(&mut self, stream: Stream) -> &mut Zeroizing<String> {
        match stream {
            Stream::Stdout | Stream::Monopod => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }
}

impl std::fmt::Debug for LineRedaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LineRedaction")
    }
}

/// One stream's lines as a text.
struct Text {
    joined: Zeroizing<String>,
    /// The number of each line in the batch, and where it is.
    lines: Vec<(usize, Range<usize>)>,
}

impl Text {
    fn new(tail: &str, batch: &Batch, stream: Stream) -> Self {
        let mut joined = Zeroizing::new(String::with_capacity(
            tail.len() + 1 + batch.bytes() + batch.len(),
        ));
        joined.push_str(tail);
        let mut lines = Vec::new();
        for (number, line) in batch.lines().enumerate() {
            if line.stream == stream {
                joined.push('\n');
                let start = joined.len();
                joined.push_str(line.text);
                lines.push((number, start..joined.len()));
            }
        }
        Self { joined, lines }
    }

    /// The lines that change, as they are then.
    fn hide(&self, found: &[Range<usize>]) -> Vec<(usize, String)> {
        let mut changed = Vec::new();
        let mut rest = found;
        for (number, line) in &self.lines {
            // Both are in order: what ends before this line concerns no later one.
            let gone = rest.iter().take_while(|place| place.end <= line.start).count();
            rest = rest.get(gone..).unwrap_or_default();
            let here = rest.iter().take_while(|place| place.start < line.end);
            let mut out = String::new();
            let mut shown = line.start;
            for place in here {
                out.push_str(
                    self.joined
                        .get(shown..place.start.max(line.start))
                        .unwrap_or_default(),
                );
                out.push_str(MARK);
                shown = place.end.min(line.end);
            }
            if shown > line.start {
                out.push_str(self.joined.get(shown..line.end).unwrap_or_default());
                changed.push((*number, out));
            }
        }
        changed
    }
}

fn end_of(text: &str, begun: Option<usize>) -> Zeroizing<String> {
    let least = text.len().saturating_sub(TAIL);
    let from = begun
        .map_or(least, |begun| begun.min(least))
        .max(text.len().saturating_sub(TAIL_MOST));
    Zeroizing::new(
        text.get(text.floor_char_boundary(from)..)
            .unwrap_or_default()
            .to_owned(),
    )
}

fn replace(batch: &mut Batch, mut changed: Vec<(usize, String)>) {
    changed.sort_unstable_by_key(|(number, _)| *number);
    let mut changed = changed.into_iter().peekable();
    let mut out = Batch::default();
    for (number, line) in batch.lines().enumerate() {
        let text = changed.next_if(|(at, _)| *at == number).map(|(_, text)| text);
        out.push(Line {
            text: text.as_deref().unwrap_or(line.text),
            ..line
        });
    }
    *batch = out;
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn knowing(value: &str) -> Redactor {
        let mut redactor = Redactor::default();
        redactor.learn(&Secret::new(value.to_owned()));
        redactor
    }

    fn batch(lines: &[(Stream, &str)]) -> Batch {
        let mut batch = Batch::default();
        for (stream, text) in lines {
            batch.push(Line {
                time: "t",
                stream: *stream,
                text,
            });
        }
        batch
    }

    fn texts(batch: &Batch) -> Vec<&str> {
        batch.lines().map(|line| line.text).collect()
    }

    use Stream::{Monopod, Stderr, Stdout};

    #[test]
    fn each_line_of_a_secret_is_hidden_though_another_stream_comes_between() {
        let redactor = knowing("ab-1\ncd-2\nef-3");
        let mut lines = batch(&[
            (Stdout, "it is ab-1"),
            (Stderr, "ab-1 alone"),
            (Stdout, "cd-2"),
            (Monopod, "cd-2"),
            (Stdout, ""),
            (Stdout, "ef-3, said it"),
            (Stdout, "cd-2"),
        ]);
        LineRedaction::default().redact(&redactor, &mut lines, Patience::None);
        assert_eq!(
            texts(&lines),
            [
                "it is [redacted]",
                "ab-1 alone",
                "[redacted]",
                "cd-2",
                "",
                "[redacted], said it",
                "cd-2"
            ]
        );
        assert!(lines.lines().all(|line| line.time == "t"));
    }

    #[test]
    fn our_own_words_are_redacted_too() {
        let mut lines = batch(&[(Monopod, "the engine said hunter2-hunter2")]);
        LineRedaction::default().redact(&knowing("hunter2-hunter2"), &mut lines, Patience::None);
        assert_eq!(texts(&lines), ["the engine said [redacted]"]);
    }

    #[test]
    fn nothing_is_changed_where_nothing_is_known() {
        let mut lines = batch(&[(Stdout, "hunter2"), (Stdout, "-hunter3")]);
        let before = lines.clone();
        LineRedaction::default().redact(&knowing("hunter2-hunter2"), &mut lines, Patience::None);
        assert_eq!(lines, before);
    }

    #[test]
    fn what_is_not_whole_yet_is_waited_for() {
        let redactor = knowing("first-line\nsecond-line\nthird-line");
        let waits = |mut lines| {
            let become_of = LineRedaction::default().redact(&redactor, &mut lines, Patience::Some);
            become_of == Redacted::Waits
        };
        assert!(waits(batch(&[(Stdout, "x"), (Stdout, "first-line")])));
        assert!(waits(batch(&[(Stdout, "first-line"), (Stderr, "other")])));
        assert!(!waits(batch(&[(Stdout, "first-line"), (Stdout, "other")])));
        assert!(!waits(Batch::default()));
    }

    proptest! {
        /// However the lines come, the secret is in none of them; only a beginning too short to be known may be.
        #[test]
        fn a_secret_in_pieces_is_found(bytes in prop::collection::vec(any::<u8>(), 60..200), cut in 1_usize..6, width in 20_usize..77) {
            let value: String = bytes.iter().map(|byte| char::from(b'!' + byte % 94)).collect();
            let redactor = knowing(&value);
            let encoded = STANDARD.encode(&value);
            let lines: Vec<(Stream, &str)> = encoded
                .as_bytes()
                .chunks(width)
                .map(|line| (Stdout, std::str::from_utf8(line).unwrap()))
                .collect();
            let mut redaction = LineRedaction::default();
            let (first, second) = lines.split_at(cut.min(lines.len()));
            let mut begin = batch(first);
            let before = begin.clone();
            let waits = redaction.redact(&redactor, &mut begin.clone(), Patience::Some);
            // What is left of it may be too short to matter: then it is whole already.
            let left: usize = second.iter().map(|(_, line)| line.len()).sum();
            prop_assert!(left <= 4 || waits == Redacted::Waits);
            prop_assert_eq!(&begin, &before);
            // Whoever had no time to wait:
            redaction.redact(&redactor, &mut begin, Patience::None);
            let mut rest = batch(second);
            redaction.redact(&redactor, &mut rest, Patience::None);
            let shown: usize = texts(&rest).iter().map(|line| line.replace(MARK, "").len()).sum();
            prop_assert!(shown <= 4, "{:?}", texts(&rest));
            // Whoever had:
            let mut whole = batch(&lines);
            LineRedaction::default().redact(&redactor, &mut whole, Patience::None);
            let shown: usize = texts(&whole).iter().map(|line| line.replace(MARK, "").len()).sum();
            prop_assert!(shown <= 4, "{:?}", texts(&whole));
        }
    }
}
