//! What this machine has to do: who it is, what its user data wants, and who has to be told of that.

use std::time::Duration;

use monopod_core::budget;
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::Plan;
use tokio::time::Instant;

use super::hint::{self, Hint};
use super::take_over::learn_of;
use super::time::{launched, moment_after, moments, time_left};
use super::{BootError, Occasion, steps};
use crate::context::Context;

/// Without an engine, the user data is still read for so long, to tell whoever waits.
const WHO_WAITS: Duration = Duration::from_secs(30);

/// What the machine has to do, and how long it may take.
pub(super) struct Orders {
    pub(super) facts: InstanceFacts,
    pub(super) plan: Plan,
    pub(super) opt_outs: Vec<String>,
    pub(super) left: Duration,
    pub(super) budget_end: u64,
}

/// Learns who this machine is and what its user data wants, and tells everybody who has to know.
pub(super) async fn read_orders(
    context: &Context,
    occasion: Occasion,
    first_start: u64,
) -> Result<Orders, BootError> {
    let identity = steps::facts::run(context).await?;
    let first_boot = hint::is_first_boot(context, &identity.facts.instance_id) && occasion == Occasion::Start;
    let launched = identity.facts.pending_time.filter(|_| first_boot).map(launched);

    let left = time_left(budget::DEFAULT, first_start, launched);
    context.learn_life(|life| {
        life.facts = Some(identity.facts.clone());
        life.budget_end = moment_after(left);
        life.awaited_until = budget::end(budget::DEFAULT, moments(first_start, launched));
    });
    let plan = steps::config::run(context, &identity, Instant::now() + left).await?;
    context.ensure_served(plan.lifecycle.status_address);
    let opt_outs = steps::config::opened(&plan);
    context.reporter.configured(&opt_outs, None);
    let left = time_left(plan.budget, first_start, launched);
    let budget_end = moment_after(left);
    context.learn_life(|life| {
        life.plan = plan.lifecycle.clone();
        life.extras = plan.extras.clone();
        life.deployment_id = plan.container.deployment_id.clone();
        life.budget_end = budget_end;
        life.awaited_until = budget::end(plan.budget, moments(first_start, launched));
    });
    context
        .reporter
        .identify(Some(&plan.application), Some(&identity.facts));
    Ok(Orders {
        facts: identity.facts,
        plan,
        opt_outs,
        left,
        budget_end,
    })
}

/// A machine whose engine does not come up has to tell whoever waits for it, and follow `on_boot_failure`.
pub(super) async fn learn_who_waits(
    context: &Context,
    hint: Option<&Hint>,
    occasion: Occasion,
    first_start: u64,
) {
    match hint.and_then(|hint| hint.charge.as_ref()) {
        Some(charge) => learn_of(context, charge),
        None => {
            let read = read_orders(context, occasion, first_start);
            // What is wrong with the user data is the next start's to tell, should there be an engine then.
            let _known_or_not = tokio::time::timeout(WHO_WAITS, read).await.is_ok();
        }
    }
}
