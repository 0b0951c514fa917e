//! Reads one log, a container's or a plain file, from a place on, across rotations.
//!
//! Each sink has a reader of its own: the page cache is shared anyway, and so a slow sink holds nobody, needs no
//! queue of lines and can't make one grow.
//!
//! Invariants:
//! - The queue holds a descriptor of every file from the current one to the newest, so a rotated file is still
//!   read to its end, and what must be given up can still be counted.
//! - A file is left only when a newer one was known before its end was reached: the engine closes a file before it
//!   makes the next.
//! - At most one file without a name is held, or the disk would fill with what `ls` doesn't show. When a second
//!   one loses its name, the rest of the first is counted and given up.
//!
//! Plain files are anybody's, so they get another way to look and to read: [`plain`].

mod plain;
#[cfg(test)]
mod plain_model;
#[cfg(test)]
mod plain_tests;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

use monopod_core::logs::{
    AheadFile, Batch, Cursor, Gap, GapReason, Joiner, Lines, Look, Name, Partial, Position, PresentFile,
    Source, Span, ledger, resume,
};

use self::plain::Known;
use super::files::{LogFile, Trust, scan};

/// What is read at once: large enough that system calls don't count, small beside the memory of the agent.
const CHUNK: usize = 128 * 1024;
/// Files that are remembered between the sink's place and the reader's.
const PASSED_MOST: usize = 64;
/// No record is longer; what is, is skipped as garbage.
const RECORD_MAX: usize = 1024 * 1024;

/// A place in a log.
#[derive(Debug)]
pub(crate) struct Reader {
    path: PathBuf,
    queue: VecDeque<LogFile>,
    offset: u64,
    decoder: Decoder,
    buffer: Vec<u8>,
    resumed: bool,
    /// Files read to their end whose lines the sink doesn't have yet.
    passed: Vec<AheadFile>,
    /// What was read and the sink doesn't have yet.
    spans: Vec<Span>,
    /// Reading stops at this place once.
    stop: Option<Position>,
    /// Of a plain file: what else there is, and is done with.
    known: Known,
    trust: Trust,
}

/// What the bytes are.
#[derive(Debug)]
enum Decoder {
    /// A container's records.
    Records(Joiner),
    /// A plain file's lines.
    Lines(Lines),
}

impl Decoder {
    fn partials(&self) -> &[Partial] {
        match self {
            Self::Records(joiner) => joiner.partials(),
            Self::Lines(lines) => lines.partials(),
        }
    }

    fn flush(&mut self, batch: &mut Batch) {
        match self {
            Self::Records(joiner) => joiner.flush(batch),
            Self::Lines(lines) => lines.flush(batch),
        }
    }

    /// Goes on with these beginnings and none else.
    fn restore(&mut self, partials: Vec<Partial>) {
        *self = match self {
            Self::Records(_) => Self::Records(Joiner::new(partials)),
            Self::Lines(_) => Self::Lines(Lines::new(partials)),
        };
    }
}

/// What one step of reading came to.
#[derive(Debug, Default)]
pub(crate) struct Filled {
    /// The position is another one than before.
    pub(crate) moved: bool,
    /// There is nothing more to read now.
    pub(crate) at_end: bool,
    /// This is where a planned parcel ends.
    pub(crate) planned_end: bool,
    /// Bytes of records read.
    pub(crate) consumed: u64,
    /// Records that could not be read.
    pub(crate) garbage: u64,
    /// Lines found to be lost.
    pub(crate) gaps: Vec<Gap>,
}

impl Reader {
    pub(crate) fn new(source: &Source) -> Self {
        let decoder = match &source.container {
            Some(_) => Decoder::Records(Joiner::default()),
            None => Decoder::Lines(Lines::default()),
        };
        Self {
            path: source.path.clone().into(),
            queue: VecDeque::new(),
            offset: 0,
            decoder,
            buffer: Vec::new(),
            resumed: false,
            passed: Vec::new(),
            spans: Vec::new(),
            stop: None,
            known: Known::default(),
            trust: Trust::Machine,
        }
    }

    /// Looks which files there are, and says what is found to be lost. The first time the cursor says where to
    /// begin.
    pub(crate) fn survey(&mut self, cursor: &Cursor) -> io::Result<Vec<Gap>> {
        let mut gaps = if self.is_plain() {
            self.look(Some(cursor))?
        } else if self.resumed {
            self.follow(scan(&self.path)?)
        } else {
            self.begin(cursor, scan(&self.path)?)?
        };
        while self.queue.iter().take(2).filter(|file| file.unlinked()).count() == 2 {
            let empty = |file: &LogFile| file.len().is_ok_and(|length| length == 0);
            if self.is_plain() && self.queue.get(1).is_some_and(empty) {
                // Its writer never came: it's still with the one before.
                self.queue.remove(1);
                continue;
            }
            let read = self.offset;
            let gap = self.count_rest()?;
            self.next_file();
            if let Some(given_up) = self.passed.last_mut() {
                // What was counted just now is told already; what was read before it may not be delivered yet.
                given_up.size = read;
            }
            if gap.bytes > 0 {
                gaps.push(gap);
            }
        }
        Ok(gaps)
    }

    /// A look has succeeded: the reader knows what there is.
    pub(crate) fn has_looked(&self) -> bool {
        self.resumed
    }

    /// The file's directory is one that the container can write to.
    pub(crate) fn guard(&mut self) {
        self.trust = Trust::Container;
    }

    fn begin(&mut self, cursor: &Cursor, mut found: VecDeque<LogFile>) -> io::Result<Vec<Gap>> {
        let mut present = Vec::with_capacity(found.len());
        for file in found.iter_mut().rev() {
            present.push(PresentFile {
                identity: file.identity(),
                size: file.len()?,
                name: Name::Rotated,
                copying: false,
            });
        }
        // A sink that has nothing yet still waits for everything that was there when it was said so.
        let nothing_yet = || {
            cursor.ahead.first().map(|oldest| Position {
                file: oldest.file.clone(),
                offset: 0,
                partials: Vec::new(),
            })
        };
        let position = cursor.position.clone().or_else(nothing_yet);
        let resume = resume(Look::Records, position.as_ref(), &cursor.ahead, &present);
        let first = resume.files.first();
        // `present` is newest first, the queue oldest first.
        let older = first.map_or(0, |index| present.len().saturating_sub(index + 1));
        self.queue = found.split_off(older);
        self.offset = resume.offset;
        if let Some(position) = position.as_ref().filter(|_| resume.continues) {
            self.decoder.restore(position.partials.clone());
        }
        // With no file at all the first look was in vain only if nothing was read before.
        self.resumed = first.is_some() || position.is_some();
        Ok(resume.gap.into_iter().collect())
    }

    /// Adds the files that are newer than the newest known.
    fn follow(&mut self, mut found: VecDeque<LogFile>) -> Vec<Gap> {
        let Some(newest) = self.queue.back() else {
            self.queue = found;
            return Vec::new();
        };
        let known = found.iter().position(|file| file.same_inode(newest));
        let newer = found.split_off(known.map_or(0, |index| index + 1));
        // Everything was renamed away between two looks: other files may have come and gone.
        let missed = known.is_none() && !newer.is_empty() && newest.unlinked();
        self.queue.extend(newer);
        if missed {
            vec![Gap::unknown(GapReason::RotatedAway)]
        } else {
            Vec::new()
        }
    }

    /// Reads the rest of the current file only to know what is lost.
    fn count_rest(&mut self) -> io::Result<Gap> {
        let mut gap = Gap {
            // Whoever has a plain file open can still write to it.
            exact: !self.is_plain(),
            ..Gap::unknown(GapReason::RotatedAway)
        };
        let mut batch = Batch::default();
        let spans = self.spans.len();
        loop {
            let read = self.decode_chunk("", &mut batch)?;
            // Nobody gets these.
            self.spans.truncate(spans);
            gap.bytes += read.consumed as u64;
            if read.consumed == 0 {
                self.decoder.flush(&mut batch);
            }
            gap.lines += batch.len() as u64;
            let last = batch.last().filter(|line| !line.time.is_empty());
            gap.to = last.map(|line| line.time.to_owned()).or(gap.to);
            batch.clear();
            if read.consumed == 0 {
                // A record that is torn isn't a line; the last line of a plain file is one, with an end or without.
                let rest = if self.is_plain() {
                    self.behind_in_front()
                } else {
                    0
                };
                gap.bytes += rest;
                gap.lines += u64::from(rest > 0);
                return Ok(gap);
            }
        }
    }

    /// Bytes of the file in front that are not read.
    fn behind_in_front(&self) -> u64 {
        let length = self.queue.front().and_then(|file| file.len().ok()).unwrap_or(0);
        length.saturating_sub(self.offset)
    }

    /// Reads about one chunk of lines into the batch. Plain lines get the time `now`.
    pub(crate) fn fill(&mut self, batch: &mut Batch, now: &str) -> io::Result<Filled> {
        if self.is_plain() {
            self.fill_plain(batch, now)
        } else {
            self.fill_records(batch)
        }
    }

    fn is_plain(&self) -> bool {
        matches!(self.decoder, Decoder::Lines(_))
    }

    fn fill_records(&mut self, batch: &mut Batch) -> io::Result<Filled> {
        let mut filled = Filled {
            planned_end: self.at_stop(),
            ..Filled::default()
        };
        if filled.planned_end {
            return Ok(filled);
        }
        loop {
            // To be asked before the read: only then does "nothing more" mean the end of the file.
            let closed = self.queue.len() > 1;
            if let Some(gap) = self.check_truncated()? {
                // Told before the lines behind it are read.
                return Ok(Filled {
                    moved: true,
                    gaps: vec![gap],
                    ..filled
                });
            }
            let read = self.decode_chunk("", batch)?;
            filled.garbage += read.garbage;
            filled.consumed = read.consumed as u64;
            if read.consumed > 0 {
                filled.moved = true;
                filled.planned_end = self.at_stop();
                return Ok(filled);
            }
            if !closed {
                filled.at_end = true;
                return Ok(filled);
            }
            filled.garbage += u64::from(read.torn);
            filled.moved = true;
            self.next_file();
            // At the very beginning of a file too: there nothing is read, which is not its end.
            filled.planned_end = self.at_stop();
            if filled.planned_end {
                return Ok(filled);
            }
        }
    }

    /// A file that got shorter is either one that lost a tail we have read, or one that began anew.
    fn check_truncated(&mut self) -> io::Result<Option<Gap>> {
        let Some(file) = self.queue.front_mut() else {
            return Ok(None);
        };
        let length = file.len()?;
        if length >= self.offset {
            return Ok(None);
        }
        if file.look_at_first_record()? {
            self.offset = length;
            return Ok(None);
        }
        self.offset = 0;
        self.decoder.restore(Vec::new());
        Ok(Some(Gap::unknown(GapReason::Truncated)))
    }

    fn next_file(&mut self) {
        if let Some(mut passed) = self.queue.pop_front() {
            let file = passed.identity();
            let size = passed.len().unwrap_or(self.offset);
            self.passed.push(AheadFile { file, size });
            if self.passed.len() > PASSED_MOST {
                // A sink that is away for days: how much of the middle is gone is told as "at least" by the rest.
                self.passed.remove(1);
            }
        }
        self.offset = 0;
    }

    /// Reading stops once exactly here, the end of a parcel that was planned before a kill. False if that place is not
    /// to be reached any more.
    pub(crate) fn stop_at(&mut self, place: &Position) -> bool {
        let reachable = self.queue.iter_mut().any(|file| {
            place.file.is(&file.identity()) && file.len().is_ok_and(|length| length >= place.offset)
        });
        self.stop = reachable.then(|| place.clone());
        reachable
    }

    /// Whether this is where reading stops, and then no more.
    fn at_stop(&mut self) -> bool {
        let here = self.until_stop() == Some(0);
        if here {
            self.stop = None;
        }
        here
    }

    /// Bytes up to the place where reading stops, if that is in this file.
    fn until_stop(&mut self) -> Option<u64> {
        let stop = self.stop.as_ref()?;
        let here = self.queue.front_mut()?.identity();
        stop.file
            .is(&here)
            .then(|| stop.offset.saturating_sub(self.offset))
    }

    /// Bytes that may be read in one go.
    fn room(&mut self) -> usize {
        self.until_stop()
            .map_or(usize::MAX, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// What was read since this was asked last, for the ledger.
    pub(crate) fn spans(&mut self) -> Vec<Span> {
        std::mem::take(&mut self.spans)
    }

    /// The sink has everything that was read up to the file before this many: they are not of interest any more.
    pub(crate) fn forget_passed(&mut self, files: usize) {
        self.passed.drain(..files.min(self.passed.len()));
    }

    /// How many files were read to their end and are still of interest.
    pub(crate) fn passed(&self) -> usize {
        self.passed.len()
    }

    fn decode_chunk(&mut self, now: &str, batch: &mut Batch) -> io::Result<Chunk> {
        let until_stop = self.room();
        let Some(file) = self.queue.front_mut() else {
            return Ok(Chunk::default());
        };
        let mut size = CHUNK;
        let limit = batch.bytes() + CHUNK;
        let lines = batch.len();
        loop {
            self.buffer.resize(size, 0);
            let wanted = size.min(until_stop);
            let read = file.read_at(self.buffer.get_mut(..wanted).unwrap_or_default(), self.offset)?;
            let bytes = self.buffer.get(..read).unwrap_or_default();
            let decoded = match &mut self.decoder {
                Decoder::Records(joiner) => joiner.decode(bytes, limit, batch),
                Decoder::Lines(lines) => lines.decode(bytes, now, limit, batch),
            };
            let mut chunk = Chunk {
                consumed: decoded.consumed,
                garbage: decoded.garbage,
                torn: false,
            };
            if chunk.consumed == 0 && read == size {
                if size < RECORD_MAX {
                    size *= 2;
                    continue;
                }
                chunk.consumed = read;
            }
            chunk.torn = chunk.consumed == 0 && read > 0;
            let from = self.offset;
            self.offset += chunk.consumed as u64;
            if let Some(consumed) = bytes.get(..chunk.consumed).filter(|bytes| !bytes.is_empty()) {
                let checksum = ledger::checksum(consumed);
                let (file, to, lines) = (file.identity(), self.offset, (batch.len() - lines) as u64);
                self.spans.push(Span {
                    file,
                    from,
                    to,
                    checksum,
                    lines,
                });
            }
            return Ok(chunk);
        }
    }

    /// Ends lines that nobody will end: the log is left for good.
    pub(crate) fn flush(&mut self, batch: &mut Batch) {
        self.end_line(batch);
        self.decoder.flush(batch);
    }

    /// Gives the buffer back while there's nothing to read.
    pub(crate) fn rest(&mut self) {
        self.buffer = Vec::new();
    }

    pub(crate) fn position(&mut self) -> Option<Position> {
        let plain = self.is_plain();
        let file = self.queue.front_mut()?;
        // Of a plain file only what a look or a read has taken: what it begins with now may be others' lines.
        let file = if plain {
            file.known().clone()
        } else {
            file.identity()
        };
        self.known.settled = true;
        Some(Position {
            file,
            offset: self.offset,
            partials: self.decoder.partials().to_vec(),
        })
    }

    /// The files from the one the sink is in on, with their lengths. Of a plain file those before it too, since only
    /// they tell a file that was never read from one that was.
    pub(crate) fn ahead(&mut self) -> Vec<AheadFile> {
        if self.is_plain() {
            let queue = self.queued_as_read();
            let mut ahead = self.known.done_before(&queue);
            ahead.extend(queue);
            return ahead;
        }
        let mut ahead = self.passed.clone();
        ahead.extend(self.queued());
        ahead
    }

    fn queued(&mut self) -> Vec<AheadFile> {
        let known = |file: &mut LogFile| AheadFile {
            file: file.identity(),
            size: file.len().unwrap_or(0),
        };
        self.queue.iter_mut().map(known).collect()
    }

    /// Bytes of the files that are open and not read.
    pub(crate) fn behind(&self) -> u64 {
        let total: u64 = self.queue.iter().filter_map(|file| file.len().ok()).sum();
        total.saturating_sub(self.offset)
    }
}

#[derive(Debug, Default)]
struct Chunk {
    consumed: usize,
    garbage: u64,
    torn: bool,
}
