//! A plain file and what rotation makes of it, whoever rotates.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::Path;

use monopod_core::logs::{Name, Rotated};

use super::{Beginning, LogFile};

/// Looks again this often when names change meanwhile.
const TRIES: usize = 5;

/// Whether `name` is the file's own or one that rotation gives it.
pub(crate) fn belongs(current: &str, name: &str) -> bool {
    name == current || Rotated::parse(current, name).is_some()
}

/// Opens every file of the set, oldest first. Compressed ones are not ours to read.
///
/// Looking goes from the newest name to the oldest, and again if there are other names then: a file that is renamed
/// meanwhile may be met twice, but isn't missed.
pub(crate) fn scan_plain(current: &Path) -> io::Result<VecDeque<(LogFile, Name)>> {
    let (Some(directory), Some(name)) = (
        current.parent(),
        current.file_name().and_then(|name| name.to_str()),
    ) else {
        return Ok(VecDeque::new());
    };
    let mut names = rotated(directory, name)?;
    for _ in 1..TRIES {
        let found = open_all(current, directory, &names)?;
        let now = rotated(directory, name)?;
        if now == names {
            return Ok(found);
        }
        names = now;
    }
    open_all(current, directory, &names)
}

fn open_all(current: &Path, directory: &Path, names: &[OsString]) -> io::Result<VecDeque<(LogFile, Name)>> {
    let mut found: VecDeque<(LogFile, Name)> = VecDeque::new();
    let rotated = names.iter().map(|name| (directory.join(name), Name::Rotated));
    for (path, name) in std::iter::once((current.to_owned(), Name::Current)).chain(rotated) {
        let opened = match LogFile::open(&path, Beginning::Line) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if !found.iter().any(|(known, _)| known.same_inode(&opened)) {
            found.push_front((opened, name));
        }
    }
    Ok(found)
}

/// The names of rotated files, newest first. Numbers and dates are each in their own order; where both lie there, the
/// kind whose newest file was written last is the newer one: somebody has changed how it's rotated.
fn rotated(directory: &Path, current: &str) -> io::Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let (mut numbers, mut dates) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry?.file_name();
        match name.to_str().and_then(|name| Rotated::parse(current, name)) {
            Some(Rotated::Number(number)) => numbers.push((number, name)),
            Some(Rotated::Date(date)) => dates.push((std::cmp::Reverse(date), name)),
            None => {}
        }
    }
    numbers.sort();
    dates.sort();
    let numbers: Vec<OsString> = numbers.into_iter().map(|(_, name)| name).collect();
    let dates: Vec<OsString> = dates.into_iter().map(|(_, name)| name).collect();
    let written = |names: &[OsString]| {
        let newest = names.first()?;
        std::fs::metadata(directory.join(newest)).ok()?.modified().ok()
    };
    Ok(if written(&dates) > written(&numbers) {
        [dates, numbers].concat()
    } else {
        [numbers, dates].concat()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{PlainLog, TempDir};

    #[test]
    fn finds_the_set_oldest_first_and_leaves_other_files_alone() {
        let dir = TempDir::new();
        let mut log = PlainLog::new(dir.path());
        assert!(scan_plain(log.path()).unwrap().is_empty());
        log.write("a");
        log.rename_to("x.log-20261120");
        log.write("b");
        log.rename_to("x.log-20261121");
        log.write("c");
        log.rename_to("x.log.1");
        log.write("d");
        for other in [
            "x.log.1.gz",
            "x.log-20261119.xz",
            "x.log.old",
            "xx.log",
            "x.log.swp",
        ] {
            std::fs::write(dir.path().join(other), b"other\n").unwrap();
        }
        // Numbers are the newer kind, whatever the clock's grain is.
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(9);
        let newest = std::fs::File::options()
            .append(true)
            .open(dir.path().join("x.log.1"));
        newest.unwrap().set_modified(later).unwrap();
        let texts: Vec<String> = scan_plain(log.path())
            .unwrap()
            .iter()
            .map(|(file, _)| {
                let mut bytes = [0; 9];
                let read = file.read_at(&mut bytes, 0).unwrap();
                String::from_utf8_lossy(&bytes[..read]).into_owned()
            })
            .collect();
        assert_eq!(texts, ["a\n", "b\n", "c\n", "d\n"]);
    }

    #[test]
    fn a_pipe_is_refused_and_not_waited_for() {
        let dir = TempDir::new();
        let path = dir.path().join("x.log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let error = scan_plain(&path).unwrap_err();
        assert!(
            error.to_string().contains("x.log is not a regular file"),
            "{error}"
        );
    }
}
