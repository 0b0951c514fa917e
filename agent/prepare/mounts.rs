//! What is mounted for the container: looked at, formatted where that is ordered or it is blank, checked, mounted by systemd, grown,
//! and made the container's user's own.

use std::path::{Path, PathBuf};

use monopod_core::config::{Filesystem, Mount};
use monopod_core::plan::StepId;
use monopod_core::retry;
use monopod_core::storage::mount::{is_mounted, is_read_only, mount_unit};
use monopod_core::storage::{self, Action, Content, Orders, decide, erased_uuid};

use super::arrays::Assembled;
use super::owed::Owed;
use super::volumes::Attached;
use super::{Job, PrepareError, devices};
use crate::boot::steps::{GaveUp, until_it_works};
use crate::host::block::{self, BlockError};
use crate::host::chain;
use crate::host::ec2::Ec2;

/// Where systemd looks for units that live as long as a boot.
const UNITS: &str = "/run/systemd/system";

/// Outer ones first: what lies in another is mounted into it.
pub(super) async fn ensure_all(
    job: &Job<'_>,
    attached: &[Attached],
    arrays: &[Assembled],
) -> Result<(), PrepareError> {
    let mut mounts: Vec<&Mount> = job.plan.storage.mounts.iter().collect();
    mounts.sort_by_cached_key(|mount| storage::place(&mount.path));
    // All of them are known before the first is written.
    let mut devices: Vec<(&str, PathBuf)> = Vec::new();
    for partition in mounts.iter().filter_map(|mount| mount.partition.as_deref()) {
        let device = devices::path_of(job, partition, attached, arrays).await?;
        if let Some((other, device)) = devices.iter().find(|(_, path)| *path == device) {
            return Err(PrepareError::Twice {
                one: (*other).to_owned(),
                other: partition.to_owned(),
                device: device.clone(),
            });
        }
        devices.push((partition, device));
    }
    for mount in mounts {
        let one = One::new(job, mount);
        let partition = mount.partition.as_deref();
        match partition.and_then(|name| devices.iter().find(|(one, _)| *one == name)) {
            None if is_mounted(mount) => one.ensure_memory().await?,
            None => one.ensure_directory()?,
            Some((partition, device)) => {
                let volume = devices::volume_of(job, partition, attached);
                one.ensure_device(partition, device, volume).await?;
            }
        }
    }
    Ok(())
}

/// One entry of `mounts`.
struct One<'a> {
    job: &'a Job<'a>,
    mount: &'a Mount,
    /// On the machine.
    place: String,
    read_only: bool,
}

impl<'a> One<'a> {
    fn new(job: &'a Job<'a>, mount: &'a Mount) -> Self {
        Self {
            job,
            mount,
            place: storage::place(&mount.path),
            read_only: is_read_only(mount.options.as_deref()),
        }
    }

    fn failed(&self, source: BlockError) -> PrepareError {
        PrepareError::Block {
            what: self.mount.path.clone(),
            source: Box::new(source),
        }
    }

    /// A directory of the machine's.
    fn ensure_directory(&self) -> Result<(), PrepareError> {
        let place = Path::new(&self.place);
        let fresh = !place.exists();
        crate::host::files::ensure_directory(place)?;
        self.ensure_owned(fresh)?;
        self.job
            .note
            .done(&format!("{} is a directory of the machine", self.place));
        Ok(())
    }

    async fn ensure_memory(&self) -> Result<(), PrepareError> {
        let what = Filesystem::Tmpfs.word();
        self.ensure_mounted(self.mount, what).await?;
        let options = self.mount.options.as_deref().unwrap_or_default();
        // Who says whose it is has said so.
        if !options
            .split(',')
            .any(|one| one.starts_with("mode=") || one.starts_with("uid="))
        {
            self.ensure_owned(true)?;
        }
        self.job.note.mounted(&self.place, what);
        self.job
            .note
            .done(&format!("memory is mounted at {}", self.place));
        Ok(())
    }

    async fn ensure_device(
        &self,
        partition: &str,
        device: &Path,
        volume: Option<&Attached>,
    ) -> Result<(), PrepareError> {
        let what = device.display().to_string();
        let mounted = block::is_mounted(&self.place).map_err(|error| self.failed(error))?;
        // By an earlier start in this boot: what it wrote is not looked at again under the container's feet.
        let (filesystem, fresh) = if mounted.is_some() {
            (self.mount.filesystem, false)
        } else {
            self.ensure_filesystem(partition, device, volume).await?
        };
        let as_found = Mount {
            filesystem,
            ..self.mount.clone()
        };
        self.ensure_mounted(&as_found, &what).await?;
        let grown = if self.read_only || fresh {
            None
        } else {
            match block::grow(device, Path::new(&self.place), filesystem).await {
                Ok(grown) => grown.described(),
                // It is mounted and well, and as large as it was.
                Err(error) => {
                    let text = format!("{partition} is not as large as its device: {}", chain(&error));
                    self.job.note.warn(&text);
                    None
                }
            }
        };
        self.ensure_owned(fresh)?;
        self.job.note.mounted(&self.place, &what);
        let grown = grown.map_or_else(String::new, |grown| format!(", {grown}"));
        self.job.note.done(&format!(
            "{what} ({partition}, {}) is mounted at {}{grown}",
            filesystem.word(),
            self.place
        ));
        Ok(())
    }

    /// The device has a file system that may be mounted: which, and whether it is new.
    async fn ensure_filesystem(
        &self,
        partition: &str,
        device: &Path,
        volume: Option<&Attached>,
    ) -> Result<(Filesystem, bool), PrepareError> {
        let (job, mount) = (self.job, self.mount);
        job.note
            .doing(&format!("looking at {partition} ({})", device.display()));
        if let Some(by) = block::in_use(device).await.map_err(|error| self.failed(error))? {
            return Err(PrepareError::InUse {
                partition: partition.to_owned(),
                device: device.to_owned(),
                path: mount.path.clone(),
                by,
            });
        }
        let content = block::content(device).await.map_err(|error| self.failed(error))?;
        let name = devices::lasting_name(job, partition, device, volume);
        let owed = Owed::new(&job.context.directories.state, &job.facts.instance_id, &name);
        let tag = volume.is_some_and(|one| one.volume.erase_tag()) && devices::is_whole(job, partition);
        let orders = match Orders::new(mount.erase_on_boot, tag || owed.covers(&content)?) {
            // Once for an instance and a device: what became of it since is somebody's.
            Orders::Erase if owed.was_erased()? => Orders::Tag { set: false },
            orders => orders,
        };
        let uuid = erased_uuid(&job.facts.instance_id, &name);
        // Nothing of anybody's is on a device whose file system was being made when the power went.
        let cut_off = owed.was_making()?
            && (content.is_unknown_bytes()
                || block::is_half_made(device).map_err(|error| self.failed(error))?);
        let seen = if cut_off { &Content::Blank } else { &content };
        if cut_off {
            let text = format!(
                "{partition}: a file system was being made when the machine stopped, and is made anew"
            );
            job.note.warn(&text);
        }
        let action = decide(seen, orders, mount.filesystem, self.read_only, &uuid);
        match &action {
            Action::Refuse(refusal) => {
                return Err(PrepareError::Content {
                    partition: partition.to_owned(),
                    path: mount.path.clone(),
                    source: Box::new(refusal.clone()),
                });
            }
            Action::Use { filesystem } => {
                // A mkfs that came to its end without its note being taken away: one that stayed would stand for bytes of the
                // application's, should the file system ever be damaged.
                owed.settle(orders == Orders::Erase)?;
                // A check mends, which is writing.
                if self.read_only {
                    return Ok((*filesystem, false));
                }
                job.note
                    .doing(&format!("checking {partition} ({})", device.display()));
                let checked = block::check(device, *filesystem).await;
                if let Some(mended) = checked.map_err(|error| self.failed(error))?.described() {
                    job.note.warn(&format!("{partition}: {mended}"));
                }
                return Ok((*filesystem, false));
            }
            Action::Format { why, .. } => self.tell_formatting(partition, device, why),
            Action::RemoveTagThenFormat { why } => {
                if let Some(volume) = volume.filter(|_| tag) {
                    self.remove_tag(&volume.volume.id).await?;
                    owed.note_erasure(&content)?;
                }
                self.tell_formatting(partition, device, why);
            }
        }
        owed.note_making()?;
        if let Err(error) = block::ensure_action(device, &content, &action, mount.filesystem).await {
            if error.wrote_nothing() {
                owed.not_made()?;
            }
            return Err(self.failed(error));
        }
        owed.settle(orders == Orders::Erase)?;
        job.note.done(&format!(
            "{partition} was formatted as {}",
            mount.filesystem.word()
        ));
        Ok((mount.filesystem, true))
    }

    fn tell_formatting(&self, partition: &str, device: &Path, why: &str) {
        self.job.note.doing(&format!(
            "formatting {partition} ({}) as {}: {why}",
            device.display(),
            self.mount.filesystem.word()
        ));
    }

    async fn remove_tag(&self, volume: &str) -> Result<(), PrepareError> {
        let job = self.job;
        job.note
            .doing(&format!("removing the tag {} of {volume}", storage::ERASE_TAG));
        let ec2 = Ec2::new(&job.facts.region).await;
        let removed = until_it_works(
            job.context,
            StepId::Prepare,
            retry::AWS,
            Some(job.deadline),
            async || ec2.remove_erase_tag(volume).await,
        );
        removed.await.map_err(
            |(GaveUp::Permanent(source) | GaveUp::TimeUp(source))| PrepareError::Tag {
                volume: volume.to_owned(),
                source,
            },
        )
    }

    async fn ensure_mounted(&self, mount: &Mount, what: &str) -> Result<(), PrepareError> {
        let unit = mount_unit(mount, what);
        self.job.note.doing(&format!("mounting {what} at {}", self.place));
        block::ensure_mounted(&unit, what, &self.place, Path::new(UNITS))
            .await
            .map(drop)
            .map_err(|error| self.failed(error))
    }

    /// The container's user can write to it, unless nobody is to.
    fn ensure_owned(&self, fresh: bool) -> Result<(), PrepareError> {
        if self.read_only {
            return Ok(());
        }
        let Some(owner) = self.job.plan.owner() else {
            return Ok(());
        };
        block::ensure_owned(Path::new(&self.place), owner, fresh)
            .map(drop)
            .map_err(|error| {
                PrepareError::File(crate::host::files::FileError::new(
                    "give to the container's user",
                    Path::new(&self.place),
                    error,
                ))
            })
    }
}
