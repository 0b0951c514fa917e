//! What the user asked for, as one deterministic value to hash.
//!
//! Only what was written is in it, never a default of ours: a new default must not replace a running
//! container. Secrets are in it as references (a KMS ciphertext), registry logins not at all:
//! rotating a registry's password leaves the container alone. The health check and the restart
//! policy are ours to carry out and don't change the container either.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::model::{Config, EnvValue, Gpus, Options, PortMapping, Storage};
use crate::machine::container_sysctls;
use crate::storage::{is_mounted, is_read_only};

impl Config {
    /// A description of the container the user wrote, without secrets, the same for the same intent.
    ///
    /// Order in the file plays no part. Maps are filled in sorted order, so the text of the value is
    /// deterministic whatever map type `serde_json` was built with.
    pub fn canonical(&self) -> Value {
        let mut keys: BTreeMap<&str, Value> = BTreeMap::new();
        keys.insert("application_id", json!(self.application_id));
        keys.insert("application_version", json!(self.application_version));
        keys.insert("source", json!(self.source.canonical()));
        let mut put = |key, value: Option<Value>| {
            if let Some(value) = value {
                keys.insert(key, value);
            }
        };
        put("ports", self.ports.as_deref().map(ports));
        put("environment", self.environment.as_deref().map(environment));
        put("capabilities_add", self.capabilities_add.as_deref().map(sorted));
        put("capabilities_drop", self.capabilities_drop.as_deref().map(sorted));
        put("root", self.root.map(Value::from));
        put("privileged", self.privileged.map(Value::from));
        put("read_only", self.read_only.map(Value::from));
        put("hostname", self.hostname.as_deref().map(Value::from));
        put(
            "networking",
            self.networking.map(|networking| json!(networking.to_string())),
        );
        // The container of whoever leaves it open is the one there was before there was this key. What `egress` says is the
        // machine's to carry out.
        put(
            "instance_metadata",
            self.firewall
                .instance_metadata
                .filter(|open| !open)
                .map(Value::from),
        );
        put("shm_size", self.shm_size.map(Value::from));
        put("deployment_id", self.deployment_id.as_deref().map(Value::from));
        put(
            "tokeninfo_url",
            self.host.tokeninfo_url.as_deref().map(Value::from),
        );
        // Not written and `false` are the same container, and no file that was written before these keys worked changes
        // its hash for that.
        put(
            "local_planb_tokeninfo",
            self.host.local_planb_tokeninfo.filter(|on| *on).map(Value::from),
        );
        put(
            "etcd_discovery_domain",
            self.host.etcd_discovery_domain.as_deref().map(Value::from),
        );
        // Those of the machine are none of the container's business.
        let sysctl: BTreeMap<String, String> = container_sysctls(self).into_iter().collect();
        put("sysctl", (!sysctl.is_empty()).then(|| json!(sysctl)));
        put(
            "mint_bucket",
            self.delivered.mint_bucket.as_deref().map(Value::from),
        );
        put(
            "secrets",
            (!self.delivered.secrets.is_empty()).then(|| {
                let secrets: BTreeMap<&str, String> = self
                    .delivered
                    .secrets
                    .iter()
                    .map(|(name, reference)| (name.as_str(), reference.canonical()))
                    .collect();
                json!(secrets)
            }),
        );
        put("mounts", mounts(&self.storage));
        put("volumes", volumes(&self.storage));
        options(&self.options, &mut put);
        keys.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

/// How the container is made; how it is stopped and how big its logs may be are part of that to the engine.
fn options(options: &Options, put: &mut impl FnMut(&'static str, Option<Value>)) {
    let unordered = |mut texts: Vec<String>| {
        texts.sort_unstable();
        (!texts.is_empty()).then(|| json!(texts))
    };
    put(
        "entrypoint",
        options.entrypoint.as_ref().map(|words| json!(words)),
    );
    put("command", options.command.as_ref().map(|words| json!(words)));
    put("user", options.user.as_deref().map(Value::from));
    put("memory", options.memory.map(Value::from));
    put("nano_cpus", options.nano_cpus.map(Value::from));
    put("pids_limit", options.pids_limit.map(Value::from));
    put("stop_signal", options.stop_signal.as_deref().map(Value::from));
    put("stop_timeout", options.stop_timeout.map(Value::from));
    put(
        "seccomp",
        options.seccomp.as_ref().map(|seccomp| json!(seccomp.to_string())),
    );
    put("log_budget", options.log_budget.map(Value::from));
    put("gpus", options.gpus.map(|gpus| json!(gpus == Gpus::All)));
    for (key, flag) in [
        ("mount_certs", options.mount_certs),
        ("mount_var_log", options.mount_var_log),
        ("mount_custom_log", options.mount_custom_log),
        ("docker_daemon_access", options.docker_daemon_access),
    ] {
        put(key, flag.map(Value::from));
    }
    put(
        "ulimits",
        unordered(
            options
                .ulimits
                .iter()
                .map(|one| format!("{}={}:{}", one.name, one.soft, one.hard))
                .collect(),
        ),
    );
    put(
        "tmpfs",
        unordered(
            options
                .tmpfs
                .iter()
                .map(|one| format!("{}:{}", one.path, one.options))
                .collect(),
        ),
    );
    // The resolver asks name servers in their order.
    put("dns", (!options.dns.is_empty()).then(|| json!(options.dns)));
    put(
        "extra_hosts",
        unordered(
            options
                .extra_hosts
                .iter()
                .map(|one| format!("{}:{}", one.name, one.address))
                .collect(),
        ),
    );
    put(
        "files",
        (!options.files.is_empty()).then(|| {
            let files: BTreeMap<&str, Value> = options
                .files
                .iter()
                .map(|file| (file.path.as_str(), value(&file.content)))
                .collect();
            json!(files)
        }),
    );
}

/// What is bound where, and out of which device: the same container on another disk is another container. How a device is made
/// ready, its file system and whether it is erased, is the machine's matter, and changes no container that runs.
fn mounts(storage: &Storage) -> Option<Value> {
    let mounts: BTreeMap<&str, Value> = storage
        .mounts
        .iter()
        .map(|mount| {
            let device = mount.partition.as_deref().unwrap_or(mount.filesystem.word());
            let device = if is_mounted(mount) { device } else { "a directory" };
            let read_only = is_read_only(mount.options.as_deref());
            (mount.path.as_str(), json!([device, read_only]))
        })
        .collect();
    (!mounts.is_empty()).then(|| json!(mounts))
}

/// Only what mounts come from: names of volumes and the devices of arrays.
fn volumes(storage: &Storage) -> Option<Value> {
    let ebs = storage
        .ebs
        .iter()
        .map(|one| (one.device.as_str(), json!(one.name_tag)));
    let raid = storage.raid.iter().map(|one| {
        (
            one.device.as_str(),
            json!([one.level.number(), sorted(&one.members)]),
        )
    });
    let volumes: BTreeMap<&str, Value> = ebs.chain(raid).collect();
    (!volumes.is_empty()).then(|| json!(volumes))
}

fn ports(ports: &[PortMapping]) -> Value {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    let text = |port: &PortMapping| {
        let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
        format!("{ip}{}:{}/{}", port.host, port.container, port.protocol)
    };
    ports.iter().map(text).collect()
}

fn environment(variables: &[(String, EnvValue)]) -> Value {
    let variables: BTreeMap<&str, Value> = variables
        .iter()
        .map(|(name, one)| (name.as_str(), value(one)))
        .collect();
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// A plain value is a string and a reference a map, so that neither can pass for the other.
fn value(value: &EnvValue) -> Value {
    match value {
        EnvValue::Plain(text) => json!(text),
        EnvValue::Secret(reference) => json!({"secret": reference.canonical()}),
    }
}

fn sorted(names: &[String]) -> Value {
    let mut names = names.to_vec();
    names.sort_unstable();
    json!(names)
}
