//! The image: a tag becomes a digest once, and from there on only the digest counts.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use monopod_core::config::ImageRef;
use monopod_core::event::Event;
use monopod_core::plan::{Plan, Step, StepId};
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::secrets::Fetcher;
use super::{login, until_it_works};
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::docker::{EngineError, LayerProgress, What};

/// A pull without a word for so long has stalled: the engine itself gives up resuming after about 75 s.
const STALLED: Duration = Duration::from_secs(120);

/// An image on this machine.
#[derive(Debug)]
pub(in crate::boot) struct Pinned {
    /// `sha256:...`.
    pub(in crate::boot) digest: String,
    /// `registry.example.org/team/app@sha256:...`.
    pub(in crate::boot) reference: String,
}

pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    image: &ImageRef,
    resolved: Option<String>,
    secrets: &Fetcher<'_>,
    deadline: Instant,
) -> Result<Pinned, BootError> {
    let does = Step::ObtainImage(image.clone()).to_string();
    timed(context, StepId::Image, does, async {
        let engine = &context.engine;
        let final_word = |gave_up: super::GaveUp<EngineError>| gave_up.into_boot_error(StepId::Image, BootError::Engine);

        let digest = match resolved.or_else(|| image.digest().map(str::to_owned)) {
            Some(digest) => digest,
            None => {
                let credentials = login::credentials(context, plan, secrets, deadline).await?;
                until_it_works(context, StepId::Image, retry::REGISTRY, Some(deadline), async || {
                    engine.resolve(image, credentials.as_ref()).await
                })
                .await
                .map_err(final_word)?
            }
        };
        let credentials = match plan.trust.requirement.asks_registry() {
            true => login::credentials(context, plan, secrets, deadline).await?,
            false => None,
        };
        let registry = super::trust::Registries::new(image.registry(), credentials.as_ref());
        super::trust::verify(context, plan, image, &digest, &registry, deadline).await?;
        let reference = format!("{}/{}@{digest}", image.registry(), image.repository());

        let is_here = until_it_works(context, StepId::Image, retry::LOCAL, Some(deadline), async || {
            engine.has_image(&reference).await
        })
        .await
        .map_err(final_word)?;
        // An image that is here needs no login. One that is not gets one now: resolving may have taken long, and what
        // was good for that may have ended.
        let credentials = match is_here {
            true => None,
            false => login::credentials(context, plan, secrets, deadline).await?,
        };
        let pulled = until_it_works(context, StepId::Image, retry::REGISTRY, Some(deadline), async || {
            if engine.has_image(&reference).await? {
                return Ok(None);
            }
            let progress = RefCell::new(Progress::new(context));
            let pull = engine.pull(&reference, credentials.as_ref(), |layer| progress.borrow_mut().tell(layer));
            tokio::select! {
                result = pull => result?,
                () = stalled_past(deadline, &progress) => {
                    let what = What::Pull { image: reference.clone() };
                    return Err(EngineError::Silent { what, host: engine.host().to_owned(), after: STALLED });
                }
            }
            Ok(Some(progress.into_inner().total()))
        })
        .await
        .map_err(final_word)?;
        let how = pulled.map_or_else(|| "was here already".to_owned(), |size| format!("{} pulled", text::bytes(size)));
        let detail = format!("{image} is {digest}, {how}");
        Ok((Pinned { digest, reference }, detail))
    })
    .await
}

/// Cancelling a pull throws away what it has, so one that makes progress may outlive the budget: whoever waits for this
/// machine has given up by then, but the next try would begin from nothing and be no faster.
async fn stalled_past(deadline: Instant, progress: &RefCell<Progress<'_>>) {
    tokio::time::sleep_until(deadline).await;
    loop {
        let end = progress.borrow().moved + STALLED;
        if end <= Instant::now() {
            return;
        }
        tokio::time::sleep_until(end).await;
    }
}

/// Sums up the layers and speaks now and then.
struct Progress<'a> {
    context: &'a Context,
    layers: BTreeMap<String, (u64, u64)>,
    done: usize,
    told: Instant,
    begun: Instant,
    /// When the engine last said something.
    moved: Instant,
}

impl<'a> Progress<'a> {
    fn new(context: &'a Context) -> Self {
        let now = Instant::now();
        Self {
            context,
            layers: BTreeMap::new(),
            done: 0,
            told: now,
            begun: now,
            moved: now,
        }
    }

    fn total(&self) -> u64 {
        self.layers.values().map(|(_, total)| total).sum()
    }

    fn tell(&mut self, seen: LayerProgress) {
        self.moved = Instant::now();
        match seen.status.as_str() {
            "Downloading" => {
                self.layers
                    .insert(seen.layer, (seen.current, seen.total.unwrap_or(seen.current)));
            }
            "Download complete" | "Already exists" | "Verifying Checksum" => {
                let layer = self.layers.entry(seen.layer).or_default();
                layer.0 = layer.1;
            }
            "Pull complete" => self.done += 1,
            _ => {}
        }
        if self.told.elapsed() >= self.context.reporter.progress_interval() {
            self.told = Instant::now();
            let loaded: u64 = self.layers.values().map(|(current, _)| current).sum();
            let text = format!(
                "{} of {} loaded, {} of {} layers unpacked, {} so far",
                text::bytes(loaded),
                text::bytes(self.total()),
                self.done,
                self.layers.len(),
                text::duration(self.begun.elapsed())
            );
            self.context.reporter.tell(Event::StepProgress {
                step: StepId::Image,
                text,
            });
        }
    }
}
