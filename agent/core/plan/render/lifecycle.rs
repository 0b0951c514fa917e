//! What happens when the container or the machine ends or fails.

use std::time::Duration;

use serde_json::{Value, json};

use crate::config::{Probe, RestartPolicy};
use crate::lifecycle::{Brakes, LifecyclePlan, OnBootFailure, OnUnhealthy, Shutdown, SignalTarget};
use crate::plan::container::ContainerSpec;
use crate::plan::{Gate, Plan};
use crate::text;

impl Plan {
    pub(super) fn lifecycle_rows(&self) -> Vec<(&'static str, String)> {
        let life = &self.lifecycle;
        let mut rows = vec![
            ("after the boot", watch_text(&self.gate)),
            ("unhealthy", unhealthy_text(life.on_unhealthy, &life.brakes)),
            ("container ends", restart_text(self.restart).to_owned()),
            ("machine then", shutdown_text(life.shutdown).to_owned()),
            ("boot fails", boot_failure_text(life.on_boot_failure).to_owned()),
            ("machine leaves", leave_text(life, &self.container)),
            (
                "rebalance notice",
                if life.drain.on_rebalance {
                    "the machine leaves"
                } else {
                    "reported"
                }
                .to_owned(),
            ),
            (
                "status",
                life.status_address
                    .0
                    .map_or_else(|| "not served".to_owned(), |address| format!("http://{address}")),
            ),
        ];
        if let Some(host) = life.signal.as_ref().and_then(SignalTarget::wait_handle_host) {
            rows.push((
                "also told",
                format!("the wait handle at {host}, with the reason of a failure"),
            ));
        }
        rows
    }

    pub(super) fn lifecycle_json(&self) -> Value {
        let life = &self.lifecycle;
        json!({
            "signal": life.signal.as_ref().map(|target| json!({
                "stack": target.stack,
                "resource": target.resource,
                "sign": target.sign,
                "wait_handle_host": target.wait_handle_host(),
            })),
            "hooks": life.hooks,
            "balancers": (!life.balancers.all.is_empty()).then_some(&life.balancers),
            "on_boot_failure": life.on_boot_failure,
            "on_unhealthy": life.on_unhealthy,
            "replace": (life.on_unhealthy == OnUnhealthy::Replace).then_some(&life.brakes),
            "shutdown": life.shutdown,
            "drain": life.drain,
            "status_address": life.status_address.0.map(|address| address.to_string()),
        })
    }
}

fn seconds(number: u32) -> String {
    text::duration(Duration::from_secs(u64::from(number)))
}

fn watch_text(gate: &Gate) -> String {
    if !gate.asks() {
        return "nothing is asked: what runs is healthy, unless the image says how to tell".to_owned();
    }
    let failures = match gate.unhealthy_threshold {
        1 => "one failure is unhealthy".to_owned(),
        number => format!("{number} failures in a row are unhealthy"),
    };
    let mut out = format!("asked every {}; {failures}", seconds(gate.watch_interval_seconds));
    if gate.start_period_seconds > 0 {
        let period = seconds(gate.start_period_seconds);
        out.push_str(", those of the first ");
        out.push_str(&period);
        out.push_str(" after a start left out");
    }
    if let Probe::Http { headers, .. } = &gate.probe
        && !headers.is_empty()
    {
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        out.push_str("; with headers of its own: ");
        out.push_str(&names.join(", "));
    }
    out
}

fn ask_group(brakes: &Brakes) -> String {
    format!(
        "the Auto Scaling group is asked to replace the machine, not before {} after its launch, and not if more than {} % of the group are unhealthy",
        seconds(brakes.min_uptime_seconds),
        brakes.max_unhealthy_percent
    )
}

fn unhealthy_text(on: OnUnhealthy, brakes: &Brakes) -> String {
    match on {
        OnUnhealthy::Restart => "the container is restarted".to_owned(),
        OnUnhealthy::Replace => format!(
            "the container is restarted; if that does not help, {}",
            ask_group(brakes)
        ),
        OnUnhealthy::Ignore => "reported".to_owned(),
    }
}

const fn boot_failure_text(on: OnBootFailure) -> &'static str {
    match on {
        OnBootFailure::Stay => "the machine stays for inspection",
        OnBootFailure::Poweroff => "the machine is powered off",
        OnBootFailure::Replace => "the Auto Scaling group is asked to replace the machine, at once",
    }
}

fn restart_text(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "started again, always",
        RestartPolicy::OnFailure => "started again unless it ended with 0",
        RestartPolicy::Never => "left as it is",
    }
}

fn shutdown_text(shutdown: Shutdown) -> &'static str {
    match shutdown {
        Shutdown::Never => "stays on",
        Shutdown::OnExit => "powered off once the container has ended for good",
        Shutdown::OnSuccess => "powered off once the container has ended with 0",
    }
}

fn leave_text(life: &LifecyclePlan, container: &ContainerSpec) -> String {
    let mut parts: Vec<String> = Vec::new();
    if !life.balancers.all.is_empty() {
        let names: Vec<String> = life.balancers.all.iter().map(ToString::to_string).collect();
        parts.push(format!("out of {}", names.join(", ")));
    }
    let signal = container.stop_signal.as_deref().unwrap_or("stop signal");
    parts.push(format!(
        "the container gets its {signal} and {}",
        seconds(life.drain.stop_timeout_seconds)
    ));
    parts.push("the last lines go out".to_owned());
    if let Some(hook) = &life.hooks.terminate {
        parts.push(format!("CONTINUE for the hook {hook}"));
    }
    format!(
        "{}; {} at most, 2 min for a spot interruption",
        parts.join(", then "),
        seconds(life.drain.timeout_seconds)
    )
}
