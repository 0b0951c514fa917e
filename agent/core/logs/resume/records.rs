//! The engine's files: closed before the next is made, and only ever renamed or removed.

use super::super::cursor::{AheadFile, FileIdentity, Position};
use super::super::gap::{Gap, GapReason};
use super::{PresentFile, Resume};

/// Decides from the cursor's position, the files it knew (`ahead`, oldest first) and the files there are now,
/// newest first.
///
/// - no position: the oldest file, from its start;
/// - the position's file is there and long enough: that place, nothing lost;
/// - it's there but shorter, with the same beginning: a power cut took its tail, which we had read. Its end, and
///   nothing is lost;
/// - every file is gone: the container was removed, which may be done only when it was drained. A gap if it wasn't;
/// - it's gone and the next file known then is there: that one, with a gap unless it had been read to its end;
/// - it's gone and others are there: the oldest file, with a gap of what was known to be unread in files that are
///   gone too. More may have come and gone since, so the count is never exact.
pub(super) fn resume(position: Option<&Position>, ahead: &[AheadFile], present: &[PresentFile]) -> Resume {
    let oldest = present.len().checked_sub(1);
    let Some(position) = position else {
        return from(oldest, 0, false, None);
    };
    let found = present
        .iter()
        .enumerate()
        .find(|(_, file)| position.file.is(&file.identity));
    match found {
        Some((index, file)) => from(Some(index), position.offset.min(file.size), true, None),
        None if present.is_empty() => {
            let gap = gap(position, ahead, present, GapReason::ContainerRemoved);
            from(None, 0, false, (gap.bytes > 0).then_some(gap))
        }
        None => {
            let gap = gap(position, ahead, present, truncated_or_rotated(position, present));
            // The next file known is there: nothing came in between, and so what is gone is known.
            let next = ahead.iter().find_map(|file| index_of(&file.file, present));
            let nothing_lost = next.is_some() && gap.bytes == 0;
            from(next.or(oldest), 0, nothing_lost, (!nothing_lost).then_some(gap))
        }
    }
}

/// This file and all that are newer.
fn from(file: Option<usize>, offset: u64, continues: bool, gap: Option<Gap>) -> Resume {
    Resume {
        files: file.map_or_else(Vec::new, |oldest| (0..=oldest).rev().collect()),
        offset,
        continues,
        gap,
        done: Vec::new(),
    }
}

fn index_of(file: &FileIdentity, present: &[PresentFile]) -> Option<usize> {
    present.iter().position(|now| file.is(&now.identity))
}

/// The same inode and birth with another beginning is a file truncated in place, not one that was removed.
fn truncated_or_rotated(position: &Position, present: &[PresentFile]) -> GapReason {
    let same_inode = |file: &&PresentFile| {
        let (before, now) = (&position.file, &file.identity);
        before.device == now.device
            && before.inode == now.inode
            && before.birth.is_some()
            && before.birth == now.birth
    };
    if present.iter().any(|file| same_inode(&file)) {
        GapReason::Truncated
    } else {
        GapReason::RotatedAway
    }
}

fn gap(position: &Position, ahead: &[AheadFile], present: &[PresentFile], reason: GapReason) -> Gap {
    let gone = |file: &&AheadFile| {
        !present
            .iter()
            .any(|now| file.file.is(&now.identity) && now.size >= file.size)
    };
    let unread = |file: &AheadFile| {
        let read = if file.file == position.file {
            position.offset
        } else {
            0
        };
        file.size.saturating_sub(read)
    };
    let bytes = ahead.iter().filter(gone).map(unread).sum();
    Gap {
        bytes,
        ..Gap::unknown(reason)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Name;
    use super::*;

    fn identity(inode: u64, number: u64) -> FileIdentity {
        let first_record = Some(FileIdentity::hash(&number.to_le_bytes()));
        FileIdentity {
            device: 1,
            inode,
            birth: None,
            first_record,
        }
    }

    fn at(file: FileIdentity, offset: u64) -> Position {
        Position {
            file,
            offset,
            partials: Vec::new(),
        }
    }

    #[test]
    fn begins_with_the_oldest_file() {
        let present = [1, 2, 3].map(|number| PresentFile {
            identity: identity(number, number),
            size: 9,
            name: Name::Rotated,
        });
        assert_eq!(resume(None, &[], &present).files, [2, 1, 0]);
        assert!(resume(None, &[], &[]).files.is_empty());
    }

    #[test]
    fn a_removed_container_is_a_gap() {
        let ahead = [AheadFile {
            file: identity(1, 1),
            size: 10,
        }];
        let gap = resume(Some(&at(identity(1, 1), 4)), &ahead, &[]).gap.unwrap();
        assert_eq!(
            (gap.bytes, gap.exact, gap.reason),
            (6, false, GapReason::ContainerRemoved)
        );
    }

    #[test]
    fn a_truncated_file_starts_over() {
        let truncated = FileIdentity {
            birth: Some(7),
            ..identity(1, 2)
        };
        let before = at(
            FileIdentity {
                birth: Some(7),
                ..identity(1, 1)
            },
            4,
        );
        let ahead = [AheadFile {
            file: before.file.clone(),
            size: 10,
        }];
        let resumed = resume(
            Some(&before),
            &ahead,
            &[PresentFile {
                identity: truncated,
                size: 3,
                name: Name::Current,
            }],
        );
        assert_eq!(
            (resumed.files, resumed.offset, resumed.continues),
            (vec![0], 0, false)
        );
        let gap = resumed.gap.unwrap();
        assert_eq!((gap.bytes, gap.reason), (6, GapReason::Truncated));
    }

    #[test]
    fn a_tail_lost_by_a_power_cut_is_not_lost_to_us() {
        let present = [PresentFile {
            identity: identity(1, 1),
            size: 3,
            name: Name::Current,
        }];
        let resumed = resume(Some(&at(identity(1, 1), 4)), &[], &present);
        assert_eq!(resumed, from(Some(0), 3, true, None));
    }

    /// A model of the engine: files of a hundred bytes each, rotated `keep` deep, inodes recycled at once.
    struct Engine {
        /// Newest first: inode, number, size.
        files: Vec<(u64, u64, u64)>,
        keep: usize,
        next: u64,
        free: Vec<u64>,
    }

    impl Engine {
        fn rotate(&mut self) {
            if self.files.len() == self.keep {
                let (inode, ..) = self.files.pop().unwrap();
                self.free.push(inode);
            }
            self.next += 1;
            let inode = self.free.pop().unwrap_or(self.next);
            self.files.insert(0, (inode, self.next, 100));
        }

        fn present(&self) -> Vec<PresentFile> {
            let file = |&(inode, number, size): &(u64, u64, u64)| PresentFile {
                identity: identity(inode, number),
                size,
                name: Name::Rotated,
            };
            self.files.iter().map(file).collect()
        }
    }

    proptest! {
        /// Whatever rotates while nobody looks: it reads on at the place if that's there, else at the oldest file
        /// with a gap, and never counts as lost what is still there.
        #[test]
        fn never_skips_in_silence(
            keep in 2usize..6, before in 1u64..9, after in 0u64..9, behind in 0usize..6, offset in 0u64..=100,
        ) {
            let mut engine = Engine { files: Vec::new(), keep, next: 0, free: Vec::new() };
            (0..before).for_each(|_| engine.rotate());
            let then = engine.present();
            let index = behind.min(then.len() - 1);
            let position = at(then[index].identity.clone(), offset);
            let ahead: Vec<AheadFile> = then[..=index].iter().rev()
                .map(|file| AheadFile { file: file.identity.clone(), size: file.size }).collect();
            (0..after).for_each(|_| engine.rotate());
            let now = engine.present();
            let resumed = resume(Some(&position), &ahead, &now);
            let still_there = now.iter().position(|file| file.identity == position.file);
            if let Some(there) = still_there {
                prop_assert_eq!(resumed, from(Some(there), offset, true, None));
            } else {
                prop_assert_eq!((resumed.files.first(), resumed.offset), (Some(&(now.len() - 1)), 0));
                let gone = ahead.iter().filter(|file| !now.iter().any(|now| now.identity == file.file)).count();
                let lost = gone as u64 * 100 - offset;
                let next_is_there = gone < ahead.len();
                prop_assert_eq!(resumed.gap.is_none(), lost == 0 && next_is_there);
                prop_assert_eq!(resumed.continues, resumed.gap.is_none());
                if let Some(gap) = resumed.gap {
                    prop_assert!(!gap.exact);
                    prop_assert_eq!(gap.bytes, lost);
                }
            }
        }
    }
}
