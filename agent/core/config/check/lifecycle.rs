//! What becomes of a machine that fails or has to go, and whom it asks and tells.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::model::{HealthCheck, RestartPolicy};
use super::super::problem::{Code, Problem};
use super::super::yaml::{Resolved, Scalar};
use super::Checker;
use super::units;
use crate::lifecycle::{
    Balancers, Brakes, DrainPlan, Hooks, LifecyclePlan, OnBootFailure, OnUnhealthy, Shutdown, SignalTarget,
    StatusAddress,
};
use crate::plan::container::STOP_TIMEOUT;

/// What else the user data says that bears on it.
pub(super) struct Beside<'a> {
    pub(super) signal: Option<SignalTarget>,
    pub(super) restart: RestartPolicy,
    pub(super) gate: Option<&'a HealthCheck>,
    pub(super) stop_timeout: Option<u32>,
    pub(super) boot_timeout: Duration,
}

impl Checker<'_> {
    pub(super) fn lifecycle(&mut self, beside: &Beside<'_>) -> LifecyclePlan {
        let balancers = self.balancers();
        self.gates_fit(&balancers, beside);
        let on_boot_failure = match self.word_of("on_boot_failure") {
            Some("poweroff") => OnBootFailure::Poweroff,
            Some("replace") => OnBootFailure::Replace,
            _ => OnBootFailure::Stay,
        };
        let on_unhealthy = match self.word_of("on_unhealthy") {
            Some("replace") => OnUnhealthy::Replace,
            Some("ignore") => OnUnhealthy::Ignore,
            _ => OnUnhealthy::Restart,
        };
        let replaces = on_unhealthy == OnUnhealthy::Replace;
        LifecyclePlan {
            signal: beside.signal.clone(),
            hooks: self.lifecycle_hooks(),
            balancers,
            on_boot_failure,
            on_unhealthy,
            brakes: self.brakes(replaces),
            shutdown: self.shutdown(beside.restart),
            drain: self.drain(beside.stop_timeout.unwrap_or(STOP_TIMEOUT)),
            status_address: self.status_address(),
        }
    }

    fn word_of(&mut self, key: &str) -> Option<&'static str> {
        let field = self.field(key)?;
        self.choice(&field)
    }

    /// A warning where the last of two waits would be cut off by the boot's end.
    fn gates_fit(&mut self, balancers: &Balancers, beside: &Beside<'_>) {
        let gate = beside.gate.map_or(0, |gate| gate.timeout_seconds);
        let (gate, budget) = (Duration::from_secs(u64::from(gate)), beside.boot_timeout);
        // A health check that is longer than the whole boot is reported as that.
        if balancers.all.is_empty() || gate > budget || gate + balancers.timeout() <= budget {
            return;
        }
        let Some(field) = self.field("healthcheck") else {
            return;
        };
        let text = |time: Duration| units::time(u32::try_from(time.as_secs()).unwrap_or(u32::MAX));
        let message = format!(
            "the health check may take {} and the load balancers {}, and the whole boot has {}",
            text(gate),
            text(balancers.timeout()),
            text(budget)
        );
        let problem = field.warning(Code::OverBudget, message).at(field.key_place);
        self.report(problem.help("raise `boot_timeout`, or lower one of the two"));
    }

    fn lifecycle_hooks(&mut self) -> Hooks {
        let Some(section) = self
            .field("lifecycle_hooks")
            .and_then(|field| self.section(field))
        else {
            return Hooks::default();
        };
        let group = section.get("group").and_then(|field| self.word(&field));
        let [launch, terminate] = ["launch", "terminate"].map(|name| {
            let field = section.get(name)?;
            let hook = self.word(&field)?;
            if is_hook(&hook) {
                return Some(hook);
            }
            let message = format!("`{}` is not the name of a lifecycle hook", field.path);
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help("write up to 255 letters, digits, dashes, underscores and slashes"));
            None
        });
        let is_there = |name: &str| section.stands(name).is_some_and(|field| !field.is_null());
        if !is_there("launch")
            && !is_there("terminate")
            && let Some(field) = self.field("lifecycle_hooks")
        {
            let message = "`lifecycle_hooks` has neither `launch` nor `terminate`";
            let problem = Problem::error(Code::Missing, message).at(field.key_place);
            self.report(
                problem
                    .key(field.path)
                    .help("write `launch: NAME`, `terminate: NAME` or both below it"),
            );
        }
        Hooks {
            group,
            launch,
            terminate,
        }
    }

    fn brakes(&mut self, replaces: bool) -> Brakes {
        let default = Brakes::default();
        let Some(section) = self.field("replace").and_then(|field| self.section(field)) else {
            return default;
        };
        let min_uptime = section
            .get("min_uptime")
            .and_then(|field| self.take(field.time()));
        let percent = section
            .get("max_unhealthy_percent")
            .and_then(|field| self.read_number(&field));
        if !replaces && let Some(field) = self.field("replace") {
            let message = "`replace` has no effect without `on_unhealthy: replace`";
            self.report(field.warning(Code::NoEffectHere, message).at(field.key_place));
        }
        Brakes {
            min_uptime_seconds: min_uptime.unwrap_or(default.min_uptime_seconds),
            max_unhealthy_percent: percent.unwrap_or(default.max_unhealthy_percent),
        }
    }

    fn shutdown(&mut self, restart: RestartPolicy) -> Shutdown {
        let Some(field) = self.field("shutdown") else {
            return Shutdown::Never;
        };
        // `off` is a boolean in YAML; whoever wrote it did not want the machine powered off.
        let off = |scalar: &Scalar| {
            scalar.value == Resolved::Bool(false) || matches!(scalar.text.as_str(), "off" | "no")
        };
        if field.scalar().is_some_and(off) {
            let problem = field.warning(Code::Coerced, "`shutdown` says no, and is taken as `never`");
            self.report(problem.help("write `shutdown: never`"));
            return Shutdown::Never;
        }
        let shutdown = match self.choice(&field) {
            Some("on-exit") => Shutdown::OnExit,
            Some("on-success") => Shutdown::OnSuccess,
            _ => Shutdown::Never,
        };
        if shutdown != Shutdown::Never && restart == RestartPolicy::Always {
            let message = "`shutdown` waits for a container that ends, and `restart: always` starts it again";
            let problem = field.warning(Code::NoEffectHere, message).at(field.key_place);
            self.report(problem.help("write `restart: on-failure` for a job, or remove `shutdown`"));
        }
        shutdown
    }

    fn drain(&mut self, stop_timeout_seconds: u32) -> DrainPlan {
        let default = DrainPlan::default();
        let timeout_seconds = self.time("drain_timeout").unwrap_or(default.timeout_seconds);
        if timeout_seconds < stop_timeout_seconds
            && let Some(field) = ["drain_timeout", "stop_timeout"]
                .iter()
                .find_map(|key| self.field(key))
        {
            let message = format!(
                "a drain has {} altogether, and the container's `stop_timeout` alone is {}",
                units::time(timeout_seconds),
                units::time(stop_timeout_seconds)
            );
            let problem = field.warning(Code::OverBudget, message);
            self.report(problem.help("raise `drain_timeout` above `stop_timeout`"));
        }
        DrainPlan {
            on_rebalance: self.word_of("on_rebalance") == Some("drain"),
            timeout_seconds,
            stop_timeout_seconds,
        }
    }

    fn status_address(&mut self) -> StatusAddress {
        let Some(field) = self.field("status_address") else {
            return StatusAddress::default();
        };
        let Some(text) = self.word(&field) else {
            return StatusAddress::default();
        };
        if text == "none" {
            return StatusAddress(None);
        }
        // A zone would be one of this machine's interfaces, whose numbers nobody knows beforehand.
        let address = text
            .parse::<SocketAddr>()
            .ok()
            .filter(|address| address.port() != 0 && !text.contains('%'));
        if address.is_none() {
            let message = "`status_address` has to be an IP address with a port, or `none`";
            let problem = field.error(Code::BadValue, message);
            self.report(
                problem.help("write `status_address: 127.0.0.1:9180`, or `\"[::1]:9180\"` in quotes"),
            );
        }
        // A wrong one does not say `none`.
        address.map_or_else(StatusAddress::default, |address| StatusAddress(Some(address)))
    }
}

/// Whether a lifecycle hook may be called this.
pub(in crate::config) fn is_hook(text: &str) -> bool {
    text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/'))
}
