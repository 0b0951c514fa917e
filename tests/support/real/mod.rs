//! A machine as EC2 starts one: a copy of the machine image, with systemd as its first process.
//!
//! ```text
//!  ┌─ outside ─────────────────────────────┐        ┌─ the machine (systemd-nspawn) ──────────┐
//!  │ 169.254.169.254:80  instance metadata │        │ systemd, docker, monopod, journald, ... │
//!  │ 10.0.0.1:4566       AWS               ├─ veth ─┤ eth0  10.0.0.7, by DHCP                 │
//!  │ udhcpd                                │        │ 127.0.0.1:5000  registry (a Line)       │
//!  └───────────────────────────────────────┘        └─────────────────────────────────────────┘
//! ```
//!
//! Nothing in the image knows of a test. Its copy gets three files more: where AWS is, which on EC2 its SDKs know by
//! themselves, a drop-in for the engine, which needs its control groups writable inside a container, and one that keeps
//! cloud-init from looking for EC2 where a container can't see it.
//!
//! - The copy is an overlay; a reboot keeps it, the end of the test removes it. `/var/lib/docker` is a plain folder
//!   beside it, as the engine's own overlays can't lie on one.
//! - The network is new at each boot, and so is all that a kernel would forget. The kernel itself is the host's: what
//!   has to do with it (a power cut as disks see one, memory pressure, modules, RAID) is not for here.
//! - A volume is a loop device that appears in the machine's /dev, under the names that EC2's have there.

mod beside;
mod copy;
mod disk;
mod guest;
mod look;
mod people;
mod vm;

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::aws::Aws;
use crate::aws_ec2::VolumeWatch;
use crate::aws_lifecycle;
use crate::forward::Line;
use crate::identity::Identity;
use crate::imds::Imds;
use crate::layout::{self, make_dir};
use crate::process::{Part, tied};
use crate::registry::Registry;
use crate::sandbox::{Network, Sandbox};
use crate::wait::{lock, pause};
use crate::{AWS_PORT, REGISTRY, REGISTRY_PORT, Rig};

pub use beside::Neighbour;
pub use disk::Disk;
use guest::Guest;
pub use people::Session;
pub use vm::VirtualMachine;

const LAY_OUT: &str = include_str!("lay_out.sh");

/// Where the image is, unless `MONOPOD_MACHINE_ROOT` says otherwise.
const IMAGE: &str = "target/machine/rootfs";

/// Where the sandbox has the machine's network namespace.
const GUEST_NETWORK: &str = "run/containerd/guest";

/// No machine is up again within a second, as a container can be: between two boots there is time for the firmware. The
/// agent relies on it: when a boot began is known to a second or two.
const FIRMWARE: Duration = Duration::from_secs(3);

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);

/// How a machine that was told to go off did so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Off {
    /// It is off.
    PoweredOff,
    /// It wants to be started again.
    Reboots,
    /// Anything else: how nspawn ended.
    Ended(i32),
}

/// A copy of the machine image, and the network around it. It is off until it is booted.
pub struct RealMachine {
    guest: Arc<Mutex<Option<Guest>>>,
    dhcp: Mutex<Option<Part>>,
    dir: PathBuf,
    image: PathBuf,
    name: String,
    boots: AtomicU64,
    disks: Mutex<Vec<Arc<Disk>>>,
    watches: Mutex<Vec<VolumeWatch>>,
    _small: Option<Disk>,
    imds: Imds,
    registry: Registry,
    aws: Aws,
    // Last: everything above is in it.
    sandbox: Sandbox,
}

impl RealMachine {
    /// A machine with an instance id of its own, off.
    #[must_use]
    pub fn new() -> Self {
        Self::make(None)
    }

    /// One whose root disk has so many MiB for all that it writes, the engine's data included.
    #[must_use]
    pub fn with_disk(mebibytes: u64) -> Self {
        Self::make(Some(mebibytes))
    }

    /// Whether there is an image to copy.
    #[must_use]
    pub fn has_image() -> bool {
        image_path().join("usr/bin/monopod").exists()
    }

    fn make(small: Option<u64>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let rig = Rig::get();
        clear_leftovers();
        let image = image();
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let name = format!("monopod-machine-{}-{number}", std::process::id());
        let dir = machines().join(&name);
        for part in ["root", "disk"] {
            make_dir(&dir.join(part));
        }
        // A link on the way would lead out of the sandbox, which we look into through /proc.
        let dir = dir
            .canonicalize()
            .unwrap_or_else(|e| panic!("rig: {}: {e}", dir.display()));
        let small = small.map(|mebibytes| copy::small_disk(&dir, mebibytes));
        let sandbox = Sandbox::start();
        lay_out(&sandbox, &dir, &image);
        let guest_network = guest_network(&sandbox);
        thread::scope(|scope| {
            scope.spawn(|| rig.registry());
            scope.spawn(|| rig.standin());
        });
        let (server, standin) = (rig.registry(), rig.standin());
        let (identity, access_key) = identity_of(number);
        let signs_with = access_key.clone();
        let metadata = SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80);
        let machine = Self {
            guest: Arc::default(),
            dhcp: Mutex::new(None),
            imds: Imds::new(sandbox.network(), metadata, identity, move |identity| {
                aws_lifecycle::identify(standin, &signs_with, identity);
            }),
            registry: Registry {
                host: REGISTRY,
                server,
                line: Line::new(&guest_network, REGISTRY_PORT, server.address),
            },
            aws: Aws {
                standin,
                line: Line::at(
                    sandbox.network(),
                    SocketAddrV4::new(OUTSIDE, AWS_PORT),
                    standin.address,
                ),
                access_key,
            },
            boots: AtomicU64::new(0),
            disks: Mutex::default(),
            watches: Mutex::default(),
            _small: small,
            sandbox,
            dir,
            image,
            name,
        };
        machine.prepare_copy();
        machine
    }

    /// Its metadata service.
    #[must_use]
    pub fn imds(&self) -> &Imds {
        &self.imds
    }

    /// The registry, as it sees it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// AWS, as it sees it.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The user data its metadata service gives.
    pub fn set_user_data(&self, text: &str) {
        self.imds.set_user_data(text);
    }

    /// Switches it on, and returns once its first process runs.
    pub fn boot(&self) {
        self.boot_without_network();
        self.network_up();
    }

    /// The same, with a network that answers nobody until [`Self::network_up`].
    pub fn boot_without_network(&self) {
        let mut guest = lock(&self.guest);
        assert!(guest.is_none(), "rig: {} is on already", self.name);
        lay_out(&self.sandbox, &self.dir, &self.image);
        let network = guest_network(&self.sandbox);
        self.registry.line.move_to(&network);
        let boot = self.boots.fetch_add(1, Ordering::SeqCst);
        if boot > 0 {
            pause(FIRMWARE);
        }
        let console = self.dir.join(format!("console-{boot}.log"));
        let started = Guest::start(&self.sandbox, &self.dir, &self.name, &console, network);
        for disk in lock(&self.disks).iter().filter(|disk| disk.attached()) {
            started.plug(disk);
        }
        *guest = Some(started);
    }

    /// The network begins to answer: DHCP, and with it all else.
    pub fn network_up(&self) {
        let init = self.sandbox.init();
        let mut command = tied("nsenter");
        command
            .arg(format!("--net=/proc/{init}/ns/net"))
            .arg(format!("--mount=/proc/{init}/ns/mnt"))
            .args(["--", "busybox", "udhcpd", "-f"])
            .arg(self.dir.join("udhcpd.conf"));
        let part = Part::start("udhcpd", command, &self.dir.join("udhcpd.log"));
        *lock(&self.dhcp) = Some(part);
    }

    /// The network comes up after `delay`, by itself.
    pub fn boot_with_late_network(&self, delay: Duration) {
        self.boot_without_network();
        pause(delay);
        self.network_up();
    }

    /// Waits until it is off, which it has been told to be; how it went.
    #[must_use = "it may have been a reboot"]
    pub fn wait_off(&self, within: Duration) -> Off {
        let ended = lock(&self.guest)
            .as_ref()
            .unwrap_or_else(|| panic!("rig: {} is off already", self.name))
            .wait(within);
        let ended =
            ended.unwrap_or_else(|| panic!("rig: it is still on after {within:?}{}", self.console_tail()));
        self.switched_off();
        ended
    }

    /// Tells its systemd to power off, as EC2 does for a stop or a termination, and waits.
    pub fn power_off(&self, within: Duration) {
        self.signal_nspawn(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(self.wait_off(within), Off::PoweredOff);
    }

    /// Tells its systemd to reboot, waits until it is down, and boots it.
    pub fn reboot(&self, within: Duration) {
        self.run_ok(&["systemctl", "--no-block", "reboot"]);
        assert_eq!(self.wait_off(within), Off::Reboots);
        self.boot();
    }

    /// Kills everything in it at once. For disks that is not a power cut: what programs have written stays written.
    pub fn kill(&self) {
        if let Some(guest) = lock(&self.guest).as_ref() {
            guest.kill();
        }
        self.switched_off();
    }

    fn signal_nspawn(&self, signal: nix::sys::signal::Signal) {
        lock(&self.guest)
            .as_ref()
            .unwrap_or_else(|| panic!("rig: {} is off", self.name))
            .signal(signal);
    }

    fn switched_off(&self) {
        *lock(&self.guest) = None;
        *lock(&self.dhcp) = None;
        guest::clear_cgroups(&self.name);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        lock(&self.guest).as_ref().is_some_and(Guest::is_on)
    }
}

impl Default for RealMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for RealMachine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.story());
        }
        lock(&self.watches).clear();
        self.kill();
        self.sandbox.kill();
        drop(fs::remove_dir_all(&self.dir));
    }
}

/// Who a machine is: other than those that only have an engine, and with a role whose key is its own.
fn identity_of(number: u64) -> (Identity, String) {
    let instance = (u64::from(std::process::id()) << 20) + (1 << 19) + number;
    let access_key = format!("AKIA{instance:016X}");
    let mut identity = Identity::new(instance);
    identity.role_key.clone_from(&access_key);
    (identity, access_key)
}

fn image_path() -> PathBuf {
    std::env::var_os("MONOPOD_MACHINE_ROOT").map_or_else(|| layout::workspace().join(IMAGE), PathBuf::from)
}

/// The image, or the end of the test with what to do.
fn image() -> PathBuf {
    let path = image_path();
    assert!(
        RealMachine::has_image(),
        "rig: {} is no machine image: run `make image` first (or set MONOPOD_MACHINE_ROOT)",
        path.display()
    );
    path.canonicalize()
        .unwrap_or_else(|e| panic!("rig: {}: {e}", path.display()))
}

fn machines() -> PathBuf {
    layout::home().join("machines")
}

/// Removes what a test process that was killed has left; its namespaces went with it.
fn clear_leftovers() {
    for entry in fs::read_dir(machines()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("monopod-machine-")?.split_once('-'))
            .and_then(|(pid, _)| pid.parse().ok());
        if pid.is_some_and(|pid| !crate::process::alive(pid)) {
            guest::clear_cgroups(&name.to_string_lossy());
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

fn lay_out(sandbox: &Sandbox, dir: &Path, image: &Path) {
    sandbox.run("lay_out.sh", LAY_OUT, &[dir.as_os_str(), image.as_os_str()]);
}

fn guest_network(sandbox: &Sandbox) -> Arc<Network> {
    let path = format!("/proc/{}/root/{GUEST_NETWORK}", sandbox.init());
    Arc::new(Network::mounted_at(Path::new(&path)))
}
