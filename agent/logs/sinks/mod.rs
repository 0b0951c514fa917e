//! Where lines go. One folder a sink, each with the same files: `mod.rs` the sink itself, `encode.rs` a line in its
//! format, `transport.rs` the way out, `tests.rs` the whole of it against the real thing.
//!
//! A sink never fails: it retries until the line is out, and says so in its figures. Its task reads no further
//! meanwhile, so the lines wait in the spool and not in memory.

pub(crate) mod application_log;
pub(crate) mod syslog;

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use monopod_core::logs::Batch;

use super::error::{Retry, io_retry};
use super::status::{Figures, Guarantee};
use crate::host::clock::now_seconds;

/// Whether the lines read after a restart are those after the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Exactly those: what the sink holds after its mark will come again.
    Exact,
    /// Other ones: nothing the sink holds may be given up.
    Different,
}

/// What a task needs of its sink.
pub(crate) trait Sink: Send + 'static {
    /// In status and in the cursor file's name.
    const NAME: &'static str;
    /// What it means that a line was delivered.
    const GUARANTEE: Guarantee;

    /// Called once before the first line, with what `commit` gave to the cursor last.
    fn restore(&mut self, mark: Option<serde_json::Value>, replay: Replay);

    /// Whether this batch changes something that the cursor must not lag behind.
    fn wants_commit(&self, batch: &Batch) -> bool;

    /// Hands the lines over, however long that takes. When dropped halfway, some of them may be delivered, and
    /// only `commit` may be called after it.
    fn deliver(&mut self, batch: &Batch) -> impl Future<Output = ()> + Send;

    /// Makes what was delivered durable and says how to find it again.
    fn commit(&mut self) -> impl Future<Output = std::io::Result<Option<serde_json::Value>>> + Send;
}

/// 0.1 s, doubling to 5 s, for ever: the spool bounds the outage, not a count. No jitter: nothing here is shared
/// between machines.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(5);

    pub(crate) fn new() -> Self {
        Self(Self::FIRST)
    }

    pub(crate) fn next(&mut self) -> Duration {
        let now = self.0;
        self.0 = now.saturating_mul(2).min(Self::MOST);
        now
    }
}

/// Puts a failure into the figures, and into the log when it's a new one.
pub(crate) fn failed(figures: &Figures, sink: &'static str, target: &dyn Display, error: &std::io::Error) {
    if !figures.failed(&error.to_string(), now_seconds()) {
        return;
    }
    match io_retry(error) {
        Retry::Transient => {
            tracing::warn!(sink, %target, %error, "Log lines can't be delivered, trying again while the spool lasts");
        }
        Retry::Permanent => {
            tracing::error!(
                sink, %target, %error,
                "Log lines can't be delivered until somebody changes it, trying again while the spool lasts"
            );
        }
    }
}

/// Puts a success into the figures, and into the log when it ends an outage.
pub(crate) fn recovered(figures: &Figures, sink: &'static str) {
    if figures.recovered() {
        tracing::info!(sink, "Log lines are delivered again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backs_off_to_five_seconds() {
        let mut backoff = Backoff::new();
        let waits: Vec<u128> = (0..8).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    }
}
