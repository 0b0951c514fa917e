//! Writes numbered lines with checksums to its standard output or error, and measures how long each write takes.
//!
//! ```text
//! writer [--lines N] [--rate R] [--burst N] [--length BYTES] [--pattern numbered|json|stacktrace]
//!        [--stream stdout|stderr|both] [--seed S] [--report PATH]
//! ```
//!
//! Each may be given as a variable instead: LINES, RATE, and so on. LINES (1000) of 0 means until it is killed, RATE (0)
//! is lines a second and 0 means as fast as it can, BURST (1) is how many of them come together. LENGTH (200) is that of
//! a line without its newline; one that is too small for number and checksum gives lines as short as can be. `both`
//! writes each line twice, to standard error with the next seed. Every line is one write(2), a newline its last byte.
//!
//! PATH is written anew every second and at the end: lines, bytes, seconds, and of the time of a write in microseconds
//! p50, p99, p99.9 and the longest, `over_10ms` (how many took longer), and `blocked_us` (how long the write under way
//! has been at it). A steady writer that was held up catches up: it writes what is overdue at once.

#[expect(dead_code, reason = "the rig, which checks, uses the other half")]
mod frame;

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be what is broken.
            drop(writeln!(io::stderr(), "writer: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let settings = Settings::read()?;
    let (out, err) = (io::stdout(), io::stderr());
    let file = |fd: io::Result<std::os::fd::OwnedFd>| fd.map(File::from).map_err(|e| e.to_string());
    let mut targets = Vec::new();
    if settings.stream != "stderr" {
        targets.push((file(out.as_fd().try_clone_to_owned())?, settings.seed));
    }
    if settings.stream != "stdout" {
        let seed = settings.seed + u64::from(settings.stream == "both");
        targets.push((file(err.as_fd().try_clone_to_owned())?, seed));
    }
    let shared = Arc::new(Shared::new());
    if let Some(path) = settings.report.clone() {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            loop {
                thread::park_timeout(Duration::from_secs(1));
                // A full disk is no reason to end: the next one may be written.
                drop(shared.report(&path, false));
            }
        });
    }
    let written = write_all(&settings, &mut targets, &shared);
    if let Some(path) = &settings.report {
        shared
            .report(path, written.is_ok())
            .map_err(|e| format!("writing {path}: {e}"))?;
    }
    written.map_err(|e| format!("writing a line: {e}"))
}

fn write_all(settings: &Settings, targets: &mut [(File, u64)], shared: &Shared) -> io::Result<()> {
    let mut line = Vec::with_capacity(settings.length + 256);
    let mut sequence = 0;
    while settings.lines == 0 || sequence < settings.lines {
        wait_for_turn(settings, shared.began, sequence);
        for (target, seed) in &mut *targets {
            line.clear();
            settings.line(&mut line, *seed, sequence);
            let began = Instant::now();
            shared.start(began);
            target.write_all(&line)?;
            shared.record(began, line.len());
        }
        sequence += 1;
    }
    Ok(())
}

fn wait_for_turn(settings: &Settings, began: Instant, sequence: u64) {
    if settings.rate == 0 {
        return;
    }
    let burst = sequence / settings.burst * settings.burst;
    let due = began + Duration::from_secs_f64(burst as f64 / settings.rate as f64);
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

struct Settings {
    lines: u64,
    rate: u64,
    burst: u64,
    length: usize,
    pattern: String,
    stream: String,
    seed: u64,
    report: Option<String>,
}

impl Settings {
    fn read() -> Result<Self, String> {
        let one_of = |name: &str, allowed: &[&str]| {
            let value = setting(name).unwrap_or_else(|| allowed[0].to_owned());
            if allowed.contains(&value.as_str()) {
                Ok(value)
            } else {
                Err(format!("--{name} {value}: it is one of {allowed:?}"))
            }
        };
        let known = [
            "lines", "rate", "burst", "length", "pattern", "stream", "seed", "report",
        ];
        for flag in std::env::args().skip(1).step_by(2) {
            if !known.iter().any(|name| flag == format!("--{name}")) {
                return Err(format!("{flag}: there is --{}", known.join(", --")));
            }
        }
        Ok(Self {
            lines: number("lines", 1000)?,
            rate: number("rate", 0)?,
            burst: number("burst", 1)?.max(1),
            length: usize::try_from(number("length", 200)?).map_err(|e| e.to_string())?,
            pattern: one_of("pattern", &["numbered", "json", "stacktrace"])?,
            stream: one_of("stream", &["stdout", "stderr", "both"])?,
            seed: number("seed", 1)?,
            report: setting("report"),
        })
    }

    /// A line with its newline.
    fn line(&self, out: &mut Vec<u8>, seed: u64, sequence: u64) {
        let (head, tail) = match self.pattern.as_str() {
            "json" => (
                format!("{{\"level\":\"info\",\"seq\":{sequence},\"message\":\""),
                "\"}",
            ),
            // Eight lines an event, as Java prints an exception with its cause.
            "stacktrace" => match sequence % 8 {
                0 => ("2026-11-21 04:00:00,000 ERROR org.example.Main ".to_owned(), ""),
                5 => ("Caused by: java.io.IOException: ".to_owned(), ""),
                _ => ("\tat org.example.Step.run(Step.java:42) ".to_owned(), ""),
            },
            _ => (String::new(), ""),
        };
        let fixed = head.len() + tail.len() + frame::overhead(seed);
        out.extend_from_slice(head.as_bytes());
        frame::write(out, seed, sequence, self.length.saturating_sub(fixed));
        out.extend_from_slice(tail.as_bytes());
        out.push(b'\n');
    }
}

fn setting(name: &str) -> Option<String> {
    let flag = format!("--{name}");
    let value = std::env::args().skip_while(|arg| *arg != flag).nth(1);
    value
        .or_else(|| std::env::var(name.to_uppercase()).ok())
        .filter(|value| !value.is_empty())
}

fn number(name: &str, default: u64) -> Result<u64, String> {
    setting(name).map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| format!("--{name} {text}: that is no number"))
    })
}

/// What the writing thread tells the reporting one.
struct Shared {
    began: Instant,
    /// When the write under way began, in nanoseconds after `began`, plus one; 0 when there is none.
    under_way: AtomicU64,
    counts: Mutex<Counts>,
}

struct Counts {
    writes: u64,
    bytes: u64,
    longest: u64,
    over_10ms: u64,
    /// Writes by their nanoseconds: 32 steps to a doubling, so a figure is at most 3 % too high.
    buckets: Vec<u64>,
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Shared {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            under_way: AtomicU64::new(0),
            counts: Mutex::new(Counts {
                writes: 0,
                bytes: 0,
                longest: 0,
                over_10ms: 0,
                buckets: vec![0; 64 * 32],
            }),
        }
    }

    fn start(&self, at: Instant) {
        self.under_way
            .store(nanos(at.duration_since(self.began)) + 1, Ordering::Relaxed);
    }

    fn record(&self, began: Instant, bytes: usize) {
        let took = nanos(began.elapsed());
        self.under_way.store(0, Ordering::Relaxed);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.writes += 1;
        counts.bytes += bytes as u64;
        counts.longest = counts.longest.max(took);
        counts.over_10ms += u64::from(took > 10_000_000);
        counts.buckets[bucket(took)] += 1;
    }

    fn report(&self, path: &str, done: bool) -> io::Result<()> {
        let now = nanos(self.began.elapsed());
        let blocked = match self.under_way.load(Ordering::Relaxed) {
            0 => 0,
            since => now.saturating_sub(since - 1),
        };
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let micro = |nanos: u64| nanos as f64 / 1000.0;
        let at = |share: f64| micro(counts.quantile(share));
        let text = format!(
            "{{\"lines\":{},\"bytes\":{},\"seconds\":{:.3},\"p50_us\":{:.1},\"p99_us\":{:.1},\"p999_us\":{:.1},\
             \"max_us\":{:.1},\"over_10ms\":{},\"blocked_us\":{:.1},\"done\":{done}}}\n",
            counts.writes,
            counts.bytes,
            now as f64 / 1e9,
            at(0.5),
            at(0.99),
            at(0.999),
            micro(counts.longest),
            counts.over_10ms,
            micro(blocked),
        );
        drop(counts);
        // Whoever reads it finds all of it.
        let new = format!("{path}.new");
        fs::write(&new, text)?;
        fs::rename(new, path)
    }
}

impl Counts {
    fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.writes as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return upper_bound(index).min(self.longest);
            }
        }
        self.longest
    }
}

fn bucket(nanos: u64) -> usize {
    let octave = nanos.checked_ilog2().unwrap_or(0);
    if octave < 5 {
        return nanos as usize;
    }
    let step = (nanos >> (octave - 5)) & 31;
    ((octave - 4) as usize) * 32 + step as usize
}

fn upper_bound(index: usize) -> u64 {
    if index < 32 {
        return index as u64;
    }
    let (octave, step) = ((index / 32 + 4) as u32, (index % 32) as u64);
    (33 + step) << (octave - 5)
}
