//! Volumes and mounts.

use std::fmt;

/// `volumes` and `mounts`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Storage {
    /// Volumes to attach.
    pub ebs: Vec<EbsVolume>,
    /// Arrays to assemble.
    pub raid: Vec<Raid>,
    /// What is mounted into the container.
    pub mounts: Vec<Mount>,
}

impl Storage {
    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.ebs.is_empty() && self.raid.is_empty() && self.mounts.is_empty()
    }
}

/// One EBS volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EbsVolume {
    /// `/dev/sdf`, as the user names it.
    pub device: String,
    /// The Name tag it is found by; `${local_ipv4}` and `${public_ipv4}` stand for the machine's addresses.
    pub name_tag: String,
}

/// One array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raid {
    /// `/dev/md/x`.
    pub device: String,
    /// How its members work together.
    pub level: RaidLevel,
    /// Two or more.
    pub members: Vec<String>,
}

/// The levels mdadm makes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RaidLevel {
    /// Striped.
    Raid0,
    /// Mirrored.
    Raid1,
    /// One disk of parity.
    Raid5,
    /// Mirrored and striped.
    Raid10,
}

impl RaidLevel {
    /// As the user data writes it.
    pub const fn number(self) -> u32 {
        match self {
            Self::Raid0 => 0,
            Self::Raid1 => 1,
            Self::Raid5 => 5,
            Self::Raid10 => 10,
        }
    }

    /// mdadm's word.
    pub const fn mdadm(self) -> &'static str {
        match self {
            Self::Raid0 => "raid0",
            Self::Raid1 => "raid1",
            Self::Raid5 => "raid5",
            Self::Raid10 => "raid10",
        }
    }
}

impl fmt::Display for RaidLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RAID {}", self.number())
    }
}

/// One file system in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where the container finds it; absolute. On the machine it is below `/mounts`.
    pub path: String,
    /// The device; `None` binds the directory only.
    pub partition: Option<String>,
    /// What is on the device, or will be.
    pub filesystem: Filesystem,
    /// Whether it is formatted; `None` asks the volume's tag.
    pub erase_on_boot: Option<bool>,
    /// As mount(8) takes them.
    pub options: Option<String>,
}

/// The file systems that can be made and mounted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Filesystem {
    /// The default.
    #[default]
    Ext4,
    /// Older.
    Ext3,
    /// Oldest.
    Ext2,
    /// For large files.
    Xfs,
    /// Memory.
    Tmpfs,
}

impl Filesystem {
    /// As the user data, blkid and mount(8) call it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Ext3 => "ext3",
            Self::Ext2 => "ext2",
            Self::Xfs => "xfs",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The one that is called so.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ext4, Self::Ext3, Self::Ext2, Self::Xfs, Self::Tmpfs]
            .into_iter()
            .find(|one| one.word() == word)
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
