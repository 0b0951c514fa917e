//! What the machine has, and what the agent forbids its own process.

use nix::sys::resource::{Resource, setrlimit};

use super::clock;

/// A core dump would write decrypted values to disk: there are none.
///
/// The limit alone is not enough: the kernel ignores it where dumps go to a program (systemd-coredump). A process
/// that is not dumpable has none in any case, and its memory and environment in /proc belong to root.
pub fn forbid_core_dumps() -> Result<(), nix::errno::Errno> {
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    nix::sys::prctl::set_dumpable(false)
}

/// When the machine booted, in milliseconds since the epoch, as the clock says now.
pub fn machine_start(now: u64) -> u64 {
    now.saturating_sub(clock::since_boot_millis())
}

/// The machine's memory in bytes, as the kernel says it to us and to the engine. It never fails on a kernel that
/// runs containers; if it did, the container would get the least limit there is, and say so by running out of it.
pub fn memory_total() -> u64 {
    nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total())
}
