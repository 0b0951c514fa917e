//! Exactly one container: what must go goes, what may stay stays, what is missing is made.

mod origin;

use std::time::Duration;

use monopod_core::config::EnvValue;
use monopod_core::event::{ContainerSeen, Event};
use monopod_core::plan::reconcile::{Reconciliation, Removal, RemovalReason, SpecHash, Then};
use monopod_core::plan::{Plan, Step, StepId};
use monopod_core::{retry, text};
use tokio::time::Instant;

pub(in crate::boot) use self::origin::ensure_worth_it;
use self::origin::{Age, Origin};
use super::delivered::Delivered;
use super::holes;
use super::image::Pinned;
use super::prepare;
use super::secrets::Fetched;
use super::until_it_works;
use crate::boot::hint::Charge;
use crate::boot::sets::SetCharge;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::delivery::{Delivery, DeliveryError};
use crate::host::docker::{self, ContainerStatus, EngineError, Labels};
use crate::host::secret_set::SecretSet;
use crate::host::surroundings::{Surroundings, SurroundingsError};
use crate::host::{Class, Classified, chain, clock, limits, surroundings};
use crate::supervise::Begin;

/// How long the lines of a container that has to go may take to leave.
const DRAIN: Duration = Duration::from_secs(10);

/// What came of it.
pub(in crate::boot) struct Made {
    pub(in crate::boot) id: String,
    pub(in crate::boot) digest: String,
    pub(in crate::boot) spec: SpecHash,
    pub(in crate::boot) begin: Begin,
    pub(in crate::boot) files: Delivery,
    pub(in crate::boot) sets: Vec<SetCharge>,
    pub(in crate::boot) origin: Origin,
}

pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    reconciliation: &Reconciliation,
    fetched: Option<Fetched>,
    pinned: Option<Pinned>,
    deadline: Instant,
) -> Result<Made, BootError> {
    let does = Step::EnsureContainer(reconciliation.then.clone()).to_string();
    let fetched = fetched.unwrap_or_default();
    timed(context, StepId::Container, does, async {
        let remove = &reconciliation.remove;
        if let Some(facts) = &plan.facts {
            context.identity.ensure(&plan.container.identity, facts);
        }
        match &reconciliation.then {
            Then::Adopt { id, digest } => {
                ensure_removed(context, remove, deadline).await?;
                adopt(context, plan, id, digest, &fetched, deadline).await
            }
            Then::Resume { id, digest } => {
                ensure_removed(context, remove, deadline).await?;
                resume(context, plan, id, digest, &fetched, deadline).await
            }
            Then::Create => {
                let pinned = pinned.ok_or(BootError::NothingToRun)?;
                // First of all: what can't be made must not cost the container that runs.
                let spec = SpecHash::new(&plan.intent, &pinned.digest);
                let delivered = Delivered::new(context, plan, &spec, &fetched);
                let mut machine = observe(
                    context,
                    || surroundings::observe(&plan.container, context.engine.socket()),
                    deadline,
                )
                .await?;
                on_the_tmpfs(context, || delivered.ensure_layout(), deadline).await?;
                on_the_tmpfs(context, || context.identity.ensure_layout(), deadline).await?;
                machine.identity_directory = context.identity.token_directory();
                if machine.gpus {
                    let engine =
                        persistently(context, deadline, async || context.engine.gpus().await).await?;
                    machine.gpu_way = Some(engine.way(surroundings::are_gpus_described));
                }
                machine.variables =
                    holes::fill(context, &plan.container, plan.facts.as_ref(), deadline).await?;
                ensure_removed(context, remove, deadline).await?;
                let new = New {
                    fetched,
                    pinned,
                    spec,
                    delivered,
                    machine,
                };
                make(context, plan, new, deadline).await
            }
        }
    })
    .await
}

/// What a new container is made from.
struct New {
    fetched: Fetched,
    pinned: Pinned,
    spec: SpecHash,
    delivered: Delivered,
    machine: Surroundings,
}

async fn adopt(
    context: &Context,
    plan: &Plan,
    id: &str,
    digest: &str,
    fetched: &Fetched,
    deadline: Instant,
) -> Result<(Made, String), BootError> {
    let image = plan.container.image.to_string();
    // Its secrets are learnt before anything of it is quoted.
    follow(context, id, &image, digest, true, deadline).await?;
    let origin = origin::ensure_allowed(context, plan, id, digest, Age::Old, deadline).await?;
    let spec = SpecHash::new(&plan.intent, digest);
    let delivered = Delivered::new(context, plan, &spec, fetched);
    // It has its own open; the next start needs them.
    if let Err(error) = delivered
        .ensure(context, plan)
        .and_then(|()| context.identity.ensure_token())
    {
        let text = format!("the container can't be started again yet: {}", chain(&error));
        context.reporter.tell(Event::Warning { text });
    }
    let made = Made {
        id: id.to_owned(),
        digest: digest.to_owned(),
        spec,
        begin: Begin::Running,
        files: delivered.files,
        sets: delivered.sets,
        origin,
    };
    Ok((made, format!("{} runs already", text::short_id(id))))
}

async fn resume(
    context: &Context,
    plan: &Plan,
    id: &str,
    digest: &str,
    fetched: &Fetched,
    deadline: Instant,
) -> Result<(Made, String), BootError> {
    let image = plan.container.image.to_string();
    // One that ran and ended in this boot is the restart policy's; one from before is simply started.
    let ended = follow(context, id, &image, digest, true, deadline).await?;
    let origin = origin::ensure_allowed(context, plan, id, digest, Age::Old, deadline).await?;
    let in_this_boot = ended
        .started_at
        .is_some_and(|at| at > limits::machine_start(clock::now_millis()));
    let spec = SpecHash::new(&plan.intent, digest);
    let delivered = Delivered::new(context, plan, &spec, fetched);
    observe(
        context,
        || surroundings::ensure_binds(&plan.container.binds, context.engine.socket()),
        deadline,
    )
    .await?;
    on_the_tmpfs(context, || delivered.ensure(context, plan), deadline).await?;
    delivered.ensure_copies(context, plan);
    let begin = if in_this_boot {
        Begin::Ended
    } else {
        start(context, plan, id, deadline).await?
    };
    let short = text::short_id(id);
    let detail = match &begin {
        Begin::Running => format!("{short} started again"),
        Begin::Ended => format!("{short} ended with {} earlier in this boot", ended.exit),
        Begin::NotStarted { .. } => format!("{short} could not be started yet"),
    };
    let made = Made {
        id: id.to_owned(),
        digest: digest.to_owned(),
        spec,
        begin,
        files: delivered.files,
        sets: delivered.sets,
        origin,
    };
    Ok((made, detail))
}

async fn make(
    context: &Context,
    plan: &Plan,
    new: New,
    deadline: Instant,
) -> Result<(Made, String), BootError> {
    let image = plan.container.image.to_string();
    on_the_tmpfs(context, || new.delivered.ensure(context, plan), deadline).await?;
    new.delivered.ensure_copies(context, plan);
    let id = create(context, plan, &new, deadline).await?;
    let digest = &new.pinned.digest;
    let origin = origin::ensure_allowed(context, plan, &id, digest, Age::New, deadline).await?;
    let begin = start(context, plan, &id, deadline).await?;
    follow(context, &id, &image, &new.pinned.digest, false, deadline).await?;
    let detail = made_text(text::short_id(&id), &begin, new.machine.gpus);
    let made = Made {
        id,
        digest: new.pinned.digest,
        spec: new.spec,
        begin,
        files: new.delivered.files,
        sets: new.delivered.sets,
        origin,
    };
    Ok((made, detail))
}

fn made_text(short: &str, begin: &Begin, gpus: bool) -> String {
    let with = if gpus {
        " with the machine's graphics processors"
    } else {
        ""
    };
    match begin {
        Begin::Running => format!("{short} runs{with}"),
        Begin::Ended => format!("{short} ended"),
        Begin::NotStarted { .. } => format!("{short} made{with}, its start will be tried again"),
    }
}

/// For an agent that was restarted: the container is there, only its surroundings are seen to.
pub(in crate::boot) async fn take_over(
    context: &Context,
    charge: &Charge,
    reconciliation: &Reconciliation,
    deadline: Instant,
) -> Result<(), BootError> {
    let does = Step::EnsureContainer(reconciliation.then.clone()).to_string();
    timed(context, StepId::Container, does, async {
        ensure_removed(context, &reconciliation.remove, deadline).await?;
        tell_origin(context, charge).await;
        follow(
            context,
            &charge.container_id,
            &charge.image,
            &charge.digest,
            true,
            deadline,
        )
        .await?;
        Ok((
            (),
            format!(
                "{} taken over from an earlier start of the agent",
                text::short_id(&charge.container_id)
            ),
        ))
    })
    .await
}

/// What an earlier agent found out; one that did not look has left nothing to tell.
pub(in crate::boot) async fn tell_origin(context: &Context, charge: &Charge) {
    let Some(trace) = &charge.trace else { return };
    context.reporter.tell(Event::Traced {
        trace: Box::new(trace.clone()),
        verdicts: charge.verdicts.clone(),
    });
    context.know_origin(trace).await;
}

/// Lines first: removing a container deletes its log files.
pub(in crate::boot) async fn ensure_removed(
    context: &Context,
    removals: &[Removal],
    deadline: Instant,
) -> Result<(), BootError> {
    for Removal { id, reason } in removals {
        let text = format!("removing the container {}: {reason}", text::short_id(id));
        context.reporter.tell(Event::StepProgress {
            step: StepId::Container,
            text,
        });
        if *reason != RemovalReason::HalfMade {
            let status = persistently(context, deadline, async || context.engine.status(id).await).await?;
            // The image may have needed its room.
            let Some(status) = status else { continue };
            // Its last lines may hold values that the new one's user data doesn't have any more.
            for (name, secret) in &status.secrets {
                context.reporter.learn(name, secret);
            }
            let log_path = status.log_path;
            context.ensure_followed(id, log_path.as_deref()).await;
            persistently(context, deadline, async || {
                context.engine.ensure_stopped(id).await
            })
            .await?;
            context.ensure_drained(id, DRAIN).await;
        }
        persistently(context, deadline, async || {
            context.engine.ensure_removed(id).await
        })
        .await?;
    }
    Ok(())
}

/// Through an engine that is restarted meanwhile.
async fn persistently<T>(
    context: &Context,
    deadline: Instant,
    operation: impl AsyncFnMut() -> Result<T, EngineError>,
) -> Result<T, BootError> {
    until_it_works(
        context,
        StepId::Container,
        retry::LOCAL,
        Some(deadline),
        operation,
    )
    .await
    .map_err(|gave_up| {
        gave_up.into_boot_error(StepId::Container, |error| match error {
            EngineError::Changed { .. } => BootError::StartOver(error),
            error => BootError::Engine(error),
        })
    })
}

async fn create(context: &Context, plan: &Plan, new: &New, deadline: Instant) -> Result<String, BootError> {
    let labels = Labels {
        spec: new.spec.clone(),
        digest: new.pinned.digest.clone(),
        source: plan.container.image.canonical(),
        secrets: plan
            .container
            .secrets()
            .map(|(name, _)| name.to_owned())
            .collect(),
        application_id: plan.application.id.clone(),
        application_version: plan.application.version.clone(),
    };
    let value = |source: &EnvValue| match source {
        EnvValue::Plain(value) => Some(value.clone()),
        EnvValue::Secret(reference) => new
            .fetched
            .value(reference)
            .map(|secret| secret.expose().to_owned()),
    };
    let places: Vec<SecretSet> = new.delivered.sets.iter().map(|set| set.place.clone()).collect();
    let made = docker::Made {
        spec: &plan.container,
        pinned: &new.pinned.reference,
        labels: &labels,
        machine: &new.machine,
        files: &new.delivered.files,
        sets: &places,
    };
    persistently(context, deadline, async || {
        context.engine.create(made, value).await
    })
    .await
}

/// Sees to the files where the container will look for them.
async fn on_the_tmpfs(
    context: &Context,
    seen_to: impl Fn() -> Result<(), DeliveryError>,
    deadline: Instant,
) -> Result<(), BootError> {
    until_it_works(
        context,
        StepId::Container,
        retry::LOCAL,
        Some(deadline),
        async || seen_to(),
    )
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Container, BootError::Delivery))
}

/// Looks at the machine, and again while the engine makes its socket anew.
async fn observe<T>(
    context: &Context,
    look: impl Fn() -> Result<T, SurroundingsError>,
    deadline: Instant,
) -> Result<T, BootError> {
    until_it_works(
        context,
        StepId::Container,
        retry::LOCAL,
        Some(deadline),
        async || look(),
    )
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Container, BootError::Surroundings))
}

/// A start that may work later is the supervisor's business; one that never can ends the boot.
async fn start(context: &Context, plan: &Plan, id: &str, deadline: Instant) -> Result<Begin, BootError> {
    prepare::ensure_still_mounted(&plan.mounted_places())?;
    on_the_tmpfs(context, || context.identity.renew_token(), deadline).await?;
    match context.engine.ensure_started(id).await {
        Ok(()) => Ok(Begin::Running),
        Err(error) if error.class() == Class::Permanent => Err(BootError::Engine(error)),
        Err(error) => Ok(Begin::NotStarted { error: chain(&error) }),
    }
}

/// Learns its secrets before anything of it is quoted, ships its lines from now on, and tells which container it is.
async fn follow(
    context: &Context,
    id: &str,
    image: &str,
    digest: &str,
    adopted: bool,
    deadline: Instant,
) -> Result<ContainerStatus, BootError> {
    let status = persistently(context, deadline, async || context.engine.status(id).await).await?;
    let status = status.ok_or_else(|| BootError::Vanished {
        id: text::short_id(id).to_owned(),
    })?;
    if adopted {
        for (name, secret) in &status.secrets {
            context.reporter.learn(name, secret);
        }
    }
    context.ensure_followed(id, status.log_path.as_deref()).await;
    context.reporter.tell(Event::Container(ContainerSeen {
        id: id.to_owned(),
        image: image.to_owned(),
        digest: digest.to_owned(),
        started_at: status.started_at,
        adopted,
    }));
    Ok(status)
}

#[cfg(test)]
mod tests;
