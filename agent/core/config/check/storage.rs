//! Volumes and mounts: read whole, though this version refuses to boot with them.

use super::super::model::{EbsVolume, Filesystem, Mount, Raid, RaidLevel, Storage};
use super::super::problem::{Code, Problem};
use super::Checker;
use super::field::Field;
use super::read::Section;

impl<'c> Checker<'c> {
    pub(super) fn storage(&mut self) -> Storage {
        let mut storage = Storage::default();
        if let Some(field) = self.field("volumes")
            && let Some(volumes) = self.volumes(field)
        {
            storage.ebs = self.ebs(&volumes);
            storage.raid = self.raid(&volumes);
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
                storage.mounts.extend(mount.filter(|_| absolute));
            }
        }
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

    fn ebs(&mut self, volumes: &Section<'c>) -> Vec<EbsVolume> {
        let Some(field) = volumes.get("ebs") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            if self.device(&entry.name, &child)
                && let Some(name_tag) = self.word(&child)
            {
                all.push(EbsVolume {
                    device: entry.name.clone(),
                    name_tag,
                });
            }
        }
        all
    }

    fn raid(&mut self, volumes: &Section<'c>) -> Vec<Raid> {
        let Some(field) = volumes.get("raid") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for (entry, child) in self.children(&field) {
            let named = self.device(&entry.name, &child);
            let Some(array) = self.section(child) else {
                continue;
            };
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
                    && self.absolute(&member, |message| item.error(Code::BadValue, message), "devices")
                {
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

    fn device(&mut self, name: &str, field: &Field<'_>) -> bool {
        if name.starts_with("/dev/") && name.len() > 5 {
            return true;
        }
        let problem = field
            .error(Code::BadValue, "this is not the name of a device")
            .at(field.key_place);
        self.report(problem.help("write `/dev/sdf`"));
        false
    }

    fn mount(&mut self, path: String, field: Field<'c>) -> Option<Mount> {
        let section = self.section(field)?;
        let partition = section.get("partition").and_then(|field| self.word(&field));
        let filesystem = section.get("filesystem").and_then(|field| self.choice(&field));
        let erase_on_boot = section
            .get("erase_on_boot")
            .and_then(|field| self.take(field.strict_flag()));
        let options = section.get("options").and_then(|field| self.word(&field));
        let filesystem = match filesystem {
            Some("ext3") => Filesystem::Ext3,
            Some("ext2") => Filesystem::Ext2,
            Some("xfs") => Filesystem::Xfs,
            Some("tmpfs") => Filesystem::Tmpfs,
            _ => Filesystem::Ext4,
        };
        if let Some(field) = section.get("partition")
            && let Some(partition) = &partition
        {
            let problem = match (partition.as_str(), filesystem) {
                ("none", Filesystem::Tmpfs) => None,
                ("none", _) => Some("`partition: none` is for tmpfs"),
                (_, Filesystem::Tmpfs) => Some("a tmpfs has `partition: none`"),
                (device, _) if !device.starts_with("/dev/") => {
                    Some("`partition` has to be a device below /dev")
                }
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
        Some(Mount {
            path,
            partition: partition.filter(|partition| partition != "none"),
            filesystem,
            erase_on_boot,
            options,
        })
    }
}
