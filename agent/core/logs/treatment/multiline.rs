//! Lines joined to events: a stack trace leaves the machine in one piece.

use std::fmt;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::super::batch::{Line, Stream};
use super::super::record::MAX_LINE;
use super::json;

/// An event has as many lines at most.
const LINES_MOST: u32 = 500;

/// An event that has begun and not ended, to be kept with the position in the cursor.
///
/// Its text is as it was read: it is treated when it ends.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    stream: Stream,
    time: String,
    text: String,
    lines: u32,
}

impl Pending {
    /// Which stream it belongs to.
    pub fn stream(&self) -> Stream {
        self.stream
    }

    /// The time of its first line.
    pub fn time(&self) -> &str {
        &self.time
    }

    /// How many lines it has so far.
    pub fn lines(&self) -> u64 {
        self.lines.into()
    }

    /// Bytes of its lines so far.
    pub fn bytes(&self) -> u64 {
        // Without the line feeds that join them.
        (self.text.len() as u64).saturating_sub(self.lines().saturating_sub(1))
    }

    fn event(&self) -> Event<'_> {
        Event {
            line: Line {
                time: &self.time,
                stream: self.stream,
                text: &self.text,
            },
            lines: self.lines(),
            bytes: self.bytes(),
        }
    }

    fn add(&mut self, text: &str) {
        self.text.push('\n');
        self.text.push_str(text);
        self.lines = self.lines.saturating_add(1);
    }

    /// Takes the place of one that has ended, in its memory.
    fn begin_again(&mut self, line: &Line<'_>) {
        self.time.clear();
        self.time.push_str(line.time);
        self.text.clear();
        self.text.push_str(line.text);
        self.lines = 1;
    }
}

// Lines may hold anything, and these have not been treated yet.
impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending")
            .field("stream", &self.stream)
            .field("time", &self.time)
            .field("lines", &self.lines)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}

/// A line, or several that belong together.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    /// As it goes on.
    pub(super) line: Line<'a>,
    /// How many lines it was made of.
    pub(super) lines: u64,
    /// How many bytes they had.
    pub(super) bytes: u64,
}

impl<'a> From<Line<'a>> for Event<'a> {
    fn from(line: Line<'a>) -> Self {
        Self {
            line,
            lines: 1,
            bytes: line.text.len() as u64,
        }
    }
}

/// Joins lines, each stream's apart.
pub(super) struct Multiline {
    start: Option<Regex>,
    /// In the order they began.
    pending: Vec<Pending>,
}

impl Multiline {
    pub(super) fn new(start: Option<Regex>) -> Self {
        Self {
            start,
            pending: Vec::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.start.is_none() && self.pending.is_empty()
    }

    pub(super) fn resume(&mut self, pending: Vec<Pending>) {
        self.pending.extend(pending);
    }

    pub(super) fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// Ends what has begun.
    pub(super) fn flush(&mut self, mut emit: impl FnMut(Event<'_>)) {
        for pending in self.pending.drain(..) {
            emit(pending.event());
        }
    }

    /// Takes the next line; what ends by it comes out.
    pub(super) fn take(&mut self, line: Line<'_>, mut emit: impl FnMut(Event<'_>)) {
        let Some(start) = &self.start else {
            // A cursor has kept an event, and nothing is joined any more: no line ends it, so the first one does.
            self.flush(&mut emit);
            return emit(line.into());
        };
        if line.stream == Stream::Monopod {
            return emit(line.into());
        }
        if json::is_object(line.text) {
            self.end(line.stream, &mut emit);
            return emit(line.into());
        }
        if start.is_match(line.text) {
            let ended = self.end(line.stream, &mut emit);
            return self.begin(line, ended, emit);
        }
        let Some(pending) = self.pending.iter_mut().find(|one| one.stream == line.stream) else {
            return emit(line.into());
        };
        if !fits(pending.text.len(), line.text) {
            self.end(line.stream, &mut emit);
            return emit(line.into());
        }
        pending.add(line.text);
        if pending.lines >= LINES_MOST {
            self.end(line.stream, emit);
        }
    }

    fn begin(&mut self, line: Line<'_>, ended: Option<Pending>, mut emit: impl FnMut(Event<'_>)) {
        // Not even an empty line could be added.
        if !fits(line.text.len(), "") {
            return emit(line.into());
        }
        let mut pending = ended.unwrap_or_else(|| Pending {
            stream: line.stream,
            time: String::new(),
            text: String::new(),
            lines: 0,
        });
        pending.begin_again(&line);
        self.pending.push(pending);
    }

    /// Returns what has ended, for its memory.
    fn end(&mut self, stream: Stream, mut emit: impl FnMut(Event<'_>)) -> Option<Pending> {
        let at = self.pending.iter().position(|one| one.stream == stream)?;
        let ended = self.pending.remove(at);
        emit(ended.event());
        Some(ended)
    }
}

/// Whether a line can be added to an event of so many bytes.
fn fits(length: usize, line: &str) -> bool {
    length.saturating_add(line.len()) < MAX_LINE
}
