//! What the engine does with images: asks registries, loads, shows, removes.

use std::path::PathBuf;
use std::time::Duration;

use bollard::query_parameters::{
    CreateImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use monopod_core::image::platform::Platform;

use super::{ASK, Credentials, Engine, EngineError, What, to_bollard};

/// A registry may be far away.
const REGISTRY: Duration = Duration::from_secs(60);
/// Removing an image deletes its layers.
const REMOVE: Duration = Duration::from_secs(45);
/// Images looked at, at a time.
const AT_ONCE: usize = 4;

/// How far a pull is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    /// The layer's short id.
    pub layer: String,
    /// What is being done with it.
    pub status: String,
    /// Bytes done.
    pub current: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
}

/// What a registry says about a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// `sha256:...`.
    pub digest: String,
    /// What it is for, as far as the registry says.
    pub platforms: Vec<Platform>,
}

/// An image on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Local {
    /// What it is for, if it says so.
    pub platform: Option<Platform>,
    /// The ids of its layers, unpacked, the lowest first.
    pub layers: Vec<String>,
}

/// What the engine says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About {
    /// Where its images and containers lie.
    pub data: PathBuf,
    /// What it runs.
    pub platform: Option<Platform>,
}

/// What became of an image that was to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removed {
    /// The name is gone, and what nobody else holds with it.
    Gone,
    /// A container is made of it.
    InUse {
        /// The engine's words; they name the container.
        message: String,
    },
}

impl Engine {
    /// What the registry says about a reference now.
    pub async fn look_up(&self, name: &str, auth: Option<&Credentials>) -> Result<Remote, EngineError> {
        let what = What::Resolve {
            image: name.to_owned(),
        };
        let answer = self
            .within(REGISTRY, what, |docker| {
                docker.inspect_registry_image(name, auth.map(to_bollard))
            })
            .await?;
        let digest = answer.descriptor.digest.ok_or_else(|| EngineError::Incomplete {
            host: self.host.clone(),
            field: "Descriptor.digest",
        })?;
        let platforms = answer.platforms.into_iter().filter_map(|one| {
            let architecture = one.architecture.unwrap_or_default();
            Platform::new(&one.os.unwrap_or_default(), &architecture, one.variant.as_deref())
        });
        Ok(Remote {
            digest,
            platforms: platforms.collect(),
        })
    }

    /// An image that is here; `None` if it is not.
    pub async fn image(&self, name: &str) -> Result<Option<Local>, EngineError> {
        let what = What::Inspect {
            subject: format!("image {name}"),
        };
        let found = match self.within(ASK, what, |docker| docker.inspect_image(name)).await {
            Ok(found) => found,
            Err(EngineError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let architecture = found.architecture.unwrap_or_default();
        Ok(Some(Local {
            platform: Platform::new(
                &found.os.unwrap_or_default(),
                &architecture,
                found.variant.as_deref(),
            ),
            layers: found.root_fs.and_then(|files| files.layers).unwrap_or_default(),
        }))
    }

    /// The layers of every image that is here.
    pub async fn layers_here(&self) -> Result<Vec<Vec<String>>, EngineError> {
        let what = What::Inspect {
            subject: "its images".to_owned(),
        };
        let options = ListImagesOptionsBuilder::default().all(false).build();
        let images = self
            .within(ASK, what, |docker| docker.list_images(Some(options)))
            .await?;
        futures_util::stream::iter(images)
            .map(async |one| self.image(&one.id).await)
            .buffer_unordered(AT_ONCE)
            // One that was removed meanwhile has none.
            .map_ok(|found| found.map(|image| image.layers).unwrap_or_default())
            .try_collect()
            .await
    }

    /// Where its data lies and what it runs.
    pub async fn about(&self) -> Result<About, EngineError> {
        let answer = self.within(ASK, What::Describe, bollard::Docker::info).await?;
        let architecture = answer.architecture.unwrap_or_default();
        Ok(About {
            data: answer
                .docker_root_dir
                .map(PathBuf::from)
                .ok_or_else(|| EngineError::Incomplete {
                    host: self.host.clone(),
                    field: "DockerRootDir",
                })?,
            platform: Platform::new(&answer.os_type.unwrap_or_default(), &architecture, None),
        })
    }

    /// Removes an image by its name with the digest, and what nobody else holds. Not by force: one that a container is
    /// made of stays, and so does what has another name too.
    pub async fn ensure_image_removed(&self, name: &str) -> Result<Removed, EngineError> {
        let what = What::RemoveImage {
            image: name.to_owned(),
        };
        let options = RemoveImageOptionsBuilder::default().force(false).build();
        match self
            .within(REMOVE, what, |docker| {
                docker.remove_image(name, Some(options), None)
            })
            .await
        {
            Ok(_) | Err(EngineError::NotFound { .. }) => Ok(Removed::Gone),
            Err(EngineError::Refused {
                status: 409, message, ..
            }) => Ok(Removed::InUse { message }),
            Err(error) => Err(error),
        }
    }

    /// Pulls a reference that names a digest; tells how far each layer is.
    pub async fn pull(
        &self,
        pinned: &str,
        auth: Option<&Credentials>,
        mut progress: impl FnMut(LayerProgress),
    ) -> Result<(), EngineError> {
        let what = || What::Pull {
            image: pinned.to_owned(),
        };
        let options = CreateImageOptionsBuilder::default().from_image(pinned).build();
        let mut stream = std::pin::pin!(self.docker(&what())?.create_image(
            Some(options),
            None,
            auth.map(to_bollard)
        ));
        while let Some(message) = stream.next().await {
            let message = message.map_err(|source| EngineError::from_call(what(), &self.host, source))?;
            if let (Some(layer), Some(status)) = (message.id, message.status) {
                let detail = message.progress_detail.unwrap_or_default();
                let bytes = |value: Option<i64>| value.and_then(|bytes| u64::try_from(bytes).ok());
                progress(LayerProgress {
                    layer,
                    status,
                    current: bytes(detail.current).unwrap_or(0),
                    total: bytes(detail.total),
                });
            }
        }
        Ok(())
    }
}
