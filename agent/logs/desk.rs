//! What a sink's task knows and is told: its cursor, its reader, its orders.
//!
//! Kept apart from the sink, so that it goes on working while a delivery is under way.

use std::io;
use std::sync::Arc;

use monopod_core::logs::{
    Batch, Cursor, Gap, GapReason, Line, Pending, Planned, Position, Source, Span, Stream, Treated, ledger,
    read_at_time,
};
use monopod_core::text;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::error::{Retry, io_retry};
use crate::host::Class;
use crate::host::clock::{now_millis, now_seconds};

use super::cursor_file::CursorFile;
use super::files::Trust;
use super::lock::Lock;
use super::reader::{Filled, Reader};
use super::sinks::Replay;
use super::status::Figures;
use super::watcher::{Changes, Counts};

/// More logs than this don't wait for one sink.
const SOURCES_MAX: usize = 16;
/// More gaps than this are told as one.
const GAPS_MAX: usize = 32;

/// An order to a sink's task.
#[derive(Debug)]
pub(crate) enum Command {
    /// Read this log, after those before it.
    Follow(Source),
    /// Say when everything that's in the files now is delivered and the cursor saved.
    Drain(oneshot::Sender<()>),
    /// Tell this in the stream.
    Gap(Gap),
    /// Save the cursor and end; give up a delivery at this moment.
    Stop(Instant),
}

/// How far the sink's parcel reaches.
#[derive(Debug)]
struct Taken {
    position: Option<Position>,
    pending: Vec<Pending>,
    spans: Vec<Span>,
    /// Files that ended within it.
    passed: usize,
    /// Bytes read when the parcel was last added to.
    in_flight: u64,
    excluded: u64,
    lost: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    name: &'static str,
    /// What was settled: its place is behind delivered lines.
    pub(crate) cursor: Cursor,
    pub(crate) figures: Figures,
    /// The time of the last line delivered.
    last_time: Option<String>,
    /// The last look or read failed: nothing may be concluded from what is there.
    pub(crate) trouble: bool,
    /// How many failed since a look succeeded.
    pub(crate) troubles: u32,
    /// Once the first look was taken: whether reading goes on exactly where the cursor stood.
    pub(crate) first_look: Option<Replay>,
    cursor_file: CursorFile,
    commands: mpsc::Receiver<Command>,
    changes: watch::Receiver<Changes>,
    seen: Counts,
    survey_due: bool,
    reader: Option<Reader>,
    drains: Vec<oneshot::Sender<()>>,
    stopping: Option<Instant>,
    save_failed: bool,
    /// Nothing is read before the first order, whatever the cursor holds.
    followed: bool,
    /// How many of the cursor's gaps are on their way, and must not change any more.
    telling: usize,
    /// Bytes of records read and not settled.
    in_flight: u64,
    /// Lines left out since the parcel was last added to.
    excluded: u64,
    /// What the parcel holds; none when it holds nothing.
    taken: Option<Taken>,
    lock: Arc<Lock>,
    /// Who can put files where the plain file is.
    pub(crate) trust: Trust,
    /// It reads plain files.
    plain: bool,
}

/// Something to take note of.
#[derive(Debug)]
pub(crate) enum Event {
    /// An order; none when nobody can give one any more.
    Command(Option<Command>),
    /// Something happened in a directory; or nothing will be told any more.
    Changed(Result<(), watch::error::RecvError>),
}

impl Desk {
    pub(crate) fn new(
        name: &'static str,
        cursor_file: CursorFile,
        figures: Figures,
        commands: mpsc::Receiver<Command>,
        changes: watch::Receiver<Changes>,
        lock: Arc<Lock>,
    ) -> io::Result<Self> {
        let cursor = cursor_file.load()?;
        let last_time = cursor.last_time.clone();
        Ok(Self {
            name,
            cursor,
            figures,
            last_time,
            trouble: false,
            troubles: 0,
            first_look: None,
            cursor_file,
            commands,
            changes,
            seen: Counts::default(),
            survey_due: true,
            reader: None,
            drains: Vec::new(),
            stopping: None,
            save_failed: false,
            followed: false,
            telling: 0,
            in_flight: 0,
            excluded: 0,
            taken: None,
            lock,
            trust: Trust::Machine,
            plain: false,
        })
    }

    /// Waits for an order or a change. May be dropped at any time without missing one.
    pub(crate) async fn event(&mut self) -> Event {
        let (plain, seen) = (self.plain, self.seen);
        tokio::select! {
            command = self.commands.recv() => Event::Command(command),
            // What happens to logs of the other kind is none of this sink's business.
            changed = self.changes.wait_for(|changes| counts(plain, changes) != seen) => {
                Event::Changed(changed.map(drop))
            }
        }
    }

    /// Takes note of it. Not to be dropped: the reader is away on another thread meanwhile.
    pub(crate) async fn take(&mut self, event: Event) {
        match event {
            Event::Command(command) => self.obey(command),
            // Renames are followed at once, even while a delivery waits: a file has to be open before its name
            // is gone.
            Event::Changed(Ok(())) => self.survey_if_due().await,
            // The watcher has gone, so the shipper is going.
            Event::Changed(Err(_)) => self.obey(None),
        }
    }

    fn note_changes(&mut self) {
        let now = counts(self.plain, &self.changes.borrow_and_update());
        self.survey_due |= now.names != self.seen.names;
        self.seen = now;
    }

    fn obey(&mut self, command: Option<Command>) {
        match command {
            Some(Command::Follow(source)) => self.follow(source),
            Some(Command::Drain(reply)) => {
                self.survey_due = true;
                self.drains.push(reply);
            }
            Some(Command::Gap(mut gap)) => {
                gap.to = Some(text::timestamp(now_seconds()));
                self.add_gaps(vec![gap]);
            }
            Some(Command::Stop(deadline)) => self.stopping = Some(deadline),
            None => {
                self.stopping.get_or_insert_with(Instant::now);
            }
        }
    }

    fn follow(&mut self, source: Source) {
        self.followed = true;
        self.plain = source.container.is_none();
        // The restart of a container is nothing new: the same files go on.
        if self.cursor.sources.last() == Some(&source) {
            self.survey_due = true;
            return;
        }
        if self.cursor.sources.len() >= SOURCES_MAX {
            self.cursor.sources.remove(1);
            self.add_gaps(vec![Gap::unknown(GapReason::ContainerRemoved)]);
        }
        self.cursor.sources.push(source);
        self.survey_due = true;
    }

    /// Looks at the directory if there's reason to.
    pub(crate) async fn survey_if_due(&mut self) {
        // Noted before the look, so that what happens during it isn't missed.
        self.note_changes();
        if !self.survey_due || !self.followed {
            return;
        }
        self.survey_due = false;
        if self.reader.is_none() {
            self.reader = self.cursor.sources.first().map(Reader::new);
            if let Some(reader) = self.reader.as_mut().filter(|_| self.trust == Trust::Container) {
                reader.guard();
            }
        }
        let cursor = self.cursor.clone();
        let Some(looked) = self.work(move |reader| reader.survey(&cursor)).await else {
            return;
        };
        let Some(gaps) = self.judge("looked at", looked) else {
            return;
        };
        self.troubles = 0;
        let replay = if gaps.is_empty() {
            Replay::Exact
        } else {
            Replay::Different
        };
        self.first_look.get_or_insert(replay);
        self.add_gaps(gaps);
    }

    /// Reads the next lines.
    pub(crate) async fn fill(&mut self, batch: &mut Batch) -> Filled {
        if self.reader.is_none() {
            return Filled {
                at_end: true,
                ..Filled::default()
            };
        }
        let (mut lines, now) = (std::mem::take(batch), read_at_time(now_millis()));
        // The lines come back from a reading that fails, too: they may be held since an earlier one.
        let read = self.work(move |reader| {
            let filled = reader.fill(&mut lines, &now);
            (lines, filled)
        });
        let Some((lines, filled)) = read.await else {
            return Filled::default();
        };
        *batch = lines;
        let Some(mut filled) = self.judge("read", filled) else {
            return Filled::default();
        };
        self.in_flight += filled.consumed;
        self.figures.lock().behind_bytes += filled.consumed;
        self.add_gaps(std::mem::take(&mut filled.gaps));
        self.figures.lock().garbage += filled.garbage;
        filled
    }

    /// Works with the reader on a thread that may block. None without a reader or after a panic there.
    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> T + Send + 'static,
    ) -> Option<T> {
        let mut reader = self.reader.take()?;
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut reader);
            (reader.behind(), reader, result)
        });
        let Ok((behind, reader, result)) = done.await else {
            // A bug, and it has been told. Another reader begins where the sink is.
            (self.survey_due, self.trouble) = (true, true);
            return None;
        };
        self.reader = Some(reader);
        self.figures.lock().behind_bytes = behind + self.in_flight;
        Some(result)
    }

    /// What came of it. A log that can't be read is a stream that stands still, so it is in the sink's figures.
    fn judge<T>(&mut self, what: &str, result: io::Result<T>) -> Option<T> {
        match result {
            Ok(value) => {
                if std::mem::take(&mut self.trouble) && self.figures.recovered() {
                    tracing::info!(sink = self.name, "The log can be read again");
                }
                Some(value)
            }
            Err(error) => {
                let path = self
                    .cursor
                    .sources
                    .first()
                    .map_or("the log", |source| source.path.as_str());
                let text = format!("{path} can't be {what}: {error}");
                let class = match io_retry(&error) {
                    Retry::Transient => Class::Transient,
                    Retry::Permanent => Class::Permanent,
                };
                if self.figures.failed(&text, class, now_seconds()) {
                    tracing::warn!(sink = self.name, "{text}; trying again");
                }
                (self.survey_due, self.trouble) = (true, true);
                self.troubles = self.troubles.saturating_add(1);
                None
            }
        }
    }

    /// Events begun when the cursor was saved last.
    pub(crate) fn pending(&self) -> Vec<Pending> {
        self.cursor.pending.clone()
    }

    /// What was read up to now is in the sink's parcel.
    pub(crate) fn taken(&mut self, pending: &[Pending]) {
        let Some(reader) = &mut self.reader else { return };
        let taken = self.taken.get_or_insert_with(|| Taken {
            position: None,
            pending: Vec::new(),
            spans: Vec::new(),
            passed: 0,
            in_flight: 0,
            excluded: 0,
            lost: 0,
        });
        taken.position = reader.position().or(taken.position.take());
        taken.pending = pending.to_vec();
        for span in reader.spans() {
            // Neighbours become one: a parcel may gather for as long as an object in a bucket covers.
            match taken
                .spans
                .last_mut()
                .filter(|last| last.to == span.from && last.file == span.file)
            {
                Some(last) => {
                    last.checksum = ledger::joined(last.checksum, span.checksum, span.to - span.from);
                    (last.to, last.lines) = (span.to, last.lines + span.lines);
                }
                None => taken.spans.push(span),
            }
        }
        taken.passed = reader.passed();
        taken.in_flight = self.in_flight;
        taken.excluded += std::mem::take(&mut self.excluded);
    }

    /// The first piece of a file in the parcel.
    pub(crate) fn parcel_start(&self) -> Option<&Span> {
        self.taken.as_ref()?.spans.first()
    }

    /// Whether anything was read that the cursor is not behind yet.
    pub(crate) fn has_taken(&self) -> bool {
        self.taken.is_some()
    }

    /// Lines that were left out or changed on their way.
    pub(crate) fn count(&mut self, treated: &Treated) {
        let excluded = treated.excluded + treated.sampled_out;
        self.excluded += excluded;
        let mut figures = self.figures.lock();
        figures.excluded += excluded;
        figures.cut += treated.cut;
    }

    /// The sink has the parcel, but for what it said it will never take.
    pub(crate) fn sent(&mut self, gaps: Vec<Gap>) {
        if let Some(taken) = &mut self.taken {
            taken.lost += gaps.iter().map(|gap| gap.lines).sum::<u64>();
        }
        self.add_gaps(gaps);
    }

    /// The parcel is delivered: the cursor moves behind it.
    pub(crate) fn settle(&mut self, lines: u64, bytes: u64, last_time: Option<String>) {
        let Some(taken) = self.taken.take() else { return };
        self.cursor.position = taken.position.or(self.cursor.position.take());
        self.cursor.pending = taken.pending;
        self.cursor.planned = None;
        self.cursor.ledger.add(&taken.spans);
        self.cursor.ledger.excluded += taken.excluded;
        self.in_flight = self.in_flight.saturating_sub(taken.in_flight);
        if last_time.is_some() {
            self.last_time = last_time;
        }
        self.cursor.last_time.clone_from(&self.last_time);
        let mut figures = self.figures.lock();
        figures.delivered += lines.saturating_sub(taken.excluded + taken.lost);
        figures.delivered_bytes += bytes;
        figures.last_line.clone_from(&self.last_time);
        if let Some(reader) = &mut self.reader {
            reader.forget_passed(taken.passed);
            figures.behind_bytes = reader.behind() + self.in_flight;
        }
    }

    /// What the sink planned before a kill, and whether the same lines come again: then reading stops where that parcel
    /// ends. The plan stays in the cursor until they are settled: there may be another kill.
    pub(crate) fn replan(&mut self, replay: Replay) -> Option<(serde_json::Value, Replay)> {
        let planned = self.cursor.planned.clone()?;
        let again = replay == Replay::Exact
            && self
                .reader
                .as_mut()
                .is_some_and(|reader| reader.stop_at(&planned.end));
        if again {
            return Some((planned.parcel, Replay::Exact));
        }
        self.cursor.planned = None;
        Some((planned.parcel, Replay::Different))
    }

    /// Saves what the sink plans to send, up to where its parcel reaches. A disk that doesn't take it is no reason to
    /// wait: lines could then come twice after a kill, and waiting loses them for certain.
    pub(crate) async fn save_plan(&mut self, parcel: serde_json::Value) {
        let Some(end) = self.taken.as_ref().and_then(|taken| taken.position.clone()) else {
            return;
        };
        self.cursor.planned = Some(Planned { end, parcel });
        self.save(self.cursor.sink.clone()).await;
    }

    /// Writes the cursor, with the sink's own mark of this moment. True when it's on disk.
    pub(crate) async fn save(&mut self, mark: Option<serde_json::Value>) -> bool {
        self.cursor.sink = mark;
        // Before a look succeeds the reader knows of no file, and the cursor of those there were.
        if let Some(reader) = self.reader.as_mut().filter(|reader| reader.has_looked()) {
            self.cursor.ahead = reader.ahead();
        }
        let (file, cursor, lock) = (
            self.cursor_file.clone(),
            self.cursor.clone(),
            Arc::clone(&self.lock),
        );
        let saved = tokio::task::spawn_blocking(move || {
            let saved = file.save(&cursor);
            // Only now may another shipper have the cursors.
            drop(lock);
            saved
        });
        match saved.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(()) => {
                self.save_failed = false;
                true
            }
            Err(error) => {
                self.commit_failed(&error);
                false
            }
        }
    }

    /// Delivery goes on, and a kill now would make lines come twice.
    pub(crate) fn commit_failed(&mut self, error: &io::Error) {
        self.figures.lock().last_error = Some(format!("cursor not saved: {error}"));
        if !self.save_failed {
            tracing::warn!(
                sink = self.name, %error,
                "Log cursor can't be saved, the one before stays: lines may come twice after a restart; see to the disk under the state directory"
            );
        }
        self.save_failed = true;
    }

    fn add_gaps(&mut self, gaps: Vec<Gap>) {
        for gap in gaps {
            tracing::warn!(
                sink = self.name,
                lines = gap.lines,
                exact = gap.exact,
                "{}",
                gap.marker()
            );
            let mut figures = self.figures.lock();
            figures.lost += gap.lines;
            figures.lost_exact &= gap.exact;
            drop(figures);
            self.keep_gap(gap);
        }
    }

    /// Two that follow each other for the same reason are one: a dead sink must not gather a list.
    fn keep_gap(&mut self, gap: Gap) {
        let full = self.cursor.gaps.len() >= GAPS_MAX;
        let waiting = self
            .cursor
            .gaps
            .get_mut(self.telling..)
            .and_then(<[Gap]>::last_mut);
        match waiting {
            Some(last) if full || last.reason == gap.reason => {
                last.lines += gap.lines;
                last.bytes += gap.bytes;
                last.exact &= gap.exact;
                last.to = gap.to.or(last.to.take());
            }
            _ => self.cursor.gaps.push(gap),
        }
    }

    /// Whether there are gaps to be told in the stream.
    pub(crate) fn has_gaps(&self) -> bool {
        !self.cursor.gaps.is_empty()
    }

    /// The gaps to be told now, as lines. They begin at the last line delivered, whenever they were found.
    pub(crate) fn tell_gaps(&mut self, batch: &mut Batch) {
        self.telling = self.cursor.gaps.len();
        for gap in &mut self.cursor.gaps {
            gap.from = gap.from.take().or_else(|| self.last_time.clone());
            let time = gap.to.as_deref().or(gap.from.as_deref()).unwrap_or_default();
            batch.push(Line {
                time,
                stream: Stream::Monopod,
                text: &gap.marker(),
            });
        }
    }

    /// They have been told. Those found meanwhile stay.
    pub(crate) fn gaps_told(&mut self) {
        let told = self.telling.min(self.cursor.gaps.len());
        self.cursor.ledger.tell(self.cursor.gaps.drain(..told));
        self.telling = 0;
    }

    pub(crate) fn stopping(&self) -> Option<Instant> {
        self.stopping
    }

    /// The container that is read; `None` for a file.
    pub(crate) fn container(&self) -> Option<&str> {
        self.cursor.sources.first()?.container.as_deref()
    }

    pub(crate) fn has_next_source(&self) -> bool {
        self.cursor.sources.len() > 1
    }

    /// Ends lines that nobody will end.
    pub(crate) fn flush(&mut self, batch: &mut Batch) {
        if let Some(reader) = &mut self.reader {
            reader.flush(batch);
        }
    }

    /// The current log is done with.
    pub(crate) fn next_source(&mut self) {
        self.cursor.sources.drain(..1.min(self.cursor.sources.len()));
        (self.cursor.position, self.reader, self.survey_due) = (None, None, true);
        (self.taken, self.in_flight) = (None, 0);
        self.cursor.ahead.clear();
        self.cursor.pending.clear();
    }

    pub(crate) fn has_drains(&self) -> bool {
        !self.drains.is_empty()
    }

    /// How many wait for the end.
    pub(crate) fn drains(&self) -> usize {
        self.drains.len()
    }

    /// So many, the first to ask.
    pub(crate) fn answer_drains(&mut self, many: usize) {
        let many = many.min(self.drains.len());
        for drain in self.drains.drain(..many) {
            // Whoever asked may have stopped waiting.
            drain.send(()).ok();
        }
    }

    /// Whether a look is due, so that "at the end" would be said too early.
    pub(crate) fn survey_due(&self) -> bool {
        self.survey_due
    }

    /// Nothing is done before the first order to follow a log, whatever the cursor file held.
    pub(crate) fn has_orders(&self) -> bool {
        self.followed
    }

    /// Gives memory back while there's nothing to do.
    pub(crate) fn rest(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.rest();
        }
    }
}

/// Of these changes, those of one's own kind of logs.
fn counts(plain: bool, changes: &Changes) -> Counts {
    if plain { changes.files } else { changes.container }
}
