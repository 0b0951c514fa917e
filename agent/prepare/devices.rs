//! Names of the user data to devices of this machine.

use std::path::{Path, PathBuf};

use monopod_core::storage::device::{Origin, same_device, split_partition};

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
    let path = find::resolve(name, &known, &ec2, &job.facts.instance_id, job.deadline).await?;
    ensure_meant(job, name, &path, attached)?;
    Ok(path)
}

/// The kernel numbers NVMe disks in the order it finds them, so `/dev/nvme1n1` may be a volume today that was an instance store
/// yesterday: nothing that goes by such a name may become a volume, let alone be written.
fn ensure_meant(job: &Job<'_>, name: &str, path: &Path, attached: &[Attached]) -> Result<(), PrepareError> {
    if !matches!(Origin::of(&job.plan.storage, name), Origin::Machine { .. }) {
        return Ok(());
    }
    let disk = split_partition(&path.display().to_string()).device;
    if let Some(volume) = attached
        .iter()
        .find(|one| one.path == Path::new(&disk) || one.path == path)
    {
        return Err(PrepareError::Twice {
            one: volume.device.clone(),
            other: name.to_owned(),
            device: path.to_owned(),
        });
    }
    let serial = find::disk_name_of(Path::new(&disk));
    if name.starts_with("/dev/nvme") && serial.starts_with("vol") {
        return Err(PrepareError::NumberedVolume {
            name: name.to_owned(),
            serial,
        });
    }
    Ok(())
}

/// The volume that a name of the user data stands for, whole or in part.
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

/// Whether the volume's tag is an order for what goes by this name: it is for the whole volume, not for a part of it.
pub(super) fn is_whole(job: &Job<'_>, name: &str) -> bool {
    matches!(
        Origin::of(&job.plan.storage, name),
        Origin::Ebs { partition: None, .. }
    )
}
