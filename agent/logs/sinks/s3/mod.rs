//! S3: lines gathered to gzip objects, named after the place of their first line.
//!
//! ```text
//!            take                 due                      plan          send       settle
//!   none ──────────► gathering ───────────► gathering ───────────► named ──────► none
//!                        ▲  │ take              5 min, 8 MiB, drain   │  ▲ │ failed
//!                        └──┘                                         ▼  └─┘
//!                                            cursor: name and end on disk, before the first byte leaves
//! ```
//!
//! Invariants:
//! - A name and where its lines end are on disk before the object is put. After a kill the same lines get the same name,
//!   so what was put already is put over itself: an answer that was lost makes no duplicates.
//! - No name is used for lines that are not those it was used for: when the planned ones can't be read any more, the
//!   next object's name says so.
//! - What is not acknowledged is in the spool, all of it. So an object ends before it covers more of the spool than
//!   the spool can be expected to hold.
//! - Lines are compressed as they come and never kept.
//!
//! Deliberately absent: multipart uploads (an object has 8 MiB), following a bucket to its region (the user data should
//! say where logs go), asking the bucket anything.

mod encode;
mod name;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use monopod_core::logs::{Attributes, Batch, Gap, S3Target, Span, Stream, StreamName};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use self::encode::{Format, Gzip};
use self::name::Names;
use self::transport::Transport;
use super::{Due, Replay, SendError, Sink};
use crate::host::s3::Clients;
use crate::logs::status::Guarantee;

/// An object is not much larger.
const COMPRESSED_MOST: u64 = 8 * 1024 * 1024;
/// Nor does it cover more of the spool, however well it compresses.
const RAW_MOST: u64 = 64 * 1024 * 1024;
/// The smallest spool has a part of this size to spare.
const RAW_LEAST: u64 = 256 * 1024;
/// One object may cover so much of everything that logs may occupy, for the spool is half of that or less.
const PART_OF_BUDGET: u64 = 16;
/// What the engine writes around a line.
const AROUND_LINE: u64 = 80;

/// When an object ends, whatever its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Its bytes.
    pub(crate) compressed: u64,
    /// Bytes of the spool that it covers.
    pub(crate) raw: u64,
}

impl Limits {
    /// Where logs may occupy so many bytes in all.
    pub(crate) fn within(budget: u64) -> Self {
        let raw = match budget {
            // A plan of an agent before this one.
            0 => RAW_MOST,
            budget => (budget / PART_OF_BUDGET).clamp(RAW_LEAST, RAW_MOST),
        };
        Self {
            compressed: COMPRESSED_MOST,
            raw,
        }
    }
}

/// The sink.
#[derive(Debug)]
pub(crate) struct S3 {
    stream: StreamName,
    names: Names,
    format: Format,
    transport: Transport,
    timekey: Duration,
    limits: Limits,
    parcel: Option<Parcel>,
    /// The object that was about to be put before a kill.
    again: Option<Plan>,
    /// What names bear until something is delivered.
    take: u32,
    scratch: String,
}

/// An object on its way.
#[derive(Debug)]
struct Parcel {
    object: Object,
    opened: Instant,
    /// The time of the first line.
    first: String,
    /// Bytes of the spool that it covers, about.
    raw: u64,
    /// It has lines of a log, and not only our own words about it.
    has_lines: bool,
    plan: Option<Plan>,
}

#[derive(Debug)]
enum Object {
    Open(Gzip),
    Closed(Bytes),
}

/// What the cursor keeps of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Plan {
    key: String,
    /// How often before this the lines of a name were not there any more.
    #[serde(default)]
    take: u32,
}

impl S3 {
    /// `file` is the name of the file, for a stream of several.
    pub(crate) fn new(
        target: &S3Target,
        stream: StreamName,
        file: Option<&str>,
        attributes: &Attributes,
        clients: Clients,
        limits: Limits,
    ) -> Self {
        Self {
            stream,
            names: Names::new(stream, file, attributes),
            format: if target.raw {
                Format::Raw
            } else {
                Format::json(stream, attributes)
            },
            transport: Transport::new(target, attributes, clients),
            timekey: Duration::from_secs(target.timekey_seconds.into()),
            limits,
            parcel: None,
            again: None,
            take: 0,
            scratch: String::new(),
        }
    }

    fn is_full(&self, parcel: &Parcel) -> bool {
        let Object::Open(gzip) = &parcel.object else {
            return true;
        };
        // What was planned before a kill is made again as it was: it may have been a batch larger than a limit.
        let slack = if self.again.is_some() { 2 } else { 1 };
        gzip.len() >= self.limits.compressed * slack || parcel.raw >= self.limits.raw * slack
    }
}

impl Parcel {
    fn new(first: &str) -> Self {
        Self {
            object: Object::Open(Gzip::new()),
            opened: Instant::now(),
            first: first.to_owned(),
            raw: 0,
            has_lines: false,
            plan: None,
        }
    }

    fn add(&mut self, format: &Format, batch: &Batch, scratch: &mut String) {
        if let Object::Closed(bytes) = &mut self.object {
            // Nobody adds to what was about to leave. If so: a gzip file may have many members.
            self.object = Object::Open(Gzip::behind(std::mem::take(bytes).into()));
        }
        if let Object::Open(gzip) = &mut self.object {
            gzip.add(format, batch, scratch);
        }
    }

    /// All of it, as it will be put.
    fn close(&mut self) -> Bytes {
        let bytes = match std::mem::replace(&mut self.object, Object::Closed(Bytes::new())) {
            Object::Open(gzip) => gzip.finish().into(),
            Object::Closed(bytes) => bytes,
        };
        self.object = Object::Closed(bytes.clone());
        bytes
    }
}

impl Sink for S3 {
    const NAME: &'static str = "s3";
    const GUARANTEE: Guarantee = Guarantee::Acknowledged;
    // Raw, an event is its lines again.
    const EVENTS: bool = true;
    const SAVES_EACH: bool = true;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn replan(&mut self, plan: serde_json::Value) {
        self.again = serde_json::from_value(plan).ok();
        self.take = self.again.as_ref().map_or(0, |plan| plan.take);
    }

    fn give_up_plan(&mut self, plan: serde_json::Value) {
        let plan = serde_json::from_value::<Plan>(plan).ok();
        self.take = plan.map_or(0, |plan| plan.take) + 1;
    }

    fn learn(&mut self, attributes: &Attributes) {
        // An object's name stays what it is: a kill between two of them must find it again.
        if let Format::Json { .. } = self.format {
            self.format = Format::json(self.stream, attributes);
        }
    }

    fn take(&mut self, batch: &mut Batch) {
        let Some(first) = batch.lines().next() else { return };
        let parcel = self.parcel.get_or_insert_with(|| Parcel::new(first.time));
        for line in batch.lines() {
            parcel.raw += line.text.len() as u64 + AROUND_LINE;
            parcel.has_lines |= line.stream != Stream::Monopod;
        }
        parcel.add(&self.format, batch, &mut self.scratch);
        batch.clear();
    }

    fn due(&self) -> Due {
        match &self.parcel {
            None => Due::Nothing,
            Some(parcel) if self.is_full(parcel) => Due::Now,
            Some(parcel) => Due::At(parcel.opened + self.timekey),
        }
    }

    fn plan(&mut self, start: Option<&Span>) -> Option<serde_json::Value> {
        let parcel = self.parcel.as_mut()?;
        if parcel.plan.is_none() {
            let body = parcel.close();
            let place = start.filter(|_| parcel.has_lines);
            // Our own words are put when they have to be, also before what was planned.
            let again = self.again.take_if(|_| parcel.has_lines);
            parcel.plan = again.or_else(|| {
                let (key, take) = match place {
                    Some(start) => (self.names.of_place(&parcel.first, start, self.take), self.take),
                    None => (self.names.of_content(&parcel.first, &body), 0),
                };
                Some(Plan { key, take })
            });
        }
        serde_json::to_value(parcel.plan.as_ref()?).ok()
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        if self.parcel.as_ref().is_some_and(|parcel| parcel.plan.is_none()) {
            // Whoever sends plans before; a name that nobody remembers is still better than none.
            self.plan(None);
        }
        let Some(parcel) = &mut self.parcel else {
            return Ok(Vec::new());
        };
        let body = parcel.close();
        if let Some(plan) = &parcel.plan {
            self.transport.put(&plan.key, &body).await?;
        }
        if parcel.has_lines {
            self.take = 0;
        }
        self.parcel = None;
        self.scratch = String::new();
        Ok(Vec::new())
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
