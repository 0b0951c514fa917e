//! The users' patterns, compiled.

use regex::{Error, Regex, RegexBuilder};

/// What a compiled pattern may take: a repetition of repetitions is refused when the user data is read, not felt
/// on a machine.
const COMPILED_MOST: usize = 1 << 20;
/// What is learned of a pattern while lines are searched, for each direction. It is thrown away and learned again
/// where that is not enough.
const LEARNED_MOST: usize = 512 << 10;

/// A pattern that can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern of `{pattern_of}` cannot be used: {reason}")]
pub struct PatternError {
    /// `multiline`, `exclude`, `sampling` or `redact`.
    pub pattern_of: &'static str,
    /// What is wrong with it, and what to write instead. The pattern itself is not in it.
    pub reason: String,
}

/// Compiles a pattern, or says in one line why it can't be used.
///
/// `^` and `$` are the beginning and the end of every line of an event, as in Ruby, which fluentd's filters are
/// written for. On a line alone that is the same as in Python, which Scalyr's rules are written for.
///
/// `\b` is Unicode's, and by far the dearest thing to look for in lines that are not ASCII; `(?-u:\b)` costs nothing.
pub fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .multi_line(true)
        .size_limit(COMPILED_MOST)
        .dfa_size_limit(LEARNED_MOST)
        .build()
        .map_err(|error| reason(&error))
}

pub(super) fn compile_for(pattern_of: &'static str, pattern: &str) -> Result<Regex, PatternError> {
    compile(pattern).map_err(|reason| PatternError { pattern_of, reason })
}

fn reason(error: &Error) -> String {
    match error {
        Error::CompiledTooBig(_) => "it is too large when compiled: repeat less in `{n,m}`, and write \
             `[0-9A-Za-z_]` for `\\w` and `[0-9]` for `\\d`, which are all of Unicode's"
            .to_owned(),
        Error::Syntax(text) => syntax(text),
        other => other.to_string(),
    }
}

/// The explanation is the last line; those before it show the pattern.
fn syntax(text: &str) -> String {
    let last = text.lines().next_back().unwrap_or(text);
    let explanation = last.strip_prefix("error: ").unwrap_or(last);
    let instead = if explanation.contains("look-around") {
        "write a pattern of the text itself: for `(?=…)` and `(?<=…)` match what is there as well, for `(?!…)` and \
         `(?<!…)` list what may be there (`[^x]`, or alternatives)"
    } else if explanation.contains("backreference") {
        "write what the group may match once more, or alternatives (`'x'|\"x\"`)"
    } else if explanation.contains("unrecognized escape") {
        "put a backslash only before what needs one; for `\\Z` write `\\z`, for `\\h` write `[0-9a-fA-F]`"
    } else {
        return explanation.to_owned();
    };
    format!("{explanation}; {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_to_write_instead() {
        for (pattern, words) in [
            (
                "^(?!zq7)",
                "look-around, including look-ahead and look-behind, is not supported; write a pattern",
            ),
            ("(?<=zq7)x", "look-around"),
            (
                r"(['x])zq7\1",
                "backreferences are not supported; write what the group",
            ),
            (r"zq7\Z", "unrecognized escape sequence; put a backslash"),
            (r"(?x)zq7 (", "unclosed group"),
            ("(?x)\nzq7\n(", "unclosed group"),
            (r"(\w{100}zq7){100}", "too large when compiled: repeat less"),
        ] {
            let reason = compile(pattern).unwrap_err();
            assert!(reason.contains(words), "{pattern}: {reason}");
            assert!(
                !reason.contains("zq7") && !reason.contains('\n'),
                "{pattern}: {reason}"
            );
        }
    }

    #[test]
    fn names_what_the_pattern_is_of() {
        let error = compile_for("exclude", "(").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the pattern of `exclude` cannot be used: unclosed group"
        );
    }

    #[test]
    fn anchors_are_those_of_lines() {
        assert!(compile("^DEBUG$").unwrap().is_match("INFO\nDEBUG\nINFO"));
        assert!(!compile("^DEBUG").unwrap().is_match("INFO DEBUG"));
    }
}
