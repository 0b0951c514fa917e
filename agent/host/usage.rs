//! How full this machine is, as the kernel says it.

use std::fs;
use std::io;

use monopod_core::lifecycle::usage::{Disk, Memory, Usage, filesystem_at};
use nix::sys::statvfs::statvfs;

const ROOT: &str = "/";

/// Looks once; what could not be read, in the error.
pub fn observe() -> io::Result<Usage> {
    let (meminfo, mounts) = (read("/proc/meminfo")?, read("/proc/self/mountinfo")?);
    let strange = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let stat = statvfs(ROOT).map_err(io::Error::from)?;
    Ok(Usage {
        memory: Memory::parse(&meminfo).ok_or_else(|| strange("/proc/meminfo says no memory"))?,
        disk: Disk {
            filesystem: filesystem_at(&mounts, ROOT)
                .ok_or_else(|| strange("/proc/self/mountinfo has no root file system"))?,
            mount_path: ROOT,
            blocks: stat.blocks(),
            free: stat.blocks_free(),
        },
    })
}

fn read(path: &str) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_neither_empty_nor_full() {
        let usage = observe().unwrap();
        let data = usage.data("i-1", None);
        assert_eq!(data.len(), 2);
        for one in data {
            assert!(one.value > 0.0 && one.value < 100.0, "{one:?}");
        }
        assert!(!usage.disk.filesystem.is_empty());
    }
}
