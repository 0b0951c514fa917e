//! What a sink was given of each file, so that it can be proved.
//!
//! For each file of the spool: from which byte to which, how many lines, and a checksum of the bytes. Whoever doubts it
//! reads the file again and compares. Bounded: what is said of old files, which are gone, becomes a sum.

use serde::{Deserialize, Serialize};

use super::cursor::FileIdentity;
use super::gap::Gap;

/// Files that are remembered one by one. The engine keeps three, and plain files are rarely kept longer than that.
const FILES_MOST: usize = 16;
/// Gaps that are remembered one by one.
const GAPS_MOST: usize = 32;

/// Some bytes of one file, read in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of which file.
    pub file: FileIdentity,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// CRC-32 of them.
    pub checksum: u32,
    /// Lines that ended in them.
    pub lines: u64,
}

/// What a sink has of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Of which file.
    pub file: FileIdentity,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// CRC-32 of them.
    pub checksum: u32,
    /// Lines that ended in them.
    pub lines: u64,
}

/// What a sink has of files that are not remembered one by one any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    /// Pieces of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their lines.
    pub lines: u64,
}

/// All that a sink was given, and all that it was told will never come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// File by file, oldest first.
    #[serde(default)]
    pub files: Vec<Entry>,
    /// Before those.
    #[serde(default)]
    pub older: Older,
    /// Lines left out because the user data says so.
    #[serde(default)]
    pub excluded: u64,
    /// Gaps told in the stream, oldest first.
    #[serde(default)]
    pub gaps: Vec<Gap>,
    /// Gaps told before those.
    #[serde(default)]
    pub older_gaps: u64,
    /// Lines known to be lost, in all gaps.
    #[serde(default)]
    pub lost: u64,
    /// Whether that is all of them.
    #[serde(default)]
    pub lost_at_least: bool,
}

impl Ledger {
    /// The sink has these too.
    pub fn add(&mut self, spans: &[Span]) {
        for span in spans {
            let goes_on = self
                .files
                .last_mut()
                .filter(|entry| entry.to == span.from && entry.file.is(&span.file));
            match goes_on {
                Some(entry) => {
                    entry.checksum = joined(entry.checksum, span.checksum, span.to.saturating_sub(span.from));
                    entry.to = span.to;
                    entry.lines += span.lines;
                    // The hash of the first record comes with the first record.
                    entry.file = span.file.clone();
                }
                None => self.files.push(Entry {
                    file: span.file.clone(),
                    from: span.from,
                    to: span.to,
                    checksum: span.checksum,
                    lines: span.lines,
                }),
            }
        }
        let many = self.files.len().saturating_sub(FILES_MOST);
        for old in self.files.drain(..many) {
            self.older.files += 1;
            self.older.bytes += old.to.saturating_sub(old.from);
            self.older.lines += old.lines;
        }
    }

    /// These were told in the stream.
    pub fn tell(&mut self, gaps: impl IntoIterator<Item = Gap>) {
        for gap in gaps {
            self.lost += gap.lines;
            self.lost_at_least |= !gap.exact;
            self.gaps.push(gap);
        }
        let many = self.gaps.len().saturating_sub(GAPS_MOST);
        self.gaps.drain(..many);
        self.older_gaps += many as u64;
    }

    /// Lines given to the sink or left out as told.
    pub fn lines(&self) -> u64 {
        self.older.lines + self.files.iter().map(|entry| entry.lines).sum::<u64>()
    }
}

/// The checksum of some bytes.
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// The checksum of two pieces behind each other, from theirs and the second one's length.
pub fn joined(first: u32, second: u32, length: u64) -> u32 {
    let mut all = crc32fast::Hasher::new_with_initial(first);
    all.combine(&crc32fast::Hasher::new_with_initial_len(second, length));
    all.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> FileIdentity {
        FileIdentity {
            device: 1,
            inode,
            birth: None,
            first_record: Some("x".into()),
        }
    }

    fn span(inode: u64, from: u64, bytes: &[u8]) -> Span {
        Span {
            file: identity(inode),
            from,
            to: from + bytes.len() as u64,
            checksum: checksum(bytes),
            lines: 1,
        }
    }

    #[test]
    fn pieces_of_a_file_become_one_with_the_checksum_of_the_whole() {
        let mut ledger = Ledger::default();
        ledger.add(&[span(1, 3, b"one\n"), span(1, 7, b"two\n")]);
        ledger.add(&[span(1, 11, b"three\n"), span(2, 0, b"four\n")]);
        assert_eq!(ledger.files.len(), 2);
        let first = &ledger.files[0];
        assert_eq!((first.from, first.to, first.lines), (3, 17, 3));
        assert_eq!(first.checksum, checksum(b"one\ntwo\nthree\n"));
        assert_eq!(ledger.lines(), 4);
    }

    #[test]
    fn what_is_not_next_to_it_is_another_piece() {
        let mut ledger = Ledger::default();
        ledger.add(&[span(1, 0, b"one\n"), span(1, 8, b"three\n")]);
        assert_eq!(ledger.files.len(), 2);
    }

    #[test]
    fn old_ones_become_a_sum() {
        let mut ledger = Ledger::default();
        for inode in 0..40 {
            ledger.add(&[span(inode, 0, b"1234\n")]);
            ledger.tell([Gap {
                lines: 2,
                exact: true,
                ..Gap::unknown(super::super::GapReason::RotatedAway)
            }]);
        }
        assert_eq!(ledger.files.len(), FILES_MOST);
        assert_eq!((ledger.older.files, ledger.older.bytes), (24, 120));
        assert_eq!((ledger.lines(), ledger.lost), (40, 80));
        assert_eq!((ledger.gaps.len(), ledger.older_gaps), (GAPS_MOST, 8));
    }
}
