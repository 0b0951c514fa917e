//! What the machine says about itself to people and programs: the exit code, the line at a login, the watch, the local
//! server and its metrics.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use monopod_testrig::{Agent, Machine, Signal, wait_until};
use serde_json::Value;

use crate::common::*;

const PORT: u16 = 9180;

/// What `monopod status` ends with and prints.
fn shown(machine: &Machine, args: &[&str]) -> (i32, String) {
    let mut all = vec!["status"];
    all.extend(args);
    let output = machine.monopod(binary(), &all).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (output.status.code().unwrap(), text)
}

/// Status and body of an answer of the local server.
fn get(machine: &Machine, path: &str) -> (u16, String) {
    let answer = machine
        .http_get(PORT, path)
        .unwrap_or_else(|error| panic!("{path}: {error}"));
    (answer.status, answer.text())
}

/// One request as it stands, and everything that comes back.
fn raw(machine: &Machine, request: &str) -> String {
    let answer = machine.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(answer)
    });
    String::from_utf8(answer.unwrap()).unwrap()
}

#[test]
fn the_exit_code_says_whether_it_is_well_in_each_state() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web-slow").web().serve(&machine);
    assert_eq!(shown(&machine, &[]).0, 1, "nothing has run");
    let agent = run(&machine);
    agent.wait_for_line("health: wait until", BOOT);
    let (code, text) = shown(&machine, &[]);
    assert_eq!(code, 1, "booting");
    assert!(text.starts_with("app 1.0: booting\n"), "{text}");
    let (code, line) = shown(&machine, &["--line"]);
    assert_eq!(code, 1);
    assert!(
        line.starts_with("app 1.0: booting: the boot is at the step health: ")
            && line.ends_with("; `monopod status --watch` follows it\n"),
        "{line}"
    );
    wait_ready(&machine, &agent);
    let (code, line) = shown(&machine, &["--line"]);
    assert_eq!(code, 0, "{line}");
    assert!(line.starts_with("app 1.0: ready for "), "{line}");
    let (code, text) = shown(&machine, &[]);
    assert_eq!(code, 0);
    for part in [
        "\nBoot, ",
        " in all: ",
        "  opened     ",
        "  config     ",
        "\nLogs\n",
    ] {
        assert!(text.contains(part), "{part:?} is missing in\n{text}");
    }
    agent.kill9();
    let (code, text) = shown(&machine, &[]);
    assert_eq!(code, 1, "its agent is gone");
    assert!(text.contains("is not running; this is what it wrote"), "{text}");
    let again = run_until_ready(&machine);
    again.signal(Signal::SIGTERM);
    assert_eq!(again.wait_exit(SOON), 0);
    assert_eq!(shown(&machine, &[]).0, 1, "its agent was stopped");
}

#[test]
fn a_machine_that_is_degraded_is_not_well_and_one_whose_job_is_done_is() {
    let machine = Machine::acquire();
    UserData::new(&machine, "never-healthy")
        .web()
        .line("health_check_timeout_seconds: 4")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let (code, line) = shown(&machine, &["--line"]);
    assert_eq!(code, 1);
    assert!(
        line.starts_with("app 1.0: DEGRADED for ") && line.ends_with("; see `monopod status`\n"),
        "{line}"
    );
    let (status, body) = get(&machine, "/health");
    assert!(status == 503 && body.contains("did not become healthy"), "{body}");
    drop(agent);

    let machine = Machine::acquire();
    UserData::new(&machine, "exit-now")
        .env(&[("EXIT_CODE", "0")])
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line("the container completed: exit code 0", BOOT);
    wait_ready(&machine, &agent);
    wait_until(SOON, || (shown(&machine, &[]).0 == 0).then_some(())).expect("a job that is done is well");
    assert_eq!(get(&machine, "/health").0, 200);
    let (status, body) = get(&machine, "/ready");
    assert_eq!(
        (status, body.as_str()),
        (503, "not ready: the container has done its job\n")
    );
}

#[test]
fn everybody_is_answered_from_the_pull_to_the_end() {
    let machine = Machine::acquire();
    UserData::new(&machine, "large").web().serve(&machine);
    machine.registry().line().throttle(1 << 20);
    let agent = run(&machine);
    agent.wait_for_line("status and metrics are served at http://127.0.0.1:9180", BOOT);
    agent.wait_for_line("image: resolve", BOOT);
    for path in ["/health", "/ready"] {
        let (status, body) = get(&machine, path);
        assert_eq!(status, 503, "{path}: {body}");
        assert!(body.contains(": the boot is at the step image: "), "{body}");
    }
    let (status, body) = get(&machine, "/metrics");
    assert_eq!(status, 200);
    assert!(
        body.contains("\nmonopod_outcome{state=\"booting\"} 1\n"),
        "{body}"
    );
    machine.registry().line().heal();
    wait_ready(&machine, &agent);
    assert_eq!(
        get(&machine, "/health"),
        (200, "healthy: the container runs\n".to_owned())
    );
    assert_eq!(
        get(&machine, "/ready"),
        (200, "ready: the container runs\n".to_owned())
    );

    let (status, body) = get(&machine, "/status");
    let served: Value = serde_json::from_str(&body).unwrap();
    let mut told = crate::common::status(&machine);
    assert_eq!(status, 200);
    for changing in ["written_at", "logs"] {
        told[changing] = served[changing].clone();
    }
    assert_eq!(served, told, "the same as `status --json`");

    let head = raw(&machine, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(
        head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert!(head.contains("connection: close\r\n"), "{head}");
    let post = raw(
        &machine,
        "POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    );
    assert!(
        post.starts_with("HTTP/1.1 405 ") && post.contains("\r\nallow: GET, HEAD\r\n"),
        "{post}"
    );
    let (status, body) = get(&machine, "/nowhere");
    assert!(status == 404 && body.contains("/metrics"), "{body}");

    machine.docker_ok(&["kill", CONTAINER]);
    let seen = wait_until(SOON, || {
        let (status, body) = get(&machine, "/ready");
        (status == 503).then_some(body)
    });
    let body = seen.expect("the end of the container is seen");
    assert!(
        body.contains("the container has ended (exit code 137, SIGKILL)"),
        "{body}"
    );
    wait_until(SOON, || (get(&machine, "/ready").0 == 200).then_some(())).expect("it is started again");
    let (_, text) = shown(&machine, &[]);
    assert!(
        text.contains("\nRestarts\n") && text.contains("after exit code 137, SIGKILL"),
        "{text}"
    );
}

/// The parser of Prometheus' own Python client, and what a linter would say.
const PARSE: &str = r#"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
seen, out = set(), {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, f"{family.name} has no HELP"
    # node_exporter does not say what these are.
    unsaid = family.type == "unknown" and family.name.startswith(("node_vmstat_", "node_netstat_"))
    assert unsaid or family.type in ("counter", "gauge"), f"{family.name} is {family.type}"
    assert family.samples, f"{family.name} has no samples"
    for sample in family.samples:
        if family.type == "counter":
            assert sample.name.endswith("_total"), sample.name
        else:
            assert not sample.name.endswith("_total"), sample.name
        key = sample.name + json.dumps(sample.labels, sort_keys=True)
        assert key not in seen, f"{key} comes twice"
        seen.add(key)
        out.setdefault(sample.name, []).append([sample.labels, sample.value])
json.dump(out, sys.stdout)
"#;

fn parsed(text: &str) -> Value {
    let mut child = Command::new(tool("python"))
        .args(["-c", PARSE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{text}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn prometheus_reads_every_metric() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("health_check_interval_seconds: 5")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", SOON);
    let (status, body) = get(&machine, "/ready");
    assert_eq!(
        (status, body.as_str()),
        (
            503,
            "not ready: the container was started again and is not asked yet\n"
        )
    );
    // The shipper's rows are in the record some time after its first lines.
    let metrics = wait_until(SOON, || {
        let metrics = parsed(&get(&machine, "/metrics").1);
        metrics["monopod_probe_healthy"].as_array()?;
        let lines = metrics["monopod_sink_lines_total"].as_array()?;
        lines
            .iter()
            .any(|one| one[1].as_f64() > Some(0.0))
            .then_some(metrics)
    });
    let metrics = metrics.expect("the sinks' figures");
    let one = |name: &str| {
        metrics[name][0][1]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} in {metrics:#}"))
    };
    for (name, value) in [
        ("monopod_up", 1.0),
        ("monopod_ready", 1.0),
        ("monopod_healthy", 1.0),
        ("monopod_container_running", 1.0),
        ("monopod_container_restarts_total", 1.0),
        ("monopod_container_last_exit_code", 137.0),
    ] {
        assert!((one(name) - value).abs() < f64::EPSILON, "{name}: {}", one(name));
    }
    assert!(one("monopod_probe_asked_total") >= 1.0);
    assert!(one("monopod_probe_failed_total") < one("monopod_probe_asked_total"));
    assert!(one("monopod_probe_duration_seconds") > 0.0);
    assert!(one("monopod_container_memory_usage_bytes") > 4096.0);
    assert!(one("monopod_container_cpu_seconds_total") > 0.0);
    assert!(one("process_resident_memory_bytes") > 1e6);
    let open = std::fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .count();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
    let open = open as f64;
    // The connection of the scrape is one of them.
    assert!(
        (one("process_open_fds") - open).abs() <= 3.0,
        "{} {open}",
        one("process_open_fds")
    );
    let steps = metrics["monopod_boot_step_duration_seconds"].as_array().unwrap();
    for step in ["config", "image", "container", "health"] {
        assert!(
            steps.iter().any(|one| one[0]["step"] == step),
            "{step} in {steps:?}"
        );
    }
}

#[test]
fn a_port_that_is_taken_ends_nothing_and_is_had_later() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let taken = machine
        .inside(|| std::net::TcpListener::bind(("127.0.0.1", PORT)))
        .unwrap();
    let agent = run(&machine);
    let line = agent.wait_for_line("status and metrics are not served at 127.0.0.1:9180", BOOT);
    assert!(
        line.text
            .contains("another process on this machine uses that port"),
        "{}",
        line.text
    );
    wait_ready(&machine, &agent);
    drop(taken);
    agent.wait_for_line("status and metrics are served at http://127.0.0.1:9180", SOON);
    assert_eq!(get(&machine, "/ready").0, 200);
    // The port of an agent that was killed is the next one's at once.
    agent.kill9();
    let again = run_until_ready(&machine);
    again.wait_for_line("status and metrics are served at", SOON);
    assert!(!again.output().contains("are not served"), "{}", again.output());
}

#[test]
fn clients_that_send_nothing_keep_nobody_out_and_stop_nothing() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let syslog = machine.dirs().syslog.display().to_string();
    let mut command = machine.monopod(binary(), &["run", "--syslog-socket", &syslog]);
    command.env("WATCHDOG_USEC", "600000");
    let agent = machine.spawn_command(command);
    wait_ready(&machine, &agent);
    let connect = |bytes: &'static [u8]| {
        let mut stream = machine
            .inside(|| TcpStream::connect(("127.0.0.1", PORT)))
            .unwrap();
        stream.write_all(bytes).unwrap();
        stream
    };
    let mut hostile = Vec::new();
    for _ in 0..70 {
        hostile.push(connect(b""));
        hostile.push(connect(b"GET /metrics HTTP/1.1\r\nX-Slow: a"));
        // Asks, and never reads.
        hostile.push(connect(b"GET /status HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    let begun = Instant::now();
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(get(&machine, path).0, 200, "{path}");
    }
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let fds = std::fs::read_dir(format!("/proc/{}/fd", agent.pid()))
        .unwrap()
        .count();
    assert!(fds < 100, "{fds} descriptors are open");
    let fed = machine
        .notify()
        .lines()
        .iter()
        .filter(|line| *line == "WATCHDOG=1")
        .count();
    machine.notify().wait_for_nth("WATCHDOG=1", fed + 3, SOON);
    // Those that were let in have to be done in time.
    let mut last = connect(b"GET /health HTTP/1.1\r\nX-Slow: ");
    last.set_read_timeout(Some(SOON)).unwrap();
    let mut rest = Vec::new();
    let begun = Instant::now();
    drop(last.read_to_end(&mut rest));
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    // A head that is too long is refused, whatever is in it.
    let long = format!("GET /health HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(20_000));
    let answer = machine.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", PORT))?;
        stream.set_read_timeout(Some(SOON))?;
        // It may be refused before all of it is sent.
        let _cut = stream.write_all(long.as_bytes()).is_err();
        let mut answer = Vec::new();
        let _cut = stream.read_to_end(&mut answer).is_err();
        Ok(answer)
    });
    let answer = String::from_utf8(answer.unwrap()).unwrap();
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(get(&machine, "/health").0, 200);
    drop(hostile);
}

#[test]
fn no_secret_is_served() {
    let machine = Machine::acquire();
    let canary = "canary-status-secret";
    UserData::new(&machine, "never-healthy")
        .web()
        .env(&[("A", &machine.aws().encrypt(canary))])
        .line("entrypoint: [/bin/sh, -c, 'echo \"said $A\"; exec sleep 1000']")
        .line("health_check_timeout_seconds: 4")
        .serve(&machine);
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let mut all = String::new();
    for path in ["/health", "/ready", "/status", "/metrics"] {
        all.push_str(&get(&machine, path).1);
    }
    for args in [&[][..], &["--json"], &["--line"]] {
        all.push_str(&shown(&machine, args).1);
    }
    assert!(!all.contains("canary-status"), "{all}");
    assert!(
        all.contains("said [redacted]"),
        "the last lines are quoted: {all}"
    );
}

fn watching(machine: &Machine) -> Agent {
    machine.spawn(binary(), &["status", "--watch"])
}

#[test]
fn a_watch_prints_a_line_a_change_and_ends_as_asked() {
    let machine = Machine::acquire();
    let watch = watching(&machine);
    watch.wait_for_line("monopod: no agent has run here since the machine booted", SOON);
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    watch.wait_for_line("Z app 1.0: up: the container runs", SOON);
    machine.docker_ok(&["kill", CONTAINER]);
    watch.wait_for_line("app 1.0: up: the container has ended (exit code 137", SOON);
    watch.wait_for_nth_line("app 1.0: up: the container runs", 2, SOON);
    agent.kill9();
    watch.wait_for_line("app 1.0: AGENT GONE: ", SOON);
    let output = watch.output();
    let lines: Vec<&str> = output
        .lines()
        .map(|line| line.split_once(' ').unwrap().1)
        .collect();
    assert!(lines.windows(2).all(|two| two[0] != two[1]), "{output}");
    assert!(!output.contains('\x1b'), "{output}");
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.wait_exit(SOON), 0);
}

#[test]
fn a_watch_is_drawn_in_its_place_on_a_terminal() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let _agent = run_until_ready(&machine);
    let command = format!("exec {} status --watch", binary().display());
    let mut terminal = machine
        .monopod("/usr/bin/script".as_ref(), &["-qefc", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut screen = terminal.stdout.take().unwrap();
    let (send, pieces) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = screen.read(&mut buffer) {
            if send
                .send(String::from_utf8_lossy(&buffer[..count]).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    let mut seen = String::new();
    let deadline = Instant::now() + SOON;
    // Drawn, and drawn again a second later without being cleared.
    while seen.matches("\x1b[Happ 1.0: ready for").count() < 3 {
        let left = deadline.saturating_duration_since(Instant::now());
        seen.push_str(&pieces.recv_timeout(left).unwrap_or_else(|_| panic!("{seen:?}")));
    }
    assert_eq!(seen.matches("\x1b[2J").count(), 1, "{seen:?}");
    // Ctrl-C.
    terminal.stdin.take().unwrap().write_all(b"\x03").unwrap();
    let ended = wait_until(SOON, || terminal.try_wait().unwrap()).expect("Ctrl-C ends it");
    assert_eq!(ended.code(), Some(0), "{seen:?}");
    drop(pieces);
    drop(reader.join());
}

#[test]
fn the_json_is_what_its_schema_says() {
    let machine = Machine::acquire();
    let file = machine.dirs().base.join("status.json");
    let check = |when: &str| {
        let (_, json) = shown(&machine, &["--json"]);
        std::fs::write(&file, &json).unwrap();
        let output: Output = Command::new("unshare")
            .args(["--net", "--"])
            .arg(tool("check-jsonschema"))
            .arg("--schemafile")
            .arg(repository("config-samples/status.schema.json"))
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{when}: {said}\n{json}");
    };
    UserData::new(&machine, "web").web().serve(&machine);
    machine.imds().down();
    let agent = run(&machine);
    agent.wait_for_line("facts: no answer", BOOT);
    check("waiting for the metadata service");
    machine.imds().up();
    wait_ready(&machine, &agent);
    check("ready");
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", SOON);
    agent.signal(Signal::SIGTERM);
    agent.wait_exit(SOON);
    check("stopped");
}

#[test]
fn a_login_is_told_and_never_held_up() {
    let machine = Machine::acquire();
    let motd = || {
        let script = repository("systemd/motd-monopod.sh");
        let mut command = machine.monopod("/bin/sh".as_ref(), &[script.to_str().unwrap()]);
        let path = format!("{}:/usr/bin:/bin", binary().parent().unwrap().display());
        let begun = Instant::now();
        let output = command.env("PATH", path).output().unwrap();
        assert!(output.status.success(), "it never fails a login");
        assert!(begun.elapsed() < Duration::from_secs(3));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(
        motd(),
        "monopod: no agent has run here since the machine booted; see `systemctl status monopod`\n"
    );
    std::fs::create_dir_all(&machine.dirs().runtime).unwrap();
    std::fs::write(machine.dirs().runtime.join("status.json"), "torn").unwrap();
    let line = motd();
    assert!(
        line.contains("is not a boot record this monopod can read") && line.lines().count() == 1,
        "{line}"
    );
    UserData::new(&machine, "sleeper").serve(&machine);
    let _agent = run_until_ready(&machine);
    assert!(motd().starts_with("app 1.0: ready for "), "{}", motd());
}
