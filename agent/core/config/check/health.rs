//! The gate a new container has to pass.

use super::super::model::{HealthCheck, Probe};
use super::super::problem::Code;
use super::Checker;
use super::ports::Ports;

/// As long as Taupage waited.
const DEFAULT_TIMEOUT_SECONDS: u32 = 60;
/// A day.
const MAX_TIMEOUT_SECONDS: u32 = 86_400;

impl Checker<'_> {
    pub(super) fn health_check(&mut self, ports: &Ports) -> Option<HealthCheck> {
        let port_field = self.field("health_check_port");
        let port = port_field
            .as_ref()
            .map(|field| self.take(field.number(1, 65_535)));
        let timeout_field = self.field("health_check_timeout_seconds");
        let timeout = timeout_field
            .as_ref()
            .map(|field| self.take(field.number(1, MAX_TIMEOUT_SECONDS)));

        let path = self.field("health_check_path").and_then(|field| {
            let read = self.take(field.text())?;
            Some((self.warned(read), field))
        });
        let Some((path, field)) = path.filter(|(path, _)| !path.is_empty()) else {
            // An unreadable path is reported already.
            if self.field("health_check_path").is_none() {
                for field in port_field.iter().chain(&timeout_field) {
                    let message = format!("`{}` has no effect without `health_check_path`", field.path);
                    self.report(field.warning(Code::HealthCheck, message).at(field.key_place));
                }
            }
            return None;
        };
        if !path.starts_with('/') {
            let problem = field.error(Code::HealthCheck, "`health_check_path` has to begin with `/`");
            self.report(problem.help("put a `/` in front of it; host and port are not part of the path"));
            return None;
        }
        if path.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            self.report(field.error(Code::HealthCheck, "`health_check_path` has no blanks and no `#`"));
            return None;
        }
        let port = match port {
            Some(port) => u16::try_from(port?).ok()?,
            None => match ports.lowest_tcp {
                Some(port) => port,
                None => {
                    if ports.complete {
                        let message = "`health_check_path` is given, but there is no port to ask";
                        let help = "write `health_check_port`; it defaults to the lowest TCP port of `ports` that is neither a range nor bound to an address";
                        self.report(
                            field
                                .error(Code::HealthCheck, message)
                                .at(field.key_place)
                                .help(help),
                        );
                    }
                    return None;
                }
            },
        };
        let timeout_seconds = match timeout {
            Some(timeout) => timeout?,
            None => DEFAULT_TIMEOUT_SECONDS,
        };
        Some(HealthCheck {
            probe: Probe::Http { port, path },
            timeout_seconds,
            interval_seconds: 2,
            probe_timeout_seconds: 5,
            healthy_threshold: 1,
        })
    }
}
