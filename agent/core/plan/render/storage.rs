//! The part of a plan that disks have. Which volume it is, and whether a device is blank, is open until the machine looks.

use std::fmt::{self, Write as _};

use serde_json::{Value, json};

use crate::config::{EbsVolume, Mount, Raid, Storage};
use crate::facts::InstanceFacts;
use crate::plan::{Plan, aws};
use crate::storage::{self, ERASE_TAG, ERASE_TAG_VALUE, is_mounted, is_read_only};
use crate::text;

impl Plan {
    pub(super) fn write_storage(&self, out: &mut String) -> fmt::Result {
        let rows = rows(&self.storage, self.facts.as_ref());
        if !rows.is_empty() {
            writeln!(
                out,
                "\nStorage, by monopod-prepare.service; what stands in <> is known on the machine"
            )?;
        }
        for row in rows {
            writeln!(out, "  {}", text::printable(&row))?;
        }
        Ok(())
    }

    /// Holes are null.
    pub(super) fn storage_json(&self) -> Value {
        let facts = self.facts.as_ref();
        let storage = &self.storage;
        let volumes: serde_json::Map<String, Value> = storage
            .ebs
            .iter()
            .map(|volume| {
                let value = json!({
                    "does": attach(volume, facts),
                    "name_tag": name_tag(volume, facts),
                    "volume_id": null,
                });
                (volume.device.clone(), value)
            })
            .collect();
        let arrays: serde_json::Map<String, Value> = storage
            .raid
            .iter()
            .map(|raid| {
                let value = json!({
                    "does": assemble(raid),
                    "level": raid.level.number(),
                    "devices": raid.members,
                    "exists": null,
                });
                (raid.device.clone(), value)
            })
            .collect();
        let mounts: serde_json::Map<String, Value> = storage
            .mounts
            .iter()
            .map(|one| {
                let value = json!({
                    "does": mount(storage, one),
                    "place": storage::place(&one.path),
                    "device": one.partition,
                    "filesystem": is_mounted(one).then(|| one.filesystem.word()),
                    "options": one.options,
                    "read_only": is_read_only(one.options.as_deref()),
                    "erase_on_boot": one.erase_on_boot,
                    "blank": null,
                });
                (one.path.clone(), value)
            })
            .collect();
        json!({ "volumes": volumes, "arrays": arrays, "mounts": mounts })
    }
}

/// A row for each thing that is done, in its order.
pub(in crate::plan) fn rows(storage: &Storage, facts: Option<&InstanceFacts>) -> Vec<String> {
    let volumes = storage.ebs.iter().map(|volume| attach(volume, facts));
    let arrays = storage.raid.iter().map(assemble);
    let mounts = storage.mounts.iter().map(|one| mount(storage, one));
    volumes.chain(arrays).chain(mounts).collect()
}

/// With the machine's addresses in it, as far as they are known.
fn name_tag(volume: &EbsVolume, facts: Option<&InstanceFacts>) -> String {
    facts
        .and_then(|facts| storage::name_tag(&volume.name_tag, facts).ok())
        .unwrap_or_else(|| volume.name_tag.clone())
}

fn attach(volume: &EbsVolume, facts: Option<&InstanceFacts>) -> String {
    let zone = facts.map_or("the machine's zone", |facts| facts.availability_zone.as_str());
    format!(
        "attach <the volume that is here already, else the lowest id available in {zone}> named {} as {}; wait while another machine has it",
        name_tag(volume, facts),
        volume.device
    )
}

fn assemble(raid: &Raid) -> String {
    format!(
        "start <the array that exists, else a new one of blank devices> {} as {} from {}",
        raid.device,
        raid.level,
        raid.members.join(", ")
    )
}

fn mount(storage: &Storage, mount: &Mount) -> String {
    let read_only = is_read_only(mount.options.as_deref());
    let path = &mount.path;
    let mut row = match &mount.partition {
        Some(device) => format!("mount {device} at {path} as {}", mount.filesystem),
        None if is_mounted(mount) => format!("mount memory at {path}"),
        None => {
            return format!(
                "mount {}, a directory of the machine, at {path}",
                storage::place(path)
            );
        }
    };
    if let Some(options) = &mount.options {
        // Writing to a String cannot fail.
        let _ok = write!(row, " ({options})").is_ok();
    }
    let Some(device) = &mount.partition else {
        return row;
    };
    row.push_str(", ");
    match mount.erase_on_boot {
        _ if read_only => row.push_str("never formatted: read-only"),
        Some(true) => row.push_str(
            "formatted once for each instance and device, whatever is on it, then checked and grown",
        ),
        Some(false) => row.push_str("never formatted; checked and grown"),
        None if aws::may_have_tag(storage, device) => row.push_str(&format!(
            "formatted <if it is blank, or its volume has the tag {ERASE_TAG}={ERASE_TAG_VALUE}>, else checked and grown"
        )),
        None => row.push_str("formatted <if it is blank>, else checked and grown"),
    }
    row
}
