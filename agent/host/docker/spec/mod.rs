//! Our container spec in the engine's words.

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountBindOptions,
    MountBindOptionsPropagationEnum, MountType, PortBinding, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use monopod_core::config::{EnvValue, Protocol, Seccomp, Tmpfs};
use monopod_core::machine::gpu::{self, Way};
use monopod_core::plan::container::{ContainerSpec, LOG_MAX_FILES};
use monopod_core::plan::reconcile::{
    LABEL_DIGEST, LABEL_SECRETS, LABEL_SOURCE, LABEL_SPEC, LABEL_VERSION, SpecHash,
};

use super::EngineError;
use crate::host::delivery::{self, Delivery};
use crate::host::secret_set::SecretSet;
use crate::host::surroundings::{self, Surroundings};

/// How the container is recognised later.
#[derive(Clone, Debug)]
pub struct Labels {
    /// See [`SpecHash`].
    pub spec: SpecHash,
    /// What runs.
    pub digest: String,
    /// What the user asked for, in full.
    pub source: String,
    /// Names of the variables whose values are secrets.
    pub secrets: Vec<String>,
    /// `application_id`, for people.
    pub application_id: String,
    /// `application_version`, for people.
    pub application_version: String,
}

impl Labels {
    fn to_map(&self, deployment_id: Option<&str>) -> HashMap<String, String> {
        let secrets = self.secrets.join(",");
        [
            (LABEL_SPEC, self.spec.as_str()),
            (LABEL_SECRETS, &secrets),
            (LABEL_DIGEST, &self.digest),
            (LABEL_SOURCE, &self.source),
            (LABEL_VERSION, env!("CARGO_PKG_VERSION")),
            ("application_id", &self.application_id),
            ("application_version", &self.application_version),
        ]
        .into_iter()
        .chain(deployment_id.map(|id| ("deployment_id", id)))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
    }
}

/// What is known about a container when it is made.
#[derive(Clone, Copy, Debug)]
pub struct Made<'a> {
    /// What the user asked for.
    pub spec: &'a ContainerSpec,
    /// The image by its digest.
    pub pinned: &'a str,
    /// How it is recognised later.
    pub labels: &'a Labels,
    /// The spec's holes.
    pub machine: &'a Surroundings,
    /// Where its files lie.
    pub files: &'a Delivery,
    /// Where its sets of secret files lie.
    pub sets: &'a [SecretSet],
}

/// The body of the create call: the only place where decrypted values are put into anything.
pub(super) fn body(
    made: Made<'_>,
    value: impl Fn(&EnvValue) -> Option<String>,
) -> Result<ContainerCreateBody, EngineError> {
    let spec = made.spec;
    let env = spec
        .environment
        .iter()
        .map(|(name, source)| {
            let value = value(source).ok_or_else(|| EngineError::NoValue { name: name.clone() })?;
            Ok(format!("{name}={value}"))
        })
        .chain(
            made.machine
                .variables
                .iter()
                .map(|(name, value)| Ok(format!("{name}={value}"))),
        )
        .collect::<Result<Vec<String>, EngineError>>()?;
    Ok(ContainerCreateBody {
        image: Some(made.pinned.to_owned()),
        hostname: spec.hostname.clone(),
        user: spec.user.clone(),
        env: Some(env),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(i64::from(spec.stop_timeout)),
        labels: Some(made.labels.to_map(spec.deployment_id.as_deref())),
        exposed_ports: Some(
            spec.ports
                .iter()
                .map(|port| port_key(port.container, port.protocol))
                .collect(),
        ),
        host_config: Some(host_config(made)),
        ..Default::default()
    })
}

fn host_config(made: Made<'_>) -> HostConfig {
    let Made { spec, machine, .. } = made;
    let memory = clamped(spec.memory.bytes(machine.memory_total));
    let log = HashMap::from([
        ("max-size".to_owned(), spec.log_max_size().to_string()),
        ("max-file".to_owned(), LOG_MAX_FILES.to_string()),
        // The other mode drops lines without a word.
        ("mode".to_owned(), "blocking".to_owned()),
    ]);
    HostConfig {
        memory: Some(memory),
        // Equal to the memory limit: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: spec.nano_cpus.map(clamped),
        pids_limit: Some(spec.pids_limit),
        ulimits: given(ulimits(spec)),
        cap_drop: Some(spec.capabilities_drop.clone()),
        cap_add: Some(spec.capabilities_add.clone()),
        security_opt: given(security(made)),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        tmpfs: (!spec.tmpfs.is_empty()).then(|| spec.tmpfs.iter().map(tmpfs).collect()),
        mounts: given(mounts(made)),
        group_add: given(groups(made)),
        dns: given(spec.dns.iter().map(ToString::to_string).collect()),
        extra_hosts: given(
            spec.extra_hosts
                .iter()
                .map(|host| format!("{}:{}", host.name, host.address))
                .collect(),
        ),
        device_requests: machine.gpus.then(|| vec![all_gpus(machine.gpu_way)]),
        network_mode: Some(spec.networking.to_string()),
        cgroup_parent: spec.cgroup_parent.map(str::to_owned),
        port_bindings: Some(port_bindings(spec)),
        shm_size: spec.shm_size.map(clamped),
        sysctls: (!spec.sysctls.is_empty()).then(|| spec.sysctls.iter().cloned().collect()),
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

/// The engine counts in signed numbers.
fn clamped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Nothing asked for is nothing said.
fn given<T>(all: Vec<T>) -> Option<Vec<T>> {
    (!all.is_empty()).then_some(all)
}

fn ulimits(spec: &ContainerSpec) -> Vec<ResourcesUlimits> {
    spec.ulimits
        .iter()
        .map(|limit| ResourcesUlimits {
            name: Some(limit.name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })
        .collect()
}

fn security(made: Made<'_>) -> Vec<String> {
    let filter = match &made.spec.seccomp {
        Seccomp::Default => None,
        Seccomp::Unconfined => Some("unconfined"),
        // The engine takes the profile's text; files are read by its client.
        Seccomp::Profile(_) => made.machine.seccomp_profile.as_deref(),
    };
    made.spec
        .no_new_privileges
        .then(|| "no-new-privileges".to_owned())
        .into_iter()
        .chain(filter.map(|filter| format!("seccomp={filter}")))
        .collect()
}

/// Shut like everything else unless the user data opens it: `exec` alone does.
fn tmpfs(mount: &Tmpfs) -> (String, String) {
    let mut flags = vec!["rw", "nosuid", "nodev"];
    if !mount.options.split(',').any(|option| option == "exec") {
        flags.push("noexec");
    }
    flags.extend(Some(mount.options.as_str()).filter(|options| !options.is_empty()));
    (mount.path.clone(), flags.join(","))
}

/// As mounts, never as `binds`: for a bind whose source is missing the engine makes an empty directory and goes on.
fn mounts(made: Made<'_>) -> Vec<Mount> {
    let bind = |source: &Path, target: &str, read_only: bool| Mount {
        typ: Some(MountType::BIND),
        source: Some(source.display().to_string()),
        target: Some(target.to_owned()),
        read_only: Some(read_only),
        // What is mounted or unmounted in the container stays there, whatever the engine's default.
        bind_options: Some(MountBindOptions {
            propagation: Some(MountBindOptionsPropagationEnum::RPRIVATE),
            ..Default::default()
        }),
        ..Default::default()
    };
    let of_the_machine = made.spec.binds.iter().map(|one| {
        let source = surroundings::source(one, &made.machine.engine_socket);
        bind(source, one.target, one.read_only)
    });
    let volumes = made
        .spec
        .mounts
        .iter()
        .map(|one| bind(Path::new(&one.source), &one.target, one.read_only));
    let files = made.files.mounts(&made.spec.files);
    // The directory above the files, so that a whole set can change under the mount.
    let sets = made
        .sets
        .iter()
        .map(|set| bind(&set.directory(), set.name().target(), true));
    of_the_machine
        .chain(volumes)
        .chain(files.iter().map(|(source, target)| bind(source, target, true)))
        .chain(sets)
        .collect()
}

/// What a user who isn't root needs to read its files and to talk to the engine. An image's own user may be anybody.
fn groups(made: Made<'_>) -> Vec<String> {
    let user = made.spec.user.as_deref().unwrap_or_default();
    if user.split(':').next() == Some("0") {
        return Vec::new();
    }
    (!made.spec.files.is_empty() || !made.sets.is_empty())
        .then_some(delivery::GROUP)
        .into_iter()
        .chain(made.machine.engine_group)
        .map(|group| group.to_string())
        .collect()
}

/// Where nobody knows better, by what every engine understands.
fn all_gpus(way: Option<Way>) -> DeviceRequest {
    match way {
        None | Some(Way::Hook) => DeviceRequest {
            driver: Some("nvidia".to_owned()),
            count: Some(-1),
            capabilities: Some(vec![vec!["gpu".to_owned()]]),
            ..Default::default()
        },
        Some(Way::Cdi) => DeviceRequest {
            driver: Some("cdi".to_owned()),
            device_ids: Some(vec![gpu::ALL.to_owned()]),
            ..Default::default()
        },
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

#[cfg(test)]
mod tests;
