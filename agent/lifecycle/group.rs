//! The Auto Scaling group's launch hook: completed once the machine can serve, abandoned when it can't, and told to wait
//! as long as nobody knows.

use std::convert::Infallible;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::{retry, text};
use tokio::time::Instant;

use crate::boot::steps::{GaveUp, until_it_works};
use crate::context::{Context, Stage};
use crate::host::autoscaling::{AutoScaling, Completed, HookResult};
use crate::host::aws::AwsError;
use crate::host::imds::ImdsError;
use crate::host::{Class, Classified, chain};

/// The shortest heartbeat timeout a hook can have is 30 s, and ours may be one of those: asking for its timeout would take
/// a permission more.
const HEARTBEAT: Duration = Duration::from_secs(20);

/// Why the group could not be told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupError {
    /// Auto Scaling.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The metadata service, which knows the group's name.
    #[error(transparent)]
    Imds(#[from] ImdsError),
    /// The machine is in no group.
    #[error(
        "{instance} is in no Auto Scaling group, but its user data names a hook; launch it by a group, or take `lifecycle_hooks` out"
    )]
    NoGroup {
        /// The machine.
        instance: String,
    },
}

impl Classified for GroupError {
    fn class(&self) -> Class {
        match self {
            Self::Aws(error) => error.class(),
            Self::Imds(error) => error.class(),
            // It is put into its group a moment after its launch.
            Self::NoGroup { .. } => Class::Transient,
        }
    }
}

/// The group this machine is in: as the user data says, as its tags say, or as Auto Scaling says.
pub(crate) async fn name(context: &Context, client: &AutoScaling) -> Result<String, GroupError> {
    let life = context.life();
    if let Some(name) = life.plan.hooks.group {
        return Ok(name);
    }
    if let Some(imds) = context.imds()?
        && let Ok(Some(name)) = imds.group_tag().await
    {
        return Ok(name);
    }
    let instance = life.facts.map(|facts| facts.instance_id).unwrap_or_default();
    match client.group_of(&instance).await? {
        Some(name) => Ok(name),
        None => Err(GroupError::NoGroup { instance }),
    }
}

/// Lets the group go on with this machine, or without it; what came of it in words. Nothing where no hook is named, or it
/// was let go before.
pub(crate) async fn complete(
    context: &Context,
    result: HookResult,
    deadline: Instant,
) -> Result<Option<String>, GaveUp<GroupError>> {
    let life = context.life();
    let (Some(hook), Some(facts), false) = (life.plan.hooks.launch, life.facts, life.hook_completed) else {
        return Ok(None);
    };
    let client = AutoScaling::new(&facts.region).await;
    let (group, completed) = until_it_works(context, StepId::Hook, retry::AWS, Some(deadline), async || {
        let group = name(context, &client).await?;
        let completed = client.complete(&group, &hook, &facts.instance_id, result).await?;
        Ok((group, completed))
    })
    .await?;
    context.learn_life(|life| life.hook_completed = true);
    let word = match result {
        HookResult::Continue => "CONTINUE",
        HookResult::Abandon => "ABANDON",
    };
    Ok(Some(match completed {
        Completed::Done => format!("{word} for the hook {hook} of {group}"),
        Completed::NotWaiting => format!("the hook {hook} of {group} does not wait for this machine"),
    }))
}

/// Tells the group to go on waiting, as long as the boot goes on and names a hook. Never returns.
pub(crate) async fn heartbeats(context: &Context) -> Infallible {
    let mut life = context.watch_life();
    loop {
        let waits = |life: &crate::context::Life| {
            life.plan.hooks.launch.is_some()
                && life.facts.is_some()
                && life.stage == Stage::Booting
                && !life.hook_completed
        };
        // The sender lives as long as the context.
        if life.wait_for(waits).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::select! {
            _ = life.wait_for(|life| !waits(life)) => continue,
            () = tokio::time::sleep(HEARTBEAT) => {}
        }
        if let Err(error) = heartbeat(context).await {
            // The hook has a time of its own, and the end of the boot says more.
            let text = format!(
                "the launch hook was not told to go on waiting, trying again in {}: {}",
                text::duration(HEARTBEAT),
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
        }
    }
}

async fn heartbeat(context: &Context) -> Result<(), GroupError> {
    let life = context.life();
    let (Some(hook), Some(facts)) = (life.plan.hooks.launch, life.facts) else {
        return Ok(());
    };
    let client = AutoScaling::new(&facts.region).await;
    let group = name(context, &client).await?;
    match client.heartbeat(&group, &hook, &facts.instance_id).await? {
        Completed::Done | Completed::NotWaiting => Ok(()),
    }
}
