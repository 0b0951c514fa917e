//! What `monopod prepare` does before the container may start, as rows for people.

use std::fmt;

use super::Plan;
use crate::storage::Owner;
use crate::text;

/// Disks and the machine's settings: carried out by a unit of its own, waited for by the container alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preparation {
    /// A row for each thing done to disks, in the order it is done.
    pub storage: Vec<String>,
    /// A row for each of the machine's settings that the container waits for.
    pub settings: Vec<String>,
}

impl fmt::Display for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wait for monopod-prepare.service: ")?;
        let parts = [
            ("disks", &self.storage),
            ("the machine's settings", &self.settings),
        ];
        let asked: Vec<String> = parts
            .into_iter()
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(what, rows)| format!("{what} ({})", text::count(rows.len() as u64, "step")))
            .collect();
        f.write_str(&asked.join(" and "))
    }
}

impl Plan {
    /// What the container waits for, where there is anything.
    pub fn preparation(&self) -> Option<Preparation> {
        let preparation = Preparation {
            storage: super::render::storage::rows(&self.storage, self.facts.as_ref()),
            settings: self.waited_for(),
        };
        (!preparation.storage.is_empty() || !preparation.settings.is_empty()).then_some(preparation)
    }

    /// Where on the machine something has to be mounted before the container is started.
    pub fn mounted_places(&self) -> Vec<String> {
        let mounts = self.storage.mounts.iter();
        mounts
            .filter(|mount| crate::storage::is_mounted(mount))
            .map(|mount| crate::storage::place(&mount.path))
            .collect()
    }

    /// sshd and users hold no container.
    fn waited_for(&self) -> Vec<String> {
        let all = self.machine.sysctl.iter().chain(&self.machine.sysfs);
        all.map(|(name, value)| format!("{name} = {value}")).collect()
    }

    /// Who the top directory of a mount belongs to, as numbers: the container's user, its group the one that is written and the
    /// user's own number otherwise. `None` where that is root, who can write anywhere, or the image's own user, which nobody
    /// knows before the image is there.
    pub fn owner(&self) -> Option<Owner> {
        Owner::parse(self.container.user.as_deref()?)
    }
}
