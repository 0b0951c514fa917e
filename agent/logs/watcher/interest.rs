//! Which events are worth a wake-up, and the directories that aren't there yet.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, Inotify, InotifyEvent, WatchDescriptor};

use super::{Seen, Sightings};
use crate::logs::files::belongs;

/// Comings and goings of names.
const NAMES: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_ONLYDIR);

/// What is wanted of one directory.
#[derive(Debug, Default)]
struct Wanted {
    /// Every name in it.
    all: bool,
    /// Of these files and what rotation makes of them.
    files: Vec<String>,
    /// Directories in it that are waited for.
    folders: Vec<String>,
    /// A container's log is in it.
    container: bool,
    /// It is looked for again when it goes away.
    lasting: bool,
    /// What inotify calls it.
    watch: Option<WatchDescriptor>,
}

impl Wanted {
    fn reads(&self) -> bool {
        self.all || !self.files.is_empty()
    }

    /// To whom it is of interest.
    fn sightings(&self, seen: Seen) -> Sightings {
        Sightings {
            container: if self.container { seen } else { Seen::Nothing },
            files: if self.lasting || !self.folders.is_empty() {
                seen
            } else {
                Seen::Nothing
            },
        }
    }

    fn seen(&self, event: &InotifyEvent) -> Seen {
        let name = event.name.as_ref().and_then(|name| name.to_str());
        let wanted = self.all
            || name.is_some_and(|name| {
                self.files.iter().any(|file| belongs(file, name))
                    || self.folders.iter().any(|folder| folder == name)
            });
        match (wanted, event.mask == AddWatchFlags::IN_MODIFY) {
            (false, _) => Seen::Nothing,
            (true, true) => Seen::Data,
            (true, false) => Seen::Names,
        }
    }
}

/// What a file looks like from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looks {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
}

impl From<Metadata> for Looks {
    fn from(of: Metadata) -> Self {
        Self {
            inode: (of.dev(), of.ino()),
            size: of.size(),
            modified: (of.mtime(), of.mtime_nsec()),
        }
    }
}

/// All directories, and how their files looked.
#[derive(Debug, Default)]
pub(super) struct Interests {
    directories: HashMap<PathBuf, Wanted>,
    looks: Option<HashMap<PathBuf, Option<Looks>>>,
    #[cfg(test)]
    ticks: u64,
}

impl Interests {
    #[cfg(test)]
    pub(super) fn is_watched(&self, directory: &Path) -> bool {
        self.directories
            .get(directory)
            .is_some_and(|wanted| wanted.watch.is_some())
    }

    /// As if inotify told nothing of this file.
    #[cfg(test)]
    pub(super) fn want_unseen(&mut self, path: &Path) {
        let wanted = self
            .directories
            .entry(path.parent().unwrap().to_owned())
            .or_default();
        wanted
            .files
            .push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }

    #[cfg(test)]
    pub(super) fn wants(&self, path: &Path) -> bool {
        let wanted = self.directories.get(path.parent().unwrap());
        wanted.is_some_and(|wanted| {
            wanted
                .files
                .iter()
                .any(|file| Some(file.as_str()) == path.file_name().unwrap().to_str())
        })
    }

    #[cfg(test)]
    pub(super) fn ticks(&self) -> u64 {
        self.ticks
    }

    pub(super) fn add_existing(&mut self, inotify: &Inotify, directory: &Path) -> io::Result<()> {
        let watch = inotify.add_watch(directory, NAMES | AddWatchFlags::IN_MODIFY)?;
        let wanted = self.directories.entry(directory.to_owned()).or_default();
        (wanted.all, wanted.container, wanted.watch) = (true, true, Some(watch));
        Ok(())
    }

    pub(super) fn add_folder(&mut self, inotify: &Inotify, directory: &Path) -> io::Result<()> {
        let wanted = self.directories.entry(directory.to_owned()).or_default();
        (wanted.all, wanted.lasting) = (true, true);
        self.arm_one(inotify, directory).map(drop)
    }

    pub(super) fn add_file(&mut self, inotify: &Inotify, path: &Path) -> io::Result<()> {
        let name = path.file_name().and_then(|name| name.to_str());
        let (Some(directory), Some(name)) = (path.parent(), name) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let wanted = self.directories.entry(directory.to_owned()).or_default();
        wanted.lasting = true;
        if !wanted.files.iter().any(|file| file == name) {
            wanted.files.push(name.to_owned());
        }
        self.arm_one(inotify, directory).map(drop)
    }

    /// The directory stays watched: a folder's other files are in it.
    pub(super) fn remove_file(&mut self, path: &Path) {
        let wanted = path
            .parent()
            .and_then(|directory| self.directories.get_mut(directory));
        if let (Some(wanted), Some(name)) = (wanted, path.file_name()) {
            wanted.files.retain(|file| file.as_str() != name);
        }
    }

    /// Watches what is wanted and isn't watched, as far as it's there. True if something has come.
    pub(super) fn arm(&mut self, inotify: &Inotify) -> bool {
        let wanted = |wanted: &Wanted| wanted.lasting && wanted.reads() && wanted.watch.is_none();
        let missing = self.directories.iter().filter(|(_, entry)| wanted(entry));
        let missing: Vec<PathBuf> = missing.map(|(path, _)| path.clone()).collect();
        let mut appeared = false;
        for directory in missing {
            match self.arm_one(inotify, &directory) {
                Ok(there) => appeared |= there,
                Err(error) => {
                    tracing::debug!(directory = %directory.display(), %error, "A directory can't be watched, ignoring");
                }
            }
        }
        appeared
    }

    /// Watches this directory, or the nearest above it for the way down. True if it's there.
    fn arm_one(&mut self, inotify: &Inotify, directory: &Path) -> io::Result<bool> {
        // Each step down can have been made while we looked: then it's looked for again.
        loop {
            match self.add_watch(inotify, directory) {
                Ok(()) => return Ok(true),
                Err(Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
            let Some((parent, next)) = first_existing_parent(directory) else {
                return Err(Errno::ENOENT.into());
            };
            let wanted = self.directories.entry(parent.to_owned()).or_default();
            if !wanted.folders.contains(&next) {
                wanted.folders.push(next.clone());
            }
            match self.add_watch(inotify, parent) {
                Ok(()) if !parent.join(&next).exists() => return Ok(false),
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn add_watch(&mut self, inotify: &Inotify, directory: &Path) -> Result<(), Errno> {
        let wanted = self.directories.entry(directory.to_owned()).or_default();
        let flags = if wanted.reads() {
            NAMES | AddWatchFlags::IN_MODIFY
        } else {
            // A directory that's only waited in needn't tell of each write.
            NAMES
        };
        wanted.watch = Some(inotify.add_watch(directory, flags)?);
        Ok(())
    }

    /// Reads what is queued, but not for ever: a fast writer must not keep us here. Also whether the queue is empty.
    pub(super) fn read_all(&mut self, inotify: &Inotify) -> (Sightings, bool) {
        let mut seen = Sightings::default();
        let mut empty = false;
        for _ in 0..64 {
            match inotify.read_events() {
                Ok(events) => {
                    seen = events
                        .iter()
                        .map(|event| self.take(event))
                        .fold(seen, Sightings::and)
                }
                Err(Errno::EAGAIN) => {
                    empty = true;
                    break;
                }
                Err(_) => return (Sightings::ALL, true),
            }
        }
        if Seen::Names == seen.files.max(seen.container) {
            self.arm(inotify);
        }
        (seen, empty)
    }

    fn take(&mut self, event: &InotifyEvent) -> Sightings {
        if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return Sightings::ALL;
        }
        let Some(wanted) = self
            .directories
            .values_mut()
            .find(|wanted| wanted.watch == Some(event.wd))
        else {
            return Sightings::default();
        };
        if event.mask.contains(AddWatchFlags::IN_IGNORED) {
            // The directory is gone, and its watch with it.
            wanted.watch = None;
            let seen = wanted.sightings(Seen::Names);
            self.directories
                .retain(|_, wanted| wanted.lasting || wanted.watch.is_some());
            return seen;
        }
        wanted.sightings(wanted.seen(event))
    }

    /// Whether the files look otherwise than at the last comparison. The first one finds nothing.
    pub(super) fn compare(&mut self) -> bool {
        #[cfg(test)]
        {
            self.ticks += 1;
        }
        let mut now = HashMap::new();
        for (directory, wanted) in self.directories.iter().filter(|(_, wanted)| wanted.reads()) {
            let entries = wanted.all.then(|| std::fs::read_dir(directory).ok()).flatten();
            let entries = entries.into_iter().flatten().flatten().map(|entry| entry.path());
            for path in wanted
                .files
                .iter()
                .map(|file| directory.join(file))
                .chain(entries)
            {
                let looks = std::fs::metadata(&path).ok().map(Looks::from);
                now.insert(path, looks);
            }
        }
        let before = self.looks.replace(now);
        before.is_some_and(|before| Some(&before) != self.looks.as_ref())
    }
}

/// The nearest directory above that is there, and the name in it that leads on.
pub(crate) fn first_existing_parent(directory: &Path) -> Option<(&Path, String)> {
    let mut below = directory;
    loop {
        let parent = below.parent()?;
        if parent.is_dir() {
            return Some((parent, below.file_name()?.to_str()?.to_owned()));
        }
        below = parent;
    }
}
