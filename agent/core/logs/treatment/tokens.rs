//! What is taken out of events: JSON Web Tokens, and what the user names.

use regex::{Captures, Regex, Replacer};

use super::super::record::MAX_LINE;
use super::super::route::Treatment;
use super::json;
use super::pattern::{PatternError, compile_for};

/// As Taupage had it.
const JWT: &str = r"eyJ[a-zA-Z0-9/+_=-]{5,}\.eyJ[a-zA-Z0-9/+_=-]{5,}\.[a-zA-Z0-9/+_=-]{5,}";
const JWT_MARK: &str = "+++JWT_TOKEN_REDACTED+++";

/// The rules, in their order.
pub(super) struct Tokens {
    rules: Vec<Rule>,
}

struct Rule {
    pattern: Regex,
    plain: String,
    /// The replacement as it stands in a JSON string. What groups matched stands in one already.
    escaped: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Plain,
    Escaped,
}

impl Tokens {
    pub(super) fn new(treatment: &Treatment) -> Result<Self, PatternError> {
        let jwt = treatment.redact_jwt.then_some((JWT, JWT_MARK));
        let named = treatment.redact.iter();
        let named = named.map(|rule| (rule.pattern.as_str(), rule.replacement.as_str()));
        let rules = jwt.into_iter().chain(named).map(|(pattern, replacement)| {
            Ok(Rule {
                pattern: compile_for("redact", pattern)?,
                plain: replacement.to_owned(),
                escaped: json::escaped(replacement),
            })
        });
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.rules.is_empty()
    }

    /// The text without them and how many places that were; none if there is nothing to take out.
    ///
    /// What was a JSON object stays one. Where it isn't one with the replacements as they are, they are put in as
    /// parts of JSON strings; where it isn't then either, because a match took more than a part of a string, the
    /// text becomes the `message` of an object of its own. What matched is gone in each case.
    pub(super) fn take_out(&self, text: &str) -> Option<(String, u64)> {
        let (plain, places) = self.pass(text, Spelling::Plain)?;
        if !json::is_object(text) || json::is_object(&plain) {
            return Some((plain, places));
        }
        match self.pass(text, Spelling::Escaped) {
            // A later rule may look for what an earlier one put in: then fewer match, and something is left.
            Some((escaped, found)) if found == places && json::is_object(&escaped) => Some((escaped, places)),
            Some(_) | None => Some((format!(r#"{{"message":"{}"}}"#, json::escaped(&plain)), places)),
        }
    }

    fn pass(&self, text: &str, spelling: Spelling) -> Option<(String, u64)> {
        let mut changed: Option<(String, u64)> = None;
        for rule in &self.rules {
            let (now, places) = match &changed {
                Some((now, places)) => (now.as_str(), *places),
                None => (text, 0),
            };
            if let Some((next, more)) = rule.replace(now, spelling) {
                changed = Some((next, places.saturating_add(more)));
            }
        }
        changed
    }
}

impl Rule {
    fn replace(&self, text: &str, spelling: Spelling) -> Option<(String, u64)> {
        // Most lines have nothing to take out, and to know that is cheaper than to know where.
        if !self.pattern.is_match(text) {
            return None;
        }
        let mut places = Places {
            replacement: match spelling {
                Spelling::Plain => &self.plain,
                Spelling::Escaped => &self.escaped,
            },
            most: text.len().saturating_add(MAX_LINE),
            count: 0,
        };
        let replaced = self.pattern.replace_all(text, places.by_ref()).into_owned();
        (places.count > 0).then_some((replaced, places.count))
    }
}

/// Puts the replacement in place of matches.
struct Places<'r> {
    replacement: &'r str,
    most: usize,
    count: u64,
}

impl Replacer for Places<'_> {
    fn replace_append(&mut self, captures: &Captures<'_>, out: &mut String) {
        // `x*` matches between any two characters, where nothing is to be taken out.
        if captures.get(0).is_none_or(|whole| whole.is_empty()) {
            return;
        }
        self.count = self.count.saturating_add(1);
        let before = out.len();
        captures.expand(self.replacement, out);
        // A long replacement for each character would be the machine's memory: then matches go without one.
        if out.len() > self.most {
            out.truncate(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::route::RedactRule;
    use super::*;

    fn tokens(redact_jwt: bool, rules: &[(&str, &str)]) -> Tokens {
        let rule = |(pattern, replacement): &(&str, &str)| RedactRule {
            pattern: (*pattern).to_owned(),
            replacement: (*replacement).to_owned(),
        };
        Tokens::new(&Treatment {
            redact_jwt,
            redact: rules.iter().map(rule).collect(),
            ..Treatment::default()
        })
        .unwrap()
    }

    fn taken(rules: &[(&str, &str)], text: &str) -> (String, u64) {
        tokens(false, rules).take_out(text).unwrap()
    }

    #[test]
    fn takes_out_every_token() {
        let text = "a eyJhbGciOi.eyJzdWIiOi.c2ln_-/+= b eyJhbGciOi.eyJzdWIiOi.c2lnb c";
        let tokens = tokens(true, &[]);
        assert_eq!(
            tokens.take_out(text),
            Some((format!("a {JWT_MARK} b {JWT_MARK} c"), 2))
        );
        for not_one in ["eyJabcde.eyJabcde.abcd", "eyJabcde.eyjabcde.abcde", "", "eyJ"] {
            assert_eq!(tokens.take_out(not_one), None);
        }
    }

    #[test]
    fn rules_go_in_order_after_the_tokens() {
        let tokens = tokens(
            true,
            &[
                (r"\+\+\+JWT_TOKEN_REDACTED\+\+\+", "token"),
                ("user=(\\w+)", "u=$1"),
                ("u=a", "-"),
            ],
        );
        let text = "eyJhbGciOi.eyJzdWIiOi.c2lnbmE user=anna user=ben";
        assert_eq!(tokens.take_out(text), Some(("token -nna u=ben".to_owned(), 5)));
    }

    #[test]
    fn nothing_is_put_where_nothing_is_matched() {
        assert_eq!(taken(&[("b*", "X")], "abba"), ("aXa".to_owned(), 1));
        assert_eq!(tokens(false, &[("b*", "X")]).take_out("aa"), None);
    }

    #[test]
    fn a_long_replacement_does_not_take_the_memory() {
        let long = "y".repeat(MAX_LINE / 8);
        let (out, places) = taken(&[("x", &long)], &"x".repeat(1000));
        assert_eq!(places, 1000);
        assert!(out.len() <= MAX_LINE + 1000 && !out.contains('x'));
    }

    #[test]
    fn json_stays_json() {
        for (pattern, replacement, text, out) in [
            ("hunter.", "-", r#"{"a":"hunter2"}"#, r#"{"a":"-"}"#),
            // As it is.
            (
                r#""pw":"[^"]*""#,
                r#""pw":"-""#,
                r#"{"pw":"x","b":1}"#,
                r#"{"pw":"-","b":1}"#,
            ),
            (r"\d+", r#""n""#, r#"{"a":12}"#, r#"{"a":"n"}"#),
            // Escaped, except what a group matched.
            ("hunter.", "\"\\\n", r#"{"a":"hunter2"}"#, r#"{"a":"\"\\\n"}"#),
            (
                r"pw=(\S*)!",
                r#""$1""#,
                r#"{"a":"pw=\"x!"}"#,
                r#"{"a":"\"\"x\""}"#,
            ),
            // Neither helps.
            (
                "hunter.*",
                "-",
                r#"{"a":"hunter2"}"#,
                r#"{"message":"{\"a\":\"-"}"#,
            ),
            (
                "u000e",
                "-",
                r#"{"a":"\u000ex"}"#,
                r#"{"message":"{\"a\":\"\\-x\"}"}"#,
            ),
            // It was none.
            ("hunter.*", "-", r#"{"a":"hunter2"} x"#, r#"{"a":"-"#),
            ("hunter.*", "-", r#"["hunter2"]"#, r#"["-"#),
        ] {
            assert_eq!(
                taken(&[(pattern, replacement)], text),
                (out.to_owned(), 1),
                "{pattern}"
            );
        }
    }

    #[test]
    fn nothing_is_left_for_the_sake_of_json() {
        let rules = [("name", "\"N\""), ("\"N\"=secret", "-\"")];
        let (out, places) = taken(&rules, r#"{"a":"name=secret"}"#);
        assert_eq!((out.as_str(), places), (r#"{"message":"{\"a\":\"-\"\"}"}"#, 2));
    }

    #[test]
    fn a_token_in_an_escape_leaves_json() {
        let text = r#"{"a":"\u000eyJhbGciOi.eyJzdWIiOi.c2lnbmE"}"#;
        let (out, _) = tokens(true, &[]).take_out(text).unwrap();
        assert!(json::is_object(&out) && !out.contains("c2lnbmE"), "{out}");
    }

    proptest! {
        #[test]
        fn json_stays_json_whatever_the_rule(
            value in "[a-c\"\\\\\u{1}ü{}:,]{0,12}",
            pattern in prop::sample::select(vec!["a", "b.*", "\\\\", "\"", ".", "[^\"]*", ":", "(a|b)+", "u0+", "\\d", "^\\{"]),
            replacement in "[a\"\\\\\n$1{}]{0,4}",
        ) {
            let text = serde_json::json!({"key": value, "n": 1, "b": [null, "a"]}).to_string();
            if let Some((out, places)) = tokens(true, &[(pattern, &replacement)]).take_out(&text) {
                prop_assert!(json::is_object(&out), "{out}");
                prop_assert!(places > 0);
            }
        }
    }
}
