//! Carrying out a plan: each step begins as soon as what it waits for is done.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use monopod_core::event::Event;
use monopod_core::plan::reconcile::{Reconciliation, Then};
use monopod_core::plan::{Plan, Step, StepId};
use tokio::time::Instant;

use super::images::Images;
use super::steps::container::Made;
use super::steps::image::Pinned;
use super::steps::secrets::Fetched;
use super::{BootError, steps};
use crate::context::Context;

/// Runs the plan's steps up to the container, each as soon as it can.
pub(super) async fn execute(
    context: &Context,
    plan: &Plan,
    reconciliation: &Reconciliation,
    images: &Images<'_>,
    deadline: Instant,
) -> Result<Made, BootError> {
    let mut waiting = plan.steps(&reconciliation.then);
    waiting.retain(|step| step.id() <= StepId::Container);
    let mut done = skipped(context, plan, &waiting);
    let secrets = steps::secrets::Fetcher::new(context, plan, deadline);
    let mut filled = Filled::default();
    let mut running: FuturesUnordered<LocalBoxFuture<'_, Result<Outcome, BootError>>> =
        FuturesUnordered::new();
    loop {
        let (ready, later): (Vec<Step>, Vec<Step>) = waiting
            .into_iter()
            .partition(|step| step.id().after().iter().all(|before| done.contains(before)));
        waiting = later;
        for step in ready {
            running.push(match step {
                Step::Prepare(_) => Box::pin(async move {
                    steps::prepare::run(context, deadline)
                        .await
                        .map(|()| Outcome::Prepared)
                }),
                Step::Firewall(firewall) => {
                    let adopted = matches!(reconciliation.then, Then::Adopt { .. });
                    let dns = plan.container.dns.as_slice();
                    Box::pin(async move {
                        steps::firewall::run(context, firewall, dns, adopted, deadline)
                            .await
                            .map(|()| Outcome::Firewall)
                    })
                }
                step @ Step::FetchSecrets { .. } => {
                    let (secrets, then) = (&secrets, &reconciliation.then);
                    Box::pin(async move {
                        steps::delivered::run(context, plan, then, &step, secrets, deadline)
                            .await
                            .map(Outcome::Secrets)
                    })
                }
                Step::ObtainImage(image) => {
                    let secrets = &secrets;
                    Box::pin(async move {
                        steps::image::run(context, plan, &image, &images.known(), secrets, deadline)
                            .await
                            .map(Outcome::Image)
                    })
                }
                Step::EnsureContainer(_) => {
                    let (fetched, pinned) = (filled.fetched.take(), filled.pinned.take());
                    Box::pin(async move {
                        let made =
                            steps::container::run(context, plan, reconciliation, fetched, pinned, deadline)
                                .await?;
                        Ok(Outcome::Container(Box::new(made)))
                    })
                }
                // Disks and settings are another unit's, and what comes after the container is the supervisor's.
                Step::AwaitHealth(_)
                | Step::CompleteLaunchHook(_)
                | Step::AwaitBalancers(_)
                | Step::Signal(_)
                | Step::NotifyReady => continue,
            });
        }
        match running.next().await {
            None => break,
            Some(Err(error)) => return Err(error),
            Some(Ok(outcome)) => {
                done.insert(filled.take(outcome));
            }
        }
    }
    filled.made.ok_or(BootError::NothingToRun)
}

/// All that is done of a plan in a warm pool: the image is verified and pulled. Of the secrets only a registry's
/// password is fetched, if the pull needs one.
pub(super) async fn fetch_image(
    context: &Context,
    plan: &Plan,
    reconciliation: &Reconciliation,
    images: &Images<'_>,
    deadline: Instant,
) -> Result<(), BootError> {
    let secrets = steps::secrets::Fetcher::new(context, plan, deadline);
    for step in plan.steps(&reconciliation.then) {
        if let Step::ObtainImage(image) = step {
            steps::image::run(context, plan, &image, &images.known(), &secrets, deadline).await?;
        }
    }
    Ok(())
}

/// What steps hand to each other.
#[derive(Default)]
struct Filled {
    fetched: Option<Fetched>,
    pinned: Option<Pinned>,
    made: Option<Made>,
}

impl Filled {
    /// Keeps it for the steps that wait for it; which step is done.
    fn take(&mut self, outcome: Outcome) -> StepId {
        match outcome {
            Outcome::Prepared => StepId::Prepare,
            Outcome::Firewall => StepId::Firewall,
            Outcome::Secrets(fetched) => {
                self.fetched = Some(fetched);
                StepId::Secrets
            }
            Outcome::Image(pinned) => {
                self.pinned = Some(pinned);
                StepId::Image
            }
            Outcome::Container(made) => {
                self.made = Some(*made);
                StepId::Container
            }
        }
    }
}

enum Outcome {
    Prepared,
    Firewall,
    Secrets(Fetched),
    Image(Pinned),
    Container(Box<Made>),
}

/// What is done before the first step: what came before the plan, and what is not in it.
fn skipped(context: &Context, plan: &Plan, waiting: &[Step]) -> BTreeSet<StepId> {
    let mut done = BTreeSet::from([StepId::Engine, StepId::Facts, StepId::Config]);
    if !waiting.iter().any(|one| one.id() == StepId::Firewall) {
        done.insert(StepId::Firewall);
    }
    for step in [StepId::Prepare, StepId::Secrets, StepId::Image] {
        if waiting.iter().any(|one| one.id() == step) {
            continue;
        }
        done.insert(step);
        // Nobody misses a step that the user data asks nothing of.
        if step != StepId::Prepare || plan.preparation().is_some() {
            let why = "the right container exists".to_owned();
            context.reporter.tell(Event::StepSkipped { step, why });
        }
    }
    done
}
