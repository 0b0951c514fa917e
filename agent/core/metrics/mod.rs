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
mod machine;
mod notices;
mod process;
mod sinks;
#[cfg(test)]
mod tests;
mod text;

use std::time::Duration;

use crate::record::{Agent, BootRecord};
use text::Exposition;

/// What `Content-Type` says of the text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is told.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    /// The record, redacted.
    pub record: &'a BootRecord,
    /// What the container uses.
    pub container: Option<Usage>,
    /// What the probes did since the agent started.
    pub probes: Option<Probes>,
    /// The agent itself.
    pub process: Option<Process>,
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

/// The text of a scrape.
pub fn render(figures: &Figures<'_>) -> String {
    let mut out = Exposition::default();
    machine::write(&mut out, figures.record, Agent::Running);
    container::write(&mut out, figures.record.container.as_ref(), figures.container);
    container::write_probes(&mut out, figures.record.health.as_ref(), figures.probes);
    sinks::write(&mut out, &figures.record.logs);
    notices::write(&mut out, figures.notices.as_ref());
    if let Some(process) = figures.process {
        process::write(&mut out, &process);
    }
    out.finish()
}
