//! The story of a boot, on real parts, for somebody who sees monopod for the first time.
//!
//! A machine of its own (an engine in namespaces, a metadata service, a registry with a password, KMS), user data with
//! a secret in it, and the agent. What the agent prints, what the app logs and what systemd is told are shown as they
//! happen; at the end stands what was seen, and the exit code is 1 if anything was missing.
//!
//! `cargo run -p monopod-testrig --example demo`, as root; the agent is `MONOPOD_BIN` or the one built beside the demo.

mod screen;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use monopod_testrig::{Agent, Machine, REGISTRY_PASSWORD, Rig, Signal, Token, wait_until};
use screen::{Colour, Screen};

/// The secret. No output of anything may hold it.
const SECRET: &str = "canary-demo-database-password";
const CONTAINER: &str = "taupageapp";
const PORT: u16 = 8080;

/// How long a boot may take here: it takes seconds, and a slow machine is no failure.
const BOOT: Duration = Duration::from_secs(90);
const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let Some(binary) = find_agent() else {
        return ExitCode::from(2);
    };
    let mut screen = Screen::new();
    let machine = set_the_stage(&screen);
    let agent = machine.spawn(
        &binary,
        &[
            "run",
            "--syslog-socket",
            &machine.dirs().syslog.display().to_string(),
        ],
    );
    let followers = [
        screen.follow("monopod", Colour::Green, agent.lines(), |line| {
            without_time(&line.text)
        }),
        screen.follow("syslog", Colour::Yellow, machine.syslog().journal(), |line| {
            line.text.clone()
        }),
        screen.follow(
            "systemd",
            Colour::Magenta,
            machine.notify().journal(),
            |message| message.text.clone(),
        ),
    ];

    boot(&mut screen, &machine);
    hardening(&mut screen, &machine);
    status(&mut screen, &machine, &binary);
    crash(&mut screen, &machine);
    stop(&mut screen, &machine, &agent);
    for follower in followers {
        follower.stop();
    }
    secrecy(&mut screen, &machine);

    let complete = screen.summary();
    drop(agent);
    drop(machine);
    Rig::get().close();
    if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The agent's own time says what the demo's clock says already.
fn without_time(line: &str) -> String {
    match line.split_once(' ') {
        Some((time, rest)) if time.ends_with('Z') && time.contains('T') => rest.trim_start().to_owned(),
        _ => line.to_owned(),
    }
}

fn find_agent() -> Option<PathBuf> {
    let beside = || Some(std::env::current_exe().ok()?.ancestors().nth(2)?.join("monopod"));
    let binary = std::env::var_os("MONOPOD_BIN")
        .map(PathBuf::from)
        .or_else(beside)?;
    if !binary.exists() {
        eprintln!(
            "demo: there is no agent at {}: build it first (cargo build)",
            binary.display()
        );
        return None;
    }
    Some(binary)
}

fn set_the_stage(screen: &Screen) -> Machine {
    screen.heading(
        "A machine: Docker Engine, registry with a password, KMS, metadata service, all on loopback",
    );
    let machine = Machine::acquire();
    let image = machine.registry().image("web");
    let user_data = format!(
        "#taupage-ami-config\n\
         application_id: hello\n\
         application_version: \"1.0\"\n\
         runtime: Docker\n\
         source: {image}\n\
         ports:\n  {PORT}: 8080\n\
         health_check_path: /health\n\
         health_check_timeout_seconds: 60\n\
         environment:\n  GREETING: hello world\n  DATABASE_PASSWORD: \"{}\"\n\
         dockercfg: {}\n",
        machine.aws().encrypt(SECRET),
        machine.registry().dockercfg(),
    );
    machine.set_user_data(&user_data);
    screen.show(&machine.docker_ok(&[
        "version",
        "--format",
        "engine: Docker {{.Server.Version}}, nothing on it",
    ]));
    screen.show(&format!("instance: {}", machine.imds().instance_id()));
    screen.heading("The user data it will read (the password is a KMS ciphertext)");
    screen.show_short(&user_data);
    screen.heading("monopod run");
    machine
}

/// From user data to READY.
fn boot(screen: &mut Screen, machine: &Machine) {
    let ready = machine.notify().journal().wait_for(BOOT, |all| {
        all.iter()
            .any(|message| message.text.lines().any(|line| line == "READY=1"))
            .then_some(())
    });
    let logged = machine.syslog().journal().wait_for(SOON, |all| {
        all.iter()
            .any(|line| line.text.contains("web line"))
            .then_some(())
    });
    let calls = machine.imds().calls();
    let with_token = |path: &str| {
        calls
            .iter()
            .any(|call| call.path == path && call.token == Token::Good)
    };
    let answer = machine.http_get(PORT, "/health").ok();
    screen.heading("Is the machine up?");
    screen.check(
        "user data was read from the metadata service, with a token",
        with_token("/latest/user-data"),
    );
    screen.check("KMS decrypted the password", machine.aws().decrypt_calls() > 0);
    screen.check(
        "the registry refuses whoever has no password",
        machine.registry().ask("/v2/", None).status == 401,
    );
    screen.check(
        "one container runs",
        machine.containers().len() == 1 && running(machine),
    );
    screen.check(
        "the app answers 200 on its published port",
        answer.is_some_and(|answer| answer.status == 200),
    );
    screen.check("its log lines are in syslog", logged.is_some());
    screen.check("systemd was told READY", ready.is_some());
}

/// What the engine was asked for, and what the kernel made of it.
fn hardening(screen: &mut Screen, machine: &Machine) {
    screen.heading("docker ps, docker inspect, and the kernel's view of the process");
    let columns = "table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}";
    screen.show(&machine.docker_ok(&["ps", "--format", columns]));
    let format = "user {{.Config.User}}, dropped {{.HostConfig.CapDrop}}, added {{.HostConfig.CapAdd}}, \
                  options {{.HostConfig.SecurityOpt}}, memory {{.HostConfig.Memory}}, \
                  pids {{.HostConfig.PidsLimit}}, restart policy {{.HostConfig.RestartPolicy.Name}}";
    let inspected = machine.docker(&["inspect", "--format", format, CONTAINER]);
    screen.show(&String::from_utf8_lossy(&inspected.stdout));
    let status = machine.process_status(CONTAINER).unwrap_or_default();
    let fields = ["Uid:", "CapEff:", "CapBnd:", "NoNewPrivs:", "Seccomp:"];
    let kept: Vec<&str> = status
        .lines()
        .filter(|line| fields.iter().any(|field| line.starts_with(field)))
        .collect();
    screen.show(&kept.join("   ").replace('\t', " "));
    let says = |field: &str, value: &str| {
        status
            .lines()
            .filter_map(|line| line.strip_prefix(field))
            .any(|rest| rest.trim().starts_with(value))
    };
    screen.check("it runs as uid 999", says("Uid:", "999\t999\t999\t999"));
    screen.check(
        "it has no capability, and can't get one",
        says("CapEff:", "0000") && zero(&status, "CapBnd:"),
    );
    screen.check(
        "no new privileges, and a seccomp filter",
        says("NoNewPrivs:", "1") && says("Seccomp:", "2"),
    );
    let environment = machine
        .inspect(CONTAINER)
        .map(|container| container["Config"]["Env"].to_string());
    let value = format!("DATABASE_PASSWORD={SECRET}");
    screen.check(
        "the app has the decrypted password",
        environment.is_some_and(|all| all.contains(&value)),
    );
}

fn zero(status: &str, field: &str) -> bool {
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap_or("?");
    value.trim().chars().all(|digit| digit == '0')
}

fn status(screen: &mut Screen, machine: &Machine, binary: &Path) {
    screen.heading("monopod status");
    let (text, good) = match machine.monopod(binary, &["status"]).output() {
        Ok(output) => {
            let (out, err) = (
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr),
            );
            (format!("{out}{err}"), output.status.success())
        }
        Err(error) => (format!("{}: {error}", binary.display()), false),
    };
    screen.show(&text);
    screen.check("status says what runs", good);
    screen.check("and not the password", !text.contains(SECRET));
}

fn crash(screen: &mut Screen, machine: &Machine) {
    screen.heading("The app is killed");
    let before = started(machine);
    let _ = machine.docker(&["kill", CONTAINER]);
    let again = wait_until(SOON, || {
        (running(machine) && started(machine) != before).then_some(())
    });
    let answers = wait_until(SOON, || {
        machine
            .http_get(PORT, "/health")
            .ok()
            .filter(|answer| answer.status == 200)
    });
    screen.check("the agent started it again", again.is_some());
    screen.check("and it answers", answers.is_some());
}

fn stop(screen: &mut Screen, machine: &Machine, agent: &Agent) {
    screen.heading("SIGTERM to the agent: it goes, the app stays");
    agent.signal(Signal::SIGTERM);
    let ended = wait_until(SOON, || (!agent.running()).then_some(()));
    let code = ended.map(|()| agent.wait_exit(Duration::ZERO));
    let told = machine.notify().lines().iter().any(|line| line == "STOPPING=1");
    screen.check("systemd was told STOPPING", told);
    screen.check("the agent ended with 0", code == Some(0));
    screen.check("the container still runs", running(machine));
}

fn secrecy(screen: &mut Screen, machine: &Machine) {
    screen.heading("Where are the passwords?");
    screen.show("looked in the output of the agent, syslog, systemd's messages, files, logs, and in ps");
    let leaks: Vec<String> = [SECRET, REGISTRY_PASSWORD]
        .iter()
        .flat_map(|secret| machine.leaks(secret))
        .collect();
    screen.show(&leaks.join("\n"));
    screen.check("nowhere but in the app", leaks.is_empty());
}

fn running(machine: &Machine) -> bool {
    machine
        .inspect(CONTAINER)
        .is_some_and(|container| container["State"]["Running"] == true)
}

fn started(machine: &Machine) -> String {
    machine
        .inspect(CONTAINER)
        .map(|container| container["State"]["StartedAt"].to_string())
        .unwrap_or_default()
}
