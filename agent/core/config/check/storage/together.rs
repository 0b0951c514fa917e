//! What devices and mounts say of each other: one device is for one thing.

use super::super::super::model::{Mount, Storage};
use super::super::super::problem::{Code, Problem};
use super::super::Checker;
use super::super::field::Field;
use crate::storage::mount::NAME_MOST;
use crate::storage::{Origin, is_mounted, is_read_only, same_device, unit_name};

/// A name of a device and where it stands.
pub(super) type Named<'c> = (String, Field<'c>);

/// Where what was read stands.
#[derive(Default)]
pub(super) struct Places<'c> {
    pub(super) ebs: Vec<Named<'c>>,
    pub(super) arrays: Vec<Named<'c>>,
    pub(super) members: Vec<Named<'c>>,
    /// With the mount's own place, and its partition's where it has one.
    pub(super) mounts: Vec<(Mount, Field<'c>, Option<Field<'c>>)>,
}

impl<'c> Checker<'c> {
    pub(super) fn together(&mut self, storage: &Storage, places: &Places<'c>) {
        self.twice(&places.ebs, "EC2 attaches two volumes as one device", true);
        self.twice(&places.arrays, "two arrays have one name", true);
        self.twice(&places.members, "the device is a part of an array already", false);
        for (member, field) in &places.members {
            let is_array = places.arrays.iter().any(|(array, _)| same_device(array, member));
            if is_array {
                let message = "an array cannot be a part of an array here";
                let problem = field.error(Code::BadValue, message);
                self.report(problem.help("name disks"));
            }
        }
        let mut mounted: Vec<Named<'c>> = Vec::new();
        for (mount, field, partition) in &places.mounts {
            self.one_mount(mount, field);
            let (Some(device), Some(field)) = (&mount.partition, partition) else {
                continue;
            };
            if mounted.iter().any(|(other, _)| overlap(storage, other, device)) {
                let problem = field.error(Code::BadValue, "another mount has the same device");
                self.report(
                    problem
                        .help("give each mount a device of its own, or mount one and use directories of it"),
                );
            } else if places
                .members
                .iter()
                .any(|(member, _)| overlap(storage, member, device))
            {
                let problem = field.error(Code::BadValue, "the device is a part of an array");
                self.report(
                    problem
                        .help("mount the array: write `partition: /dev/md/...`, as `volumes.raid` names it"),
                );
            } else {
                self.not_attached(storage, device, field);
            }
            mounted.push((device.clone(), field.clone()));
        }
    }

    fn twice(&mut self, named: &[Named<'c>], message: &str, is_key: bool) {
        for (at, (name, field)) in named.iter().enumerate() {
            let before = named.iter().take(at);
            if before.into_iter().any(|(other, _)| same_device(other, name)) {
                let problem = field.error(Code::BadValue, message);
                let problem = if is_key {
                    problem.at(field.key_place)
                } else {
                    problem
                };
                self.report(problem.help("`/dev/sdf` and `/dev/xvdf` are one device: name another"));
            }
        }
    }

    /// Right for instance store and for what a launch template attaches; where the file attaches volumes, more likely a slip.
    fn not_attached(&mut self, storage: &Storage, device: &str, field: &Field<'_>) {
        if storage.ebs.is_empty() || !matches!(Origin::of(storage, device), Origin::Machine { .. }) {
            return;
        }
        let message = "nothing in `volumes` attaches or makes this device: it has to be the machine's own";
        let problem = field.warning(Code::NotAttached, message);
        self.report(problem.help(
            "name a device of `volumes`, unless it is an instance store disk or the launch template attaches it",
        ));
    }

    fn one_mount(&mut self, mount: &Mount, field: &Field<'c>) {
        let read_only = is_read_only(mount.options.as_deref());
        let erased = mount.erase_on_boot == Some(true);
        let problem: Option<Problem> = if is_mounted(mount) && unit_name(&mount.path).len() > NAME_MOST {
            let message = "the path is too long: systemd has no name for its mount";
            Some(field.error(Code::BadValue, message).help("choose a shorter one"))
        } else if erased && read_only && mount.partition.is_some() {
            let message = "a read-only mount is never formatted, and `erase_on_boot: true` asks for it";
            Some(
                field
                    .error(Code::BadValue, message)
                    .help("leave one of the two out"),
            )
        } else if erased && mount.partition.is_none() {
            let message = "there is no device to erase: `erase_on_boot` has no effect";
            let problem = field.warning(Code::NoEffectHere, message);
            Some(problem.help("write `partition: /dev/xvdf` below it, or remove the key"))
        } else if !is_mounted(mount) && has_more_than_a_bind(mount) {
            let message = "a directory of the machine has no options but `ro`: the others have no effect";
            let problem = field.warning(Code::NoEffectHere, message);
            Some(problem.help("write `partition: /dev/xvdf` below it, or remove them"))
        } else {
            None
        };
        if let Some(problem) = problem {
            self.report(problem.at(field.key_place));
        }
    }
}

fn has_more_than_a_bind(mount: &Mount) -> bool {
    let options = mount.options.as_deref().unwrap_or_default();
    options
        .split(',')
        .any(|option| !matches!(option.trim(), "" | "ro" | "rw"))
}

/// Whether two names are one device, or one is a partition of the other, which would take it along.
fn overlap(storage: &Storage, a: &str, b: &str) -> bool {
    let whole = |name: &str| match Origin::of(storage, name) {
        Origin::Ebs { device, partition } | Origin::Machine { device, partition } => (device, partition),
        Origin::Raid { device } => (device, None),
    };
    let ((a, part_a), (b, part_b)) = (whole(a), whole(b));
    same_device(&a, &b) && (part_a.is_none() || part_b.is_none() || part_a == part_b)
}
