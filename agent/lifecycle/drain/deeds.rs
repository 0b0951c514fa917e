//! What the drain does, one call each, as futures that answer; every one has a limit.

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, join_all};
use monopod_core::event::Event;
use monopod_core::lifecycle::drain::{Answer, Cause, Failure, Place};
use monopod_core::plan::container::NAME;
use monopod_core::plan::reconcile::{Observed, Phase};
use tokio::time::{Instant, timeout};

use super::targets;
use crate::audit::Live;
use crate::boot::hint;
use crate::context::Context;
use crate::host::autoscaling::{AutoScaling, Completed, HookResult};
use crate::host::balancers::{BalancerClients, Service};
use crate::host::docker::EngineError;
use crate::host::{Class, Classified, chain};
use crate::lifecycle::group::{self, GroupError};

/// Below the machine's patience with an answer.
const CALL: Duration = Duration::from_secs(12);

/// What a deed comes to; a heartbeat to nothing.
pub(super) type Deed<'a> = LocalBoxFuture<'a, Option<Answer>>;

fn warn(context: &Context, text: String) {
    context.reporter.tell(Event::Warning { text });
}

fn failure(class: Class) -> Failure {
    match class {
        Class::Permanent => Failure::Refused,
        Class::Transient | Class::Throttled => Failure::Transient,
    }
}

/// The call's outcome; without an answer in time, nothing but a word.
async fn within<T, E: Classified>(
    context: &Context,
    what: &str,
    call: impl Future<Output = Result<T, E>>,
) -> Result<T, Failure> {
    match timeout(CALL, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            warn(context, format!("{what}: {}", chain(&error)));
            Err(failure(error.class()))
        }
        Err(_) => {
            warn(context, format!("{what}: no answer within {} s", CALL.as_secs()));
            Err(Failure::Transient)
        }
    }
}

/// Takes the machine out of a load balancer of the plan, having noted where it was. One that does not send it requests is
/// not noted: somebody else has taken it out, or never put it in, and would find it there after the next boot.
pub(super) fn deregister(context: &Context, at: usize) -> Deed<'_> {
    Box::pin(async move {
        let life = context.life();
        let (Some(balancer), Some(facts)) = (life.plan.balancers.all.get(at), &life.facts) else {
            return Some(Answer::NotDeregistered(at, Failure::Refused));
        };
        let clients = BalancerClients::new(&facts.region)
            .await
            .with_address(facts.local_ipv4);
        let what = format!("this machine could not be taken out of {balancer}");
        let call = async {
            match clients.seats(balancer, &facts.instance_id).await {
                Ok(seats) if seats.is_empty() => return Ok(()),
                Ok(seats) => targets::note(context, &facts.instance_id, balancer, seats),
                Err(error) if error.class() != Class::Permanent => return Err(error),
                // A role may take out what it may not look at; then it goes back to where the group has everybody.
                Err(_) => targets::note(context, &facts.instance_id, balancer, Vec::new()),
            }
            clients.deregister(balancer, &facts.instance_id).await
        };
        Some(match within(context, &what, call).await {
            Ok(()) => Answer::Deregistered(at),
            Err(failure) => Answer::NotDeregistered(at, failure),
        })
    })
}

/// Asks where a load balancer has the machine.
pub(super) fn look(context: &Context, at: usize) -> Deed<'_> {
    Box::pin(async move {
        let life = context.life();
        let (Some(balancer), Some(facts)) = (life.plan.balancers.all.get(at), &life.facts) else {
            return Some(Answer::NotSeen(at));
        };
        let clients = BalancerClients::new(&facts.region)
            .await
            .with_address(facts.local_ipv4);
        let what = format!("whether {balancer} still uses this machine is not known");
        let call = clients.service(balancer, &facts.instance_id);
        Some(match within(context, &what, call).await {
            Ok(Service::Absent) => Answer::Seen(at, Place::Absent),
            Ok(Service::Leaving) => Answer::Seen(at, Place::Leaving),
            Ok(Service::Healthy | Service::Starting(_) | Service::Unhealthy(_)) => {
                Answer::Seen(at, Place::Serving)
            }
            Err(_) => Answer::NotSeen(at),
        })
    })
}

/// The container that is looked after, by the hint.
pub(super) fn known(context: &Context) -> Option<String> {
    hint::load(context)?.charge.map(|charge| charge.container_id)
}

/// What the boot counts as ours: by its name, or as the one that is looked after, whatever it is called by now.
pub(super) fn is_ours(one: &Observed, known: Option<&str>) -> bool {
    one.spec.is_some() && (one.name == NAME || known == Some(one.id.as_str()))
}

/// Containers of ours that run.
async fn running(context: &Context) -> Result<Vec<String>, EngineError> {
    let (observed, known) = (context.engine.observe().await?, known(context));
    let ours = observed.into_iter().filter(|one| {
        let runs = match one.phase {
            Phase::Running | Phase::Paused => true,
            Phase::Created | Phase::Exited | Phase::Dead => false,
        };
        runs && is_ours(one, known.as_deref())
    });
    Ok(ours.map(|one| one.id).collect())
}

fn stopped(context: &Context, outcome: Result<(), EngineError>) -> Answer {
    match outcome {
        Ok(()) | Err(EngineError::NotFound { .. }) => Answer::Stopped,
        Err(error) => {
            warn(
                context,
                format!("the container could not be stopped: {}", chain(&error)),
            );
            Answer::NotStopped
        }
    }
}

/// Sends the stop signal and waits, without a limit of its own: the machine sends SIGKILL when the time is up.
pub(super) fn stop(context: &Context) -> Deed<'_> {
    Box::pin(async move {
        // What was just being started runs now, and is found.
        context.engine.forbid_starts().await;
        let outcome = async {
            for id in running(context).await? {
                if context.engine.tell_to_stop(&id).await? {
                    context.engine.ended(&id).await?;
                }
            }
            Ok(())
        };
        Some(stopped(context, outcome.await))
    })
}

/// Sends SIGKILL.
pub(super) fn kill(context: &Context) -> Deed<'_> {
    Box::pin(async move {
        let outcome = timeout(CALL, async {
            let ids = running(context).await?;
            let killed = ids.iter().map(async |id| {
                context.engine.signal(id, "SIGKILL").await?;
                context.engine.ended(id).await
            });
            join_all(killed)
                .await
                .into_iter()
                .collect::<Result<(), EngineError>>()
        });
        Some(match outcome.await {
            Ok(outcome) => stopped(context, outcome),
            Err(_) => Answer::NotStopped,
        })
    })
}

/// Whether the live audit log goes out: nobody sends it later from a machine that is gone.
pub(super) fn live_audit(causes: impl IntoIterator<Item = Cause>) -> Live {
    let goes_down = causes.into_iter().any(|cause| match cause {
        Cause::Lifecycle | Cause::Spot | Cause::Poweroff => true,
        Cause::Rebalance | Cause::Person => false,
    });
    match goes_down {
        true => Live::Sent,
        false => Live::Stays,
    }
}

/// Brings out the lines, and what waits for the audit.
pub(super) fn flush(context: &Context, left: Duration, live: Live) -> Deed<'_> {
    let deadline = Instant::now() + left;
    Box::pin(async move {
        let (complete, (), ()) = tokio::join!(
            context.flush_shipping(deadline),
            context.flush_audit(deadline, live),
            context.flush_events(deadline, true)
        );
        if !complete {
            let text = "not every line was delivered; the rest lies in the engine's files for the next start";
            warn(context, text.to_owned());
        }
        Some(Answer::Flushed)
    })
}

/// Asks the group to go on waiting.
pub(super) fn heartbeat(context: &Context) -> Deed<'_> {
    Box::pin(async move {
        let call = tell_group(context, async |client, group, hook, instance| {
            client.heartbeat(group, hook, instance).await.map(drop)
        });
        let what = "the termination hook was not told to go on waiting";
        let _told = within(context, what, call).await.is_err();
        None
    })
}

/// Lets the group go on.
pub(super) fn complete(context: &Context) -> Deed<'_> {
    Box::pin(async move {
        let mut completed = Completed::NotWaiting;
        let call = tell_group(context, async |client, group, hook, instance| {
            completed = client
                .complete(group, hook, instance, HookResult::Continue)
                .await?;
            Ok(())
        });
        let what = "the termination hook could not be completed";
        let outcome = within(context, what, call).await;
        Some(match (outcome, completed) {
            (Ok(()), Completed::Done) => Answer::HookCompleted,
            (Ok(()), Completed::NotWaiting) => Answer::HookNotWaiting,
            (Err(failure), _) => Answer::HookFailed(failure),
        })
    })
}

async fn tell_group(
    context: &Context,
    call: impl AsyncFnOnce(&AutoScaling, &str, &str, &str) -> Result<(), crate::host::aws::AwsError>,
) -> Result<(), GroupError> {
    let life = context.life();
    let (Some(hook), Some(facts)) = (life.plan.hooks.terminate, life.facts) else {
        return Ok(());
    };
    let client = AutoScaling::new(&facts.region).await;
    let group = group::name(context, &client).await?;
    call(&client, &group, &hook, &facts.instance_id).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_looked_after_is_ours_whatever_its_name() {
        let container = |id: &str, name: &str, spec: Option<&str>| Observed {
            id: id.to_owned(),
            name: name.to_owned(),
            spec: spec.map(str::to_owned),
            digest: None,
            source: None,
            phase: Phase::Running,
        };
        let renamed = container("1", "old", Some("s"));
        assert!(is_ours(&renamed, Some("1")));
        assert!(!is_ours(&renamed, Some("2")) && !is_ours(&renamed, None));
        assert!(is_ours(&container("1", NAME, Some("s")), None));
        assert!(!is_ours(&container("1", NAME, None), Some("1")));
    }

    #[test]
    fn the_live_audit_log_goes_out_where_the_machine_goes_down() {
        for (causes, live) in [
            (&[Cause::Person][..], Live::Stays),
            (&[Cause::Rebalance], Live::Stays),
            (&[Cause::Lifecycle], Live::Sent),
            (&[Cause::Spot], Live::Sent),
            (&[Cause::Poweroff], Live::Sent),
            (&[Cause::Person, Cause::Poweroff], Live::Sent),
        ] {
            assert_eq!(live_audit(causes.iter().copied()), live, "{causes:?}");
        }
    }
}
