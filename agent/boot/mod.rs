//! From nothing to a running container: facts, config, plan, and the plan's steps.
//!
//! Design: the steps come from `monopod_core::plan` as data; [`execute()`] starts each as soon as what
//! it waits for is done, so secrets and pull overlap, and makes no choices of its own. One file per
//! kind of step under `steps/`. Every step is safe to run again after a crash at any point.
//!
//! Invariants
//! - The engine is asked first. A container of ours that this boot already knew is taken over from
//!   its label and the hint in the runtime directory, with no network at all.
//! - Before a container is removed its lines are shipped, or their loss is recorded.
//! - One boot budget covers all steps: nothing begins after it, and only a pull that still makes progress outlives it.
//!   It is the default one until the user data with its `boot_timeout` is read; waiting for that has no limit.
//! - Nothing but the container itself ends a boot whose container runs: logs, hints and status are warnings.
//!
//! Deliberately absent: the health gate and READY. They go on while the container may already be
//! restarted, so they belong to `supervise`.

pub mod audit_asks;
pub mod copies;
pub mod error;
pub mod event_asks;
mod execute;
pub mod hint;
mod images;
mod late;
pub mod log_keys;
mod orders;
pub mod sets;
pub(crate) mod steps;
mod take_over;
mod telling;
#[cfg(test)]
mod tests;
mod time;

use monopod_core::audit::AuditOrders;
use monopod_core::event::Event;
use monopod_core::plan::reconcile;
use monopod_core::{budget, retry};
use tokio::time::Instant;

use crate::context::{Context, ShippingOrders, Stage};
use crate::host::{chain, clock};
use crate::lifecycle;
use crate::supervise::Begin;
pub use error::BootError;
use execute::{execute, fetch_image};
use hint::Charge;
use images::Images;
use orders::{Orders, learn_who_waits, read_orders};
use steps::container::Made;
pub(crate) use steps::facts::facts_file;
use steps::image::Store;
pub use take_over::recall;
use take_over::take_over;
use telling::{tell_left_alone, timed};
use time::moment_after;
pub(crate) use time::{launched, time_left};

/// Why there is a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion {
    /// The agent has started.
    Start,
    /// The container was removed while it was looked after: a new budget begins.
    Vanished,
    /// The machine was in a warm pool, and is to serve now: a new budget begins.
    Woken,
}

/// What a try came to.
enum Attempt {
    Booted(Box<(Charge, Begin)>),
    /// It waited in a warm pool: everything begins anew.
    Woken,
}

/// How often a boot begins anew because the engine changed under it.
const STARTS_OVER: u32 = 5;

/// Brings the machine to where there is a container to look after.
pub async fn boot(context: &Context, occasion: Occasion) -> Result<(Charge, Begin), BootError> {
    let (mut failures, mut occasion) = (0, occasion);
    loop {
        match attempt(context, if failures == 0 { occasion } else { Occasion::Start }).await {
            Ok(Attempt::Booted(booted)) => return Ok(*booted),
            Ok(Attempt::Woken) => (failures, occasion) = (0, Occasion::Woken),
            Err(error @ (BootError::StartOver(_) | BootError::Vanished { .. })) if failures < STARTS_OVER => {
                failures += 1;
                let wait = retry::LOCAL.delay(failures, clock::chance());
                let text = format!("{}; looking at everything again", chain(&error));
                context.reporter.tell(Event::Warning { text });
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn attempt(context: &Context, occasion: Occasion) -> Result<Attempt, BootError> {
    let hint = hint::load(context);
    let first_start = match (&hint, occasion) {
        (Some(hint), Occasion::Start) => hint.first_start,
        _ => clock::since_boot_millis(),
    };
    // Whatever becomes of it now, an earlier agent has told how it ended.
    if hint.as_ref().is_some_and(|hint| hint.over) && occasion == Occasion::Start {
        context.learn_life(|life| life.stage = Stage::Over);
    }
    // A new budget begins, and an agent that is restarted in it must not count from the launch.
    if let (Occasion::Vanished | Occasion::Woken, Some(facts)) = (occasion, context.life().facts) {
        hint::count_anew(context, &facts.instance_id);
    }
    // The user data may say another budget; until it is read, nobody knows.
    let left = time_left(budget::DEFAULT, first_start, None);
    hint::save(
        context,
        first_start,
        hint.as_ref().and_then(|hint| hint.charge.clone()),
    );

    let observed = match steps::engine::run(context, Instant::now() + left).await {
        Ok(observed) => observed,
        Err(error) => {
            learn_who_waits(context, hint.as_ref(), occasion, first_start).await;
            return Err(error);
        }
    };
    if let Some(taken_over) = take_over(context, hint.as_ref(), &observed).await? {
        return Ok(Attempt::Booted(Box::new(taken_over)));
    }

    let orders = read_orders(context, occasion, first_start).await?;
    let known = hint.and_then(|hint| hint.charge);
    carry_out(context, first_start, orders, known, &observed).await
}

/// From the plan to the container, or through the warm pool.
async fn carry_out(
    context: &Context,
    first_start: u64,
    orders: Orders,
    known: Option<Charge>,
    observed: &[reconcile::Observed],
) -> Result<Attempt, BootError> {
    let plan = &orders.plan;
    let known_id = known.as_ref().map(|charge| charge.container_id.as_str());
    let store = Store::open(context, &orders.facts.instance_id);
    let reconciliation = match store.is_copied() {
        true => reconcile::reconcile_copied(observed, known_id),
        false => reconcile::reconcile(&plan.intent, observed, known_id),
    }
    .map_err(BootError::NameTaken)?;
    tell_left_alone(context, &reconciliation);
    context.redact_lines(plan.redact_secrets);
    let shipping = ShippingOrders {
        plan: plan.logs.clone(),
        attributes: plan.log_attributes.clone(),
    };
    context.ensure_shipping(Some(&shipping)).await;
    let audit = plan.audit_orders();
    context.ensure_audit(audit.as_ref(), &orders.facts).await;
    let application = Some(&plan.application);
    context
        .ensure_events(plan.events.as_ref(), &orders.facts, application)
        .await;
    let images = Images::new(plan, known.as_ref(), observed, &reconciliation, store);
    images.note(plan, &reconciliation.then);
    steps::container::ensure_worth_it(context, plan, &reconciliation.then).await?;
    let deadline = Instant::now() + orders.left;
    if lifecycle::warm::is_wanted(context, deadline).await {
        fetch_image(context, plan, &reconciliation, &images, deadline).await?;
        lifecycle::warm::wait(context, deadline).await;
        return Ok(Attempt::Woken);
    }
    let made = execute(context, plan, &reconciliation, &images, deadline).await?;
    images.store.settle();

    let mut shipping = shipping;
    shipping.attributes.come_from(&made.origin.trace);
    let charge = charge_of(context, &orders, &made, shipping, audit);
    hint::save(context, first_start, Some(charge.clone()));
    context
        .reporter
        .configured(&charge.opt_outs, Some(charge.spec.as_str()));
    Ok(Attempt::Booted(Box::new((charge, made.begin))))
}

/// What is looked after from now on.
fn charge_of(
    context: &Context,
    orders: &Orders,
    made: &Made,
    shipping: ShippingOrders,
    audit: Option<AuditOrders>,
) -> Charge {
    let plan = &orders.plan;
    let gate_end = moment_after(plan.gate.timeout());
    Charge {
        application: plan.application.clone(),
        facts: orders.facts.clone(),
        image: plan.container.image.to_string(),
        digest: made.digest.clone(),
        spec: made.spec.clone(),
        container_id: made.id.clone(),
        gate: plan.gate.clone(),
        gate_passed: false,
        // A container that is made again in a boot whose result is out is nobody's news.
        launched: context.life().stage == Stage::Over,
        gate_deadline: gate_end.min(orders.budget_end),
        budget_end: orders.budget_end,
        restart: plan.restart,
        lifecycle: plan.lifecycle.clone(),
        opt_outs: orders.opt_outs.clone(),
        trace: Some(made.origin.trace.clone()),
        verdicts: made.origin.verdicts.clone(),
        extras: plan.extras.clone(),
        identity: plan.container.identity.clone(),
        redact_secrets: plan.redact_secrets,
        shipping,
        audit,
        events: plan.events.clone(),
        deployment_id: plan.container.deployment_id.clone(),
        files: made.files.clone(),
        sets: made.sets.clone(),
        firewall: context.firewall(),
        mounts: plan.mounted_places(),
    }
}
