//! Arrays: one that exists is used whatever its name, one is made of blank devices alone.

use std::path::PathBuf;

use monopod_core::config::Raid;
use monopod_core::storage::raid::{RaidAction, decide_raid};

use super::volumes::Attached;
use super::{Job, PrepareError, devices};
use crate::host::block;

/// An array that runs.
#[derive(Clone, Debug)]
pub(super) struct Assembled {
    /// As the user data names it.
    pub(super) device: String,
    /// Where it is.
    pub(super) path: PathBuf,
}

/// All of them, or why one is not there.
pub(super) async fn ensure_assembled(
    job: &Job<'_>,
    attached: &[Attached],
) -> Result<Vec<Assembled>, PrepareError> {
    let mut all = Vec::new();
    for raid in &job.plan.storage.raid {
        all.push(Assembled {
            device: raid.device.clone(),
            path: ensure_one(job, raid, attached).await?,
        });
    }
    Ok(all)
}

async fn ensure_one(job: &Job<'_>, raid: &Raid, attached: &[Attached]) -> Result<PathBuf, PrepareError> {
    job.note
        .doing(&format!("looking at the devices of {}", raid.device));
    let failed = |source| PrepareError::Block {
        what: raid.device.clone(),
        source: Box::new(source),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for name in &raid.members {
        let path = devices::path_of(job, name, attached, &[]).await?;
        if let Some(at) = paths.iter().position(|one| *one == path) {
            return Err(PrepareError::Twice {
                one: raid.members.get(at).cloned().unwrap_or_default(),
                other: name.clone(),
                device: path,
            });
        }
        paths.push(path);
    }
    let members = block::members(&paths).await.map_err(failed)?;
    let active = block::active_arrays().await.map_err(failed)?;
    let action = decide_raid(raid, &members, &active);
    let degraded = match &action {
        RaidAction::Refuse(refusal) => {
            return Err(PrepareError::Array {
                array: raid.device.clone(),
                source: Box::new(refusal.clone()),
            });
        }
        RaidAction::Use { degraded, .. } | RaidAction::Assemble { degraded, .. } => *degraded,
        RaidAction::Create => {
            job.note.doing(&format!(
                "making {} as RAID {} of {}, which are blank",
                raid.device,
                raid.level,
                raid.members.join(", ")
            ));
            false
        }
    };
    let path = block::ensure_array(raid, &action, &members)
        .await
        .map_err(failed)?;
    let how = match &action {
        RaidAction::Create => "made",
        RaidAction::Assemble { .. } => "assembled",
        RaidAction::Use { .. } | RaidAction::Refuse(_) => "running already",
    };
    job.note
        .done(&format!("{} is {how}, here {}", raid.device, path.display()));
    if degraded {
        let text = format!(
            "the array {} runs without one of its devices: its data is served, and nothing is rebuilt by itself; add a device with `mdadm --add`",
            raid.device
        );
        job.note.warn(&text);
    }
    Ok(path)
}
