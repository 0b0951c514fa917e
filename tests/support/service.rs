//! The image `service` while it runs: what a probe hears, how it ends, what it has seen. See programs/service.rs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::machine::Machine;
use crate::wait::wait_until;

/// The program itself, static; `images/service.sh` has to be around it.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("RIG_SERVICE"))
}

/// A running container of the image `service`, by the port where the machine has it.
#[derive(Clone, Copy)]
pub struct Service<'a> {
    machine: &'a Machine,
    port: u16,
}

impl<'a> Service<'a> {
    /// The one at this port; it need not be there yet.
    #[must_use]
    pub fn at(machine: &'a Machine, port: u16) -> Self {
        Self { machine, port }
    }

    fn ask(&self, path: &str) -> String {
        let answer = wait_until(Duration::from_secs(10), || {
            self.machine.http_get(self.port, path).ok()
        });
        let answer = answer.unwrap_or_else(|| panic!("rig: nobody answers GET {path} at port {}", self.port));
        answer.text()
    }

    /// What `/health` answers from now on, until the container is started again.
    pub fn status(&self, status: u16) {
        self.ask(&format!("/set?status={status}"));
    }

    /// The same, and after restarts of the container too: restarts don't help.
    pub fn status_for_good(&self, status: u16) {
        self.ask(&format!("/set?status={status}&keep=1"));
    }

    /// How long `/health` takes from now on.
    pub fn slow(&self, time: Duration) {
        self.ask(&format!("/slow?ms={}", time.as_millis()));
    }

    /// It ends with this code.
    pub fn exit(&self, code: u8) {
        self.ask(&format!("/exit?code={code}"));
    }

    /// Whether SIGTERM is ignored from now on.
    pub fn ignore_sigterm(&self, ignore: bool) {
        self.ask(&format!("/sigterm?ignore={}", u8::from(ignore)));
    }

    /// How long it lives after SIGTERM.
    pub fn sigterm_takes(&self, time: Duration) {
        self.ask(&format!("/sigterm?ms={}", time.as_millis()));
    }

    fn seen(&self) -> Value {
        let text = self.ask("/seen");
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("rig: the service says no JSON: {e}: {text}"))
    }

    /// How often `/health` was asked since it started.
    #[must_use]
    pub fn health_asks(&self) -> u64 {
        self.seen()["health"].as_u64().unwrap_or(0)
    }

    /// The headers of the last ask, their names in lower case.
    #[must_use]
    pub fn health_headers(&self) -> BTreeMap<String, String> {
        let seen = self.seen();
        let headers = seen["headers"].as_object().into_iter().flatten();
        headers
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect()
    }

    /// When a container of this image has got SIGTERM, each time, as its log says.
    #[must_use]
    pub fn sigterms(machine: &Machine, container: &str) -> Vec<SystemTime> {
        let log = machine.docker_ok(&["logs", container]);
        let times = log
            .lines()
            .filter_map(|line| line.strip_prefix("SIGTERM received at ")?.trim().parse().ok());
        times
            .map(|millis| UNIX_EPOCH + Duration::from_millis(millis))
            .collect()
    }
}
