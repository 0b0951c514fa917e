//! The machine's figures in Prometheus' text format, version 0.0.4: values in, text out.
//!
//! Design: whoever asks gathers [`Figures`]; a figure that could not be had is `None` and its metric is left out, so a
//! scrape never fails and never shows a made-up zero. Names follow Prometheus' conventions: base units, `_total` for
//! what only grows, `_info` for texts, times in seconds since the epoch.
//!
//! Invariants
//! - Each metric has its HELP and TYPE once, before its samples, and no series comes twice.
//! - A label's value is one of ours or of the user data (names, never contents): nothing that changes all the time.

mod container;
pub mod host;
mod identity;
mod machine;
mod notices;
mod process;
pub mod relay;
pub mod samples;
mod sinks;
#[cfg(test)]
mod tests;
mod text;
pub mod textfile;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::firewall::Denied;
use crate::record::{Agent, BootRecord};
use text::{Exposition, Kind};

/// What `Content-Type` says of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What the user data asks for beside what is always told: `metrics`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsPlan {
    /// Where teams put figures of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub textfile_directory: Option<String>,
    /// Metrics of the application for CloudWatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay: Option<relay::Relay>,
}

/// Everything that is told.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// The record, redacted.
    pub record: &'a BootRecord,
    /// What the container uses.
    pub container: Option<Usage>,
    /// What the probes did since the agent started.
    pub probes: Option<Probes>,
    /// Packets that the firewall refused.
    pub denied: Option<Denied>,
    /// The agent itself.
    pub process: Option<Process>,
    /// The machine itself.
    pub host: Option<&'a host::Texts>,
    /// Files of the machine's teams; `None` where nobody asked for any.
    pub textfiles: Option<&'a textfile::Found>,
    /// What became of metrics that are pushed; `None` where nobody asks.
    pub pushes: Option<Pushes>,
    /// What was told as it happened.
    pub notices: Option<Notices>,
}

/// What was told as it happened, since the agent started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notices {
    /// How many of each of [`What::KINDS`](crate::notice::What::KINDS).
    pub told: [u64; 9],
    /// For the webhook, if there is one.
    pub webhook: Option<Pushed>,
    /// For the event bus, if there is one.
    pub event_bus: Option<Pushed>,
}

/// What became of notices for one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Taken.
    pub delivered: u64,
    /// Not kept for want of room, or refused for good.
    pub dropped: u64,
    /// Waiting on the disk.
    pub waiting: u64,
}

/// What a container uses, as its control group says.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// The most it may have; `None` without a limit.
    pub memory_limit: Option<u64>,
    /// Processor time.
    pub cpu: Option<Duration>,
    /// How often the kernel ended a process in it for its memory limit.
    pub oom_kills: Option<u64>,
    /// Bytes that can't be taken back without ending something: what is used, less files that were not read lately.
    pub working_set: Option<u64>,
    /// Bytes of it that are no file's.
    pub anonymous: Option<u64>,
    /// Bytes of it that are.
    pub file: Option<u64>,
    /// What its limit of processor time did.
    pub throttling: Throttling,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// The most it may have; `None` without a limit.
    pub pids_limit: Option<u64>,
    /// What it read and wrote, of all disks.
    pub io: Io,
    /// How long it waited for processors, memory and disks.
    pub pressure: [host::Pressure; 3],
}

/// What a limit of processor time did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Throttling {
    /// Periods that passed.
    pub periods: Option<u64>,
    /// Those in which it was held back.
    pub throttled: Option<u64>,
    /// For how long altogether.
    pub time: Option<Duration>,
}

/// What went to disks and came from them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes.
    pub read: Option<u64>,
    /// Bytes.
    pub written: Option<u64>,
    /// Operations.
    pub reads: Option<u64>,
    /// Operations.
    pub writes: Option<u64>,
}

/// What the probes did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Probes {
    /// Asked so often.
    pub asked: u64,
    /// Of those without a good answer.
    pub failed: u64,
    /// How long the last one took.
    pub last_seconds: Option<f64>,
}

/// Metrics that were pushed by OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// Taken.
    pub sent: u64,
    /// Not taken, and not sent again.
    pub failed: u64,
}

/// The agent as a process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Bytes of memory.
    pub resident: Option<u64>,
    /// Descriptors that are open.
    pub open_descriptors: Option<u64>,
    /// The most there may be.
    pub max_descriptors: Option<u64>,
    /// When it started, in seconds since the epoch.
    pub started: Option<f64>,
}

/// A scrape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// Its text.
    pub text: String,
    /// What is wrong with files of teams' own, a line each.
    pub complaints: Vec<String>,
}

/// The text of a scrape.
pub fn render(figures: &Figures<'_>) -> String {
    scrape(figures).text
}

/// A scrape, and what was left out of it.
pub fn scrape(figures: &Figures<'_>) -> Scrape {
    let mut out = Exposition::default();
    machine::write(&mut out, figures.record, Agent::Running);
    container::write(&mut out, figures.record.container.as_ref(), figures.container);
    container::write_probes(&mut out, figures.record.health.as_ref(), figures.probes);
    identity::write(&mut out, figures.record.identity.as_ref());
    sinks::write(&mut out, &figures.record.logs);
    if let Some(pushes) = figures.pushes {
        process::write_pushes(&mut out, pushes);
    }
    if let Some(denied) = figures.denied {
        let help = "Packets of the container that the firewall refused, by what refused them.";
        let mut metric = out.metric("monopod_firewall_denied_total", Kind::Counter, help);
        for (kind, packets) in denied.each() {
            metric.sample(&[("kind", kind)], packets);
        }
    }
    notices::write(&mut out, figures.notices.as_ref());
    if let Some(process) = figures.process {
        process::write(&mut out, &process);
    }
    let mut verdicts = figures.host.map(|texts| host::write(&mut out, texts));
    let mut complaints = Vec::new();
    if let Some(found) = figures.textfiles {
        complaints = textfile::write(&mut out, found);
        verdicts
            .get_or_insert_default()
            .push(("textfile", complaints.is_empty()));
    }
    if let Some(verdicts) = &verdicts {
        host::write_verdicts(&mut out, verdicts);
    }
    Scrape {
        text: out.finish(),
        complaints,
    }
}
