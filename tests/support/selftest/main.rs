//! The rig's own tests: what the agent's tests take for granted.

mod audit_server;
mod aws;
mod aws_balancers;
mod aws_ec2;
mod aws_lifecycle;
mod aws_metrics;
mod aws_sinks;
mod images;
mod log_servers;
mod notices;
mod scalyr;
mod service;
mod services;
mod small_disk;
mod writer;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use monopod_testrig::{
    IMDS_PORT, Machine, REGISTRY, REGISTRY_PASSWORD, REGISTRY_PORT, REGISTRY_USER, Response, Rsyslog, Signal,
    pause, wait_until,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// curl is not among what the rig needs, busybox is: its shell, run like the agent.
fn shell(machine: &Machine, script: &str) -> Command {
    machine.monopod(Path::new("/bin/busybox"), &["sh", "-c", script])
}

fn login(machine: &Machine) {
    machine.docker_ok(&["login", "-u", REGISTRY_USER, "-p", REGISTRY_PASSWORD, REGISTRY]);
}

fn start_web(machine: &Machine, name: &str, image: &str) {
    login(machine);
    let image = machine.registry().image(image);
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        name,
        "-u",
        "999",
        "-p",
        "8080:8080",
        &image,
    ]);
}

fn healthy(machine: &Machine) -> Option<Response> {
    machine
        .http_get(8080, "/health")
        .ok()
        .filter(|answer| answer.status == 200)
}

#[test]
fn machines_in_use_at_once_have_engines_of_their_own() {
    let [one, two] = Machine::acquire_several();
    assert_ne!(one.index(), two.index());
    start_web(&one, "only-here", "web");
    assert_eq!(one.containers().len(), 1);
    assert_eq!(two.containers().len(), 0);
    assert!(two.http_get(8080, "/health").is_err());
}

#[test]
fn a_lease_that_took_the_engine_s_rules_leaves_an_engine_that_has_them() {
    {
        let machines: [Machine; 3] = Machine::acquire_several();
        let spoil = |machine: &Machine, script: &str| {
            let mut command = machine.monopod(Path::new("/bin/sh"), &["-ec", script]);
            assert!(
                command
                    .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
                    .status()
                    .unwrap()
                    .success()
            );
        };
        spoil(&machines[0], "nft flush ruleset");
        spoil(&machines[1], "nft add table inet left");
        spoil(&machines[2], "ip addr add 169.254.170.2/32 dev lo");
    }
    let machines: [Machine; 3] = Machine::acquire_several();
    for machine in &machines {
        start_web(machine, "has-a-port", "web");
        let mut command = machine.monopod(
            Path::new("/bin/sh"),
            &["-c", "nft list tables inet; ip -o addr show dev lo"],
        );
        let output = command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!text.contains("left") && !text.contains("169.254"), "{text}");
    }
}

#[test]
fn a_lease_leaves_nothing_to_the_next() {
    let (index, base, pid) = {
        let machine = Machine::acquire();
        start_web(&machine, "left-running", "web");
        (
            machine.index(),
            machine.dirs().base.clone(),
            machine.host_pid("left-running").unwrap(),
        )
    };
    assert!(!base.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    // Another test may have the slot by now; what counts is that ours is gone from whoever has it.
    let next = Machine::acquire();
    if next.index() == index {
        assert!(next.inspect("left-running").is_none());
        assert_eq!(next.docker_ok(&["images", "-q"]), "");
    }
}

#[test]
fn an_engine_dies_and_comes_back_with_its_containers() {
    let machine = Machine::acquire();
    start_web(&machine, "survivor", "web");
    let pid = machine.host_pid("survivor").unwrap();
    machine.kill_engine();
    assert!(!machine.docker(&["ps"]).status.success());
    // It goes on, but nobody reaches it through localhost: the engine's proxy for published ports died with it.
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    assert!(healthy(&machine).is_none());
    machine.start_engine();
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.restart_engine();
    assert_eq!(machine.host_pid("survivor"), Some(pid));

    machine.freeze_engine();
    let socket = &machine.dirs().docker;
    let mut silent = std::os::unix::net::UnixStream::connect(socket).unwrap();
    silent.set_read_timeout(Some(SECOND)).unwrap();
    std::io::Write::write_all(&mut silent, b"GET /_ping HTTP/1.0\r\n\r\n").unwrap();
    assert!(
        std::io::Read::read(&mut silent, &mut [0]).is_err(),
        "it accepts, and says nothing"
    );
    machine.thaw_engine();
    assert_eq!(machine.containers().len(), 1);

    machine.set_live_restore(false);
    machine.kill_engine();
    machine.start_engine();
    assert_eq!(machine.inspect("survivor").unwrap()["State"]["Running"], false);
}

#[test]
fn a_reboot_ends_everything_but_what_is_on_disk() {
    let machine = Machine::acquire();
    start_web(&machine, "before", "web");
    let id = machine.inspect("before").unwrap()["Id"].clone();
    let agent = machine.spawn_command(shell(&machine, "echo here; sleep 1000"));
    agent.wait_for_line("here", SOON);
    std::fs::write(machine.dirs().runtime.join("facts"), "x").unwrap();
    std::fs::write(machine.dirs().state.join("cursor"), "x").unwrap();
    machine.registry().line().down();

    machine.reboot();
    assert_eq!(agent.wait_exit(SOON), 137);
    let after = machine.inspect("before").unwrap();
    assert_eq!((&after["Id"], &after["State"]["Running"]), (&id, &json!(false)));
    assert!(!machine.dirs().runtime.join("facts").exists());
    assert!(machine.dirs().state.join("cursor").exists());
    assert!(
        machine.http_get(REGISTRY_PORT, "/v2/").is_err(),
        "what was down stays down"
    );
    assert_eq!(
        machine.http_get(IMDS_PORT, "/latest/user-data").unwrap().status,
        401
    );
    machine.docker_ok(&["start", "before"]);
    wait_until(SOON, || healthy(&machine)).unwrap();
}

#[test]
fn an_agent_is_heard_signalled_and_waited_for() {
    let machine = Machine::acquire();
    let script = "trap 'echo bye; exit 3' TERM; echo up; echo oops >&2; env; while :; do sleep 0.1; done";
    let agent = machine.spawn_command(shell(&machine, script));
    agent.wait_for_line("up", SOON);
    agent.wait_for_line("oops", SOON);
    agent.wait_for_line("AWS_ACCESS_KEY_ID=", SOON);
    assert!(agent.running());
    assert!(!agent.output().contains("HOME="), "a clean environment");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 3);
    assert!(agent.output().ends_with("bye\n"));

    let agent = machine.spawn_command(shell(&machine, "echo up; exec sleep 1000"));
    agent.wait_for_line("up", SOON);
    agent.kill9();
    assert_eq!(agent.wait_exit(SOON), 137);

    // What it leaves behind goes with the lease, and its open output holds nobody up.
    let agent = machine.spawn_command(shell(&machine, "sleep 1000 & echo child $!; wait"));
    let child = agent
        .wait_for_line("child", SOON)
        .text
        .replace("child ", "/proc/");
    agent.kill9();
    assert!(Path::new(&child).exists());
    drop(agent);
    drop(machine);
    wait_until(SOON, || (!Path::new(&child).exists()).then_some(())).expect("an orphan outlived the lease");
}

#[test]
fn sockets_keep_what_they_get() {
    let machine = Machine::acquire();
    let to = std::os::unix::net::UnixDatagram::unbound().unwrap();
    to.send_to(b"STATUS=pulling\nREADY=1", &machine.dirs().notify)
        .unwrap();
    machine.notify().wait_for("READY=1", SECOND);
    assert_eq!(machine.notify().lines(), ["STATUS=pulling", "READY=1"]);

    to.send_to(b"<30>app[1]: one", &machine.dirs().syslog).unwrap();
    machine.syslog().wait_for("one", SECOND);
    machine.syslog().down();
    assert!(to.send_to(b"<30>app[1]: two", &machine.dirs().syslog).is_err());
    machine.syslog().up();
    to.send_to(b"<30>app[1]: three", &machine.dirs().syslog).unwrap();
    machine.syslog().wait_for("three", SECOND);
    assert_eq!(machine.syslog().lines().len(), 2);
}

#[test]
fn a_leak_is_found_wherever_it_is() {
    let machine = Machine::acquire();
    assert_eq!(machine.leaks("canary-leaky-value"), [""; 0]);
    // The command line is the first leak, the output the second, the file the third.
    let script = "V=canary-leaky-value; echo value $V; echo $V >$STATE_DIRECTORY/record; echo written; sleep 1000; true";
    let agent = machine.spawn_command(shell(&machine, script));
    agent.wait_for_line("written", SOON);
    let leaks = machine.leaks("canary-leaky-value");
    let at = |place: &str| leaks.iter().any(|leak| leak.starts_with(place));
    assert!(
        at("agent 0: value") && at("/proc/") && at(&machine.dirs().state.display().to_string()),
        "{leaks:#?}"
    );
}

#[test]
fn rsyslog_writes_what_a_snippet_says() {
    let machine = Machine::acquire();
    let dir = machine.dirs().base.clone();
    let snippet = dir.join("snippet.conf");
    std::fs::write(
        &snippet,
        "template(name=\"bare\" type=\"string\" string=\"%msg:2:$%\\n\")\n\
         if $programname == 'app' then action(type=\"omfile\" file=\"/var/log/application.log\" template=\"bare\")\n",
    )
    .unwrap();
    let rsyslog = Rsyslog::start(&dir.join("rsyslog"), &snippet);
    let to = std::os::unix::net::UnixDatagram::unbound().unwrap();
    to.send_to(b"<30>Nov 21 04:00:00 app[1]: a line of the app", rsyslog.socket())
        .unwrap();
    assert_eq!(
        rsyslog.wait_for("application.log", "a line", SOON),
        "a line of the app\n"
    );
}

/// `cargo test -p monopod-testrig -- --ignored --nocapture timings`
#[test]
#[ignore = "prints, and checks nothing"]
fn timings() {
    let time = |what: &str, work: &mut dyn FnMut()| {
        let began = std::time::Instant::now();
        work();
        println!("{what:<60} {:6.0} ms", began.elapsed().as_secs_f64() * 1000.0);
    };
    let mut machine = None;
    time("first machine (registry and AWS stand-in start too)", &mut || {
        machine = Some(Machine::acquire())
    });
    time("giving it back, nothing on it", &mut || machine = None);
    time("the same again", &mut || machine = Some(Machine::acquire()));
    let mut second = None;
    time("second machine", &mut || second = Some(Machine::acquire()));
    let machine = machine.unwrap();
    time("docker login", &mut || login(&machine));
    let image = machine.registry().image("web");
    time("pull of a small image", &mut || {
        drop(machine.docker_ok(&["pull", "-q", &image]))
    });
    time("run of a container with a port", &mut || {
        start_web(&machine, "web", "web")
    });
    time("inspect", &mut || drop(machine.inspect("web")));
    time("restart of the engine", &mut || machine.restart_engine());
    time("reboot", &mut || machine.reboot());
    time("pull of 20 MB in seven layers", &mut || {
        machine.docker_ok(&["pull", "-q", &machine.registry().image("large")]);
    });
    time("encrypt", &mut || drop(machine.aws().encrypt("x")));
    machine.docker_ok(&["start", "web"]);
    let mut machine = Some(machine);
    time("giving it back, a container and two images on it", &mut || {
        machine = None
    });
}

/// Run by the test below in a process of its own, to be killed there.
#[test]
#[ignore = "holds a machine until it is killed"]
fn hold_a_machine() {
    let machine = Machine::acquire();
    start_web(&machine, "orphan", "web");
    println!("holding {}", machine.host_pid("orphan").unwrap());
    pause(Duration::from_secs(120));
}

#[test]
fn a_killed_test_process_leaves_no_process_network_or_mount() {
    use std::io::{BufRead as _, BufReader};
    let namespaces = || std::fs::read_dir("/run/netns").map_or(0, Iterator::count);
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (named, mounted) = (namespaces(), mounts());
    let mut held = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "hold_a_machine"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(held.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let pid: u32 = lines
        .find_map(|line| line.split_once("holding ")?.1.trim().parse().ok())
        .unwrap();
    let container = format!("/proc/{pid}");
    assert!(Path::new(&container).exists());
    assert_eq!(mounts(), mounted, "an engine's mounts are its own");
    held.kill().unwrap();
    held.wait().unwrap();
    wait_until(SOON, || (!Path::new(&container).exists()).then_some(()))
        .expect("the container outlived the tests");
    assert_eq!(namespaces(), named);
}
