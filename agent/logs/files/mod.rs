//! The files of a log, by descriptor rather than by name.
//!
//! Rotation renames `X-json.log` to `.1`, that to `.2`, and so on, so a name says nothing for long. An open
//! descriptor stays with its file, and a file that is open can't have its inode recycled.

mod plain;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::UNIX_EPOCH;

use monopod_core::logs::{FileIdentity, fingerprint};
use nix::fcntl::OFlag;

pub(crate) use plain::{belongs, scan_plain};

/// The engine writes at most 16 KiB of text a record, six times that when every byte is escaped.
const FIRST_RECORD_MAX: usize = 128 * 1024;

/// So much of both ends of a file tells whether it is a copy.
const COMPARED: usize = 4096;

/// What of a file's beginning is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beginning {
    /// The whole first record.
    Record,
    /// The first line, as [`fingerprint`] has it.
    Line,
}

/// Who can put files where this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The machine itself.
    Machine,
    /// The container too: a link there can lead to what is the host's.
    Container,
}

/// A file of the set.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: File,
    identity: FileIdentity,
    beginning: Beginning,
    /// The most it was seen to hold.
    largest: u64,
}

impl LogFile {
    pub(crate) fn open(path: &Path, beginning: Beginning) -> io::Result<Self> {
        Self::open_trusting(path, beginning, Trust::Machine)
    }

    /// Opens what nobody but the machine could have put there, or what leads nowhere else.
    pub(crate) fn open_trusting(path: &Path, beginning: Beginning, trust: Trust) -> io::Result<Self> {
        // A pipe that somebody has put there must not make us wait.
        let mut flags = OFlag::O_NONBLOCK;
        if trust == Trust::Container {
            flags |= OFlag::O_NOFOLLOW;
        }
        let mut options = OpenOptions::new();
        let opened = options.read(true).custom_flags(flags.bits()).open(path);
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(code) if code == nix::errno::Errno::ELOOP as i32 => refused(
                path,
                "is a symbolic link, which isn't followed where the container writes",
            ),
            _ => error,
        })?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(refused(path, "is not a regular file"));
        }
        if trust == Trust::Container && metadata.nlink() > 1 {
            // The owner of the directory is who writes there; a hard link gives another's file a name of ours.
            let owner = path.parent().map(std::fs::metadata).transpose()?;
            if owner.is_none_or(|directory| directory.uid() != metadata.uid()) {
                return Err(refused(path, "is a hard link to a file of another owner"));
            }
        }
        let since_epoch = metadata
            .created()
            .ok()
            .and_then(|birth| birth.duration_since(UNIX_EPOCH).ok());
        let birth = since_epoch.and_then(|birth| u64::try_from(birth.as_nanos()).ok());
        let identity = FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            birth,
            first_record: None,
        };
        let mut opened = Self {
            file,
            identity,
            beginning,
            largest: 0,
        };
        opened.look_again()?;
        Ok(opened)
    }

    fn look_at_beginning(&mut self) -> io::Result<()> {
        match self.beginning {
            Beginning::Record => self.look_at_first_record().map(drop),
            Beginning::Line => {
                self.identity.first_record = self.first_line()?;
                Ok(())
            }
        }
    }

    fn first_line(&self) -> io::Result<Option<String>> {
        let mut head = [0; 4096];
        let read = self.read_at(&mut head, 0)?;
        Ok(fingerprint(head.get(..read).unwrap_or_default()))
    }

    /// Takes the fingerprint of the bytes just read of the beginning, unless it's known: what is read by another call
    /// may be another file's by then.
    pub(crate) fn begins_with(&mut self, head: &[u8]) {
        if self.identity.first_record.is_none() {
            self.identity.first_record = fingerprint(head);
        }
    }

    /// Whether it still is what it was, with at least `size` bytes. For plain files, which are truncated in place; the
    /// identity stays that of what was read.
    pub(crate) fn still_holds(&mut self, size: u64) -> io::Result<bool> {
        let same = self.identity.first_record.is_none() || self.identity.first_record == self.first_line()?;
        Ok(same && !self.shrank()? && self.largest >= size)
    }

    /// Takes it for what it is now.
    pub(crate) fn look_again(&mut self) -> io::Result<()> {
        self.look_at_beginning()?;
        self.largest = self.len()?;
        Ok(())
    }

    fn shrank(&mut self) -> io::Result<bool> {
        let length = self.len()?;
        let shrank = length < self.largest;
        self.largest = self.largest.max(length);
        Ok(shrank)
    }

    /// Takes the hash of the first record once that is whole. True when the file has none or still the same.
    pub(crate) fn look_at_first_record(&mut self) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let mut chunk = [0_u8; 4096];
        while bytes.len() < FIRST_RECORD_MAX {
            let read = self.file.read_at(&mut chunk, bytes.len() as u64)?;
            let piece = chunk.get(..read).unwrap_or_default();
            if let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
                bytes.extend_from_slice(piece.get(..=end).unwrap_or_default());
                let hash = Some(FileIdentity::hash(&bytes));
                let same = self.identity.first_record.is_none() || self.identity.first_record == hash;
                self.identity.first_record = hash;
                return Ok(same);
            }
            if read == 0 {
                break;
            }
            bytes.extend_from_slice(piece);
        }
        Ok(self.identity.first_record.take().is_none())
    }

    /// Who it is. The hash comes with the first record, and only then can it be missing.
    pub(crate) fn identity(&mut self) -> FileIdentity {
        if self.identity.first_record.is_none() {
            // Without it the identity is weaker, and the next call tries again.
            self.look_at_beginning().ok();
        }
        self.identity.clone()
    }

    /// Who it was when it was last looked at.
    pub(crate) fn known(&self) -> &FileIdentity {
        &self.identity
    }

    /// Its beginning was not known, and there is something now.
    pub(crate) fn has_begun(&self) -> bool {
        self.identity.first_record.is_none() && self.len().is_ok_and(|length| length > 0)
    }

    /// The most it was seen to hold.
    pub(crate) fn largest(&self) -> u64 {
        self.largest
    }

    /// Whether `original`, which was there before, begins with all that is in this file, as far as the ends of it tell.
    pub(crate) fn begins_as(&self, original: &Self) -> bool {
        let younger = match (self.identity.birth, original.identity.birth) {
            (Some(mine), Some(theirs)) => mine >= theirs,
            _ => true,
        };
        let (mut mine, mut theirs) = ([0; COMPARED], [0; COMPARED]);
        let mut same = |at: u64| {
            let read = self.read_at(&mut mine, at).ok()?;
            let original = original.read_at(theirs.get_mut(..read)?, at).ok()?;
            Some(read == original && mine.get(..read) == theirs.get(..read))
        };
        younger && same(0) == Some(true) && same(self.largest.saturating_sub(COMPARED as u64)) == Some(true)
    }

    pub(crate) fn same_inode(&self, other: &Self) -> bool {
        (self.identity.device, self.identity.inode) == (other.identity.device, other.identity.inode)
    }

    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether its last name is gone: only our descriptor keeps it.
    pub(crate) fn unlinked(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }

    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn refused(path: &Path, why: &str) -> io::Error {
    let what = format!("{} {why}", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Opens every file of the set, oldest first.
///
/// Looking goes from the newest name to the oldest: a rotation in between moves files the same way, so one may be
/// met twice but none is missed. Compressed files (`.gz`) are not ours to read: the container is made without.
pub(crate) fn scan(newest: &Path) -> io::Result<VecDeque<LogFile>> {
    let mut found: VecDeque<LogFile> = VecDeque::new();
    let Some(highest) = highest_number(newest)? else {
        return Ok(found);
    };
    for number in 0..=highest.saturating_add(1) {
        let opened = match LogFile::open(&numbered(newest, number), Beginning::Record) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !found.iter().any(|known| known.same_inode(&opened)) {
            found.push_front(opened);
        }
    }
    Ok(found)
}

/// `path` for 0, else `path.number`.
pub(crate) fn numbered(path: &Path, number: usize) -> std::path::PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// The highest number among the rotated files, 0 if there is none; none if the directory is gone.
pub(crate) fn highest_number(newest: &Path) -> io::Result<Option<usize>> {
    let (Some(directory), Some(name)) = (newest.parent(), newest.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(None);
    };
    // A bare name lies where the command was started.
    let directory = match directory.as_os_str() {
        empty if empty.is_empty() => Path::new("."),
        _ => directory,
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut highest = 0;
    for entry in entries {
        let entry = entry?.file_name();
        let suffix = entry
            .to_str()
            .and_then(|entry| entry.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix('.'));
        highest = highest.max(suffix.and_then(|suffix| suffix.parse().ok()).unwrap_or(0));
    }
    Ok(Some(highest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{EngineLog, TempDir};

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(highest_number(Path::new("monopod-no-such.log")).unwrap(), Some(0));
        assert_eq!(
            highest_number(Path::new("no/such/directory/a.log")).unwrap(),
            None
        );
    }

    #[test]
    fn finds_the_set_oldest_first_and_leaves_other_files_alone() {
        let dir = TempDir::new();
        let mut engine = EngineLog::new(dir.path(), 3);
        assert!(scan(engine.path()).unwrap().is_empty());
        for text in ["a", "b", "c", "d"] {
            engine.write(text);
            engine.rotate();
        }
        std::fs::write(dir.path().join("x-json.log.1.gz"), b"").unwrap();
        let mut files = scan(engine.path()).unwrap();
        assert_eq!(files.len(), 3);
        assert!(files[0].identity().first_record.is_some());
        assert_eq!(files[2].identity().first_record, None, "the newest is empty");
        assert!(scan(&dir.path().join("gone/x")).unwrap().is_empty());
    }

    #[test]
    fn notices_another_beginning() {
        let dir = TempDir::new();
        let mut engine = EngineLog::new(dir.path(), 3);
        engine.write("a");
        let mut file = LogFile::open(engine.path(), Beginning::Record).unwrap();
        assert!(file.look_at_first_record().unwrap());
        std::fs::write(engine.path(), b"other\n").unwrap();
        assert!(!file.look_at_first_record().unwrap());
        std::fs::remove_file(engine.path()).unwrap();
        assert!(file.unlinked());
    }
}
