//! Every line is delivered, or it is counted: over rotations, with the agent, the far ends and the engine killed at random
//! moments. The seed is in the output; `CONSERVATION_SEED` repeats it.
//!
//! `CONSERVATION_ROTATIONS` (30) and `CONSERVATION_OUTAGE` (15 seconds) make it longer: the figures in the change log are of
//! 1,000 rotations and 600 seconds.

#![expect(clippy::print_stdout, reason = "figures for whoever runs it by hand")]

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use monopod_testrig::{Account, Agent, AwsFault, Machine, Numbered, WriterReport, wait_until};
use serde_json::Value;

use crate::common::*;

/// The budget of all logs, and with it the engine's files: an eighth of half of it each.
const BUDGET: u64 = 8 << 20;
const FILE: u64 = BUDGET / 2 / 8;
/// Bytes of a line in the engine's file: 200 as written, and the JSON around it.
const RECORD: u64 = 200 + 75;
/// Lines a second: the files hold five seconds of them, and an agent is back sooner.
const RATE: u64 = 2_500;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Numbers that repeat with their seed.
struct Chance(u64);

impl Chance {
    fn new(name: &str) -> Self {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        let seed = setting("CONSERVATION_SEED", u64::from(now.subsec_nanos()));
        println!("{name}: CONSERVATION_SEED={seed}");
        Self(seed | 1)
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// Time is what these tests are about, so nothing but time ends this.
fn passes(time: Duration) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        thread::park_timeout(left);
    }
}

/// Reads application.log as it is written, across its rotations, as somebody with `tail -F` would.
struct Tail {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Tail {
    fn new(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut text, mut open) = (Vec::new(), None::<File>);
            loop {
                let last_round = stopped.load(Ordering::SeqCst);
                if let Some(file) = &mut open {
                    file.read_to_end(&mut text).unwrap();
                }
                let inode = |file: &File| file.metadata().unwrap().ino();
                let named = fs::metadata(&path).ok().map(|named| named.ino());
                if named.is_some() && named != open.as_ref().map(inode) {
                    if let Some(file) = &mut open {
                        // It was put aside since it was read.
                        file.read_to_end(&mut text).unwrap();
                    }
                    open = File::open(&path).ok();
                } else if last_round {
                    return text;
                } else {
                    thread::park_timeout(Duration::from_millis(5));
                }
            }
        });
        Self { stop, thread }
    }

    fn lines(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        let text = self.thread.join().unwrap();
        String::from_utf8(text)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// Everything in the bucket, in the order of the objects' names, which is that of their lines.
fn bucket_lines(machine: &Machine, bucket: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for object in machine.aws().objects(bucket, "") {
        let mut text = String::new();
        MultiGzDecoder::new(object.body.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        lines.extend(text.lines().map(str::to_owned));
    }
    lines
}

fn status(machine: &Machine) -> Option<Value> {
    let status = fs::read(machine.dirs().runtime.join("status.json")).ok()?;
    serde_json::from_slice(&status).ok()
}

fn sink(machine: &Machine, name: &str) -> Option<Value> {
    let status = status(machine)?;
    let sinks = status["logs"].as_array()?;
    sinks.iter().find(|sink| sink["name"] == name).cloned()
}

/// Nothing twice, nothing changed, nothing missing; or, where the machine was too busy to start the agent before the files
/// were full, a marker for each place where something is missing.
fn conserved(account: &Account) {
    assert_eq!(
        account.duplicates + account.corrupt + account.out_of_order + account.unaccounted(),
        0
    );
    assert!(
        account.missing.len() <= account.markers.len(),
        "{:?} {:?}",
        account.missing,
        account.markers
    );
}

fn told(what: &str, account: &Account) {
    println!(
        "{what}: delivered {}, duplicates {}, missing {} in {} places, marked {}{} by {} markers, corrupt {}, out of order {}",
        account.delivered,
        account.duplicates,
        account.missing_lines(),
        account.missing.len(),
        if account.marked_exactly() { "" } else { "at least " },
        account.marked(),
        account.markers.len(),
        account.corrupt,
        account.out_of_order,
    );
}

/// A container that writes so many lines, each with a number and a checksum, shipped to application.log and a bucket.
fn writer(machine: &Machine, lines: u64, seed: u64) -> (Agent, String, Tail) {
    let bucket = machine.aws().make_bucket();
    UserData::new(machine, "writer")
        .env(&[
            ("LINES", &lines.to_string()),
            ("RATE", &RATE.to_string()),
            ("SEED", &seed.to_string()),
        ])
        .line(&format!("log_budget: {BUDGET}"))
        .line(&format!(
            "logging: {{applog_destination: s3, s3_bucket: {bucket}, s3_timekey: 1s}}"
        ))
        .serve(machine);
    let tail = Tail::new(machine.dirs().logs.join("application.log"));
    let agent = run_until_ready(machine);
    (agent, bucket, tail)
}

/// Until the writer has written everything and both sinks have what there is.
fn until_shipped(machine: &Machine, agent: &Agent, within: Duration) {
    wait_until(within, || {
        WriterReport::of(machine, CONTAINER).filter(|report| report.done)
    })
    .expect("the writer came to its end");
    // An agent that was started a moment ago has neither a status nor a handler for signals of its own yet.
    wait_until(within, || {
        (status(machine)?["agent_pid"] == agent.pid()).then_some(())
    })
    .expect("the last agent took over");
    let behind = || sink(machine, "s3").and_then(|sink| sink["behind_bytes"].as_u64());
    wait_until(within, || (behind()? == 0).then_some(()))
        .unwrap_or_else(|| panic!("the bucket is behind: {:?}", sink(machine, "s3")));
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(BOOT), 0, "{}", agent.output());
}

/// Rotations with the agent killed and the far end away, at random moments.
#[test]
fn nothing_is_lost_over_rotations_and_kills() {
    let rotations = setting("CONSERVATION_ROTATIONS", 30);
    let lines = rotations * FILE / RECORD;
    let mut chance = Chance::new("rotations and kills");
    let machine = Machine::acquire();
    let (mut agent, bucket, tail) = writer(&machine, lines, 7);
    let (mut kills, mut outages) = (0, 0);
    let end = Instant::now() + Duration::from_millis(lines * 1000 / RATE);
    while Instant::now() < end {
        passes(Duration::from_millis(300 + chance.below(1200)));
        match chance.below(4) {
            0 => {
                machine.aws().line().down();
                machine.aws().line().sever();
                passes(Duration::from_millis(chance.below(800)));
                machine.aws().line().up();
                outages += 1;
            }
            1 => {
                machine.aws().faults(&[AwsFault::lost("PutObject").times(1)]);
                outages += 1;
            }
            _ => {
                agent.kill9();
                agent = run(&machine);
                kills += 1;
            }
        }
    }
    until_shipped(&machine, &agent, BOOT);
    println!(
        "rotations {rotations}, lines {lines}, kills of the agent {kills}, faults of the bucket {outages}"
    );
    let numbered = Numbered::new(7, lines);
    let file = numbered.check(tail.lines());
    told("application.log", &file);
    conserved(&file);
    let objects = numbered.check(bucket_lines(&machine, &bucket));
    told("bucket", &objects);
    conserved(&objects);
}

/// A far end that is away longer than the spool lasts: what is lost is marked, to the line.
#[test]
fn what_an_outage_costs_is_counted_to_the_line() {
    let outage = setting("CONSERVATION_OUTAGE", 15);
    let lines = (outage + 6) * RATE;
    let machine = Machine::acquire();
    let (agent, bucket, tail) = writer(&machine, lines, 8);
    wait_until(SOON, || {
        sink(&machine, "s3").filter(|sink| sink["delivered"].as_u64() > Some(0))
    })
    .expect("the bucket has something");
    machine.aws().line().down();
    machine.aws().line().sever();
    passes(Duration::from_secs(outage));
    machine.aws().line().up();
    until_shipped(&machine, &agent, BOOT);
    let numbered = Numbered::new(8, lines);
    let file = numbered.check(tail.lines());
    told("application.log", &file);
    assert!(
        file.is_perfect(),
        "one slow sink never holds another: {:?}",
        file.markers
    );
    let objects = numbered.check(bucket_lines(&machine, &bucket));
    told("bucket", &objects);
    assert!(objects.missing_lines() > 0, "the outage outlasted the spool");
    assert!(objects.marked_exactly(), "{:?}", objects.markers);
    assert_eq!(objects.marked(), objects.missing_lines());
    assert_eq!(objects.duplicates + objects.corrupt + objects.out_of_order, 0);
}

/// The engine killed under a writer, with live-restore: what it loses nobody can count, and a marker says when.
#[test]
fn what_a_killed_engine_costs_is_marked() {
    let lines = setting("CONSERVATION_ENGINE_LINES", 20_000);
    let mut chance = Chance::new("a killed engine");
    let machine = Machine::acquire();
    let (agent, bucket, tail) = writer(&machine, lines, 9);
    for death in 1..=2 {
        passes(Duration::from_millis(500 + chance.below(1000)));
        machine.kill_engine();
        machine.start_engine();
        agent.wait_for_nth_line("the engine answers again", death, BOOT);
    }
    until_shipped(&machine, &agent, BOOT);
    let numbered = Numbered::new(9, lines);
    for (what, lines) in [
        ("application.log", tail.lines()),
        ("bucket", bucket_lines(&machine, &bucket)),
    ] {
        let account = numbered.check(lines);
        told(what, &account);
        assert!(
            !account.markers.is_empty(),
            "a marker for each death of the engine"
        );
        assert_eq!(
            account.unaccounted() + account.duplicates + account.out_of_order,
            0
        );
    }
    let report = WriterReport::of(&machine, CONTAINER);
    println!("the writer: {report:?}");
}
