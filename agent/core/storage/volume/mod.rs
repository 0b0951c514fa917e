//! Which volume: found by its Name tag in the machine's own zone, never taken from another machine.

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::facts::InstanceFacts;
use crate::storage::device::same_device;

/// The tag that orders one erasure where a mount leaves `erase_on_boot` out.
pub const ERASE_TAG: &str = "Taupage:erase-on-boot";
/// The only value of it that counts, as Taupage compared it. An order to erase is taken by the letter.
pub const ERASE_TAG_VALUE: &str = "True";

/// What EC2 says a volume is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeState {
    /// Nobody has it.
    Available,
    /// An instance has it.
    InUse,
    /// `creating`, `deleting`, `error` and whatever comes.
    Other(String),
}

impl VolumeState {
    /// EC2's own word.
    pub fn word(&self) -> &str {
        match self {
            Self::Available => "available",
            Self::InUse => "in-use",
            Self::Other(word) => word,
        }
    }
}

/// Who has a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// `i-0123456789abcdef0`.
    pub instance_id: String,
    /// `/dev/sdf`, as it was attached.
    pub device: String,
    /// `attaching`, `attached`, `detaching`, `busy`.
    pub state: String,
}

/// A volume, as DescribeVolumes tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `vol-0123456789abcdef0`.
    pub id: String,
    /// `eu-central-1a`.
    pub zone: String,
    /// What it is doing.
    pub state: VolumeState,
    /// Who has it.
    pub attachments: Vec<Attachment>,
    /// Key and value.
    pub tags: Vec<(String, String)>,
    /// Its size.
    pub size_gib: u64,
}

impl Volume {
    /// Whether the tag orders it erased: exactly [`ERASE_TAG_VALUE`], as Taupage compared.
    pub fn erase_tag(&self) -> bool {
        self.erase_tag_value() == Some(ERASE_TAG_VALUE)
    }

    /// Whether the tag is there with another value, `true` for one: no order, but worth a warning.
    pub fn erase_tag_is_no_order(&self) -> bool {
        self.erase_tag_value()
            .is_some_and(|value| value != ERASE_TAG_VALUE)
    }

    fn erase_tag_value(&self) -> Option<&str> {
        self.tags
            .iter()
            .find(|(key, _)| key == ERASE_TAG)
            .map(|(_, value)| value.as_str())
    }

    fn of(&self, instance: &str) -> Option<&Attachment> {
        self.attachments
            .iter()
            .find(|attachment| attachment.instance_id == instance)
    }

    /// Why it cannot be attached: `vol-1 is attached to i-2`.
    fn held(&self, facts: &InstanceFacts) -> String {
        if self.zone != facts.availability_zone {
            return format!("{} is in {}", self.id, self.zone);
        }
        match self.attachments.as_slice() {
            [] => format!("{} is {}", self.id, self.state.word()),
            holders => {
                let holders: Vec<String> = holders
                    .iter()
                    .map(|one| {
                        let preposition = match one.state.as_str() {
                            "detaching" | "busy" => "from",
                            _ => "to",
                        };
                        let state = if one.state == "busy" {
                            "detaching"
                        } else {
                            &one.state
                        };
                        format!("{state} {preposition} {}", one.instance_id)
                    })
                    .collect();
                format!("{} is {}", self.id, holders.join(" and "))
            }
        }
    }
}

/// A tag names an address this machine does not have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "the volume's Name tag asks for ${{{name}}}, and this machine has no such address: give it one, or write a tag without it"
)]
pub struct MissingFact {
    /// `public_ipv4`.
    pub name: &'static str,
}

/// The Name tag to look for: `${local_ipv4}` and `${public_ipv4}` stand for the machine's addresses.
///
/// As Python's `string.Template` had it in Taupage: `$local_ipv4` is the same, `$$` is a dollar sign, and whatever else follows a
/// dollar sign stays as it is.
pub fn name_tag(template: &str, facts: &InstanceFacts) -> Result<String, MissingFact> {
    let mut tag = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        tag.push_str(before);
        if let Some(behind) = after.strip_prefix('$') {
            tag.push('$');
            rest = behind;
            continue;
        }
        let Some((name, behind)) = placeholder(after) else {
            tag.push('$');
            rest = after;
            continue;
        };
        let (name, address) = match name {
            "local_ipv4" => ("local_ipv4", facts.local_ipv4),
            "public_ipv4" => ("public_ipv4", facts.public_ipv4),
            _ => {
                tag.push('$');
                rest = after;
                continue;
            }
        };
        tag.push_str(&address.ok_or(MissingFact { name })?.to_string());
        rest = behind;
    }
    tag.push_str(rest);
    Ok(tag)
}

/// `{name}` or `name` at the beginning, and what follows.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    if let Some(braced) = text.strip_prefix('{') {
        return braced.split_once('}');
    }
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    text.split_at_checked(end)
}

/// One device of `volumes.ebs` that needs its volume.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// `/dev/sdf`.
    pub device: &'a str,
    /// The file's other devices: a volume that is attached as one of them is that one's.
    pub others: &'a [String],
    /// Volumes that were chosen for other devices; two devices may name the same tag.
    pub taken: &'a [String],
}

/// What to do about one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is attached here.
    Ours {
        /// The volume.
        id: String,
    },
    /// It has to be attached.
    Attach {
        /// The volume.
        id: String,
        /// Others that are available under the same tag, which a warning names.
        passed_over: Vec<String>,
    },
    /// None can be had now.
    Wait {
        /// Who holds them, or that there are none.
        why: String,
    },
}

/// Chooses among the volumes of one Name tag.
///
/// What is attached here under this device's name comes first, so that it is the same volume at every boot. Then the lowest id that is
/// available in this zone, as Taupage chose; then one that is attached here under a name that no device of the file has. Nothing is
/// ever taken from another machine.
pub fn choose(volumes: &[Volume], wanted: Wanted<'_>, facts: &InstanceFacts) -> Choice {
    let mut free: Vec<&Volume> = volumes
        .iter()
        .filter(|volume| !wanted.taken.contains(&volume.id))
        .collect();
    free.sort_unstable_by(|a, b| a.id.cmp(&b.id));
    let here = |volume: &&&Volume, is_name: &dyn Fn(&str) -> bool| {
        volume.of(&facts.instance_id).is_some_and(|attachment| {
            matches!(attachment.state.as_str(), "attaching" | "attached") && is_name(&attachment.device)
        })
    };
    let is_this = |name: &str| same_device(name, wanted.device);
    let is_others = |name: &str| wanted.others.iter().any(|other| same_device(name, other));
    let ours = |volume: &Volume| Choice::Ours {
        id: volume.id.clone(),
    };
    if let Some(volume) = free.iter().find(|volume| here(volume, &is_this)) {
        return ours(volume);
    }
    let mut available = free
        .iter()
        .filter(|volume| volume.state == VolumeState::Available && volume.zone == facts.availability_zone);
    if let Some(volume) = available.next() {
        return Choice::Attach {
            id: volume.id.clone(),
            passed_over: available.map(|volume| volume.id.clone()).collect(),
        };
    }
    // Launch templates give every volume the same Name, the root's too: one under another name is the last to be taken for it.
    if let Some(volume) = free.iter().find(|volume| here(volume, &|name| !is_others(name))) {
        return ours(volume);
    }
    let why = match free.as_slice() {
        [] if volumes.is_empty() => format!("no volume in {} has this Name tag", facts.availability_zone),
        [] => format!(
            "every volume in {} with this Name tag is another device's",
            facts.availability_zone
        ),
        held => {
            let held: Vec<String> = held.iter().map(|volume| volume.held(facts)).collect();
            held.join(", ")
        }
    };
    Choice::Wait { why }
}
