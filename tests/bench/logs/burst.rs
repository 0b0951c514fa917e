//! A burst and a steady run: every line is looked for in application.log, the acknowledged sink, with local syslog beside
//! it. What is neither there nor marked is unaccounted.

use std::path::Path;
use std::time::{Duration, Instant};

use monopod_testrig::{Machine, Numbered, Piece, Rsyslog, Stage};

use super::far::{Growing, arrival, check};
use super::{end, float, seed, start_stage};
use crate::Figures;

/// Four seconds of 150,000 lines a second.
const BURST: (u64, u64) = (600_000, 150_000);
const STEADY: (u64, u64) = (300_000, 20_000);
const LENGTH: u64 = 200;

pub(super) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let nothing = machine.dirs().base.join("nothing.conf");
    std::fs::write(&nothing, "").expect("bench: a file");
    let rsyslog = Rsyslog::start(&machine.dirs().base.join("rsyslog"), &nothing);
    let (agent, stage) = start_stage(machine, binary, "", &rsyslog.socket().display().to_string());
    let mut far = Growing::at_end(&rsyslog.output("everything.log"));
    let mut unaccounted = 0;
    for (name, (lines, rate)) in [("burst", BURST), ("steady", STEADY)] {
        far.clear();
        unaccounted += one(machine, &stage, name, (lines, rate), &mut far, figures);
    }
    figures.tell("logs_unaccounted", float(unaccounted), "lines");
    end(machine, agent);
}

fn one(
    machine: &Machine,
    stage: &Stage,
    name: &str,
    (lines, rate): (u64, u64),
    far: &mut Growing,
    figures: &mut Figures,
) -> u64 {
    let seed = seed();
    let began = Instant::now();
    stage.begin(Piece {
        seed,
        lines,
        rate,
        length: LENGTH,
    });
    let report = stage.wait(seed, Duration::from_secs(120));
    let arrived = arrival(began, lines, || far.lines());
    let account = check(&machine.dirs().logs, Numbered::new(seed, lines));
    figures.tell(
        &format!("logs_{name}_rate"),
        float(report.lines) / report.seconds,
        "lines/s",
    );
    Figures::note(&format!(
        "{name}: {lines} lines of {LENGTH} bytes, {rate} a second asked for, written in {:.2} s (p99.9 of a write {:.0} µs); \
         at syslog {} after {:.2} s",
        report.seconds, report.p999, arrived.lines, arrived.seconds
    ));
    Figures::note(&format!(
        "{name}: application.log has {}, again {}, changed {}, out of order {}, marked {}, unaccounted {}",
        account.delivered,
        account.duplicates,
        account.corrupt,
        account.out_of_order,
        account.marked(),
        account.unaccounted()
    ));
    account.unaccounted()
}
