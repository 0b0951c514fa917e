//! The one container, as a value: what the engine will be asked for, and how far it is shut in.
//!
//! Hardening is the default. Each key that opens something is an [`OptOut`], so that the plan, the
//! journal and the status can show it.

use serde::Serialize;

use crate::config::{Config, EnvValue, ImageRef, Networking, PortMapping};

/// The name users of Taupage know it by.
pub const NAME: &str = "taupageapp";

/// The user the container runs as unless `root: true`.
pub const USER: &str = "999";

/// The most processes and threads it may have.
pub const PIDS_LIMIT: i64 = 4096;

/// The engine's log files are the spool: three files, because a reader needs the one before the newest.
pub const LOG_MAX_SIZE: u64 = 64 << 20;
/// See [`LOG_MAX_SIZE`].
pub const LOG_MAX_FILES: u32 = 3;

/// Everything the engine is told, except the values of secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerSpec {
    /// The image as the user wrote it; it runs by digest.
    pub image: ImageRef,
    /// `None`: the image's own USER.
    pub user: Option<String>,
    /// In the order of the file, ours last.
    pub environment: Vec<(String, EnvValue)>,
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
}

/// How much memory the container may have: an intent, filled in with the machine's size when it is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryLimit {
    /// All the machine has, less the larger of 256 MiB and a tenth, down to 64 MiB.
    HostLessReserve,
}

impl MemoryLimit {
    /// In bytes, on a machine with `total` bytes.
    pub fn bytes(self, total: u64) -> u64 {
        const LEAST: u64 = 64 << 20;
        match self {
            Self::HostLessReserve => total.saturating_sub((total / 10).max(256 << 20)).max(LEAST),
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

impl ContainerSpec {
    /// What a checked config asks for.
    pub fn new(config: &Config) -> Self {
        let mut environment: Vec<(String, EnvValue)> = config
            .environment()
            .iter()
            .filter(|(name, _)| !is_ours(name))
            .cloned()
            .collect();
        let ours = [
            ("APPLICATION_ID", config.application_id()),
            ("APPLICATION_VERSION", config.application_version()),
        ];
        environment.extend(ours.map(|(name, value)| (name.to_owned(), EnvValue::Plain(value.to_owned()))));

        let mut capabilities_drop = config.capabilities_drop().to_vec();
        if !config.root() && !config.privileged() && !capabilities_drop.iter().any(|name| name == "ALL") {
            capabilities_drop = vec!["ALL".to_owned()];
        }
        Self {
            image: config.source().clone(),
            user: (!config.root()).then(|| USER.to_owned()),
            environment,
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
            memory: MemoryLimit::HostLessReserve,
            pids_limit: PIDS_LIMIT,
        }
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
                self.user.is_none(),
                "root",
                "the image's own user, root unless it names one, with Docker's default capabilities",
            ),
            (
                self.networking == Networking::Host,
                "networking",
                "the machine's own network: every local service, and rules for forwarded traffic don't apply",
            ),
            (
                !self.capabilities_add.is_empty(),
                "capabilities_add",
                "these capabilities",
            ),
            (
                !self.no_new_privileges,
                "capabilities_add",
                "no-new-privileges is off, so that file capabilities and setuid programs work",
            ),
            (
                !self.read_only,
                "read_only",
                "the container may write to its root file system",
            ),
            // Rules that keep a container from the metadata service are not installed by this version.
            (
                self.networking != Networking::None,
                "networking",
                "the instance metadata service, and so the instance's own credentials, can be reached",
            ),
        ];
        all.into_iter()
            .filter(|(on, _, _)| *on)
            .map(|(_, key, opens)| OptOut { key, opens })
            .collect()
    }

    /// Variables whose values have to be decrypted.
    pub fn secrets(&self) -> impl Iterator<Item = (&str, &crate::secret::Ciphertext)> {
        self.environment.iter().filter_map(|(name, value)| match value {
            EnvValue::Kms(ciphertext) => Some((name.as_str(), ciphertext)),
            EnvValue::Plain(_) => None,
        })
    }
}

fn is_ours(name: &str) -> bool {
    matches!(name, "APPLICATION_ID" | "APPLICATION_VERSION")
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
