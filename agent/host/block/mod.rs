//! Disks: what is on them, file systems, arrays, mounts.
//!
//! ```text
//! find (which device) ─► content, in_use ─► storage::decide (core) ─► make ─► check ─► mount_unit ─► grow ─► own
//!                              └─► raid: members ─► storage::decide_raid (core) ─► ensure_array ─┘
//! ```
//!
//! Everything here is a thin effect over util-linux, e2fsprogs, xfsprogs, mdadm and systemctl. What follows from
//! what is decided by `monopod_core::storage`. Two things are invariants of this folder:
//!
//! - Looking never writes: devices are opened for reading alone, and no program is asked for more than a report.
//! - Nothing is written to a device but through [`make::ensure_formatted`] and [`raid::ensure_array`], which look again, with
//!   the device held exclusively, and write nothing if they do not see what the decision was made on.
//!
//! File systems are mounted by PID 1, never by mount(2): what a sandboxed unit mounts, nobody else sees.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::storage::{Content, RaidRefusal, Refusal};

use super::command::CommandError;
use super::{Class, Classified};

mod check;
mod content;
pub mod find;
mod grow;
mod hold;
mod make;
mod mount_unit;
mod own;
mod raid;
mod sysfs;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use check::{Checked, check};
pub use content::{content, is_half_made};
pub use grow::{Grown, grow};
pub use hold::in_use;
pub use make::{Made, ensure_action, ensure_formatted};
pub use mount_unit::{ensure_mounted, is_mounted, mounted_places};
pub use own::ensure_owned;
pub use raid::{active_arrays, ensure_array, members};

/// A look at a device: it reads a few MiB. A disk that takes longer does not answer.
const LOOK: Duration = Duration::from_secs(60);
/// Making a file system writes its tables, and no more: seconds on the largest volume.
const MAKE: Duration = Duration::from_secs(15 * 60);
/// A check reads every table of the disk when the last shutdown was no clean one and the journal is not enough.
const CHECK: Duration = Duration::from_secs(60 * 60);

/// Something could not be done to a device.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// The kernel refused.
    #[error("cannot {verb} {}", device.display())]
    Device {
        /// What was tried.
        verb: &'static str,
        /// On what.
        device: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The name stands for something else.
    #[error("{} is no disk and no partition: name a block device", device.display())]
    NoDevice {
        /// What was named.
        device: PathBuf,
    },
    /// A device that is being attached shows up before its size does.
    #[error("{} has no size: it is not attached yet, or not any longer", device.display())]
    NoSize {
        /// Which.
        device: PathBuf,
    },
    /// A program said no, or never answered.
    #[error("cannot {doing} {}", device.display())]
    Tool {
        /// What was tried.
        doing: &'static str,
        /// On what.
        device: PathBuf,
        /// What the program said.
        #[source]
        source: CommandError,
    },
    /// A program's report could not be read.
    #[error("cannot read what {program} says of {}: {words}", device.display())]
    Report {
        /// The program.
        program: &'static str,
        /// What it was asked about.
        device: PathBuf,
        /// What it said, or what is wrong with it.
        words: String,
    },
    /// Nothing was written.
    #[error("{} is in use ({by}), nothing was written to it: it must be free to be formatted or made part of an array", device.display())]
    InUse {
        /// Which.
        device: PathBuf,
        /// By whom.
        by: String,
    },
    /// Nothing was written.
    #[error(
        "{} holds {now}, and held {before} when it was decided to write to it: nothing was written; \
         make sure that nobody else uses it", device.display()
    )]
    Changed {
        /// Which.
        device: PathBuf,
        /// What the decision was made on.
        before: String,
        /// What was seen under the exclusive open.
        now: String,
    },
    /// It is left alone, as was decided.
    #[error("{} is neither written nor mounted", device.display())]
    Refused {
        /// Which.
        device: PathBuf,
        /// What is on it, and what to do.
        #[source]
        refusal: Refusal,
    },
    /// The devices are left alone, as was decided.
    #[error("the array {} is neither made nor started", device.display())]
    RefusedArray {
        /// As the file names it.
        device: PathBuf,
        /// What is on its devices, and what to do.
        #[source]
        refusal: RaidRefusal,
    },
    /// A program said that it made a file system or an array, and there is none.
    #[error("{program} said that it was done, and {} holds {now}: the disk does not keep what is written to it", device.display())]
    NotMade {
        /// Which program.
        program: String,
        /// On what.
        device: PathBuf,
        /// What is there.
        now: String,
    },
    /// Repairing needs somebody who may decide what is lost.
    #[error(
        "the file system on {} is damaged, and e2fsck -p cannot mend it without a person to ask ({words}): attach it to \
         another machine and run e2fsck -f, or restore it from a snapshot", device.display()
    )]
    Damaged {
        /// Which.
        device: PathBuf,
        /// What e2fsck said.
        words: String,
    },
    /// PID 1 did not mount it.
    #[error("cannot mount {what} at {place}: {words}")]
    NotMounted {
        /// The device.
        what: String,
        /// Where.
        place: String,
        /// systemctl's words and the unit's.
        words: String,
        /// Whether trying again can help.
        class: Class,
    },
    /// Mounting over it would hide what the container of before wrote to.
    #[error(
        "{place} already has {found} mounted, and {wanted} belongs there: unmount it, or reboot the machine"
    )]
    OtherMounted {
        /// Where.
        place: String,
        /// What is there.
        found: String,
        /// What should be.
        wanted: String,
    },
}

impl BlockError {
    /// Whether the device is as it was.
    pub fn wrote_nothing(&self) -> bool {
        matches!(
            self,
            Self::InUse { .. }
                | Self::Changed { .. }
                | Self::Refused { .. }
                | Self::Device { .. }
                | Self::NoDevice { .. }
                | Self::NoSize { .. }
                | Self::Tool {
                    source: CommandError::Missing { .. },
                    ..
                }
        )
    }
}

impl Classified for BlockError {
    fn class(&self) -> Class {
        match self {
            Self::Device { source, .. } => class_of_kernel(source),
            Self::Tool { source, .. } => class_of_tool(source),
            Self::NotMounted { class, .. } => *class,
            Self::NoSize { .. } | Self::Report { .. } | Self::InUse { .. } => Class::Transient,
            Self::NoDevice { .. }
            | Self::Changed { .. }
            | Self::Refused { .. }
            | Self::RefusedArray { .. }
            | Self::NotMade { .. }
            | Self::Damaged { .. }
            | Self::OtherMounted { .. } => Class::Permanent,
        }
    }
}

/// A device comes and goes with its attachment, and a disk that did not answer may do so again.
fn class_of_kernel(error: &io::Error) -> Class {
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidInput => Class::Permanent,
        _ => Class::Transient,
    }
}

/// Words of programs, in English, about what may pass.
const PASSES: [&str; 6] = [
    "busy",
    "in use",
    "input/output error",
    "no such device",
    "no such file",
    "temporarily unavailable",
];

/// A program that says no says it again, unless it names what passes.
fn class_of_tool(error: &CommandError) -> Class {
    match error {
        CommandError::Failed { words, .. } => class_of_words(words),
        CommandError::Missing { .. } => Class::Permanent,
        CommandError::Start { .. } | CommandError::Late { .. } | CommandError::Killed { .. } => {
            Class::Transient
        }
    }
}

fn class_of_words(words: &str) -> Class {
    let words = words.to_lowercase();
    if PASSES.iter().any(|one| words.contains(one)) {
        Class::Transient
    } else {
        Class::Permanent
    }
}

fn failed(verb: &'static str, device: &Path) -> impl FnOnce(io::Error) -> BlockError {
    let device = device.to_owned();
    move |source| BlockError::Device { verb, device, source }
}

fn tool(doing: &'static str, device: &Path) -> impl FnOnce(CommandError) -> BlockError {
    let device = device.to_owned();
    move |source| BlockError::Tool {
        doing,
        device,
        source,
    }
}

/// Work on a device that blocks: a disk may take its time, everything else goes on, and nobody waits for ever. What
/// hangs in the kernel is left to it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    let done = tokio::time::timeout(LOOK, tokio::task::spawn_blocking(work)).await;
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer");
    done.map_err(late)?
        .unwrap_or_else(|ended| Err(io::Error::other(ended)))
}

/// What a device carries, in an error.
fn words(content: &Content) -> String {
    match content {
        Content::Blank => "nothing".to_owned(),
        Content::Filesystem { kind, uuid } => match uuid {
            Some(uuid) => format!("a file system ({kind}, {uuid})"),
            None => format!("a file system ({kind})"),
        },
        Content::Other { what } => what.join(" and "),
    }
}
