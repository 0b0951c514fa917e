//! Exactly one container: what must go goes, what may stay stays, what is missing is made.

use std::time::Duration;

use monopod_core::config::EnvValue;
use monopod_core::event::{ContainerSeen, Event};
use monopod_core::plan::reconcile::{Reconciliation, Removal, SpecHash, Then};
use monopod_core::plan::{Plan, Step, StepId};
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::image::Pinned;
use super::secrets::Decrypted;
use super::until_it_works;
use crate::boot::hint::Charge;
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::docker::{EngineError, Labels};
use crate::host::{Class, Classified, chain, limits};
use crate::logs::Drained;
use crate::supervise::Begin;

/// How long the lines of a container that has to go may take to leave.
const DRAIN: Duration = Duration::from_secs(10);

/// What came of it.
pub(in crate::boot) struct Made {
    pub(in crate::boot) id: String,
    pub(in crate::boot) digest: String,
    pub(in crate::boot) spec: SpecHash,
    pub(in crate::boot) begin: Begin,
}

pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    reconciliation: &Reconciliation,
    decrypted: Option<Decrypted>,
    pinned: Option<Pinned>,
    deadline: Instant,
) -> Result<Made, BootError> {
    let does = Step::EnsureContainer(reconciliation.then.clone()).to_string();
    timed(context, StepId::Container, does, async {
        ensure_removed(context, &reconciliation.remove, deadline).await?;
        let image = plan.container.image.to_string();
        let spec = |digest: &str| SpecHash::new(&plan.intent, digest);
        match &reconciliation.then {
            Then::Adopt { id, digest } => {
                follow(context, id, &image, digest, true).await?;
                let made = Made { id: id.clone(), digest: digest.clone(), spec: spec(digest), begin: Begin::Running };
                Ok((made, format!("{} runs already", text::short_id(id))))
            }
            Then::Resume { id, digest } => {
                let begin = start(context, id).await?;
                follow(context, id, &image, digest, true).await?;
                let made = Made { id: id.clone(), digest: digest.clone(), spec: spec(digest), begin };
                Ok((made, format!("{} started again", text::short_id(id))))
            }
            Then::Create => {
                let (decrypted, pinned) = (decrypted.unwrap_or_default(), pinned.ok_or(BootError::NothingToRun)?);
                let spec = spec(&pinned.digest);
                let id = create(context, plan, &decrypted, &pinned, &spec, deadline).await?;
                let begin = start(context, &id).await?;
                follow(context, &id, &image, &pinned.digest, false).await?;
                let detail = match &begin {
                    Begin::Running => format!("{} runs", text::short_id(&id)),
                    Begin::Ended => format!("{} ended", text::short_id(&id)),
                    Begin::NotStarted { .. } => format!("{} made, its start will be tried again", text::short_id(&id)),
                };
                Ok((Made { id, digest: pinned.digest, spec, begin }, detail))
            }
        }
    })
    .await
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
        follow(context, &charge.container_id, &charge.image, &charge.digest, true).await?;
        Ok(((), format!("{} taken over from an earlier start of the agent", text::short_id(&charge.container_id))))
    })
    .await
}

/// Lines first: removing a container deletes its log files.
async fn ensure_removed(context: &Context, removals: &[Removal], deadline: Instant) -> Result<(), BootError> {
    for removal in removals {
        let short = text::short_id(&removal.id);
        let reason = format!("removing the container {short}: {}", removal.reason);
        context.reporter.tell(Event::StepProgress { step: StepId::Container, text: reason });
        if removal.has_run {
            stop_and_drain(context, &removal.id).await?;
        }
        until_it_works(context, StepId::Container, retry::LOCAL, Some(deadline), async || {
            context.engine.ensure_removed(&removal.id).await
        })
        .await
        .map_err(|gave_up| gave_up.into_boot_error(StepId::Container, BootError::Engine))?;
    }
    Ok(())
}

async fn stop_and_drain(context: &Context, id: &str) -> Result<(), BootError> {
    let Some(status) = context.engine.status(id).await? else { return Ok(()) };
    let Some(log_path) = status.log_path else { return Ok(()) };
    let shipper = context.shipper().await;
    let Some(shipper) = shipper.as_ref() else { return Ok(()) };
    shipper.follow(id, &log_path).await?;
    context.engine.ensure_stopped(id).await?;
    if let Drained::Behind { sink, bytes } = shipper.drain(Instant::now() + DRAIN).await {
        let text = format!(
            "the container {} was removed before {sink} had all of its lines; {} of its log files are lost",
            text::short_id(id),
            text::bytes(bytes)
        );
        shipper.record_gap(&text);
        context.reporter.tell(Event::Warning { text });
    }
    Ok(())
}

async fn create(
    context: &Context,
    plan: &Plan,
    decrypted: &Decrypted,
    pinned: &Pinned,
    spec: &SpecHash,
    deadline: Instant,
) -> Result<String, BootError> {
    let labels = Labels {
        spec: spec.clone(),
        digest: pinned.digest.clone(),
        application_id: plan.application.id.clone(),
        application_version: plan.application.version.clone(),
    };
    let value = |source: &EnvValue| match source {
        EnvValue::Plain(value) => Some(value.clone()),
        EnvValue::Kms(ciphertext) => decrypted.value(ciphertext).map(|secret| secret.expose().to_owned()),
    };
    let memory_total = limits::memory_total();
    until_it_works(context, StepId::Container, retry::LOCAL, Some(deadline), async || {
        context.engine.create(&plan.container, &pinned.reference, &labels, memory_total, value).await
    })
    .await
    .map_err(|gave_up| gave_up.into_boot_error(StepId::Container, BootError::Engine))
}

/// A start that may work later is the supervisor's business; one that never can ends the boot.
async fn start(context: &Context, id: &str) -> Result<Begin, BootError> {
    match context.engine.ensure_started(id).await {
        Ok(()) => Ok(Begin::Running),
        Err(error) if error.class() == Class::Permanent => Err(BootError::Engine(error)),
        Err(error) => Ok(Begin::NotStarted { error: chain(&error) }),
    }
}

/// Ships its lines from now on, and tells everybody which container it is.
async fn follow(context: &Context, id: &str, image: &str, digest: &str, adopted: bool) -> Result<(), BootError> {
    let vanished = || EngineError::Hangup { host: context.engine.host().to_owned() };
    let status = context.engine.status(id).await?.ok_or_else(vanished)?;
    if let (Some(path), Some(shipper)) = (&status.log_path, context.shipper().await.as_ref()) {
        shipper.follow(id, path).await?;
    }
    context.reporter.tell(Event::Container(ContainerSeen {
        id: id.to_owned(),
        image: image.to_owned(),
        digest: digest.to_owned(),
        started_at: status.started_at,
        adopted,
    }));
    Ok(())
}
