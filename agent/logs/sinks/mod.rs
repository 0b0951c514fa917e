//! Where lines go. One folder a sink, each with the same files: `mod.rs` the sink itself, `encode.rs` a line in its
//! format, `transport.rs` the way out, `tests.rs` the whole of it against the real thing.
//!
//! A sink gathers lines into a parcel and hands it over when it is due; whoever drives it ([`super::pump`]) knows when
//! to try again, what to tell and when the cursor may move. So a sink has no loop, no clock beyond its parcel's age, and
//! no opinion about outages: it makes one attempt and says what came of it. While it can't deliver nothing more is read,
//! and the lines wait in the spool and not in memory.

pub(crate) mod application_log;
pub(crate) mod cloudwatch;
mod datagrams;
mod http;
pub(crate) mod logentries;
pub(crate) mod otlp;
pub(crate) mod rsyslog;
pub(crate) mod s3;
pub(crate) mod scalyr;
pub(crate) mod syslog;

use std::future::Future;

use monopod_core::logs::{Attributes, Batch, Gap, Span};
use tokio::time::Instant;

use super::error::{Retry, io_retry};
use super::status::Guarantee;
use crate::host::Class;

/// Whether the lines read after a restart are those after the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// Exactly those: what the sink holds after its mark will come again.
    Exact,
    /// Other ones: nothing the sink holds may be given up.
    Different,
}

/// When a parcel leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// There is none.
    Nothing,
    /// It is as large as it should be, or the sink doesn't gather.
    Now,
    /// At this moment, unless it grows full before.
    At(Instant),
}

/// Why an attempt failed.
#[derive(Debug)]
pub(crate) struct SendError {
    /// Whether trying again can help: it is tried again all the same, but not as often.
    pub(crate) class: Class,
    /// What was tried, on what, why it failed, what to do.
    pub(crate) text: String,
}

impl SendError {
    /// A local file or socket.
    pub(crate) fn io(what: impl std::fmt::Display, error: &std::io::Error) -> Self {
        let class = match io_retry(error) {
            Retry::Transient => Class::Transient,
            Retry::Permanent => Class::Permanent,
        };
        let text = format!("{what}: {error}");
        Self { class, text }
    }
}

/// What a pump needs of its sink.
pub(crate) trait Sink: Send + 'static {
    /// In status and in the cursor file's name.
    const NAME: &'static str;
    /// What it means that a line was delivered.
    const GUARANTEE: Guarantee;
    /// It takes events with fields: lines that belong together come as one.
    const EVENTS: bool;
    /// The cursor is saved after every parcel, not once a second: what a parcel costs twice is more than a sync.
    const SAVES_EACH: bool;

    /// Called once before the first line, with what [`commit`](Self::commit) gave to the cursor last.
    fn restore(&mut self, mark: Option<serde_json::Value>, replay: Replay);

    /// Called after [`restore`](Self::restore) if a kill came between the plan of a parcel and its acknowledgement: the
    /// lines that come up to the end of the plan are that parcel again.
    fn replan(&mut self, _plan: serde_json::Value) {}

    /// Called instead if those lines can't be read again: what may have been delivered under that plan is all there is
    /// of some of them.
    fn give_up_plan(&mut self, _plan: serde_json::Value) {}

    /// Called before [`take`](Self::take) with the container whose lines come, or `None` for a file's. A parcel never
    /// holds those of two.
    fn reads_from(&mut self, _container: Option<&str>) {}

    /// More is known about who the lines are from: for those that come from now on, where the sink has fields for it.
    fn learn(&mut self, _attributes: &Attributes) {}

    /// Puts the lines into the parcel and leaves the batch empty. Never waits, never fails.
    fn take(&mut self, batch: &mut Batch);

    /// When the parcel has to leave.
    fn due(&self) -> Due;

    /// Whether this parcel changes something that the cursor must not lag behind.
    fn wants_commit(&self) -> bool {
        false
    }

    /// What has to be on disk before the parcel leaves, so that a retry after a kill makes the same one. `start` is the
    /// first piece of a file in it; there is none when it holds nothing but our own words.
    fn plan(&mut self, _start: Option<&Span>) -> Option<serde_json::Value> {
        None
    }

    /// Makes one attempt to hand the parcel over, and goes on where a failed one stopped. `Ok` means that the far end
    /// has all of it but what is in the gaps: lines that it will never take, of a kind that trying again can't mend.
    /// When dropped halfway, some lines may be delivered, and only `commit` may be called after it.
    fn send(&mut self) -> impl Future<Output = Result<Vec<Gap>, SendError>> + Send;

    /// The far end has asked to be left alone until then; whoever tries again waits at least for that.
    fn not_before(&self) -> Option<Instant> {
        None
    }

    /// Makes what was sent durable and says how to find it again.
    fn commit(&mut self) -> impl Future<Output = std::io::Result<Option<serde_json::Value>>> + Send;
}
