//! The same lines on different ways to the same rsyslog, in turn: the agent, Docker's syslog driver, and rsyslog's imfile
//! reading the engine's json file. And the agent's way to a server that only counts.
//!
//! What the agent does is more than the others do, and counted: application.log is written and synced beside it, where
//! the driver writes no file at all and imfile reads one. imfile's file is never rotated, which is kind to it.
//!
//! imfile and its rsyslog bring lines from the engine's file into another one, with no socket between. The agent does
//! that without rsyslog, so that is compared as well: `logs_file_vs_imfile`, lines in application.log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use monopod_testrig::{LineServer, Machine, Piece, Rsyslog, Stage, Where, pause};

use super::cost::Cpu;
use super::far::{Arrived, Growing, arrival};
use super::{NAME, end, float, seed, start_stage};
use crate::Figures;
use crate::stats::{described, median};

const LINES: u64 = 300_000;
const LENGTH: u64 = 200;
const ROUNDS: usize = 5;

struct Way {
    name: &'static str,
    stage: Stage,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

pub(super) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let image = machine.registry().image("stage");
    machine.log_in();
    machine.docker_ok(&["pull", &image]);
    let json = container(machine, "json-file", &image, &[]);
    let path = machine.inspect(&json).expect("bench: the container")["LogPath"].clone();
    let rsyslog = Rsyslog::start(
        &machine.dirs().base.join("rsyslog"),
        &snippet(machine, path.as_str().unwrap_or_default()),
    );
    let address = format!("syslog-address=unixgram://{}", rsyslog.socket().display());
    let driver = container(
        machine,
        "syslog",
        &image,
        &["--log-opt", &address, "--log-opt", "tag=bench"],
    );
    let (agent, stage) = start_stage(machine, binary, "", &rsyslog.socket().display().to_string());
    let mut ways = [
        way("monopod", stage),
        way("syslog driver", Stage::of(machine, &driver)),
        way("imfile", Stage::of(machine, &json)),
    ];
    let mut file = Growing::at_end(&rsyslog.output("everything.log"));
    let (mut to_driver, mut to_imfile, mut cpu_to_driver, mut cpu_to_imfile) =
        (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS {
        for step in 0..3 {
            // The order turns, so that none always comes after the same.
            let way = &mut ways[(round + step) % 3];
            file.clear();
            one(machine, agent.pid(), way, || file.lines());
        }
        to_driver.push(last(&ways[0].rates) / last(&ways[1].rates));
        to_imfile.push(last(&ways[0].rates) / last(&ways[2].rates));
        cpu_to_driver.push(last(&ways[0].costs) / last(&ways[1].costs));
        cpu_to_imfile.push(last(&ways[0].costs) / last(&ways[2].costs));
    }
    for way in &ways {
        Figures::note(&format!(
            "{}, lines a second: {}",
            way.name,
            described(&way.rates)
        ));
        Figures::note(&format!(
            "{}, µs of processor a line: {}",
            way.name,
            described(&way.costs)
        ));
    }
    for (name, values) in [
        ("logs_vs_syslog_driver", &to_driver),
        ("logs_vs_imfile", &to_imfile),
        ("logs_cpu_vs_syslog_driver", &cpu_to_driver),
        ("logs_cpu_vs_imfile", &cpu_to_imfile),
    ] {
        figures.tell(name, median(values), "ratio");
        Figures::note(&described(values));
    }
    end(machine, agent);
    let [_, _, mut imfile] = ways;
    files(machine, binary, (&mut imfile, &mut file), figures);
    null(machine, binary, figures);
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(f64::NAN)
}

/// From the engine's file into another one: application.log alone, and imfile.
fn files(machine: &Machine, binary: &Path, (imfile, far): (&mut Way, &mut Growing), figures: &mut Figures) {
    let (agent, stage) = start_stage(machine, binary, "", "none");
    let mut own = way("monopod, file", stage);
    let mut near = Growing::at_end(&machine.dirs().logs.join("application.log"));
    let (mut rates, mut costs) = (vec![], vec![]);
    for round in 0..ROUNDS {
        for step in 0..2 {
            if (round + step) % 2 == 0 {
                let before = near.lines();
                one(machine, agent.pid(), &mut own, || near.lines() - before);
            } else {
                far.clear();
                one(machine, agent.pid(), imfile, || far.lines());
            }
        }
        rates.push(last(&own.rates) / last(&imfile.rates));
        costs.push(last(&own.costs) / last(&imfile.costs));
    }
    figures.tell("logs_file_vs_imfile", median(&rates), "ratio");
    Figures::note(&described(&rates));
    figures.tell("logs_file_cpu_vs_imfile", median(&costs), "ratio");
    Figures::note(&described(&costs));
    end(machine, agent);
}

/// One piece on one way; what it took is added to the way's.
fn one(machine: &Machine, agent: u32, way: &mut Way, lines: impl FnMut() -> u64) {
    let before = Cpu::now(machine, agent);
    let began = Instant::now();
    way.stage.begin(Piece {
        seed: seed(),
        lines: LINES,
        rate: 0,
        length: LENGTH,
    });
    let Arrived { lines, seconds } = arrival(began, LINES, lines);
    // Cursors and caches are written a second later, and that belongs to it.
    pause(Duration::from_millis(1500));
    let cost = Cpu::now(machine, agent) - before;
    let rate = float(lines) / seconds;
    Figures::note(&format!(
        "{:14} {rate:8.0} lines/s, {} missing, {}",
        way.name,
        LINES.saturating_sub(lines),
        cost.per_line(lines)
    ));
    way.rates.push(rate);
    way.costs.push(cost.all() * 1e6 / float(lines.max(1)));
}

fn way(name: &'static str, stage: Stage) -> Way {
    Way {
        name,
        stage,
        rates: vec![],
        costs: vec![],
    }
}

/// To a server that reads, counts and forgets, with application.log beside it and no local syslog.
fn null(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let server = LineServer::null(Where::Machine(machine));
    let more = destination(&server);
    let (agent, stage) = start_stage(machine, binary, &more, "none");
    let mut way = way("to null, TCP", stage);
    for _ in 0..ROUNDS {
        let before = server.count();
        one(machine, agent.pid(), &mut way, || server.count() - before);
    }
    figures.tell("logs_to_null", median(&way.rates), "lines/s");
    Figures::note(&described(&way.rates));
    end(machine, agent);
}

/// User data that ships the container's lines to this server.
pub(super) fn destination(server: &LineServer) -> String {
    format!(
        "logging: {{applog_destination: rsyslog, rsyslog_host: 127.0.0.1, rsyslog_port: {}}}\n",
        server.address().port()
    )
}

/// A stage that somebody else ships, as the agent would run it otherwise.
fn container(machine: &Machine, driver: &str, image: &str, more: &[&str]) -> String {
    let name = format!("bench-{driver}");
    assert_ne!(name, NAME);
    let mut arguments = vec![
        "run",
        "--detach",
        "--user",
        "999",
        "--name",
        &name,
        "--log-driver",
        driver,
    ];
    arguments.extend(more);
    arguments.push(image);
    machine.docker_ok(&arguments);
    name
}

fn snippet(machine: &Machine, json: &str) -> PathBuf {
    let path = machine.dirs().base.join("imfile.conf");
    let text = format!("module(load=\"imfile\")\ninput(type=\"imfile\" File=\"{json}\" Tag=\"bench:\")\n");
    fs::write(&path, text).expect("bench: a snippet");
    path
}
