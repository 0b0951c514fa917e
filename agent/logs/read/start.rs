//! Where to begin, without reading what is not asked for.

use std::collections::VecDeque;
use std::io;

use monopod_core::logs::{Batch, Joiner, Position};
use monopod_core::text;

use super::super::files::LogFile;
use super::{SLACK_MILLIS, Sieve, Sifted, Wanted};

/// Where looking for the last lines begins; every further look takes in four times as much.
const WINDOW: u64 = 64 * 1024;
/// No record is longer.
const RECORD_MAX: usize = 1024 * 1024;

/// Where to begin.
#[derive(Debug)]
pub(super) struct Start {
    /// None for the beginning of the oldest file.
    pub(super) position: Option<Position>,
    /// Lines to leave out first.
    pub(super) skip: u64,
    /// Whether no line can have begun before.
    pub(super) is_clean: bool,
}

/// Decides where to begin: whole files that are too old are left out by the time of their first record, and the last
/// lines are looked for from the end.
pub(super) fn start(files: &mut VecDeque<LogFile>, wanted: &Wanted, followed: bool) -> io::Result<Start> {
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
        let mut sieve = Sieve::new(wanted, is_clean);
        let found = count(files, (file, offset), &mut sieve, followed)?;
        if (found >= last && sieve.is_certain()) || (file <= first && offset == 0) {
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
pub(in crate::logs) fn whole(file: &LogFile) -> io::Result<u64> {
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
    from: (usize, u64),
    sieve: &mut Sieve,
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
    let (first, mut offset) = from;
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
