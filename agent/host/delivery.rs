//! Files of the user data, written where the container finds them.
//!
//! ```text
//! <runtime directory>/files      root:999 2750, laid out by tmpfiles
//!   └─ <spec hash>               what is below has its group by the setgid bit
//!        ├─ 0                    root:999 0440, bind-mounted read-only at its path
//!        └─ 1
//! ```
//!
//! The runtime directory is a tmpfs, so the files never reach the disk and are gone after a reboot; they are
//! made again before every start, since a bind mount without a source ends it. The agent has no capability
//! to change owners: the group comes from the directory. Where the agent may, it lays that out itself.
//!
//! Invariants
//! - A content is in no error, event or hint: whoever reads about a file learns its number.
//! - The same spec gives the same names, whatever the order in the user data: a container made from them is started
//!   again with its mounts as they are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown,
};
use std::path::{Path, PathBuf};

use monopod_core::config::{EnvValue, FileMount};
use monopod_core::plan::reconcile::SpecHash;
use monopod_core::secret::Secret;
use serde::{Deserialize, Serialize};

use super::{Class, Classified};

/// Who may read them: the group of the container's default user, by number.
pub const GROUP: u32 = 999;

const FILES: &str = "files";
const FILE_MODE: u32 = 0o440;
const SETGID: u32 = 0o2000;

/// The files could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Something about a file or directory of ours.
    #[error("cannot {verb} {path} for `files`")]
    File {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The directory gives its files another group, and the agent may not change that.
    #[error(
        "{path} does not belong to group {GROUP} with the setgid bit, so the application could not read its `files`; install systemd/tmpfiles-monopod.conf as /usr/lib/tmpfiles.d/monopod.conf, and `systemd-tmpfiles --create` lays it out now"
    )]
    Layout {
        /// The directory.
        path: PathBuf,
        /// Why it was not changed.
        #[source]
        source: io::Error,
    },
}

impl Classified for DeliveryError {
    fn class(&self) -> Class {
        match self {
            Self::Layout { .. } => Class::Permanent,
            // A full tmpfs, most likely.
            Self::File { .. } => Class::Transient,
        }
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DeliveryError {
    let path = path.to_owned();
    move |source| DeliveryError::File { verb, path, source }
}

/// The files of one container. What is remembered of it in the hint is where they lie and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    /// Parent of all deliveries; empty when there never was one.
    root: PathBuf,
    name: String,
    count: usize,
    #[serde(skip)]
    contents: Vec<Secret>,
}

impl Delivery {
    /// For these files of this spec.
    pub fn new(runtime: &Path, spec: &SpecHash, files: &[FileMount]) -> Self {
        Self {
            root: runtime.join(FILES),
            name: spec.as_str().to_owned(),
            count: files.len(),
            contents: by_path(files)
                .into_iter()
                .filter_map(|file| match &file.content {
                    EnvValue::Plain(text) => Some(Secret::new(text.clone())),
                    EnvValue::Secret(_) => None,
                })
                .collect(),
        }
    }

    /// What is mounted where: pairs of source and target.
    pub fn mounts<'a>(&self, files: &'a [FileMount]) -> Vec<(PathBuf, &'a str)> {
        by_path(files)
            .into_iter()
            .enumerate()
            .map(|(number, file)| (self.source(number), file.path.as_str()))
            .collect()
    }

    /// For an agent that knows it from the hint only: whether the contents could be read back.
    pub fn recall(&mut self) -> bool {
        let read = |number| fs::read_to_string(self.source(number)).map(Secret::new);
        match (0..self.count).map(read).collect() {
            Ok(contents) => {
                self.contents = contents;
                true
            }
            Err(_) => false,
        }
    }

    /// Whether every content is known, so that the files can be made again.
    pub fn is_known(&self) -> bool {
        self.contents.len() == self.count
    }

    /// Every file is there, whole, and readable by the application; those of other specs are gone.
    pub fn ensure(&self) -> Result<(), DeliveryError> {
        self.ensure_others_gone();
        if self.contents.is_empty() {
            return Ok(());
        }
        ensure_layout(&self.root)?;
        let directory = self.directory();
        ensure_group(&directory)?;
        for (number, content) in self.contents.iter().enumerate() {
            let path = self.source(number);
            if !is_as_wanted(&path, content) {
                write(&path, content).map_err(failed("write", &path))?;
            }
        }
        Ok(())
    }

    /// The directory they will lie in is as it has to be, before anything else is touched for them.
    pub fn ensure_layout(&self) -> Result<(), DeliveryError> {
        if self.count == 0 {
            return Ok(());
        }
        ensure_layout(&self.root)
    }

    fn directory(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    fn source(&self, number: usize) -> PathBuf {
        self.directory().join(number.to_string())
    }

    /// Only one container is ours, so whatever lies here beside its files is left over. What can't be removed is in
    /// nobody's way.
    fn ensure_others_gone(&self) {
        let kept = |error: io::Error, path: &Path| {
            tracing::warn!(
                "{} is left over and was not removed, ignoring: {error}",
                path.display()
            );
        };
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return kept(error, &self.root),
        };
        for entry in entries.flatten() {
            if self.count > 0 && entry.file_name() == self.name.as_str() {
                continue;
            }
            let path = entry.path();
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            let removed = if is_directory {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            if let Err(error) = removed {
                kept(error, &path);
            }
        }
    }
}

fn by_path(files: &[FileMount]) -> Vec<&FileMount> {
    let mut files: Vec<&FileMount> = files.iter().collect();
    files.sort_unstable();
    files
}

/// A directory whose files get the group: as tmpfiles laid it out, or made here where that is allowed.
fn ensure_layout(path: &Path) -> Result<(), DeliveryError> {
    make_directory(path)?;
    let is_right = |metadata: &fs::Metadata| metadata.gid() == GROUP && metadata.mode() & SETGID != 0;
    let metadata = fs::metadata(path).map_err(failed("look at", path))?;
    if is_right(&metadata) {
        return Ok(());
    }
    chown(path, None, Some(GROUP))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(SETGID | 0o750)))
        .map_err(|source| DeliveryError::Layout {
            path: path.to_owned(),
            source,
        })?;
    // The kernel takes the bit away without a word from somebody who is not in the group.
    match fs::metadata(path) {
        Ok(metadata) if is_right(&metadata) => Ok(()),
        Ok(_) => Err(DeliveryError::Layout {
            path: path.to_owned(),
            source: io::ErrorKind::PermissionDenied.into(),
        }),
        Err(error) => Err(failed("look at", path)(error)),
    }
}

/// A directory below the layout: one that was made before the layout was right is made again.
fn ensure_group(path: &Path) -> Result<(), DeliveryError> {
    make_directory(path)?;
    let group = fs::metadata(path).map_err(failed("look at", path))?.gid();
    if group == GROUP {
        return Ok(());
    }
    fs::remove_dir_all(path).map_err(failed("remove", path))?;
    make_directory(path)
}

/// With mkdir's own mode: a chmod afterwards would lose the inherited setgid bit.
fn make_directory(path: &Path) -> Result<(), DeliveryError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(path)
        .map_err(failed("make", path))
}

fn is_as_wanted(path: &Path, content: &Secret) -> bool {
    let read = || -> io::Result<bool> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        let wanted = content.expose().as_bytes();
        if metadata.gid() != GROUP
            || metadata.mode() & 0o7777 != FILE_MODE
            || metadata.len() != wanted.len() as u64
        {
            return Ok(false);
        }
        let mut found = Vec::with_capacity(wanted.len());
        file.read_to_end(&mut found)?;
        Ok(found == wanted)
    };
    read().unwrap_or(false)
}

/// By rename: a container that runs keeps what it has mounted, and no reader sees half a file.
fn write(path: &Path, content: &Secret) -> io::Result<()> {
    let temporary = path.with_extension("new");
    // One that was left by a killed agent can't be opened for writing: its mode forbids it to its owner, too.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(&temporary)?;
    file.write_all(content.expose().as_bytes())?;
    if file.metadata()?.gid() != GROUP {
        fchown(&file, None, Some(GROUP))?;
    }
    // Whatever the umask took away.
    file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-delivery-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn delivery(&self, spec: &str, files: &[(&str, &str)]) -> Delivery {
            Delivery::new(&self.0, &SpecHash::new(&json!(spec), "sha256:1"), &mounts(files))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn mounts(files: &[(&str, &str)]) -> Vec<FileMount> {
        files
            .iter()
            .map(|(path, content)| FileMount {
                path: (*path).to_owned(),
                content: EnvValue::Plain((*content).to_owned()),
            })
            .collect()
    }

    /// Groups can be given away by root only; the black-box tests run as root in any case.
    fn may_change_groups() -> bool {
        let place = Place::new("root");
        chown(&place.0, None, Some(GROUP)).is_ok()
    }

    #[test]
    fn the_order_in_the_file_does_not_matter() {
        let place = Place::new("order");
        let (one, two) = ([("/b", "2"), ("/a", "1")], [("/a", "1"), ("/b", "2")]);
        assert_eq!(place.delivery("s", &one), place.delivery("s", &two));
        let sources = |files: &[(&str, &str)]| -> Vec<(PathBuf, String)> {
            let files = mounts(files);
            place
                .delivery("s", &[])
                .mounts(&files)
                .into_iter()
                .map(|(source, target)| (source, target.to_owned()))
                .collect()
        };
        assert_eq!(sources(&one), sources(&two));
    }

    #[test]
    fn files_are_written_repaired_and_those_of_other_specs_removed() {
        if !may_change_groups() {
            return;
        }
        let place = Place::new("repair");
        let old = place.delivery("old", &[("/x", "old")]);
        old.ensure().unwrap();
        let delivery = place.delivery("new", &[("/a", "one"), ("/b", "two")]);
        delivery.ensure().unwrap();
        assert!(!old.directory().exists());
        let first = delivery.source(0);
        let metadata = fs::metadata(&first).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (GROUP, FILE_MODE));
        // Changed, gone, and the leftover of a write that was killed.
        fs::write(&first, "ONE").unwrap();
        fs::remove_file(delivery.source(1)).unwrap();
        fs::write(first.with_extension("new"), "o").unwrap();
        delivery.ensure().unwrap();
        assert_eq!(fs::read_to_string(&first).unwrap(), "one");
        assert_eq!(fs::read_to_string(delivery.source(1)).unwrap(), "two");
        // What is right is left alone: a container may have it mounted.
        let inode = |path: &Path| fs::metadata(path).unwrap().ino();
        let before = inode(&first);
        delivery.ensure().unwrap();
        assert_eq!(inode(&first), before);
        place.delivery("none", &[]).ensure().unwrap();
        assert!(!delivery.directory().exists());
    }

    #[test]
    fn a_stray_file_is_removed_and_nothing_left_over_is_an_error() {
        let place = Place::new("stray");
        let none = place.delivery("none", &[]);
        fs::create_dir_all(place.0.join(FILES).join("old")).unwrap();
        fs::write(place.0.join(FILES).join("stray"), "x").unwrap();
        none.ensure().unwrap();
        assert_eq!(fs::read_dir(place.0.join(FILES)).unwrap().count(), 0);
        fs::remove_dir(place.0.join(FILES)).unwrap();
        // It can't even be listed.
        fs::write(place.0.join(FILES), "x").unwrap();
        none.ensure().unwrap();
    }

    #[test]
    fn what_is_not_known_is_not_removed() {
        let place = Place::new("unknown");
        let text = serde_json::to_string(&place.delivery("s", &[("/a", "one"), ("/b", "two")])).unwrap();
        let unknown: Delivery = serde_json::from_str(&text).unwrap();
        assert!(!unknown.is_known() && place.delivery("s", &[]).is_known());
        fs::create_dir_all(unknown.directory()).unwrap();
        fs::write(unknown.source(1), "two").unwrap();
        unknown.ensure().unwrap();
        assert!(unknown.source(1).exists(), "a container may have it mounted");
    }

    #[test]
    fn the_hint_holds_no_content_and_recalls_it_from_the_files() {
        if !may_change_groups() {
            return;
        }
        let place = Place::new("recall");
        let delivery = place.delivery("s", &[("/a", "canary-content")]);
        let text = serde_json::to_string(&delivery).unwrap();
        assert!(!text.contains("canary") && !format!("{delivery:?}").contains("canary"));
        let mut recalled: Delivery = serde_json::from_str(&text).unwrap();
        assert!(!recalled.recall(), "the files are not there yet");
        delivery.ensure().unwrap();
        assert!(recalled.recall());
        assert_eq!(recalled, delivery);
    }
}
