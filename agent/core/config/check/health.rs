//! The gate a new container has to pass.

use super::super::model::{HealthCheck, PortMapping, Probe, Protocol};
use super::super::problem::Code;
use super::super::yaml;
use super::Checker;
use super::field::Field;
use super::ports::Ports;
use crate::plan::Gate;

/// As long as Taupage waited.
const DEFAULT_TIMEOUT_SECONDS: u32 = 60;
/// As often as Taupage asked.
const DEFAULT_INTERVAL_SECONDS: u32 = 2;
/// As long as Taupage waited for one answer.
const DEFAULT_PROBE_TIMEOUT_SECONDS: u32 = 5;

/// Keys that say nothing without a check.
const TUNING: &[&str] = &[
    "health_check_port",
    "health_check_timeout_seconds",
    "health_check_interval_seconds",
    "health_check_probe_timeout_seconds",
    "health_check_healthy_threshold",
    "health_check_unhealthy_threshold",
    "health_check_start_period_seconds",
    "health_check_status_codes",
    "health_check_headers",
];

/// Headers that say where a request ends, and what becomes of its connection.
pub(super) const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How the application is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Tcp,
    Exec,
}

impl<'c> Checker<'c> {
    pub(super) fn health_check(&mut self, ports: &Ports) -> Option<HealthCheck> {
        let number = |this: &mut Self, key: &str| {
            let field = this.field(key)?;
            this.read_number(&field)
        };
        let port = number(self, "health_check_port").and_then(|port| u16::try_from(port).ok());
        let timeout = number(self, "health_check_timeout_seconds");
        let interval = number(self, "health_check_interval_seconds");
        let probe_timeout = number(self, "health_check_probe_timeout_seconds");
        let threshold = number(self, "health_check_healthy_threshold");
        let unhealthy = number(self, "health_check_unhealthy_threshold");
        let start_period = number(self, "health_check_start_period_seconds");
        let (statuses, headers) = (self.statuses(), self.headers());
        let path = self.path();
        let command = self
            .field("health_check_command")
            .and_then(|field| self.take(field.words()));
        let kind = self.kind(path.is_some(), command.is_some())?;
        let probe = match kind {
            Kind::Http => {
                let Some((path, field)) = path else {
                    return self.incomplete("health_check_path");
                };
                Probe::Http {
                    port: self.port(port, ports, &field)?,
                    path,
                    statuses,
                    headers,
                }
            }
            Kind::Tcp => {
                let field = self.field("health_check_type")?;
                let port = self.port(port, ports, &field)?;
                let networking = self.field("networking").and_then(|field| field.choice().ok());
                Probe::Tcp {
                    port: match networking {
                        // There is one network, and the app listens where it listens.
                        Some(("host", _)) => port,
                        _ => container_port(port, &ports.mappings),
                    },
                }
            }
            Kind::Exec => {
                let Some(command) = command.filter(|command| !command.is_empty()) else {
                    return self.incomplete("health_check_command");
                };
                Probe::Exec { command }
            }
        };
        let check = HealthCheck {
            probe,
            timeout_seconds: timeout.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
            interval_seconds: interval.unwrap_or(DEFAULT_INTERVAL_SECONDS),
            probe_timeout_seconds: probe_timeout.unwrap_or(DEFAULT_PROBE_TIMEOUT_SECONDS),
            healthy_threshold: threshold.unwrap_or(1),
            unhealthy_threshold: unhealthy.unwrap_or(Gate::RUNNING.unhealthy_threshold),
            watch_interval_seconds: interval.unwrap_or(Gate::RUNNING.watch_interval_seconds),
            start_period_seconds: start_period.or(timeout).unwrap_or(DEFAULT_TIMEOUT_SECONDS),
        };
        self.can_pass(&check);
        Some(check)
    }

    /// A check that nobody can pass would end every boot.
    fn can_pass(&mut self, check: &HealthCheck) {
        let least = u64::from(check.healthy_threshold - 1) * u64::from(check.interval_seconds);
        if least >= u64::from(check.timeout_seconds) {
            let key = ["health_check_healthy_threshold", "health_check_interval_seconds"];
            if let Some(field) = key.iter().find_map(|key| self.field(key)) {
                let message = format!(
                    "{} good answers every {} s take {least} s at least, and the check has {} s",
                    check.healthy_threshold, check.interval_seconds, check.timeout_seconds
                );
                let problem = field.error(Code::HealthCheck, message).at(field.key_place);
                self.report(problem.help("raise `health_check_timeout_seconds`, or lower the other two"));
            }
        }
        let budget = self.field("boot_timeout").and_then(|field| field.time().ok());
        let budget = budget.map_or(crate::budget::DEFAULT.as_secs(), u64::from);
        if u64::from(check.timeout_seconds) > budget
            && let Some(field) = self.field("health_check_timeout_seconds")
        {
            let message = format!("the whole boot has {budget} s, so the health check never gets so long");
            let problem = field.warning(Code::HealthCheck, message);
            self.report(problem.help("raise `boot_timeout`"));
        }
        let networking = self.field("networking").and_then(|field| field.choice().ok());
        if matches!(networking, Some(("none", _)))
            && !matches!(check.probe, Probe::Exec { .. })
            && let Some(field) = ["health_check_type", "health_check_path"]
                .iter()
                .find_map(|key| self.field(key))
        {
            let message = "a container without a network cannot be asked over one";
            let problem = field.error(Code::HealthCheck, message).at(field.key_place);
            self.report(problem.help("write `health_check_command: [...]`, which runs inside the container"));
        }
    }

    /// What is said, or what follows from the keys that are there.
    fn kind(&mut self, has_path: bool, has_command: bool) -> Option<Kind> {
        let said = match self.field("health_check_type") {
            Some(field) => Some(match self.choice(&field)? {
                "tcp" => Kind::Tcp,
                "exec" => Kind::Exec,
                _ => Kind::Http,
            }),
            None => None,
        };
        let kind = match (said, has_path, has_command) {
            (Some(kind), _, _) => Some(kind),
            (None, true, true) => {
                let field = self.field("health_check_command")?;
                let message =
                    "`health_check_path` and `health_check_command` are two checks, and there is one";
                self.report(
                    field
                        .error(Code::HealthCheck, message)
                        .at(field.key_place)
                        .help("keep one of them, or say which counts with `health_check_type`"),
                );
                return None;
            }
            (None, true, false) => Some(Kind::Http),
            (None, false, true) => Some(Kind::Exec),
            (None, false, false) => None,
        };
        let unused: &[&str] = match kind {
            Some(Kind::Http) => &["health_check_command"],
            Some(Kind::Tcp) => &[
                "health_check_command",
                "health_check_path",
                "health_check_status_codes",
                "health_check_headers",
            ],
            Some(Kind::Exec) => &[
                "health_check_path",
                "health_check_port",
                "health_check_status_codes",
                "health_check_headers",
            ],
            // An unreadable path is reported already.
            None if self.is_there("health_check_path") || self.is_there("health_check_command") => &[],
            None => TUNING,
        };
        for key in unused {
            if let Some(field) = self.field(key) {
                let message = match kind {
                    None => {
                        format!("`{key}` has no effect without `health_check_path` or `health_check_type`")
                    }
                    Some(_) => format!("`{key}` has no effect with this type of health check"),
                };
                self.report(field.warning(Code::HealthCheck, message).at(field.key_place));
            }
        }
        kind
    }

    fn is_there(&self, key: &str) -> bool {
        self.field(key)
            .and_then(|field| field.scalar().map(|scalar| !scalar.text.is_empty()))
            .unwrap_or_default()
    }

    fn path(&mut self) -> Option<(String, Field<'c>)> {
        let field = self.field("health_check_path")?;
        let path = self.text(&field)?;
        if path.is_empty() {
            return None;
        }
        let problem = |message| field.error(Code::HealthCheck, message);
        if !path.starts_with('/') {
            let problem = problem("`health_check_path` has to begin with `/`");
            self.report(problem.help("put a `/` in front of it; host and port are not part of the path"));
            return None;
        }
        if path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            self.report(problem("`health_check_path` may hold no blanks and no `#`"));
            return None;
        }
        Some((path, field))
    }

    /// The answers that are healthy; empty where none are written, which means 200.
    fn statuses(&mut self) -> Vec<u16> {
        let Some(field) = self.field("health_check_status_codes") else {
            return Vec::new();
        };
        let items = if field.scalar().is_some() {
            vec![field.item(field.node)]
        } else {
            self.list(&field)
        };
        if items.is_empty() && matches!(&field.node.kind, yaml::Kind::Seq(_)) {
            let message = "`health_check_status_codes` is empty: no answer would be healthy";
            let help = "name the answers that are, or leave the key out for 200";
            self.report(field.error(Code::HealthCheck, message).help(help));
        }
        let mut all = Vec::new();
        for item in items {
            let status = self
                .read_number(&item)
                .and_then(|status| u16::try_from(status).ok());
            all.extend(status.filter(|status| !all.contains(status)));
        }
        all
    }

    fn headers(&mut self) -> Vec<(String, String)> {
        let Some(field) = self.field("health_check_headers") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let name = &entry.name;
            if !is_token(name) {
                let message = "this is not the name of an HTTP header";
                let problem = field.error(Code::HealthCheck, message).at(child.key_place);
                self.report(problem.help("write letters, digits and dashes, such as `X-Forwarded-Proto`"));
                continue;
            }
            if FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
                let message = format!("`{name}` is a header that every request writes for itself");
                let problem = child.error(Code::HealthCheck, message).at(child.key_place);
                self.report(problem.help("remove it"));
                continue;
            }
            let Some(value) = self.text(&child) else {
                continue;
            };
            if value.bytes().all(|b| matches!(b, b' '..=b'~')) {
                all.push((name.clone(), value));
            } else {
                let message = format!("`{}` has characters that no header may have", child.path);
                let problem = child.error(Code::HealthCheck, message);
                self.report(problem.help("write printable ASCII characters on one line"));
            }
        }
        all
    }

    fn incomplete(&mut self, key: &str) -> Option<HealthCheck> {
        // One that is there and wrong is reported already, and one that is a hole will be there.
        let entry = self.entries.iter().find(|entry| entry.name == key);
        if entry.is_none_or(|entry| Field::top(entry).is_null()) {
            let field = self.field("health_check_type")?;
            let message = format!("this type of health check needs `{key}`");
            self.report(field.error(Code::HealthCheck, message));
        }
        None
    }

    /// The host's port that is asked about.
    fn port(&mut self, port: Option<u16>, ports: &Ports, field: &Field<'_>) -> Option<u16> {
        if self.field("health_check_port").is_some() {
            return port;
        }
        // A hole will be a port.
        if self
            .entries
            .iter()
            .any(|entry| entry.name == "health_check_port" && Field::top(entry).is_broken())
        {
            return None;
        }
        if ports.lowest_tcp.is_none() && ports.complete {
            let message = format!("`{}` is given, but there is no port to ask", field.path);
            let help = "write `health_check_port`; it defaults to the lowest TCP port of `ports` that is neither a range nor bound to an address";
            self.report(
                field
                    .error(Code::HealthCheck, message)
                    .at(field.key_place)
                    .help(help),
            );
        }
        ports.lowest_tcp
    }
}

/// A published port always takes a connection, so the container's own side is asked.
fn container_port(port: u16, mappings: &[PortMapping]) -> u16 {
    mappings
        .iter()
        .find(|mapping| mapping.host == port && mapping.protocol == Protocol::Tcp)
        .map_or(port, |mapping| mapping.container)
}

/// RFC 9110: a header's name.
pub(super) fn is_token(text: &str) -> bool {
    const MARKS: &[u8] = b"!#$%&'*+-.^_`|~";
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || MARKS.contains(&b))
}
