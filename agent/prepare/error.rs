//! What keeps the machine from being prepared.

use std::path::PathBuf;

use monopod_core::storage::content::Refusal;
use monopod_core::storage::raid::RaidRefusal;
use monopod_core::storage::volume::MissingFact;

use super::settings::SettingsError;
use crate::boot::BootError;
use crate::host::block::BlockError;
use crate::host::block::find::FindError;
use crate::host::ec2::Ec2Error;
use crate::host::files::FileError;
use crate::host::{Class, Classified};

/// What keeps the machine from being prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// Facts or user data. The agent fails at the same, and says so with every problem at its place.
    #[error("the machine was not prepared, because it does not know for what")]
    Orders(#[source] BootError),
    /// The plan is one that this version boots no machine with.
    #[error(
        "the machine was not prepared: this version boots no machine with its user data; monopod.service says why"
    )]
    Refused,
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// Kernel settings and the like.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A name that nobody can expand.
    #[error("cannot look for the volume of {device}")]
    Name {
        /// As the user data names it.
        device: String,
        /// What is not known.
        #[source]
        source: MissingFact,
    },
    /// EC2 said no, or nothing.
    #[error("cannot attach the volume named {name} as {device}")]
    Ec2 {
        /// Its tag.
        name: String,
        /// As the user data names it.
        device: String,
        /// Why.
        #[source]
        source: Ec2Error,
    },
    /// EC2 could not be asked which volume a device is.
    #[error("cannot find the device {partition}")]
    Mapping {
        /// As the user data names it.
        partition: String,
        /// Why.
        #[source]
        source: Ec2Error,
    },
    /// It was not to be had in time.
    #[error(
        "the boot budget is spent, and the volume named {name} for {device} could not be attached: {why}; `volumes.ebs` in the user data names it"
    )]
    NoVolume {
        /// Its tag.
        name: String,
        /// As the user data names it.
        device: String,
        /// What was in the way last.
        why: String,
    },
    /// A device that does not show up.
    #[error(transparent)]
    Find(#[from] FindError),
    /// What is on the device forbids it.
    #[error("cannot mount {partition} at {path}")]
    Content {
        /// As the user data names it.
        partition: String,
        /// In the container.
        path: String,
        /// What is there, and what to do.
        #[source]
        source: Box<Refusal>,
    },
    /// Somebody uses the device.
    #[error(
        "cannot use {partition} ({device}) for {path}: {by}; name another device in `mounts`, or free this one"
    )]
    InUse {
        /// As the user data names it.
        partition: String,
        /// Where it is.
        device: PathBuf,
        /// In the container.
        path: String,
        /// Who.
        by: String,
    },
    /// A name that is another disk's tomorrow.
    #[error(
        "{name} is an EBS volume ({serial}) here, and the kernel numbers such disks as it finds them: name the volume in `volumes.ebs`, and the device it is attached as in `mounts`"
    )]
    NumberedVolume {
        /// As the user data names it.
        name: String,
        /// What the disk says of itself.
        serial: String,
    },
    /// The agent would not hear of it.
    #[error("the machine is prepared, and the agent cannot be told")]
    Untold(#[source] FileError),
    /// Two names of one device.
    #[error("{one} and {other} in the user data are the same device, {device}; name each once")]
    Twice {
        /// A name.
        one: String,
        /// Another.
        other: String,
        /// What both are.
        device: PathBuf,
    },
    /// What the members are forbids it.
    #[error("cannot assemble {array}")]
    Array {
        /// Its device.
        array: String,
        /// What is there, and what to do.
        #[source]
        source: Box<RaidRefusal>,
    },
    /// A program or a device failed.
    #[error("cannot prepare {what}")]
    Block {
        /// `/data`, `/dev/md/x`.
        what: String,
        /// Why.
        #[source]
        source: Box<BlockError>,
    },
    /// The volume's one-time order to erase could not be taken away, so it is not carried out.
    #[error("cannot remove the tag Taupage:erase-on-boot of the volume {volume}, so it is not formatted")]
    Tag {
        /// Its id.
        volume: String,
        /// Why.
        #[source]
        source: Ec2Error,
    },
}

impl Classified for PrepareError {
    fn class(&self) -> Class {
        match self {
            Self::Orders(error) => error.class(),
            Self::Settings(error) => error.class(),
            Self::Ec2 { source, .. } | Self::Mapping { source, .. } | Self::Tag { source, .. } => {
                source.class()
            }
            Self::Find(error) => error.class(),
            Self::Block { source, .. } => source.class(),
            Self::File(_) | Self::Untold(_) | Self::NoVolume { .. } => Class::Transient,
            Self::Refused
            | Self::Name { .. }
            | Self::Content { .. }
            | Self::InUse { .. }
            | Self::Twice { .. }
            | Self::NumberedVolume { .. }
            | Self::Array { .. } => Class::Permanent,
        }
    }
}
