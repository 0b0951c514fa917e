//! How long the application's writes take at 20,000 lines a second while sinks and the agent are in trouble; the engine is
//! alive all the time. `tests/app_write.rs` is the same as a test, with more kinds of trouble and fewer lines.

use std::path::Path;
use std::time::Duration;

use monopod_testrig::{LineServer, Machine, Piece, Signal, Stage, Where};

use super::ways::destination;
use super::{end, seed, start_stage};
use crate::Figures;

const RATE: u64 = 20_000;
const SECONDS: u64 = 8;

pub(super) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let server = LineServer::null(Where::Machine(machine));
    let syslog = machine.dirs().syslog.display().to_string();
    let (agent, stage) = start_stage(machine, binary, &destination(&server), &syslog);
    let unshipped = unshipped(machine);
    let before = phase(&unshipped, "nothing shipped");
    let mut worst = phase(&stage, "all is well");
    machine.syslog().down();
    server.down();
    worst = worst.max(phase(&stage, "syslog and log server dead"));
    server.up();
    server.stop_reading();
    worst = worst.max(phase(&stage, "log server half open"));
    agent.signal(Signal::SIGSTOP);
    worst = worst.max(phase(&stage, "agent stopped"));
    agent.signal(Signal::SIGCONT);
    agent.kill9();
    worst = worst.max(phase(&stage, "agent killed"));
    let after = phase(&unshipped, "nothing shipped, again");
    figures.tell("app_write_p999_ms", worst / 1000.0, "ms");
    figures.tell("app_write_p999_unshipped_ms", before.max(after) / 1000.0, "ms");
    server.read_again();
    machine.syslog().up();
    end(machine, agent);
}

/// The p99.9 of a write, in microseconds.
fn phase(stage: &Stage, name: &str) -> f64 {
    let seed = seed();
    stage.begin(Piece {
        seed,
        lines: RATE * SECONDS,
        rate: RATE,
        length: 200,
    });
    let report = stage.wait(seed, Duration::from_secs(120));
    Figures::note(&format!(
        "{name:28} p50 {:6.1} µs, p99 {:7.1} µs, p99.9 {:8.1} µs, longest {:8.1} µs, {} of {} over 10 ms",
        report.p50, report.p99, report.p999, report.max, report.over_10ms, report.lines
    ));
    report.p999
}

fn unshipped(machine: &Machine) -> Stage {
    let image = machine.inspect(super::NAME).expect("bench: the container")["Image"].clone();
    let image = image.as_str().unwrap_or_default();
    machine.docker_ok(&[
        "run",
        "--detach",
        "--user",
        "999",
        "--name",
        "unshipped",
        "--log-driver",
        "json-file",
        image,
    ]);
    Stage::of(machine, "unshipped")
}
