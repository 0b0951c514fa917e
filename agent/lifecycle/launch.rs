//! From a container that is well to a machine that is up, and what is done when it does not get there.
//!
//! ```text
//! local gate ─► launch hook CONTINUE ─► load balancers ─► CloudFormation SUCCESS ─► READY
//!      └──────────────┴──────────────────────┴─► ABANDON, FAILURE, on_boot_failure
//! ```
//!
//! The order is AWS's: a target is not used before the hook is completed, and a stack that was told goes on to take the
//! next machine away.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use monopod_core::event::Event;
use monopod_core::lifecycle::signal::BootResult;
use monopod_core::lifecycle::{Balancer, Balancers, OnBootFailure, Require};
use monopod_core::plan::StepId;
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::group;
use super::signal;
pub(crate) use super::signal::LAST_WORDS;
use crate::boot::hint;
use crate::boot::steps::{GaveUp, until_it_works};
use crate::context::{Context, Stage};
use crate::host::autoscaling::{AutoScaling, HookResult};
use crate::host::balancers::{BalancerClients, Service};
use crate::host::{Class, Classified, chain, clock};

/// Between two questions to the load balancers.
const ASK: Duration = Duration::from_secs(5);

/// After a refusal that other machines cause, too.
const SPREAD: Duration = Duration::from_secs(20);

/// A machine that is well is not kept from being up for longer than this by a CloudFormation that does not answer, should
/// its budget be spent already.
const LEAST: Duration = Duration::from_secs(60);

/// Why the machine is not up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotUp {
    /// What was tried, on what, why it failed, what to do.
    pub(crate) reason: String,
}

/// Everything between the local gate and READY. `local` asks the application once more: a load balancer may say too early
/// that it is healthy.
pub(crate) async fn run(context: &Context, local: impl AsyncFn() -> Result<(), String>) -> Result<(), NotUp> {
    let life = context.life();
    let now = clock::since_boot_millis();
    let left = Duration::from_millis(life.budget_end.saturating_sub(now)).max(LEAST);
    let deadline = Instant::now() + left;
    let_go(context, HookResult::Continue, deadline).await?;
    if !life.plan.balancers.all.is_empty() {
        let balancers = &life.plan.balancers;
        if let Some(facts) = &life.facts {
            super::drain::ensure_registered_again(context, facts).await;
        }
        let does = format!("wait until {balancers}");
        told(context, StepId::Balancer, does, async {
            in_service(context, balancers, deadline, &local).await
        })
        .await?;
    }
    // The machine is well, whether or not its stack could be told.
    tell(context, BootResult::Success, deadline).await;
    context.learn_life(|life| life.stage = Stage::Over);
    Ok(())
}

/// The launch hook, where there is one that waits.
async fn let_go(context: &Context, result: HookResult, deadline: Instant) -> Result<(), NotUp> {
    let life = context.life();
    let Some(hook) = life.plan.hooks.launch.filter(|_| !life.hook_completed) else {
        return Ok(());
    };
    let how = match result {
        HookResult::Continue => "with",
        HookResult::Abandon => "without",
    };
    let does = format!("let the Auto Scaling group go on {how} this machine (hook {hook})");
    told(context, StepId::Hook, does, async {
        match group::complete(context, result, deadline).await {
            Ok(done) => Ok(done.unwrap_or_else(|| "nobody waits".to_owned())),
            Err(GaveUp::Permanent(error) | GaveUp::TimeUp(error)) => Err(chain(&error)),
        }
    })
    .await
}

/// CloudFormation, where it waits. That it could not be told is told here: it changes nothing for the machine.
async fn tell(context: &Context, result: BootResult, deadline: Instant) {
    let Some(target) = context.life().plan.signal else {
        return;
    };
    let word = match result {
        BootResult::Success => "SUCCESS",
        BootResult::Failure { .. } => "FAILURE",
    };
    let does = format!("tell CloudFormation {word} for {target}");
    let untold = told(context, StepId::Signal, does, async {
        match signal::ensure_told(context, result, deadline).await {
            Ok(what) => Ok(what.unwrap_or_else(|| "nobody waits".to_owned())),
            Err(GaveUp::Permanent(error) | GaveUp::TimeUp(error)) => Err(chain(&error)),
        }
    })
    .await;
    if let Err(NotUp { reason }) = untold {
        let text = format!("the stack was not told {word}, and gives up when its own time is over: {reason}");
        context.reporter.tell(Event::Warning { text });
    }
}

/// Whether the user's `on_boot_failure` is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Afterwards {
    /// The machine failed.
    Act,
    /// Only the agent was stopped, or the machine leaves anyway.
    TellOnly,
}

/// The last words of an agent that is told to stop: it has seconds, whoever answers or not.
pub(crate) async fn last_words(context: &Context, reason: &str) {
    let told = failed(context, reason, LAST_WORDS, Afterwards::TellOnly);
    if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
        let text = "not all who wait for this boot could be told in time that it failed".to_owned();
        context.reporter.tell(Event::Warning { text });
    }
}

/// Tells that the boot failed to all who wait, once, and does what the user wants done with such a machine.
pub(crate) async fn failed(context: &Context, reason: &str, patience: Duration, afterwards: Afterwards) {
    let life = context.life();
    if life.stage != Stage::Booting {
        return;
    }
    let deadline = Instant::now() + patience;
    let reason = context.reporter.redacted(reason);
    if life.facts.is_some() {
        let result = BootResult::Failure {
            reason: reason.clone(),
        };
        // Neither waits for the other: there may be seconds only.
        let (_abandoned, ()) = futures_util::join!(
            let_go(context, HookResult::Abandon, deadline),
            tell(context, result, deadline)
        );
    }
    // Now, and not before: who is stopped in the middle of it tells the rest as his last words.
    context.learn_life(|life| life.stage = Stage::Over);
    hint::save_over(context);
    match life.plan.on_boot_failure {
        _ if afterwards == Afterwards::TellOnly => {}
        OnBootFailure::Stay => {}
        OnBootFailure::Poweroff => {
            super::power::ensure_powered_off(context, &format!("the boot failed: {reason}"));
        }
        OnBootFailure::Replace => replace(context, deadline).await,
    }
}

/// The group's grace period is for machines that may still become well.
async fn replace(context: &Context, deadline: Instant) {
    let Some(facts) = context.life().facts else {
        return;
    };
    let client = AutoScaling::new(&facts.region).await;
    let asked = until_it_works(context, StepId::Hook, retry::AWS, Some(deadline), async || {
        client.give_up(&facts.instance_id).await
    });
    let text = match asked.await {
        Ok(()) => "the boot failed, and Auto Scaling was asked to replace this machine".to_owned(),
        Err(GaveUp::Permanent(error) | GaveUp::TimeUp(error)) => format!(
            "the boot failed, and Auto Scaling could not be asked to replace this machine: {}",
            chain(&error)
        ),
    };
    context.reporter.tell(Event::Warning { text });
}

/// Tells how a step goes.
async fn told(
    context: &Context,
    step: StepId,
    does: String,
    work: impl Future<Output = Result<String, String>>,
) -> Result<(), NotUp> {
    let begun = Instant::now();
    context.reporter.tell(Event::StepStarted { step, does });
    let outcome = work.await;
    let took = begun.elapsed();
    match outcome {
        Ok(detail) => {
            context.reporter.tell(Event::StepDone { step, detail, took });
            Ok(())
        }
        Err(error) => {
            context.reporter.tell(Event::StepFailed {
                step,
                error: error.clone(),
                took,
            });
            Err(NotUp { reason: error })
        }
    }
}

/// Waits until enough load balancers say so, often enough in a row, and the application does, too.
async fn in_service(
    context: &Context,
    balancers: &Balancers,
    budget: Instant,
    local: &impl AsyncFn() -> Result<(), String>,
) -> Result<String, String> {
    let Some(facts) = context.life().facts else {
        return Err("nobody knows which machine this is".to_owned());
    };
    let begun = Instant::now();
    let deadline = (begun + balancers.timeout()).min(budget);
    let clients = BalancerClients::new(&facts.region)
        .await
        .with_address(facts.local_ipv4);
    let (mut good, mut told) = (0, begun);
    loop {
        let look = look(&clients, balancers, &facts.instance_id).await;
        let words = look.words.clone();
        if let Some(refused) = look.refused {
            return Err(refused);
        }
        let mut last = words;
        good = match (look.satisfied, local().await) {
            (true, Ok(())) => good + 1,
            (true, Err(why)) => {
                last = format!("{last}, but the machine itself: {why}");
                0
            }
            (false, _) => 0,
        };
        if good >= balancers.healthy_threshold {
            return Ok(last);
        }
        let wait = match look.throttled {
            true => SPREAD.mul_f64(0.5 + clock::chance()),
            false => ASK,
        };
        if Instant::now() + wait > deadline {
            return Err(format!(
                "no load balancer sends requests to this machine after {}: {last}; look at the health check of the target group and at the security groups between the two",
                text::duration(Duration::from_secs(begun.elapsed().as_secs()))
            ));
        }
        if told.elapsed() >= context.reporter.progress_interval() {
            told = Instant::now();
            let text = format!("{last}, after {}", text::duration(begun.elapsed()));
            let step = StepId::Balancer;
            context.reporter.tell(Event::StepProgress { step, text });
        }
        tokio::time::sleep(wait).await;
    }
}

/// What all of them said in one round.
struct Look {
    satisfied: bool,
    throttled: bool,
    /// So many of them will never answer that waiting is of no use.
    refused: Option<String>,
    words: String,
}

async fn look(clients: &BalancerClients, balancers: &Balancers, instance: &str) -> Look {
    let asked = balancers
        .all
        .iter()
        .map(|balancer| async move { (balancer, clients.service(balancer, instance).await) });
    let (mut throttled, mut refused) = (false, Vec::new());
    let mut words: BTreeMap<&Balancer, (bool, String)> = BTreeMap::new();
    for (balancer, answer) in join_all(asked).await {
        let (healthy, word) = match answer {
            Ok(Service::Healthy) => (true, "healthy".to_owned()),
            Ok(Service::Starting(why)) => (false, format!("still starting ({why})")),
            Ok(Service::Unhealthy(why)) => (false, format!("unhealthy ({why})")),
            Ok(Service::Leaving) => (false, "draining".to_owned()),
            Ok(Service::Absent) => (false, "not registered".to_owned()),
            Err(error) => {
                throttled |= error.class() == Class::Throttled;
                if error.class() == Class::Permanent {
                    refused.push(chain(&error));
                }
                (false, chain(&error))
            }
        };
        words.insert(balancer, (healthy, word));
    }
    Look {
        satisfied: balancers.satisfied(words.values().map(|(healthy, _)| *healthy)),
        throttled,
        refused: match balancers.require {
            Require::Any => refused.len() == balancers.all.len(),
            Require::All => !refused.is_empty(),
        }
        .then(|| refused.join("; ")),
        words: words
            .iter()
            .map(|(balancer, (_, word))| format!("{balancer}: {word}"))
            .collect::<Vec<_>>()
            .join("; "),
    }
}
