//! Plain files: whoever writes them may rename, copy, truncate and remove them, and go on writing to a renamed one.
//!
//! Each look decides anew what to read, by the same rules as after a restart: the reader's own place, what was known
//! and what is there now. Files without a name that are still open count as there.
//!
//! Invariants:
//! - What was read is taken only if the file still begins as it did and didn't get shorter, looked at after the read.
//! - A file is left only when a newer one had been written to before its end was reached: a writer goes on with the old
//!   file until it opens the new one, and one that begins before it ends (several writers) isn't waited for.

use std::collections::VecDeque;
use std::io;

use monopod_core::logs::{
    AheadFile, Batch, Cursor, Gap, GapReason, Look, Name, PresentFile, Resume, Span, ledger, resume,
};

use super::super::files::{LogFile, scan_plain};
use super::{CHUNK, Chunk, Decoder, Filled, Reader};

/// What a plain file's reader remembers of files it doesn't read.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Seen and done with, oldest first.
    done: Vec<AheadFile>,
    /// The reader's place was asked for: the cursor has one.
    pub(super) settled: bool,
    /// The newest file had lost its name at the last look: what that may have hidden is told.
    nameless: bool,
    /// The time of the last read.
    now: String,
}

impl Known {
    /// What is done with, but for files of the queue. Nothing before there is a place: then all is still to be read.
    pub(super) fn done_before(&self, queue: &[AheadFile]) -> Vec<AheadFile> {
        let queued = |known: &AheadFile| queue.iter().any(|file| known.file.is(&file.file));
        let done = self.done.iter().filter(|known| self.settled && !queued(known));
        done.cloned().collect()
    }
}

impl Reader {
    /// Looks what there is and decides what to read on. With a cursor the first time.
    pub(super) fn look(&mut self, cursor: Option<&Cursor>) -> io::Result<Vec<Gap>> {
        let first = cursor.filter(|_| !self.resumed);
        let found = scan_plain(&self.path)?;
        let (look, position, ahead) = match first {
            Some(cursor) => (Look::Plain, cursor.position.clone(), cursor.ahead.clone()),
            None => {
                let queue = self.queued_as_read();
                let mut ahead = self.known.done.clone();
                ahead.retain(|known| !queue.iter().any(|file| known.file.is(&file.file)));
                ahead.extend(queue);
                (Look::PlainAgain, self.place(), ahead)
            }
        };
        let (files, missed) = self.merge(found, &ahead);
        let mut present = Vec::with_capacity(files.len());
        for (file, name) in files.iter().rev() {
            present.push(PresentFile {
                identity: file.known().clone(),
                size: file.largest(),
                name: *name,
            });
        }
        let mut plan = resume(look, position.as_ref(), &ahead, &present);
        if first.is_some() && plan.continues {
            let partials = position.map(|position| position.partials).unwrap_or_default();
            self.decoder.restore(partials);
        } else if !plan.continues {
            self.decoder.restore(Vec::new());
        }
        let gap = plan
            .gap
            .take()
            .or(missed.then(|| Gap::unknown(GapReason::RotatedAway)));
        self.adopt(&plan, &present, files);
        self.resumed = true;
        Ok(gap.into_iter().collect())
    }

    /// The files found, and those that are open and have no name of ours any more, oldest first. Also whether others may
    /// have come and gone: the newest known lost its name since the last look, and there are new ones.
    fn merge(
        &mut self,
        found: VecDeque<(LogFile, Name)>,
        ahead: &[AheadFile],
    ) -> (VecDeque<(LogFile, Name)>, bool) {
        let known = |file: &LogFile| ahead.iter().any(|known| known.file.is(file.known()));
        let mut files = found;
        let new_ones = files.iter().any(|(file, _)| !known(file));
        let nameless = self.queue.back().is_some_and(LogFile::unlinked);
        let missed = nameless && new_ones && !self.known.nameless;
        self.known.nameless = nameless;
        let mut after: Option<usize> = None;
        for held in std::mem::take(&mut self.queue).into_iter().rev() {
            if let Some(at) = files.iter().position(|(file, _)| file.same_inode(&held)) {
                after = Some(at);
                continue;
            }
            // Whatever is not known came later, copies of what is in the next file above all.
            let mut before = files.iter().take(after.unwrap_or(files.len()));
            let at = before.rposition(|(file, _)| known(file)).map_or(0, |at| at + 1);
            let mut held = held;
            // What can't be looked at now is as it was.
            held.look_again().ok();
            files.insert(at, (held, Name::Gone));
            after = Some(at);
        }
        (files, missed)
    }

    /// Takes the files to read into the queue, and remembers the others.
    fn adopt(&mut self, plan: &Resume, present: &[PresentFile], files: VecDeque<(LogFile, Name)>) {
        // `present` is newest first.
        let mut newest_first: Vec<Option<LogFile>> =
            files.into_iter().rev().map(|(file, _)| Some(file)).collect();
        self.known.done = plan
            .done
            .iter()
            .filter_map(|at| present.get(*at))
            .filter(|file| file.name != Name::Gone)
            .map(|file| AheadFile {
                file: file.identity.clone(),
                size: file.size,
            })
            .collect();
        self.queue = plan
            .files
            .iter()
            .filter_map(|at| newest_first.get_mut(*at).and_then(Option::take))
            .collect();
        self.offset = plan.offset;
    }

    /// The reader's own place, with the identity of what was read.
    fn place(&self) -> Option<monopod_core::logs::Position> {
        Some(monopod_core::logs::Position {
            file: self.queue.front()?.known().clone(),
            offset: self.offset,
            partials: Vec::new(),
        })
    }

    fn queued_as_read(&self) -> Vec<AheadFile> {
        let known = |file: &LogFile| AheadFile {
            file: file.known().clone(),
            size: file.largest(),
        };
        self.queue.iter().map(known).collect()
    }

    /// As `fill`, of a plain file.
    pub(super) fn fill_plain(&mut self, batch: &mut Batch, now: &str) -> io::Result<Filled> {
        now.clone_into(&mut self.known.now);
        let mut filled = Filled {
            planned_end: self.at_stop(),
            ..Filled::default()
        };
        if filled.planned_end {
            return Ok(filled);
        }
        loop {
            if self.offset == 0 && self.queue.front().is_some_and(LogFile::has_begun) {
                // It was empty: other lines may have been in it and copied away since.
                filled.gaps = self.look(None)?;
                if !filled.gaps.is_empty() {
                    filled.moved = true;
                    return Ok(filled);
                }
            }
            // To be asked before the read: only then does "nothing more" mean the end of the file.
            let mut newer = self.queue.iter().skip(1);
            let left = newer.any(|file| file.len().is_ok_and(|length| length > 0));
            let Some(read) = self.read_lines(batch, left)? else {
                // Told before the lines behind it are read.
                filled.gaps = self.look(None)?;
                filled.moved = true;
                return Ok(filled);
            };
            filled.consumed += read.consumed as u64;
            filled.moved |= read.consumed > 0;
            filled.planned_end = self.at_stop();
            if filled.planned_end || (read.consumed > 0 && !read.torn) {
                return Ok(filled);
            }
            if !left {
                filled.at_end = true;
                return Ok(filled);
            }
            self.leave();
            filled.moved = true;
            if filled.consumed > 0 {
                return Ok(filled);
            }
        }
    }

    /// The front file is read.
    fn leave(&mut self) {
        if let Some(file) = self.queue.front().filter(|file| !file.unlinked()) {
            let (file, size) = (file.known().clone(), self.offset);
            self.known.done.retain(|known| !known.file.is(&file));
            self.known.done.push(AheadFile { file, size });
        }
        self.next_file();
    }

    /// Reads and takes a chunk, and the last line too where the file is `left`: then `torn` says that this was its end.
    /// None when the file isn't what it was.
    fn read_lines(&mut self, batch: &mut Batch, left: bool) -> io::Result<Option<Chunk>> {
        let until_stop = self.room();
        let Some(file) = self.queue.front_mut() else {
            return Ok(Some(Chunk::default()));
        };
        self.buffer.resize(CHUNK.min(until_stop), 0);
        let read = file.read_at(&mut self.buffer, self.offset)?;
        let bytes = self.buffer.get(..read).unwrap_or_default();
        if self.offset == 0 {
            file.begins_with(bytes);
        }
        if !file.still_holds(self.offset + read as u64)? {
            return Ok(None);
        }
        let Decoder::Lines(lines) = &mut self.decoder else {
            return Ok(Some(Chunk::default()));
        };
        let before = batch.len();
        let mut consumed = lines
            .decode(bytes, &self.known.now, batch.bytes() + CHUNK, batch)
            .consumed;
        let ends = consumed == 0 && left;
        if ends {
            lines.end(bytes, &self.known.now, batch);
            consumed = read;
        }
        let from = self.offset;
        self.offset += consumed as u64;
        if let Some(taken) = bytes.get(..consumed).filter(|taken| !taken.is_empty()) {
            self.spans.push(Span {
                file: file.identity(),
                from,
                to: self.offset,
                checksum: ledger::checksum(taken),
                lines: (batch.len() - before) as u64,
            });
        }
        Ok(Some(Chunk {
            consumed,
            garbage: 0,
            torn: ends,
        }))
    }

    /// The last line of a plain file that nobody will go on with. The place moves behind it.
    pub(super) fn end_line(&mut self, batch: &mut Batch) {
        if self.is_plain()
            && let Err(error) = self.read_lines(batch, true)
        {
            tracing::debug!(%error, "The last line of a file can't be read, ignoring");
        }
    }
}
