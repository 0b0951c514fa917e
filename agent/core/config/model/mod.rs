//! The checked configuration: what is constructed here can't be wrong.
//!
//! Fields are private to the parser; everybody else reads through getters, which fill in the
//! defaults. What the user left out stays `None` inside, so that [`Config::canonical`] speaks of
//! intent only.

mod container;
mod health;
mod host;
mod logging;
mod registry;
mod secrets;
mod storage;

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::image::ImageRef;
use super::mirror::RegistryMirrors;
use super::registry::RegistryHost;
use serde::{Deserialize, Serialize};

use crate::lifecycle::{LifecyclePlan, SignalTarget};

pub use crate::lifecycle::Shutdown;
pub use container::{FileMount, Gpus, HostEntry, Options, Seccomp, Tmpfs, Ulimit};
pub use health::{HealthCheck, Probe};
pub use host::{Audit, Host};
pub use logging::{
    AccountKey, Destination, LineFormat, Logging, Logrotate, Redact, Rsyslog, S3, Sampling, Scalyr, Stream,
};
pub(super) use registry::is_region;
pub use registry::{EcrHost, RegistryAuth, RegistryLogin};
pub(super) use secrets::Delivered;
pub use secrets::{OnChange, Refresh};
pub use storage::{EbsVolume, Filesystem, Mount, Raid, RaidLevel, Storage};

use crate::secret::SecretRef;
use crate::trace::VerdictPolicy;
use crate::trust::Trust;

/// One container, as its user wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) application_id: String,
    pub(super) application_version: String,
    pub(super) source: ImageRef,
    pub(super) registry_auths: Vec<RegistryAuth>,
    pub(super) registry_mirrors: Vec<RegistryMirrors>,
    pub(super) ports: Option<Vec<PortMapping>>,
    pub(super) environment: Option<Vec<(String, EnvValue)>>,
    pub(super) capabilities_add: Option<Vec<String>>,
    pub(super) capabilities_drop: Option<Vec<String>>,
    pub(super) root: Option<bool>,
    pub(super) privileged: Option<bool>,
    pub(super) read_only: Option<bool>,
    pub(super) hostname: Option<String>,
    pub(super) networking: Option<Networking>,
    pub(super) shm_size: Option<u64>,
    pub(super) restart: Option<RestartPolicy>,
    pub(super) health_check: Option<HealthCheck>,
    pub(super) options: Options,
    pub(super) storage: Storage,
    pub(super) logging: Logging,
    pub(super) host: Host,
    pub(super) audit: Audit,
    pub(super) lifecycle: LifecyclePlan,
    pub(super) delivered: Delivered,
    pub(super) boot_timeout: Option<Duration>,
    pub(super) deployment_id: Option<String>,
    pub(super) trust: Trust,
    pub(super) verdicts: VerdictPolicy,
    pub(super) origins: Vec<Origin>,
}

/// Where a key's value came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The key, with a dot for those inside a merged map.
    pub key: String,
    /// The text's name: `user data`, or a file's.
    pub text: String,
    /// The line in it, from 1.
    pub line: usize,
    /// Whether the machine's image brought it.
    pub from_image: bool,
}

impl Config {
    /// `^[a-z][a-z0-9-]*[a-z0-9]$`.
    pub fn application_id(&self) -> &str {
        &self.application_id
    }

    /// As written, `1.0` included.
    pub fn application_version(&self) -> &str {
        &self.application_version
    }

    /// The image.
    pub fn source(&self) -> &ImageRef {
        &self.source
    }

    /// What the image has to prove before it runs, as the policy of the machine's image wants it.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What follows from where it comes from, as the policy of the machine's image says.
    pub fn verdicts(&self) -> &VerdictPolicy {
        &self.verdicts
    }

    /// Logins from `dockercfg`, one a registry.
    pub fn registry_auths(&self) -> &[RegistryAuth] {
        &self.registry_auths
    }

    /// Mirrors, by the registry they stand for.
    pub fn registry_mirrors(&self) -> &[RegistryMirrors] {
        &self.registry_mirrors
    }

    /// The login for the image's own registry.
    pub fn registry_auth(&self) -> Option<RegistryAuth> {
        self.registry_auth_of(self.source.registry())
    }

    /// The login for a registry or mirror, however it is spelled: the user data's, or the one its name stands for.
    pub fn registry_auth_of(&self, registry: &str) -> Option<RegistryAuth> {
        let host = RegistryHost::new(registry).to_string();
        let written = self.registry_auths.iter().find(|auth| auth.registry == host);
        let login = match written {
            Some(auth) => auth.login.clone(),
            None => RegistryLogin::automatic(&host)?,
        };
        Some(RegistryAuth {
            registry: registry.to_owned(),
            login,
        })
    }

    /// Published ports, ranges expanded, in file order.
    pub fn ports(&self) -> &[PortMapping] {
        self.ports.as_deref().unwrap_or_default()
    }

    /// Environment variables in file order.
    pub fn environment(&self) -> &[(String, EnvValue)] {
        self.environment.as_deref().unwrap_or_default()
    }

    /// Upper case, without `CAP_`.
    pub fn capabilities_add(&self) -> &[String] {
        self.capabilities_add.as_deref().unwrap_or_default()
    }

    /// Upper case, without `CAP_`; `ALL` is possible.
    pub fn capabilities_drop(&self) -> &[String] {
        self.capabilities_drop.as_deref().unwrap_or_default()
    }

    /// Whether the image's own user is kept instead of uid 999.
    pub fn root(&self) -> bool {
        self.root.unwrap_or_default()
    }

    /// Whether the container gets every right of the host.
    pub fn privileged(&self) -> bool {
        self.privileged.unwrap_or_default()
    }

    /// Whether the root file system is read-only.
    pub fn read_only(&self) -> bool {
        self.read_only.unwrap_or_default()
    }

    /// The container's host name, where one is asked for.
    pub fn hostname(&self) -> Option<&str> {
        self.hostname.as_deref()
    }

    /// The network the container is put in; a bridge unless told.
    pub fn networking(&self) -> Networking {
        self.networking.unwrap_or_default()
    }

    /// Size of /dev/shm in bytes, where one is asked for.
    pub fn shm_size(&self) -> Option<u64> {
        self.shm_size
    }

    /// What happens when the container ends; restarted after a failure unless told.
    pub fn restart(&self) -> RestartPolicy {
        self.restart.unwrap_or_default()
    }

    /// The gate; no path means no check.
    pub fn health_check(&self) -> Option<HealthCheck> {
        self.health_check.clone()
    }

    /// How the container is started and stopped, and what it may use.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Volumes and mounts.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Where lines go.
    pub fn logging(&self) -> &Logging {
        &self.logging
    }

    /// Settings of the machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Who is told what happened here.
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The stack that waits for a signal.
    pub fn notify_cfn(&self) -> Option<&SignalTarget> {
        self.lifecycle.signal.as_ref()
    }

    /// Whom the machine tells how it is, and what becomes of it. No part of the container, so defaults are filled in.
    pub fn lifecycle(&self) -> &LifecyclePlan {
        &self.lifecycle
    }

    /// Whether the machine goes with its container; it stays unless told.
    pub fn shutdown(&self) -> Shutdown {
        self.lifecycle.shutdown
    }

    /// Where the application's credentials lie.
    pub fn mint_bucket(&self) -> Option<&str> {
        self.delivered.mint_bucket.as_deref()
    }

    /// Secrets delivered as files, by the files' names, in file order.
    pub fn secrets(&self) -> &[(String, SecretRef)] {
        &self.delivered.secrets
    }

    /// Whether and how what is delivered as files is fetched again.
    pub fn refresh(&self) -> Option<&Refresh> {
        self.delivered.refresh.as_ref()
    }

    /// Whether an encrypted copy of what is delivered as files is kept for a reboot without AWS.
    pub fn keep_secrets(&self) -> bool {
        self.delivered.keep.unwrap_or_default()
    }

    /// The same for the credentials of `mint_bucket`, which are kept unless told.
    pub fn keep_credentials(&self) -> bool {
        self.delivered.keep.unwrap_or(true)
    }

    /// How long a boot may take.
    pub fn boot_timeout(&self) -> Duration {
        self.boot_timeout.unwrap_or(crate::budget::DEFAULT)
    }

    /// Where each key's value came from, in the order of the texts.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Names the deployment, as a label of the container.
    pub fn deployment_id(&self) -> Option<&str> {
        self.deployment_id.as_deref()
    }
}

/// Where the value of a variable or the text of a file comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EnvValue {
    /// The text the container sees.
    Plain(String),
    /// Fetched at boot.
    Secret(SecretRef),
}

/// One published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortMapping {
    /// The host's address it is bound to; all of them when `None`.
    pub host_ip: Option<IpAddr>,
    /// Port on the host.
    pub host: u16,
    /// Port in the container.
    pub container: u16,
    /// TCP or UDP.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// The default.
    #[default]
    Tcp,
    /// Written `/udp`.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// The network the container is put in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Networking {
    /// A network namespace of its own behind the engine's bridge.
    #[default]
    Bridge,
    /// The host's own.
    Host,
    /// None at all.
    None,
}

impl fmt::Display for Networking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        })
    }
}

/// What happens when the container ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Started again whatever its exit code.
    Always,
    /// Started again unless it ended with 0.
    #[default]
    OnFailure,
    /// Never started again.
    Never,
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Always => "always",
            Self::OnFailure => "on-failure",
            Self::Never => "never",
        })
    }
}
