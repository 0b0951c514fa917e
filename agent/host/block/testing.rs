//! Disks for tests: sparse files, and loop devices over them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A directory that goes with its test.
pub(super) struct Temporary(PathBuf);

impl Temporary {
    pub(super) fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("monopod-block-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// A file full of holes.
    pub(super) fn sparse(&self, name: &str, size: u64) -> PathBuf {
        let path = self.0.join(name);
        File::create(&path).unwrap().set_len(size).unwrap();
        path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Runs a program that has to succeed; gives what it printed.
pub(super) fn sh(script: &str) -> String {
    let done = Command::new("sh").args(["-ec", script]).output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{script}: {words}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// A block device over a file.
pub(super) struct Loop {
    path: PathBuf,
    has_partitions: bool,
}

impl Loop {
    pub(super) fn new(file: &Path) -> Self {
        Self {
            path: sh(&format!("losetup --find --show {}", file.display())).into(),
            has_partitions: false,
        }
    }

    /// With the partitions that are in the file. The kernel is told, because not every one can read a GPT.
    pub(super) fn partitioned(file: &Path) -> Self {
        let mut made = Self::new(file);
        sh(&format!("partx --add {}", made.path.display()));
        made.has_partitions = true;
        made
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if self.has_partitions {
            drop(Command::new("partx").arg("--delete").arg(&self.path).status());
        }
        drop(Command::new("losetup").arg("--detach").arg(&self.path).status());
    }
}

/// A file system, mounted by a test itself.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    pub(super) fn new(device: &Path, place: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&place).unwrap();
        sh(&format!(
            "mount {options} {} {}",
            device.display(),
            place.display()
        ));
        Self(place)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(&self.0).status());
    }
}
