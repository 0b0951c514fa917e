//! Memory and processor of the agent while it ships, and how both grow with rate, length and number of sinks.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use monopod_testrig::{LineServer, Machine, Piece, Rsyslog, Stage, Where, pause};

use super::cost::{Cpu, cpu, memory};
use super::plot::{Panel, plot};
use super::ways::destination;
use super::{end, float, seed, start_stage};
use crate::Figures;

/// What the aim is for.
const RATE: u64 = 20_000;
const LENGTH: u64 = 200;
const SINKS: usize = 4;

/// Before looking, and while looking.
const SETTLE: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_secs(8);

const RATES: [u64; 5] = [1_000, 5_000, 10_000, 20_000, 40_000];
const LENGTHS: [u64; 4] = [100, 200, 1_000, 4_000];
/// What long lines are tried at: 4,000 bytes of them are 20 MB a second.
const RATE_OF_LENGTHS: u64 = 5_000;

/// One point of the table.
#[derive(Clone, Copy, Debug)]
struct Point {
    sinks: usize,
    rate: u64,
    length: u64,
    /// Megabytes at most.
    rss: f64,
    anonymous: f64,
    /// Percent of a processor.
    agent: f64,
    engine: f64,
    rsyslog: f64,
    /// Whether the writer kept its rate.
    written: f64,
}

pub(super) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let nothing = machine.dirs().base.join("nothing.conf");
    fs::write(&nothing, "").expect("bench: a file");
    let rsyslog = Rsyslog::start(&machine.dirs().base.join("rsyslog"), &nothing);
    let server = LineServer::null(Where::Machine(machine));
    let mut points = Vec::new();
    for sinks in 1..=SINKS {
        let socket = rsyslog.socket().display().to_string();
        let syslog = if sinks > 1 { &socket } else { "none" };
        let (agent, stage) = start_stage(machine, binary, &user_data(sinks, &server), syslog);
        let mut look = |rate, length| {
            let point = point(machine, agent.pid(), &stage, sinks, rate, length);
            Figures::note(&point.row());
            points.push(point);
        };
        look(RATE, LENGTH);
        if sinks == SINKS {
            RATES
                .iter()
                .filter(|rate| **rate != RATE)
                .for_each(|rate| look(*rate, LENGTH));
            LENGTHS.iter().for_each(|length| look(RATE_OF_LENGTHS, *length));
        }
        end(machine, agent);
    }
    let aim = points
        .iter()
        .find(|point| point.sinks == SINKS)
        .expect("bench: it was measured");
    figures.tell("logs_rss_mb", aim.rss, "MiB");
    figures.tell("logs_anon_mb", aim.anonymous, "MiB");
    figures.tell("logs_cpu_percent", aim.agent, "percent");
    show(&points);
}

/// application.log, local syslog, a log server over TCP, CloudWatch Logs.
fn user_data(sinks: usize, server: &LineServer) -> String {
    let mut more = String::new();
    if sinks > 2 {
        more += &destination(server);
    }
    if sinks > 3 {
        more += "cloudwatch_logs: {/var/log/application.log: bench}\n";
    }
    more
}

fn point(machine: &Machine, agent: u32, stage: &Stage, sinks: usize, rate: u64, length: u64) -> Point {
    let seed = seed();
    let all = SETTLE + LOOK + Duration::from_secs(1);
    stage.begin(Piece {
        seed,
        lines: rate * all.as_secs(),
        rate,
        length,
    });
    pause(SETTLE);
    let (before, began) = (Cpu::now(machine, agent), Instant::now());
    let (mut rss, mut anonymous) = (0.0_f64, 0.0_f64);
    while began.elapsed() < LOOK {
        rss = rss.max(memory(agent, "Rss:"));
        anonymous = anonymous.max(memory(agent, "Pss_Anon:"));
        pause(Duration::from_millis(250));
    }
    let (cost, seconds) = (Cpu::now(machine, agent) - before, began.elapsed().as_secs_f64());
    let report = stage.wait(seed, Duration::from_secs(120));
    rest(agent);
    Point {
        sinks,
        rate,
        length,
        rss,
        anonymous,
        agent: 100.0 * cost.agent / seconds,
        engine: 100.0 * cost.engine / seconds,
        rsyslog: 100.0 * cost.rsyslog / seconds,
        written: float(report.lines) / report.seconds,
    }
}

/// Until the agent has nothing to do: what it still ships of one point is no cost of the next.
fn rest(agent: u32) {
    let end = Instant::now() + Duration::from_secs(30);
    let mut before = cpu(agent);
    while Instant::now() < end {
        pause(Duration::from_secs(1));
        let now = cpu(agent);
        if now - before < 0.03 {
            return;
        }
        before = now;
    }
}

impl Point {
    fn row(&self) -> String {
        format!(
            "{:5} {:7} {:7} {:9.0} {:8.1} {:8.1} {:8.1} {:8.1} {:8.1}",
            self.sinks,
            self.rate,
            self.length,
            self.written,
            self.rss,
            self.anonymous,
            self.agent,
            self.engine,
            self.rsyslog
        )
    }
}

/// The table and the plot, for people.
fn show(points: &[Point]) {
    let mut table =
        "sinks  rate/s   bytes written/s  RSS MiB anon MiB  agent %  engine % rsyslog %\n".to_owned();
    for point in points {
        writeln!(table, "{}", point.row()).expect("writing to a string");
    }
    println!("{table}");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let chosen = |which: &dyn Fn(&Point) -> Option<u64>| -> Vec<(f64, f64, f64)> {
        let mut chosen: Vec<_> = points
            .iter()
            .filter_map(|point| Some((float(which(point)?), point.rss, point.agent)))
            .collect();
        chosen.sort_by(|a, b| a.0.total_cmp(&b.0));
        chosen
    };
    let panels = [
        Panel {
            title: format!("lines a second ({LENGTH} bytes, {SINKS} sinks)"),
            points: chosen(&|p| {
                (p.sinks == SINKS && p.length == LENGTH && p.rate != RATE_OF_LENGTHS).then_some(p.rate)
            }),
        },
        Panel {
            title: format!("bytes a line ({RATE_OF_LENGTHS} lines/s, {SINKS} sinks)"),
            points: chosen(&|p| (p.sinks == SINKS && p.rate == RATE_OF_LENGTHS).then_some(p.length)),
        },
        Panel {
            title: format!("sinks ({RATE} lines/s of {LENGTH} bytes)"),
            points: chosen(&|p| (p.rate == RATE && p.length == LENGTH).then_some(p.sinks as u64)),
        },
    ];
    for (name, text) in [("bench-logs.txt", table), ("bench-logs.svg", plot(&panels))] {
        let path = target.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("bench: writing {}: {e}", path.display()));
        Figures::note(&format!("kept in target/{name}"));
    }
}
