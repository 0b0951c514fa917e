//! What keeps an image from being here.

use std::path::PathBuf;
use std::time::Duration;

use monopod_core::config::ImageRef;
use monopod_core::image::space::RESERVE;
use monopod_core::text;

use crate::boot::BootError;
use crate::host::docker::{EngineError, What};
use crate::host::{Class, Classified};

/// What keeps an image from being here.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The engine, or a registry through it.
    #[error(transparent)]
    Engine(EngineError),
    /// A part of the boot with tries of its own: the registry's login, the end of a container that has to go.
    #[error(transparent)]
    Step(Box<BootError>),
    /// It is for other machines.
    #[error(
        "{image} is for {platforms}, and this machine is {machine}; build the image for {machine}, or run it on an instance type that is {platforms}"
    )]
    WrongPlatform {
        /// As the user wrote it.
        image: Box<ImageRef>,
        /// What it is for.
        platforms: String,
        /// What this is.
        machine: String,
    },
    /// The disk has no room for it.
    #[error(
        "there is no room for {image}: it needs {} on the disk of {} at the very least (its layers as they are packed, and {} for everything else; unpacked most need {}), and {} are free{}{}; free some space there (`docker system df` shows what takes it), or give the machine a larger disk",
        text::bytes(*needs), data.display(), text::bytes(RESERVE), text::bytes(*wants), text::bytes(*free), pruned_text(*pruned), kept_text(kept)
    )]
    NoRoom {
        /// As the user wrote it.
        image: Box<ImageRef>,
        /// What it needs, at least.
        needs: u64,
        /// What most such images need.
        wants: u64,
        /// What is free.
        free: u64,
        /// Where the engine's data lies.
        data: PathBuf,
        /// Images of ours that were removed to make room.
        pruned: usize,
        /// Images of ours that could not be, and what the engine says about that.
        kept: Vec<(String, String)>,
    },
    /// The disk was full before the pull was done.
    #[error(
        "the disk filled up under the pull of {image}{}{}; free some space there (`docker system df` shows what takes it), or give the machine a larger disk",
        data_text(data.as_ref()), pruned_text(*pruned)
    )]
    DiskFull {
        /// As the user wrote it.
        image: Box<ImageRef>,
        /// Where the engine's data lies, and what is free there now.
        data: Option<(PathBuf, u64)>,
        /// Images of ours that were removed to make room.
        pruned: usize,
        /// The engine's words.
        #[source]
        source: EngineError,
    },
    /// The pull stood still.
    #[error(
        "the pull of {image} stood still for {} with {} of {} loaded, and was given up; look at the line to the registry",
        text::duration(*silent), text::bytes(*loaded), text::bytes(*total)
    )]
    Stalled {
        /// With its digest, as the registry or mirror has it.
        image: String,
        /// How long nothing happened.
        silent: Duration,
        /// Bytes loaded.
        loaded: u64,
        /// Bytes in all, as far as it was known.
        total: u64,
    },
}

fn pruned_text(pruned: usize) -> String {
    match pruned {
        0 => String::new(),
        count => format!(
            ", {} of earlier boots removed",
            text::count(count as u64, "image")
        ),
    }
}

fn kept_text(kept: &[(String, String)]) -> String {
    kept.iter().fold(String::new(), |mut text, (image, why)| {
        text.push_str(&format!(", {image} of an earlier boot stays ({why})"));
        text
    })
}

fn data_text(data: Option<&(PathBuf, u64)>) -> String {
    data.map_or_else(String::new, |(path, free)| {
        format!(
            ", of which {} has {} free now",
            path.display(),
            text::bytes(*free)
        )
    })
}

impl Classified for ImageError {
    fn class(&self) -> Class {
        match self {
            Self::Engine(error) => error.class(),
            Self::WrongPlatform { .. } | Self::Step(_) => Class::Permanent,
            // Somebody may free some, and the check costs nothing.
            Self::NoRoom { .. } | Self::Stalled { .. } => Class::Transient,
            // Every try loads everything again: only after something has gone.
            Self::DiskFull { pruned: 0, .. } => Class::Permanent,
            Self::DiskFull { .. } => Class::Transient,
        }
    }
}

impl ImageError {
    /// Whether it is the registry's or the mirror's doing, so that another may do better.
    pub(super) fn is_of_registry(&self) -> bool {
        match self {
            Self::Engine(EngineError::DiskFull { .. } | EngineError::WrongPlatform { .. }) => false,
            // The engine says nothing for as long as the one it asks says nothing.
            Self::Engine(EngineError::Silent {
                what: What::Resolve { .. } | What::Pull { .. },
                ..
            }) => true,
            Self::Engine(error) => !error.is_outage(),
            Self::Stalled { .. } => true,
            Self::Step(_) | Self::WrongPlatform { .. } | Self::NoRoom { .. } | Self::DiskFull { .. } => false,
        }
    }
}

impl From<BootError> for ImageError {
    fn from(error: BootError) -> Self {
        Self::Step(Box::new(error))
    }
}

impl From<EngineError> for ImageError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn image() -> Box<ImageRef> {
        Box::new(ImageRef::parse("registry.example.org/team/app:1").unwrap())
    }

    fn full(pruned: usize) -> ImageError {
        let what = What::Pull {
            image: "registry.example.org/team/app@sha256:1".to_owned(),
        };
        let message = "write /layer.tar: no space left on device".to_owned();
        ImageError::DiskFull {
            image: image(),
            data: Some((PathBuf::from("/var/lib/docker"), 3 << 20)),
            pruned,
            source: EngineError::DiskFull { what, message },
        }
    }

    #[test]
    fn each_says_what_is_wrong_and_what_to_do() {
        let wrong = ImageError::WrongPlatform {
            image: image(),
            platforms: "linux/arm64".to_owned(),
            machine: "linux/amd64".to_owned(),
        };
        expect!["registry.example.org/team/app:1 is for linux/arm64, and this machine is linux/amd64; build the image for linux/amd64, or run it on an instance type that is linux/arm64"]
            .assert_eq(&wrong.to_string());
        let room = ImageError::NoRoom {
            image: image(),
            needs: 1 << 30,
            wants: 3 << 30,
            free: 300 << 20,
            data: PathBuf::from("/var/lib/docker"),
            pruned: 2,
            kept: vec![(
                "registry.example.org/team/app@sha256:0".to_owned(),
                "container 0123456789ab is using it".to_owned(),
            )],
        };
        expect!["there is no room for registry.example.org/team/app:1: it needs 1 GiB on the disk of /var/lib/docker at the very least (its layers as they are packed, and 128 MiB for everything else; unpacked most need 3 GiB), and 300 MiB are free, 2 images of earlier boots removed, registry.example.org/team/app@sha256:0 of an earlier boot stays (container 0123456789ab is using it); free some space there (`docker system df` shows what takes it), or give the machine a larger disk"]
            .assert_eq(&room.to_string());
        expect!["the disk filled up under the pull of registry.example.org/team/app:1, of which /var/lib/docker has 3 MiB free now; free some space there (`docker system df` shows what takes it), or give the machine a larger disk: the engine could not pull registry.example.org/team/app@sha256:1: write /layer.tar: no space left on device; give the machine a larger disk"]
            .assert_eq(&crate::host::chain(&full(0)));
        let stalled = ImageError::Stalled {
            image: "registry.example.org/team/app@sha256:1".to_owned(),
            silent: Duration::from_secs(60),
            loaded: 3 << 20,
            total: 20 << 20,
        };
        expect!["the pull of registry.example.org/team/app@sha256:1 stood still for 1 min with 3 MiB of 20 MiB loaded, and was given up; look at the line to the registry"]
            .assert_eq(&stalled.to_string());
    }

    #[test]
    fn one_that_hangs_is_passed_over_and_an_engine_that_hangs_is_not() {
        let silent = |what| {
            ImageError::Engine(EngineError::Silent {
                what,
                host: "/run/docker.sock".to_owned(),
                after: Duration::from_secs(60),
            })
        };
        let name = || "mirror.example.org/team/app:1".to_owned();
        assert!(silent(What::Resolve { image: name() }).is_of_registry());
        assert!(silent(What::Pull { image: name() }).is_of_registry());
        assert!(!silent(What::Describe).is_of_registry());
    }

    #[test]
    fn a_full_disk_is_tried_again_only_after_something_has_gone() {
        assert_eq!(full(0).class(), Class::Permanent);
        assert_eq!(full(1).class(), Class::Transient);
    }
}
