//! When application.log gets a new file, and which old ones go.

use std::time::Duration;

use super::route::Rotate;

/// The bounds of application.log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// A file that would grow beyond this is put aside.
    pub max_size: u64,
    /// A file as old as this is put aside.
    pub max_age: Duration,
    /// Files put aside that are kept.
    pub keep: usize,
    /// Bytes of all files together. Full disks were the most frequent outage, so it wins over `keep`.
    pub total: u64,
    /// From which number on files put aside are compressed; none: never.
    pub compress_from: Option<usize>,
}

impl Default for RotationPolicy {
    /// 256 MiB or a week and four old files as ever, compressed from the second on, within 1 GiB.
    fn default() -> Self {
        Self {
            max_size: 256 << 20,
            max_age: Duration::from_secs(7 * 86_400),
            keep: 4,
            total: 1 << 30,
            compress_from: Some(2),
        }
    }
}

impl From<&Rotate> for RotationPolicy {
    /// A plan without figures is that of an agent before there were any.
    fn from(rotate: &Rotate) -> Self {
        if rotate.size == 0 {
            return Self::default();
        }
        Self {
            max_size: rotate.size,
            max_age: match rotate.interval_seconds {
                0 => Duration::MAX,
                seconds => Duration::from_secs(seconds),
            },
            keep: rotate.keep,
            total: rotate.total,
            compress_from: rotate
                .compress
                .then_some(if rotate.delay_compress { 2 } else { 1 }),
        }
    }
}

/// A file put aside: `application.log.<number>`, with `.gz` behind it when it is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatedFile {
    /// Its number: 1 is the newest.
    pub number: usize,
    /// Its length.
    pub size: u64,
}

/// What to do before some bytes are written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Write them to the file there is.
    Stay,
    /// Remove these numbers, rename the rest one up, begin a new file.
    Rotate {
        /// The numbers to remove, highest first.
        remove: Vec<usize>,
    },
}

/// Decides for a file of `current` bytes and this age that is to take `incoming` more.
///
/// An empty file always takes what comes, so a piece larger than `max_size` can't rotate for ever.
pub fn decide(
    policy: RotationPolicy,
    current: u64,
    age: Duration,
    incoming: u64,
    rotated: &[RotatedFile],
) -> Rotation {
    let fits = current.saturating_add(incoming) <= policy.max_size && age < policy.max_age;
    if current == 0 || fits {
        return Rotation::Stay;
    }
    // After the renames: a new file that may fill up, the current one, then the old ones, newest first. A file that is to
    // be compressed is counted as it is: there has to be room for both while that is done.
    let mut total = policy.max_size.saturating_add(current);
    let mut oldest_last = rotated.to_vec();
    oldest_last.sort_by_key(|file| file.number);
    let mut remove = Vec::new();
    for (index, file) in oldest_last.iter().enumerate() {
        total = total.saturating_add(file.size);
        if total > policy.total || index + 1 >= policy.keep {
            remove.push(file.number);
        }
    }
    remove.reverse();
    Rotation::Rotate { remove }
}

/// What has to go so that the disk keeps `reserve` bytes free: the oldest files put aside, one after the other, none of
/// them in vain. Logs are copies of what the engine's files have or had; a full disk is an outage of everything.
pub fn sacrifice(free: u64, reserve: u64, rotated: &[RotatedFile]) -> Vec<usize> {
    let mut missing = reserve.saturating_sub(free);
    let mut oldest_first = rotated.to_vec();
    oldest_first.sort_by_key(|file| std::cmp::Reverse(file.number));
    let mut remove = Vec::new();
    for file in oldest_first {
        if missing == 0 {
            break;
        }
        missing = missing.saturating_sub(file.size);
        remove.push(file.number);
    }
    remove
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RotationPolicy = RotationPolicy {
        max_size: 100,
        max_age: Duration::from_secs(60),
        keep: 4,
        total: 400,
        compress_from: None,
    };
    const NEW: Duration = Duration::ZERO;

    fn rotated(sizes: &[u64]) -> Vec<RotatedFile> {
        sizes
            .iter()
            .enumerate()
            .map(|(index, size)| RotatedFile {
                number: index + 1,
                size: *size,
            })
            .collect()
    }

    #[test]
    fn stays_until_full() {
        assert_eq!(decide(POLICY, 0, NEW, 1000, &[]), Rotation::Stay);
        assert_eq!(decide(POLICY, 90, NEW, 10, &[]), Rotation::Stay);
        assert_eq!(
            decide(POLICY, 90, NEW, 11, &[]),
            Rotation::Rotate { remove: vec![] }
        );
    }

    #[test]
    fn an_old_file_is_put_aside_unless_it_is_empty() {
        let old = Duration::from_secs(60);
        assert_eq!(
            decide(POLICY, 1, old, 1, &[]),
            Rotation::Rotate { remove: vec![] }
        );
        assert_eq!(decide(POLICY, 0, old, 1, &[]), Rotation::Stay);
    }

    #[test]
    fn a_full_disk_costs_the_oldest_files_and_no_more_than_needed() {
        let files = rotated(&[10, 20, 30]);
        assert!(sacrifice(100, 100, &files).is_empty());
        assert_eq!(sacrifice(75, 100, &files), [3]);
        assert_eq!(sacrifice(60, 100, &files), [3, 2]);
        assert_eq!(sacrifice(0, 1000, &files), [3, 2, 1]);
    }

    #[test]
    fn the_budget_wins_over_the_count() {
        let full = rotated(&[100, 100, 100, 100]);
        assert_eq!(
            decide(POLICY, 100, NEW, 1, &full),
            Rotation::Rotate { remove: vec![4, 3] }
        );
        let small = rotated(&[10, 10, 10, 10]);
        assert_eq!(
            decide(POLICY, 100, NEW, 1, &small),
            Rotation::Rotate { remove: vec![4] }
        );
    }

    proptest! {
        #[test]
        fn stays_within_budget_and_count(sizes in prop::collection::vec(0u64..=100, 0..9), current in 1u64..=100) {
            let files = rotated(&sizes);
            if let Rotation::Rotate { remove } = decide(POLICY, current, NEW, 100, &files) {
                let kept: Vec<_> = files.iter().filter(|file| !remove.contains(&file.number)).collect();
                let bytes: u64 = kept.iter().map(|file| file.size).sum();
                prop_assert!(kept.len() < POLICY.keep);
                prop_assert!(kept.is_empty() || bytes + current + POLICY.max_size <= POLICY.total);
                // Only the oldest go: what is kept has the lowest numbers.
                prop_assert!(kept.iter().all(|file| file.number <= kept.len()));
            }
        }
    }
}
