//! One sink's task: reads, delivers, saves the cursor.
//!
//! ```text
//!            ┌────────── commands, changes ──────────┐
//!            ▼                                       ▼
//!   survey ─► markers of gaps ─► fill ─► deliver ─► at end: answer drains, next source, wait
//!                                          │
//!                            once a second └─► commit: sink, then cursor file
//! ```
//!
//! Invariants:
//! - The cursor's place is behind lines that were delivered, never behind ones that were only read.
//! - The cursor file is written after the sink has made its part durable.
//! - Lines that wait for the rest of a secret are read and not settled: a kill meanwhile reads them again.
//! - While the sink can't deliver, commands are still taken and rotation is still followed.

use std::sync::Arc;
use std::time::Duration;

use monopod_core::logs::{Batch, Patience, Redacted, Stream};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::cursor_file::CursorFile;
use super::desk::{Command, Desk};
use super::lock::Lock;
use super::redaction::Filter;
use super::sinks::Sink;
use super::status::Figures;
use super::watcher::Changes;

/// At most this much is delivered twice by a sink that can't tell, and at most this often a disk is synced.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// After a look or a read that failed.
const RETRY_READ: Duration = Duration::from_secs(1);
/// Lines that may be the beginning of a secret wait this long for its rest, and up to so many bytes.
const HOLD: Duration = Duration::from_secs(1);
const HOLD_MOST: usize = 1024 * 1024;

/// A sink with all that feeds it.
#[derive(Debug)]
pub(crate) struct Pump<S> {
    sink: S,
    desk: Desk,
    batch: Batch,
    filter: Filter,
    /// The lines read wait for more, since then.
    held: Option<Instant>,
    restored: bool,
    /// The cursor file says where the sink stood before the first line of this run.
    anchored: bool,
    /// When the cursor file has to be written; none while it's up to date.
    commit_at: Option<Instant>,
}

impl<S: Sink> Pump<S> {
    pub(crate) fn new(
        sink: S,
        cursor_file: CursorFile,
        figures: Figures,
        filter: Filter,
        commands: mpsc::Receiver<Command>,
        changes: watch::Receiver<Changes>,
        lock: Arc<Lock>,
    ) -> std::io::Result<Self> {
        let desk = Desk::new(S::NAME, cursor_file, figures, commands, changes, lock)?;
        Ok(Self {
            sink,
            desk,
            batch: Batch::default(),
            filter,
            held: None,
            restored: false,
            anchored: false,
            commit_at: None,
        })
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self) {
        loop {
            self.step().await;
            if self.desk.stopping().is_some() {
                self.commit().await;
                return;
            }
        }
    }

    async fn step(&mut self) {
        if !self.desk.has_orders() {
            return self.wait(None).await;
        }
        self.desk.survey_if_due().await;
        if let Some(replay) = self.desk.first_look.filter(|_| !self.restored) {
            self.sink.restore(self.desk.cursor.sink.clone(), replay);
            self.restored = true;
        }
        if self.desk.trouble {
            return self.wait(Some(Instant::now() + RETRY_READ)).await;
        }
        if self.restored && self.desk.has_gaps() && self.held.is_none() {
            return self.tell_gaps().await;
        }
        let filled = self.desk.fill(&mut self.batch).await;
        let held = self.held.is_some();
        if !self.batch.is_empty() && self.holds().await {
            if filled.at_end {
                let end = self.held.map(|since| since + HOLD);
                self.wait(end).await;
            }
            return;
        }
        self.held = None;
        if !self.batch.is_empty() && !self.deliver().await {
            return;
        }
        if filled.moved || held {
            self.desk.settle();
            self.commit_soon();
        }
        if filled.at_end && !self.desk.has_gaps() && !self.desk.trouble && !self.desk.survey_due() {
            self.at_end().await;
        }
        if self.commit_at.is_some_and(|at| at <= Instant::now()) {
            self.commit().await;
        }
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

    /// Delivers the batch and counts it. False when stopped halfway.
    async fn deliver(&mut self) -> bool {
        if !self.anchored {
            // Or a kill before the first commit would make a sink that replays take its own lines for others'.
            self.commit_soon();
            self.commit().await;
            self.anchored = true;
        } else if self.commit_at.is_some() && self.sink.wants_commit(&self.batch) {
            self.commit().await;
        }
        let Self {
            sink, desk, batch, ..
        } = self;
        let delivered = {
            let delivery = sink.deliver(batch);
            tokio::pin!(delivery);
            loop {
                // Only waiting is raced: an event, once there, is worked off before the next look.
                let stopping = desk.stopping();
                let event = tokio::select! {
                    () = &mut delivery => break true,
                    event = desk.event(), if stopping.is_none() => event,
                    () = past(stopping) => break false,
                };
                desk.take(event).await;
            }
        };
        if delivered {
            let lines = batch
                .lines()
                .filter(|line| line.stream != Stream::Monopod)
                .count();
            desk.figures.lock().delivered += lines as u64;
            if let Some(last) = batch.last().filter(|_| lines > 0) {
                desk.last_time = Some(last.time.to_owned());
            }
        }
        batch.clear();
        delivered
    }

    /// Writes a marker for each gap. Saved before it's written: a kill in between must neither lose a marker nor
    /// confuse a sink that replays.
    async fn tell_gaps(&mut self) {
        self.batch.clear();
        self.desk.settle();
        self.desk.tell_gaps(&mut self.batch);
        self.filter.apply(&mut self.batch, Patience::None).await;
        self.commit_soon();
        self.commit().await;
        if self.deliver().await {
            self.desk.gaps_told();
            self.commit_soon();
        }
    }

    async fn at_end(&mut self) {
        if self.desk.has_next_source() {
            self.desk.flush(&mut self.batch);
            self.filter.apply(&mut self.batch, Patience::None).await;
            if self.batch.is_empty() || self.deliver().await {
                self.desk.next_source();
                self.commit_soon();
            }
            return;
        }
        if self.desk.has_drains() {
            self.commit().await;
            if self.commit_at.is_none() {
                self.desk.answer_drains();
            }
        }
        if self.desk.stopping().is_none() {
            self.desk.rest();
            self.wait(self.commit_at).await;
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

/// Waits for that moment, for ever if there is none.
async fn past(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
