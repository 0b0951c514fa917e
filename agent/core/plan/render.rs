//! A plan for people and for programs. No secret's value is in a plan, so none can get out here.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use super::container::{ContainerSpec, LOG_MAX_FILES, MemoryLimit, NAME, OptOut};
use super::reconcile::Then;
use super::{Plan, Step, StepId};
use crate::config::{EnvValue, PortMapping, RestartPolicy};
use crate::text;

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DecryptSecrets(uses) if uses.is_empty() => f.write_str("nothing to decrypt"),
            Self::DecryptSecrets(uses) => {
                let names: Vec<&str> = uses
                    .iter()
                    .flat_map(|one| &one.used_by)
                    .map(String::as_str)
                    .collect();
                write!(
                    f,
                    "decrypt {} through KMS for {}",
                    text::count(uses.len() as u64, "value"),
                    names.join(", ")
                )
            }
            Self::ObtainImage(image) => {
                write!(f, "resolve {image} to a digest and pull it unless it is there")
            }
            Self::EnsureContainer(Then::Create) => write!(f, "create {NAME} and start it"),
            Self::EnsureContainer(Then::Adopt { id, .. }) => {
                write!(f, "adopt the running container {}", text::short_id(id))
            }
            Self::EnsureContainer(Then::Resume { id, .. }) => {
                write!(f, "start the container {} again", text::short_id(id))
            }
            Self::AwaitHealth(gate) => write!(f, "wait until {gate}"),
            Self::NotifyReady => f.write_str("tell systemd that the machine is ready"),
        }
    }
}

impl Plan {
    /// The plan as text, for a terminal.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ok = self.write_text(&mut out).is_ok();
        out
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        match &self.facts {
            None => writeln!(
                out,
                "{} on any machine (--facts FILE plans for one)",
                self.application
            )?,
            Some(facts) => {
                writeln!(
                    out,
                    "{} on {} ({}, account {})",
                    self.application, facts.instance_id, facts.region, facts.account_id
                )?;
            }
        }
        writeln!(
            out,
            "\nSteps, inside a boot budget of {}",
            text::duration(self.budget)
        )?;
        for step in self.steps(&Then::Create) {
            let after: Vec<&str> = step.id().after().iter().copied().map(StepId::name).collect();
            writeln!(out, "  {:<10} {}", step.id(), does(&step))?;
            writeln!(out, "  {:<10}   after {}", "", after.join(", "))?;
        }
        writeln!(out, "\nContainer {NAME}")?;
        for (key, value) in self.container.rows() {
            writeln!(out, "  {key:<18} {value}")?;
        }
        writeln!(out, "  {:<18} {}", "when it ends", restart_text(self.restart))?;
        writeln!(
            out,
            "\nEnvironment (written by the engine to its config.v2.json, mode 0600, values included)"
        )?;
        for (name, value) in &self.container.environment {
            writeln!(out, "  {name}={}", env_text(value))?;
        }
        writeln!(out, "\nOpened by this configuration or not shut in this version")?;
        for OptOut { key, opens } in self.container.opt_outs() {
            writeln!(out, "  {key:<18} {opens}")?;
        }
        if !self.warnings.is_empty() {
            writeln!(
                out,
                "\n{}; `monopod validate` shows them in place",
                text::count(self.warnings.len() as u64, "warning")
            )?;
            for problem in &self.warnings {
                writeln!(out, "  {} {}", problem.code, problem.message)?;
            }
        }
        Ok(())
    }

    /// The plan for programs.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps(&Then::Create)
            .iter()
            .map(|step| json!({ "id": step.id(), "after": step.id().after(), "does": does(step) }))
            .collect();
        let secrets: Vec<&Vec<String>> = self.secrets.iter().map(|one| &one.used_by).collect();
        json!({
            "application": self.application,
            "facts": self.facts,
            "boot_budget_seconds": self.budget.as_secs(),
            "steps": steps,
            "container": self.container.to_json(),
            "secrets": secrets,
            "registry_credentials_for": self.registry_auth.as_ref().map(|auth| &auth.registry),
            "gate": self.gate,
            "restart": self.restart.to_string(),
            "opt_outs": self.container.opt_outs(),
            "warnings": self.warnings.iter().map(|problem| json!({
                "code": problem.code.to_string(),
                "line": problem.place.as_ref().map(|place| place.line),
                "column": problem.place.as_ref().map(|place| place.column),
                "key": problem.key,
                "message": problem.message,
                "help": problem.help,
            })).collect::<Vec<_>>(),
        })
    }
}

impl ContainerSpec {
    fn rows(&self) -> Vec<(&'static str, String)> {
        let list = |names: &[String]| {
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        };
        let on = |yes: bool| if yes { "on" } else { "off" }.to_owned();
        let mut rows = vec![
            ("image", self.image.to_string()),
            (
                "user",
                self.user.clone().unwrap_or_else(|| "the image's own".to_owned()),
            ),
            (
                "capabilities",
                format!(
                    "dropped: {}; added: {}",
                    list(&self.capabilities_drop),
                    list(&self.capabilities_add)
                ),
            ),
            ("no-new-privileges", on(self.no_new_privileges)),
            ("privileged", on(self.privileged)),
            (
                "seccomp",
                if self.privileged {
                    "off"
                } else {
                    "the engine's default"
                }
                .to_owned(),
            ),
            (
                "root file system",
                if self.read_only {
                    "read-only, tmpfs at /tmp"
                } else {
                    "writable"
                }
                .to_owned(),
            ),
            ("network", self.networking.to_string()),
        ];
        for port in &self.ports {
            rows.push(("port", port_text(port)));
        }
        if let Some(hostname) = &self.hostname {
            rows.push(("hostname", hostname.clone()));
        }
        if let Some(size) = self.shm_size {
            rows.push(("/dev/shm", text::bytes(size)));
        }
        rows.push(("memory", format!("{}, no swap", memory_text(self.memory))));
        rows.push(("processes", format!("{} at most", self.pids_limit)));
        rows.push((
            "log files",
            format!(
                "json-file, blocking, {LOG_MAX_FILES} x {}",
                text::bytes(self.log_max_size())
            ),
        ));
        rows
    }

    fn to_json(&self) -> Value {
        let environment: serde_json::Map<String, Value> = self
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), env_text(value).into()))
            .collect();
        json!({
            "name": NAME,
            "image": self.image.to_string(),
            "user": self.user,
            "environment": environment,
            "ports": self.ports.iter().map(port_text).collect::<Vec<_>>(),
            "capabilities_drop": self.capabilities_drop,
            "capabilities_add": self.capabilities_add,
            "no_new_privileges": self.no_new_privileges,
            "privileged": self.privileged,
            "read_only": self.read_only,
            "hostname": self.hostname,
            "networking": self.networking.to_string(),
            "shm_size_bytes": self.shm_size,
            "memory": self.memory,
            "pids_limit": self.pids_limit,
            "log_max_size_bytes": self.log_max_size(),
            "log_max_files": LOG_MAX_FILES,
        })
    }
}

/// What only the engine can tell is left open in a plan.
fn does(step: &Step) -> String {
    match step {
        Step::EnsureContainer(_) => {
            format!(
                "adopt {NAME} if it is the right one; else remove what is there, {step}: exactly one container"
            )
        }
        step => step.to_string(),
    }
}

fn memory_text(limit: MemoryLimit) -> String {
    match limit {
        MemoryLimit::Bytes(bytes) => text::bytes(bytes),
        MemoryLimit::HostLessReserve => "the machine's, less the larger of 256 MiB and 10 %".to_owned(),
    }
}

fn env_text(value: &EnvValue) -> String {
    match value {
        EnvValue::Plain(value) => value.clone(),
        EnvValue::Kms(_) => "<kms>".to_owned(),
    }
}

fn port_text(port: &PortMapping) -> String {
    let host = port.host_ip.map_or_else(String::new, |ip| format!("{ip}:"));
    format!("{host}{} -> {}/{}", port.host, port.container, port.protocol)
}

fn restart_text(policy: RestartPolicy) -> &'static str {
    match policy {
        RestartPolicy::Always => "started again, always",
        RestartPolicy::OnFailure => "started again unless it ended with 0",
        RestartPolicy::Never => "left as it is",
    }
}
