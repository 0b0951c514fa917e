//! The file itself: append, replay, rotate.
//!
//! Exactly once across a kill: a mark holds the file's inode and its length at the moment the cursor was saved.
//! After a restart the lines behind the cursor are read again, and what the file has behind the mark must be their
//! bytes. Those are compared and skipped, so nobody who reads along sees the file shrink; where they differ (torn by
//! a power cut) the file is cut and goes on from there. If the lines to come are known to be others, nothing is cut.
//!
//! The last of the disk is not for copies of lines: when less than a reserve would be left, old files go, oldest first,
//! and if that isn't enough the lines wait in the spool.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use monopod_core::logs::{Rotation, RotationPolicy, decide, sacrifice};
use monopod_core::text;
use nix::sys::statvfs::statvfs;
use serde::{Deserialize, Serialize};

use super::aside::{Aside, Compressor};
use crate::logs::files::numbered;
use crate::logs::sinks::Replay;

/// So much of the disk is left to everybody else, or a twentieth of it if that is less.
const RESERVE: u64 = 256 << 20;

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
    compressor: Compressor,
    /// A mark was taken since the last rotation.
    marked: bool,
}

#[derive(Debug)]
struct Open {
    file: File,
    device: u64,
    inode: u64,
    /// Our end. Behind it, up to the file's length, lies what may be replayed.
    position: u64,
    length: u64,
    born: Option<SystemTime>,
}

impl Transport {
    pub(super) fn new(path: &Path, policy: RotationPolicy) -> Self {
        Self {
            path: path.to_owned(),
            policy,
            mark: None,
            replay: Replay::Different,
            open: None,
            compressor: Compressor::default(),
            marked: false,
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
        open.position == open.length
            && decide(self.policy, open.position, open.age(), incoming, &[]) != Rotation::Stay
    }

    /// Writes all of it, beginning at `done`, which stays right when it fails halfway.
    pub(super) fn append(&mut self, bytes: &[u8], done: &mut usize) -> io::Result<()> {
        if *done == 0 && self.rotates(bytes.len() as u64) {
            self.rotate(bytes.len() as u64)?;
        }
        self.keep_reserve((bytes.len() - *done) as u64)?;
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
        // Until a mark of the new file is saved, and it is when the next one is asked for, the one on disk may name the file
        // that was put aside last.
        self.compressor
            .start(&self.path, self.policy.compress_from, self.marked);
        self.marked = true;
        Ok(Some(mark))
    }

    fn open(&mut self) -> io::Result<&mut Open> {
        match &mut self.open {
            Some(open) => Ok(open),
            none => Ok(none.insert(open_at(&self.path, self.mark, self.replay)?)),
        }
    }

    fn rotate(&mut self, incoming: u64) -> io::Result<()> {
        self.compressor.finish();
        let aside = Aside::find(&self.path)?;
        let files: Vec<_> = aside.iter().map(|file| file.file).collect();
        let (current, age) = self
            .open
            .as_ref()
            .map_or((0, Duration::ZERO), |open| (open.position, open.age()));
        let Rotation::Rotate { remove } = decide(self.policy, current, age, incoming, &files) else {
            return Ok(());
        };
        for file in aside.iter().rev() {
            if remove.contains(&file.file.number) {
                std::fs::remove_file(&file.path)?;
            } else {
                std::fs::rename(&file.path, file.renumbered(&self.path, file.file.number + 1))?;
            }
        }
        if self.policy.keep == 0 {
            std::fs::remove_file(&self.path)?;
        } else {
            std::fs::rename(&self.path, numbered(&self.path, 1))?;
        }
        // A new file: nothing of it is known, nothing in it to replay.
        (self.open, self.mark, self.replay) = (None, None, Replay::Different);
        self.marked = false;
        Ok(())
    }

    /// Removes old files where the disk needs it more; an error when that is not enough.
    fn keep_reserve(&mut self, incoming: u64) -> io::Result<()> {
        let (free, reserve) = self.room()?;
        let needed = reserve.saturating_add(incoming);
        if free >= needed {
            return Ok(());
        }
        self.compressor.finish();
        let aside = Aside::find(&self.path)?;
        let files: Vec<_> = aside.iter().map(|file| file.file).collect();
        let remove = sacrifice(free, needed, &files);
        for file in aside.iter().filter(|file| remove.contains(&file.file.number)) {
            std::fs::remove_file(&file.path)?;
            tracing::warn!(
                file = %file.path.display(), bytes = file.file.size,
                "The disk is nearly full: an old log file was removed"
            );
        }
        let (free, _) = self.room()?;
        if free >= needed {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!(
                "only {} of the disk are free and the last {} are left to the rest of the machine: make room on it",
                text::bytes(free),
                text::bytes(reserve)
            ),
        ))
    }

    /// What is free for whoever is not root, and how much of it is not for us.
    fn room(&self) -> io::Result<(u64, u64)> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        let room = statvfs(directory)?;
        let unit = room.fragment_size();
        let (free, all) = (room.blocks_available() * unit, room.blocks() * unit);
        Ok((free, RESERVE.min(all / 20)))
    }
}

impl Open {
    /// Since the file was made, where the file system knows.
    fn age(&self) -> Duration {
        self.born
            .and_then(|born| SystemTime::now().duration_since(born).ok())
            .unwrap_or_default()
    }

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
        born: metadata.created().ok(),
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
