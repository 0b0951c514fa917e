//! When application.log gets a new file, and which old ones go.

/// The bounds of application.log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    /// A file that would grow beyond this is put aside.
    pub max_size: u64,
    /// Files put aside that are kept.
    pub keep: usize,
    /// Bytes of all files together. Full disks were the most frequent outage, so it wins over `keep`.
    pub total: u64,
}

impl Default for RotationPolicy {
    /// 256 MiB and four old files as ever, within 1 GiB: uncompressed, that's the current file and three more.
    fn default() -> Self {
        Self {
            max_size: 256 << 20,
            keep: 4,
            total: 1 << 30,
        }
    }
}

/// A file put aside: `application.log.<number>`.
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

/// Decides for a file of `current` bytes that is to take `incoming` more.
///
/// An empty file always takes what comes, so a piece larger than `max_size` can't rotate for ever.
pub fn decide(policy: RotationPolicy, current: u64, incoming: u64, rotated: &[RotatedFile]) -> Rotation {
    if current == 0 || current.saturating_add(incoming) <= policy.max_size {
        return Rotation::Stay;
    }
    // After the renames: a new file that may fill up, the current one, then the old ones, newest first.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: RotationPolicy = RotationPolicy {
        max_size: 100,
        keep: 4,
        total: 400,
    };

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
        assert_eq!(decide(POLICY, 0, 1000, &[]), Rotation::Stay);
        assert_eq!(decide(POLICY, 90, 10, &[]), Rotation::Stay);
        assert_eq!(decide(POLICY, 90, 11, &[]), Rotation::Rotate { remove: vec![] });
    }

    #[test]
    fn the_budget_wins_over_the_count() {
        let full = rotated(&[100, 100, 100, 100]);
        assert_eq!(
            decide(POLICY, 100, 1, &full),
            Rotation::Rotate { remove: vec![4, 3] }
        );
        let small = rotated(&[10, 10, 10, 10]);
        assert_eq!(
            decide(POLICY, 100, 1, &small),
            Rotation::Rotate { remove: vec![4] }
        );
    }

    proptest! {
        #[test]
        fn stays_within_budget_and_count(sizes in prop::collection::vec(0u64..=100, 0..9), current in 1u64..=100) {
            let files = rotated(&sizes);
            if let Rotation::Rotate { remove } = decide(POLICY, current, 100, &files) {
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
