//! A container on the machine's own network: its packets are told by its control group, of version 2. No other machine of the rig
//! has those: this is a virtual one, which has a kernel of its own. Minutes, as there is no help of the processor; `make power-test`
//! runs it.

use monopod_testrig::{Image, Neighbour, VirtualMachine};

use super::*;

const METADATA: [&str; 2] = ["169.254.169.254", "fd00:ec2::254"];
/// What the container asks for, and nobody else.
const ASKED: &str = "/asked-by-the-container";
/// What follows an event at once takes longer in a virtual machine.
const IN_TIME: Duration = Duration::from_secs(120);

/// Asks from its first moment on, for ever, and serves a port.
const EAGER: &str = "/bin/busybox nc -ll -p 8080 -e /bin/echo served &
while :; do
    for there in 169.254.169.254 fd00:ec2::254; do
        said=$(printf 'GET /asked-by-the-container HTTP/1.0\\r\\n\\r\\n' | /bin/busybox nc -w 2 $there 80 2>/dev/null)
        [ -z \"$said\" ] || echo \"$there gave ${#said} bytes\"
    done
    echo asked
    /bin/busybox usleep 50000
done
";

/// The machine, and those beside it.
struct Hosted {
    machine: VirtualMachine,
    metadata_6: Neighbour,
}

impl Hosted {
    /// What the container gets from there.
    fn get(&self, address: &str, port: u16) -> String {
        self.machine.shell(&format!(
            "docker exec {CONTAINER} /bin/sh -c 'printf \"GET {ASKED} HTTP/1.0\\r\\n\\r\\n\" | /bin/busybox nc -w 5 {address} {port} 2>/dev/null'"
        ))
    }

    /// What the machine itself gets from there; `as_whom` goes before the command.
    fn machine_gets(&self, as_whom: &str, address: &str) -> String {
        let host = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        self.machine.shell(&format!(
            "{as_whom} curl --silent --include --max-time 10 http://{host}/"
        ))
    }

    /// How often the container was heard by the metadata service, in both versions.
    fn heard(&self) -> usize {
        let calls = self.machine.imds().calls();
        let heard = self.metadata_6.heard();
        calls.iter().filter(|call| call.path == ASKED).count()
            + heard.iter().filter(|line| line.contains(ASKED)).count()
    }

    fn shown(&self) -> Value {
        let text = self.machine.shell("monopod firewall show --json");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn denied(&self, kind: &str) -> u64 {
        self.shown()["denied"][kind].as_u64().unwrap()
    }

    /// The container's control group, and its number; nothing where it does not run.
    fn group(&self) -> String {
        self.machine.shell(&format!(
            "path=$(sed -n 's/^0:://p' /proc/$(docker inspect --format '{{{{.State.Pid}}}}' {CONTAINER})/cgroup 2>/dev/null)
             [ -z \"$path\" ] || stat --format='%i %n' \"/sys/fs/cgroup$path\" 2>/dev/null"
        ))
    }

    /// It runs again, in another group of the slice, and asks.
    fn wait_group_other_than(&self, before: &str) -> String {
        let group = wait_for("other control group", IN_TIME, || {
            let group = self.group();
            (!group.is_empty() && group != before).then_some(group)
        });
        println!("{before} -> {group}");
        assert!(group.contains("/application.slice/"), "{group}");
        self.wait_asking();
        group
    }

    /// No byte for the container, new or in its loop; answers for the machine.
    fn is_held(&self, when: &str) {
        let before = self.denied("metadata");
        for address in METADATA {
            assert_eq!(self.get(address, 80), "", "{address}, {when}: {}", self.shown());
            let said = self.machine_gets("", address);
            assert!(said.starts_with("HTTP/1."), "{address}, {when}: {said:?}");
        }
        assert!(self.denied("metadata") >= before + 2, "{when}: {}", self.shown());
        assert_eq!(self.heard(), 0, "{when}");
    }

    /// It has asked more often than before.
    fn wait_asking(&self) {
        let count = || {
            let script = format!("docker logs {CONTAINER} 2>&1 | grep -c '^asked'");
            self.machine.shell(&script).parse::<u64>().unwrap_or(0)
        };
        let before = count();
        wait_for("question of the container", IN_TIME, || {
            (count() > before).then_some(())
        });
    }
}

#[test]
#[ignore = "needs `make image`, and minutes: run `make power-test`"]
fn the_control_group_tells_a_container_on_the_machines_own_network() {
    let machine = VirtualMachine::new();
    let image = machine.registry().push(&Image::new("eager-host", EAGER));
    machine.imds().set_user_data(format!(
        "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nsource: {image}\ndockercfg: {}\n\
         networking: host\ninstance_metadata: false\negress: [192.0.2.20]\nmemory: 64M\nboot_timeout: 1h\n",
        machine.registry().dockercfg()
    ));
    let metadata_6 = machine.neighbour(METADATA[1].parse().unwrap(), 80);
    let allowed = machine.neighbour("192.0.2.20".parse().unwrap(), 80);
    let refused = machine.neighbour("192.0.2.10".parse().unwrap(), 80);
    machine.boot();
    machine.wait_console("ready: app", SLOW_BOOT);
    let hosted = Hosted { machine, metadata_6 };
    // It has asked since its first moment, by then over version 4 alone.
    hosted.wait_asking();
    assert_eq!(hosted.heard(), 0, "from its first moment on");
    assert!(hosted.denied("metadata") > 0, "{}", hosted.shown());
    hosted
        .machine
        .shell("ip -6 address add fd00:7::7/64 dev eth0 nodad; ip -6 route add fd00:ec2::254 via fd00:7::1");
    hosted.is_held("after the boot");
    outgoing_and_incoming(&hosted, &allowed, &refused);
    others_are_not_held(&hosted);
    new_groups_are_held(&hosted);
    a_flush_is_mended(&hosted);
}

/// `egress`, and a port that others come to: their answers go out.
fn outgoing_and_incoming(hosted: &Hosted, allowed: &Neighbour, refused: &Neighbour) {
    assert!(hosted.get("192.0.2.20", 80).contains("answer of 192.0.2.20"));
    assert_eq!(allowed.heard().len(), 1);
    let before = hosted.denied("egress");
    assert_eq!(hosted.get("192.0.2.10", 80), "");
    assert_eq!(refused.heard(), [""; 0]);
    assert!(hosted.denied("egress") > before);
    let said = hosted.machine_gets("", "192.0.2.10");
    assert!(said.contains("answer of 192.0.2.10"), "{said:?}");
    assert_eq!(hosted.machine.ask(8080, "").trim(), "served");
}

/// The same user outside of the container: it is the group that counts.
fn others_are_not_held(hosted: &Hosted) {
    let uid = hosted
        .machine
        .shell(&format!("docker exec {CONTAINER} /bin/busybox id -u"));
    assert_ne!(uid, "0");
    let as_it = format!("setpriv --reuid {uid} --clear-groups");
    for address in [METADATA[0], METADATA[1], "192.0.2.10"] {
        let said = hosted.machine_gets(&as_it, address);
        assert!(said.starts_with("HTTP/1."), "{address}: {said:?}");
    }
}

/// Its own group is another one after each start; the rules name the one above.
fn new_groups_are_held(hosted: &Hosted) {
    let machine = &hosted.machine;
    let first = hosted.group();
    machine.shell(&format!("docker restart --time 1 {CONTAINER}"));
    let second = hosted.wait_group_other_than(&first);
    hosted.is_held("after a restart by hand");

    machine.shell(&format!("docker kill {CONTAINER}"));
    let third = hosted.wait_group_other_than(&second);
    hosted.is_held("after a restart by the agent");

    machine.shell("systemctl restart docker");
    wait_for("engine", IN_TIME, || {
        machine
            .shell("docker info")
            .contains("Server Version")
            .then_some(())
    });
    assert_eq!(hosted.group(), third, "an engine that restarts leaves it alone");
    hosted.is_held("after an engine restart");

    machine.shell(&format!("docker exec {CONTAINER} /bin/busybox tail /dev/zero"));
    machine.shell(&format!("docker kill {CONTAINER}"));
    let fourth = hosted.wait_group_other_than(&third);
    hosted.is_held("after a kill for memory");
    // It does not end by SIGTERM, and a scope that had to be killed is a failed one.
    machine.shell(
        "mkdir -p /run/systemd/system/docker-.scope.d
         printf '[Scope]\\nTimeoutStopSec=2\\n' >/run/systemd/system/docker-.scope.d/rig.conf
         systemctl daemon-reload",
    );
    machine.shell(&format!(
        "systemctl stop docker-$(docker inspect --format '{{{{.Id}}}}' {CONTAINER}).scope"
    ));
    let fifth = hosted.wait_group_other_than(&fourth);
    hosted.is_held("after a stop of its scope");

    let said = machine.shell("systemctl stop application.slice || echo refused");
    assert!(said.ends_with("refused"), "{said}");
    assert_eq!(hosted.group(), fifth);
    hosted.is_held("after a stop of the slice");
}

/// Between a flush and the new rules there is a moment, so what was heard in it does not count.
fn a_flush_is_mended(hosted: &Hosted) {
    hosted.machine.shell("nft flush ruleset");
    wait_for("rules again", IN_TIME, || {
        (hosted.shown()["loaded"] == true).then_some(())
    });
    let machine_heard = hosted.heard();
    for address in METADATA {
        assert_eq!(hosted.get(address, 80), "", "{address}: {}", hosted.shown());
    }
    // Its loop asks on.
    hosted.wait_asking();
    assert_eq!(hosted.heard(), machine_heard);
}
