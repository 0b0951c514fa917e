//! The machine image with a kernel of its own, in qemu, without help of the processor: slow, and the only place where
//! cutting the power is what disks see when the power is cut.
//!
//! The network is that of [`super::RealMachine`], with a virtual card in place of the veth; the registry is outside too,
//! and a socket unit in the copy leads to it from the address that the engine takes for safe. Another socket unit is how
//! the rig gets a shell. Volumes are NVMe disks whose serial number is the volume's id, as EC2's are; EC2 says that they
//! are attached, and they are there from the start.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::{OUTSIDE, clear_leftovers, identity_of, image, look, machines};
use crate::aws::Aws;
use crate::aws_ec2::EbsVolume;
use crate::aws_lifecycle;
use crate::forward::Line;
use crate::gate::Gate;
use crate::imds::Imds;
use crate::layout::make_dir;
use crate::process::{Part, exit_code, tied, tool};
use crate::registry::Registry;
use crate::sandbox::{Network, Sandbox};
use crate::wait::{Journal, lock, pause, wait_until};
use crate::{AWS_PORT, REGISTRY, REGISTRY_PORT, Rig};

const WIRE: &str = include_str!("wire.sh");
const ROOT_DISK: &str = include_str!("root_disk.sh");
pub(super) const INSIDE: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 7);
/// Where the copy's shell listens.
const SHELL_PORT: u16 = 2222;
/// Where [`VirtualMachine::heard`] listens, outside.
const EAR_PORT: u16 = 7777;
/// What a machine's firmware calls it; EC2's begin so.
const FIRMWARE: &str = "ec2e1916-9099-7caf-fd21-012345abcdef";
const ROOT_MIB: u64 = 4096;

/// A virtual machine: off until it is booted.
pub struct VirtualMachine {
    qemu: Mutex<Option<Part>>,
    _dhcp: Part,
    _ear: Gate,
    heard: Journal<String>,
    dir: PathBuf,
    image: PathBuf,
    boots: AtomicU64,
    volumes: Mutex<Vec<(String, PathBuf)>>,
    imds: Imds,
    registry: Registry,
    aws: Aws,
    sandbox: Sandbox,
}

impl VirtualMachine {
    /// A machine with an instance id of its own, off; its root disk is made, which takes a while.
    #[must_use]
    pub fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let rig = Rig::get();
        clear_leftovers();
        let image = image();
        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
        let dir = machines().join(format!("monopod-machine-{}-vm-{number}", std::process::id()));
        make_dir(&dir);
        let dir = dir
            .canonicalize()
            .unwrap_or_else(|e| panic!("rig: {}: {e}", dir.display()));
        let sandbox = Sandbox::start();
        sandbox.run("wire.sh", WIRE, &[dir.as_os_str()]);
        thread::scope(|scope| {
            scope.spawn(|| rig.registry());
            scope.spawn(|| rig.standin());
        });
        let (server, standin) = (rig.registry(), rig.standin());
        let (identity, access_key) = identity_of(number + (1 << 18));
        let signs_with = access_key.clone();
        let network = sandbox.network();
        let outside = |port| SocketAddrV4::new(OUTSIDE, port);
        let heard = Journal::default();
        let journal: Journal<String> = heard.clone();
        let ear = Gate::at(network, outside(EAR_PORT), move |stream| {
            use std::io::BufRead as _;
            for line in std::io::BufReader::new(stream).lines() {
                // A machine that dies says nothing more.
                let Ok(line) = line else { return };
                journal.push(line);
            }
        });
        let init = sandbox.init();
        let mut dhcp = tied("nsenter");
        dhcp.arg(format!("--net=/proc/{init}/ns/net"))
            .args(["--", "busybox", "udhcpd", "-f"])
            .arg(dir.join("udhcpd.conf"));
        let machine = Self {
            qemu: Mutex::new(None),
            _dhcp: Part::start("udhcpd", dhcp, &dir.join("udhcpd.log")),
            _ear: ear,
            heard,
            boots: AtomicU64::new(0),
            volumes: Mutex::default(),
            imds: Imds::new(
                network,
                SocketAddrV4::new(Ipv4Addr::new(169, 254, 169, 254), 80),
                identity,
                move |identity| aws_lifecycle::identify(standin, &signs_with, identity),
            ),
            registry: Registry {
                host: REGISTRY,
                server,
                line: Line::at(network, outside(REGISTRY_PORT), server.address),
            },
            aws: Aws {
                standin,
                line: Line::at(network, outside(AWS_PORT), standin.address),
                access_key,
            },
            sandbox,
            dir,
            image,
        };
        machine.make_root_disk();
        machine
    }

    fn make_root_disk(&self) {
        let endpoint = self.aws.endpoint();
        let system = "/etc/systemd/system";
        let wants = format!("{system}/sockets.target.wants");
        self.add(
            "/etc/systemd/system.conf.d/rig.conf",
            &format!("[Manager]\nDefaultEnvironment=AWS_ENDPOINT_URL={endpoint}\nStatusUnitFormat=name\n"),
        );
        for (unit, text) in [
            (
                "rig-registry.socket",
                format!("[Socket]\nListenStream=127.0.0.1:{REGISTRY_PORT}\n"),
            ),
            (
                "rig-registry.service",
                format!(
                    "[Service]\nExecStart=/usr/lib/systemd/systemd-socket-proxyd {OUTSIDE}:{REGISTRY_PORT}\n"
                ),
            ),
            (
                "rig-shell.socket",
                format!("[Socket]\nListenStream=0.0.0.0:{SHELL_PORT}\nAccept=yes\n"),
            ),
            (
                "rig-shell@.service",
                "[Service]\nExecStart=-/bin/sh\nStandardInput=socket\nStandardOutput=socket\n".to_owned(),
            ),
        ] {
            self.add(&format!("{system}/{unit}"), &text);
            if unit.ends_with(".socket") {
                let link = self
                    .dir
                    .join("added")
                    .join(wants.trim_start_matches('/'))
                    .join(unit);
                make_dir(link.parent().expect("it has a folder"));
                std::os::unix::fs::symlink(format!("{system}/{unit}"), &link)
                    .unwrap_or_else(|e| panic!("rig: linking {}: {e}", link.display()));
            }
        }
        self.sandbox.run(
            "root_disk.sh",
            ROOT_DISK,
            &[
                self.dir.as_os_str(),
                self.image.as_os_str(),
                ROOT_MIB.to_string().as_ref(),
            ],
        );
    }

    fn add(&self, path: &str, text: &str) {
        let path = self.dir.join("added").join(path.trim_start_matches('/'));
        make_dir(path.parent().expect("it has a folder"));
        fs::write(&path, text).unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
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

    /// Lines that something in the machine has sent to 10.0.0.1:7777.
    #[must_use]
    pub fn heard(&self) -> &Journal<String> {
        &self.heard
    }

    /// An EBS volume, blank and this large, that the machine has from its next boot on. Its id.
    pub fn volume(&self, volume: EbsVolume, device: &str, mebibytes: u64) -> String {
        let id = self.aws.make_volume(volume);
        self.aws.hold_volume(&id, &self.imds.instance_id(), device);
        let file = self.dir.join(format!("{id}.img"));
        fs::File::create(&file)
            .and_then(|file| file.set_len(mebibytes << 20))
            .unwrap_or_else(|e| panic!("rig: {}: {e}", file.display()));
        lock(&self.volumes).push((id.clone(), file));
        id
    }

    /// The file with a volume's bytes, to be looked at while the machine is off.
    #[must_use]
    pub fn volume_file(&self, id: &str) -> PathBuf {
        let volumes = lock(&self.volumes);
        let found = volumes.iter().find(|(volume, _)| volume == id);
        found.map_or_else(|| panic!("rig: no volume {id}"), |(_, file)| file.clone())
    }

    /// Switches it on.
    pub fn boot(&self) {
        let boot = self.boots.fetch_add(1, Ordering::SeqCst);
        let mut command = tied("nsenter");
        command
            .arg(format!("--net=/proc/{}/ns/net", self.sandbox.init()))
            .args([
                "--",
                "qemu-system-x86_64",
                "-accel",
                "tcg,thread=multi,tb-size=512",
            ])
            .args([
                "-cpu",
                "max",
                "-smp",
                "2",
                "-m",
                "2048",
                "-nodefaults",
                "-display",
                "none",
            ])
            .arg("-no-reboot")
            .arg("-serial")
            .arg(format!("file:{}", self.console_path(boot).display()))
            .arg("-kernel")
            .arg(self.image.join("vmlinuz"))
            .arg("-initrd")
            .arg(self.image.join("initrd.img"))
            .args([
                "-append",
                "root=/dev/vda rw console=ttyS0 quiet systemd.show_status=1 net.ifnames=0",
            ])
            .arg("-drive")
            // Past the host's cache: what the guest was told is on the disk has left qemu.
            .arg(format!(
                "file={},if=virtio,format=raw,cache=none",
                self.dir.join("root.img").display()
            ))
            .args(["-netdev", "tap,id=wire,ifname=outside,script=no,downscript=no"])
            .args(["-device", "virtio-net-pci,netdev=wire,mac=02:00:00:00:00:07"])
            .args(["-device", "virtio-rng-pci"])
            // The firmware of an EC2 machine: by it systemd and cloud-init know where they are.
            .args(["-smbios", "type=0,vendor=Amazon EC2,version=1.0"])
            .args([
                "-smbios",
                &format!("type=1,manufacturer=Amazon EC2,product=t3.micro,uuid={FIRMWARE},serial={FIRMWARE}"),
            ]);
        for (number, (id, file)) in lock(&self.volumes).iter().enumerate() {
            command
                .arg("-drive")
                .arg(format!(
                    "file={},if=none,id=v{number},format=raw,cache=none",
                    file.display()
                ))
                .arg("-device")
                .arg(format!(
                    "nvme,drive=v{number},serial={}",
                    id.replacen("vol-", "vol", 1)
                ));
        }
        let part = Part::start("qemu", command, &self.dir.join("qemu.log"));
        *lock(&self.qemu) = Some(part);
    }

    /// Cuts the power.
    pub fn cut_power(&self) {
        // Killed and waited for.
        *lock(&self.qemu) = None;
    }

    /// Waits until it has switched itself off.
    pub fn wait_off(&self, within: Duration) {
        let ended = lock(&self.qemu).as_ref().and_then(|part| part.wait(within));
        let code = ended.map(exit_code);
        assert_eq!(
            code,
            Some(0),
            "rig: it is not off after {within:?}{}",
            self.console_tail()
        );
        *lock(&self.qemu) = None;
    }

    fn console_path(&self, boot: u64) -> PathBuf {
        self.dir.join(format!("console-{boot}.log"))
    }

    /// What stands on the serial console since this boot began.
    #[must_use]
    pub fn console(&self) -> String {
        let boot = self.boots.load(Ordering::SeqCst).saturating_sub(1);
        look::plain(&fs::read(self.console_path(boot)).unwrap_or_default())
    }

    fn console_tail(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        lines
            .get(lines.len().saturating_sub(150)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// Waits for a text on the console of this boot.
    pub fn wait_console(&self, text: &str, within: Duration) {
        wait_until(within, || {
            pause(Duration::from_millis(200));
            self.console().contains(text).then_some(())
        })
        .unwrap_or_else(|| panic!("rig: no {text:?} on the console within {within:?}"));
    }

    /// Runs a script on the other side of its network, to its end.
    pub(super) fn run_outside(&self, name: &str, script: &str, args: &[&std::ffi::OsStr]) {
        self.sandbox.run(name, script, args);
    }

    /// The other side of its network.
    pub(super) fn network(&self) -> &Arc<Network> {
        self.sandbox.network()
    }

    /// Runs a shell's script in it: what it has printed, its errors too.
    pub fn shell(&self, script: &str) -> String {
        let network = self.sandbox.network();
        let stream = network.enter(|| TcpStream::connect(SocketAddrV4::new(INSIDE, SHELL_PORT)));
        let answer = stream.and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(120)))?;
            stream.write_all(format!("exec 2>&1\n{script}\nexit\n").as_bytes())?;
            stream.shutdown(Shutdown::Write)?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        });
        answer
            .unwrap_or_else(|e| panic!("rig: a shell in a virtual machine: {e}"))
            .trim_end()
            .to_owned()
    }
}

impl Default for VirtualMachine {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for VirtualMachine {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- last lines of the console\n{}", self.console_tail());
        }
        self.cut_power();
        self.sandbox.kill();
        drop(fs::remove_dir_all(&self.dir));
    }
}

impl Sandbox {
    /// Runs a script among the sandbox's namespaces, to its end.
    pub(super) fn run(&self, name: &str, script: &str, args: &[&std::ffi::OsStr]) {
        let init = self.init();
        let output = tool("nsenter")
            .arg(format!("--net=/proc/{init}/ns/net"))
            .arg(format!("--mount=/proc/{init}/ns/mnt"))
            .arg(format!("--pid=/proc/{init}/ns/pid"))
            .args(["--", "/bin/sh", "-c", script, name])
            .args(args)
            .output()
            .unwrap_or_else(|e| panic!("rig: starting nsenter: {e}"));
        assert!(
            output.status.success(),
            "rig: {name} of a machine: {}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
