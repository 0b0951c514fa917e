//! The container's log for a person, from the files the sinks read, and nothing but read.
//!
//! No cursor is written and no lock is taken: it works beside an agent, without one, and without an engine.
//!
//! Invariants:
//! - Every line once and in order. Files that are renamed meanwhile are followed by their descriptors; what the engine
//!   removes before it is read is counted.
//! - Memory is a chunk of the file, however long the log is and however many of its lines are asked for.

mod start;
#[cfg(test)]
mod tests;
mod wait;

use std::io;
use std::path::{Path, PathBuf};

use monopod_core::logs::{Batch, Cursor, Gap, Line, Position, Source, Stream};
use monopod_core::text;

use super::files::scan;
use super::reader::{Filled, Reader};
use start::start;

pub(super) use start::whole;
pub use wait::Waiter;

/// Between two looks at which files there are. A reader that is held up keeps one file more than the engine does.
const FILLS_A_LOOK: u32 = 16;
/// When reading begins in the middle of a file, a line of another stream that comes after so many lines is whole. It is
/// not where one stream began a line and the other wrote more than that before its end.
const DOUBT: u32 = 64;
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
        container: Some(String::new()),
        path: path.display().to_string(),
    };
    Reader::new(&source)
}

/// One step of the reader. Nobody wants to know which ranges these were.
fn fill(reader: &mut Reader, batch: &mut Batch) -> io::Result<Filled> {
    let filled = reader.fill(batch, "");
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
    /// For so many lines more.
    doubt: u32,
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
            doubt: if is_clean { 0 } else { DOUBT },
        }
    }

    /// Whether no line is left out any more only because its beginning may be missing.
    fn is_certain(&self) -> bool {
        self.doubt == 0
    }

    fn sift(&mut self, line: &Line<'_>) -> Sifted {
        let [out, err] = &mut self.doubtful;
        let doubtful = if line.stream == Stream::Stderr { err } else { out };
        let may_lack = std::mem::take(doubtful) && self.doubt > 0;
        self.doubt = self.doubt.saturating_sub(1);
        if may_lack || self.wanted.stream.is_some_and(|stream| stream != line.stream) {
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

/// The folder a log's files are in.
pub fn folder(path: &Path) -> PathBuf {
    path.parent().map_or_else(PathBuf::new, Path::to_path_buf)
}
