//! The application's write never waits on a sink, nor on the agent: how long a write takes while each of them is in
//! trouble, and the engine alive.
//!
//! The machine may be busy with other things, so what counts is the comparison: the same writer, for as long, in a
//! container whose lines nobody ships, before and after the faults.

#![expect(clippy::print_stdout, reason = "figures for whoever runs it by hand")]

use std::fs;

use monopod_testrig::{
    LineServer, Machine, Numbered, Piece, Signal, SmallDisk, Stage, Where, WriterReport, wait_until,
};

use crate::common::*;

/// Lines of 1,000 bytes, 2,000 a second for five seconds: what a network that is half open takes in its buffers
/// is well below that.
const LINES: u64 = 10_000;
const RATE: u64 = 2_000;
const LENGTH: u64 = 1_000;

/// By the issue; or three times what the machine takes by itself, if that is more.
const LIMIT_MICROS: f64 = 10_000.0;

/// The p99.9 of a writer that catches up afterwards does not show one write that waited for a sink: no write may take as
/// long as that, on however busy a machine.
const LONGEST_MICROS: f64 = 2_000_000.0;

/// Writes all lines of one phase, and says how that went.
fn run(stage: &Stage, name: &str, seed: u64) -> WriterReport {
    stage.begin(Piece {
        seed,
        lines: LINES,
        rate: RATE,
        length: LENGTH,
    });
    let report = stage.wait(seed, BOOT);
    println!(
        "{name:24} p50 {:6.1} µs, p99 {:7.1} µs, p99.9 {:8.1} µs, longest {:9.1} µs, {} over 10 ms",
        report.p50, report.p99, report.p999, report.max, report.over_10ms
    );
    report
}

/// A container of the same image with the same log settings, which the agent knows nothing of.
fn start_unshipped(machine: &Machine) -> Stage {
    let inspected = the_container(machine);
    let image = inspected["Image"].as_str().unwrap();
    let mut args = vec![
        "run".to_owned(),
        "--detach".into(),
        "--name".into(),
        "unshipped".into(),
    ];
    args.extend([
        "--user".into(),
        "999".into(),
        "--log-driver".into(),
        "json-file".into(),
    ]);
    for (name, value) in inspected["HostConfig"]["LogConfig"]["Config"]
        .as_object()
        .unwrap()
    {
        args.extend(["--log-opt".into(), format!("{name}={}", value.as_str().unwrap())]);
    }
    args.push(image.to_owned());
    machine.docker_ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    Stage::of(machine, "unshipped")
}

fn serve(machine: &Machine, port: u16) {
    UserData::new(machine, "stage")
        .line(&format!(
            "logging: {{applog_destination: rsyslog, rsyslog_host: 127.0.0.1, rsyslog_port: {port}}}"
        ))
        .serve(machine);
}

/// Waits until every sink was handed the lines of so many phases. How many a log server has got is another matter: plain
/// TCP loses what is on its way when the server goes.
fn wait_for_all(machine: &Machine, phases: u64) {
    let all_of = |shown: &serde_json::Value| {
        let rows = shown["logs"].as_array()?;
        let all = |row: &serde_json::Value| row["delivered"].as_u64() >= Some(phases * LINES);
        rows.iter().all(all).then_some(())
    };
    wait_until(BOOT, || all_of(&status(machine)))
        .unwrap_or_else(|| panic!("phase {phases}: {:#}", status(machine)["logs"]));
}

#[test]
fn the_application_never_waits() {
    let machine = Machine::acquire();
    let disk = SmallDisk::new(384 << 20);
    let application_log = disk.path().join("application.log");
    let length = || fs::metadata(&application_log).map_or(0, |file| file.len());
    let server = LineServer::null(Where::Machine(&machine));
    serve(&machine, server.address().port());
    let start = || {
        let syslog = machine.dirs().syslog.display().to_string();
        let mut command = machine.monopod(binary(), &["run", "--syslog-socket", &syslog]);
        command.env("LOGS_DIRECTORY", disk.path());
        machine.spawn_command(command)
    };
    machine.notify().clear();
    let agent = start();
    wait_ready(&machine, &agent);
    let shipped = Stage::of(&machine, CONTAINER);
    let unshipped = start_unshipped(&machine);

    let before = run(&unshipped, "nothing shipped, before", 1);
    let mut phases = vec![("all is well", run(&shipped, "all is well", 11))];
    wait_for_all(&machine, 1);

    machine.syslog().down();
    server.down();
    disk.fill(0);
    let (length_before, count_before) = (length(), server.count());
    phases.push(("all sinks dead", run(&shipped, "all sinks dead", 12)));
    assert_eq!(
        (length(), server.count()),
        (length_before, count_before),
        "the sinks were not dead"
    );
    disk.relieve();
    server.up();
    machine.syslog().up();
    wait_for_all(&machine, 2);

    server.stop_reading();
    let count_before = server.count();
    phases.push(("network half open", run(&shipped, "network half open", 13)));
    assert!(
        server.count() < count_before + LINES / 2,
        "somebody has read the lines"
    );
    server.read_again();
    wait_for_all(&machine, 3);

    agent.signal(Signal::SIGSTOP);
    let length_before = length();
    phases.push(("agent stopped", run(&shipped, "agent stopped", 14)));
    assert_eq!(length(), length_before, "the agent was not stopped");
    agent.signal(Signal::SIGCONT);
    wait_for_all(&machine, 4);

    agent.kill9();
    phases.push(("agent killed", run(&shipped, "agent killed", 15)));
    let after = run(&unshipped, "nothing shipped, after", 2);

    let limit = LIMIT_MICROS.max(3.0 * before.p999.max(after.p999));
    for (name, report) in &phases {
        assert!(
            report.p999 <= limit,
            "{name}: 99.9 % of the writes took up to {} µs, with a limit of {limit} µs: {report:?}",
            report.p999
        );
        assert!(report.max <= LONGEST_MICROS, "{name}: a write waited: {report:?}");
    }

    // And nothing of it is lost: the next agent finds what the killed one has not shipped.
    machine.notify().clear();
    let next = start();
    wait_ready(&machine, &next);
    for seed in 11..=15 {
        let numbered = Numbered::new(seed, LINES);
        let arrived = wait_until(BOOT, || {
            let text = fs::read_to_string(&application_log).unwrap_or_default();
            let account = numbered.check(text.lines());
            (account.delivered == LINES).then_some(account)
        });
        assert!(arrived.is_some(), "lines of phase {seed} are missing");
    }
}
