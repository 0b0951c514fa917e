//! Where the values of a text stand, to the byte.
//!
//! The tree of [`super::super::yaml`] says what a text means: aliases are expanded and merge keys followed. Whoever changes
//! a text needs what is written, so this one is made of the parser's events as they come.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, StrInput};

/// A value as it is written.
#[derive(Debug)]
pub(super) struct Value {
    /// The first byte.
    pub(super) start: usize,
    /// The first byte behind it. The parser gives a block scalar's content, and any place for a value that isn't there.
    pub(super) end: usize,
    pub(super) anchored: bool,
    pub(super) tagged: bool,
    pub(super) what: What,
}

/// What a value is.
#[derive(Debug)]
pub(super) enum What {
    Scalar(Style),
    Seq,
    Map(Vec<Entry>),
    Alias,
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Not at all.
    Nothing,
    Plain,
    Single,
    Double,
    /// `|` or `>`.
    Block,
}

/// One key of a map, in the order of the text, as often as it stands there.
#[derive(Debug)]
pub(super) struct Entry {
    /// As it is written, unquoted.
    pub(super) key: String,
    pub(super) key_start: usize,
    pub(super) key_end: usize,
    pub(super) value: Value,
}

/// The places of all lines, to get from the parser's lines and columns to bytes.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let mut starts = vec![0];
        let mut bytes = text.bytes().enumerate().peekable();
        while let Some((at, byte)) = bytes.next() {
            match byte {
                b'\n' => starts.push(at + 1),
                // Of both together the second one ends the line.
                b'\r' if bytes.peek().is_none_or(|(_, next)| *next != b'\n') => starts.push(at + 1),
                _ => {}
            }
        }
        Self { text, starts }
    }

    fn byte(&self, mark: Marker) -> usize {
        let start = self
            .starts
            .get(mark.line().saturating_sub(1))
            .copied()
            .unwrap_or(self.text.len());
        let rest = self.text.get(start..).unwrap_or_default();
        rest.char_indices()
            .nth(mark.col())
            .map_or(self.text.len(), |(at, _)| start + at)
    }
}

/// A collection that is still open.
struct Frame {
    value: Value,
    key: Option<(String, usize, usize)>,
    is_map: bool,
    entries: Vec<Entry>,
}

/// The one document's value. The text was read before and is YAML; `None` when there is nothing in it.
pub(super) fn locate(text: &str) -> Option<Value> {
    let lines = Lines::of(text);
    let mut stack: Vec<Frame> = Vec::new();
    for event in Parser::new(StrInput::new(text)) {
        let (event, span) = event.ok()?;
        let (start, end) = (lines.byte(span.start), lines.byte(span.end));
        let value = |anchor: usize, tagged: bool, what: What| Value {
            start,
            end,
            anchored: anchor > 0,
            tagged,
            what,
        };
        let mut scalar = String::new();
        let done = match event {
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => continue,
            Event::Scalar(content, style, anchor, tag) => {
                scalar = content.into_owned();
                let style = match style {
                    ScalarStyle::Plain if scalar.is_empty() => Style::Nothing,
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                value(anchor, tag.is_some(), What::Scalar(style))
            }
            Event::Alias(_) => value(0, false, What::Alias),
            Event::SequenceStart(anchor, tag) => {
                stack.push(Frame::new(value(anchor, tag.is_some(), What::Seq), false));
                continue;
            }
            Event::MappingStart(anchor, tag) => {
                stack.push(Frame::new(
                    value(anchor, tag.is_some(), What::Map(Vec::new())),
                    true,
                ));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let mut frame = stack.pop()?;
                frame.value.end = end;
                if let What::Map(entries) = &mut frame.value.what {
                    *entries = frame.entries;
                }
                frame.value
            }
        };
        let Some(frame) = stack.last_mut() else {
            return Some(done);
        };
        frame.take(done, scalar);
    }
    None
}

impl Frame {
    fn new(value: Value, is_map: bool) -> Self {
        Self {
            value,
            key: None,
            is_map,
            entries: Vec::new(),
        }
    }

    fn take(&mut self, value: Value, scalar: String) {
        if !self.is_map {
            return;
        }
        match self.key.take() {
            None => self.key = Some((scalar, value.start, value.end)),
            Some((key, key_start, key_end)) => self.entries.push(Entry {
                key,
                key_start,
                key_end,
                value,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_are_written() {
        let text =
            "# ü\r\na: plain text # no\r\nb: {c: 'ü ''x', d: \"\\\"\"}\r\ne:\r\n  - 1\r\nf:  |\r\n  x\r\n";
        let Some(What::Map(entries)) = locate(text).map(|value| value.what) else {
            panic!("a map");
        };
        let written = |value: &Value| text.get(value.start..value.end).unwrap().to_owned();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["a", "b", "e", "f"]);
        assert_eq!(written(&entries[0].value), "plain text");
        let What::Map(inner) = &entries[1].value.what else {
            panic!("a map in it");
        };
        assert_eq!(written(&inner[0].value), "'ü ''x'");
        assert_eq!(written(&inner[1].value), "\"\\\"\"");
        assert!(matches!(entries[3].value.what, What::Scalar(Style::Block)));
    }
}
