//! Volumes and mounts.

mod together;

use super::super::model::{EbsVolume, Filesystem, Mount, Raid, RaidLevel, Storage};
use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;
use super::read::Section;
use crate::storage::parts;
use together::Places;

impl<'c> Checker<'c> {
    pub(super) fn storage(&mut self) -> Storage {
        let mut storage = Storage::default();
        let mut places = Places::default();
        if let Some(field) = self.field("volumes")
            && let Some(volumes) = self.volumes(field)
        {
            storage.ebs = self.ebs(&volumes, &mut places);
            storage.raid = self.raid(&volumes, &mut places);
        }
        if let Some(field) = self.field("mounts") {
            for (entry, child) in self.children(&field) {
                let problem = |message| {
                    Problem::error(Code::BadValue, message)
                        .at(child.key_place)
                        .key(child.path.clone())
                };
                let absolute = self.absolute(&entry.name, problem, "mounts");
                let mount = self.mount(entry.name.clone(), child.clone());
                if let (Some((mount, partition)), true) = (mount, absolute) {
                    places.mounts.push((mount, child, partition));
                }
            }
        }
        // What lies in another mount comes after it: on the machine and in the container.
        places
            .mounts
            .sort_by_key(|(mount, ..)| parts(&mount.path).count());
        storage.mounts = places.mounts.iter().map(|(mount, ..)| mount.clone()).collect();
        self.together(&storage, &places);
        storage
    }

    /// Users of 2015 wrote the devices directly below `volumes`; Taupage ignored that in silence.
    fn volumes(&mut self, field: Field<'c>) -> Option<Section<'c>> {
        let entries = self.take(field.entries())?;
        let old = entries.iter().find(|entry| entry.name.starts_with("/dev/"));
        if let Some(entry) = old {
            let message = "devices directly below `volumes` are the layout of 2015, and have no effect";
            let problem = Problem::warning(Code::OldLayout, message)
                .at(entry.place)
                .key(format!("volumes.{}", entry.name));
            self.report(problem.help("write `volumes: {ebs: {/dev/sdf: NAME-TAG}}`"));
            return None;
        }
        self.section(field)
    }

    fn ebs(&mut self, volumes: &Section<'c>, places: &mut Places<'c>) -> Vec<EbsVolume> {
        let Some(field) = volumes.get("ebs") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            if self.device(&entry.name, &child, EXAMPLE)
                && self.attachable(&entry.name, &child)
                && let Some(name_tag) = self.word(&child)
            {
                places.ebs.push((entry.name.clone(), child));
                all.push(EbsVolume {
                    device: entry.name.clone(),
                    name_tag,
                });
            }
        }
        all
    }

    fn raid(&mut self, volumes: &Section<'c>, places: &mut Places<'c>) -> Vec<Raid> {
        let Some(field) = volumes.get("raid") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let named =
                self.device(&entry.name, &child, "/dev/md/data") && self.array_name(&entry.name, &child);
            let Some(array) = self.section(child.clone()) else {
                continue;
            };
            if named {
                places.arrays.push((entry.name.clone(), child));
            }
            let level = array
                .get("level")
                .and_then(|level| self.choice(&level))
                .map(|word| match word {
                    "0" => RaidLevel::Raid0,
                    "1" => RaidLevel::Raid1,
                    "5" => RaidLevel::Raid5,
                    _ => RaidLevel::Raid10,
                });
            let Some(devices) = array.get("devices") else {
                continue;
            };
            let items = self.list(&devices);
            let mut members = Vec::new();
            for item in &items {
                if let Some(member) = self.text(item)
                    && self.device_value(&member, item)
                {
                    places.members.push((member.clone(), item.clone()));
                    members.push(member);
                }
            }
            if items.len() < 2 && !devices.is_broken() {
                let message = format!("`{}` needs two devices or more", devices.path);
                self.report(devices.error(Code::BadValue, message).at(devices.key_place));
            }
            if let (true, Some(level)) = (named, level) {
                all.push(Raid {
                    device: entry.name.clone(),
                    level,
                    members,
                });
            }
        }
        all
    }

    /// A key that names a device.
    fn device(&mut self, name: &str, field: &Field<'_>, example: &str) -> bool {
        if is_device(name) {
            return true;
        }
        let problem = field
            .error(Code::BadValue, "this is not the name of a device")
            .at(field.key_place);
        self.report(problem.help(format!("write `{example}`")));
        false
    }

    /// A value that names a device.
    fn device_value(&mut self, name: &str, field: &Field<'_>) -> bool {
        if is_device(name) {
            return true;
        }
        let problem = field.error(Code::BadValue, "this is not the name of a device");
        self.report(problem.help(format!("write `{EXAMPLE}`")));
        false
    }

    /// EC2 names attachments, and the kernel numbers NVMe disks as it finds them.
    fn attachable(&mut self, name: &str, field: &Field<'_>) -> bool {
        if !name.starts_with("/dev/nvme") {
            return true;
        }
        let problem = field
            .error(Code::BadValue, "EC2 attaches no volume under a name of NVMe's")
            .at(field.key_place);
        self.report(problem.help(
            "write `/dev/sdf`, up to `/dev/sdp`, and the same in `partition`: it is found whatever the kernel calls it",
        ));
        false
    }

    fn array_name(&mut self, name: &str, field: &Field<'_>) -> bool {
        let rest = name.strip_prefix("/dev/md").unwrap_or_default();
        let is_number = !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit());
        let is_name = rest.strip_prefix('/').is_some_and(|rest| !rest.contains('/'));
        if is_number || is_name {
            return true;
        }
        let problem = field
            .error(Code::BadValue, "mdadm makes no array of this name")
            .at(field.key_place);
        self.report(problem.help("write `/dev/md/data`"));
        false
    }

    fn mount(&mut self, path: String, field: Field<'c>) -> Option<(Mount, Option<Field<'c>>)> {
        let section = self.section(field)?;
        let partition = section.get("partition").and_then(|field| self.word(&field));
        let filesystem = section.get("filesystem").and_then(|field| self.choice(&field));
        let erase_on_boot = section
            .get("erase_on_boot")
            .and_then(|field| self.take(field.strict_flag()));
        let options = section
            .get("options")
            .and_then(|field| self.mount_options(&field));
        let filesystem = filesystem.and_then(Filesystem::from_word).unwrap_or_default();
        if let Some(field) = section.get("partition")
            && let Some(partition) = &partition
        {
            let problem = match (partition.as_str(), filesystem) {
                ("none", Filesystem::Tmpfs) => None,
                ("none", _) => Some("`partition: none` is for tmpfs"),
                (_, Filesystem::Tmpfs) => Some("a tmpfs has `partition: none`"),
                (device, _) if !is_device(device) => Some("`partition` has to be a device below /dev"),
                _ => None,
            };
            if let Some(message) = problem {
                self.report(
                    field
                        .error(Code::BadValue, message)
                        .help("write `partition: /dev/xvdf`"),
                );
            }
        }
        let mount = Mount {
            path,
            partition: partition.filter(|partition| partition != "none"),
            filesystem,
            erase_on_boot,
            options,
        };
        Some((mount, section.get("partition")))
    }

    /// Without blanks, as Taupage handed them on: they end up in a line of a unit.
    fn mount_options(&mut self, field: &Field<'_>) -> Option<String> {
        let options = self.word(field)?;
        if options.contains(|c: char| c.is_control() || c == '\\') {
            let message = "options of mount(8) have neither backslashes nor control characters";
            let problem = field.error(Code::BadValue, message);
            self.report(problem.help("write `options: noatime,nodiratime`"));
            return None;
        }
        Some(options.replace(' ', ""))
    }
}

const EXAMPLE: &str = "/dev/sdf";

/// Below /dev and nowhere else, in one way of writing it.
fn is_device(name: &str) -> bool {
    name.strip_prefix("/dev/").is_some_and(|rest| {
        rest.split('/').all(|part| !matches!(part, "" | "." | ".."))
            && !rest.contains(|c: char| c.is_control() || c == ' ')
    })
}
