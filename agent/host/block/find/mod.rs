//! Which device: an EBS volume by its id, and whatever else a mount names.
//!
//! The kernel numbers NVMe disks in the order in which it meets them, so a number or an order says nothing here. On Nitro a
//! disk's serial number is its volume's id; on Xen a disk has the name it was attached as. A device that was just attached
//! takes a while: it is waited for, woken by what happens in `/dev`, with a slow look behind it.
//!
//! Nothing here opens a device.

mod disks;
mod watch;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::storage::volume::Volume;
use monopod_core::storage::{partition_path, same_device, split_partition};
use tokio::time::Instant;

use crate::host::ec2::{Ec2, Ec2Error};
use crate::host::{Class, Classified};
use disks::{Disk, Roots, VolumeId};
use watch::Watch;

/// How often to look where no event comes: sysfs sends none.
const POLL: Duration = Duration::from_secs(1);

/// Why there is no device.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be looked for.
    #[error("{0:?} is not the id of an EBS volume (vol-0123456789abcdef0)")]
    NotAVolume(String),
    /// It has not come up.
    #[error(
        "no disk has come up for {volume}, which EC2 attaches as {device}; {}. If it is encrypted, the instance's role, or the key's policy, has to allow its use",
        there(.disks)
    )]
    Late {
        /// The volume.
        volume: String,
        /// As what it was attached.
        device: String,
        /// What there is instead.
        disks: Vec<String>,
    },
    /// Two disks claim to be one volume.
    #[error("{} all say that they are {volume}: none of them is used", .paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" and "))]
    Several {
        /// The volume.
        volume: String,
        /// The disks.
        paths: Vec<PathBuf>,
    },
    /// No device has the name.
    #[error(
        "there is no device {name}: it is no device of `volumes`, not in /dev, and EC2 has attached nothing under this name; {}",
        there(.disks)
    )]
    Unknown {
        /// As the file has it.
        name: String,
        /// What there is instead.
        disks: Vec<String>,
    },
    /// No device has the name, and whether EC2 knows it could not be learned.
    #[error("there is no device {name} in /dev, and EC2 cannot say what it attached under this name; {}", there(.disks))]
    Unasked {
        /// As the file has it.
        name: String,
        /// What there is instead.
        disks: Vec<String>,
        /// Why not.
        #[source]
        source: Ec2Error,
    },
    /// The disk is there, the partition is not.
    #[error(
        "{} has no partition {number}; name the disk itself, without the number, if the file system is to be on all of it",
        .disk.display()
    )]
    NoPartition {
        /// The disk.
        disk: PathBuf,
        /// Which.
        number: u32,
    },
}

impl Classified for FindError {
    fn class(&self) -> Class {
        match self {
            // A link of udev's may be older than what it points to.
            Self::Late { .. } | Self::Several { .. } => Class::Transient,
            Self::Unasked { source, .. } => source.class(),
            Self::NotAVolume(_) | Self::Unknown { .. } | Self::NoPartition { .. } => Class::Permanent,
        }
    }
}

/// What there is, for people.
fn there(disks: &[String]) -> String {
    match disks {
        [] => "there is no disk at all".to_owned(),
        disks => format!("there are: {}", disks.join(", ")),
    }
}

/// The disk of an EBS volume that was attached under this name, as soon as it is there.
pub async fn by_volume_id(volume: &str, device_name: &str, deadline: Instant) -> Result<PathBuf, FindError> {
    Finder::of_the_machine(deadline).volume(volume, device_name).await
}

/// The device of a mount's `partition`, or of an array's member, as soon as it is there:
///
/// 1. a device of `volumes.ebs` (`known`: its name and the id of its volume);
/// 2. a path that is there: instance store, an array, `/dev/disk/by-id/...`;
/// 3. what EC2 attached under this name when the machine was launched: on Nitro there is no such path.
///
/// With a number at its end that is none of the name's own, the partition of that disk.
pub async fn resolve(
    name: &str,
    known: &[(String, String)],
    ec2: &Ec2,
    instance: &str,
    deadline: Instant,
) -> Result<PathBuf, FindError> {
    Finder::of_the_machine(deadline)
        .resolve(name, known, async || {
            let volumes = ec2.volumes_of(instance).await?;
            Ok(mappings(volumes, instance))
        })
        .await
}

/// What a device is called at every boot of this instance: its serial number where it has one (on Nitro, the volume's id).
pub fn disk_name_of(path: &Path) -> String {
    Roots::of_the_machine().stable_name(path)
}

/// Looks until it has found, or until it is late.
#[derive(Debug)]
struct Finder {
    roots: Roots,
    poll: Duration,
    deadline: Instant,
}

impl Finder {
    fn of_the_machine(deadline: Instant) -> Self {
        Self {
            roots: Roots::of_the_machine(),
            poll: POLL,
            deadline,
        }
    }

    /// The first answer of `look`; `None` at the deadline. It is asked once in any case.
    async fn wait<T>(&self, look: impl Fn() -> Option<T>) -> Option<T> {
        let watch = Watch::new();
        loop {
            // First, so that nothing comes between the look and the wait.
            watch.arm(&self.roots.directories());
            if let Some(found) = look() {
                return Some(found);
            }
            let now = Instant::now();
            if now >= self.deadline {
                return None;
            }
            watch.changed(self.deadline.min(now + self.poll)).await;
        }
    }

    async fn volume(&self, volume: &str, device_name: &str) -> Result<PathBuf, FindError> {
        let id = VolumeId::parse(volume).ok_or_else(|| FindError::NotAVolume(volume.to_owned()))?;
        let look = || Some(self.roots.of_volume(&id, device_name)).filter(|found| !found.is_empty());
        let found: BTreeSet<PathBuf> = self.wait(look).await.unwrap_or_default();
        let mut found: Vec<PathBuf> = found.into_iter().collect();
        match (found.pop(), found.is_empty()) {
            (Some(path), true) => Ok(path),
            (None, _) => Err(FindError::Late {
                volume: volume.to_owned(),
                device: device_name.to_owned(),
                disks: self.disks(),
            }),
            (Some(last), false) => {
                found.push(last);
                Err(FindError::Several {
                    volume: volume.to_owned(),
                    paths: found,
                })
            }
        }
    }

    async fn resolve(
        &self,
        name: &str,
        known: &[(String, String)],
        attached: impl AsyncFnOnce() -> Result<Vec<(String, String)>, Ec2Error>,
    ) -> Result<PathBuf, FindError> {
        let split = split_partition(name);
        let of = |pairs: &[(String, String)]| matching(pairs, name, &split.device, split.partition);
        if let Some(volume) = of(known) {
            return self.partition_of(volume).await;
        }
        if let Some(path) = self.roots.named(name) {
            return Ok(path);
        }
        // Of a disk that is there, a partition may still come; EC2 knows nothing of it.
        if let (Some(disk), Some(number)) = (self.roots.named(&split.device), split.partition) {
            return self.partition(disk, number).await;
        }
        let mappings = match attached().await {
            Ok(mappings) => mappings,
            Err(source) => {
                return Err(FindError::Unasked {
                    name: name.to_owned(),
                    disks: self.disks(),
                    source,
                });
            }
        };
        if let Some(volume) = of(&mappings) {
            return self.partition_of(volume).await;
        }
        let appeared = self.wait(|| self.roots.named(name)).await;
        appeared.ok_or_else(|| FindError::Unknown {
            name: name.to_owned(),
            disks: self.disks(),
        })
    }

    async fn partition_of(&self, volume: Match) -> Result<PathBuf, FindError> {
        let disk = self.volume(&volume.id, &volume.device).await?;
        match volume.partition {
            None => Ok(disk),
            Some(number) => self.partition(disk, number).await,
        }
    }

    /// The kernel reads a disk's table a moment after it has met the disk.
    async fn partition(&self, disk: PathBuf, number: u32) -> Result<PathBuf, FindError> {
        let path = PathBuf::from(partition_path(&disk.to_string_lossy(), number));
        let found = self.wait(|| self.roots.device(&path)).await;
        found.ok_or(FindError::NoPartition { disk, number })
    }

    fn disks(&self) -> Vec<String> {
        self.roots.disks().iter().map(Disk::to_string).collect()
    }
}

/// A volume that a name means.
#[derive(Debug)]
struct Match {
    id: String,
    device: String,
    partition: Option<u32>,
}

/// The whole name first: EC2 attaches whole disks under names such as /dev/sda1, too.
fn matching(pairs: &[(String, String)], name: &str, disk: &str, partition: Option<u32>) -> Option<Match> {
    [(name, None), (disk, partition)]
        .into_iter()
        .find_map(|(name, partition)| {
            let (device, id) = pairs.iter().find(|(device, _)| same_device(device, name))?;
            Some(Match {
                id: id.clone(),
                device: device.clone(),
                partition,
            })
        })
}

/// The names under which volumes are attached to an instance; one volume may have several holders.
fn mappings(volumes: Vec<Volume>, instance: &str) -> Vec<(String, String)> {
    let of = |volume: Volume| {
        let id = volume.id;
        let here = volume.attachments.into_iter();
        here.filter(|attachment| attachment.instance_id == instance)
            .map(move |attachment| (attachment.device, id.clone()))
    };
    volumes.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests;
