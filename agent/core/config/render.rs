//! Problems as text for people, with the line they are about.
//!
//! ```text
//! warning[MP0201]: nobody knows the key `heath_check_path`
//!   --> user data:7:1
//!    |
//!  7 | heath_check_path: …
//!    | ^^^^^^^^^^^^^^^^
//!    = help: did you mean `health_check_path`?
//! ```
//!
//! Invariant: no value is ever shown, for any value may be a secret. Of a line only its key is
//! shown, and that only if it certainly is one: a key monopod knows, or one that a problem names.
//! Everything else, continuation lines of a private key among it, is `…`.

use std::fmt::Write as _;

use super::keys;
use super::problem::{Place, Problem};
use crate::text;

/// Renders problems in their order, each ending with an empty line.
pub fn render(problems: &[Problem], origin: &str, source: &[u8]) -> String {
    let source = String::from_utf8_lossy(source);
    let lines: Vec<&str> = text::lines(&source).collect();
    let named: Vec<&str> = problems
        .iter()
        .filter_map(|problem| problem.key.as_deref())
        .collect();
    let mut out = String::new();
    for problem in problems {
        // Writing to a string cannot fail.
        let _infallible = one(&mut out, problem, origin, &lines, &named).is_ok();
    }
    out
}

fn one(
    out: &mut String,
    problem: &Problem,
    origin: &str,
    lines: &[&str],
    named: &[&str],
) -> std::fmt::Result {
    writeln!(
        out,
        "{}[{}]: {}",
        problem.severity,
        problem.code,
        printable(&problem.message)
    )?;
    let number = problem
        .place
        .map(|place| place.line.to_string())
        .unwrap_or_default();
    let margin = " ".repeat(number.len());
    match problem.place {
        Some(place) => {
            writeln!(out, "{margin}--> {origin}:{place}")?;
            if let Some(line) = place.line.checked_sub(1).and_then(|index| lines.get(index)) {
                let shown = Shown::of(line, named);
                writeln!(out, "{margin} |")?;
                writeln!(out, "{number} | {}", shown.text)?;
                writeln!(out, "{margin} | {}", shown.carets(place))?;
            }
        }
        None => writeln!(out, " --> {origin}")?,
    }
    if let Some(help) = &problem.help {
        writeln!(out, "{margin} = help: {}", printable(help))?;
    }
    writeln!(out)
}

/// What may be seen of a line.
struct Shown {
    text: String,
    /// First and last column of the key, counted from 1, the latter exclusive.
    key: Option<(usize, usize)>,
}

impl Shown {
    fn of(line: &str, named: &[&str]) -> Self {
        let is_indent = |c: char| c.is_whitespace() || c == '-';
        let rest = line.trim_start_matches(is_indent);
        let indent: String = line
            .chars()
            .take_while(|c| is_indent(*c))
            .map(|c| if c == '-' { '-' } else { ' ' })
            .collect();
        let key = rest
            .split_once(':')
            .map(|(key, value)| (key.trim_end(), value.trim()));
        match key.filter(|(key, _)| is_certain(key.trim_matches(['"', '\'']), named)) {
            Some((key, value)) => {
                let start = indent.chars().count() + 1;
                let ellipsis = if value.is_empty() { "" } else { " …" };
                Self {
                    text: printable(&format!("{indent}{key}:{ellipsis}")),
                    key: Some((start, start + key.chars().count())),
                }
            }
            None => Self {
                text: format!("{indent}…"),
                key: None,
            },
        }
    }

    fn carets(&self, place: Place) -> String {
        match self.key {
            Some((start, end)) if (start..end).contains(&place.column) => {
                format!("{}{}", " ".repeat(start - 1), "^".repeat(end - start))
            }
            _ => {
                let last = self.text.chars().count().max(1);
                format!("{}^", " ".repeat(place.column.min(last).saturating_sub(1)))
            }
        }
    }
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

/// A key can hold an escape sequence, which a terminal would obey.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::problem::Code;
    use super::*;

    fn shown(problem: Problem, source: &str) -> String {
        render(&[problem], "user data", source.as_bytes())
    }

    #[test]
    fn a_key_is_underlined_and_its_value_hidden() {
        let problem = Problem::warning(Code::UnknownKey, "nobody knows the key `heath`")
            .at(Place::new(2, 1))
            .key("heath")
            .help("did you mean `health`?");
        assert_eq!(
            shown(problem, "#\nheath: hunter2\n"),
            "warning[MP0201]: nobody knows the key `heath`\n --> user data:2:1\n  |\n2 | heath: …\n  | ^^^^^\n  = help: did you mean `health`?\n\n"
        );
    }

    #[test]
    fn a_caret_in_a_value_points_at_the_ellipsis() {
        let problem = Problem::error(Code::BadValue, "no")
            .at(Place::new(1, 40))
            .key("environment.A.B");
        assert_eq!(
            shown(problem, "  A.B: hunter2 hunter2 hunter2 hunter2"),
            "error[MP0303]: no\n --> user data:1:40\n  |\n1 |   A.B: …\n  |        ^\n\n"
        );
    }

    #[test]
    fn no_line_shows_what_could_be_a_secret() {
        for line in [
            "hunter2",
            "  hunter2: x",
            "hunter2 : y",
            "- hunter2:",
            "{PASSWORD: hunter2}",
            "auth: hunter2",
            "\thunter2",
            "PASSWORD: 'hunter2",
            "environment: {A: hunter2}",
            "\"hunter2\": 1",
            "'source: hunter2",
        ] {
            for column in [1, 3, 10, 99] {
                let problem = Problem::error(Code::Syntax, "no").at(Place::new(1, column));
                let text = shown(problem, line);
                assert!(!text.contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn places_outside_the_text_and_control_characters_do_no_harm() {
        let text = shown(Problem::error(Code::Empty, "a\u{1b}[31m").key("\u{1b}"), "");
        assert!(!text.contains('\u{1b}'));
        let _ = shown(Problem::error(Code::Empty, "").at(Place::new(0, 0)), "x");
        let _ = shown(Problem::error(Code::Empty, "").at(Place::new(9, 9)), "x");
        let _ = shown(Problem::error(Code::Empty, "").at(Place::new(1, 0)), "\u{1b}: x");
    }
}
