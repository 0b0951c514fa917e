//! User data put together from a template's pieces, and the way back to them.
//!
//! Every piece brings the places of its characters, a hole the place of whoever fills it in. The result is read
//! as any user data; each problem then moves from its place in the text to the one in the template.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::problem::{Code, Place, Problem};
use super::super::yaml::{HOLE, HOLE_END};
use super::super::{On, Report, parse_with_holes, read};
use super::source::Placed;

const HEADER: &str = "#taupage-ami-config";

/// Far more than user data may have, and enough to be told so: pieces can be repeated without end.
const MAX_TEXT: usize = 256 * 1024;

/// What begins at a place of the text.
#[derive(Clone, Copy)]
struct Mark {
    /// In the text that was put together.
    at: Place,
    /// In the template.
    from: Place,
    /// Whether the columns after it run on alike.
    runs: bool,
}

/// A text in the making.
pub(super) struct Text {
    text: String,
    /// Where the next character goes.
    here: Place,
    marks: Vec<Mark>,
    holes: usize,
    /// What concerns the whole text stands there.
    whole: Place,
    after_return: bool,
}

impl Text {
    pub(super) fn new(whole: Place) -> Self {
        Self {
            text: String::new(),
            here: Place::new(1, 1),
            marks: Vec::new(),
            holes: 0,
            whole,
            after_return: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.text.len() > MAX_TEXT
    }

    pub(super) fn extend(&mut self, characters: &[Placed]) {
        for (c, place) in characters {
            self.push(*c, *place, true);
        }
    }

    /// What somebody fills in later; `place` is where the template says so.
    pub(super) fn hole(&mut self, place: Place) {
        self.holes += 1;
        self.push(HOLE, place, false);
        for digit in self.holes.to_string().chars() {
            self.push(digit, place, false);
        }
        self.push(HOLE_END, place, false);
    }

    fn push(&mut self, c: char, from: Place, runs: bool) {
        if self.is_full() {
            return;
        }
        let here = self.here;
        let continues = self.marks.last().is_some_and(|last| {
            let same_line = last.at.line == here.line && last.from.line == from.line;
            let column = if last.runs {
                last.from.column + (here.column - last.at.column.min(here.column))
            } else {
                last.from.column
            };
            same_line && last.runs == runs && column == from.column
        });
        if !continues {
            self.marks.push(Mark { at: here, from, runs });
        }
        self.text.push(c);
        // Two characters, one break.
        let broken = c == '\r' || (c == '\n' && !self.after_return);
        if broken {
            self.here = Place::new(here.line + 1, 1);
        } else if c != '\n' {
            self.here.column += 1;
        }
        self.after_return = c == '\r';
    }

    /// The place in the template.
    fn origin(&self, place: Place) -> Place {
        let index = self
            .marks
            .partition_point(|mark| (mark.at.line, mark.at.column) <= (place.line, place.column));
        let Some(mark) = index.checked_sub(1).and_then(|index| self.marks.get(index)) else {
            return self.whole;
        };
        if mark.runs && mark.at.line == place.line {
            Place::new(mark.from.line, mark.from.column + place.column - mark.at.column)
        } else {
            mark.from
        }
    }

    /// A script or a cloud-config: another machine's business.
    pub(super) fn is_foreign(&self) -> bool {
        is_foreign(&self.text)
    }

    /// Nothing but a hole.
    pub(super) fn is_hole(&self) -> bool {
        is_lone_hole(&self.text)
    }

    /// What the text is the Base64 of.
    pub(super) fn decoded(&self) -> Option<Vec<u8>> {
        decode(&self.text)
    }

    /// Whether there is a line for this key at the top level.
    pub(super) fn has_key(&self, key: &str) -> bool {
        self.text.lines().any(|line| {
            line.trim_start_matches(['"', '\''])
                .strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        })
    }

    /// Reads the text; every place in the report is one of the template.
    pub(super) fn check(&self, on: On<'_>) -> Report {
        let (text, mut lone) = self.with_header();
        let mut report = parse_with_holes(&text, on);
        if report.problems.iter().any(|problem| problem.code == Code::Syntax) {
            let (without, lines) = without_lone_holes(&text);
            let again = parse_with_holes(&without, on);
            if !lines.is_empty() && !again.problems.iter().any(|problem| problem.code == Code::Syntax) {
                report = again;
                lone.extend(lines);
            }
        }
        if !lone.is_empty() {
            // Which keys the lines bring, nobody knows yet.
            report
                .problems
                .retain(|problem| !matches!(problem.code, Code::Missing | Code::HealthCheck));
        }
        report.problems.extend(lone.into_iter().map(|line| {
            Problem::warning(
                Code::LinesFilledIn,
                "whole lines are filled in here, later: they cannot be checked, nor whether keys are missing",
            )
            .at(Place::new(line, 1))
            .help("fill in single values, so that a mistake is seen before a machine boots")
        }));
        report.problems.extend(second_header(&text));
        self.relocate(&mut report);
        report
    }

    /// If the first line is filled in later, it may be the header.
    fn with_header(&self) -> (String, Vec<usize>) {
        let blank = self.text.len() - self.text.trim_start().len();
        let (before, rest) = self.text.split_at_checked(blank).unwrap_or(("", &self.text));
        let first = rest.lines().next().unwrap_or_default();
        if !is_lone_hole(first) {
            return (self.text.clone(), Vec::new());
        }
        let line = before.matches('\n').count() + 1;
        (
            format!("{before}{HEADER}{}", rest.strip_prefix(first).unwrap_or_default()),
            vec![line],
        )
    }

    fn relocate(&self, report: &mut Report) {
        // What stands in the image's files stays there.
        let moved = |place: Place| {
            if place.source == 0 {
                self.origin(place)
            } else {
                place
            }
        };
        for problem in &mut report.problems {
            if problem.place.is_none_or(|place| place.source == 0) {
                self.rename_lines(problem);
            }
            problem.place = Some(problem.place.map_or(self.whole, moved));
            if let Some(related) = &mut problem.related {
                related.place = moved(related.place);
            }
        }
        report.problems.sort_by_key(|problem| problem.place);
        report.move_spans(|place| {
            let index = self
                .marks
                .partition_point(|mark| (mark.at.line, mark.at.column) <= (place.line, place.column));
            let mark = self.marks.get(index.checked_sub(1)?)?;
            (mark.runs && mark.at.line == place.line).then(|| self.origin(place))
        });
    }

    /// A few messages name lines, which have to be those of the template too.
    fn rename_lines(&self, problem: &mut Problem) {
        if problem.code != Code::DuplicateKey {
            return;
        }
        let mut lines = Vec::new();
        let message = self.lines_renamed(&problem.message, &mut lines);
        lines.dedup();
        if lines.len() == 1
            && let Some((start, _)) = problem.message.split_once(", in line ")
        {
            problem.message = format!("{start}; the last one counts");
            problem.help = Some("remove the first one".to_owned());
            return;
        }
        problem.message = message;
        problem.help = problem
            .help
            .take()
            .map(|help| self.lines_renamed(&help, &mut Vec::new()));
    }

    fn lines_renamed(&self, text: &str, lines: &mut Vec<usize>) -> String {
        let mut out = String::new();
        for (index, part) in text.split("line ").enumerate() {
            if index == 0 {
                out.push_str(part);
                continue;
            }
            out.push_str("line ");
            let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
            let (digits, rest) = part.split_at_checked(end).unwrap_or((part, ""));
            match digits.parse() {
                Ok(line) => {
                    let line = self.origin(Place::new(line, 1)).line;
                    lines.push(line);
                    // Writing to a string cannot fail.
                    let _infallible = write!(out, "{line}").is_ok();
                }
                Err(_) => out.push_str(digits),
            }
            out.push_str(rest);
        }
        out
    }
}

/// User data of which the template shows nothing but its Base64.
pub(super) fn check_opaque(bytes: &[u8], place: Place, on: On<'_>) -> Report {
    let text = super::super::Text {
        name: on.origin,
        bytes,
    };
    let mut report = read(text, on.image);
    let user_datas = |problem: &&mut Problem| problem.place.is_none_or(|place| place.source == 0);
    for problem in report.problems.iter_mut().filter(user_datas) {
        if let Some(inside) = problem.place {
            problem.message = format!(
                "{} (line {} of the decoded user data)",
                problem.message, inside.line
            );
        }
        problem.place = Some(place);
        problem.related = None;
    }
    report.move_spans(|_| None);
    report
}

pub(super) fn is_foreign(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(20).collect();
    let start = start.to_ascii_lowercase();
    [
        "#!",
        "#cloud-config",
        "#cloud-boothook",
        "#include",
        "<powershell>",
        "<script>",
    ]
    .iter()
    .any(|known| start.starts_with(known))
}

/// What the text is the Base64 of.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let compact: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    STANDARD.decode(compact).ok().filter(|bytes| !bytes.is_empty())
}

/// The lines of a text that hold nothing but one hole each, emptied.
fn without_lone_holes(text: &str) -> (String, Vec<usize>) {
    let mut lines = Vec::new();
    let mut out = String::with_capacity(text.len());
    for (index, line) in text.split_inclusive('\n').enumerate() {
        if is_lone_hole(line) {
            lines.push(index + 1);
            out.push('\n');
        } else {
            out.push_str(line);
        }
    }
    (out, lines)
}

fn is_lone_hole(line: &str) -> bool {
    line.trim()
        .strip_prefix(HOLE)
        .and_then(|rest| rest.strip_suffix(HOLE_END))
        .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Two texts were joined, or the header was added by hand where a tool adds it.
fn second_header(text: &str) -> Option<Problem> {
    let is_header = |line: &&str| {
        line.get(..HEADER.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(HEADER))
    };
    let (index, _) = text
        .lines()
        .enumerate()
        .filter(|(_, line)| is_header(line))
        .nth(1)?;
    Some(
        Problem::warning(
            Code::SecondHeader,
            "the header stands a second time, where it is only a comment",
        )
        .at(Place::new(index + 1, 1))
        .help("remove it; if this is a second file, only one of them can be the user data"),
    )
}

/// The errors and warnings of both, each once: branches of a condition share most of their text.
pub(super) fn merge(into: &mut Report, other: Report) {
    for problem in other.problems() {
        if !into.problems.contains(problem) {
            into.problems.push(problem.clone());
        }
    }
    into.problems.sort_by_key(|problem| problem.place);
    into.notify_cfn = into.notify_cfn.take().or(other.notify_cfn().cloned());
    into.absorb(other);
}
