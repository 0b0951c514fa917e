//! The rules one by one. All of them together, over random rotations of real files, are tested with the reader.

use proptest::prelude::*;

use super::super::cursor::{AheadFile, FileIdentity, Position};
use super::super::gap::GapReason;
use super::{Look, Name, PresentFile, Resume, resume};

/// Inode and birth are the same number here; `first` is the first line.
fn identity(inode: u64, first: Option<u64>) -> FileIdentity {
    FileIdentity {
        device: 1,
        inode,
        birth: Some(inode),
        first_record: first.map(|first| FileIdentity::hash(&first.to_le_bytes())),
    }
}

fn at(inode: u64, first: u64, offset: u64) -> Position {
    Position {
        file: identity(inode, Some(first)),
        offset,
        partials: Vec::new(),
    }
}

fn ahead(inode: u64, first: u64, size: u64) -> AheadFile {
    AheadFile {
        file: identity(inode, Some(first)),
        size,
    }
}

fn file(name: Name, inode: u64, first: Option<u64>, size: u64) -> PresentFile {
    PresentFile {
        identity: identity(inode, first),
        size,
        name,
    }
}

fn told(resumed: &Resume) -> Option<(GapReason, u64, bool)> {
    resumed
        .gap
        .as_ref()
        .map(|gap| (gap.reason.clone(), gap.bytes, gap.exact))
}

#[test]
fn begins_with_the_current_file_or_waits_for_it() {
    let present = [
        file(Name::Current, 2, Some(2), 9),
        file(Name::Rotated, 1, Some(1), 9),
    ];
    let resumed = resume(Look::Plain, None, &[], &present);
    assert_eq!((resumed.files, resumed.done), (vec![0], vec![1]));
    let resumed = resume(Look::Plain, None, &[], &present[1..]);
    assert_eq!((resumed.files, resumed.done), (vec![], vec![0]));
    let resumed = resume(Look::PlainAgain, None, &[ahead(1, 1, 9)], &present);
    assert_eq!(resumed.files, [0]);
}

#[test]
fn begun_and_not_settled_begins_there_again() {
    let present = [
        file(Name::Current, 2, Some(2), 9),
        file(Name::Rotated, 1, Some(1), 9),
    ];
    let resumed = resume(Look::Plain, None, &[ahead(1, 1, 5)], &present);
    assert_eq!(
        (resumed.files, resumed.offset, resumed.gap),
        (vec![1, 0], 0, None)
    );
}

#[test]
fn a_copy_gives_its_rest() {
    let present = [
        file(Name::Current, 1, Some(5), 3),
        file(Name::Rotated, 2, Some(1), 8),
    ];
    let known = [ahead(1, 1, 10)];
    let resumed = resume(Look::Plain, Some(&at(1, 1, 6)), &known, &present);
    assert_eq!(told(&resumed), Some((GapReason::Truncated, 2, false)));
    assert_eq!(
        (resumed.files, resumed.offset, resumed.continues),
        (vec![1, 0], 6, true)
    );
    // It was made before the last lines we have read.
    let resumed = resume(Look::Plain, Some(&at(1, 1, 9)), &known, &present);
    assert_eq!(
        (resumed.files, resumed.offset, resumed.continues),
        (vec![0], 0, false)
    );
}

#[test]
fn a_copy_being_made_is_left_and_looked_at_again() {
    let present = [
        file(Name::Current, 1, Some(1), 10),
        file(Name::Rotated, 2, Some(1), 4),
    ];
    let resumed = resume(
        Look::PlainAgain,
        Some(&at(1, 1, 10)),
        &[ahead(1, 1, 10)],
        &present,
    );
    assert_eq!(
        (resumed.files, resumed.done, resumed.gap),
        (vec![0], vec![], None)
    );
}

#[test]
fn a_shorter_file_goes_on_at_its_end_after_a_start_and_is_a_gap() {
    let present = [file(Name::Current, 1, Some(1), 4)];
    let known = [ahead(1, 1, 10)];
    let resumed = resume(Look::Plain, Some(&at(1, 1, 10)), &known, &present);
    assert_eq!(told(&resumed), Some((GapReason::Truncated, 0, false)));
    assert_eq!((resumed.offset, resumed.continues), (4, true));
    let resumed = resume(Look::PlainAgain, Some(&at(1, 1, 10)), &known, &present);
    assert_eq!((resumed.offset, resumed.continues), (0, false));
}

#[test]
fn a_file_that_is_gone_is_a_gap_unless_its_writer_had_left_it() {
    let present = [file(Name::Current, 2, Some(2), 9)];
    let resumed = resume(Look::Plain, Some(&at(1, 1, 4)), &[ahead(1, 1, 6)], &present);
    assert_eq!(told(&resumed), Some((GapReason::RotatedAway, 2, false)));
    let known = [ahead(1, 1, 4), ahead(2, 2, 1)];
    let resumed = resume(Look::Plain, Some(&at(1, 1, 4)), &known, &present);
    assert_eq!((resumed.files, resumed.gap), (vec![0], None));
}

proptest! {
    /// By rename, however often and deep, while nobody looks: reads on at the place with all that is newer, or tells a
    /// gap and reads all there is; old files that were done with never come again.
    #[test]
    fn renames_are_never_skipped_in_silence(keep in 1u64..5, old in 0u64..4, after in 0u64..8, read in 1u64..=10) {
        // File `n` has inode, birth and first line `n`, and ten bytes.
        let current = old + 1;
        let known: Vec<AheadFile> = (1..=current).map(|number| ahead(number, number, 10)).collect();
        let newest = current + after;
        let oldest = newest.saturating_sub(keep).max(1);
        let name = |number| if number == newest { Name::Current } else { Name::Rotated };
        let present: Vec<PresentFile> =
            (oldest..=newest).rev().map(|number| file(name(number), number, Some(number), 10)).collect();
        let resumed = resume(Look::Plain, Some(&at(current, current, read)), &known, &present);
        let numbers: Vec<u64> = resumed.files.iter().map(|index| newest - *index as u64).collect();
        prop_assert_eq!(&numbers, &(oldest.max(current)..=newest).collect::<Vec<_>>());
        let there = oldest <= current;
        prop_assert_eq!(resumed.gap.is_none(), there);
        prop_assert_eq!(resumed.offset, if there { read } else { 0 });
        if let Some(gap) = resumed.gap {
            prop_assert_eq!((gap.bytes, gap.exact), (10 - read, false));
        }
    }
}
