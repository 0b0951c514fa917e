//! What may come to the container and what may leave it: with bytes, in network namespaces.

mod vpc;

use std::time::Duration;

use monopod_testrig::{Machine, Signal, wait_until};

use crate::common::*;
use vpc::{PROMPTLY, Vpc};

const METADATA: (&str, u16) = ("169.254.169.254", 80);
const METADATA_6: (&str, u16) = ("fd00:ec2::254", 80);

#[test]
fn metadata_gives_no_byte_with_the_block_and_answers_without() {
    let machine = Machine::acquire();
    let vpc = Vpc::around(&machine);
    let _unit = vpc.unit();
    UserData::new(&machine, "web")
        .web()
        .line("instance_metadata: false")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("firewall", SOON);
    vpc.version_6();
    assert_eq!((vpc.get(METADATA), vpc.get(METADATA_6)), (None, None));
    assert_eq!((vpc.heard("169.254.169.254"), vpc.heard("fd00:ec2::254")), (0, 0));
    // Everything else is open.
    assert!(vpc.get(("192.0.2.10", 80)).is_some());
    let denied = vpc.shown()["denied"]["metadata"].as_u64().unwrap();
    assert!(denied >= 2, "{denied}");
    assert!(
        !status(&machine)["opt_outs"]
            .to_string()
            .contains("instance_metadata")
    );

    // As the policy of the machine's image wants it, whatever the user data leaves out.
    drop(agent);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    vpc.version_6();
    assert!(vpc.get(METADATA).unwrap().contains("169.254.169.254"));
    assert!(vpc.get(METADATA_6).unwrap().contains("fd00:ec2::254"));
    drop(agent);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    std::fs::write(
        machine.dirs().configuration.join("policy.yaml"),
        "allow: {instance_metadata: false}\n",
    )
    .unwrap();
    let _agent = run_until_ready(&machine);
    assert_eq!(vpc.get(METADATA), None);
}

#[test]
fn only_declared_ports_come_in_and_refusals_are_counted_and_logged_at_a_bounded_rate() {
    let machine = Machine::acquire();
    let vpc = Vpc::around(&machine);
    let _unit = vpc.unit();
    UserData::new(&machine, "web").web().serve(&machine);
    let _agent = run_until_ready(&machine);
    // The engine's own rules would refuse what is not published: what is left are ours.
    vpc.sh("iptables -P FORWARD ACCEPT");
    machine.docker_ok(&[
        "exec",
        "-d",
        CONTAINER,
        "/bin/busybox",
        "nc",
        "-ll",
        "-p",
        "9999",
        "-e",
        "/bin/true",
    ]);
    let pid = machine.host_pid(CONTAINER).unwrap();
    let listens = || {
        let text = vpc.sh(&format!("nsenter --net=/proc/{pid}/ns/net ss -ltnH"));
        text.contains(":9999").then_some(())
    };
    wait_until(SOON, listens).unwrap();
    assert!(vpc.comes_in(8080));
    assert!(!vpc.comes_in(9999));
    for _ in 0..40 {
        assert!(!vpc.comes_in(9998));
    }
    let denied = vpc.shown()["denied"]["ingress"].as_u64().unwrap();
    assert!(denied >= 41, "{denied}");
    let chain = vpc.sh("nft list chain inet monopod deny_ingress");
    let logged: u64 = chain
        .lines()
        .find(|line| line.contains("log prefix"))
        .and_then(|line| {
            line.split("counter packets ")
                .nth(1)?
                .split(' ')
                .next()?
                .parse()
                .ok()
        })
        .unwrap();
    assert!(
        (20..denied).contains(&logged),
        "{logged} of {denied} were logged\n{chain}"
    );

    // A scrape tells what was known, and has it asked anew.
    let metrics = || machine.http_get(9180, "/metrics").unwrap().text();
    let told = wait_until(SOON, || {
        let text = metrics();
        text.lines()
            .find_map(|line| line.strip_prefix("monopod_firewall_denied_total{kind=\"ingress\"} "))
            .and_then(|figure| figure.parse::<u64>().ok())
            .filter(|figure| *figure >= 41)
    });
    assert!(told.is_some(), "{}", metrics());
}

#[test]
fn egress_lets_out_what_it_names_and_nothing_else() {
    let machine = Machine::acquire();
    let vpc = Vpc::around(&machine);
    vpc.name("db.example.org", &["192.0.2.30"]);
    let unit = vpc.unit();
    UserData::new(&machine, "web")
        .web()
        .line("dns: [10.9.0.2]")
        .line("egress:\n  - 192.0.2.20\n  - {to: 192.0.2.10/32, ports: [443]}\n  - {to: db.example.org, ports: [5432]}")
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    assert!(vpc.get(("192.0.2.20", 80)).is_some(), "by its address");
    assert!(vpc.get(("192.0.2.10", 443)).is_some(), "by its port");
    assert_eq!(vpc.get(("192.0.2.10", 80)), None, "another port");
    let answer = machine.docker_ok(&[
        "exec",
        CONTAINER,
        "/bin/busybox",
        "nslookup",
        "db.example.org",
        "10.9.0.2",
    ]);
    assert!(answer.contains("192.0.2.30"), "{answer}");
    assert!(vpc.get(("192.0.2.30", 5432)).is_some(), "by its name");
    assert_eq!(vpc.get(("192.0.2.31", 5432)), None, "another machine");
    assert_eq!((vpc.heard("192.0.2.31"), vpc.heard("192.0.2.30")), (0, 1));
    assert!(vpc.get(METADATA).is_some(), "that is another key's matter");
    assert!(vpc.shown()["denied"]["egress"].as_u64().unwrap() >= 2);
    assert!(vpc.comes_in(8080), "answers go out");

    // A name that moves is followed, and its old address stays open for those who still have it.
    vpc.name("db.example.org", &["192.0.2.31"]);
    let followed = wait_until(Duration::from_secs(50), || {
        let shown = vpc.shown();
        (shown["resolved"]["db.example.org"] == serde_json::json!(["192.0.2.30", "192.0.2.31"])).then_some(())
    });
    assert!(followed.is_some(), "{}", vpc.shown());
    assert!(vpc.get(("192.0.2.31", 5432)).is_some());
    assert!(vpc.get(("192.0.2.30", 5432)).is_some());
    assert!(!unit.output().contains("somebody changed"), "{}", unit.output());
}

#[test]
fn rules_are_there_before_the_first_packet_and_come_back_whatever_happens_to_them() {
    let machine = Machine::acquire();
    let vpc = Vpc::around(&machine);
    let unit = vpc.unit();
    // It asks from its first moment on.
    let eager = monopod_testrig::Image::new(
        "eager",
        "while :; do /bin/busybox nc -w 1 169.254.169.254 80 </dev/null && echo reached; /bin/busybox usleep 20000; done\n",
    );
    let eager = machine.registry().push(&eager);
    UserData::of(&machine, &eager)
        .line("instance_metadata: false")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let blocked = |vpc: &Vpc<'_>| {
        let shown = vpc.shown();
        shown["loaded"] == true && shown["denied"]["metadata"].as_u64().unwrap() > 0
    };
    assert!(wait_until(SOON, || blocked(&vpc).then_some(())).is_some());
    assert_eq!(vpc.heard("169.254.169.254"), 0, "before the rules");

    // The engine's rules are not ours.
    vpc.sh("iptables -F; iptables -t nat -F");
    assert!(vpc.shown()["loaded"] == true);
    // Everybody's are.
    vpc.sh("nft flush ruleset");
    unit.wait_for_line("the rules are loaded again", PROMPTLY);
    assert!(vpc.shown()["loaded"] == true);
    // A rule in front of ours.
    vpc.sh("nft insert rule inet monopod outgoing accept");
    unit.wait_for_nth_line("the rules are loaded again", 2, PROMPTLY);
    assert!(vpc.shown()["loaded"] == true);

    // An engine that dies and comes back.
    machine.kill_engine();
    machine.start_engine();
    agent.wait_for_line("the engine answers again", BOOT);
    assert!(vpc.shown()["loaded"] == true);

    // A unit that dies: the rules stay, and what happened to them meanwhile is put right.
    unit.signal(Signal::SIGKILL);
    unit.wait_exit(SOON);
    vpc.sh("nft list table inet monopod && nft flush ruleset");
    let unit = vpc.unit();
    unit.wait_for_line("rules are loaded", PROMPTLY);
    assert!(vpc.shown()["loaded"] == true);

    // An agent that dies takes over what runs, and has the rules looked at.
    agent.kill9();
    let again = run_until_ready(&machine);
    again.wait_for_line("taken over", SOON);
    assert!(vpc.shown()["loaded"] == true);
}

#[test]
fn without_the_unit_a_boot_goes_on_unless_something_needs_it() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("nothing asks for it", SOON);
    drop(agent);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    UserData::new(&machine, "web")
        .web()
        .line("instance_metadata: false\negress: []")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let line = error_line(&agent);
    assert!(
        line.contains("the block of the metadata service and `egress` and the credentials")
            && line.contains("monopod-firewall.socket"),
        "{line}"
    );
    assert!(machine.containers().is_empty());
}

#[test]
fn host_networking_needs_control_groups_of_version_2() {
    if std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        return;
    }
    let machine = Machine::acquire();
    let vpc = Vpc::around(&machine);
    let _unit = vpc.unit();
    UserData::new(&machine, "web")
        .line("networking: host\negress: []")
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let line = error_line(&agent);
    assert!(
        line.contains("`egress` cannot be kept with `networking: host`"),
        "{line}"
    );
}
