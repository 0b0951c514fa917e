//! The image: a tag becomes a digest once in the life of the instance, and from there on only the digest counts.
//!
//! ```text
//! record or container ─► digest ─► here already? ─► check of the digest ───────────► platform ─► container
//!        else registry ─►                └─► check of the digest ─► room ─► pull ─┘
//!                                                        └─► recorded
//! ```
//!
//! Mirrors are asked before the registry, for manifests and layers, and for tags where the policy leaves them that
//! ([`places`]).

mod error;
mod layers;
mod places;
mod pull;
mod room;
mod store;

use std::cell::Cell;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::image::pins::Source;
use monopod_core::image::platform::{self, Platform};
use monopod_core::plan::reconcile::{Observed, Removal};
use monopod_core::plan::{Plan, Step, StepId, container::NAME};
use monopod_core::{retry, text};
use tokio::time::Instant;

pub(in crate::boot) use error::ImageError;
pub(in crate::boot) use store::Store;

use super::secrets::Fetcher;
use super::trust::{self, Registries};
use super::{login, until_it_works};
use crate::boot::hint::Charge;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::chain;
use crate::host::docker::{About, Credentials, EngineError, Local, Remote};
use places::{Place, Question, Turns, places};

/// An image on this machine.
#[derive(Debug)]
pub(in crate::boot) struct Pinned {
    /// `sha256:...`.
    pub(in crate::boot) digest: String,
    /// `registry.example.org/team/app@sha256:...`; a mirror's name if it came from there.
    pub(in crate::boot) reference: String,
}

/// References and digests that containers of ours were made from.
pub(in crate::boot) fn made(
    image: &ImageRef,
    hint: Option<&Charge>,
    observed: &[Observed],
) -> Vec<(String, String)> {
    let looked_after = hint
        .filter(|charge| charge.image == image.to_string())
        .map(|charge| (image.canonical(), charge.digest.clone()));
    let known = hint.map(|charge| charge.container_id.as_str());
    let labels = observed
        .iter()
        .filter(|one| one.name == NAME || known == Some(one.id.as_str()))
        .filter_map(|one| Some((one.source.clone()?, one.digest.clone()?)));
    looked_after.into_iter().chain(labels).collect()
}

/// What the step knows before it begins.
pub(in crate::boot) struct Known<'a> {
    /// What was resolved and loaded before.
    pub(in crate::boot) store: &'a Store<'a>,
    /// See [`made`].
    pub(in crate::boot) made: &'a [(String, String)],
    /// Containers of ours that have ended and have to go.
    pub(in crate::boot) ended: &'a [Removal],
}

pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    image: &ImageRef,
    known: &Known<'_>,
    secrets: &Fetcher<'_>,
    deadline: Instant,
) -> Result<Pinned, BootError> {
    let does = Step::ObtainImage(image.clone()).to_string();
    timed(context, StepId::Image, does, async {
        let places = places(plan, image);
        let resolved = match image.digest() {
            Some(digest) => Some((digest.to_owned(), String::new())),
            None => known
                .store
                .lookup(&image.canonical(), known.made)
                .map(|(digest, source)| {
                    known.store.resolve(&image.canonical(), &digest);
                    (digest, since_text(source))
                }),
        };
        let obtaining = Obtaining {
            context,
            plan,
            image,
            store: known.store,
            ended: known.ended,
            places: &places,
            deadline,
        };
        // What is here needs neither a registry nor a login for one, unless it has to prove something.
        if let Some((digest, since)) = &resolved
            && let Some((reference, local)) = obtaining.here(digest).await?
        {
            obtaining.verify(digest, secrets).await?;
            let machine = obtaining.about().await.and_then(|about| about.platform);
            obtaining.fits(machine.as_ref(), local.platform.as_slice())?;
            let detail = format!("{image} is {digest}{since}, was here already");
            return Ok((pinned(digest, reference), detail));
        }
        obtaining.load(resolved, secrets).await
    })
    .await
}

fn pinned(digest: &str, reference: String) -> Pinned {
    Pinned {
        digest: digest.to_owned(),
        reference,
    }
}

fn since_text(source: Source) -> String {
    match source {
        Source::Record { at } => format!(", as resolved at {}", text::timestamp(at)),
        Source::Container => ", as its container says".to_owned(),
    }
}

/// The parts of the step share this.
struct Obtaining<'a> {
    context: &'a Context,
    plan: &'a Plan,
    image: &'a ImageRef,
    store: &'a Store<'a>,
    ended: &'a [Removal],
    places: &'a [Place],
    deadline: Instant,
}

impl Obtaining<'_> {
    /// From a registry or a mirror.
    async fn load(
        &self,
        resolved: Option<(String, String)>,
        secrets: &Fetcher<'_>,
    ) -> Result<(Pinned, String), BootError> {
        let (context, image) = (self.context, self.image);
        let mut turns = Turns::new(context, self.places, self.plan);
        let (about, remote) = tokio::join!(
            self.about(),
            self.look_up(&mut turns, secrets, resolved.is_some())
        );
        let remote = remote?;
        let machine = about.as_ref().and_then(|about| about.platform.as_ref());
        if let Some(remote) = &remote {
            self.fits(machine, &remote.platforms)?;
        }
        let (digest, since) = match (resolved, remote) {
            (Some(resolved), _) => resolved,
            (None, Some(remote)) => {
                context.reporter.tell(Event::StepProgress {
                    step: StepId::Image,
                    text: format!(
                        "{image} is {}, and what is loaded of it is loaded by this digest",
                        remote.digest
                    ),
                });
                (remote.digest, String::new())
            }
            (None, None) => return Err(BootError::NothingToRun),
        };

        // Before a byte of the image is on the disk.
        self.verify(&digest, secrets).await?;
        // What may not run is not what the tag stands for: it may be pushed again, and be another image then. From here
        // on not even a power cut changes what it is.
        if image.digest().is_none() {
            self.store.resolve(&image.canonical(), &digest);
        }

        let (place, how) = self.pull(&mut turns, secrets, about.as_ref(), &digest).await?;
        let reference = place.pinned(&digest);
        if let Some(local) = self
            .persistently(async || Ok(context.engine.image(&reference).await?))
            .await?
        {
            self.fits(machine, local.platform.as_slice())?;
        }
        let from = place.mirror_text();
        let detail = format!("{image} is {digest}{since}, pulled{from}: {how}");
        Ok((pinned(&digest, reference), detail))
    }

    /// Whether what the policy demands is proved, asked of the image's own registry: a mirror's word is no proof.
    async fn verify(&self, digest: &str, secrets: &Fetcher<'_>) -> Result<(), BootError> {
        let login = match self.plan.trust.requirement.asks_registry() {
            true => login::credentials(self.context, self.plan, secrets, self.deadline).await?,
            false => None,
        };
        let registry = Registries::new(self.image.registry(), login.as_ref());
        trust::verify(
            self.context,
            self.plan,
            self.image,
            digest,
            &registry,
            self.deadline,
        )
        .await?;
        Ok(())
    }

    /// What the registry says about the image. Where the digest is known it is asked for platforms only, once, and may
    /// keep them to itself.
    async fn look_up(
        &self,
        turns: &mut Turns<'_>,
        secrets: &Fetcher<'_>,
        known: bool,
    ) -> Result<Option<Remote>, BootError> {
        let ask = async |place: &Place, login: Option<&Credentials>| {
            let name = place.as_written(self.image);
            Ok(self.context.engine.look_up(&name, login).await?)
        };
        if !known {
            let (_, remote) = self
                .persistently(async || {
                    // Some end while the registry is away.
                    turns.log_in(self.plan, secrets, self.deadline).await?;
                    turns.ask(Question::Reference, ask).await
                })
                .await?;
            return Ok(Some(remote));
        }
        // A tag may stand for another image by now.
        if self.image.digest().is_none() {
            return Ok(None);
        }
        turns.log_in(self.plan, secrets, self.deadline).await?;
        Ok(turns
            .ask(Question::Bytes, ask)
            .await
            .inspect_err(|error| {
                tracing::debug!("what {} is for is not known yet: {}", self.image, chain(error))
            })
            .ok()
            .map(|(_, remote)| remote))
    }

    async fn pull<'p>(
        &'p self,
        turns: &mut Turns<'p>,
        secrets: &Fetcher<'_>,
        about: Option<&About>,
        digest: &str,
    ) -> Result<(&'p Place, String), BootError> {
        let keep: Vec<String> = self.places.iter().map(|place| place.pinned(digest)).collect();
        let disk = room::Disk {
            context: self.context,
            store: self.store,
            data: about.map(|about| about.data.as_path()),
            image: self.image,
            keep: &keep,
            ended: Cell::new(self.ended),
            deadline: self.deadline,
            told: Cell::new(false),
        };
        // Resolving may have taken long, and what was good for that may have ended.
        turns.log_in(self.plan, secrets, self.deadline).await?;
        let layers = layers::lacking(self.context, turns, digest, about, |layers| disk.fits(layers)).await;
        self.persistently(async || {
            disk.ensure_room(&layers).await?;
            turns.log_in(self.plan, secrets, self.deadline).await?;
            let pulled = turns
                .ask(Question::Bytes, async |place, login| {
                    pull::pull(self.context, &place.pinned(digest), login, &layers, self.deadline).await
                })
                .await;
            match pulled {
                Ok((place, how)) => {
                    self.store.pulled(&place.pinned(digest));
                    Ok((place, how))
                }
                Err(ImageError::Engine(error @ EngineError::DiskFull { .. })) => Err(disk.full(error).await),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// The image, if it is on this machine under the name of any of the places.
    async fn here(&self, digest: &str) -> Result<Option<(String, Local)>, BootError> {
        self.persistently(async || {
            for place in self.places {
                let reference = place.pinned(digest);
                if let Some(local) = self.context.engine.image(&reference).await? {
                    return Ok(Some((reference, local)));
                }
            }
            Ok(None)
        })
        .await
    }

    /// What the engine says about itself; without it two checks are left out.
    async fn about(&self) -> Option<About> {
        self.context
            .engine
            .about()
            .await
            .inspect_err(|error| {
                tracing::info!(
                    "platform and free space are not checked, ignoring: {}",
                    chain(error)
                );
            })
            .ok()
    }

    fn fits(&self, machine: Option<&Platform>, image: &[Platform]) -> Result<(), BootError> {
        match (machine, platform::mismatch(machine, image)) {
            (Some(machine), Some(platforms)) => Err(BootError::Image(Box::new(ImageError::WrongPlatform {
                image: Box::new(self.image.clone()),
                platforms,
                machine: machine.to_string(),
            }))),
            _ => Ok(()),
        }
    }

    async fn persistently<T>(
        &self,
        operation: impl AsyncFnMut() -> Result<T, ImageError>,
    ) -> Result<T, BootError> {
        until_it_works(
            self.context,
            StepId::Image,
            retry::REGISTRY,
            Some(self.deadline),
            operation,
        )
        .await
        .map_err(|gave_up| {
            gave_up.into_boot_error(StepId::Image, |error| match error {
                ImageError::Step(error) => *error,
                error => BootError::Image(Box::new(error)),
            })
        })
    }
}
