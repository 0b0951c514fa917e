//! A machine's insides: one network, mount and process namespace of its own, held by one process.
//!
//! When that process dies the kernel kills everything in the process namespace and takes the mounts and the network
//! with it: an engine, its containers, its bridges and its overlay mounts can't outlive a test run, even one that was
//! killed with -9. That is also what makes [`crate::Machine::reboot`] a power cut rather than a polite shutdown.
//!
//! Not `ip netns add`: a named namespace is a mount on the host that stays behind. Not `ip netns exec`: it mounts a new
//! /sys without the cgroups.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

use crate::process::{alive, children, spawn_tied, tied};
use crate::wait::wait_until;

/// What the first process of the sandbox does. The engine must not find a containerd of the host's, so its directory
/// is hidden; and somebody has to collect the orphans, which a shell in `wait` does.
const INIT: &str = "set -e
mkdir -p /run/containerd
mount -t tmpfs -o mode=711 monopod-rig /run/containerd
ip link set lo up
echo ready
exec >/dev/null
while :; do sleep 3600 & wait; done";

/// A network namespace, kept alive by an open descriptor.
#[derive(Debug)]
pub(crate) struct Network {
    namespace: File,
}

impl Network {
    /// The one this process is in: the host's.
    pub(crate) fn own() -> Self {
        let namespace = File::open("/proc/self/ns/net")
            .unwrap_or_else(|e| panic!("rig: opening our own network namespace: {e}"));
        Self { namespace }
    }

    /// One that is mounted at this file.
    pub(crate) fn mounted_at(path: &Path) -> Self {
        let namespace = File::open(path)
            .unwrap_or_else(|e| panic!("rig: opening the network namespace {}: {e}", path.display()));
        Self { namespace }
    }

    /// Runs `work` on a thread inside the namespace: sockets it makes, and processes it starts, stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    setns(&self.namespace, CloneFlags::CLONE_NEWNET)?;
                    work()
                })
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// The namespaces and the process that holds them.
#[derive(Debug)]
pub(crate) struct Sandbox {
    holder: Child,
    init: u32,
    network: Arc<Network>,
}

impl Sandbox {
    pub(crate) fn start() -> Self {
        let mut command = tied("unshare");
        command
            .args([
                "--net",
                "--mount",
                "--propagation",
                "slave",
                "--pid",
                "--mount-proc",
                "--fork",
                "--kill-child=KILL",
            ])
            .args(["/bin/sh", "-c", INIT])
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut holder =
            spawn_tied(command).unwrap_or_else(|e| panic!("rig: starting setpriv and unshare: {e}"));
        let mut said = String::new();
        let output = holder.stdout.take().expect("rig: the sandbox's output is a pipe");
        let read = BufReader::new(output).read_line(&mut said);
        assert!(
            read.is_ok() && said.trim() == "ready",
            "rig: making namespaces with unshare failed (said {said:?}); its words are above. It takes root, and a \
             kernel or container that lets root make network, mount and process namespaces",
        );
        let init = children(holder.id())
            .first()
            .copied()
            .expect("rig: unshare has the sandbox's first process as its child");
        let namespace = File::open(format!("/proc/{init}/ns/net"))
            .unwrap_or_else(|e| panic!("rig: opening the network namespace of process {init}: {e}"));
        Self {
            holder,
            init,
            network: Arc::new(Network { namespace }),
        }
    }

    /// The pid of its first process, as the host sees it.
    pub(crate) fn init(&self) -> u32 {
        self.init
    }

    /// The processes of the host that are in this network: agents, what they have started, and the rig's own helpers.
    pub(crate) fn visitors(&self) -> Vec<u32> {
        let link = |pid: &str, name: &str| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        let network = link(&self.init.to_string(), "net");
        let host = link("self", "pid");
        let Ok(entries) = fs::read_dir("/proc") else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|pid| *pid != self.holder.id() && *pid != std::process::id())
            .filter(|pid| {
                let pid = pid.to_string();
                network.is_some() && link(&pid, "net") == network && link(&pid, "pid") == host
            })
            .collect()
    }

    pub(crate) fn network(&self) -> &Arc<Network> {
        &self.network
    }

    /// Kills all that is in it, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // The child dies by its own parent-death signal.
        drop(self.holder.kill());
        drop(self.holder.wait());
        let init = self.init;
        wait_until(Duration::from_secs(10), || (!alive(init)).then_some(())).unwrap_or_else(|| {
            panic!("rig: the sandbox's first process {init} is still alive 10 s after its kill")
        });
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.kill();
    }
}
