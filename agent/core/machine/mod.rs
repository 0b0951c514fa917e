//! What the user data asks of the machine around the container: kernel settings, sshd, the cloud image's own users, the
//! rotation of custom logs, and by which of the engine's ways graphics processors are asked for.
//!
//! Design: [`MachinePlan`] is the machine's part of a plan, as values; `monopod prepare` carries it out before the container
//! is made. A kernel setting belongs either to the machine or to the container's own namespaces ([`sysctl`]), never to both:
//! what a namespace has a value of its own for is not seen in it when the machine's is changed.
//!
//! Invariants: what the user data leaves out is left as the machine's image has it, and what an earlier boot wrote for a
//! key that is gone is taken back. Nothing here can shut the last way in: an empty list of ports is no list.
//!
//! It deliberately holds no secret: a kernel setting is read by everybody on the machine.

pub mod cloud_init;
pub mod gpu;
pub mod logrotate;
pub mod sshd;
pub mod sysctl;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::config::{Config, Networking};
use crate::plan::container::CUSTOM_LOG;
use crate::plan::logs::budget;
use logrotate::CustomLogs;

/// The machine's part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MachinePlan {
    /// Kernel settings of the machine: name and value.
    pub sysctl: Vec<(String, String)>,
    /// Files below `/sys` and their values.
    pub sysfs: Vec<(String, String)>,
    /// Where sshd listens; where the image says when empty.
    pub ssh_ports: Vec<u16>,
    /// sshd's GatewayPorts.
    pub ssh_gateway_ports: Option<String>,
    /// Whether the cloud image's authorized_keys stay. Nobody's are touched where nobody said anything.
    pub keep_instance_users: Option<bool>,
    /// How the application's own log files are rotated, where it has any.
    pub custom_logs: Option<CustomLogs>,
}

impl MachinePlan {
    /// What a checked config asks for.
    pub fn new(config: &Config) -> Self {
        let host = config.host();
        let networking = config.networking();
        Self {
            sysctl: host
                .sysctl
                .iter()
                .filter(|(name, _)| !sysctl::is_of_container(name, networking))
                .cloned()
                .collect(),
            sysfs: host.sysfs.clone(),
            ssh_ports: host.ssh_ports.clone(),
            ssh_gateway_ports: host.ssh_gateway_ports.clone(),
            keep_instance_users: host.keep_instance_users,
            custom_logs: custom_logs(config),
        }
    }

    /// For people: one row each.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let settings = |rows: &mut Vec<_>, key, all: &[(String, String)]| {
            for (name, value) in all {
                rows.push((key, format!("{name} = {value}")));
            }
        };
        let mut rows = Vec::new();
        settings(&mut rows, "sysctl", &self.sysctl);
        settings(&mut rows, "sysfs", &self.sysfs);
        if !self.ssh_ports.is_empty() {
            let ports: Vec<String> = self.ssh_ports.iter().map(u16::to_string).collect();
            rows.push(("sshd listens on", ports.join(", ")));
        }
        if let Some(gateway) = &self.ssh_gateway_ports {
            rows.push(("sshd GatewayPorts", gateway.clone()));
        }
        match self.keep_instance_users {
            Some(false) => rows.push((
                "instance users",
                "the authorized_keys of the cloud image's own users are removed".to_owned(),
            )),
            Some(true) => rows.push(("instance users", "stay as they are".to_owned())),
            None => {}
        }
        if let Some(logs) = &self.custom_logs {
            rows.push(("custom logs", logs.to_string()));
        }
        rows
    }
}

/// The container's own: name and value, in the order of their names.
pub(crate) fn container_sysctls(config: &Config) -> Vec<(String, String)> {
    of_container(&config.host().sysctl, config.networking())
}

/// The same, from the parts, for what is hashed.
pub(crate) fn of_container(all: &[(String, String)], networking: Networking) -> Vec<(String, String)> {
    let mut own: Vec<(String, String)> = all
        .iter()
        .filter(|(name, _)| sysctl::is_of_container(name, networking))
        .cloned()
        .collect();
    own.sort_unstable();
    own
}

fn custom_logs(config: &Config) -> Option<CustomLogs> {
    let options = config.options();
    if options.mount_custom_log != Some(true) {
        return None;
    }
    let split = budget::split(options.log_budget.unwrap_or(budget::LOG_BUDGET), true);
    let asked = &config.logging().customlog_logrotate;
    let rotate = budget::rotate(asked, budget::CUSTOM, split.custom_logs);
    Some(CustomLogs {
        folder: CUSTOM_LOG.source,
        size: rotate.size,
        interval: asked.interval.clone().unwrap_or_else(|| "daily".to_owned()),
        keep: rotate.keep,
    })
}
