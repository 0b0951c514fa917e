//! The record of access: lines at the end of a file on tmpfs, which the agent sends on.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use monopod_core::access::AccessRecord;

use crate::host::clock;
use crate::host::files::FileError;

/// The file is put aside at this size, once: it lies in memory.
const LIMIT: u64 = 1 << 20;
/// No line is longer.
const LONGEST_LINE: u64 = 16 * 1024;

/// Writes lines, numbered.
#[derive(Debug)]
pub(super) struct Records {
    path: PathBuf,
    aside: PathBuf,
    boot_id: String,
    seq: u64,
}

impl Records {
    /// Goes on after the last line there is.
    pub(super) fn open(directory: &Path, boot_id: &str) -> Self {
        let path = directory.join("record.jsonl");
        let aside = directory.join("record.jsonl.1");
        let seq = [&path, &aside]
            .into_iter()
            .find_map(|path| last(path))
            .filter(|last| last.boot_id == boot_id)
            .map_or(0, |last| last.seq);
        Self {
            path,
            aside,
            boot_id: boot_id.to_owned(),
            seq,
        }
    }

    /// Writes one, with its time and number, to the file and to the journal. The journal has it even where the file has
    /// not.
    pub(super) fn write(&mut self, record: AccessRecord) -> Result<(), FileError> {
        let record = AccessRecord {
            at: clock::now_millis(),
            boot_id: self.boot_id.clone(),
            seq: self.seq + 1,
            ..record
        };
        tracing::info!("{}", record.sentence());
        let mut line = serde_json::to_vec(&record).unwrap_or_default();
        line.push(b'\n');
        self.append(&line)
            .map_err(|source| FileError::new("write", &self.path, source))?;
        self.seq = record.seq;
        Ok(())
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let length = fs::metadata(&self.path).map_or(0, |meta| meta.len());
        if length + u64::try_from(line.len()).unwrap_or(0) > LIMIT {
            fs::rename(&self.path, &self.aside)?;
        }
        let mut file = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .mode(0o640)
            .open(&self.path)?;
        let before = file.metadata()?.len();
        let mut text = line.to_vec();
        // A line that a death or a full file system cut off does not swallow this one.
        if before > 0 {
            file.seek(SeekFrom::End(-1))?;
            let mut end = [0];
            file.read_exact(&mut end)?;
            if end != *b"\n" {
                text.insert(0, b'\n');
            }
        }
        let written = file.write_all(&text);
        if written.is_err() {
            // Half a line is no record; that it cannot be taken back changes nothing.
            let _cut = file.set_len(before).is_ok();
        }
        written
    }
}

/// The last whole line of a file.
fn last(path: &Path) -> Option<AccessRecord> {
    let mut file = fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST_LINE)))
        .ok()?;
    let mut bytes = Vec::new();
    file.take(2 * LONGEST_LINE).read_to_end(&mut bytes).ok()?;
    let mut lines = bytes.split(|byte| *byte == b'\n').rev();
    lines.find_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use monopod_core::access::What;

    use super::*;

    fn temporary_directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("monopod-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    fn lines(path: &Path) -> Vec<AccessRecord> {
        let text = fs::read_to_string(path).unwrap();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    #[test]
    fn numbers_go_on_in_one_boot_and_begin_anew_in_the_next() {
        let directory = temporary_directory("access-records");
        let path = directory.join("record.jsonl");
        let write = |boot: &str| {
            let mut records = Records::open(&directory, boot);
            records.write(AccessRecord::new(What::Granted, "a")).unwrap();
        };
        write("one");
        write("one");
        // Somebody was killed in the middle.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"at\":1,").unwrap();
        write("one");
        write("two");
        let seqs: Vec<u64> = lines(&path).iter().map(|record| record.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 1]);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_file_is_bounded() {
        let directory = temporary_directory("access-records-size");
        let mut records = Records::open(&directory, "b");
        let long = AccessRecord {
            detail: Some("x".repeat(8000)),
            ..AccessRecord::new(What::Refused, "a")
        };
        for _ in 0..300 {
            records.write(long.clone()).unwrap();
        }
        let (now, before) = (directory.join("record.jsonl"), directory.join("record.jsonl.1"));
        let size = |path: &Path| fs::metadata(path).unwrap().len();
        assert!(size(&now) <= LIMIT && size(&before) <= LIMIT);
        let (now, before) = (lines(&now), lines(&before));
        assert_eq!(now.last().unwrap().seq, 300);
        assert_eq!(before.last().unwrap().seq + 1, now[0].seq);
        fs::remove_dir_all(directory).unwrap();
    }
}
