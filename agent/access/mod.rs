//! Logins that end by themselves: the unit that makes users for a time, and takes them away.
//!
//! ```text
//!  monopod access grant, forced-command, session (PAM)
//!        │ /run/monopod-access.sock: one question a line; the kernel says who asks
//!        ▼
//!  connections ──► may() ──► keys from the key service ──► one task owns the grants ──► files on tmpfs, /proc
//!                                                               ▲
//!                                  timerfd on CLOCK_BOOTTIME ───┘
//! ```
//!
//! Invariants: everything lies on tmpfs (but the last number that was given, which may be lost), so a full disk and a
//! read-only root change nothing. The state of a grant is written
//! before anything is done for it and removed after everything is undone: whoever starts after a death goes on from there.
//! There is no key before the record says `granted`. Beginning and end are idempotent. Nothing of a question gets into a
//! shell, a path or a log but as a type that cannot hold more than a name.
//!
//! It deliberately decides nothing: `monopod_core::access` does. It is not the agent and needs no agent.

mod accounts;
mod flat;
mod grants;
mod processes;
mod records;
mod serve;
mod timer;

use std::path::PathBuf;

use crate::host::files::{FileError, LockError};
use crate::host::local::LocalError;
use crate::host::{Class, Classified};

pub use serve::serve;

/// Where the unit listens.
pub const SOCKET: &str = "/run/monopod-access.sock";
/// Who makes the socket.
pub const UNIT: &str = "monopod-access.socket";
/// Keys, homes, state and record.
pub const DIRECTORY: &str = "/run/monopod-access";
/// Where systemd's name service looks for users.
pub const USERDB: &str = "/run/userdb";

/// What has to outlive a boot.
pub const STATE: &str = "/var/lib/monopod-access";

/// Where everything lies.
#[derive(Clone, Debug)]
pub struct Places {
    /// The socket.
    pub socket: PathBuf,
    /// Keys, homes, state and record.
    pub directory: PathBuf,
    /// Records of users.
    pub userdb: PathBuf,
    /// The last number that was given; on the disk, as it is about files that outlive a boot.
    pub numbers: PathBuf,
    /// The image's own files: the policy.
    pub configuration: PathBuf,
}

/// The unit cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It cannot be asked.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Another one is there.
    #[error("the grants cannot be held")]
    Lock(#[from] LockError),
    /// A file of its own.
    #[error(transparent)]
    File(#[from] FileError),
    /// The kernel gave no timer.
    #[error("cannot make a timer")]
    Timer(#[source] std::io::Error),
}

impl Classified for ServeError {
    fn class(&self) -> Class {
        match self {
            Self::Local(error) => error.class(),
            Self::Lock(_) | Self::File(_) | Self::Timer(_) => Class::Transient,
        }
    }
}
