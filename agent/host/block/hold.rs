//! Who has a device, and having it oneself.
//!
//! The kernel's exclusive open is the judge: it fails while a file system on the device is mounted, in whatever mount
//! namespace, while it is swap, and while an array or a mapping holds it. What [`in_use`] reads from /proc and /sys
//! is there to name the one who has it, and to see the machine's own disk even where it is mounted by another name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::{BlockError, blocking, failed, sysfs};

/// Some open a device exclusively for a moment, to see whether they could.
const MOMENT: Duration = Duration::from_secs(2);
/// udev looks at a device for a moment when it appears, and holds its lock meanwhile.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(50);

/// Who uses a device, in words; `None` if nobody does. What is no block device is an error.
pub async fn in_use(device: &Path) -> Result<Option<String>, BlockError> {
    let until = Instant::now() + MOMENT;
    loop {
        let path = device.to_owned();
        let found = blocking(move || who(&path)).await;
        match found.map_err(failed("ask who uses", device))? {
            Use::Nobody => return Ok(None),
            Use::By(who) => return Ok(Some(who)),
            Use::Unseen if Instant::now() < until => tokio::time::sleep(AGAIN).await,
            Use::Unseen => return Ok(Some(UNSEEN.to_owned())),
            Use::NoDevice => {
                return Err(BlockError::NoDevice {
                    device: device.to_owned(),
                });
            }
        }
    }
}

const UNSEEN: &str = "the kernel has it claimed for something that this process does not see, a mount in another mount namespace perhaps";

enum Use {
    Nobody,
    By(String),
    /// The kernel says that somebody has it, and not who.
    Unseen,
    NoDevice,
}

fn who(device: &Path) -> io::Result<Use> {
    let Some(number) = sysfs::number(device)? else {
        return Ok(Use::NoDevice);
    };
    let directory = sysfs::directory(number)?;
    let family = sysfs::family(&directory)?;
    let mounts = sysfs::mounts()?;
    let swaps = sysfs::swaps()?;
    for (one, path) in &family {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if let Some(place) = mounted_at(*one, &mounts) {
            return Ok(Use::By(format!("{name} is mounted at {place}")));
        }
        if swaps.iter().any(|swap| has_number(swap, *one)) {
            return Ok(Use::By(format!("{name} is swap space")));
        }
        if let Some(holder) = sysfs::names(path, "holders").first() {
            return Ok(Use::By(format!("{name} is part of /dev/{holder}")));
        }
    }
    match exclusive(device) {
        Ok(_) => Ok(Use::Nobody),
        Err(error) if is_busy(&error) => Ok(Use::Unseen),
        Err(error) => Err(error),
    }
}

fn mounted_at(number: u64, mounts: &[sysfs::Mounted]) -> Option<&str> {
    let here = |mount: &&sysfs::Mounted| {
        // btrfs and the like have a number of their own: there the name has to tell.
        mount.number == Some(number) || has_number(Path::new(&mount.source), number)
    };
    mounts.iter().find(here).map(|mount| mount.place.as_str())
}

fn has_number(device: &Path, number: u64) -> bool {
    device.is_absolute() && matches!(sysfs::number(device), Ok(Some(found)) if found == number)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::EBUSY as i32)
}

/// Held for reading and for nobody else: no mount, no swap, no array gets the device while it lives.
fn exclusive(device: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_EXCL.bits())
        .open(device)
}

/// A device under the kernel's exclusive open.
#[derive(Debug)]
pub(super) struct Exclusive(#[expect(dead_code, reason = "held, not read")] File);

impl Exclusive {
    pub(super) async fn open(device: &Path) -> Result<Self, BlockError> {
        let until = Instant::now() + MOMENT;
        loop {
            let path = device.to_owned();
            match blocking(move || exclusive(&path)).await {
                Ok(file) => return Ok(Self(file)),
                Err(error) if is_busy(&error) => {
                    let who = in_use(device).await?;
                    if who.is_some() || Instant::now() >= until {
                        return Err(BlockError::InUse {
                            device: device.to_owned(),
                            by: who.unwrap_or_else(|| UNSEEN.to_owned()),
                        });
                    }
                }
                Err(error) => return Err(failed("open", device)(error)),
            }
        }
    }
}

/// The locks by which programs agree who works on a disk: udev keeps its hands off while they are held, and two of us
/// do not work on one disk. They are opened for writing and closed at the end, which makes udev look again.
#[derive(Debug)]
pub(super) struct Locked(#[expect(dead_code, reason = "held, not read")] Vec<Flock<File>>);

impl Locked {
    pub(super) async fn take(devices: &[&Path]) -> Result<Self, BlockError> {
        let mut disks = Vec::with_capacity(devices.len());
        for device in devices {
            let path = device.to_path_buf();
            let disk = blocking(move || whole_disk(&path)).await;
            disks.push(disk.map_err(failed("find the disk of", device))?);
        }
        // Each once, for two partitions of one disk; in one order, so that two of us do not wait for each other.
        disks.sort();
        disks.dedup();
        let mut locks = Vec::with_capacity(disks.len());
        for disk in disks {
            locks.push(take(&disk).await?);
        }
        Ok(Self(locks))
    }
}

async fn take(disk: &Path) -> Result<Flock<File>, BlockError> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match lock(disk) {
            Ok(lock) => return Ok(lock),
            Err(Errno::EAGAIN) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
            Err(Errno::EAGAIN) => {
                return Err(BlockError::InUse {
                    device: disk.to_owned(),
                    by: "another program keeps the lock of the disk".to_owned(),
                });
            }
            Err(errno) => return Err(failed("lock", disk)(errno.into())),
        }
    }
}

fn lock(disk: &Path) -> Result<Flock<File>, Errno> {
    let open = OpenOptions::new().read(true).write(true).open(disk);
    let file = open.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or_default()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| errno)
}

/// The lock is the whole disk's, by convention. What is no block device is its own.
fn whole_disk(device: &Path) -> io::Result<PathBuf> {
    let Some(number) = sysfs::number(device)? else {
        return Ok(device.to_owned());
    };
    let directory = sysfs::directory(number)?;
    let disk = sysfs::disk(&directory);
    Ok(match sysfs::device_file(disk) {
        Some(file) if disk != directory => file,
        _ => device.to_owned(),
    })
}
