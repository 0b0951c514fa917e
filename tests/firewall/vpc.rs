//! A machine with something around it: the metadata service at its true addresses, other machines, a name server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_testrig::{Agent, Machine, wait_until};
use serde_json::{Value, json};

use crate::common::*;

/// Of the machine's end of the line.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// The surroundings, as long as they live.
pub(super) struct Vpc<'m> {
    pub(super) machine: &'m Machine,
    pub(super) around: Agent,
    names: PathBuf,
}

impl<'m> Vpc<'m> {
    /// Joins it with the machine's namespace: 10.9.0.1 is the machine, everything else is behind 10.9.0.2.
    pub(super) fn around(machine: &'m Machine) -> Self {
        let names = machine.dirs().base.join("names.json");
        fs::write(&names, "{}").unwrap();
        let ports = json!({
            "169.254.169.254": [80],
            "fd00:ec2::254": [80],
            "192.0.2.10": [80, 443],
            "192.0.2.20": [80],
            "192.0.2.30": [5432],
            "192.0.2.31": [5432],
        });
        let script = "ip link set lo up
            while ! ip link show v1 >/dev/null 2>&1; do sleep 0.05; done
            ip addr add 10.9.0.2/24 dev v1
            ip -6 addr add fd00:9::2/64 dev v1 nodad
            for a in 169.254.169.254 192.0.2.10 192.0.2.20 192.0.2.30 192.0.2.31; do ip addr add $a/32 dev lo; done
            ip -6 addr add fd00:ec2::254/128 dev lo nodad
            ip link set v1 up
            ip route add 172.16.0.0/12 via 10.9.0.1
            ip -6 route add fd00:77::/64 via fd00:9::1
            exec python3 \"$0\" \"$1\" \"$2\"";
        let server = repository("tests/firewall/vpc.py").display().to_string();
        let (ports, file) = (ports.to_string(), names.display().to_string());
        let mut command = machine.monopod(
            Path::new("unshare"),
            &["--net", "sh", "-c", script, &server, &ports, &file],
        );
        command.env("PATH", PATH);
        let around = machine.spawn_command(command);
        let vpc = Self {
            machine,
            around,
            names,
        };
        let pid = vpc.around.pid();
        // The namespace is its own once it has left ours.
        let own = |pid: u32| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let outside = vpc.sh("readlink /proc/self/ns/net");
        wait_until(SOON, || {
            own(pid).filter(|one| one.display().to_string() != outside.trim())
        })
        .unwrap();
        vpc.sh(&format!(
            "ip link add v0 type veth peer name v1 netns {pid}
             ip addr add 10.9.0.1/24 dev v0
             ip -6 addr add fd00:9::1/64 dev v0 nodad
             ip link set v0 up
             echo 1 > /proc/sys/net/ipv4/ip_forward
             echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
             for a in 169.254.169.254 192.0.2.10 192.0.2.20 192.0.2.30 192.0.2.31; do ip route add $a/32 via 10.9.0.2; done
             ip -6 route add fd00:ec2::254/128 via fd00:9::2"
        ));
        vpc.around.wait_for_line("ready", SOON);
        vpc
    }

    /// What the name server knows.
    pub(super) fn name(&self, name: &str, addresses: &[&str]) {
        fs::write(&self.names, json!({ name: addresses }).to_string()).unwrap();
    }

    /// A shell in the machine's network; gives its output.
    pub(super) fn sh(&self, script: &str) -> String {
        let mut command = self.machine.monopod(Path::new("sh"), &["-ec", script]);
        let output = command.env("PATH", PATH).output().unwrap();
        assert!(
            output.status.success(),
            "{script}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// The firewall's unit, where the agent looks for it. Its name servers are ours.
    pub(super) fn unit(&self) -> Agent {
        let dirs = self.machine.dirs();
        let resolv = dirs.base.join("resolv.conf");
        fs::write(&resolv, "nameserver 10.9.0.2\noptions timeout:1 attempts:1\n").unwrap();
        let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
        let socket = format!("{}-firewall.sock", dirs.runtime.display());
        let order = dirs.base.join("firewall").display().to_string();
        let (resolv, program) = (resolv.display().to_string(), binary().display().to_string());
        let mut command = self.machine.monopod(
            Path::new("unshare"),
            &[
                "--mount",
                "sh",
                "-c",
                script,
                &resolv,
                &program,
                "firewall",
                "--socket",
                &socket,
                "serve",
                "--runtime-directory",
                &order,
            ],
        );
        command.env("PATH", PATH);
        let unit = self.machine.spawn_command(command);
        wait_until(SOON, || Path::new(&socket).exists().then_some(())).unwrap();
        unit
    }

    /// What `monopod firewall show --json` says.
    pub(super) fn shown(&self) -> Value {
        let socket = format!("{}-firewall.sock", self.machine.dirs().runtime.display());
        let args = ["firewall", "--socket", &socket, "show", "--json"];
        let output = self.machine.monopod(binary(), &args).output().unwrap();
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// What the container gets from there, within 3 s.
    pub(super) fn get(&self, url: &str) -> Option<String> {
        let args = [
            "exec",
            CONTAINER,
            "/bin/busybox",
            "wget",
            "-q",
            "-T",
            "3",
            "-O",
            "-",
            url,
        ];
        let output = self.machine.docker(&args);
        output
            .status
            .success()
            .then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Gives the container an address of version 6 and a way out, which the engine's bridge has not.
    pub(super) fn version_6(&self) {
        let pid = self.machine.host_pid(CONTAINER).unwrap();
        self.sh("ip -6 addr replace fd00:77::1/64 dev docker0 nodad");
        self.sh(&format!(
            "nsenter --net=/proc/{pid}/ns/net sh -ec '
             echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6
             echo 0 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6
             ip -6 addr replace fd00:77::2/64 dev eth0 nodad
             ip -6 route replace default via fd00:77::1'"
        ));
        self.sh("ip6tables -P FORWARD ACCEPT");
    }

    /// Whether a machine of the network gets an answer from this port of the container's.
    pub(super) fn comes_in(&self, port: u16) -> bool {
        let container = the_container(self.machine);
        let address = container["NetworkSettings"]["IPAddress"]
            .as_str()
            .unwrap()
            .to_owned();
        let pid = self.around.pid();
        let script = format!(
            "nsenter --net=/proc/{pid}/ns/net python3 -c 'import socket; socket.create_connection((\"{address}\", {port}), 3)' 2>&1 && echo in || echo out"
        );
        self.sh(&script).trim().ends_with("in")
    }

    /// How often somebody was heard at this address.
    pub(super) fn heard(&self, address: &str) -> usize {
        let output = self.around.output();
        output
            .lines()
            .filter(|line| line.starts_with(&format!("heard {address} ")))
            .count()
    }
}

/// For what the unit does by itself.
pub(super) const PROMPTLY: Duration = Duration::from_secs(10);
