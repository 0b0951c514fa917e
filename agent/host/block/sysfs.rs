//! What /sys and /proc say of a device: its disk, its holders, where it is mounted.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, makedev, minor};

/// A block device's number; `None` for what is none.
pub(super) fn number(device: &Path) -> io::Result<Option<u64>> {
    let found = fs::metadata(device)?;
    Ok(found.file_type().is_block_device().then(|| found.rdev()))
}

/// A device's directory in /sys.
pub(super) fn directory(number: u64) -> io::Result<PathBuf> {
    fs::canonicalize(format!("/sys/dev/block/{}:{}", major(number), minor(number)))
}

/// The whole disk that a partition is on; a disk's own directory.
pub(super) fn disk(directory: &Path) -> &Path {
    if directory.join("partition").exists() {
        directory.parent().unwrap_or(directory)
    } else {
        directory
    }
}

/// The device file of a directory in /sys. A `!` there stands for a slash in the name.
pub(super) fn device_file(directory: &Path) -> Option<PathBuf> {
    let name = directory.file_name()?.to_str()?;
    Some(Path::new("/dev").join(name.replace('!', "/")))
}

/// A disk and all of its partitions, by number: a disk is in use where one of them is.
pub(super) fn family(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut all = vec![directory.to_owned()];
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.join("partition").exists() {
            all.push(path);
        }
    }
    Ok(all
        .into_iter()
        .filter_map(|path| Some((read_number(&path)?, path)))
        .collect())
}

fn read_number(directory: &Path) -> Option<u64> {
    let text = fs::read_to_string(directory.join("dev")).ok()?;
    parse_number(text.trim())
}

fn parse_number(text: &str) -> Option<u64> {
    let (high, low) = text.split_once(':')?;
    Some(makedev(high.parse().ok()?, low.parse().ok()?))
}

/// The names in one of its directories: `holders`, `slaves`. None where there is none.
pub(super) fn names(directory: &Path, kind: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory.join(kind)) else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// One mount, as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    /// Of the file system; btrfs gives one of its own.
    pub(super) number: Option<u64>,
    pub(super) place: String,
    /// The device's name at the time of mounting.
    pub(super) source: String,
}

/// What is mounted here, and, where this process may look, what PID 1 sees.
pub(super) fn mounts() -> io::Result<Vec<Mounted>> {
    let mut all = parse_mounts(&fs::read_to_string("/proc/self/mountinfo")?);
    if let Ok(text) = fs::read_to_string("/proc/1/mountinfo") {
        all.extend(parse_mounts(&text));
    }
    Ok(all)
}

/// What is mounted where this process is.
pub(super) fn mounts_here() -> io::Result<Vec<Mounted>> {
    fs::read_to_string("/proc/self/mountinfo").map(|text| parse_mounts(&text))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`
pub(super) fn parse_mounts(text: &str) -> Vec<Mounted> {
    text.lines().filter_map(parse_mount).collect()
}

fn parse_mount(line: &str) -> Option<Mounted> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    Some(Mounted {
        number: parse_number(before.nth(2)?),
        place: unescape(before.nth(1)?),
        source: unescape(after.split(' ').nth(1)?),
    })
}

/// The kernel writes space, tab, newline and backslash as octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// The files and devices that are swap.
pub(super) fn swaps() -> io::Result<Vec<PathBuf>> {
    let text = match fs::read_to_string("/proc/swaps") {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        other => other?,
    };
    let lines = text.lines().skip(1);
    let names = lines.filter_map(|line| line.split_whitespace().next());
    Ok(names.map(|name| PathBuf::from(unescape(name))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read_as_the_kernel_writes_them() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n\
                    22 1 0:20 / /proc rw - proc proc rw\nno mount\n";
        let found = parse_mounts(text);
        assert_eq!(found.len(), 2);
        assert_eq!(
            found[0],
            Mounted {
                number: Some(makedev(98, 0)),
                place: "/mnt 2".to_owned(),
                source: "/dev/root".to_owned(),
            }
        );
    }

    #[test]
    fn a_backslash_of_a_name_is_read_last() {
        assert_eq!(unescape("a\\134040b"), "a\\040b");
    }
}
