//! What the container may use, and how it is started and stopped.
//!
//! Every field is what the user wrote; `None` and empty mean that nothing was said.

use std::fmt;
use std::net::IpAddr;

use super::EnvValue;

/// The options that docker run and compose know under the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Replaces the image's ENTRYPOINT.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's CMD.
    pub command: Option<Vec<String>>,
    /// `999`, `999:999`: numbers only, since names are the image's business.
    pub user: Option<String>,
    /// Bytes, swap included.
    pub memory: Option<u64>,
    /// Billionths of a processor.
    pub nano_cpus: Option<u64>,
    /// Processes and threads.
    pub pids_limit: Option<u32>,
    /// In file order.
    pub ulimits: Vec<Ulimit>,
    /// In file order.
    pub tmpfs: Vec<Tmpfs>,
    /// `SIGTERM` and so on, or a number.
    pub stop_signal: Option<String>,
    /// Seconds between the stop signal and SIGKILL.
    pub stop_timeout: Option<u32>,
    /// Which system calls are allowed.
    pub seccomp: Option<Seccomp>,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Names for `/etc/hosts`.
    pub extra_hosts: Vec<HostEntry>,
    /// Files mounted read-only.
    pub files: Vec<FileMount>,
    /// Graphics processors.
    pub gpus: Option<Gpus>,
    /// Bytes of the engine's log files, all together.
    pub log_budget: Option<u64>,
    /// `/etc/ssl/certs`, read-only.
    pub mount_certs: Option<bool>,
    /// `/var/log` at `/var/log-host`, read-only.
    pub mount_var_log: Option<bool>,
    /// `/var/log-custom` at `/var/log`, for the app to write to.
    pub mount_custom_log: Option<bool>,
    /// The engine's socket.
    pub docker_daemon_access: Option<bool>,
}

/// One resource limit of setrlimit(2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ulimit {
    /// `nofile`, without `RLIMIT_`.
    pub name: String,
    /// -1 is unlimited.
    pub soft: i64,
    /// -1 is unlimited.
    pub hard: i64,
}

/// Memory mounted as a file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tmpfs {
    /// Absolute.
    pub path: String,
    /// As mount(8) takes them: `size=64m,mode=1770`.
    pub options: String,
}

/// The system-call filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// The engine's own.
    Default,
    /// None.
    Unconfined,
    /// A profile in JSON on the machine, by its absolute path.
    Profile(String),
}

impl fmt::Display for Seccomp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Unconfined => "unconfined",
            Self::Profile(path) => path,
        })
    }
}

/// A line of `/etc/hosts`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// An address, or `host-gateway` for the machine itself.
    pub address: String,
}

/// One small file from the user data.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileMount {
    /// Where the container finds it; absolute.
    pub path: String,
    /// As the user wrote it, or fetched at boot.
    pub content: EnvValue,
}

/// The content may hold anything.
impl fmt::Debug for FileMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileMount({})", self.path)
    }
}

/// Whether the container gets the machine's graphics processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gpus {
    /// All; it is an error if there are none.
    All,
    /// None, even if there are some.
    None,
}
