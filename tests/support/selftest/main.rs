//! The rig's own tests: what the agent's tests take for granted.

mod services;

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
    let (one, two) = (Machine::acquire(), Machine::acquire());
    assert_ne!(one.index(), two.index());
    start_web(&one, "only-here", "web");
    assert_eq!(one.containers().len(), 1);
    assert_eq!(two.containers().len(), 0);
    assert!(two.http_get(8080, "/health").is_err());
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
fn images_do_what_their_names_say() {
    let machine = Machine::acquire();
    start_web(&machine, "web", "web");
    wait_until(SOON, || healthy(&machine)).unwrap();
    assert_eq!(machine.http_get(8080, "/uid").unwrap().text(), "999");
    let status = machine.process_status("web").unwrap();
    assert!(status.contains("Uid:\t999\t999\t999\t999"), "{status}");
    machine.docker_ok(&["stop", "-t", "5", "web"]);
    assert_eq!(machine.inspect("web").unwrap()["State"]["ExitCode"], 0);
    machine.docker_ok(&["rm", "web"]);

    let (slow, never) = (
        machine.registry().image("web-slow"),
        machine.registry().image("never-healthy"),
    );
    machine.docker_ok(&["run", "-d", "--name", "slow", "-p", "8080:8080", &slow]);
    let status = || machine.http_get(8080, "/health").ok().map(|answer| answer.status);
    assert_eq!(wait_until(SOON, status), Some(503));
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.docker_ok(&["rm", "-f", "slow"]);
    machine.docker_ok(&["run", "-d", "--name", "never", "-p", "8080:8080", &never]);
    assert_eq!(wait_until(SOON, status), Some(500));

    let oom = machine.registry().image("oom");
    let limits = ["--memory", "32m", "--memory-swap", "32m"];
    assert_eq!(
        machine
            .docker(&[&["run", "--name", "oom"], &limits[..], &[&oom]].concat())
            .status
            .code(),
        Some(137)
    );
    assert_eq!(machine.inspect("oom").unwrap()["State"]["OOMKilled"], true);

    let chatty = machine.registry().image("chatty");
    let said = machine.docker_ok(&["run", "--rm", "-e", "LINES=3", "-e", "EXIT_CODE=0", &chatty]);
    assert_eq!(said, "chatty line 1\nchatty line 2\nchatty line 3\nchatty done");
    let exit = machine.registry().image("exit-now");
    assert_eq!(
        machine.docker(&["run", "-e", "EXIT_CODE=7", &exit]).status.code(),
        Some(7)
    );

    let printenv = machine.registry().image("printenv");
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "env",
        "-e",
        "NAMES=A B",
        "-e",
        "A=canary",
        "-e",
        "B=x y",
        &printenv,
    ]);
    let logs = wait_until(SOON, || {
        Some(machine.docker_ok(&["logs", "env"])).filter(|logs| logs.contains("done"))
    })
    .unwrap();
    assert!(
        logs.contains("env A 6 ") && logs.contains("env B 3 ") && !logs.contains("canary"),
        "{logs}"
    );
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
