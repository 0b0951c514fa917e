//! Where audit records go, and who is known there.

use std::net::IpAddr;

use super::super::model::Audit;
use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;

const URL: &str = "instance_logs_url";
const USER: &str = "logsink_username";
const PASSWORD: &str = "logsink_password";

impl Checker<'_> {
    pub(super) fn audit(&mut self) -> Audit {
        let audit = Audit {
            instance_logs_url: self.url(URL),
            logsink_username: self.field(USER).and_then(|field| self.word(&field)),
            logsink_password: self.field(PASSWORD).and_then(|field| self.read_secret(&field)),
        };
        for (name, needed) in [(USER, URL), (PASSWORD, URL), (PASSWORD, USER)] {
            self.has_no_effect_without(name, needed);
        }
        if let (Some(field), Some(url)) = (self.field(URL), &audit.instance_logs_url) {
            let problem = wrong_address(&field, url, audit.logsink_password.is_some());
            self.problems.extend(problem);
        }
        audit
    }

    /// Taupage sent what there was, and a login without an address was no reason not to boot.
    fn has_no_effect_without(&mut self, name: &str, needed: &str) {
        let stands = self
            .entries
            .iter()
            .any(|entry| entry.name == needed && !Field::top(entry).is_null());
        if let Some(field) = self.field(name).filter(|_| !stands) {
            let message = format!("`{name}` has no effect without `{needed}`");
            let problem = Problem::warning(Code::NoEffectHere, message).at(field.key_place);
            self.report(problem.key(name).help(format!("write `{needed}`, or remove it")));
        }
    }
}

/// What speaks against an address that is one.
fn wrong_address(field: &Field<'_>, url: &str, has_password: bool) -> Option<Problem> {
    let (scheme, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        let message = format!("`{URL}` has a login in it, which whoever sees the address can read");
        let help = format!("write it as `{USER}` and `{PASSWORD}`");
        return Some(field.error(Code::BadValue, message).help(help));
    }
    if scheme == "https" || is_this_machine(authority) {
        return None;
    }
    let help = format!("write `{URL}: https://...`");
    let problem = if has_password {
        let message = format!("`{PASSWORD}` would go over the network in clear: `{URL}` is plain http");
        field.error(Code::BadValue, message)
    } else {
        let message =
            format!("`{URL}` is plain http: whoever is on the way can read and change what is sent");
        field.warning(Code::BadValue, message)
    };
    Some(problem.help(help))
}

/// A loopback address, with or without a port.
pub(super) fn is_this_machine(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(bracketed) => bracketed.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::super::{Code, Severity, parse};
    use super::*;

    const BASE: &str = "#taupage-ami-config\napplication_id: app\napplication_version: '1'\nruntime: Docker\nsource: registry.example.org/team/app:1\n";

    fn problems(lines: &str) -> Vec<(Code, Severity, String)> {
        let report = parse(format!("{BASE}{lines}").as_bytes(), "user data");
        let problems = report.problems().iter();
        problems
            .map(|problem| (problem.code, problem.severity, problem.message.clone()))
            .collect()
    }

    #[test]
    fn a_whole_one_is_read_without_a_word() {
        for url in [
            "https://logs.example.org/instance-logs",
            "http://127.0.0.1:8080/x",
            "http://localhost",
            "http://[::1]:80/",
        ] {
            let text =
                format!("instance_logs_url: '{url}'\nlogsink_username: u\nlogsink_password: hunter2-hunter2");
            assert_eq!(problems(&text), [], "{url}");
        }
        assert_eq!(problems("instance_logs_url: https://logs.example.org"), []);
    }

    #[test]
    fn a_password_never_goes_over_the_network_in_clear() {
        let found = problems(
            "instance_logs_url: http://logs.example.org\nlogsink_username: u\nlogsink_password: aws:ssm:/p",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].0, found[0].1), (Code::BadValue, Severity::Error));
        assert!(found[0].2.contains("in clear"), "{found:?}");
        // 127.0.0.1 in a name is somebody else's.
        let found = problems(
            "instance_logs_url: http://127.0.0.1.example.org\nlogsink_username: u\nlogsink_password: p",
        );
        assert_eq!(found[0].1, Severity::Error, "{found:?}");
        let found = problems("instance_logs_url: http://logs.example.org");
        assert_eq!((found.len(), found[0].1), (1, Severity::Warning), "{found:?}");
    }

    #[test]
    fn a_login_in_the_address_is_refused_and_not_quoted() {
        let found = problems("instance_logs_url: https://u:hunter2-hunter2@logs.example.org");
        assert_eq!((found.len(), found[0].1), (1, Severity::Error), "{found:?}");
        assert!(!found[0].2.contains("hunter2"), "{found:?}");
    }

    #[test]
    fn a_login_without_an_address_boots_with_a_warning() {
        let found = problems("logsink_username: u\nlogsink_password: p");
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .all(|one| one.0 == Code::NoEffectHere && one.1 == Severity::Warning)
        );
        let found = problems("instance_logs_url: https://l.example.org\nlogsink_password: p");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].2.contains("without `logsink_username`"), "{found:?}");
    }

    #[test]
    fn this_machine_is_its_loopback_address_only() {
        for (authority, expected) in [
            ("127.0.0.1", true),
            ("127.8.8.8:1", true),
            ("localhost:80", true),
            ("[::1]:80", true),
            ("10.0.0.1", false),
            ("[fe80::1]", false),
            ("localhost.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_this_machine(authority), expected, "{authority}");
        }
    }
}
