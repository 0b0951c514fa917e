//! What the agent takes from its own process.

use nix::sys::resource::{Resource, setrlimit};

/// A core dump would write decrypted values to disk: there are none.
pub fn forbid_core_dumps() -> Result<(), nix::errno::Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)
}
