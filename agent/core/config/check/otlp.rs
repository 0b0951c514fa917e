//! A receiver of OTLP: where, as whom, and what it gets.

use super::super::model::{Otlp, OtlpHeader};
use super::super::problem::Code;
use super::Checker;
use super::audit::is_this_machine;
use super::field::Field;
use super::health::is_token;
use super::read::Section;
use crate::secret::SecretSource;

/// What every request says for itself.
const OURS: [&str; 9] = [
    "Accept-Encoding",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "Host",
    "TE",
    "Trailer",
    "Transfer-Encoding",
];

impl<'c> Checker<'c> {
    pub(super) fn otlp(&mut self) -> Option<Otlp> {
        let section = self.field("otlp").and_then(|field| self.section(field))?;
        let headers = section
            .get("headers")
            .map(|field| self.otlp_headers(&field))
            .unwrap_or_default();
        let signals = self.signals(&section);
        let interval = section.get("interval");
        let interval_seconds = interval.as_ref().and_then(|field| self.take(field.time()));
        let endpoint = section.get("endpoint");
        let endpoint = endpoint.and_then(|field| self.receiver(&field, !headers.is_empty()))?;
        let asks = |word: &str| signals.as_ref().is_none_or(|signals| signals.contains(&word));
        if let (Some(field), false) = (&interval, asks("metrics")) {
            let message = format!("`{}` has no effect: `otlp.signals` names no metrics", field.path);
            let problem = field.warning(Code::NoEffectHere, message).at(field.key_place);
            self.report(problem.help("add `metrics` to `otlp.signals`, or remove it"));
        }
        Some(Otlp {
            endpoint,
            headers,
            logs: asks("logs"),
            metrics: asks("metrics"),
            traces: asks("traces"),
            interval_seconds,
        })
    }

    /// `None` where none are named, which means all.
    fn signals(&mut self, section: &Section<'c>) -> Option<Vec<&'static str>> {
        let field = section.get("signals")?;
        let items = self.list(&field);
        let signals: Vec<&'static str> = items.iter().filter_map(|item| self.choice(item)).collect();
        if items.is_empty() {
            let message = "`otlp.signals` is empty: nothing would be sent";
            let help = "name some of logs, metrics and traces; or leave it out for all of them";
            self.report(field.error(Code::BadValue, message).help(help));
        }
        Some(signals)
    }

    /// An address to which paths can be added, and over which no key goes in clear.
    fn receiver(&mut self, field: &Field<'_>, has_headers: bool) -> Option<String> {
        let url = self.read_url(field)?;
        let (scheme, rest) = url.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let wrong = |message: String, help: &str| field.error(Code::BadValue, message).help(help);
        let path = &field.path;
        if authority.contains('@') {
            let message = format!("`{path}` has a login in it, which whoever sees the address can read");
            self.report(wrong(message, "write it as a header below `otlp.headers`"));
            return None;
        }
        if rest.contains(['?', '#']) {
            let message = format!("`{path}` has more than a path: /v1/logs and others are put behind it");
            let help = "write it without `?` and `#`; a key belongs below `otlp.headers`";
            self.report(wrong(message, help));
            return None;
        }
        if scheme != "https" && !is_this_machine(authority) {
            let help = format!("write `{path}: https://...`");
            if has_headers {
                let message =
                    format!("`otlp.headers` would go over the network in clear: `{path}` is plain http");
                self.report(wrong(message, &help));
                return None;
            }
            let message =
                format!("`{path}` is plain http: whoever is on the way can read and change what is sent");
            self.report(field.warning(Code::BadValue, message).help(help));
        }
        Some(url)
    }

    fn otlp_headers(&mut self, field: &Field<'_>) -> Vec<OtlpHeader> {
        let mut all: Vec<OtlpHeader> = Vec::new();
        for (entry, child) in self.children(field) {
            let name = &entry.name;
            let wrong = |message: String, help: &str| {
                let problem = child.error(Code::BadValue, message).at(child.key_place);
                Some(problem.help(help))
            };
            let problem = if !is_token(name) {
                let message = "this is not the name of an HTTP header";
                let problem = field.error(Code::BadValue, message).at(child.key_place);
                Some(problem.help("write letters, digits and dashes, such as `Authorization`"))
            } else if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
                wrong(
                    format!("`{name}` is a header that every request writes for itself"),
                    "remove it",
                )
            } else if all.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
                wrong(
                    format!("`{name}` is there twice: capital letters make no other header"),
                    "remove one of them",
                )
            } else {
                None
            };
            if let Some(problem) = problem {
                self.report(problem);
                continue;
            }
            all.extend(self.otlp_header(name, &child));
        }
        all
    }

    fn otlp_header(&mut self, name: &str, field: &Field<'_>) -> Option<OtlpHeader> {
        let source = self.read_secret(field)?;
        if let SecretSource::Literal(secret) = &source {
            let text = secret.expose().trim();
            let (what, help) = if text.is_empty() {
                ("says nothing", "write its value, or where it is; or remove it")
            } else if !text.bytes().all(|b| matches!(b, b' '..=b'~')) {
                (
                    "has characters that no header may have",
                    "write printable ASCII characters on one line",
                )
            } else {
                ("", "")
            };
            if !what.is_empty() {
                let message = format!("`{}` {what}", field.path);
                self.report(field.error(Code::BadValue, message).help(help));
                return None;
            }
        }
        Some(OtlpHeader {
            name: name.to_owned(),
            key: field.path.clone(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::{Code, Otlp, Severity, parse};

    const BASE: &str = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nruntime: Docker\nsource: registry.example.org/team/app:1\n";

    fn read(lines: &str) -> (Option<Otlp>, Vec<(Code, Severity, String)>) {
        let report = parse(format!("{BASE}{lines}").as_bytes(), "user data");
        let problems = report.problems().iter();
        let problems = problems
            .map(|problem| (problem.code, problem.severity, problem.message.clone()))
            .collect();
        (
            report.config().and_then(|config| config.otlp().cloned()),
            problems,
        )
    }

    #[test]
    fn everything_is_sent_unless_told() {
        let (otlp, problems) = read("otlp: {endpoint: 'https://otlp.example.org/'}");
        assert_eq!(problems, []);
        let otlp = otlp.unwrap();
        assert!(otlp.logs && otlp.metrics && otlp.traces);
        assert_eq!((otlp.interval_seconds, otlp.headers.len()), (None, 0));
        let (otlp, problems) = read(
            "otlp:\n  endpoint: http://127.0.0.1:4318\n  signals: [metrics]\n  interval: 30s\n  headers: {Authorization: aws:ssm:/otlp/key, X-Scope-OrgID: '12345678'}",
        );
        assert_eq!(problems, []);
        let otlp = otlp.unwrap();
        assert!(!otlp.logs && otlp.metrics && !otlp.traces);
        assert_eq!(otlp.interval_seconds, Some(30));
        let literal = |key: &str| otlp.literal_header(key).map(|secret| secret.expose().to_owned());
        assert_eq!(literal("otlp.headers.X-Scope-OrgID").as_deref(), Some("12345678"));
        assert_eq!(literal("otlp.headers.Authorization"), None);
        assert_eq!(literal("otlp.headers.X"), None);
    }

    #[test]
    fn what_is_no_receiver_is_refused() {
        for (lines, words) in [
            ("{}", "`otlp` has no `endpoint`"),
            ("{endpoint: otlp.example.org}", "has to be a URL"),
            (
                "{endpoint: 'https://u:hunter2-hunter2@otlp.example.org'}",
                "a login in it",
            ),
            (
                "{endpoint: 'https://otlp.example.org/?key=hunter2-hunter2'}",
                "more than a path",
            ),
            (
                "{endpoint: 'https://e.example.org', signals: []}",
                "nothing would be sent",
            ),
            (
                "{endpoint: 'https://e.example.org', signals: [spans]}",
                "`logs`, `metrics` or `traces`",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {'X Y': hunter2-hunter2}}",
                "not the name of",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {content-type: hunter2-hunter2}}",
                "for itself",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {A: hunter2-hunter2, a: b}}",
                "twice",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {A: ''}}",
                "says nothing",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {A: \"hunter2\\r\\nB: c\"}}",
                "no header may have",
            ),
            (
                "{endpoint: 'https://e.example.org', headers: {A: 'aws:kms:hunter2 hunter2'}}",
                "otlp.headers.A",
            ),
            (
                "{endpoint: 'http://e.example.org', headers: {A: hunter2-hunter2}}",
                "in clear",
            ),
        ] {
            let (otlp, problems) = read(&format!("otlp: {lines}"));
            assert_eq!(otlp, None, "{lines}");
            let errors: Vec<&String> = problems
                .iter()
                .filter(|one| one.1 == Severity::Error)
                .map(|one| &one.2)
                .collect();
            assert_eq!(errors.len(), 1, "{lines}: {problems:?}");
            assert!(errors[0].contains(words), "{lines}: {errors:?}");
            assert!(!errors[0].contains("hunter2"), "{errors:?}");
        }
    }

    #[test]
    fn doubtful_ones_are_told() {
        let (otlp, problems) = read("otlp: {endpoint: 'http://collector.example.org:4318'}");
        assert!(otlp.is_some());
        assert_eq!(
            (problems.len(), problems[0].1),
            (1, Severity::Warning),
            "{problems:?}"
        );
        let (otlp, problems) =
            read("otlp: {endpoint: 'https://e.example.org', signals: [logs], interval: 30s}");
        assert!(otlp.is_some());
        assert_eq!(
            (problems.len(), problems[0].0),
            (1, Code::NoEffectHere),
            "{problems:?}"
        );
    }
}
