//! The layers of an image that the engine lacks, from the registry's manifest and the image's configuration.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::image::platform::Platform;
use monopod_core::image::space::{self, Layer};
use serde::Deserialize;

use super::places::Turns;
use crate::context::Context;
use crate::host::chain;
use crate::host::docker::About;
use crate::host::registry::{Content, Descriptor, Options, Registry, RegistryError};

/// Configurations are a few KiB.
const LARGEST_CONFIGURATION: usize = 1 << 20;

/// A pull waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// With their packed sizes; none where nobody says, which is told, and then the pull shows whether they fit. Where all
/// of the image's layers fit, nobody looks which of them are here.
pub(super) async fn lacking(
    context: &Context,
    turns: &Turns<'_>,
    digest: &str,
    about: Option<&About>,
    fit: impl Fn(&[Layer]) -> bool,
) -> Vec<Layer> {
    let machine = about.and_then(|about| about.platform.as_ref());
    let mut last = None;
    for place in turns.places() {
        let registry = match Registry::new(&place.registry, turns.login(place), &options()) {
            Ok(registry) => registry,
            Err(error) => {
                last = Some(error);
                continue;
            }
        };
        match manifest(&registry, &place.repository, digest, machine).await {
            Ok(Some((_, layers))) if fit(&layers) => return layers,
            Ok(Some((config, layers))) => {
                let unpacked = unpacked(&registry, &place.repository, &config).await;
                let here = context.engine.layers_here().await.unwrap_or_default();
                return space::lacking(&layers, unpacked.as_deref(), &here).to_vec();
            }
            // An index without this machine's platform: the engine will say what it takes from it.
            Ok(None) => return Vec::new(),
            Err(error) => last = Some(error),
        }
    }
    if let Some(error) = last {
        let text = format!(
            "whether there is room for the image is not known before its pull, ignoring: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
    Vec::new()
}

fn options() -> Options {
    Options {
        patience: PATIENCE,
        ..Options::default()
    }
}

/// As much as is needed of an image's configuration.
#[derive(Deserialize)]
struct Configuration {
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// The image's configuration and its layers, for this machine.
async fn manifest(
    registry: &Registry,
    repository: &str,
    digest: &str,
    machine: Option<&Platform>,
) -> Result<Option<(Descriptor, Vec<Layer>)>, RegistryError> {
    let mut content = registry.manifest(repository, digest).await?.content;
    if let Content::Index(all) = &content {
        let Some(ours) = for_machine(all, machine) else {
            return Ok(None);
        };
        content = registry.manifest(repository, &ours.digest).await?.content;
    }
    let Content::Single { config, layers } = content else {
        return Ok(None);
    };
    let layer = |one: Descriptor| Layer {
        digest: one.digest,
        size: one.size,
    };
    Ok(Some((config, layers.into_iter().map(layer).collect())))
}

/// The ids of the layers when they are unpacked, if they are to be had: only to count less.
async fn unpacked(registry: &Registry, repository: &str, config: &Descriptor) -> Option<Vec<String>> {
    let bytes = registry
        .blob(repository, &config.digest, LARGEST_CONFIGURATION)
        .await
        .inspect_err(|error| tracing::debug!("all layers are counted, ignoring: {}", chain(error)))
        .ok()?;
    let configuration: Configuration = serde_json::from_slice(&bytes).ok()?;
    Some(configuration.rootfs.diff_ids)
}

/// The image in an index that the engine will take.
fn for_machine<'d>(all: &'d [Descriptor], machine: Option<&Platform>) -> Option<&'d Descriptor> {
    all.iter().find(|one| {
        one.platform.as_ref().is_some_and(|platform| {
            let platform = Platform::new(&platform.os, &platform.architecture, platform.variant.as_deref());
            platform.is_some() && platform.as_ref() == machine
        })
    })
}
