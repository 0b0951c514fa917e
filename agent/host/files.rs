//! Small files of ours: written whole or not at all, and locked by one agent at a time.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::sys::stat;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {verb} {path}")]
pub struct FileError {
    verb: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl FileError {
    /// What was tried, on what, and why it failed.
    pub(crate) fn new(verb: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            verb,
            path: path.to_owned(),
            source,
        }
    }
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { verb, path, source }
}

/// Makes a directory of ours, if it is not there.
pub fn ensure_directory(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed("create the directory", path))
}

/// Replaces a file by rename: a reader sees the old one or the new one. Readable by the owner's group.
pub fn ensure_content(path: &Path, content: &[u8]) -> Result<(), FileError> {
    replace(path, content, 0o640)
}

/// The same, readable by the owner alone.
pub fn ensure_private_content(path: &Path, content: &[u8]) -> Result<(), FileError> {
    replace(path, content, 0o600)
}

/// The same as [`ensure_content`], and on the disk when it returns: there after a power cut, old or new, never torn.
pub fn ensure_durable_content(path: &Path, content: &[u8]) -> Result<(), FileError> {
    replace_with(path, content, 0o640, File::sync_all)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("write", path))
}

/// Removes a file, if it is there, and its name is gone from the disk when this returns.
pub fn ensure_durably_gone(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("remove", path)(error)),
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("remove", path))
}

/// Bytes that may still be written to the file system a path is on.
pub fn free_space(path: &Path) -> Result<u64, FileError> {
    nix::sys::statvfs::statvfs(path)
        .map(|found| found.blocks_available().saturating_mul(found.fragment_size()))
        .map_err(|errno| failed("ask for the free space of", path)(errno.into()))
}

fn replace(path: &Path, content: &[u8], mode: u32) -> Result<(), FileError> {
    replace_with(path, content, mode, |_| Ok(()))
}

fn replace_with(
    path: &Path,
    content: &[u8],
    mode: u32,
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(content)?;
        finish(&file)?;
        fs::rename(&temporary, path)
    };
    write().map_err(failed("write", path))
}

/// Removes a file, if it is there.
pub fn ensure_gone(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Removes every file of a directory but this one.
pub fn ensure_only(directory: &Path, name: &str) -> Result<(), FileError> {
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let path = entry.map_err(failed("read", directory))?.path();
        if path.file_name().is_some_and(|one| one != name) {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// The names of what is in a directory, those that are no text left out.
pub fn names(directory: &Path) -> Result<Vec<String>, FileError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed("read", directory))? {
        let name = entry.map_err(failed("read", directory))?.file_name();
        all.extend(name.into_string().ok());
    }
    Ok(all)
}

/// Reads a file; `None` if there is none.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Held as long as it lives; the kernel drops it with the process, however that ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] Flock<File>);

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent is there.
    #[error(
        "another monopod (pid {pid}) looks after this machine and holds {path}; stop it first, or leave it to it"
    )]
    Held {
        /// What it wrote into the file.
        pid: String,
        /// The lock.
        path: PathBuf,
    },
    /// The file could not be opened or locked.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Takes the lock, or says who has it. The file is the owner's alone: whoever may read it could lock it, and keep us out.
pub fn lock(path: &Path) -> Result<Lock, LockError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed("open", path))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut held) => {
            let write = |file: &mut File| -> io::Result<()> {
                file.set_len(0)?;
                writeln!(file, "{}", std::process::id())
            };
            write(&mut held).map_err(failed("write", path))?;
            Ok(Lock(held))
        }
        Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            file.read_to_string(&mut pid).map_err(failed("read", path))?;
            Err(LockError::Held {
                pid: pid.trim().to_owned(),
                path: path.to_owned(),
            })
        }
        Err((_, errno)) => Err(LockError::File(failed("lock", path)(errno.into()))),
    }
}

/// Whether somebody holds the lock, without taking it for longer than the question.
pub fn is_locked(path: &Path) -> Result<bool, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        // A guest: the kernel tells everybody who locks what.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return is_listed(path),
        Err(error) => return Err(failed("open", path)(error)),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => Ok(false),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(true),
        Err((_, errno)) => Err(failed("lock", path)(errno.into())),
    }
}

/// Whether the kernel lists a lock on this file, which we may not open.
fn is_listed(path: &Path) -> Result<bool, FileError> {
    let about = fs::metadata(path).map_err(failed("look at", path))?;
    let list = Path::new("/proc/locks");
    let locks = fs::read_to_string(list).map_err(failed("read", list))?;
    let (major, minor) = (stat::major(about.dev()), stat::minor(about.dev()));
    Ok(holds(&locks, &format!("{major:02x}:{minor:02x}:{}", about.ino())))
}

/// `1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF`; one that waits for its turn has `->` behind its number.
fn holds(locks: &str, file: &str) -> bool {
    locks.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace();
        fields.nth(1) == Some("FLOCK") && fields.nth(3) == Some(file)
    })
}

/// The id of this boot of the machine: changes at a reboot and at nothing else.
pub fn boot_id() -> Result<String, FileError> {
    let path = Path::new("/proc/sys/kernel/random/boot_id");
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("monopod-files-{name}-{}", std::process::id()));
        ensure_directory(&path).unwrap();
        path
    }

    #[test]
    fn content_is_replaced_whole() {
        let directory = directory("content");
        let path = directory.join("a.json");
        assert!(read(&path).unwrap().is_none());
        ensure_content(&path, b"one").unwrap();
        ensure_content(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            1,
            "no temporary file is left"
        );
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn durable_content_is_replaced_whole_too() {
        let directory = directory("durable");
        let path = directory.join("a.json");
        ensure_durable_content(&path, b"one").unwrap();
        ensure_durable_content(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
        fs::remove_dir_all(directory).unwrap();
    }

    /// As a guest sees it, who may not open the file.
    #[test]
    fn the_kernel_tells_who_holds_a_lock() {
        let directory = directory("listed");
        let path = directory.join("lock");
        let held = lock(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "who may read it could lock it");
        assert!(is_listed(&path).unwrap());
        drop(held);
        assert!(!is_listed(&path).unwrap());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_lock_that_is_waited_for_or_is_of_another_kind_or_file_is_none() {
        let held = "1: FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF\n";
        assert!(holds(held, "00:1a:5678"));
        assert!(!holds(held, "00:1a:567"));
        for other in [
            "1: POSIX  ADVISORY  WRITE 1234 00:1a:5678 0 EOF\n",
            "1: -> FLOCK  ADVISORY  WRITE 1234 00:1a:5678 0 EOF\n",
            "",
        ] {
            assert!(!holds(other, "00:1a:5678"), "{other}");
        }
    }

    #[test]
    fn free_space_is_asked_of_what_is_there() {
        assert!(free_space(Path::new("/")).unwrap() > 0);
        let error = free_space(Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.to_string(), "cannot ask for the free space of /nonexistent");
    }

    #[test]
    fn one_lock_at_a_time() {
        let directory = directory("lock");
        let path = directory.join("lock");
        assert!(!is_locked(&path).unwrap());
        let held = lock(&path).unwrap();
        assert!(is_locked(&path).unwrap());
        let error = lock(&path).unwrap_err();
        assert!(
            error.to_string().contains(&std::process::id().to_string()),
            "{error}"
        );
        drop(held);
        assert!(!is_locked(&path).unwrap());
        lock(&path).unwrap();
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_names_the_file() {
        let error = ensure_content(Path::new("/nonexistent/x"), b"").unwrap_err();
        assert_eq!(error.to_string(), "cannot write /nonexistent/x");
    }
}
