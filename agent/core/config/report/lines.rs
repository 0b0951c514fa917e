//! What may be seen of a line.
//!
//! Pieces that the tree knows are shown or hidden one by one; of a line without any (a continuation line, a text that is
//! no YAML) only its key is shown, and that only if it certainly is one: a key monopod knows, or one that a problem
//! names. Everything else, the lines of a private key among it, is `…`.

use std::ops::Range;

use super::render::printable;
use super::spans::Span;
use crate::config::keys;

/// Punctuation between keys and values, which is nobody's secret.
const PUNCTUATION: &str = " \t:,{}[]'\"-";
/// More of it in a row may be something else.
const LONGEST_GAP: usize = 4;

/// Of a longer line only the surroundings of the place are shown.
const LONGEST_LINE: usize = 160;

/// A line without its secrets, and where its pieces went.
pub(super) struct Line {
    pub(super) text: String,
    /// Columns that are cut off in front.
    cut: usize,
    /// For each column behind those: the byte in `text` where it is shown.
    columns: Vec<usize>,
    /// Pieces, counted alike.
    pieces: Vec<Range<usize>>,
}

impl Line {
    pub(super) fn new<'s>(
        line: &str,
        column: usize,
        spans: impl Iterator<Item = &'s Span>,
        named: &[&str],
    ) -> Self {
        let is_long = line.chars().nth(LONGEST_LINE).is_some();
        let cut = if is_long {
            column.saturating_sub(LONGEST_LINE / 2)
        } else {
            0
        };
        let chars: Vec<char> = line.chars().skip(cut).take(LONGEST_LINE).collect();
        let mut seen = vec![false; chars.len()];
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for (index, c) in chars.iter().enumerate() {
            if cut > 0 || !(c.is_whitespace() || *c == '-') {
                break;
            }
            show(&mut seen, index..index + 1);
        }
        for span in spans {
            let (start, end) = (span.place.column.saturating_sub(1), span.end.saturating_sub(1));
            if end <= cut || start >= cut + chars.len() {
                continue;
            }
            let range = start.saturating_sub(cut)..(end - cut).min(chars.len());
            if span.shown {
                show(&mut seen, range.clone());
            }
            pieces.push(range);
        }
        if pieces.is_empty()
            && cut == 0
            && let Some(key) = certain_key(&chars, named)
        {
            show(&mut seen, key.start..key.end + 1);
            pieces.push(key);
        }
        show_gaps(&chars, &mut seen, &pieces);
        let mut text = if cut > 0 { "…".to_owned() } else { String::new() };
        let mut columns = Vec::with_capacity(chars.len());
        let mut hidden = cut > 0;
        for (c, seen) in chars.iter().zip(&seen) {
            match (*seen, hidden) {
                (true, _) => {
                    hidden = false;
                    columns.push(text.len());
                    // A tab is one column.
                    text.push_str(&printable(&if c.is_whitespace() { ' ' } else { *c }.to_string()));
                }
                (false, false) => {
                    hidden = true;
                    columns.push(text.len());
                    text.push('…');
                }
                (false, true) => columns.push(text.len() - '…'.len_utf8()),
            }
        }
        let trimmed = text.trim_end().len();
        text.truncate(trimmed);
        // A problem may stand in the blanks that are gone now.
        for column in &mut columns {
            *column = (*column).min(text.len());
        }
        if !hidden && line.chars().nth(cut + LONGEST_LINE).is_some() {
            text.push('…');
        }
        Self {
            text,
            cut,
            columns,
            pieces,
        }
    }

    /// The column at which a column of the line as it was is shown.
    pub(super) fn column(&self, column: usize) -> usize {
        let start = self.carets(column).start;
        self.text.get(..start).map_or(0, |before| before.chars().count()) + 1
    }

    /// The bytes of `text` to underline for a problem at a column of the line as it was.
    pub(super) fn carets(&self, column: usize) -> Range<usize> {
        let index = column.saturating_sub(1).saturating_sub(self.cut);
        let piece = self
            .pieces
            .iter()
            .find(|piece| piece.start == index && !piece.is_empty());
        let piece = piece.or_else(|| self.pieces.iter().find(|piece| piece.contains(&index)));
        let piece = piece.cloned().unwrap_or(index..index + 1);
        let width = |at: usize| {
            self.text
                .get(at..)
                .and_then(|rest| rest.chars().next())
                .map_or(0, char::len_utf8)
        };
        match (
            self.columns.get(piece.start),
            self.columns.get(piece.end.saturating_sub(1)),
        ) {
            (Some(start), Some(last)) => *start..(*last + width(*last)).max(*start),
            _ => self.text.len()..self.text.len(),
        }
    }
}

fn show(seen: &mut [bool], range: Range<usize>) {
    seen.iter_mut()
        .take(range.end)
        .skip(range.start)
        .for_each(|one| *one = true);
}

/// Short runs of punctuation beside a piece that is shown.
fn show_gaps(chars: &[char], seen: &mut [bool], pieces: &[Range<usize>]) {
    let inside = |index: usize| pieces.iter().any(|piece| piece.contains(&index));
    let mut index = 0;
    while index < chars.len() {
        let end = (index..chars.len()).find(|at| inside(*at)).unwrap_or(chars.len());
        let all = chars.iter().take(end).skip(index);
        let harmless = end - index <= LONGEST_GAP && all.clone().all(|c| PUNCTUATION.contains(*c));
        if harmless {
            show(seen, index..end);
        }
        index = (end..chars.len()).find(|at| !inside(*at)).unwrap_or(chars.len());
    }
}

/// The key of a line that no tree knows.
fn certain_key(chars: &[char], named: &[&str]) -> Option<Range<usize>> {
    let start = chars.iter().position(|c| !(c.is_whitespace() || *c == '-'))?;
    let colon = chars
        .iter()
        .position(|c| *c == ':')
        .filter(|colon| *colon > start)?;
    let key: String = chars.iter().take(colon).skip(start).collect();
    let key = key.trim_end();
    is_certain(key.trim_matches(['"', '\'']), named).then(|| start..start + key.chars().count())
}

/// A key that a problem names or that monopod knows cannot be part of a secret.
fn is_certain(key: &str, named: &[&str]) -> bool {
    !key.is_empty()
        && (keys::fate(key).is_some()
            || named.iter().any(|path| {
                // A name may have dots of its own, so a segment is compared from every one on.
                path == &key || path.strip_suffix(key).is_some_and(|before| before.ends_with('.'))
            }))
}
