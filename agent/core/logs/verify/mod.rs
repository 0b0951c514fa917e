//! Whether what a sink was given can still be proved, from its cursor and the files that are there.
//!
//! ```text
//! cursor + files present ─► ranges ─► (somebody reads them) ─► checksums ─► verify ─► SinkReport ─► text or JSON
//! ```
//!
//! Invariants:
//! - Nothing is taken for delivered because it is not there to be looked at: files that are gone are a sum of their own.
//! - Every byte before the cursor's place, of a file that is there, is in the ledger, or explained by a gap, or shown
//!   as a hole.
//!
//! Deliberately absent: what the far end has. The ledger says what it took; whether it still has it, only it knows.

mod report;
#[cfg(test)]
mod tests;

use super::cursor::{Cursor, FileIdentity};
use super::gap::Gap;
use super::ledger::{Entry, Ledger};
use super::resume::{Look, Name, PresentFile, resume};

pub use report::{
    Check, FileRow, Gone, Handover, Hole, Lines, PlannedRow, SinkReport, ToldGap, Verdict, to_text, verdict,
};

/// A sink, as its cursor file and the agent's status tell of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The cursor's name: `applog.application-log`.
    pub name: String,
    /// Which stream of the machine.
    pub stream: String,
    /// The sink.
    pub sink: String,
    /// What it means that it has a line.
    pub handover: Handover,
    /// Where the lines come from; none where that is the container.
    pub origin: Option<String>,
    /// Where they go, where that is known.
    pub target: Option<String>,
    /// Whether the records of the first source are the engine's, which never shortens a file.
    pub engine_files: bool,
    /// What the sink has.
    pub cursor: Cursor,
}

/// A file of the cursor's sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Which of the cursor's sources it belongs to.
    pub source: usize,
    /// Its name by now.
    pub name: String,
    /// Which.
    pub identity: FileIdentity,
    /// Its length.
    pub size: u64,
    /// Behind its last whole record.
    pub whole: u64,
}

/// Bytes to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Of which of the files present.
    pub file: usize,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
}

/// What of the ledger can be read again, in its order.
pub fn ranges(ledger: &Ledger, present: &[Present]) -> Vec<Range> {
    let range = |entry: &Entry| {
        Some(Range {
            file: located(&entry.file, present)?,
            from: entry.from,
            to: entry.to,
        })
    };
    ledger.files.iter().filter_map(range).collect()
}

/// The report on a sink. `present` are the files of all its sources, each source's oldest first; `checksums` are those
/// of [`ranges`], none where a file is shorter than that by now.
pub fn verify(account: &Account, present: &[Present], checksums: &[Option<u32>]) -> SinkReport {
    let cursor = &account.cursor;
    let (files, gone) = rows(account, present, checksums);
    let holes = holes(cursor, present);
    let gaps: Vec<ToldGap> = told(&cursor.ledger.gaps, true)
        .chain(told(&cursor.gaps, false))
        .chain(told(unseen(account, present).as_slice(), false))
        .collect();
    SinkReport {
        cursor: account.name.clone(),
        stream: account.stream.clone(),
        sink: account.sink.clone(),
        handover: account.handover,
        origin: account.origin.clone(),
        target: account.target.clone(),
        behind_bytes: behind(cursor, present),
        planned: cursor.planned.as_ref().map(|planned| PlannedRow {
            file: located(&planned.end.file, present)
                .and_then(|at| present.get(at))
                .map(|file| file.name.clone()),
            to: planned.end.offset,
        }),
        lines: lines(&cursor.ledger, &gaps),
        verdict: worst(&files, &holes, &gaps, &cursor.ledger),
        gaps_not_listed: cursor.ledger.older_gaps,
        files,
        gone,
        holes,
        gaps,
    }
}

/// Each piece of the ledger: what of it is there, and the sum of the rest.
fn rows(account: &Account, present: &[Present], checksums: &[Option<u32>]) -> (Vec<FileRow>, Gone) {
    let ledger = &account.cursor.ledger;
    let mut gone = Gone {
        files: ledger.older.files,
        bytes: ledger.older.bytes,
        lines: ledger.older.lines,
    };
    let (mut files, mut checksums) = (Vec::new(), checksums.iter());
    for entry in &ledger.files {
        let (at, check) = match located(&entry.file, present) {
            Some(at) => {
                let check = match checksums.next().copied().flatten() {
                    Some(now) if now == entry.checksum => Check::Match,
                    Some(_) => Check::Differs,
                    None => Check::Shorter,
                };
                (Some(at), check)
            }
            // The engine never writes a file anew: who else did, changed what was delivered.
            None => {
                let same = present
                    .iter()
                    .position(|file| same_inode(&entry.file, &file.identity));
                (same.filter(|_| account.engine_files), Check::Differs)
            }
        };
        match at.and_then(|at| present.get(at)) {
            Some(file) => files.push(FileRow {
                file: file.name.clone(),
                from: entry.from,
                to: entry.to,
                lines: entry.lines,
                checksum: check,
            }),
            None => {
                gone.files += 1;
                gone.bytes += entry.to.saturating_sub(entry.from);
                gone.lines += entry.lines;
            }
        }
    }
    (files, gone)
}

fn located(identity: &FileIdentity, present: &[Present]) -> Option<usize> {
    present.iter().position(|file| identity.is(&file.identity))
}

/// The same file on disk with another beginning.
fn same_inode(before: &FileIdentity, now: &FileIdentity) -> bool {
    before.device == now.device
        && before.inode == now.inode
        && before.birth.is_some()
        && before.birth == now.birth
}

/// Bytes before the cursor's place that the ledger doesn't have and no gap explains.
fn holes(cursor: &Cursor, present: &[Present]) -> Vec<Hole> {
    let Some(position) = &cursor.position else {
        return Vec::new();
    };
    let Some(reached) = located(&position.file, present) else {
        return Vec::new();
    };
    let ledger = &cursor.ledger;
    // What is said of the oldest pieces is a sum: what lies before the first one remembered was counted in it.
    let first = ledger
        .files
        .first()
        .filter(|_| ledger.older.files > 0)
        .and_then(|entry| Some((located(&entry.file, present)?, entry.from)));
    let mut holes = Vec::new();
    for (at, file) in present.iter().enumerate().take(reached + 1) {
        let end = if at == reached {
            position.offset
        } else {
            file.whole
        };
        let mut seen = match first {
            Some((first, _)) if at < first => continue,
            Some((first, from)) if at == first => from,
            _ => 0,
        };
        let mut pieces: Vec<&Entry> = ledger
            .files
            .iter()
            .filter(|entry| entry.file.is(&file.identity))
            .collect();
        pieces.sort_by_key(|entry| entry.from);
        let behind = (end, end);
        for (from, to) in pieces.iter().map(|entry| (entry.from, entry.to)).chain([behind]) {
            if from > seen && !explained(cursor, from - seen) {
                holes.push(Hole {
                    file: file.name.clone(),
                    from: seen,
                    to: from,
                });
            }
            seen = seen.max(to);
        }
    }
    holes
}

/// Whether a gap is as long as this.
fn explained(cursor: &Cursor, bytes: u64) -> bool {
    let gaps = cursor.ledger.gaps.iter().chain(&cursor.gaps);
    gaps.into_iter().any(|gap| gap.bytes == bytes)
}

/// What will be found to be lost when reading goes on from here.
fn unseen(account: &Account, present: &[Present]) -> Vec<Gap> {
    let cursor = &account.cursor;
    // A gap that was found and waits to be told is this very one, and the place moves behind it with the telling.
    let is_found = cursor.gaps.iter().any(|gap| !gap.was_read());
    if !account.engine_files || cursor.position.is_none() || is_found {
        return Vec::new();
    }
    let newest_first: Vec<PresentFile> = present
        .iter()
        .rev()
        .filter(|file| file.source == 0)
        .map(|file| PresentFile {
            identity: file.identity.clone(),
            size: file.size,
            name: Name::Rotated,
        })
        .collect();
    let mut gap = resume(
        Look::Records,
        cursor.position.as_ref(),
        &cursor.ahead,
        &newest_first,
    )
    .gap;
    if let Some(gap) = &mut gap {
        gap.from = gap.from.take().or_else(|| cursor.last_time.clone());
    }
    gap.into_iter().collect()
}

fn told(gaps: &[Gap], told: bool) -> impl Iterator<Item = ToldGap> {
    gaps.iter().map(move |gap| ToldGap {
        gap: gap.clone(),
        told,
    })
}

/// Bytes that wait: from the cursor's place to the end of the last source.
fn behind(cursor: &Cursor, present: &[Present]) -> u64 {
    let reached = cursor
        .position
        .as_ref()
        .and_then(|position| Some((located(&position.file, present)?, position.offset)));
    let waits = |(at, file): (usize, &Present)| match reached {
        Some((reached, _)) if at < reached => 0,
        Some((reached, offset)) if at == reached => file.size.saturating_sub(offset),
        Some(_) | None => file.size,
    };
    present.iter().enumerate().map(waits).sum()
}

fn lines(ledger: &Ledger, gaps: &[ToldGap]) -> Lines {
    let later: Vec<&Gap> = gaps.iter().filter(|gap| !gap.told).map(|gap| &gap.gap).collect();
    // Lines that a sink refused were read for it; lines that were never read are in no range.
    let refused: u64 = gaps
        .iter()
        .filter(|gap| gap.gap.was_read())
        .map(|gap| gap.gap.lines)
        .sum();
    let read = ledger.lines();
    Lines {
        read,
        delivered: read.saturating_sub(ledger.excluded + refused),
        excluded: ledger.excluded,
        lost: ledger.lost + later.iter().map(|gap| gap.lines).sum::<u64>(),
        lost_exact: !ledger.lost_at_least && later.iter().all(|gap| gap.exact),
    }
}

fn worst(files: &[FileRow], holes: &[Hole], gaps: &[ToldGap], ledger: &Ledger) -> Verdict {
    if files.iter().any(|file| file.checksum != Check::Match) {
        Verdict::Differs
    } else if !holes.is_empty() || !gaps.is_empty() || ledger.older_gaps > 0 {
        Verdict::Lost
    } else {
        Verdict::Complete
    }
}
