//! One sink's task: reads, hands over, saves the cursor.
//!
//! ```text
//!            ┌────────── commands, changes ──────────┐
//!            ▼                                       ▼
//!   survey ─► markers of gaps ─► fill ─► redact ─► treat ─► take ─► due? ─► send ─► settle
//!                                                                    │
//!                at end: drains, next source, wait ◄─────────────────┘   once a second, or after
//!                                                                        each parcel: commit
//! ```
//!
//! Invariants:
//! - The cursor's place is behind lines that the sink has, never behind ones that were only read or gathered.
//! - The cursor file is written after the sink has made its part durable.
//! - Lines that wait for the rest of a secret are read and not settled: a kill meanwhile reads them again.
//! - While the sink can't deliver, commands are still taken and rotation is still followed.

use std::sync::Arc;
use std::time::Duration;

use monopod_core::logs::{Attributes, Batch, Patience, Pending, Redacted, Stream, Treater};
use monopod_core::retry::Backoff;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::cursor_file::CursorFile;
use super::desk::{Command, Desk};
use super::files::Trust;
use super::lock::Lock;
use super::redaction::Filter;
use super::sinks::{Due, Replay, Sink};
use super::status::Figures;
use super::watcher::Changes;
use crate::host::Class;
use crate::host::clock::{chance, now_seconds};

/// At most this much is delivered twice by a sink that can't tell, and at most this often a disk is synced.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// After a look or a read that failed: 1, 2, 4 ... 60 s.
const RETRY_READ: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
};
/// Lines that may be the beginning of a secret wait this long for its rest, and up to so many bytes.
const HOLD: Duration = Duration::from_secs(1);
const HOLD_MOST: usize = 1024 * 1024;
/// An event of many lines is over when nothing has come for this long.
const EVENT_OVER: Duration = Duration::from_secs(1);

/// For ever: the spool bounds an outage, not a count. 0.1, 0.2, 0.4 ... 10 s, each between half and all of it.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(10),
};
/// What a limit that others share makes of it: 1, 2, 4 ... 30 s.
const THROTTLED: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(30),
};
/// After a no: somebody has to change something first. 5, 10, 20 ... 60 s.
const REFUSED: Backoff = Backoff {
    first: Duration::from_secs(5),
    max: Duration::from_secs(60),
};

/// What every pump is made of, whatever its sink.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) cursor_file: CursorFile,
    pub(crate) figures: Figures,
    pub(crate) filter: Filter,
    pub(crate) treater: Treater,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) changes: watch::Receiver<Changes>,
    pub(crate) lock: Arc<Lock>,
    pub(crate) trust: Trust,
    /// Who lines are from, when more of that is known.
    pub(crate) attributes: watch::Receiver<Attributes>,
}

/// A sink with all that feeds it.
#[derive(Debug)]
pub(crate) struct Pump<S> {
    sink: S,
    attributes: watch::Receiver<Attributes>,
    desk: Desk,
    batch: Batch,
    filter: Filter,
    treater: Treater,
    /// The lines read wait for more, since then.
    held: Option<Instant>,
    /// The last event may go on, until then.
    event_over: Option<Instant>,
    /// What the parcel holds and nobody has counted.
    parcel: Parcel,
    /// The lines read reach to where a planned parcel ends.
    planned_end: bool,
    restored: bool,
    /// The cursor file says where the sink stood before the first line of this run.
    anchored: bool,
    /// When the cursor file has to be written; none while it's up to date.
    commit_at: Option<Instant>,
    /// An attempt was given up halfway: the sink may only be asked to commit.
    given_up: bool,
    /// The parcel holds markers that are not told until it is sent.
    telling: bool,
}

/// What went into the sink's parcel.
#[derive(Debug, Default)]
struct Parcel {
    lines: u64,
    bytes: u64,
    last_time: Option<String>,
}

impl<S: Sink> Pump<S> {
    pub(crate) fn new(sink: S, parts: Parts) -> std::io::Result<Self> {
        let Parts {
            cursor_file,
            figures,
            filter,
            mut treater,
            commands,
            changes,
            lock,
            trust,
            attributes,
        } = parts;
        let mut desk = Desk::new(S::NAME, cursor_file, figures, commands, changes, lock)?;
        desk.trust = trust;
        treater.resume(desk.pending());
        // What an event began with before a restart doesn't wait for another line either.
        let event_over = (!treater.pending().is_empty()).then(|| Instant::now() + EVENT_OVER);
        Ok(Self {
            sink,
            attributes,
            desk,
            batch: Batch::default(),
            filter,
            treater,
            held: None,
            event_over,
            parcel: Parcel::default(),
            planned_end: false,
            restored: false,
            anchored: false,
            commit_at: None,
            given_up: false,
            telling: false,
        })
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self) {
        loop {
            self.step().await;
            if self.commit_at.is_some_and(|at| at <= Instant::now()) {
                self.commit().await;
            }
            if self.desk.stopping().is_some() {
                // What was gathered leaves if there is time; else it is read again by the next start.
                if !self.given_up && self.send().await {
                    self.told();
                }
                if self.restored && self.desk.has_gaps() {
                    // Nothing else may have changed since the cursor was saved.
                    self.commit_soon();
                }
                self.commit().await;
                return;
            }
        }
    }

    async fn step(&mut self) {
        if !self.desk.has_orders() {
            // There is nothing that could be brought out.
            self.desk.answer_drains(usize::MAX);
            return self.wait(None).await;
        }
        self.desk.survey_if_due().await;
        self.restore();
        if self.desk.trouble {
            let again = RETRY_READ.delay(self.desk.troubles, chance());
            return self.wait(Some(Instant::now() + again)).await;
        }
        if self.restored && self.desk.has_gaps() && self.held.is_none() {
            return self.tell_gaps().await;
        }
        let drains = self.desk.drains();
        let filled = self.desk.fill(&mut self.batch).await;
        // Kept, for what follows may have to wait.
        self.planned_end |= filled.planned_end;
        if self.desk.trouble {
            // The next look may succeed where this reading failed: it must not go round without a pause.
            return self
                .wait(Some(Instant::now() + RETRY_READ.delay(1, chance())))
                .await;
        }
        if !self.batch.is_empty() && self.holds().await {
            if filled.at_end {
                let end = self.held.map(|since| since + HOLD);
                self.wait(end).await;
            }
            return;
        }
        let moved = filled.moved || self.held.take().is_some();
        let planned_end = std::mem::take(&mut self.planned_end);
        if moved {
            self.take(planned_end);
        }
        if self.parcel_is_due() || planned_end {
            let leaves = self.sink.due() != Due::Nothing;
            if !self.send().await || leaves {
                // What was written while the parcel left was noted and is not read: this was not the end.
                return;
            }
        }
        if filled.at_end && !self.desk.has_gaps() && !self.desk.survey_due() {
            self.at_end(drains).await;
        }
    }

    fn restore(&mut self) {
        let Some(replay) = self.desk.first_look.filter(|_| !self.restored) else {
            return;
        };
        self.sink.restore(self.desk.cursor.sink.clone(), replay);
        match self.desk.replan(replay) {
            Some((plan, Replay::Exact)) => self.sink.replan(plan),
            Some((plan, Replay::Different)) => self.sink.give_up_plan(plan),
            None => {}
        }
        self.restored = true;
    }

    /// Takes secrets out of the lines read; true if they had better wait for those behind them.
    async fn holds(&mut self) -> bool {
        // A gap is told between the lines before and behind it: what comes is not the rest.
        let in_time = self.held.is_none_or(|since| since + HOLD > Instant::now());
        let may_wait = in_time
            && self.batch.bytes() <= HOLD_MOST
            && !self.desk.has_gaps()
            && self.desk.stopping().is_none();
        let patience = if may_wait { Patience::Some } else { Patience::None };
        let waits = self.filter.apply(&mut self.batch, patience).await == Redacted::Waits;
        if waits {
            self.held.get_or_insert_with(Instant::now);
        }
        waits
    }

    /// Puts what was read into the parcel, treated as the user data says.
    fn take(&mut self, flush: bool) {
        let before = self.pending_lines();
        self.parcel.lines += own_lines(&self.batch) + before;
        if !self.treater.is_idle() {
            let treated = self.treater.treat(&mut self.batch);
            self.desk.count(&treated);
            if flush {
                let rest = self.treater.flush(&mut self.batch);
                self.desk.count(&rest);
            }
            let open = !self.treater.pending().is_empty();
            self.event_over = open.then(|| Instant::now() + EVENT_OVER);
        }
        self.parcel.lines -= self.pending_lines().min(self.parcel.lines);
        self.put();
    }

    /// Lines of events that have not ended: they count when those do.
    fn pending_lines(&self) -> u64 {
        self.treater.pending().iter().map(Pending::lines).sum()
    }

    /// The batch goes into the parcel, and the parcel reaches to where the reader is.
    fn put(&mut self) {
        for line in self.batch.lines().filter(|line| line.stream != Stream::Monopod) {
            self.parcel.bytes += line.text.len() as u64;
        }
        if let Some(last) = self.batch.last() {
            self.parcel.last_time = Some(last.time.to_owned());
        }
        if !self.batch.is_empty() {
            if self.attributes.has_changed().unwrap_or_default() {
                self.sink.learn(&self.attributes.borrow_and_update());
            }
            self.sink.take(&mut self.batch);
            self.batch.clear();
        }
        self.desk.taken(self.treater.pending());
    }

    /// An event that nobody goes on with is over.
    fn end_event(&mut self) {
        self.event_over = None;
        self.parcel.lines += self.pending_lines();
        let treated = self.treater.flush(&mut self.batch);
        self.desk.count(&treated);
        self.put();
        if self.sink.due() == Due::Nothing {
            // All of it was left out.
            self.settle();
        }
    }

    fn parcel_is_due(&self) -> bool {
        match self.sink.due() {
            // Everything that was read was left out: that is progress too.
            Due::Nothing => true,
            Due::Now => true,
            Due::At(at) => at <= Instant::now(),
        }
    }

    /// Hands the parcel over, however long that takes, and moves the cursor. False when stopped halfway.
    async fn send(&mut self) -> bool {
        if self.sink.due() == Due::Nothing {
            self.settle();
            return true;
        }
        if !self.anchored {
            // Or a kill before the first commit would make a sink that replays take its own lines for others'.
            self.commit_soon();
            self.commit().await;
            self.anchored = true;
        }
        if let Some(plan) = self.sink.plan(self.desk.parcel_start()) {
            self.desk.save_plan(plan).await;
        }
        let mut failures = 0;
        loop {
            if self.commit_at.is_some() && self.sink.wants_commit() {
                self.commit().await;
            }
            let Some(attempt) = self.attempt().await else {
                self.given_up = true;
                return false;
            };
            match attempt {
                Ok(gaps) => {
                    self.desk.sent(gaps);
                    break;
                }
                Err(error) => {
                    failures += 1;
                    self.tell_failure(&error);
                    let schedule = match error.class {
                        Class::Transient => RETRY,
                        Class::Throttled => THROTTLED,
                        Class::Permanent => REFUSED,
                    };
                    if !self.pause(schedule.delay(failures, chance())).await {
                        return false;
                    }
                }
            }
        }
        if self.desk.figures.recovered() {
            tracing::info!(sink = S::NAME, "Log lines are delivered again");
        }
        self.settle();
        if S::SAVES_EACH {
            self.commit_soon();
            self.commit().await;
        }
        true
    }

    /// One attempt, with orders taken meanwhile. None when it was given up because the agent stops.
    async fn attempt(&mut self) -> Option<Result<Vec<monopod_core::logs::Gap>, super::sinks::SendError>> {
        let Self { sink, desk, .. } = self;
        let sending = sink.send();
        tokio::pin!(sending);
        loop {
            // Only waiting is raced: an event, once there, is worked off before the next look.
            let stopping = desk.stopping();
            let event = tokio::select! {
                sent = &mut sending => return Some(sent),
                event = desk.event(), if stopping.is_none() => event,
                () = past(stopping) => return None,
            };
            desk.take(event).await;
        }
    }

    /// False when the agent stops: an outage is no reason to wait for.
    async fn pause(&mut self, length: Duration) -> bool {
        let until = Instant::now() + length;
        loop {
            if self.desk.stopping().is_some() {
                return false;
            }
            let event = tokio::select! {
                () = past(Some(until)) => return true,
                event = self.desk.event() => event,
            };
            self.desk.take(event).await;
        }
    }

    fn tell_failure(&self, error: &super::sinks::SendError) {
        let figures = &self.desk.figures;
        if !figures.failed(&error.text, error.class, now_seconds()) {
            return;
        }
        let (sink, target, error, class) = (S::NAME, figures.snapshot().target, &error.text, error.class);
        match class {
            Class::Transient | Class::Throttled => tracing::warn!(
                sink, %target, %error, "Log lines can't be delivered, trying again while the spool lasts"
            ),
            Class::Permanent => tracing::error!(
                sink, %target, %error,
                "Log lines can't be delivered until somebody changes it, trying again while the spool lasts"
            ),
        }
    }

    /// The sink has the parcel: the cursor moves behind it.
    fn settle(&mut self) {
        if !self.desk.has_taken() {
            return;
        }
        let parcel = std::mem::take(&mut self.parcel);
        self.desk.settle(parcel.lines, parcel.bytes, parcel.last_time);
        self.commit_soon();
    }

    /// Writes a marker for each gap. Saved before it's written: a kill in between must neither lose a marker nor
    /// confuse a sink that replays.
    async fn tell_gaps(&mut self) {
        // What was read before belongs before it.
        if self.event_over.is_some() {
            self.end_event();
        }
        if !self.send().await {
            return;
        }
        self.batch.clear();
        self.desk.tell_gaps(&mut self.batch);
        self.filter.apply(&mut self.batch, Patience::None).await;
        self.commit_soon();
        self.commit().await;
        self.sink.take(&mut self.batch);
        self.batch.clear();
        self.telling = true;
        if self.send().await {
            self.told();
        }
    }

    /// The markers are out.
    fn told(&mut self) {
        if std::mem::take(&mut self.telling) {
            self.desk.gaps_told();
            self.commit_soon();
        }
    }

    /// Everything is read that was there when so many had asked for a drain.
    async fn at_end(&mut self, drains: usize) {
        if self.event_over.is_some_and(|over| over <= Instant::now()) || self.desk.has_drains() {
            self.end_event();
        }
        if self.desk.has_next_source() {
            return self.next_source().await;
        }
        if drains > 0 {
            let leaves = self.sink.due() != Due::Nothing;
            if !self.send().await {
                return;
            }
            if self.desk.has_gaps() {
                // What the sink will never take is told first.
                return;
            }
            self.commit().await;
            if self.commit_at.is_none() {
                self.desk.answer_drains(drains);
            }
            if leaves || self.desk.has_drains() {
                // What was written meanwhile is not read, and whoever asked meanwhile means that, too.
                return;
            }
        }
        if self.desk.stopping().is_none() {
            // Not between two batches of a stream that goes on: the buffer would be made and cleared anew for each.
            if self.commit_at.is_none() {
                self.desk.rest();
            }
            let due = match self.sink.due() {
                Due::At(at) => Some(at),
                // An event that has just ended, for a sink that doesn't gather.
                Due::Now => Some(Instant::now()),
                Due::Nothing => None,
            };
            let first = [self.commit_at, self.event_over, due];
            self.wait(first.into_iter().flatten().min()).await;
        }
    }

    /// The log is done with: what has begun in it ends, and everything of it leaves before the next one is read.
    async fn next_source(&mut self) {
        self.desk.flush(&mut self.batch);
        self.filter.apply(&mut self.batch, Patience::None).await;
        self.take(true);
        if self.send().await {
            self.desk.next_source();
            self.commit_soon();
        }
    }

    /// Until something happens, or that moment.
    async fn wait(&mut self, moment: Option<Instant>) {
        let event = tokio::select! {
            event = self.desk.event() => event,
            () = past(moment) => return,
        };
        self.desk.take(event).await;
    }

    fn commit_soon(&mut self) {
        self.commit_at
            .get_or_insert_with(|| Instant::now() + COMMIT_EVERY);
    }

    /// The sink first, the cursor file second. What fails is tried again a second later.
    async fn commit(&mut self) {
        if self.commit_at.is_none() {
            return;
        }
        let saved = match self.sink.commit().await {
            Ok(mark) => self.desk.save(mark).await,
            Err(error) => {
                self.desk.commit_failed(&error);
                false
            }
        };
        self.commit_at = (!saved).then(|| Instant::now() + COMMIT_EVERY);
    }
}

/// Lines of the application, without our own words.
fn own_lines(batch: &Batch) -> u64 {
    batch
        .lines()
        .filter(|line| line.stream != Stream::Monopod)
        .count() as u64
}

/// Waits for that moment, for ever if there is none.
async fn past(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
