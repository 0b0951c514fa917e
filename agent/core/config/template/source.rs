//! The template's own text: where each character of a value stands.
//!
//! The loader gives a value's text and where the value begins. User data inside that value needs the place of
//! every character, through block indentation, folding and escapes. So the source is walked again beside the
//! text: what is not in the text (indentation, line continuations) is passed over. If the two ever part, the
//! rest of the value stands where they did: a place may be coarse, and is never outside the value's source.

use super::super::problem::Place;
use super::super::yaml::{Node, Scalar};

/// A character of a value and where it stands.
pub(super) type Placed = (char, Place);

/// The characters of a text, with the index at which each line begins.
pub(super) struct Source {
    chars: Vec<char>,
    lines: Vec<usize>,
}

impl Source {
    pub(super) fn new(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let mut lines = vec![0];
        let next = chars.iter().skip(1).map(Some).chain([None]);
        for (index, (c, next)) in chars.iter().zip(next).enumerate() {
            if *c == '\n' || (*c == '\r' && next != Some(&'\n')) {
                lines.push(index + 1);
            }
        }
        Self { chars, lines }
    }

    /// The characters of `scalar`, which was read at `node`.
    pub(super) fn characters(&self, node: &Node, scalar: &Scalar) -> Vec<Placed> {
        let mut walk = self.walk(node.place);
        let style = walk.open();
        scalar
            .text
            .chars()
            .map(|wanted| (wanted, walk.find(wanted, style)))
            .collect()
    }

    /// The whole text.
    pub(super) fn all(&self) -> Vec<Placed> {
        let mut walk = self.walk(Place::new(1, 1));
        let mut all = Vec::with_capacity(self.chars.len());
        while let Some(c) = walk.peek() {
            all.push((c, walk.place));
            walk.advance();
        }
        all
    }

    fn walk(&self, place: Place) -> Walk<'_> {
        let line = place.line.max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or(self.chars.len());
        Walk {
            source: self,
            index: start + place.column.max(1) - 1,
            place: Place::new(line, place.column.max(1)),
        }
    }
}

/// How a scalar is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Plain or a block: the characters stand for themselves.
    Verbatim,
    Single,
    Double,
}

struct Walk<'s> {
    source: &'s Source,
    index: usize,
    place: Place,
}

impl Walk<'_> {
    fn peek(&self) -> Option<char> {
        self.at(0)
    }

    fn at(&self, ahead: usize) -> Option<char> {
        self.source.chars.get(self.index + ahead).copied()
    }

    fn advance(&mut self) {
        self.index += 1;
        if self.source.lines.get(self.place.line) == Some(&self.index) {
            self.place = Place::new(self.place.line + 1, 1);
        } else {
            self.place.column += 1;
        }
    }

    fn pass(&mut self, unwanted: impl Fn(char) -> bool) {
        while self.peek().is_some_and(&unwanted) {
            self.advance();
        }
    }

    /// Passes over tag, anchor and the indicator of the style.
    fn open(&mut self) -> Style {
        loop {
            match self.peek() {
                Some('!' | '&') => self.pass(|c| !c.is_whitespace()),
                Some('#') => self.pass(|c| !matches!(c, '\n' | '\r')),
                Some(c) if c.is_whitespace() => self.advance(),
                Some('|' | '>') => {
                    self.pass(|c| !matches!(c, '\n' | '\r'));
                    // The break that ends the indicator's line is not part of the value.
                    if self.peek() == Some('\r') && self.at(1) == Some('\n') {
                        self.advance();
                    }
                    self.advance();
                    return Style::Verbatim;
                }
                Some('"') => {
                    self.advance();
                    return Style::Double;
                }
                Some('\'') => {
                    self.advance();
                    return Style::Single;
                }
                Some(_) | None => return Style::Verbatim,
            }
        }
    }

    /// Where `wanted` stands, which is the next character of the value.
    fn find(&mut self, wanted: char, style: Style) -> Place {
        while let Some(c) = self.peek() {
            let place = self.place;
            if c == '\\' && style == Style::Double {
                let (value, length) = self.escape();
                if value.is_some_and(|value| value != wanted) {
                    return place;
                }
                for _ in 0..length {
                    self.advance();
                }
                if value.is_some() {
                    return place;
                }
                // The indentation of the line that continues is not part of the value.
                self.pass(|c| matches!(c, ' ' | '\t'));
            } else if c == '\'' && style == Style::Single && self.at(1) == Some('\'') && wanted == '\'' {
                self.advance();
                self.advance();
                return place;
            } else if c == wanted || (matches!(c, '\n' | '\r') && matches!(wanted, ' ' | '\n')) {
                if c == '\r' && self.at(1) == Some('\n') {
                    self.advance();
                }
                self.advance();
                return place;
            } else if c.is_whitespace() {
                self.advance();
            } else {
                return place;
            }
        }
        self.place
    }

    /// What an escape stands for and how long it is; an escaped line break stands for nothing.
    fn escape(&self) -> (Option<char>, usize) {
        let simple = |c| (Some(c), 2);
        match self.at(1) {
            Some('n') => simple('\n'),
            Some('t' | '\t') => simple('\t'),
            Some('r') => simple('\r'),
            Some('0') => simple('\0'),
            Some('a') => simple('\u{7}'),
            Some('b') => simple('\u{8}'),
            Some('v') => simple('\u{b}'),
            Some('f') => simple('\u{c}'),
            Some('e') => simple('\u{1b}'),
            Some('N') => simple('\u{85}'),
            Some('_') => simple('\u{a0}'),
            Some('L') => simple('\u{2028}'),
            Some('P') => simple('\u{2029}'),
            Some('x') => self.code(2),
            Some('u') => self.code(4),
            Some('U') => self.code(8),
            Some('\r') if self.at(2) == Some('\n') => (None, 3),
            Some('\r' | '\n') => (None, 2),
            Some(c) => simple(c),
            None => (None, 1),
        }
    }

    fn code(&self, digits: usize) -> (Option<char>, usize) {
        let value = (2..2 + digits).try_fold(0_u32, |value, ahead| {
            Some((value << 4) | self.at(ahead)?.to_digit(16)?)
        });
        (value.and_then(char::from_u32), 2 + digits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::yaml::{self, Kind, Tags};
    use super::*;

    /// Every character that is no blank stands where the source has it.
    fn placed(text: &str) -> Vec<Placed> {
        let mut problems = Vec::new();
        let root = yaml::load(text, 0, Tags::Keep, &mut problems).unwrap().unwrap();
        let Kind::Map(entries) = root.kind else { panic!() };
        let Kind::Scalar(scalar) = &entries[0].value.kind else {
            panic!()
        };
        let found = Source::new(text).characters(&entries[0].value, scalar);
        let back: String = found.iter().map(|(c, _)| c).collect();
        assert_eq!(back, scalar.text);
        found
    }

    fn at(text: &str, wanted: char) -> (usize, usize) {
        let place = placed(text).iter().find(|(c, _)| *c == wanted).unwrap().1;
        (place.line, place.column)
    }

    #[test]
    fn every_style_of_a_scalar() {
        for (text, place) in [
            ("a: xyZ", (1, 6)),
            ("a: x\n  y\n  Z", (3, 3)),
            ("a: |\n  x\n\n   y\n    Z\n", (5, 5)),
            ("a: |\r\n  x\r\n\r\n   y\r\n    Z\r\n", (5, 5)),
            ("a: !Sub |2-  # why\n    x\n  Z\n", (3, 3)),
            ("a: !Sub\n  &b >\n  x\n  y\n\n  Z\n", (6, 3)),
            ("a: 'x''y\n\n   Z'", (3, 4)),
            ("a: \"x\\n\\u00fc\\\n   \\ \\\"Z\"", (2, 8)),
            ("a: !Sub \"x\\nZ\"", (1, 13)),
            ("{\"a\": \"x\\/\\tZ\"}", (1, 13)),
        ] {
            assert_eq!(at(text, 'Z'), place, "{text:?}");
        }
    }
}
