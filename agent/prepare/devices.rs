//! Names of the user data to devices of this machine.

use std::path::{Path, PathBuf};

use monopod_core::storage::device::{Origin, same_device};

use super::arrays::Assembled;
use super::volumes::Attached;
use super::{Job, PrepareError};
use crate::host::block::find;
use crate::host::ec2::Ec2;

/// Where the device of this name is; waits for one that shows up in time.
pub(super) async fn path_of(
    job: &Job<'_>,
    name: &str,
    attached: &[Attached],
    arrays: &[Assembled],
) -> Result<PathBuf, PrepareError> {
    if let Some(array) = arrays.iter().find(|array| same_device(&array.device, name)) {
        return Ok(array.path.clone());
    }
    let known: Vec<(String, String)> = attached
        .iter()
        .map(|one| (one.device.clone(), one.volume.id.clone()))
        .collect();
    // It is asked only about a name that is neither known nor a path.
    let ec2 = Ec2::new(&job.facts.region).await;
    Ok(find::resolve(name, &known, &ec2, &job.facts.instance_id, job.deadline).await?)
}

/// The volume that a name of the user data stands for, whole: a tag on it is an order for the volume, not for a part of it.
pub(super) fn volume_of<'a>(job: &Job<'_>, name: &str, attached: &'a [Attached]) -> Option<&'a Attached> {
    match Origin::of(&job.plan.storage, name) {
        Origin::Ebs { device, .. } => attached.iter().find(|one| one.device == device),
        Origin::Raid { .. } | Origin::Machine { .. } => None,
    }
}

/// What names a device for good, at every boot of this instance: the volume's id, which EC2 knows even where the kernel only has a
/// name of its own, else what the device says of itself.
pub(super) fn lasting_name(job: &Job<'_>, name: &str, device: &Path, volume: Option<&Attached>) -> String {
    match (Origin::of(&job.plan.storage, name), volume) {
        (Origin::Ebs { partition, .. }, Some(volume)) => {
            let part = partition.map_or_else(String::new, |number| format!("-part{number}"));
            format!("{}{part}", volume.volume.id)
        }
        _ => find::disk_name_of(device),
    }
}
