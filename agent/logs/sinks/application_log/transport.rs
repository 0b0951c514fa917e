//! The file itself: append, replay, rotate.
//!
//! Exactly once across a kill: a mark holds the file's inode and its length at the moment the cursor was saved.
//! After a restart the lines behind the cursor are read again, and what the file has behind the mark must be their
//! bytes. Those are compared and skipped, so nobody who reads along sees the file shrink; where they differ (torn by
//! a power cut) the file is cut and goes on from there. If the lines to come are known to be others, nothing is cut.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use monopod_core::logs::{RotatedFile, Rotation, RotationPolicy, decide};
use serde::{Deserialize, Serialize};

use crate::logs::files::{highest_number, numbered};
use crate::logs::sinks::Replay;

/// What the cursor keeps about the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    device: u64,
    inode: u64,
    length: u64,
}

/// The file and where we are in it.
#[derive(Debug)]
pub(super) struct Transport {
    path: PathBuf,
    policy: RotationPolicy,
    mark: Option<Mark>,
    replay: Replay,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// Our end. Behind it, up to the file's length, lies what may be replayed.
    position: u64,
    length: u64,
}

impl Transport {
    pub(super) fn new(path: &Path, policy: RotationPolicy) -> Self {
        Self {
            path: path.to_owned(),
            policy,
            mark: None,
            replay: Replay::Different,
            open: None,
        }
    }

    pub(super) fn restore(&mut self, mark: Option<Mark>, replay: Replay) {
        // With other lines to come the mark is worthless, and saved again it would do harm at the next start.
        let mark = mark.filter(|_| replay == Replay::Exact);
        (self.mark, self.replay, self.open) = (mark, replay, None);
    }

    /// Whether these bytes will begin a new file.
    pub(super) fn rotates(&self, incoming: u64) -> bool {
        let Some(open) = &self.open else { return false };
        // What is being replayed belongs to this file: put aside now, the rest of it would be written again.
        open.position == open.length && decide(self.policy, open.position, incoming, &[]) != Rotation::Stay
    }

    /// Writes all of it, beginning at `done`, which stays right when it fails halfway.
    pub(super) fn append(&mut self, bytes: &[u8], done: &mut usize) -> io::Result<()> {
        if *done == 0 && self.rotates(bytes.len() as u64) {
            self.rotate(bytes.len() as u64)?;
        }
        let open = self.open()?;
        while let Some(rest) = bytes.get(*done..).filter(|rest| !rest.is_empty()) {
            let step = if open.position < open.length {
                open.skip(rest)?
            } else {
                open.write(rest)?
            };
            *done += step;
        }
        Ok(())
    }

    /// Syncs the file and says where it ends.
    pub(super) fn mark(&mut self) -> io::Result<Option<Mark>> {
        let open = self.open()?;
        open.file.sync_data()?;
        let mark = Mark {
            device: open.device,
            inode: open.inode,
            length: open.position,
        };
        // Somebody else may have moved the file away: what comes next belongs under its name.
        let named = std::fs::metadata(&self.path);
        if !named.is_ok_and(|now| (now.dev(), now.ino()) == (mark.device, mark.inode)) {
            (self.open, self.mark, self.replay) = (None, None, Replay::Different);
            return Ok(None);
        }
        Ok(Some(mark))
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(open_at(&self.path, self.mark, self.replay)?)),
        }
    }

    fn rotate(&mut self, incoming: u64) -> io::Result<()> {
        let mut rotated = Vec::new();
        let highest = highest_number(&self.path)?.unwrap_or(0);
        for number in 1..=highest {
            if let Ok(metadata) = std::fs::metadata(numbered(&self.path, number)) {
                rotated.push(RotatedFile {
                    number,
                    size: metadata.len(),
                });
            }
        }
        let current = self.open.as_ref().map_or(0, |open| open.position);
        let Rotation::Rotate { remove } = decide(self.policy, current, incoming, &rotated) else {
            return Ok(());
        };
        for number in &remove {
            std::fs::remove_file(numbered(&self.path, *number))?;
        }
        let kept = rotated.iter().rev().filter(|file| !remove.contains(&file.number));
        for number in kept.map(|file| file.number).chain([0]) {
            std::fs::rename(numbered(&self.path, number), numbered(&self.path, number + 1))?;
        }
        // A new file: nothing of it is known, nothing in it to replay.
        (self.open, self.mark, self.replay) = (None, None, Replay::Different);
        Ok(())
    }
}

impl Open {
    /// Compares with what is there, and cuts the file where that is something else.
    fn skip(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let there = usize::try_from(self.length - self.position)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let mut existing = vec![0; there];
        self.file.read_exact_at(&mut existing, self.position)?;
        let same = existing
            .iter()
            .zip(bytes)
            .take_while(|(old, new)| old == new)
            .count();
        self.position += same as u64;
        if same < there {
            self.file.set_len(self.position)?;
            self.length = self.position;
        }
        Ok(same)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self.file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        self.position += written as u64;
        self.length = self.position;
        Ok(written)
    }
}

/// Opens the file at the mark if the mark still means something, else at its end.
fn open_at(path: &Path, mark: Option<Mark>, replay: Replay) -> io::Result<Open> {
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o640)
        .open(path)?;
    let metadata = file.metadata()?;
    let (device, inode, length) = (metadata.dev(), metadata.ino(), metadata.len());
    let replayed_from = mark.filter(|_| replay == Replay::Exact).and_then(|mark| {
        let here = mark.inode == inode && mark.length <= length;
        // Killed right after a rotation: the mark is at the end of what is called .1 now.
        let rotated = || {
            std::fs::metadata(numbered(path, 1))
                .is_ok_and(|old| old.ino() == mark.inode && old.len() == mark.length)
        };
        if here {
            Some(mark.length)
        } else {
            rotated().then_some(0)
        }
    });
    let mut open = Open {
        file,
        device,
        inode,
        position: replayed_from.unwrap_or(length),
        length,
    };
    if open.position == length && length > 0 {
        end_torn_line(&mut open)?;
    }
    Ok(open)
}

/// What follows must not become part of a line that was cut off.
fn end_torn_line(open: &mut Open) -> io::Result<()> {
    let mut last = [0];
    open.file.read_exact_at(&mut last, open.length - 1)?;
    if last != *b"\n" {
        open.write(b"\n")?;
    }
    Ok(())
}
