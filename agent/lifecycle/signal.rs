//! The boot's result, to CloudFormation and to a wait condition: each once for an instance.

use std::path::PathBuf;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::SignalTarget;
use monopod_core::lifecycle::signal::{BootResult, Mark};
use monopod_core::plan::StepId;
use monopod_core::retry;
use monopod_core::secret::Secret;
use tokio::time::Instant;

use crate::boot::steps::{GaveUp, until_it_works};
use crate::context::Context;
use crate::host::cloudformation::{self, CloudFormation, SignalError, Signalled, Status};
use crate::host::imds::ImdsError;
use crate::host::{Class, Classified, chain, files};

/// In the state directory: what was told outlives reboots.
const FILE: &str = "signal.json";

/// Why CloudFormation could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TellError {
    /// It did not take it.
    #[error(transparent)]
    Signal(#[from] SignalError),
    /// The metadata service, which has the signature.
    #[error(transparent)]
    Imds(#[from] ImdsError),
    /// Nobody to sign with.
    #[error(
        "facts come from a file, so there is no instance identity to sign with; write `sign: role` in `notify_cfn`, or let the metadata service answer"
    )]
    NoIdentity,
}

impl Classified for TellError {
    fn class(&self) -> Class {
        match self {
            Self::Signal(error) => error.class(),
            Self::Imds(error) => error.class(),
            Self::NoIdentity => Class::Permanent,
        }
    }
}

/// Tells the result to everybody who waits, unless an earlier one was told; what came of it, in words. Nothing where
/// nobody waits.
pub(crate) async fn ensure_told(
    context: &Context,
    result: BootResult,
    deadline: Instant,
) -> Result<Option<String>, GaveUp<TellError>> {
    let life = context.life();
    let (Some(target), Some(facts)) = (life.plan.signal, life.facts) else {
        return Ok(None);
    };
    let mut mark = Mark::decide(noted(context), &facts.instance_id, result);
    if mark.is_told(target.wait_handle.is_some()) {
        return Ok(Some("told before, and only once for an instance".to_owned()));
    }
    // Before it is sent: whoever comes after a kill tells the same.
    note(context, &mark);
    // Neither waits for the other: one of them may be away, or refuse.
    let (signalled, handled) = futures_util::join!(
        async {
            match mark.signalled {
                true => Ok(None),
                false => signal(context, &target, &facts, &mark, deadline).await.map(Some),
            }
        },
        async {
            match target.wait_handle.as_deref().filter(|_| !mark.handle_told) {
                None => Ok(None),
                Some(url) => tell_handle(context, url, &facts, &mark, deadline).await.map(Some),
            }
        }
    );
    mark.signalled |= signalled.is_ok();
    mark.handle_told |= matches!(handled, Ok(Some(_)));
    note(context, &mark);
    let told: Vec<String> = [signalled?, handled?].into_iter().flatten().collect();
    Ok(Some(told.join("; ")))
}

async fn signal(
    context: &Context,
    target: &SignalTarget,
    facts: &InstanceFacts,
    mark: &Mark,
    deadline: Instant,
) -> Result<String, GaveUp<TellError>> {
    let (status, word) = status(&mark.result);
    let signalled = until_it_works(context, StepId::Signal, retry::AWS, Some(deadline), async || {
        let client = CloudFormation::new(&facts.region)?;
        let imds = context.imds()?.ok_or(TellError::NoIdentity)?;
        Ok(client.signal(target, status, &facts.instance_id, &imds).await?)
    })
    .await?;
    Ok(match signalled {
        Signalled::Accepted => format!("{word} for {target}"),
        Signalled::NotWaiting(why) => format!("{target} does not wait for a signal any more: {why}"),
    })
}

async fn tell_handle(
    context: &Context,
    url: &str,
    facts: &InstanceFacts,
    mark: &Mark,
    deadline: Instant,
) -> Result<String, GaveUp<TellError>> {
    // Whoever has it can speak for this machine.
    let secret = Secret::new(url.to_owned());
    context.reporter.learn("notify_cfn.wait_handle", &secret);
    let (status, word) = status(&mark.result);
    let reason = match &mark.result {
        BootResult::Success => "the machine is up",
        BootResult::Failure { reason } => reason,
    };
    until_it_works(context, StepId::Signal, retry::AWS, Some(deadline), async || {
        Ok(cloudformation::tell_wait_handle(url, status, &facts.instance_id, reason).await?)
    })
    .await?;
    Ok(format!("{word} for its wait condition"))
}

const fn status(result: &BootResult) -> (Status, &'static str) {
    match result {
        BootResult::Success => (Status::Success, "SUCCESS"),
        BootResult::Failure { .. } => (Status::Failure, "FAILURE"),
    }
}

fn path(context: &Context) -> PathBuf {
    context.directories.state.join(FILE)
}

/// A torn note is none: at worst the same instance id is told a second time, which CloudFormation takes once.
fn noted(context: &Context) -> Option<Mark> {
    let bytes = files::read(&path(context)).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

fn note(context: &Context, mark: &Mark) {
    let json = serde_json::to_vec(mark).unwrap_or_default();
    if let Err(error) = files::ensure_durable_content(&path(context), &json) {
        let text = format!(
            "the boot's result may be told again at the next start, as it could not be noted: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}

/// A result that has to be out before the agent ends.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(8);
