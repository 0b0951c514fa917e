//! Arrays: one that exists is used, whatever its name; one is made of blank devices only.
//!
//! An array starts without one of its devices where its level allows that and the device is blank (a disk that was replaced): the
//! data is served, nothing is rebuilt, and a warning says so. Whatever else does not fit together is refused, because every guess
//! could cost somebody's data.

#[cfg(test)]
mod tests;

use thiserror::Error;

use super::content::Content;
use crate::config::{Raid, RaidLevel};

/// One device of `volumes.raid`, looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The kernel's own path of it, as in [`Active::members`].
    pub path: String,
    /// What it carries.
    pub content: Content,
    /// The array it is part of, where its superblock can be read.
    pub array: Option<ArrayMember>,
}

/// What a member's superblock says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayMember {
    /// mdadm's UUID.
    pub array_uuid: String,
    /// `raid1`.
    pub level: String,
    /// How many devices the array has, spares not counted.
    pub devices: u32,
    /// `host:name`.
    pub name: Option<String>,
}

/// An array that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Active {
    /// `/dev/md127`.
    pub path: String,
    /// mdadm's UUID.
    pub uuid: String,
    /// The kernel's own paths of its devices.
    pub members: Vec<String>,
    /// Whether a device is missing.
    pub degraded: bool,
}

/// What to do for one array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaidAction {
    /// It runs.
    Use {
        /// Under which name.
        path: String,
        /// Whether a device is missing, which a warning says.
        degraded: bool,
    },
    /// It exists and has to be started.
    Assemble {
        /// mdadm's UUID.
        uuid: String,
        /// Of these, and of no others.
        members: Vec<String>,
        /// Whether a device is missing, which a warning says.
        degraded: bool,
    },
    /// Every device is blank.
    Create,
    /// Nothing is written. Permanent: a person has to look.
    Refuse(RaidRefusal),
}

/// Why devices are left alone, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RaidRefusal {
    /// No array, and a device that carries something.
    #[error(
        "{path} carries {what}, and an array is never made over data: name the device that was meant, or wipe it with `wipefs --all` if nobody needs what is on it"
    )]
    Data {
        /// The device.
        path: String,
        /// In words.
        what: String,
    },
    /// Devices of different arrays.
    #[error(
        "the devices are part of different arrays ({}): name the devices of one of them", .uuids.join(", ")
    )]
    Mixed {
        /// mdadm's UUIDs.
        uuids: Vec<String>,
    },
    /// The array that is there has another number of devices.
    #[error(
        "the array {uuid} has {has} devices and the file names {named}: name exactly its devices; an array is neither grown nor shrunk here"
    )]
    Count {
        /// mdadm's UUID.
        uuid: String,
        /// By its superblock.
        has: u32,
        /// In the file.
        named: usize,
    },
    /// The array that is there has another level.
    #[error("the array {uuid} is {found} and the file says {wanted}: write the level it has")]
    Level {
        /// mdadm's UUID.
        uuid: String,
        /// By its superblock.
        found: String,
        /// Of the file.
        wanted: RaidLevel,
    },
    /// Too many devices are missing.
    #[error(
        "only {found} of the {has} devices of the array {uuid} are there, too few for {level}: attach the others"
    )]
    Missing {
        /// mdadm's UUID.
        uuid: String,
        /// With its superblock.
        found: usize,
        /// By its superblock.
        has: u32,
        /// Of the file.
        level: RaidLevel,
    },
    /// A running array has a device that the file does not name.
    #[error("{array} runs with {device}, which the file does not name: name exactly its devices, or stop it")]
    Foreign {
        /// The array.
        array: String,
        /// The device.
        device: String,
    },
    /// Fewer than two devices.
    #[error("an array needs two devices or more, and {found} can be looked at")]
    TooFew {
        /// That were looked at.
        found: usize,
    },
}

/// Decides what to do for one array: pure, and the only place that says an array may be made.
pub fn decide_raid(raid: &Raid, members: &[Member], active: &[Active]) -> RaidAction {
    if members.len() < 2 || members.len() != raid.members.len() {
        return RaidAction::Refuse(RaidRefusal::TooFew { found: members.len() });
    }
    let refuse = |result: Result<RaidAction, RaidRefusal>| result.unwrap_or_else(RaidAction::Refuse);
    let is_named = |path: &String| members.iter().any(|member| member.path == *path);
    let running: Vec<&Active> = active
        .iter()
        .filter(|array| array.members.iter().any(is_named))
        .collect();
    match running.as_slice() {
        [] => {}
        [array] => return refuse(use_active(raid, members, array)),
        several => {
            return RaidAction::Refuse(RaidRefusal::Mixed {
                uuids: several.iter().map(|array| array.uuid.clone()).collect(),
            });
        }
    }
    let mut uuids: Vec<&str> = Vec::new();
    for array in members.iter().filter_map(|member| member.array.as_ref()) {
        if !uuids.iter().any(|uuid| same_uuid(uuid, &array.array_uuid)) {
            uuids.push(&array.array_uuid);
        }
    }
    match uuids.as_slice() {
        [] => refuse(create(members)),
        [uuid] => refuse(assemble(raid, members, uuid)),
        several => RaidAction::Refuse(RaidRefusal::Mixed {
            uuids: several.iter().map(|&uuid| uuid.to_owned()).collect(),
        }),
    }
}

fn use_active(raid: &Raid, members: &[Member], array: &Active) -> Result<RaidAction, RaidRefusal> {
    let foreign = array
        .members
        .iter()
        .find(|path| !members.iter().any(|member| member.path == **path));
    if let Some(device) = foreign {
        return Err(RaidRefusal::Foreign {
            array: array.path.clone(),
            device: device.clone(),
        });
    }
    let outside = |member: &&Member| !array.members.contains(&member.path);
    let is_of_it = |member: &Member| {
        let superblock = member.array.as_ref();
        superblock.is_some_and(|superblock| same_uuid(&superblock.array_uuid, &array.uuid))
    };
    // One that was dropped from it still says so; anything else there is nobody's to overlook.
    members
        .iter()
        .filter(outside)
        .filter(|member| !is_of_it(member))
        .try_for_each(blank)?;
    if !array.degraded && members.len() > array.members.len() {
        return Err(RaidRefusal::Count {
            uuid: array.uuid.clone(),
            has: u32::try_from(array.members.len()).unwrap_or(u32::MAX),
            named: raid.members.len(),
        });
    }
    if let Some(superblock) = members
        .iter()
        .filter_map(|member| member.array.as_ref())
        .find(|superblock| same_uuid(&superblock.array_uuid, &array.uuid))
    {
        fits(raid, superblock)?;
    }
    Ok(RaidAction::Use {
        path: array.path.clone(),
        degraded: array.degraded,
    })
}

fn assemble(raid: &Raid, members: &[Member], uuid: &str) -> Result<RaidAction, RaidRefusal> {
    let (of_array, others): (Vec<&Member>, Vec<&Member>) =
        members.iter().partition(|member| member.array.is_some());
    let Some(superblock) = of_array.iter().find_map(|member| member.array.as_ref()) else {
        return create(members);
    };
    // Another disk's data beside an array's: nobody can say which was meant.
    others.into_iter().try_for_each(blank)?;
    fits(raid, superblock)?;
    let has = superblock.devices as usize;
    if of_array.len() >= has && of_array.len() < members.len() {
        // The array is whole without a device that the file names: the file means another array.
        return Err(RaidRefusal::Count {
            uuid: uuid.to_owned(),
            has: superblock.devices,
            named: raid.members.len(),
        });
    }
    let enough = match raid.level {
        RaidLevel::Raid0 => has,
        RaidLevel::Raid1 => 1,
        RaidLevel::Raid5 => has.saturating_sub(1),
        // Which halves can be missing depends on the layout; mdadm refuses to start one that misses both copies.
        RaidLevel::Raid10 => has.div_ceil(2),
    };
    if of_array.len() < enough {
        return Err(RaidRefusal::Missing {
            uuid: uuid.to_owned(),
            found: of_array.len(),
            has: superblock.devices,
            level: raid.level,
        });
    }
    Ok(RaidAction::Assemble {
        uuid: uuid.to_owned(),
        degraded: of_array.len() < has,
        members: of_array.iter().map(|member| member.path.clone()).collect(),
    })
}

/// Whether an array is the one the file describes; more devices in the file than in the array are told apart by the caller.
fn fits(raid: &Raid, superblock: &ArrayMember) -> Result<(), RaidRefusal> {
    if superblock.level != raid.level.mdadm() {
        return Err(RaidRefusal::Level {
            uuid: superblock.array_uuid.clone(),
            found: superblock.level.clone(),
            wanted: raid.level,
        });
    }
    if raid.members.len() < superblock.devices as usize {
        return Err(RaidRefusal::Count {
            uuid: superblock.array_uuid.clone(),
            has: superblock.devices,
            named: raid.members.len(),
        });
    }
    Ok(())
}

fn create(members: &[Member]) -> Result<RaidAction, RaidRefusal> {
    members.iter().try_for_each(blank)?;
    Ok(RaidAction::Create)
}

fn blank(member: &Member) -> Result<(), RaidRefusal> {
    let what = match &member.content {
        Content::Blank if member.array.is_none() => return Ok(()),
        Content::Blank => "a part of an array".to_owned(),
        Content::Filesystem { kind, .. } => format!("a file system, {kind}"),
        Content::Other { what } if what.is_empty() => "something unknown".to_owned(),
        Content::Other { what } => what.join(" and "),
    };
    Err(RaidRefusal::Data {
        path: member.path.clone(),
        what,
    })
}

/// mdadm writes `a:b:c:d` and udev `a-b-c-d-e` of the same number.
fn same_uuid(a: &str, b: &str) -> bool {
    let digits = |uuid: &str| -> String {
        uuid.chars()
            .filter(char::is_ascii_hexdigit)
            .map(|c| c.to_ascii_lowercase())
            .collect()
    };
    digits(a) == digits(b)
}
