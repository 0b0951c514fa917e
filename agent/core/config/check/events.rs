//! Whom notices are pushed to.

use super::super::model::Events;
use super::super::problem::{Code, Problem};
use super::Checker;
use super::audit::is_this_machine;
use super::field::Field;
use super::health::{FRAMING, is_token};
use super::read::Section;
use crate::secret::SecretSource;

/// What every POST says by itself.
const OURS: &[&str] = &["content-type", "user-agent"];

impl Checker<'_> {
    pub(super) fn events(&mut self) -> Events {
        let Some(section) = self.field("events").and_then(|field| self.section(field)) else {
            return Events::default();
        };
        let webhook = section.get("webhook").and_then(|field| {
            let url = self.read_url(&field)?;
            let problem = wrong_address(&field, &url);
            self.problems.extend(problem);
            Some(url)
        });
        let headers = self.headers_of_webhook(&section);
        let bus = section.get("event_bus").and_then(|field| {
            let name = self.word(&field)?;
            if is_bus(&name) {
                return Some(name);
            }
            let message = format!("`{}` is neither the name nor the ARN of an event bus", field.path);
            self.report(field.error(Code::BadValue, message).help(
                "write `operations`, or `arn:aws:events:eu-central-1:123456789012:event-bus/operations`",
            ));
            None
        });
        Events {
            webhook,
            headers,
            event_bus: bus,
        }
    }

    fn headers_of_webhook(&mut self, section: &Section<'_>) -> Vec<(String, SecretSource)> {
        let Some(field) = section.get("headers") else {
            return Vec::new();
        };
        let has_webhook = section
            .stands("webhook")
            .is_some_and(|webhook| !webhook.is_null());
        if !has_webhook {
            let message = format!("`{}` has no effect without `events.webhook`", field.path);
            let problem = Problem::warning(Code::NoEffectHere, message).at(field.key_place);
            self.report(
                problem
                    .key(field.path.clone())
                    .help("write `webhook`, or remove it"),
            );
        }
        let mut all: Vec<(String, SecretSource)> = Vec::new();
        for (entry, child) in self.children(&field) {
            let name = &entry.name;
            let is_known = |list: &[&str]| list.iter().any(|one| name.eq_ignore_ascii_case(one));
            if !is_token(name) {
                let message = "this is not the name of an HTTP header";
                let problem = field.error(Code::BadValue, message).at(child.key_place);
                self.report(problem.help("write letters, digits and dashes, such as `Authorization`"));
            } else if is_known(FRAMING) || is_known(OURS) {
                let message = format!("`{name}` is a header that every request writes for itself");
                let problem = child.error(Code::BadValue, message).at(child.key_place);
                self.report(problem.help("remove it"));
            } else if all.iter().any(|(one, _)| one.eq_ignore_ascii_case(name)) {
                let message = format!("`{name}` stands here twice: upper and lower case are the same");
                let problem = child.error(Code::BadValue, message).at(child.key_place);
                self.report(problem.help("remove one"));
            } else if let Some(value) = self.read_secret(&child) {
                if is_sendable(&value) {
                    all.push((name.clone(), value));
                } else {
                    let message = format!("`{}` has characters that no header may have", child.path);
                    let problem = child.error(Code::BadValue, message);
                    self.report(problem.help("write printable ASCII characters on one line"));
                }
            }
        }
        all
    }
}

/// One that is fetched is looked at when it is there.
fn is_sendable(value: &SecretSource) -> bool {
    match value {
        SecretSource::Literal(secret) => secret.expose().bytes().all(|b| matches!(b, b' '..=b'~')),
        SecretSource::Stored(_) => true,
    }
}

/// A name, or an ARN of which a name is the end.
fn is_bus(text: &str) -> bool {
    let name = match text.split_once(":event-bus/") {
        Some((arn, name)) => {
            let parts: Vec<&str> = arn.split(':').collect();
            let ["arn", partition, "events", region, account] = parts.as_slice() else {
                return false;
            };
            let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
            let mut words = partition.split('-');
            let is_partition = words.next() == Some("aws")
                && words.all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()));
            if !is_account || !is_partition || !super::super::model::is_region(region) {
                return false;
            }
            name
        }
        None => text,
    };
    (1..=256).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/'))
}

/// What speaks against an address that is one.
fn wrong_address(field: &Field<'_>, url: &str) -> Option<Problem> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let message = format!(
            "`{}` has a login in it, which whoever sees the address can read",
            field.path
        );
        let help = "write it as `events.headers.Authorization`";
        return Some(field.error(Code::BadValue, message).help(help));
    }
    if scheme == "https" || is_this_machine(authority) {
        return None;
    }
    let message = format!(
        "`{}` is plain http: whoever is on the way can read what happens here, and answer for the receiver",
        field.path
    );
    let help = "write `https://...`, or an address of this machine itself";
    Some(field.error(Code::BadValue, message).help(help))
}

#[cfg(test)]
mod tests {
    use super::super::super::{Code, Severity, parse};

    const BASE: &str = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nruntime: Docker\nsource: registry.example.org/team/app:1\n";

    fn problems(lines: &str) -> Vec<(Code, Severity, String)> {
        let report = parse(format!("{BASE}events: {lines}").as_bytes(), "user data");
        let problems = report.problems().iter();
        problems
            .map(|problem| (problem.code, problem.severity, problem.message.clone()))
            .collect()
    }

    #[test]
    fn a_whole_one_is_read_without_a_word() {
        for lines in [
            "{webhook: https://h.example.org/x, headers: {Authorization: aws:ssm:/h}}",
            "{webhook: 'http://127.0.0.1:8080/x', headers: {X-Key: hunter2-hunter2}}",
            "{event_bus: default}",
            "{event_bus: 'arn:aws:events:eu-central-1:123456789012:event-bus/a.b/c'}",
        ] {
            assert_eq!(problems(lines), [], "{lines}");
        }
    }

    #[test]
    fn nothing_goes_over_the_network_in_clear() {
        for lines in [
            "{webhook: http://h.example.org/x}",
            "{webhook: http://127.0.0.1.example.org/x}",
            "{webhook: 'https://u:hunter2@h.example.org/x'}",
        ] {
            let found = problems(lines);
            assert_eq!(found.len(), 1, "{lines} {found:?}");
            assert_eq!((found[0].0, found[0].1), (Code::BadValue, Severity::Error));
            assert!(!found[0].2.contains("hunter2"), "{found:?}");
        }
    }

    #[test]
    fn headers_that_cannot_be_sent_are_refused_and_not_quoted() {
        for headers in [
            "{Content-Length: hunter2}",
            "{content-type: hunter2}",
            "{'a b': hunter2}",
            "{A: \"hunter2\\nB: c\"}",
            "{A: hunter2, a: hunter2}",
        ] {
            let found = problems(&format!("{{webhook: https://h.example.org, headers: {headers}}}"));
            assert_eq!(found.len(), 1, "{headers} {found:?}");
            assert_eq!(found[0].1, Severity::Error, "{found:?}");
            assert!(!found[0].2.contains("hunter2"), "{found:?}");
        }
        let found = problems("{event_bus: a, headers: {A: b}}");
        assert_eq!((found[0].0, found[0].1), (Code::NoEffectHere, Severity::Warning));
    }

    #[test]
    fn a_bus_is_a_name_or_an_arn() {
        for bus in [
            "a b",
            "'arn:aws:events:eu-central-1:12:event-bus/a'",
            "'arn:aws:sns:eu-central-1:123456789012:event-bus/a'",
            "'a:b'",
        ] {
            assert_eq!(problems(&format!("{{event_bus: {bus}}}")).len(), 1, "{bus}");
        }
    }
}
