//! A disk for a real machine: a file behind a loop device.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::stat::{major, minor};

use crate::process::tool;

/// A disk: it keeps its bytes over boots, and whoever holds it can look at them while no machine does.
pub struct Disk {
    /// The EBS volume's id.
    pub volume: String,
    /// Its name in /dev: `nvme1n1`.
    pub(super) node: String,
    file: PathBuf,
    device: PathBuf,
    pub(super) major: u64,
    pub(super) minor: u64,
    attached: AtomicBool,
    // The kernel lets the loop device go when nobody has it open: this process, and the machine that mounts it.
    _held: File,
}

impl Disk {
    /// The disk whose bytes are in this file.
    pub(super) fn new(volume: &str, node: &str, file: &Path) -> Self {
        let output = tool("losetup")
            .args(["--find", "--show"])
            .arg(file)
            .output()
            .unwrap_or_else(|e| panic!("rig: starting losetup: {e}"));
        assert!(
            output.status.success(),
            "rig: a loop device for {}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
        let device = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let held = File::open(&device).unwrap_or_else(|e| panic!("rig: opening {}: {e}", device.display()));
        // While it is open this only says that it is to go with its last user, a killed test process too.
        drop(tool("losetup").arg("--detach").arg(&device).status());
        let meta = fs::metadata(&device).unwrap_or_else(|e| panic!("rig: {}: {e}", device.display()));
        assert!(meta.file_type().is_block_device(), "rig: {}", device.display());
        Self {
            volume: volume.to_owned(),
            node: node.to_owned(),
            file: file.to_owned(),
            device,
            major: major(meta.rdev()),
            minor: minor(meta.rdev()),
            attached: AtomicBool::new(false),
            _held: held,
        }
    }

    pub(super) fn attach(&self) {
        self.attached.store(true, Ordering::SeqCst);
    }

    pub(super) fn attached(&self) -> bool {
        self.attached.load(Ordering::SeqCst)
    }

    /// The name udev gives to it on EC2.
    pub(super) fn by_id(&self) -> String {
        format!(
            "nvme-Amazon_Elastic_Block_Store_{}",
            self.volume.replacen("vol-", "vol", 1)
        )
    }

    /// The file with its bytes.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The device on the host.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }
}
