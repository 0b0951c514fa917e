//! Memory and disk as CloudWatch metrics: `enhanced_cloudwatch_metrics`.
//!
//! One call every five minutes, as Taupage's cron did, at a moment of this machine's own. What fails is told once and not
//! sent later: the next values are newer.

use std::convert::Infallible;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::usage::{self, INTERVAL_SECONDS, NAMESPACE};
use tokio::time::MissedTickBehavior;

use crate::context::{Context, Life};
use crate::host::chain;
use crate::host::cloudwatch::CloudWatch;
use crate::host::usage::observe;

const INTERVAL: Duration = Duration::from_secs(INTERVAL_SECONDS as u64);

/// Sends them for as long as they are asked for. Never returns, and does nothing at all where nobody asks.
pub(crate) async fn metrics(context: &Context) -> Infallible {
    let mut life = context.watch_life();
    let asked = |life: &Life| life.extras.cloudwatch_metrics && life.facts.is_some();
    let facts = match life.wait_for(asked).await {
        Ok(life) => life.facts.clone(),
        Err(_) => None,
    };
    let Some(facts) = facts else {
        return std::future::pending().await;
    };
    tokio::time::sleep(usage::first_after(&facts.instance_id)).await;
    let cloudwatch = CloudWatch::new(&facts.region).await;
    let mut ticks = tokio::time::interval(INTERVAL);
    // A machine that was asleep has nothing to make up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut group, mut failing) = (None, false);
    loop {
        ticks.tick().await;
        if group.is_none() {
            group = name_of_group(context).await;
        }
        match send(&cloudwatch, &facts, group.as_deref()).await {
            Ok(()) if failing => {
                failing = false;
                tracing::info!("metrics are written to CloudWatch again");
            }
            Ok(()) => {}
            Err(why) if failing => tracing::debug!("metrics again: {why}"),
            Err(why) => {
                failing = true;
                let text = format!(
                    "metrics of memory and disk were not written, the next ones follow in {} minutes: {why}",
                    INTERVAL.as_secs() / 60
                );
                context.reporter.tell(Event::Warning { text });
            }
        }
    }
}

async fn send(cloudwatch: &CloudWatch, facts: &InstanceFacts, group: Option<&str>) -> Result<(), String> {
    let usage = observe().map_err(|error| chain(&error))?;
    let data = usage.data(&facts.instance_id, group);
    cloudwatch
        .put(NAMESPACE, &data)
        .await
        .map_err(|error| chain(&error))
}

/// As the user data or the instance's tags say it: a metric is not worth a permission more.
pub(super) async fn name_of_group(context: &Context) -> Option<String> {
    if let Some(name) = context.life().plan.hooks.group {
        return Some(name);
    }
    let imds = context.imds().ok()??;
    imds.group_tag().await.ok()?
}
