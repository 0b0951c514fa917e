//! Lines on their way to a sink, in one piece of memory.

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The application's standard output.
    Stdout,
    /// The application's standard error.
    Stderr,
    /// Our own words, such as a gap marker.
    Monopod,
}

/// One line of the application, without its line feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// When the engine took it, as it wrote it: RFC 3339, UTC, nanoseconds.
    pub time: &'a str,
    /// Which stream it came by.
    pub stream: Stream,
    /// The text. The engine has already replaced bytes that are not UTF-8.
    pub text: &'a str,
}

/// Lines in the order they were written.
///
/// One arena instead of two strings a line: at 100,000 lines a second the allocator would cost more than the
/// parser, and its size is the batch's size in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    arena: String,
    spans: Vec<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    time: usize,
    text: usize,
    stream: Stream,
}

impl Batch {
    /// Adds a line at the end.
    pub fn push(&mut self, line: Line<'_>) {
        let start = self.arena.len();
        self.arena.push_str(line.time);
        self.arena.push_str(line.text);
        self.spans.push(Span {
            start,
            time: line.time.len(),
            text: line.text.len(),
            stream: line.stream,
        });
    }

    /// Adds all of another one at the end.
    pub fn append(&mut self, other: &Self) {
        for line in other.lines() {
            self.push(line);
        }
    }

    /// The lines.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        self.spans.iter().filter_map(|span| {
            let middle = span.start.checked_add(span.time)?;
            Some(Line {
                time: self.arena.get(span.start..middle)?,
                stream: span.stream,
                text: self.arena.get(middle..middle.checked_add(span.text)?)?,
            })
        })
    }

    /// The last line.
    pub fn last(&self) -> Option<Line<'_>> {
        // `lines` never filters in fact, so the last span is the last line.
        self.lines().nth(self.spans.len().checked_sub(1)?)
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of text and times.
    pub fn bytes(&self) -> usize {
        self.arena.len()
    }

    /// Empties it and keeps the memory for the next lines.
    pub fn clear(&mut self) {
        self.arena.clear();
        self.spans.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_was_put_in() {
        let lines = [
            Line {
                time: "t1",
                stream: Stream::Stdout,
                text: "a",
            },
            Line {
                time: "",
                stream: Stream::Stderr,
                text: "",
            },
            Line {
                time: "t3",
                stream: Stream::Monopod,
                text: "ü\u{fffd}",
            },
        ];
        let mut batch = Batch::default();
        for line in lines {
            batch.push(line);
        }
        assert_eq!(batch.lines().collect::<Vec<_>>(), lines);
        assert_eq!(batch.last(), Some(lines[2]));
        batch.clear();
        assert!(batch.is_empty());
        assert_eq!(batch.last(), None);
    }
}
