//! Plain files: renamed, copied and truncated, removed and made again, by whoever likes.
//!
//! ```text
//! by rename        x.log ─► x.log.1, a new x.log: same file, other name
//! by copytruncate  x.log copied to x.log.1 (another inode, the same beginning), then x.log is empty
//! ```
//!
//! - No position: the current file from its start, none of the rotated ones. It may not be there yet; whatever comes
//!   later is read from its start.
//! - The position's file is there, and is what it was: that place.
//! - It was truncated: the copy from that place if there is one, files that came since, then the file from its start.
//!   What was written between copy and truncation, or was read by nobody before it, nobody knows: a gap, never exact.
//! - It's gone: what is not known to have been read, from the oldest, with a gap unless the next one was known to be
//!   written to already.
//! - A copy whose original still has the same beginning is being made: it is left for a later look.
//!
//! What can't be seen, and so is not told: files made and removed between two looks, lines written to a file and
//! truncated away between two looks when nothing of it had been read and no copy was kept, and, if every file begins
//! with the same line, a truncated file that has grown beyond the old place before the next look.

use super::super::cursor::{AheadFile, FileIdentity, Position};
use super::super::gap::{Gap, GapReason};
use super::{Look, Name, PresentFile, Resume};

pub(super) fn resume(
    look: Look,
    position: Option<&Position>,
    ahead: &[AheadFile],
    present: &[PresentFile],
) -> Resume {
    let set = Set { look, ahead, present };
    match (position, ahead.first()) {
        (Some(position), _) => set.at(position),
        // Nothing was settled yet, but reading had begun: all that is ahead is still to be read.
        (None, Some(first)) if look == Look::Plain => set.at(&Position {
            file: first.file.clone(),
            offset: 0,
            partials: Vec::new(),
        }),
        (None, _) => set.begin(),
    }
}

struct Set<'a> {
    look: Look,
    ahead: &'a [AheadFile],
    present: &'a [PresentFile],
}

impl Set<'_> {
    /// Nothing was read so far.
    fn begin(&self) -> Resume {
        let first = self.look == Look::Plain;
        let wanted = |index: &usize| {
            let current = self.file(*index).is_some_and(|file| file.name == Name::Current);
            if first { current } else { !self.known(*index) }
        };
        let files: Vec<usize> = (0..self.present.len()).rev().filter(wanted).collect();
        self.resume(files, 0, false, None, Others::MayBeCopies)
    }

    fn at(&self, position: &Position) -> Resume {
        let found = self
            .present
            .iter()
            .position(|file| position.file.is(&file.identity));
        match found {
            Some(index) if position.offset == 0 => self.later_too(position, self.unread(position, index)),
            Some(index) => {
                let size = self.file(index).map_or(0, |file| file.size);
                if size >= position.offset {
                    let (files, others) = (self.since(index), Others::MayBeCopies);
                    let resume = self.resume(files, position.offset, true, None, others);
                    return self.later_too(position, resume);
                }
                if self.look == Look::PlainAgain {
                    return self.truncated(position, index);
                }
                // A power cut took what we had read, as it does with files that nobody syncs; or it was truncated and
                // begins with the same line again.
                let gap = Gap::unknown(GapReason::Truncated);
                self.resume(self.since(index), size, true, Some(gap), Others::MayBeCopies)
            }
            None => {
                let same = |file: &PresentFile| same_inode(&position.file, &file.identity);
                match self.present.iter().position(same) {
                    Some(index) => self.truncated(position, index),
                    None => self.gone(position),
                }
            }
        }
    }

    /// Nothing of the file was read. Copies that came since hold what was in it before it was truncated.
    fn unread(&self, position: &Position, index: usize) -> Resume {
        let oldest = self.oldest_unknown(index);
        let shorter = self.known_size(&position.file) > self.file(index).map(|file| file.size);
        let gap = (oldest > index || shorter).then(|| Gap::unknown(GapReason::Truncated));
        self.resume(self.since(oldest), 0, gap.is_none(), gap, Others::MayBeCopies)
    }

    /// The place is there, but a file known to come after it may have gone unread, or been truncated.
    fn later_too(&self, position: &Position, mut resume: Resume) -> Resume {
        // Beside a file without a name, what is done with can lie behind it.
        let (done, files) = resume.files.iter().partition(|at| self.done(**at, position));
        resume.files = files;
        resume.done.extend::<Vec<usize>>(done);
        let there = |known: &&AheadFile| self.present.iter().any(|file| known.file.is(&file.identity));
        let lost: u64 = self
            .later(position)
            .iter()
            .filter(|known| !there(known))
            .map(|known| known.size)
            .sum();
        if lost > 0 && resume.gap.is_none() {
            resume.gap = Some(Gap {
                bytes: lost,
                ..Gap::unknown(GapReason::RotatedAway)
            });
        }
        resume
    }

    /// The file at `index` is the position's, with other content.
    fn truncated(&self, position: &Position, index: usize) -> Resume {
        let oldest = self.oldest_unknown(index);
        // Usually right before the file; anywhere, if the file has lost its name meanwhile.
        let copied = (0..self.present.len())
            .rev()
            .find(|at| *at != index && !self.known(*at) && self.copy_of(*at, &position.file));
        let size = copied.and_then(|at| self.file(at)).map_or(0, |file| file.size);
        let whole = size >= position.offset;
        let rest = |oldest| self.since(oldest).into_iter().filter(|at| Some(*at) != copied);
        let files: Vec<usize> = match copied {
            Some(at) if whole => std::iter::once(at).chain(rest(at.max(index))).collect(),
            Some(at) => rest(at.max(index)).collect(),
            None => self.since(oldest),
        };
        let continues = copied.is_some() && whole;
        let offset = if continues { position.offset } else { 0 };
        let known = self.known_size(&position.file).unwrap_or(0);
        let gap = Gap {
            bytes: known.saturating_sub(position.offset.max(size)),
            ..Gap::unknown(GapReason::Truncated)
        };
        self.resume(files, offset, continues, Some(gap), Others::Done)
    }

    /// The file isn't there any more, under no name.
    fn gone(&self, position: &Position) -> Resume {
        let fresh: Vec<usize> = (0..self.present.len())
            .rev()
            .filter(|at| !self.done(*at, position))
            .collect();
        let size = |at: usize| self.file(at).map_or(0, |file| file.size);
        let copied = |at: &usize| self.copy_of(*at, &position.file) && size(*at) >= position.offset;
        if let Some(copy) = fresh.iter().position(|at| !self.known(*at) && copied(at)) {
            let files = fresh.get(copy..).unwrap_or_default().to_vec();
            let gap = Gap::unknown(GapReason::RotatedAway);
            return self.resume(files, position.offset, true, Some(gap), Others::Done);
        }
        let later = self.later(position);
        let there = |known: &&AheadFile| self.present.iter().any(|file| known.file.is(&file.identity));
        // Only once the next file is written to, the writer has left the one before.
        let next = later.iter().find(|known| known.size > 0);
        let read = self.known_size(&position.file) == Some(position.offset);
        if read && next.is_some_and(|next| there(&next)) {
            return self.resume(fresh, 0, true, None, Others::Done);
        }
        let unread = self
            .known_size(&position.file)
            .map_or(0, |size| size.saturating_sub(position.offset));
        let lost: u64 = later
            .iter()
            .filter(|known| !there(known))
            .map(|known| known.size)
            .sum();
        let gap = Gap {
            bytes: unread + lost,
            ..Gap::unknown(GapReason::RotatedAway)
        };
        self.resume(fresh, 0, false, Some(gap), Others::Done)
    }

    fn resume(
        &self,
        files: Vec<usize>,
        offset: u64,
        continues: bool,
        gap: Option<Gap>,
        others: Others,
    ) -> Resume {
        let first = files.first().copied();
        let files: Vec<usize> = files
            .into_iter()
            .filter(|at| Some(*at) == first && offset > 0 || !self.being_made(*at))
            .collect();
        let done = (0..self.present.len()).rev().filter(|at| {
            let open = others == Others::MayBeCopies && !self.known(*at) && self.may_be_copy(*at);
            !files.contains(at) && !open && !self.being_made(*at)
        });
        // Somebody copied and truncated what nobody had looked at: what fell between is not known.
        let cycled =
            |at: &usize| *at > 0 && Some(*at) != first && !self.known(*at) && self.made_after_newer(*at);
        let unseen = || {
            files
                .iter()
                .any(cycled)
                .then(|| Gap::unknown(GapReason::Truncated))
        };
        let gap = gap.or_else(unseen);
        Resume {
            done: done.collect(),
            files,
            offset,
            continues,
            gap,
        }
    }

    fn file(&self, index: usize) -> Option<&PresentFile> {
        self.present.get(index)
    }

    /// This one and all newer ones.
    fn since(&self, oldest: usize) -> Vec<usize> {
        (0..=oldest).rev().collect()
    }

    /// Was there at the last look.
    fn known(&self, index: usize) -> bool {
        self.file(index)
            .is_some_and(|file| self.ahead.iter().any(|known| known.file.is(&file.identity)))
    }

    /// Was there before the position's file.
    fn done(&self, index: usize, position: &Position) -> bool {
        let until = self.place(&position.file).unwrap_or(0);
        let before = self.ahead.get(..until).unwrap_or_default();
        self.file(index)
            .is_some_and(|file| before.iter().any(|known| known.file.is(&file.identity)))
    }

    fn place(&self, file: &FileIdentity) -> Option<usize> {
        self.ahead
            .iter()
            .position(|known| known.file == *file || known.file.is(file))
    }

    fn known_size(&self, file: &FileIdentity) -> Option<u64> {
        self.place(file)
            .and_then(|at| self.ahead.get(at))
            .map(|known| known.size)
    }

    /// What was known to come after the position's file.
    fn later(&self, position: &Position) -> &[AheadFile] {
        let after = self.place(&position.file).map_or(0, |at| at + 1);
        self.ahead.get(after..).unwrap_or_default()
    }

    /// The oldest of the files right before this one that came since the last look.
    fn oldest_unknown(&self, index: usize) -> usize {
        let came = (index + 1..self.present.len()).take_while(|at| !self.known(*at));
        came.filter(|at| self.file(*at).is_some_and(|file| file.size > 0) && !self.being_made(*at))
            .last()
            .unwrap_or(index)
    }

    fn copy_of(&self, index: usize, original: &FileIdentity) -> bool {
        self.file(index).is_some_and(|file| {
            file.name == Name::Rotated
                && file.identity.first_record.is_some()
                && file.identity.first_record == original.first_record
                && !is_older(&file.identity, original)
        })
    }

    /// A newer file that is still what it was has the same beginning, and existed first: it's being copied.
    fn being_made(&self, index: usize) -> bool {
        let Some(copy) = self.file(index).filter(|file| file.name == Name::Rotated) else {
            return false;
        };
        let newer = self.present.get(..index).unwrap_or_default();
        newer.iter().any(|original| {
            let (mine, theirs) = (&copy.identity.first_record, &original.identity.first_record);
            is_older(&original.identity, &copy.identity)
                && original.size >= copy.size
                && (mine.is_none() || mine == theirs)
        })
    }

    /// It may be, or become, a copy of a file that's being read: no reason to call it known.
    fn may_be_copy(&self, index: usize) -> bool {
        let Some(file) = self.file(index) else {
            return false;
        };
        let newer = self.present.get(..index).unwrap_or_default();
        file.identity.first_record.is_none()
            || newer.iter().any(|original| {
                file.identity.first_record == original.identity.first_record
                    && !is_older(&file.identity, &original.identity)
            })
    }

    fn made_after_newer(&self, index: usize) -> bool {
        let newer = self.present.get(..index).unwrap_or_default();
        self.file(index).is_some_and(|file| {
            newer
                .iter()
                .any(|newer| is_older(&newer.identity, &file.identity))
        })
    }
}

/// What becomes of files that are not to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// They were dealt with.
    Done,
    /// One that may be a copy of what is being read is looked at again.
    MayBeCopies,
}

/// Known to be made before.
fn is_older(file: &FileIdentity, than: &FileIdentity) -> bool {
    matches!((file.birth, than.birth), (Some(mine), Some(theirs)) if mine < theirs)
}

/// The same inode and not made since. A device's number can change with a reboot, a birth can't.
fn same_inode(before: &FileIdentity, now: &FileIdentity) -> bool {
    before.inode == now.inode
        && match (before.birth, now.birth) {
            (Some(before), Some(now)) => before == now,
            _ => before.device == now.device,
        }
}
