//! Files of teams' own with figures: found and read, and nothing believed of them.
//!
//! Whoever may write to the directory may be anybody, the container included. A link is not followed, the directory's own
//! included; what is no plain file is not read, so that a pipe keeps nobody waiting; and there is an end to how much is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use monopod_core::metrics::textfile::{self, EXTENSION, Found, MOST_BYTES, MOST_FILES};
use nix::fcntl::OFlag;

/// What lies in the directory now.
pub(super) fn find(directory: &Path) -> Found {
    let mut found = Found::default();
    let (opened, names) = match names(directory) {
        Ok(names) => names,
        Err(error) => {
            found.wrong.push(format!("{}: {error}", directory.display()));
            return found;
        }
    };
    if names.len() > MOST_FILES {
        let what = format!("{}: more than {MOST_FILES} files", directory.display());
        found.wrong.push(format!("{what}, the others are left out"));
    }
    let mut left = MOST_BYTES;
    for name in names.into_iter().take(MOST_FILES) {
        let path = directory.join(&name).display().to_string();
        match read(&inside(&opened).join(&name), left) {
            Ok((text, written)) => {
                left = left.saturating_sub(text.len() as u64);
                found.files.push(textfile::File { path, written, text });
            }
            Err(why) => found.wrong.push(format!("{path}: {why}")),
        }
    }
    found
}

/// A directory that is open stays the one it is.
fn inside(opened: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()))
}

/// In order, so that every scrape takes the same ones.
fn names(directory: &Path) -> io::Result<(File, Vec<String>)> {
    let opened = open(directory, OFlag::O_DIRECTORY)?;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(inside(&opened))? {
        let name = entry?.file_name().into_string();
        names.extend(name.ok().filter(|name| name.ends_with(EXTENSION)));
        // Of a directory with a million of them the first ones are sorted out.
        if names.len() > 16 * MOST_FILES {
            break;
        }
    }
    names.sort_unstable();
    Ok((opened, names))
}

fn open(path: &Path, more: OFlag) -> io::Result<File> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | more;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits())
        .open(path)
}

fn read(path: &Path, left: u64) -> Result<(String, Option<f64>), String> {
    let link = nix::errno::Errno::ELOOP as i32;
    let file = open(path, OFlag::empty()).map_err(|error| match error.raw_os_error() {
        Some(code) if code == link => "it is a link, which is not followed".to_owned(),
        _ => error.to_string(),
    })?;
    let about = file.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("it is no plain file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(left + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > left {
        return Err(format!(
            "all files together have more than {} MiB",
            MOST_BYTES >> 20
        ));
    }
    let text = String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let written = about.mtime() as f64 + about.mtime_nsec() as f64 / 1e9;
    Ok((text, Some(written)))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("monopod-textfile-{name}-{}", std::process::id()));
            drop(fs::remove_dir_all(&path));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn put(&self, name: &str, text: impl AsRef<[u8]>) {
            fs::write(self.0.join(name), text).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn names(found: &Found) -> Vec<&str> {
        let files = found.files.iter();
        files.map(|file| file.path.rsplit('/').next().unwrap()).collect()
    }

    #[test]
    fn plain_files_of_that_name_are_read_and_nothing_else() {
        let folder = Folder::new("plain");
        folder.put("b.prom", "b 1\n");
        folder.put("a.prom", "a 1\n");
        folder.put("a.prom.tmp", "torn");
        folder.put("c.prom", b"\xff\xfe");
        fs::create_dir(folder.0.join("d.prom")).unwrap();
        symlink("/etc/hostname", folder.0.join("e.prom")).unwrap();
        symlink("a.prom", folder.0.join("f.prom")).unwrap();
        nix::unistd::mkfifo(&folder.0.join("g.prom"), Mode::S_IRWXU).unwrap();
        let found = find(&folder.0);
        assert_eq!(names(&found), ["a.prom", "b.prom"]);
        assert!(
            found
                .files
                .iter()
                .all(|file| file.written.is_some_and(|at| at > 1e9))
        );
        let wrong = found.wrong.join("\n");
        for part in [
            "c.prom: it is not UTF-8",
            "d.prom: it is no plain file",
            "e.prom: it is a link",
            "f.prom: it is a link",
            "g.prom: it is no plain file",
        ] {
            assert!(wrong.contains(part), "{part} in {wrong}");
        }
        assert_eq!(found.wrong.len(), 5, "{wrong}");
    }

    #[test]
    fn there_is_an_end() {
        let folder = Folder::new("end");
        for number in 0..70 {
            folder.put(&format!("{number:02}.prom"), format!("a{number} 1\n"));
        }
        let found = find(&folder.0);
        assert_eq!(
            (found.files.len(), found.wrong.len()),
            (64, 1),
            "{:?}",
            found.wrong
        );
        assert!(found.files[63].path.ends_with("/63.prom"));

        folder.put("00.prom", "x".repeat(1 << 20));
        let found = find(&folder.0);
        assert_eq!((found.files.len(), found.wrong.len()), (1, 64));
        assert!(found.wrong[1].ends_with("01.prom: all files together have more than 1 MiB"));
        folder.put("00.prom", "x".repeat((1 << 20) + 1));
        assert_eq!(find(&folder.0).files.len(), 63);
    }

    #[test]
    fn a_directory_that_is_none_is_told() {
        let folder = Folder::new("directory");
        folder.put("a.prom", "a 1\n");
        let link = folder.0.join("link");
        symlink(&folder.0, &link).unwrap();
        for path in [link, folder.0.join("a.prom"), folder.0.join("nowhere")] {
            let found = find(&path);
            assert_eq!(
                (found.files.len(), found.wrong.len()),
                (0, 1),
                "{}",
                path.display()
            );
            assert!(found.wrong[0].starts_with(&path.display().to_string()));
        }
    }
}
