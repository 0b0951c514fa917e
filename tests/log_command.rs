//! `monopod logs`: what a person reads, and what `--verify` proves.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use monopod_testrig::{Agent, Machine, Signal, Stream, wait_until};
use serde_json::Value;

use crate::common::*;

/// The least there is: the engine's files of the log become small, and rotate.
const BUDGET: &str = "log_budget: 3m";

fn logs(machine: &Machine, args: &[&str]) -> Output {
    let args = [&["logs"], args].concat();
    machine.monopod(binary(), &args).output().unwrap()
}

fn printed(machine: &Machine, args: &[&str]) -> String {
    let output = logs(machine, args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    assert_eq!(said, "", "{args:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The report, and the exit code.
fn verify(machine: &Machine) -> (Value, Option<i32>) {
    let output = logs(machine, &["--verify", "--json"]);
    let said = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    (report, output.status.code())
}

fn sink<'a>(report: &'a Value, name: &str) -> &'a Value {
    let mut sinks = report["sinks"].as_array().unwrap().iter();
    sinks.find(|sink| sink["sink"] == name).unwrap()
}

/// Waits until application.log was given this many lines and the cursor says so.
fn wait_delivered(machine: &Machine, lines: u64) -> (Value, Option<i32>) {
    let done = || {
        let (report, code) = verify(machine);
        let enough = sink(&report, "application-log")["lines"]["read"].as_u64()? >= lines;
        let nothing_waits = report["sinks"]
            .as_array()?
            .iter()
            .all(|sink| sink["behind_bytes"] == 0);
        (enough && nothing_waits).then_some((report, code))
    };
    wait_until(BOOT, done).unwrap_or_else(|| panic!("not delivered: {:#}", verify(machine).0))
}

fn chatty(machine: &Machine, lines: u32, more: &str) -> Agent {
    UserData::new(machine, "chatty")
        .line(more)
        .env(&[("LINES", &lines.to_string())])
        .serve(machine);
    run_until_ready(machine)
}

fn json_file(machine: &Machine) -> PathBuf {
    the_container(machine)["LogPath"].as_str().unwrap().into()
}

fn numbers(text: &str) -> Vec<u32> {
    text.lines()
        .filter_map(|line| line.strip_prefix("chatty line ")?.parse().ok())
        .collect()
}

#[test]
fn everything_is_read_without_an_agent_and_is_proved() {
    let machine = Machine::acquire();
    let agent = chatty(&machine, 500, "");
    wait_delivered(&machine, 501);
    agent.kill9();
    let text = printed(&machine, &[]);
    assert_eq!(numbers(&text), (1..=500).collect::<Vec<u32>>());
    assert!(text.ends_with("chatty line 500\nchatty done\n"), "{text}");

    assert_eq!(printed(&machine, &["-n", "2"]), "chatty line 500\nchatty done\n");
    assert_eq!(printed(&machine, &["--stream", "stderr"]), "");
    assert_eq!(printed(&machine, &["--since", "1h"]), text);
    assert_eq!(printed(&machine, &["--until", "2026-01-01T00:00:00Z"]), "");
    let json: Value = serde_json::from_str(&printed(&machine, &["--json", "-n", "1"])).unwrap();
    assert_eq!(
        (json["stream"].as_str(), json["text"].as_str()),
        (Some("stdout"), Some("chatty done"))
    );
    let timed = printed(&machine, &["-t", "-n", "1"]);
    assert_eq!(timed, format!("{} chatty done\n", json["time"].as_str().unwrap()));

    let (report, code) = verify(&machine);
    assert_eq!(
        (code, &report["verdict"]),
        (Some(0), &Value::from("complete")),
        "{report:#}"
    );
    let file = sink(&report, "application-log");
    assert_eq!(file["lines"]["delivered"], 501);
    assert_eq!(file["files"][0]["checksum"], "match");
    assert_eq!(sink(&report, "syslog")["guarantee"], "best-effort");
    let text = logs(&machine, &["--verify"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(
        text.contains("501 lines delivered, 0 lost, nothing waits"),
        "{text}"
    );
    assert!(text.contains("lines handed over"), "{text}");
}

#[test]
fn what_is_written_meanwhile_waits_and_a_changed_file_is_seen() {
    let machine = Machine::acquire();
    let agent = chatty(&machine, 500, "");
    wait_delivered(&machine, 501);
    agent.kill9();
    let path = json_file(&machine);
    let mut bytes = fs::read(&path).unwrap();
    let record = br#"{"log":"later\n","stream":"stdout","time":"2026-12-31T00:00:00Z"}"#;
    bytes.extend_from_slice(record);
    bytes.push(b'\n');
    fs::write(&path, &bytes).unwrap();
    let (report, code) = verify(&machine);
    assert_eq!(code, Some(0), "{report:#}");
    assert_eq!(sink(&report, "application-log")["behind_bytes"], record.len() + 1);

    let text = String::from_utf8(bytes)
        .unwrap()
        .replace("chatty line 250", "chatty lime 250");
    fs::write(&path, text).unwrap();
    let (report, code) = verify(&machine);
    assert_eq!(
        (code, &report["verdict"]),
        (Some(3), &Value::from("differs")),
        "{report:#}"
    );
    let output = logs(&machine, &["--verify"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("DIFFERS"));
}

/// The agent is stopped for longer than the engine keeps the log.
#[test]
fn lines_that_rotated_away_are_a_gap() {
    let machine = Machine::acquire();
    UserData::new(&machine, "writer")
        .line(BUDGET)
        .env(&[("LINES", "60000"), ("LENGTH", "200"), ("RATE", "6000")])
        .serve(&machine);
    let agent = run_until_ready(&machine);
    wait_until(BOOT, || {
        let text = fs::read(machine.dirs().state.join("applog.application-log.cursor")).ok()?;
        String::from_utf8(text)
            .ok()?
            .contains("first_record")
            .then_some(())
    })
    .expect("a cursor is saved");
    agent.kill9();
    let path = json_file(&machine);
    let oldest = |path: &PathBuf| {
        let name = path.with_extension("log.1");
        fs::read(if name.exists() { &name } else { path }).unwrap_or_default()[..80].to_vec()
    };
    let then = oldest(&path);
    wait_until(BOOT, || (oldest(&path) != then).then_some(())).expect("the engine rotates");
    // Only what was there when the cursor was written can be known to be lost.
    let lost = || {
        let (report, code) = verify(&machine);
        let is_known = sink(&report, "application-log")["gaps"][0]["told"] == false;
        is_known.then_some((report, code))
    };
    let (report, code) = wait_until(BOOT, lost).unwrap_or_else(|| panic!("{:#}", verify(&machine).0));
    assert_eq!(code, Some(1));
    let gap = &sink(&report, "application-log")["gaps"][0];
    assert_eq!(
        (gap["told"].as_bool(), gap["exact"].as_bool()),
        (Some(false), Some(false))
    );
    assert!(gap["why"].as_str().unwrap().contains("rotated away"), "{gap}");
    assert!(gap["from"].is_string(), "{gap}");

    // The next agent tells it.
    let _agent = run_until_ready(&machine);
    let told = || {
        let (report, code) = verify(&machine);
        let told = sink(&report, "application-log")["gaps"][0]["told"] == true;
        told.then_some(code)
    };
    assert_eq!(wait_until(BOOT, told), Some(Some(1)));
    let output = logs(&machine, &["--verify"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("gap: ") && text.contains("Some lines never came"),
        "{text}"
    );
}

#[test]
fn following_goes_on_across_a_restart_a_rotation_and_a_new_container() {
    let machine = Machine::acquire();
    let agent = chatty(&machine, 20_000, BUDGET);
    wait_delivered(&machine, 20_001);
    let follower = machine.spawn(binary(), &["logs", "-f", "-n", "1"]);
    follower.wait_for_line("chatty done", SOON);
    let before = json_file(&machine);
    let rotated = || fs::metadata(before.with_extension("log.1")).ok()?.modified().ok();
    let then = rotated();
    // The same container again and again: the same files go on, and rotate.
    for nth in 2..=3 {
        machine.docker_ok(&["restart", "-t", "0", CONTAINER]);
        follower.wait_for_nth_line("chatty done", nth, BOOT);
    }
    assert_ne!(rotated(), then, "the engine rotates");
    let all = follower.output_of(Stream::Out);
    let twice: Vec<u32> = (1..=20_000).chain(1..=20_000).collect();
    assert!(
        numbers(&all) == twice,
        "nothing twice, nothing lost: {} lines",
        all.lines().count()
    );

    agent.kill9();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    UserData::new(&machine, "web").web().serve(&machine);
    let _agent = run_until_ready(&machine);
    follower.wait_for_line("web line 1", BOOT);
    assert_ne!(json_file(&machine), before);
    follower.signal(Signal::SIGINT);
    assert_eq!(follower.wait_exit(SOON), 0);
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let machine = Machine::acquire();
    let _agent = chatty(&machine, 50_000, "");
    wait_delivered(&machine, 50_001);
    for args in ["logs", "logs -f -n 5"] {
        let script = format!(
            "{{ {} {args}; echo \"ended with $?\" >&2; }} | head -n 1",
            binary().display()
        );
        let mut command = std::process::Command::new("sh");
        let known = machine.monopod(binary(), &[]);
        command.args(["-c", &script]);
        command.env_clear();
        command.env("PATH", "/usr/bin:/bin");
        command.envs(known.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let shell = machine.spawn_command(command);
        assert_eq!(shell.wait_exit(SOON), 0);
        let said = shell.output_of(Stream::Err);
        assert_eq!(said, "ended with 0\n", "{args}");
        assert_eq!(shell.output_of(Stream::Out).lines().count(), 1, "{args}");
    }
}

#[test]
fn with_nothing_to_show_it_says_what_to_do() {
    let machine = Machine::acquire();
    for args in [&[][..], &["--verify"]] {
        let output = logs(&machine, args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("no container's log is known here") && said.contains("monopod status"),
            "{said}"
        );
    }
    let output = logs(&machine, &["--file", "/nowhere/x-json.log"]);
    assert_eq!(output.status.code(), Some(1));
    let output = logs(&machine, &["--since", "yesterday"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1h30m"));
    let output = logs(&machine, &["--verify", "-f"]);
    assert_eq!(output.status.code(), Some(2));
}
