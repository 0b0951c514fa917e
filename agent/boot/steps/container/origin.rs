//! Where a container's image comes from, and what the policy says to that: read once a container, before its first start.
//! What is known without the image is judged before anything is pulled or decrypted.
//!
//! A container that is there already is judged as at its creation, so what is denied by now is told and no more: an
//! instance keeps its image, and a machine that comes back from a reboot serves.

use monopod_core::event::Event;
use monopod_core::plan::reconcile::Then;
use monopod_core::plan::{Plan, Step, StepId};
use monopod_core::text;
use monopod_core::trace::verdict::{self, Denied, Fell};
use monopod_core::trace::{Level, OfImage, OfMachine, ScmFile, Trace, Verdict};
use tokio::time::Instant;

use super::persistently;
use crate::boot::{BootError, steps, timed};
use crate::context::Context;
use crate::host::{chain, clock, image_layer};

/// Whether the container was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Made just now, and not started.
    New,
    /// From an earlier boot, or an agent before.
    Old,
}

/// What is known of a container from now on.
#[derive(Clone, Debug, Default)]
pub(in crate::boot) struct Origin {
    pub(in crate::boot) trace: Trace,
    pub(in crate::boot) verdicts: Vec<Verdict>,
}

/// Reads it, tells everybody, and removes a new container again that must not start.
pub(super) async fn ensure_allowed(
    context: &Context,
    plan: &Plan,
    id: &str,
    digest: &str,
    age: Age,
    deadline: Instant,
) -> Result<Origin, BootError> {
    let strict = age == Age::New
        && plan
            .verdicts
            .levels
            .values()
            .any(|said| said.value == Level::Deny);
    let image = match strict {
        true => persistently(context, deadline, async || context.engine.of_image(id).await).await?,
        // Where nothing can be denied, nothing is waited for: it is only told.
        false => context.engine.of_image(id).await.unwrap_or_else(|error| OfImage {
            scm: ScmFile::Unreadable { why: chain(&error) },
            ..OfImage::default()
        }),
    };
    let trace = Trace::new(image, of_machine(context, plan, digest));
    let tag = plan.container.image.tag();
    let verdicts = verdict::verdicts(&trace, tag, &plan.verdicts, clock::now_seconds());
    context.reporter.tell(Event::Traced {
        trace: Box::new(trace.clone()),
        verdicts: verdicts.clone(),
    });
    let told = match age {
        Age::New => verdict::warning(&verdicts),
        Age::Old => verdict::warning_of_old(&verdicts),
    };
    if let Some(text) = told {
        context.reporter.tell(Event::Warning { text });
    }
    if age == Age::New
        && let Some(denied) = Denied::of(&verdicts, Fell::BeforeStart)
    {
        remove(context, id, deadline).await;
        return Err(BootError::Denied(Box::new(denied)));
    }
    context.know_origin(&trace).await;
    Ok(Origin { trace, verdicts })
}

/// Ends the boot where a new container would have to be removed again whatever its image holds.
pub(in crate::boot) async fn ensure_worth_it(
    context: &Context,
    plan: &Plan,
    then: &Then,
) -> Result<(), BootError> {
    match then {
        Then::Create => {}
        // Judged as at its creation.
        Then::Adopt { .. } | Then::Resume { .. } => return Ok(()),
    }
    let image = OfImage {
        scm: ScmFile::Unreadable {
            why: "the image was not looked at".to_owned(),
        },
        ..OfImage::default()
    };
    let trace = Trace::new(image, of_machine(context, plan, ""));
    let tag = plan.container.image.tag();
    let verdicts = verdict::before_image(&trace, tag, &plan.verdicts, clock::now_seconds());
    let Some(denied) = Denied::of(&verdicts, Fell::BeforeImage) else {
        return Ok(());
    };
    context.reporter.tell(Event::Traced {
        trace: Box::new(trace),
        verdicts,
    });
    let does = Step::EnsureContainer(then.clone()).to_string();
    timed(context, StepId::Container, does, async {
        Err(BootError::Denied(Box::new(denied)))
    })
    .await
}

fn of_machine(context: &Context, plan: &Plan, digest: &str) -> OfMachine {
    OfMachine {
        digest: digest.to_owned(),
        ami_id: plan.facts.as_ref().and_then(|facts| facts.image_id.clone()),
        ami: image_layer::machine_image(&context.directories.configuration),
        application: Some(plan.application.clone()),
        deployment_id: plan.container.deployment_id.clone(),
        opt_outs: steps::config::opened(plan),
    }
}

/// It was never started: there are no lines to wait for. One that stays is half made, and the next boot removes it.
async fn remove(context: &Context, id: &str, deadline: Instant) {
    let text = format!("removing the container {}: it must not start", text::short_id(id));
    context.reporter.tell(Event::StepProgress {
        step: StepId::Container,
        text,
    });
    let removed = persistently(context, deadline, async || {
        context.engine.ensure_removed(id).await
    })
    .await;
    if let Err(error) = removed {
        let text = format!(
            "a container that must not start is still there, and not started: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}
