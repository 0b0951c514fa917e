//! A file system with an end, for what happens when a disk is full.
//!
//! No loop devices: a tmpfs, in a mount namespace of its own that one process holds. It is reached through that process
//! (`/proc/PID/root/...`), so nothing is mounted on the host and nothing is left when the test process dies. Such a path
//! must not be resolved first (`realpath`): what comes out does not exist on the host, and using it fails.
//!
//! Programs are given it in place of a folder: `machine.monopod(...).env("LOGS_DIRECTORY", disk.path())`; it outlives a
//! reboot of the machine. For an engine's data there is [`Machine::small_disk`], and [`Machine::one_small_disk`] for
//! everything together.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::sys::stat::{major, minor};
use nix::sys::statvfs::statvfs;

use crate::machine::Machine;
use crate::process::{spawn_tied, tied, tool};

/// A tmpfs within a tmpfs: the inner one's mount point is nowhere on the host.
const MOUNT: &str = "set -e
mount -t tmpfs -o mode=755 monopod-rig /mnt
mkdir /mnt/small-disk
mount -t tmpfs -o mode=755,size=$1 monopod-rig /mnt/small-disk
echo ready
exec sleep infinity";

/// The file that takes the room.
const BALLAST: &str = "ballast";

/// The file system; gone when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    /// An empty one of this size, in bytes; it is made of memory.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let mut command = tied("unshare");
        command
            .args([
                "--mount",
                "--propagation",
                "private",
                "/bin/sh",
                "-c",
                MOUNT,
                "sh",
            ])
            .arg(bytes.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut holder =
            spawn_tied(command).unwrap_or_else(|e| panic!("rig: starting setpriv and unshare: {e}"));
        let output = holder.stdout.take().expect("rig: its output is a pipe");
        let mut said = String::new();
        let read = BufReader::new(output).read_line(&mut said);
        assert!(
            read.is_ok() && said.trim() == "ready",
            "rig: mounting a small disk failed (said {said:?}); its words are above"
        );
        let path = PathBuf::from(format!("/proc/{}/root/mnt/small-disk", holder.id()));
        Self { holder, path }
    }

    /// Where it is, for as long as it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes that are free.
    #[must_use]
    pub fn free(&self) -> u64 {
        free(&self.path)
    }

    /// Takes all its room but this much, with a file of its own; again, with another one in its place.
    pub fn fill(&self, leaving: u64) {
        fill(&self.path, leaving);
    }

    /// Gives back what [`Self::fill`] has taken.
    pub fn relieve(&self) {
        relieve(&self.path);
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

impl Machine {
    /// [`Self::small_disk`] with the agent's state and logs on the same file system: one disk for everything, as most
    /// machines have. Tests find files on it by [`Self::seen`]; what was in these folders is hidden. Programs that run
    /// there see the engine's /proc, in which they are not themselves, and no [`SmallDisk`].
    pub fn one_small_disk(&self, bytes: u64) {
        self.small_disk(bytes);
        let data = &self.dirs().engine_data;
        for (name, folder) in [("state", &self.dirs().state), ("logs", &self.dirs().logs)] {
            let from = data.join(format!("of-the-agent-{name}"));
            self.mount(&["mkdir", "-p"], &[&from]);
            self.mount(&["mount", "--bind"], &[&from, folder]);
        }
    }

    /// A path as programs of the machine see it after [`Self::one_small_disk`] or [`Self::small_disk`]: where the test
    /// finds the same file. Not to be resolved.
    #[must_use]
    pub fn seen(&self, path: &Path) -> PathBuf {
        // Links are followed first: an absolute one would lead from there to the host's own file.
        let known = path
            .ancestors()
            .find_map(|folder| Some((folder, folder.canonicalize().ok()?)));
        let (folder, resolved) = known.expect("rig: the path is absolute, and / is there");
        let rest = path.strip_prefix(folder).expect("rig: an ancestor is a prefix");
        let inside = resolved.strip_prefix("/").unwrap_or(&resolved).join(rest);
        Path::new(&format!("/proc/{}/root", self.init())).join(inside)
    }

    /// Takes all the room of the engine's small disk but this much; see [`SmallDisk::fill`].
    pub fn fill_small_disk(&self, leaving: u64) {
        fill(&self.seen(&self.dirs().engine_data), leaving);
    }

    /// Gives back what [`Self::fill_small_disk`] has taken.
    pub fn relieve_small_disk(&self) {
        relieve(&self.seen(&self.dirs().engine_data));
    }

    fn mount(&self, command: &[&str], paths: &[&Path]) {
        let output = tool("nsenter")
            .arg(format!("--mount=/proc/{}/ns/mnt", self.init()))
            .arg("--")
            .args(command)
            .args(paths)
            .output()
            .unwrap_or_else(|e| panic!("rig: starting nsenter: {e}"));
        assert!(
            output.status.success(),
            "rig: {command:?} {paths:?} in a machine: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

fn free(path: &Path) -> u64 {
    let stat =
        statvfs(path).unwrap_or_else(|e| panic!("rig: asking for the room on {}: {e}", path.display()));
    stat.blocks_available() * stat.fragment_size()
}

/// Never a file system that the host uses: filling it would take everybody's room.
fn check_that_it_is_ours(path: &Path) {
    let dev = fs::metadata(path)
        .unwrap_or_else(|e| panic!("rig: looking at {}: {e}", path.display()))
        .dev();
    let shown = format!("{}:{}", major(dev), minor(dev));
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("rig: reading our own mounts");
    let hosts = mounts
        .lines()
        .any(|mount| mount.split(' ').nth(2) == Some(shown.as_str()));
    assert!(
        !hosts,
        "rig: {} is on a file system of the host's, and no small disk: it is not filled",
        path.display()
    );
}

fn fill(path: &Path, leaving: u64) {
    check_that_it_is_ours(path);
    relieve(path);
    let room = free(path).saturating_sub(leaving);
    let file = path.join(BALLAST);
    let mut ballast = File::create(&file).unwrap_or_else(|e| panic!("rig: creating {}: {e}", file.display()));
    let piece = vec![0; 64 * 1024];
    let mut left = room;
    while left > 0 {
        let bite = usize::try_from(left).unwrap_or(piece.len()).min(piece.len());
        // Full before we are: somebody else writes too, and that is what was wanted.
        if ballast.write_all(&piece[..bite]).is_err() {
            return;
        }
        left -= bite as u64;
    }
}

fn relieve(path: &Path) {
    // Not there is as good.
    drop(fs::remove_file(path.join(BALLAST)));
}
