//! The checked configuration: what is constructed here can't be wrong.
//!
//! Fields are private to the parser; everybody else reads through getters, which fill in the
//! defaults. What the user left out stays `None` inside, so that [`Config::canonical`] speaks of
//! intent only.

use std::fmt;
use std::net::IpAddr;

use super::image::ImageRef;
use serde::{Deserialize, Serialize};

use crate::secret::{Ciphertext, SecretSource};

/// One container, as its user wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub(super) application_id: String,
    pub(super) application_version: String,
    pub(super) source: ImageRef,
    pub(super) registry_auths: Vec<RegistryAuth>,
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

    /// Logins from `dockercfg`, one a registry.
    pub fn registry_auths(&self) -> &[RegistryAuth] {
        &self.registry_auths
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
}

/// A login for one registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryAuth {
    /// Host and port as an image reference has them; Docker Hub is `docker.io`.
    pub registry: String,
    /// The base64 of `user:password`.
    pub auth: SecretSource,
}

/// Where an environment value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvValue {
    /// The text the container sees.
    Plain(String),
    /// Decrypted at boot.
    Kms(Ciphertext),
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

/// The gate a new container has to pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// Starts with `/`.
    pub path: String,
    /// On the host.
    pub port: u16,
    /// Until the gate gives up.
    pub timeout_seconds: u32,
}

/// Who is told about the boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifyCfn {
    /// The stack's name.
    pub stack: String,
    /// The logical id of the resource that waits.
    pub resource: String,
}
