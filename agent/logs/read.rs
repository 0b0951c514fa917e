//! The container's log for a person, from the files the sinks read, and nothing but read.
//!
//! No cursor is written and no lock is taken: it works beside an agent, without one, and without an engine.
//!
//! Invariants:
//! - Every line once and in order. Files that are renamed meanwhile are followed by their descriptors; what the engine
//!   removes before it is read is counted.
//! - Memory is a chunk of the file, however long the log is and however many of its lines are asked for.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

use monopod_core::logs::{Batch, Cursor, Gap, Joiner, Line, Position, Source, Stream};
use monopod_core::text;

use super::files::{LogFile, scan};
use super::reader::{Filled, Reader};

/// Between two looks at which files there are. A reader that is held up keeps one file more than the engine does.
const FILLS_A_LOOK: u32 = 16;
/// Where looking for the last lines begins; every further look takes in four times as much.
const WINDOW: u64 = 64 * 1024;
/// No record is longer.
const RECORD_MAX: usize = 1024 * 1024;
/// A clock that is set back, and two streams that are not quite in order, are allowed this much.
const SLACK_MILLIS: u64 = 60_000;

/// Which lines are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this stream only.
    pub stream: Option<Stream>,
    /// Not before this time, in milliseconds since the epoch.
    pub since: Option<u64>,
    /// Not after this time.
    pub until: Option<u64>,
    /// No more than so many, the last ones.
    pub last: Option<u64>,
}

/// What a step of reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There may be more.
    More,
    /// There is nothing more, now or at all.
    End,
}

/// A place in a container's log.
#[derive(Debug)]
pub struct Reading {
    reader: Reader,
    cursor: Cursor,
    sieve: Sieve,
    /// Lines to leave out before the first one.
    skip: u64,
    /// Where the log ended when reading began; none while following.
    stop: Option<Position>,
    followed: bool,
    batch: Batch,
    fills: u32,
    ended: bool,
    garbage: u64,
    /// Found to be lost when it was opened.
    early: Vec<Gap>,
}

impl Reading {
    /// Opens the log whose newest file this is; none if there is no file. What is `followed` has no end.
    pub fn open(path: &Path, wanted: &Wanted, followed: bool) -> io::Result<Option<Self>> {
        let mut files = scan(path)?;
        let Some(newest) = files.back_mut() else {
            return Ok(None);
        };
        let stop = Position {
            offset: whole(newest)?,
            file: newest.identity(),
            partials: Vec::new(),
        };
        let start = start(&mut files, wanted, followed)?;
        let mut cursor = Cursor::default();
        cursor.position = start.position;
        let mut reading = Self {
            reader: reader(path),
            cursor,
            sieve: Sieve::new(wanted, start.is_clean),
            skip: start.skip,
            stop: (!followed).then_some(stop),
            followed,
            batch: Batch::default(),
            fills: 0,
            ended: false,
            garbage: 0,
            early: Vec::new(),
        };
        let mut early = Vec::new();
        reading.look(|gap| early.push(gap.clone()))?;
        reading.early = early;
        Ok(Some(reading))
    }

    /// Reads on. `lost` is told of lines that were removed before they could be read.
    pub fn step(
        &mut self,
        mut show: impl FnMut(Line<'_>) -> io::Result<()>,
        mut lost: impl FnMut(&Gap),
    ) -> io::Result<Step> {
        std::mem::take(&mut self.early).iter().for_each(&mut lost);
        if self.ended {
            return Ok(Step::End);
        }
        self.fills += 1;
        if self.fills.is_multiple_of(FILLS_A_LOOK) {
            self.look(&mut lost)?;
        }
        let filled = fill(&mut self.reader, &mut self.batch)?;
        filled.gaps.iter().for_each(&mut lost);
        self.garbage += filled.garbage;
        let is_past = self.show(&mut show)?;
        self.ended = self.stop.is_some() && (filled.planned_end || filled.at_end || is_past);
        Ok(if self.ended || filled.at_end {
            Step::End
        } else {
            Step::More
        })
    }

    /// Looks which files there are by now.
    pub fn look(&mut self, lost: impl FnMut(&Gap)) -> io::Result<()> {
        self.reader.survey(&self.cursor)?.iter().for_each(lost);
        if let Some(stop) = &self.stop {
            // The file it is in was removed, and so was all that comes before it.
            self.ended |= !self.reader.stop_at(stop);
        }
        Ok(())
    }

    /// Lines begun that nobody will end, at the end of a log.
    pub fn finish(&mut self, mut show: impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        self.reader.flush(&mut self.batch);
        self.show(&mut show).map(|_| ())
    }

    /// Whether it has no end.
    pub fn is_followed(&self) -> bool {
        self.followed
    }

    /// Records that could not be read so far.
    pub fn garbage(&self) -> u64 {
        self.garbage
    }

    /// Whether a line came that is later than any that is wanted.
    fn show(&mut self, show: &mut impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<bool> {
        let mut is_past = false;
        for line in self.batch.lines() {
            match self.sieve.sift(&line) {
                Sifted::Wanted if self.skip > 0 => self.skip -= 1,
                Sifted::Wanted => show(line)?,
                Sifted::Unwanted => {}
                Sifted::Past => is_past = true,
            }
        }
        self.batch.clear();
        Ok(is_past)
    }
}

fn reader(path: &Path) -> Reader {
    // Whose log it is doesn't matter for reading.
    let source = Source {
        container: String::new(),
        path: path.display().to_string(),
    };
    Reader::new(&source)
}

/// One step of the reader. Nobody wants to know which ranges these were.
fn fill(reader: &mut Reader, batch: &mut Batch) -> io::Result<Filled> {
    let filled = reader.fill(batch);
    drop(reader.spans());
    reader.forget_passed(reader.passed());
    filled
}

/// Which lines pass.
#[derive(Clone, Debug)]
struct Sieve {
    wanted: Wanted,
    /// The first line of standard output, and of standard error, may lack its beginning.
    doubtful: [bool; 2],
}

enum Sifted {
    Wanted,
    Unwanted,
    Past,
}

impl Sieve {
    fn new(wanted: &Wanted, is_clean: bool) -> Self {
        Self {
            wanted: wanted.clone(),
            doubtful: [!is_clean; 2],
        }
    }

    fn sift(&mut self, line: &Line<'_>) -> Sifted {
        let [out, err] = &mut self.doubtful;
        let doubtful = if line.stream == Stream::Stderr { err } else { out };
        if std::mem::take(doubtful) || self.wanted.stream.is_some_and(|stream| stream != line.stream) {
            return Sifted::Unwanted;
        }
        if self.wanted.since.is_none() && self.wanted.until.is_none() {
            return Sifted::Wanted;
        }
        // A time that can't be read is no reason to hide a line.
        let Some(time) = text::parse_timestamp_millis(line.time) else {
            return Sifted::Wanted;
        };
        let until = self.wanted.until.unwrap_or(u64::MAX);
        if time > until.saturating_add(SLACK_MILLIS) {
            Sifted::Past
        } else if time > until || self.wanted.since.is_some_and(|since| time < since) {
            Sifted::Unwanted
        } else {
            Sifted::Wanted
        }
    }
}

/// Where to begin.
#[derive(Debug)]
struct Start {
    /// None for the beginning of the oldest file.
    position: Option<Position>,
    /// Lines to leave out first.
    skip: u64,
    /// Whether no line can have begun before.
    is_clean: bool,
}

/// Decides where to begin: whole files that are too old are left out by the time of their first record, and the last
/// lines are looked for from the end.
fn start(files: &mut VecDeque<LogFile>, wanted: &Wanted, followed: bool) -> io::Result<Start> {
    let mut first = 0;
    if let Some(since) = wanted.since {
        for (at, file) in files.iter().enumerate().rev() {
            if first_time(file)?.is_some_and(|time| time.saturating_add(SLACK_MILLIS) < since) {
                first = at;
                break;
            }
        }
    }
    let Some(last) = wanted.last else {
        return Ok(Start {
            position: at(files, first, 0),
            skip: 0,
            // A line that began in the file before is older than what is asked for, or its beginning is gone.
            is_clean: first == 0,
        });
    };
    let mut window = WINDOW;
    loop {
        let (file, offset) = from_end(files, first, window)?;
        let is_clean = file == 0 && offset == 0;
        let found = count(files, file, offset, Sieve::new(wanted, is_clean), followed)?;
        if found >= last || (file <= first && offset == 0) {
            return Ok(Start {
                position: at(files, file, offset),
                skip: found.saturating_sub(last),
                is_clean,
            });
        }
        window = window.saturating_mul(4);
    }
}

fn at(files: &mut VecDeque<LogFile>, file: usize, offset: u64) -> Option<Position> {
    let file = files.get_mut(file)?.identity();
    Some(Position {
        file,
        offset,
        partials: Vec::new(),
    })
}

/// The first record that begins at most so many bytes before the end.
fn from_end(files: &VecDeque<LogFile>, first: usize, mut window: u64) -> io::Result<(usize, u64)> {
    for (at, file) in files.iter().enumerate().skip(first).rev() {
        let length = file.len()?;
        if window < length {
            return Ok((at, next_record(file, length - window)?));
        }
        window -= length;
    }
    Ok((first, 0))
}

/// Behind the first line feed from here on.
fn next_record(file: &LogFile, from: u64) -> io::Result<u64> {
    let mut offset = from;
    let mut block = [0_u8; 4096];
    loop {
        let read = file.read_at(&mut block, offset)?;
        let bytes = block.get(..read).unwrap_or_default();
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            return Ok(offset + end as u64 + 1);
        }
        offset += read as u64;
        if read == 0 {
            return Ok(offset);
        }
    }
}

/// Behind the last whole record.
pub(super) fn whole(file: &LogFile) -> io::Result<u64> {
    let mut end = file.len()?;
    let mut block = [0_u8; 4096];
    while end > 0 {
        let from = end.saturating_sub(block.len() as u64);
        let wanted = usize::try_from(end - from).unwrap_or(block.len());
        let read = file.read_at(block.get_mut(..wanted).unwrap_or_default(), from)?;
        let bytes = block.get(..read).unwrap_or_default();
        if let Some(last) = bytes.iter().rposition(|byte| *byte == b'\n') {
            return Ok(from + last as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Lines that pass the sieve, from a place to the end.
fn count(
    files: &VecDeque<LogFile>,
    first: usize,
    offset: u64,
    mut sieve: Sieve,
    followed: bool,
) -> io::Result<u64> {
    let (mut joiner, mut batch, mut found) = (Joiner::default(), Batch::default(), 0);
    let mut sift = |batch: &mut Batch| {
        let wanted = batch
            .lines()
            .filter(|line| matches!(sieve.sift(line), Sifted::Wanted));
        found += wanted.count() as u64;
        batch.clear();
    };
    let mut buffer = vec![0; RECORD_MAX];
    let mut offset = offset;
    for file in files.iter().skip(first) {
        loop {
            let read = file.read_at(&mut buffer, offset)?;
            let bytes = buffer.get(..read).unwrap_or_default();
            let decoded = joiner.decode(bytes, usize::MAX, &mut batch);
            sift(&mut batch);
            offset += decoded.consumed as u64;
            if decoded.consumed == 0 {
                if read < buffer.len() {
                    break;
                }
                // No record is that long: garbage, as the reader takes it.
                offset += read as u64;
            }
        }
        offset = 0;
    }
    // As they are shown: at the end of a log, but not in the middle of one that goes on.
    if !followed {
        joiner.flush(&mut batch);
        sift(&mut batch);
    }
    Ok(found)
}

fn first_time(file: &LogFile) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; RECORD_MAX / 8];
    let read = file.read_at(&mut bytes, 0)?;
    let (mut joiner, mut batch) = (Joiner::default(), Batch::default());
    joiner.decode(bytes.get(..read).unwrap_or_default(), 1, &mut batch);
    joiner.flush(&mut batch);
    let time = batch
        .lines()
        .next()
        .and_then(|line| text::parse_timestamp_millis(line.time));
    Ok(time)
}

/// Tells when there may be something to read.
#[derive(Debug)]
pub struct Waiter {
    watcher: super::watcher::Watcher,
    changes: tokio::sync::watch::Receiver<super::watcher::Changes>,
    names: u64,
}

impl Waiter {
    /// Watches until it is dropped.
    pub fn new() -> Self {
        let (changed, changes) = tokio::sync::watch::channel(super::watcher::Changes::default());
        let watcher = super::watcher::Watcher::new();
        tokio::spawn(watcher.clone().run(changed));
        Self {
            watcher,
            changes,
            names: 0,
        }
    }

    /// This directory too. One that isn't there is looked at now and then.
    pub fn watch(&self, directory: &Path) {
        if let Err(error) = self.watcher.watch(directory) {
            tracing::debug!(%error, directory = %directory.display(), "A directory can't be watched, looking now and then");
        }
    }

    /// Waits; true if files may have come, gone or been renamed. May be dropped at any time without missing one.
    pub async fn changed(&mut self) -> bool {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let names = self.changes.borrow_and_update().names;
        std::mem::replace(&mut self.names, names) != names
    }
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}

/// The folder a log's files are in.
pub fn folder(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
