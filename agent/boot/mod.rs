//! From nothing to a running container: facts, config, plan, and the plan's steps.
//!
//! Design: the steps come from `monopod_core::plan` as data; [`execute`] starts each as soon as what
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
pub mod hint;
mod late;
pub mod log_keys;
pub mod sets;
pub(crate) mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use monopod_core::audit::AuditOrders;
use monopod_core::budget::{self, Moments};
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::reconcile::{self, Phase, Reconciliation, Removal, Then};
use monopod_core::plan::{Plan, Step, StepId};
use monopod_core::{retry, text};
use tokio::time::Instant;

use crate::context::{Context, ShippingOrders, Stage};
use crate::host::{chain, clock};
use crate::lifecycle;
use crate::supervise::Begin;
pub use error::BootError;
use hint::{Charge, Hint};
use steps::container::Made;
pub(crate) use steps::facts::facts_file;
use steps::image::{Pinned, Store};
use steps::secrets::Fetched;

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

/// Without an engine, the user data is still read for so long, to tell whoever waits.
const WHO_WAITS: Duration = Duration::from_secs(30);

/// From the launch of an instance to its kernel, in milliseconds, at most.
const TO_KERNEL: u64 = 120_000;

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

/// A machine whose engine does not come up has to tell whoever waits for it, and follow `on_boot_failure`.
async fn learn_who_waits(context: &Context, hint: Option<&Hint>, occasion: Occasion, first_start: u64) {
    match hint.and_then(|hint| hint.charge.as_ref()) {
        Some(charge) => learn_of(context, charge),
        None => {
            let read = read_orders(context, occasion, first_start);
            // What is wrong with the user data is the next start's to tell, should there be an engine then.
            let _known_or_not = tokio::time::timeout(WHO_WAITS, read).await.is_ok();
        }
    }
}

/// What an earlier agent of this boot knew about the machine's life.
fn learn_of(context: &Context, charge: &Charge) {
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

/// What the machine has to do, and how long it may take.
struct Orders {
    facts: InstanceFacts,
    plan: Plan,
    opt_outs: Vec<String>,
    left: Duration,
    budget_end: u64,
}

/// Learns who this machine is and what its user data wants, and tells everybody who has to know.
async fn read_orders(context: &Context, occasion: Occasion, first_start: u64) -> Result<Orders, BootError> {
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

/// In milliseconds since the kernel started.
fn moment_after(time: Duration) -> u64 {
    clock::since_boot_millis() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The moment of the launch by the kernel's own clock. The wall clock may be wrong still: a kernel starts within this
/// time of its launch.
pub(crate) fn launched(pending_time: u64) -> u64 {
    let up = clock::since_boot_millis();
    let ago = clock::now_millis().saturating_sub(pending_time * 1000);
    up.saturating_sub(ago.min(up + TO_KERNEL))
}

/// All that is done of a plan in a warm pool: the image is verified and pulled. Of the secrets only a registry's
/// password is fetched, if the pull needs one.
async fn fetch_image(
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

/// How much of the boot budget is left.
pub(crate) fn time_left(total: Duration, first_start: u64, launched: Option<u64>) -> Duration {
    budget::left(total, moments(first_start, launched))
}

fn moments(first_start: u64, launched: Option<u64>) -> Moments {
    Moments {
        now: clock::since_boot_millis(),
        first_start,
        launched,
    }
}

fn tell_left_alone(context: &Context, reconciliation: &Reconciliation) {
    for id in &reconciliation.left_alone {
        let text = format!(
            "the container {} has our label under another name: somebody's copy, left alone; remove it when it is not needed",
            text::short_id(id)
        );
        context.reporter.tell(Event::Warning { text });
    }
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

/// An agent that was killed takes over what it knew: from the label and the hint, without network.
async fn take_over(
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

/// What this instance knows about images before the plan runs.
struct Images<'a> {
    store: Store<'a>,
    made: Vec<(String, String)>,
    ended: Vec<Removal>,
}

impl<'a> Images<'a> {
    fn new(
        plan: &Plan,
        hint: Option<&Charge>,
        observed: &[reconcile::Observed],
        reconciliation: &Reconciliation,
        store: Store<'a>,
    ) -> Self {
        Self {
            store,
            made: steps::image::made(&plan.container.image, hint, observed),
            ended: ended(reconciliation, observed),
        }
    }

    /// A container that stays says what its reference is, should it be removed before the next boot.
    fn note(&self, plan: &Plan, then: &Then) {
        match then {
            Then::Adopt { digest, .. } | Then::Resume { digest, .. }
                if plan.container.image.digest().is_none() =>
            {
                self.store.resolve(&plan.container.image.canonical(), digest);
            }
            Then::Adopt { .. } | Then::Resume { .. } | Then::Create => {}
        }
    }

    fn known(&self) -> steps::image::Known<'_> {
        steps::image::Known {
            store: &self.store,
            made: &self.made,
            ended: &self.ended,
        }
    }
}

/// Those of the containers which have to go that do nothing any more.
fn ended(reconciliation: &Reconciliation, observed: &[reconcile::Observed]) -> Vec<Removal> {
    let has_ended = |id: &str| {
        observed.iter().any(|one| match one.phase {
            Phase::Created | Phase::Exited | Phase::Dead => one.id == id,
            Phase::Running | Phase::Paused => false,
        })
    };
    let remove = reconciliation.remove.iter();
    remove.filter(|removal| has_ended(&removal.id)).cloned().collect()
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

/// Runs the plan's steps up to the container, each as soon as it can.
async fn execute(
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

/// Tells when a step begins, how it ends and how long it took.
async fn timed<T>(
    context: &Context,
    step: StepId,
    does: String,
    work: impl Future<Output = Result<(T, String), BootError>>,
) -> Result<T, BootError> {
    let begun = Instant::now();
    context.reporter.tell(Event::StepStarted { step, does });
    match work.await {
        Ok((value, detail)) => {
            context.reporter.tell(Event::StepDone {
                step,
                detail,
                took: begun.elapsed(),
            });
            Ok(value)
        }
        Err(error) => {
            context.reporter.tell(Event::StepFailed {
                step,
                error: chain(&error),
                took: begun.elapsed(),
            });
            Err(error)
        }
    }
}

/// How a container found on the engine is described.
fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Created => "created, never started",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Exited => "ended",
        Phase::Dead => "dead",
    }
}

/// `1 container (0123456789ab running)`.
fn found_text(observed: &[reconcile::Observed]) -> String {
    if observed.is_empty() {
        return "no container of ours".to_owned();
    }
    let each: Vec<String> = observed
        .iter()
        .map(|one| format!("{} {}", text::short_id(&one.id), phase_text(one.phase)))
        .collect();
    format!(
        "{} ({})",
        text::count(observed.len() as u64, "container"),
        each.join(", ")
    )
}
