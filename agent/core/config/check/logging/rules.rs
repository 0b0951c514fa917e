//! Patterns, rules made of them, and certificates.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::super::model::{Redact, Sampling};
use super::super::super::problem::Code;
use super::super::super::yaml::{self, Kind, Node};
use super::super::Checker;
use super::super::field::Field;

/// A rate is kept in millionths, so that a config can be compared.
const MILLION: f64 = 1_000_000.0;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

impl<'c> Checker<'c> {
    /// A regular expression that can be run.
    pub(super) fn regex(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.word(field)?;
        self.runs(field, &text).then_some(text)
    }

    fn runs(&mut self, field: &Field<'_>, text: &str) -> bool {
        let Err(reason) = crate::logs::compile(text) else {
            return true;
        };
        let message = format!(
            "`{}` holds no regular expression that can be run: {reason}",
            field.path
        );
        self.report(field.error(Code::BadValue, message).help(
            "patterns are those of the crate regex: as in Perl, without look-around and back references, so that no line takes long",
        ));
        false
    }

    /// `[{pattern: REGEX, replacement: TEXT}]`; Scalyr's name for a pattern is taken too.
    pub(super) fn redact(&mut self, field: &Field<'c>) -> Vec<Redact> {
        let mut all = Vec::new();
        for item in self.list(field) {
            let Some(section) = self.section(item.clone()) else {
                continue;
            };
            let replacement = section.get("replacement").and_then(|field| self.text(&field));
            let names = ["pattern", "match_expression"];
            let found: Vec<Field<'c>> = names.iter().filter_map(|name| section.stands(name)).collect();
            if let [one] = &found[..] {
                let given = Some(one).filter(|one| !one.is_null() && !one.is_broken());
                all.extend(given.and_then(|one| self.regex(one)).map(|pattern| Redact {
                    pattern,
                    replacement: replacement.unwrap_or_default(),
                }));
                continue;
            }
            let (code, message) = if found.is_empty() {
                (Code::Missing, "a rule of `logging.redact` has no `pattern`")
            } else {
                (
                    Code::BadValue,
                    "`pattern` and `match_expression` are two names for one thing",
                )
            };
            let problem = item.error(code, message);
            self.report(problem.help("write `- {pattern: REGEX, replacement: TEXT}`"));
        }
        all
    }

    /// A list, or the text of one: Taupage's files have it in a string.
    pub(super) fn sampling(&mut self, field: &Field<'_>) -> Vec<Sampling> {
        let wrong = field
            .error(
                Code::BadValue,
                format!("`{}` is no list of sampling rules", field.path),
            )
            .help("write `- {match_expression: REGEX, sampling_rate: 0.1}`");
        let loaded = match &field.node.kind {
            Kind::Scalar(scalar) => {
                // What is wrong inside the text has no place of its own.
                let mut inner = Vec::new();
                match yaml::load(&scalar.text, 0, yaml::Tags::Refuse, &mut inner) {
                    Ok(Some(node)) if inner.is_empty() => Some(node),
                    _ => None,
                }
            }
            _ => Some(field.node.clone()),
        };
        let Some(Node {
            kind: Kind::Seq(nodes),
            ..
        }) = loaded
        else {
            self.report(wrong);
            return Vec::new();
        };
        let rules: Option<Vec<Sampling>> = nodes.iter().map(sampling_rule).collect();
        let Some(mut rules) = rules else {
            self.report(wrong);
            return Vec::new();
        };
        rules.retain(|rule| self.runs(field, &rule.match_expression));
        rules
    }

    /// One certificate or more, and nothing that is secret.
    pub(super) fn certificates(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.word(field)?;
        let (message, help) = if text.contains("PRIVATE KEY-----") {
            (
                "holds a private key: anybody who may see the user data has it now",
                "put the certificates of the authority there alone, and make a new key",
            )
        } else if certificates(&text).is_none() {
            (
                "holds no whole certificates as PEM",
                "write `|` behind the key and the text below it, indented, from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----",
            )
        } else {
            return Some(text);
        };
        let problem = field.error(Code::BadValue, format!("`{}` {message}", field.path));
        self.report(problem.help(help));
        None
    }
}

/// How many there are; `None` where one is damaged or none is there.
fn certificates(text: &str) -> Option<usize> {
    let mut rest = text;
    let mut count = 0;
    while let Some((_, begun)) = rest.split_once(BEGIN) {
        let (body, behind) = begun.split_once(END)?;
        let body: String = body.split_whitespace().collect();
        STANDARD.decode(body).ok().filter(|der| is_whole(der))?;
        count += 1;
        rest = behind;
    }
    (count > 0).then_some(count)
}

/// Whether it is what every certificate is, a sequence of DER, from its first byte to its last: half of one passes as
/// base64, and is found out only when the log server shows its own.
fn is_whole(der: &[u8]) -> bool {
    let Some((0x30, rest)) = der.split_first().map(|(tag, rest)| (*tag, rest)) else {
        return false;
    };
    let Some((first, rest)) = rest.split_first() else {
        return false;
    };
    // Below 128 it is the length, above it says how many bytes of length follow.
    let Some(bytes) = first.checked_sub(0x80) else {
        return rest.len() == usize::from(*first);
    };
    if !(1..=4).contains(&bytes) {
        return false;
    }
    let Some((length, content)) = rest.split_at_checked(usize::from(bytes)) else {
        return false;
    };
    let length = length
        .iter()
        .fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    u64::try_from(content.len()) == Ok(length)
}

fn sampling_rule(node: &Node) -> Option<Sampling> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    let value = |name: &str| {
        entries
            .iter()
            .find(|entry| entry.name == name)
            .and_then(|entry| match &entry.value.kind {
                Kind::Scalar(scalar) => Some(scalar.text.clone()),
                _ => None,
            })
    };
    let rate: f64 = value("sampling_rate")?.parse().ok()?;
    if !(0.0..=1.0).contains(&rate) {
        return None;
    }
    Some(Sampling {
        match_expression: value("match_expression")?,
        // Between 0 and a million, as was just made sure of.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above"
        )]
        keep_millionths: (rate * MILLION).round() as u32,
    })
}
