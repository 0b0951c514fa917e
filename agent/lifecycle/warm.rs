//! Warm pools: a machine in one is made ready and waits, without a secret and without its application.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::lifecycle::TargetState;
use monopod_core::plan::StepId;
use monopod_core::retry;
use tokio::time::Instant;

use super::group;
use crate::boot::steps::{GaveUp, until_it_works};
use crate::context::{Context, Stage};
use crate::host::autoscaling::HookResult;
use crate::host::chain;

/// As often as AWS advises to ask for what the group wants.
const ASK: Duration = Duration::from_secs(5);

/// A metadata service that has just answered is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the group wants this machine in its warm pool. The metadata service has answered a moment ago; should it not
/// now, the machine starts: one that serves too early is better than one that never does.
pub(crate) async fn is_wanted(context: &Context, deadline: Instant) -> bool {
    let imds = match context.imds() {
        Ok(Some(imds)) => imds,
        Ok(None) => return false,
        Err(error) => return not_known(context, &chain(&error)),
    };
    let deadline = deadline.min(Instant::now() + PATIENCE);
    let asked = until_it_works(context, StepId::Facts, retry::LOCAL, Some(deadline), async || {
        imds.target_state().await
    });
    match asked.await {
        Ok(state) => state == Some(TargetState::Warmed),
        Err(GaveUp::Permanent(error) | GaveUp::TimeUp(error)) => not_known(context, &chain(&error)),
    }
}

fn not_known(context: &Context, why: &str) -> bool {
    let text = format!("whether this machine is in a warm pool is not known, so it starts: {why}");
    context.reporter.tell(Event::Warning { text });
    false
}

/// The image is there: lets the group go on, and waits until it wants the machine to serve.
pub(crate) async fn wait(context: &Context, deadline: Instant) {
    let text = "the image is there; the application starts when the group wants it to".to_owned();
    if let Err(GaveUp::Permanent(error) | GaveUp::TimeUp(error)) =
        group::complete(context, HookResult::Continue, deadline).await
    {
        let text = format!("the warm pool's hook could not be let go: {}", chain(&error));
        context.reporter.tell(Event::Warning { text });
    }
    context.learn_life(|life| life.stage = Stage::Warm);
    context.reporter.tell(Event::Warm { text });
    until_it_serves(context).await;
    // The next hook is another one's.
    context.learn_life(|life| {
        life.stage = Stage::Booting;
        life.hook_completed = false;
    });
    context.reporter.tell(Event::Booting);
}

/// Returns when the group wants the machine to serve.
pub(crate) async fn until_it_serves(context: &Context) {
    let mut told = false;
    loop {
        tokio::time::sleep(ASK).await;
        let state = match context.imds() {
            Ok(Some(imds)) => imds.target_state().await,
            Ok(None) => Ok(None),
            Err(error) => Err(error),
        };
        match state {
            Ok(Some(TargetState::InService | TargetState::Other(_))) => break,
            // A machine that is to go is drained by who hears of it; no word at all is a metadata service that is not well.
            Ok(Some(TargetState::Warmed | TargetState::Terminated) | None) => told = false,
            Err(error) if !std::mem::replace(&mut told, true) => {
                let text = format!("whether the machine is to serve is not known: {}", chain(&error));
                context.reporter.tell(Event::Warning { text });
            }
            Err(_) => {}
        }
    }
}
