//! What is wrong with a text that is no YAML, in words a person can act on.
//!
//! A scanner's complaint names the place where it gave up; the cause is often in a line beside it: a
//! tab, a no-break space, a template that nobody rendered. No message quotes the text.

use saphyr_parser::ScanError;

use super::super::problem::{Code, Place, Problem};
use super::Entry;

/// A scanner's complaint, with the likely cause where the lines around it show one.
pub(super) fn syntax(lines: &[&str], error: &ScanError, at: Place) -> Problem {
    let line = |number: usize| number.checked_sub(1).and_then(|index| lines.get(index)).copied();
    let place = |line, column| Place { line, column, ..at };
    let near = [at.line, at.line.saturating_sub(1), at.line + 1];
    for number in near {
        let Some(text) = line(number) else { continue };
        let indent: Vec<char> = text.chars().take_while(|c| c.is_whitespace()).collect();
        let found = |wanted: fn(&char) -> bool| {
            indent
                .iter()
                .position(wanted)
                .map(|index| place(number, index + 1))
        };
        if let Some(at) = found(|c| *c == '\t') {
            return Problem::error(Code::Tab, "a tab is used as indentation")
                .at(at)
                .help("indent with spaces");
        }
        if let Some(at) = found(|c| !c.is_ascii()) {
            return no_break_space(at);
        }
        if let Some(index) = text.find("{{") {
            let column = text.chars().count() - text.get(index..).map_or(0, |rest| rest.chars().count()) + 1;
            return template(place(number, column));
        }
    }
    if error.info().contains("recursion limit") {
        return too_deep(inside(lines, at));
    }
    if error.info().contains("unknown anchor") {
        return Problem::error(Code::Alias, "this alias refers to an anchor that does not exist").at(at);
    }
    // The one message of the scanner that quotes the text.
    let info = if error.info().starts_with("unexpected character") {
        "no value can start with this character; put it in quotes"
    } else {
        error.info()
    };
    let is_last = at.line >= lines.len();
    let problem = Problem::error(Code::Syntax, format!("the text is not YAML: {info}")).at(inside(lines, at));
    if is_last {
        problem.help("the text may be cut off: close what is open above")
    } else {
        problem.help("look at the lines above too: a quote or a bracket that is not closed, an indentation that is off")
    }
}

/// The scanner notices what is missing only behind the last line; people look at the line itself.
fn inside(lines: &[&str], at: Place) -> Place {
    match lines.last() {
        Some(last) if at.line > lines.len() => Place {
            line: lines.len(),
            column: last.chars().count() + 1,
            ..at
        },
        _ => at,
    }
}

pub(super) fn too_deep(at: Place) -> Problem {
    Problem::error(Code::Limit, "values are nested more deeply than monopod reads").at(at)
}

pub(super) fn template(at: Place) -> Problem {
    Problem::error(Code::Template, "`{{` belongs to a template that was not expanded")
        .at(at)
        .help("render the template before the text becomes user data; put the value in quotes if it is meant as it stands")
}

pub(super) fn no_break_space(at: Place) -> Problem {
    Problem::error(Code::NoBreakSpace, "a no-break space is used as indentation")
        .at(at)
        .help("replace it by ordinary spaces; it often comes from copying out of a web page")
}

pub(super) fn duplicate(entry: &Entry, earlier: &Entry, path: String) -> Problem {
    let (first, last) = (earlier.place.line, entry.place.line);
    let message = format!(
        "`{}` stands twice, in line {first} and in line {last}; line {last} counts",
        entry.name
    );
    Problem::warning(Code::DuplicateKey, message)
        .at(entry.place)
        .key(path)
        .help(format!("remove line {first}"))
}
