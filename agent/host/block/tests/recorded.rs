//! The first and last MiB of devices, as real tools left them (`record.sh`). Holes stay holes.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::super::content::all_zero;
use super::super::testing::Temporary;

pub(super) const MIB: u64 = 1 << 20;
/// What is all zero is not written.
const SECTOR: usize = 512;

/// One device.
pub(super) struct Recorded {
    pub(super) name: &'static str,
    pub(super) size: u64,
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

macro_rules! disk {
    ($name:literal) => {
        ($name, include_bytes!(concat!("disks/", $name, ".gz")))
    };
}

const DISKS: [(&str, &[u8]); 19] = [
    disk!("ext2"),
    disk!("ext3"),
    disk!("ext4"),
    disk!("xfs"),
    disk!("btrfs"),
    disk!("vfat"),
    disk!("iso"),
    disk!("squashfs"),
    disk!("luks1"),
    disk!("luks2"),
    disk!("lvm"),
    disk!("gpt"),
    disk!("mbr"),
    disk!("swap"),
    disk!("md-0.90"),
    disk!("md-1.0"),
    disk!("md-1.1"),
    disk!("md-1.2"),
    disk!("md-1.2-second"),
];

/// All of them.
pub(super) fn all() -> Vec<Recorded> {
    DISKS.iter().map(|(name, packed)| unpack(name, packed)).collect()
}

/// One of them.
pub(super) fn one(name: &str) -> Recorded {
    let found = DISKS.iter().find(|(one, _)| *one == name);
    let (name, packed) = found.unwrap();
    unpack(name, packed)
}

fn unpack(name: &'static str, packed: &[u8]) -> Recorded {
    let mut bytes = Vec::new();
    let mut unpacked = flate2::read::GzDecoder::new(packed);
    unpacked.read_to_end(&mut bytes).unwrap();
    let edge = MIB as usize;
    assert_eq!(bytes.len(), 8 + 2 * edge, "{name}");
    Recorded {
        name,
        size: u64::from_le_bytes(bytes[..8].try_into().unwrap()),
        head: bytes[8..8 + edge].to_vec(),
        tail: bytes[8 + edge..].to_vec(),
    }
}

impl Recorded {
    /// The device as it was, in a file.
    pub(super) fn file(&self, directory: &Temporary) -> PathBuf {
        let path = directory.sparse(self.name, self.size);
        stamp(&path, 0, &self.head);
        stamp(&path, self.size - MIB, &self.tail);
        path
    }
}

/// Writes what is not zero. Says whether that was anything.
pub(super) fn stamp(path: &Path, at: u64, bytes: &[u8]) -> bool {
    let file = File::options().write(true).open(path).unwrap();
    let mut any = false;
    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
        if !all_zero(sector) {
            any = true;
            file.write_all_at(sector, at + (number * SECTOR) as u64).unwrap();
        }
    }
    any
}
