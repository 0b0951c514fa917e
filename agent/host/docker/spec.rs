//! Our container spec in the engine's words.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, HostConfig, HostConfigLogConfig, PortBinding, RestartPolicy, RestartPolicyNameEnum,
};
use monopod_core::config::{EnvValue, Protocol};
use monopod_core::plan::container::{ContainerSpec, LOG_MAX_FILES, LOG_MAX_SIZE};
use monopod_core::plan::reconcile::{LABEL_DIGEST, LABEL_SECRETS, LABEL_SPEC, LABEL_VERSION, SpecHash};

use super::EngineError;

/// How the container is recognised later.
#[derive(Clone, Debug)]
pub struct Labels {
    /// See [`SpecHash`].
    pub spec: SpecHash,
    /// What runs.
    pub digest: String,
    /// Names of the variables whose values are secrets.
    pub secrets: Vec<String>,
    /// `application_id`, for people.
    pub application_id: String,
    /// `application_version`, for people.
    pub application_version: String,
}

impl Labels {
    fn to_map(&self) -> HashMap<String, String> {
        let secrets = self.secrets.join(",");
        [
            (LABEL_SPEC, self.spec.as_str()),
            (LABEL_SECRETS, &secrets),
            (LABEL_DIGEST, &self.digest),
            (LABEL_VERSION, env!("CARGO_PKG_VERSION")),
            ("application_id", &self.application_id),
            ("application_version", &self.application_version),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }
}

/// The body of the create call: the only place where decrypted values are put into anything.
pub(super) fn body(
    spec: &ContainerSpec,
    pinned: &str,
    labels: &Labels,
    memory_total: u64,
    value: impl Fn(&EnvValue) -> Option<String>,
) -> Result<ContainerCreateBody, EngineError> {
    let env = spec
        .environment
        .iter()
        .map(|(name, source)| {
            let value = value(source).ok_or_else(|| EngineError::NoValue { name: name.clone() })?;
            Ok(format!("{name}={value}"))
        })
        .collect::<Result<Vec<String>, EngineError>>()?;
    Ok(ContainerCreateBody {
        image: Some(pinned.to_owned()),
        hostname: spec.hostname.clone(),
        user: spec.user.clone(),
        env: Some(env),
        labels: Some(labels.to_map()),
        exposed_ports: Some(
            spec.ports
                .iter()
                .map(|port| port_key(port.container, port.protocol))
                .collect(),
        ),
        host_config: Some(host_config(spec, memory_total)),
        ..Default::default()
    })
}

fn host_config(spec: &ContainerSpec, memory_total: u64) -> HostConfig {
    let memory = i64::try_from(spec.memory.bytes(memory_total)).unwrap_or(i64::MAX);
    let log = HashMap::from([
        ("max-size".to_owned(), LOG_MAX_SIZE.to_string()),
        ("max-file".to_owned(), LOG_MAX_FILES.to_string()),
        // The other mode drops lines without a word.
        ("mode".to_owned(), "blocking".to_owned()),
    ]);
    let tmpfs = spec
        .read_only
        .then(|| HashMap::from([("/tmp".to_owned(), "rw,nosuid,nodev,mode=1777".to_owned())]));
    HostConfig {
        memory: Some(memory),
        // Equal to the memory limit: no swap on top.
        memory_swap: Some(memory),
        pids_limit: Some(spec.pids_limit),
        cap_drop: Some(spec.capabilities_drop.clone()),
        cap_add: Some(spec.capabilities_add.clone()),
        security_opt: spec
            .no_new_privileges
            .then(|| vec!["no-new-privileges".to_owned()]),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        tmpfs,
        network_mode: Some(spec.networking.to_string()),
        port_bindings: Some(port_bindings(spec)),
        shm_size: spec
            .shm_size
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        // The agent is the only restarter: the engine's own policies bring back what was stopped on purpose.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log),
        }),
        ..Default::default()
    }
}

fn port_bindings(spec: &ContainerSpec) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let binding = PortBinding {
            host_ip: port.host_ip.map(|ip| ip.to_string()),
            host_port: Some(port.host.to_string()),
        };
        bindings
            .entry(port_key(port.container, port.protocol))
            .or_default()
            .get_or_insert_default()
            .push(binding);
    }
    bindings
}

fn port_key(port: u16, protocol: Protocol) -> String {
    format!("{port}/{protocol}")
}
