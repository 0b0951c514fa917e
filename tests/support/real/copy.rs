//! A machine's copy of the image: its files, and the disks beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Disk, RealMachine};
use crate::aws_ec2::EbsVolume;
use crate::layout::make_dir;
use crate::process::tool;
use crate::wait::lock;

impl RealMachine {
    /// What the copy has beside the image.
    pub(super) fn prepare_copy(&self) {
        let endpoint = self.aws.endpoint();
        self.write(
            "/etc/systemd/system.conf.d/rig.conf",
            &format!("[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={endpoint}\nStatusUnitFormat=name\n"),
        );
        self.write(
            "/etc/systemd/system/docker.service.d/rig.conf",
            "[Service]\nExecStartPre=/bin/sh -c 'for tree in /sys/fs/cgroup/*; do mount -o remount,bind,rw $$tree || true; done'\n",
        );
        // In a container it can't see EC2's firmware, so it asks without a token, which is refused, for 15 seconds. No machine
        // of EC2's does that; a virtual machine here has that firmware, and cloud-init with it.
        self.write("/etc/cloud/cloud-init.disabled", "");
    }

    /// Where its files are, on or off: what is on its root disk, not what its /run, /dev or volumes hold.
    #[must_use]
    pub fn file(&self, path: &str) -> PathBuf {
        let root = format!("/proc/{}/root{}/root", self.sandbox.init(), self.dir.display());
        Path::new(&root).join(path.trim_start_matches('/'))
    }

    /// Writes a file onto its root disk.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.file(path);
        if let Some(parent) = path.parent() {
            make_dir(parent);
        }
        fs::write(&path, text).unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
    }

    /// Takes a unit away, as `systemctl mask` does.
    pub fn mask(&self, unit: &str) {
        self.link(&format!("/etc/systemd/system/{unit}"), "/dev/null");
    }

    /// Starts a unit with the next boot, as `systemctl enable` does.
    pub fn enable(&self, unit: &str) {
        let wants = format!("/etc/systemd/system/multi-user.target.wants/{unit}");
        self.link(&wants, &format!("/etc/systemd/system/{unit}"));
    }

    fn link(&self, path: &str, to: &str) {
        let path = self.file(path);
        if let Some(parent) = path.parent() {
            make_dir(parent);
        }
        // What is there is the image's.
        drop(fs::remove_file(&path));
        std::os::unix::fs::symlink(to, &path)
            .unwrap_or_else(|e| panic!("rig: linking {}: {e}", path.display()));
    }

    /// How many bytes of its root disk can still be written by others than root, for whom ext4 keeps a twentieth.
    #[must_use]
    pub fn free_disk(&self) -> u64 {
        let path = self.file("/var");
        let found =
            nix::sys::statvfs::statvfs(&path).unwrap_or_else(|e| panic!("rig: {}: {e}", path.display()));
        found.blocks_available() * found.fragment_size()
    }

    /// Makes an EBS volume with a disk behind it, blank and this large: it is in the machine's /dev from the moment EC2
    /// says that it is attached, and again at each boot. Its id.
    pub fn volume(&self, volume: EbsVolume, mebibytes: u64) -> String {
        let id = self.aws.make_volume(volume);
        let file = self.dir.join(format!("{id}.img"));
        fs::File::create(&file)
            .and_then(|file| file.set_len(mebibytes << 20))
            .unwrap_or_else(|e| panic!("rig: {}: {e}", file.display()));
        let mut disks = lock(&self.disks);
        // The machine's own root would be nvme0n1.
        let disk = Arc::new(Disk::new(&id, &format!("nvme{}n1", disks.len() + 1), &file));
        disks.push(Arc::clone(&disk));
        let (guest, instance) = (Arc::clone(&self.guest), self.imds.instance_id());
        let watch = self.aws.on_attached(&id, move |attachment| {
            if attachment.instance == instance {
                let guest = lock(&guest);
                disk.attach();
                if let Some(guest) = guest.as_ref() {
                    guest.plug(&disk);
                }
            }
        });
        lock(&self.watches).push(watch);
        id
    }

    /// The disk behind a volume.
    #[must_use]
    pub fn disk(&self, volume: &str) -> Arc<Disk> {
        let disks = lock(&self.disks);
        let disk = disks.iter().find(|disk| disk.volume == volume);
        Arc::clone(disk.unwrap_or_else(|| panic!("rig: no disk is behind {volume}")))
    }
}

/// A file system of this size for all that a machine writes; `lay_out.sh` mounts it.
pub(super) fn small_disk(dir: &Path, mebibytes: u64) -> Disk {
    let file = dir.join("small-disk.img");
    let made = fs::File::create(&file).and_then(|image| image.set_len(mebibytes << 20));
    made.unwrap_or_else(|e| panic!("rig: {}: {e}", file.display()));
    let status = tool("mkfs.ext4").args(["-q", "-F"]).arg(&file).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "rig: mkfs.ext4 {}",
        file.display()
    );
    let disk = Disk::new("", "", &file);
    let link = dir.join("small-disk");
    std::os::unix::fs::symlink(disk.device(), &link)
        .unwrap_or_else(|e| panic!("rig: linking {}: {e}", link.display()));
    disk
}
