//! What `/metrics` serves, sent every minute or as often as told.
//!
//! The first push has a moment of this machine's own, so that machines which boot together do not push together.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::otlp::metrics::{Starts, body};
use monopod_core::otlp::resource::Who;
use monopod_core::otlp::{OtlpPlan, Signal};
use tokio::time::{Instant, MissedTickBehavior};

use super::{Failure, post, transport};
use crate::context::Context;
use crate::host::{clock, limits};
use crate::logs::OtlpTransport;

/// One push has to be over before the next begins.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pushes for ever, if anybody asks.
pub(super) async fn push(context: &Context, plan: &OtlpPlan, facts: &InstanceFacts) {
    let Some(seconds) = plan.metrics_seconds else {
        return;
    };
    let interval = Duration::from_secs(u64::from(seconds));
    let reporter = &context.reporter;
    let mut transport = transport(context, plan, facts, Signal::Metrics).patience(PATIENCE);
    let mut ticks = tokio::time::interval_at(Instant::now() + interval.mul_f64(clock::chance()), interval);
    // A machine that was asleep has nothing to make up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    reporter.push_figures().begin();
    let (mut failing, mut remarked) = (false, false);
    loop {
        ticks.tick().await;
        let sent = once(&mut transport, context).await;
        reporter.push_figures().pushed(sent.is_ok());
        match sent {
            Ok(remark) => {
                if std::mem::take(&mut failing) {
                    tracing::info!("metrics are sent by OTLP again");
                }
                if let Some(text) = remark.filter(|_| !std::mem::replace(&mut remarked, true)) {
                    let text =
                        format!("metrics were sent by OTLP, and {text}; further refusals are not told");
                    reporter.tell(Event::Warning { text });
                }
            }
            Err(why) if failing => tracing::debug!("metrics again: {}", why.text),
            Err(why) => {
                failing = true;
                let text = format!(
                    "metrics were not sent by OTLP and are not sent later, the next ones follow in {seconds} s: {}",
                    why.text
                );
                reporter.tell(Event::Warning { text });
            }
        }
    }
}

async fn once(transport: &mut OtlpTransport, context: &Context) -> Result<Option<String>, Failure> {
    let record = context.reporter.snapshot();
    let exposition = context.exposition().await;
    let now = clock::now_millis();
    let starts = Starts {
        agent: record.agent_started_at,
        container: record
            .container
            .as_ref()
            .and_then(|container| container.started_at),
        machine: Some(limits::machine_start(now)),
    };
    let resource = Who::of_machine(&record).resource();
    match body(&exposition, &starts, now, resource, &record.agent_version) {
        Some(body) => post(transport, &body).await,
        None => Ok(None),
    }
}
