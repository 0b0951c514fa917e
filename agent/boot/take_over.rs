//! What an earlier agent of this boot left: its container is looked after again, without network.

use monopod_core::budget;
use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::{self, Then};
use tokio::time::Instant;

use super::hint::{self, Charge, Hint};
use super::telling::tell_left_alone;
use super::{BootError, steps};
use crate::context::{Context, Stage};
use crate::host::chain;
use crate::supervise::Begin;

/// An agent that was killed takes over what it knew: from the label and the hint, without network.
pub(super) async fn take_over(
    context: &Context,
    hint: Option<&Hint>,
    observed: &[reconcile::Observed],
) -> Result<Option<(Charge, Begin)>, BootError> {
    let Some(mut charge) = hint.and_then(|hint| hint.charge.clone()) else {
        return Ok(None);
    };
    let mut files_are_known = charge.files.recall();
    for set in &mut charge.sets {
        files_are_known &= set.recall(context);
    }
    for (name, secret) in charge.files.secrets() {
        context.reporter.learn(&name, secret);
    }
    let Ok(reconciliation) = reconcile::reconcile_known(&charge.spec, &charge.container_id, observed) else {
        return Ok(None);
    };
    let begin = match &reconciliation.then {
        Then::Create => return Ok(None),
        // It can't be started without its files; the user data has them.
        Then::Resume { .. } if !files_are_known => return Ok(None),
        Then::Adopt { id, .. } if *id == charge.container_id => Begin::Running,
        Then::Resume { id, .. } if *id == charge.container_id => Begin::Ended,
        // Ours by its label, but not the one of the hint: look at everything.
        Then::Adopt { .. } | Then::Resume { .. } => return Ok(None),
    };
    context
        .reporter
        .identify(Some(&charge.application), Some(&charge.facts));
    learn_of(context, &charge);
    take_over_identity(context, &charge);
    context.ensure_served(charge.lifecycle.status_address);
    context
        .reporter
        .configured(&charge.opt_outs, Some(charge.spec.as_str()));
    tell_left_alone(context, &reconciliation);
    if !files_are_known {
        let text = "the container's files are gone from the runtime directory: it keeps those it has open, and its next start needs the user data again";
        context.reporter.tell(Event::Warning {
            text: text.to_owned(),
        });
    }
    context.redact_lines(charge.redact_secrets);
    context.ensure_shipping(Some(&charge.shipping)).await;
    context.ensure_audit(charge.audit.as_ref(), &charge.facts).await;
    let application = Some(&charge.application);
    context
        .ensure_events(charge.events.as_ref(), &charge.facts, application)
        .await;
    for (step, why) in [
        (StepId::Facts, "known since an earlier start in this boot"),
        (StepId::Config, "known since an earlier start in this boot"),
        (StepId::Secrets, "the container exists"),
        (StepId::Image, "the container exists"),
    ] {
        context.reporter.tell(Event::StepSkipped {
            step,
            why: why.to_owned(),
        });
    }
    steps::firewall::take_over(context, charge.firewall.as_ref()).await;
    let deadline = Instant::now() + budget::LEAST;
    steps::container::take_over(context, &charge, &reconciliation, deadline).await?;
    Ok(Some((charge, begin)))
}

/// For an agent that only leaves: what an earlier one looked after in this boot, with its lines and
/// audit records on their way.
pub async fn recall(context: &Context) -> Option<Charge> {
    let mut charge = hint::load(context)?.charge?;
    charge.files.recall();
    for set in &mut charge.sets {
        set.recall(context);
    }
    for (name, secret) in charge.files.secrets() {
        context.reporter.learn(&name, secret);
    }
    context
        .reporter
        .identify(Some(&charge.application), Some(&charge.facts));
    learn_of(context, &charge);
    // The application may need them to end well.
    take_over_identity(context, &charge);
    context.redact_lines(charge.redact_secrets);
    context.ensure_shipping(Some(&charge.shipping)).await;
    context.ensure_audit(charge.audit.as_ref(), &charge.facts).await;
    let application = Some(&charge.application);
    context
        .ensure_events(charge.events.as_ref(), &charge.facts, application)
        .await;
    steps::container::tell_origin(context, &charge).await;
    if let Ok(Some(status)) = context.engine.status(&charge.container_id).await {
        context
            .ensure_followed(&charge.container_id, status.log_path.as_deref())
            .await;
    }
    Some(charge)
}

/// What an earlier agent of this boot knew about the machine's life.
pub(super) fn learn_of(context: &Context, charge: &Charge) {
    context.learn_life(|life| {
        life.plan = charge.lifecycle.clone();
        life.extras = charge.extras.clone();
        life.facts = Some(charge.facts.clone());
        life.deployment_id = charge.deployment_id.clone();
        life.budget_end = charge.budget_end;
        life.awaited_until = charge.budget_end;
        if charge.launched {
            life.stage = Stage::Over;
        }
    });
}

/// The container that runs has its token, and asks with it.
fn take_over_identity(context: &Context, charge: &Charge) {
    context.identity.ensure(&charge.identity, &charge.facts);
    if let Err(error) = context.identity.ensure_token() {
        let text = format!(
            "the container gets no AWS credentials until it is started again: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}
