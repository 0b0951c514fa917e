//! The one container, as a value: what the engine will be asked for, and how far it is shut in.
//!
//! Hardening is the default. Each key that opens something is an [`OptOut`], so that the plan, the
//! journal and the status can show it.

use serde::Serialize;

use std::net::IpAddr;

use crate::config::{
    Config, EnvValue, FileMount, Gpus, HostEntry, ImageRef, Mount, Networking, PortMapping, Seccomp, Tmpfs,
    Ulimit,
};
use crate::facts::InstanceFacts;
use crate::identity::{self, Identity};
use crate::machine;
use crate::plan::extras::{self, ETCD_URL, Hole};
use crate::plan::logs::budget;
use crate::secret::SecretRef;
use crate::storage;

/// The name users of Taupage know it by.
pub const NAME: &str = "taupageapp";

/// The user the container runs as unless `root: true`.
pub const USER: &str = "999";

/// The most processes and threads it may have.
pub const PIDS_LIMIT: i64 = 4096;

/// The engine's log files are the spool. Rotation takes the oldest of them away at once, so more and smaller files keep more of the
/// budget: seven eighths of it are always there.
pub const LOG_MAX_FILES: u32 = 8;

/// Where the container finds `secrets`.
pub const SECRETS: &str = "/run/secrets";
/// Where it finds the credentials of `mint_bucket`.
pub const CREDENTIALS: &str = "/meta/credentials";

/// Seconds between the stop signal and SIGKILL unless `stop_timeout` says otherwise; the engine's own default.
pub const STOP_TIMEOUT: u32 = 10;

/// Everything the engine is told, except the values of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image as the user wrote it; it runs by digest.
    pub image: ImageRef,
    /// `None`: the image's own USER.
    pub user: Option<String>,
    /// In the order of the file, ours last.
    pub environment: Vec<(String, EnvValue)>,
    /// Variables whose values only the machine can tell, when the container is made.
    pub holes: Vec<Hole>,
    /// Published ports.
    pub ports: Vec<PortMapping>,
    /// Dropped capabilities; `ALL` unless root.
    pub capabilities_drop: Vec<String>,
    /// Capabilities asked for.
    pub capabilities_add: Vec<String>,
    /// No setuid binary or file capability raises privileges.
    pub no_new_privileges: bool,
    /// All devices, all capabilities, no seccomp.
    pub privileged: bool,
    /// The root file system can't be written; `/tmp` is then a tmpfs.
    pub read_only: bool,
    /// Host name inside.
    pub hostname: Option<String>,
    /// Network mode.
    pub networking: Networking,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: Option<u64>,
    /// Hard limit, swap included.
    pub memory: MemoryLimit,
    /// Most processes and threads.
    pub pids_limit: i64,
    /// Billionths of a processor; all of them when `None`.
    pub nano_cpus: Option<u64>,
    /// Limits of setrlimit(2).
    pub ulimits: Vec<Ulimit>,
    /// Replaces the image's ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's CMD.
    pub command: Option<Vec<String>>,
    /// Memory mounted as file systems, `/tmp` of a read-only root among them.
    pub tmpfs: Vec<Tmpfs>,
    /// What it is asked to end with; the image's own, or SIGTERM, when `None`.
    pub stop_signal: Option<String>,
    /// Seconds until it is killed then.
    pub stop_timeout: u32,
    /// The system-call filter.
    pub seccomp: Seccomp,
    /// Name servers; the machine's own when empty.
    pub dns: Vec<IpAddr>,
    /// Lines of `/etc/hosts`.
    pub extra_hosts: Vec<HostEntry>,
    /// Files of the user data, mounted read-only.
    pub files: Vec<FileMount>,
    /// Secrets as files below [`SECRETS`], by their names.
    pub secret_files: Vec<(String, SecretRef)>,
    /// The bucket of the credentials below [`CREDENTIALS`].
    pub mint_bucket: Option<String>,
    /// Directories and sockets of the machine.
    pub binds: Vec<Bind>,
    /// What `mounts` asks for, parents before what lies in them.
    pub mounts: Vec<Mounted>,
    /// Graphics processors: those there are when `None`.
    pub gpus: Option<Gpus>,
    /// Bytes of the engine's log files: their part of what all logs may take.
    pub log_budget: u64,
    /// Kernel settings of its own namespaces.
    pub sysctls: Vec<(String, String)>,
    /// Where its control group has to be: firewall rules go by it.
    pub cgroup_parent: Option<&'static str>,
    /// `deployment_id`, as a label.
    pub deployment_id: Option<String>,
    /// Who it is to AWS.
    pub identity: Identity,
}

/// Something of the machine's that the container sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bind {
    /// The key that asks for it.
    pub key: &'static str,
    /// On the machine.
    pub source: &'static str,
    /// In the container.
    pub target: &'static str,
    /// Whether it can only be read.
    pub read_only: bool,
}

/// Certificates of the machine's image, where every distribution's TLS library looks.
const CERTS: Bind = Bind {
    key: "mount_certs",
    source: "/etc/ssl/certs",
    target: "/etc/ssl/certs",
    read_only: true,
};
/// The machine's logs.
const VAR_LOG: Bind = Bind {
    key: "mount_var_log",
    source: "/var/log",
    target: "/var/log-host",
    read_only: true,
};
/// Log files of the application's own.
pub const CUSTOM_LOG: Bind = Bind {
    key: "mount_custom_log",
    source: "/var/log-custom",
    target: "/var/log",
    read_only: false,
};
/// The engine: root on the machine by another name.
pub const ENGINE_SOCKET: Bind = Bind {
    key: "docker_daemon_access",
    source: "/var/run/docker.sock",
    target: "/var/run/docker.sock",
    read_only: false,
};

/// How much memory the container may have: an intent, filled in with the machine's size when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryLimit {
    /// All the machine has, less the larger of 256 MiB and a tenth, down to 64 MiB.
    HostLessReserve,
    /// What `memory` says.
    Bytes(u64),
}

impl MemoryLimit {
    /// In bytes, on a machine with `total` bytes.
    pub fn bytes(self, total: u64) -> u64 {
        const LEAST: u64 = 64 << 20;
        match self {
            Self::HostLessReserve => total.saturating_sub((total / 10).max(256 << 20)).max(LEAST),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// One place where the user opened what is shut by default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OptOut {
    /// The key in the user data.
    pub key: &'static str,
    /// What it opens.
    pub opens: &'static str,
}

/// A file system, or a directory, of the machine that the container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// Below `/mounts`.
    pub source: String,
    /// In the container.
    pub target: String,
    /// Whether nobody can write to it.
    pub read_only: bool,
}

impl Mounted {
    fn new(mount: &Mount) -> Self {
        Self {
            source: storage::place(&mount.path),
            target: mount.path.clone(),
            read_only: storage::is_read_only(mount.options.as_deref()),
        }
    }
}

impl ContainerSpec {
    /// What a checked config asks for.
    pub fn new(config: &Config) -> Self {
        let identity = config.identity();
        let mut environment: Vec<(String, EnvValue)> = config
            .environment()
            .iter()
            .filter(|(name, _)| !is_ours(name) && !identity.sets(name))
            .cloned()
            .collect();
        let ours = [
            ("APPLICATION_ID", config.application_id()),
            ("APPLICATION_VERSION", config.application_version()),
            ("CREDENTIALS_DIR", CREDENTIALS),
        ];
        environment.extend(ours.map(|(name, value)| (name.to_owned(), EnvValue::Plain(value.to_owned()))));
        let (mut known, mut holes) = extras::variables(config);
        known.extend(identity.variables());
        holes.extend(regions(config));
        // A value of the user's for etcd was without effect already when the key set it.
        environment.retain(|(name, _)| name != ETCD_URL || config.host().etcd_discovery_domain.is_none());
        environment.extend(
            known
                .into_iter()
                .map(|(name, value)| (name.to_owned(), EnvValue::Plain(value))),
        );
        let options = config.options();

        let mut capabilities_drop = config.capabilities_drop().to_vec();
        if !config.root() && !config.privileged() && !capabilities_drop.iter().any(|name| name == "ALL") {
            capabilities_drop = vec!["ALL".to_owned()];
        }
        Self {
            image: config.source().clone(),
            user: options
                .user
                .clone()
                .or_else(|| (!config.root()).then(|| USER.to_owned())),
            environment,
            holes,
            ports: config.ports().to_vec(),
            capabilities_drop,
            capabilities_add: config.capabilities_add().to_vec(),
            // A non-root process gets an added capability only through a file's, which no-new-privileges disables.
            no_new_privileges: config.root() || config.capabilities_add().is_empty(),
            privileged: config.privileged(),
            read_only: config.read_only(),
            hostname: config.hostname().map(str::to_owned),
            networking: config.networking(),
            shm_size: config.shm_size(),
            memory: options
                .memory
                .map_or(MemoryLimit::HostLessReserve, MemoryLimit::Bytes),
            pids_limit: options.pids_limit.map_or(PIDS_LIMIT, i64::from),
            nano_cpus: options.nano_cpus,
            ulimits: options.ulimits.clone(),
            entrypoint: options.entrypoint.clone(),
            command: options.command.clone(),
            tmpfs: tmpfs(config),
            stop_signal: options.stop_signal.clone(),
            stop_timeout: options.stop_timeout.unwrap_or(STOP_TIMEOUT),
            seccomp: options.seccomp.clone().unwrap_or(Seccomp::Default),
            dns: options.dns.clone(),
            extra_hosts: options.extra_hosts.clone(),
            files: options.files.clone(),
            secret_files: config.secrets().to_vec(),
            mint_bucket: config.mint_bucket().map(str::to_owned),
            binds: binds(config),
            mounts: config.storage().mounts.iter().map(Mounted::new).collect(),
            gpus: options.gpus,
            log_budget: budget::split(
                options.log_budget.unwrap_or(budget::LOG_BUDGET),
                options.mount_custom_log == Some(true),
            )
            .engine,
            sysctls: machine::container_sysctls(config),
            cgroup_parent: None,
            deployment_id: config.deployment_id().map(str::to_owned),
            identity: identity.clone(),
        }
    }

    /// Fills what the machine's facts tell.
    pub(super) fn fill(&mut self, facts: &InstanceFacts) {
        let environment = &mut self.environment;
        self.holes.retain(|hole| {
            let Hole::Region(variable) = hole else { return true };
            environment.push(((*variable).to_owned(), EnvValue::Plain(facts.region.clone())));
            false
        });
    }

    /// Bytes of one of the engine's log files.
    pub fn log_max_size(&self) -> u64 {
        self.log_budget / u64::from(LOG_MAX_FILES)
    }

    /// Whether the container's process is root in it, as far as the user data tells.
    pub fn is_root(&self) -> bool {
        self.user
            .as_deref()
            .is_none_or(|user| user.split(':').next() == Some("0"))
    }

    /// What the user opened, in the order an operator should worry about it.
    pub fn opt_outs(&self) -> Vec<OptOut> {
        let all = [
            (
                self.privileged,
                "privileged",
                "all devices, all capabilities, no seccomp filter: root on the machine",
            ),
            (
                self.is_root(),
                "root",
                "the image's own user, root unless it names one, with Docker's default capabilities",
            ),
            (
                self.binds.contains(&ENGINE_SOCKET),
                "docker_daemon_access",
                "the engine's socket: root on the machine by another name",
            ),
            (
                !self.is_root()
                    && !self.privileged
                    && !self.capabilities_drop.iter().any(|name| name == "ALL"),
                "root",
                "Docker's default capabilities, though not for this user",
            ),
            (
                matches!(self.seccomp, Seccomp::Profile(_)) && !self.privileged,
                "seccomp",
                "the system calls of a profile of the machine's",
            ),
            (
                self.seccomp == Seccomp::Unconfined && !self.privileged,
                "seccomp",
                "every system call",
            ),
            (
                self.networking == Networking::Host,
                "networking",
                "the machine's own network: every local service, and rules for forwarded traffic don't apply",
            ),
            (
                !self.capabilities_add.is_empty(),
                "capabilities_add",
                "capabilities beyond those it has by default",
            ),
            (
                !self.no_new_privileges,
                "capabilities_add",
                "no-new-privileges is off, so that file capabilities and setuid programs work",
            ),
            (
                self.binds.iter().any(|bind| bind.key == "mount_var_log"),
                "mount_var_log",
                "the machine's logs, what others wrote there included",
            ),
            (
                self.binds.contains(&CUSTOM_LOG),
                "mount_custom_log",
                "a directory of the machine's can be written",
            ),
            (
                !self.read_only,
                "read_only",
                "the container may write to its root file system",
            ),
        ];
        all.into_iter()
            .filter(|(on, _, _)| *on)
            .map(|(_, key, opens)| OptOut { key, opens })
            .collect()
    }

    /// Variables whose values have to be fetched.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &SecretRef)> {
        self.environment.iter().filter_map(|(name, value)| match value {
            EnvValue::Secret(reference) => Some((name.as_str(), reference)),
            EnvValue::Plain(_) => None,
        })
    }

    /// Files whose text has to be fetched, by their paths in the container.
    pub fn fetched_files(&self) -> impl Iterator<Item = (&str, &SecretRef)> {
        self.files.iter().filter_map(|file| match &file.content {
            EnvValue::Secret(reference) => Some((file.path.as_str(), reference)),
            EnvValue::Plain(_) => None,
        })
    }
}

/// Who is kept from the metadata service can't ask it for the region. A region that the user wrote, under either name, is
/// left alone: SDKs differ in which of the two they look at first.
fn regions(config: &Config) -> impl Iterator<Item = Hole> {
    let is_written = |name: &str| config.environment().iter().any(|(one, _)| one == name);
    let wanted =
        config.identity().blocks_metadata() && !identity::REGIONS.iter().any(|name| is_written(name));
    identity::REGIONS
        .into_iter()
        .filter(move |_| wanted)
        .map(Hole::Region)
}

/// The user's own, and a `/tmp` where the root file system can't be written.
fn tmpfs(config: &Config) -> Vec<Tmpfs> {
    let mut all = config.options().tmpfs.clone();
    if config.read_only() && !all.iter().any(|one| one.path == "/tmp") {
        all.push(Tmpfs {
            path: "/tmp".to_owned(),
            options: "mode=1777".to_owned(),
        });
    }
    all
}

fn binds(config: &Config) -> Vec<Bind> {
    let options = config.options();
    [
        (options.mount_certs, CERTS),
        (options.mount_var_log, VAR_LOG),
        (options.mount_custom_log, CUSTOM_LOG),
        (options.docker_daemon_access, ENGINE_SOCKET),
    ]
    .into_iter()
    .filter(|(asked, _)| *asked == Some(true))
    .map(|(_, bind)| bind)
    .collect()
}

fn is_ours(name: &str) -> bool {
    matches!(name, "APPLICATION_ID" | "APPLICATION_VERSION" | "CREDENTIALS_DIR")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_leaves_the_host_room() {
        let mib = |n: u64| n << 20;
        let bytes = |total| MemoryLimit::HostLessReserve.bytes(total);
        assert_eq!(bytes(mib(512)), mib(256));
        assert_eq!(bytes(mib(10_240)), mib(9216));
        assert_eq!(
            bytes(mib(300)),
            mib(64),
            "never below what a container needs to start"
        );
    }
}
