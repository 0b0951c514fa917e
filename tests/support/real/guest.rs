//! One boot of a real machine: from nspawn's start to its end.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{Disk, Off};
use crate::process::{Part, alive, children, exit_code, send, tied, tool};
use crate::sandbox::{Network, Sandbox};
use crate::wait::wait_until;

const START: &str = include_str!("start.sh");

/// What nspawn ends with when its machine wants to be started again.
const REBOOT: i32 = 133;

/// nspawn, and the first process of the machine in it.
pub(super) struct Guest {
    part: Part,
    nspawn: u32,
    init: u32,
    pub(super) network: Arc<Network>,
    pub(super) began: Instant,
}

impl Guest {
    pub(super) fn start(
        sandbox: &Sandbox,
        dir: &Path,
        name: &str,
        console: &Path,
        network: Arc<Network>,
    ) -> Self {
        let holder = sandbox.init();
        let mut command = tied("nsenter");
        command
            .arg(format!("--net=/proc/{holder}/ns/net"))
            .arg(format!("--mount=/proc/{holder}/ns/mnt"))
            // nspawn ends with the sandbox; nsenter waits for it.
            .arg(format!("--pid=/proc/{holder}/ns/pid"))
            .args(["--", "/bin/sh", "-c", START, "start.sh"])
            .arg(dir)
            .arg(name);
        let part = Part::start("systemd-nspawn", command, console);
        let outer = part.pid();
        let (nspawn, init) = part.ready(Duration::from_secs(30), |_| {
            let unshare = *children(outer).first()?;
            let nspawn = *children(unshare).first()?;
            let init = children(nspawn).into_iter().find(|pid| is_init(*pid))?;
            Some((nspawn, init))
        });
        Self {
            part,
            nspawn,
            init,
            network,
            began: Instant::now(),
        }
    }

    pub(super) fn init(&self) -> u32 {
        self.init
    }

    pub(super) fn is_on(&self) -> bool {
        alive(self.nspawn)
    }

    pub(super) fn signal(&self, signal: Signal) {
        send(self.nspawn, signal);
    }

    pub(super) fn wait(&self, within: Duration) -> Option<Off> {
        Some(match exit_code(self.part.wait(within)?) {
            0 => Off::PoweredOff,
            REBOOT => Off::Reboots,
            other => Off::Ended(other),
        })
    }

    /// Kills the first process, and with it the kernel kills all.
    pub(super) fn kill(&self) {
        send(self.init, Signal::SIGKILL);
        send(self.nspawn, Signal::SIGKILL);
        for pid in [self.init, self.nspawn] {
            wait_until(Duration::from_secs(20), || (!alive(pid)).then_some(()))
                .unwrap_or_else(|| panic!("rig: process {pid} of a machine is alive 20 s after its kill"));
        }
    }

    /// A file as the machine's own programs see it: its /run, /dev and volumes too.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        Path::new(&format!("/proc/{}/root", self.init)).join(path.trim_start_matches('/'))
    }

    /// A disk appears, under the names that EC2's disks have.
    pub(super) fn plug(&self, disk: &Disk) {
        let node = self.path(&format!("/dev/{}", disk.node));
        let made = tool("mknod")
            .arg(&node)
            .args(["b", &disk.major.to_string(), &disk.minor.to_string()])
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "rig: making {}",
            node.display()
        );
        let names = self.path("/dev/disk/by-id");
        crate::layout::make_dir(&names);
        let name = names.join(disk.by_id());
        std::os::unix::fs::symlink(format!("../../{}", disk.node), &name)
            .unwrap_or_else(|e| panic!("rig: linking {}: {e}", name.display()));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The machine's own first process, in its own root already: before that its parts are nspawn's.
fn is_init(pid: u32) -> bool {
    let root = format!("/proc/{pid}/root");
    Path::new(&root).join("run/host/container-manager").exists()
        && fs::read_link(format!("/proc/{pid}/exe"))
            .is_ok_and(|exe| exe.file_name().is_some_and(|name| name == "systemd"))
}

/// Control groups are what stays of a machine that is off. Children come before parents.
pub(super) fn clear_cgroups(name: &str) {
    let trees = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    for tree in trees.map(|entry| entry.path()).chain(["/sys/fs/cgroup".into()]) {
        clear_group(&tree.join(name));
    }
}

fn clear_group(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            clear_group(&entry.path());
        }
    }
    drop(fs::remove_dir(group));
}
