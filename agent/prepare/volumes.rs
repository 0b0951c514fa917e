//! EBS volumes: found by their Name tag, attached, and found again as devices.
//!
//! Each device is a wait of its own, so that one volume that another machine still holds keeps no other from being attached. A volume
//! is never detached from anybody: EC2 decides a race, and who lost it looks again.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::try_join_all;
use monopod_core::config::EbsVolume;
use monopod_core::plan::StepId;
use monopod_core::retry;
use monopod_core::storage::volume::{self, Choice, Volume, Wanted};
use tokio::time::Instant;

use super::{Job, PrepareError};
use crate::boot::steps::{GaveUp, until_it_works};
use crate::host::block::find;
use crate::host::ec2::{Attached as Answer, Ec2, Ec2Error};

/// Between two looks at a volume that somebody else holds: it is freed once, and each look is a call of the account's.
const LOOK: Duration = Duration::from_secs(5);

/// A volume that is a device of this machine.
#[derive(Clone, Debug)]
pub(super) struct Attached {
    /// As the user data names it.
    pub(super) device: String,
    /// What EC2 said of it when it was chosen, its tags among it.
    pub(super) volume: Volume,
    /// The whole disk.
    pub(super) path: PathBuf,
}

/// All of them, or why one is not there.
pub(super) async fn ensure_attached(job: &Job<'_>) -> Result<Vec<Attached>, PrepareError> {
    let wanted = &job.plan.storage.ebs;
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let ec2 = Ec2::new(&job.facts.region).await;
    let taken = RefCell::default();
    let devices: Vec<String> = wanted.iter().map(|one| one.device.clone()).collect();
    try_join_all(wanted.iter().map(|one| async {
        let others: Vec<String> = devices
            .iter()
            .filter(|name| **name != one.device)
            .cloned()
            .collect();
        One {
            job,
            ec2: &ec2,
            wanted: one,
            others: &others,
            taken: &taken,
        }
        .ensure_attached()
        .await
    }))
    .await
}

/// One device of `volumes.ebs`.
struct One<'a> {
    job: &'a Job<'a>,
    ec2: &'a Ec2,
    wanted: &'a EbsVolume,
    others: &'a [String],
    /// Volumes of the other devices, by their ids.
    taken: &'a RefCell<Vec<String>>,
}

impl One<'_> {
    async fn ensure_attached(&self) -> Result<Attached, PrepareError> {
        let (job, device) = (self.job, &self.wanted.device);
        let name =
            volume::name_tag(&self.wanted.name_tag, job.facts).map_err(|source| PrepareError::Name {
                device: device.clone(),
                source,
            })?;
        let volume = self.ensure_ours(&name).await?;
        job.note
            .doing(&format!("waiting for the device of {} ({name})", volume.id));
        let path = find::by_volume_id(&volume.id, device, job.deadline).await?;
        job.note.done(&format!(
            "{} ({name}, {} GiB) is attached as {device}, here {}",
            volume.id,
            volume.size_gib,
            path.display()
        ));
        if volume.erase_tag_is_no_order() {
            let text = format!(
                "the tag {} of {} has another value than {}, which is no order to erase it",
                volume::ERASE_TAG,
                volume.id,
                volume::ERASE_TAG_VALUE
            );
            job.note.warn(&text);
        }
        Ok(Attached {
            device: device.clone(),
            volume,
            path,
        })
    }

    /// Until one is attached to this machine, or on its way.
    async fn ensure_ours(&self, name: &str) -> Result<Volume, PrepareError> {
        let (job, device) = (self.job, &self.wanted.device);
        loop {
            let volumes = self
                .asked(name, async || {
                    self.ec2.volumes_named(name, &job.facts.availability_zone).await
                })
                .await?;
            // Nothing is awaited between the choice and its note, so that no other device makes the same one.
            let choice = volume::choose(
                &volumes,
                Wanted {
                    device,
                    others: self.others,
                    taken: &self.taken.borrow(),
                },
                job.facts,
            );
            let by_id = |id: &str| volumes.iter().find(|volume| volume.id == id).cloned();
            let why = match choice {
                Choice::Ours { id } => match by_id(&id) {
                    Some(volume) => {
                        self.taken.borrow_mut().push(id);
                        return Ok(volume);
                    }
                    None => continue,
                },
                Choice::Attach { id, passed_over } => {
                    self.taken.borrow_mut().push(id.clone());
                    match (self.attach(name, &id, &passed_over).await?, by_id(&id)) {
                        (Answer::Begun, Some(volume)) => return Ok(volume),
                        _ => {
                            self.taken.borrow_mut().retain(|taken| *taken != id);
                            format!("{id} was taken by another machine a moment ago")
                        }
                    }
                }
                Choice::Wait { why } => why,
            };
            job.note.doing(&format!(
                "waiting for the volume named {name} for {device}: {why}"
            ));
            if Instant::now() + LOOK >= job.deadline {
                return Err(PrepareError::NoVolume {
                    name: name.to_owned(),
                    device: device.clone(),
                    why,
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn attach(&self, name: &str, id: &str, passed_over: &[String]) -> Result<Answer, PrepareError> {
        let (job, device) = (self.job, &self.wanted.device);
        if !passed_over.is_empty() {
            let text = format!(
                "several volumes are named {name} and available: taking {id}, the lowest id, and leaving {}",
                passed_over.join(", ")
            );
            job.note.warn(&text);
        }
        job.note.doing(&format!("attaching {id} ({name}) as {device}"));
        self.asked(name, async || {
            self.ec2.attach(id, &job.facts.instance_id, device).await
        })
        .await
    }

    /// Through EC2's bad moments.
    async fn asked<T>(
        &self,
        name: &str,
        call: impl AsyncFnMut() -> Result<T, Ec2Error>,
    ) -> Result<T, PrepareError> {
        let asked = until_it_works(
            self.job.context,
            StepId::Prepare,
            retry::AWS,
            Some(self.job.deadline),
            call,
        );
        asked.await.map_err(
            |(GaveUp::Permanent(source) | GaveUp::TimeUp(source))| PrepareError::Ec2 {
                name: name.to_owned(),
                device: self.wanted.device.clone(),
                source,
            },
        )
    }
}
