//! Metrics of the application's relayed to CloudWatch: `metrics.cloudwatch`.
//!
//! The application is asked at the container's own address, where a tcp health check asks it: a port need not be published
//! for it. What fails is told once and not sent later; the increase of a counter is, with the next one.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::usage;
use monopod_core::metrics::relay::{Reading, Relay};
use tokio::time::MissedTickBehavior;

use super::metrics::name_of_group;
use crate::context::{Context, Life};
use crate::host::cloudwatch::CloudWatch;
use crate::host::docker::Address;
use crate::host::{chain, scrape};

/// Reads and sends them for as long as they are asked for. Never returns, and does nothing at all where nobody asks.
pub(crate) async fn relay(context: &Context) -> Infallible {
    let mut life = context.watch_life();
    let asked = |life: &Life| life.extras.metrics.relay.is_some() && life.facts.is_some();
    let (relay, facts) = match life.wait_for(asked).await {
        Ok(life) => (life.extras.metrics.relay.clone(), life.facts.clone()),
        Err(_) => (None, None),
    };
    let (Some(relay), Some(facts)) = (relay, facts) else {
        return std::future::pending().await;
    };
    let interval = Duration::from_secs(u64::from(relay.interval_seconds));
    tokio::time::sleep(usage::first_after(&facts.instance_id).min(interval)).await;
    let cloudwatch = CloudWatch::new(&facts.region).await;
    let mut ticks = tokio::time::interval(interval);
    // A machine that was asleep has nothing to make up for.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut relayed = Relayed {
        relay,
        facts,
        cloudwatch,
        group: None,
        before: Reading::default(),
    };
    let mut failing: Option<String> = None;
    loop {
        ticks.tick().await;
        let outcome = relayed.once(context).await;
        match (outcome, &failing) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                failing = None;
                tracing::info!("metrics of the application are written to CloudWatch again");
            }
            // The container is not there: others tell that.
            (Err(No::Container), _) => {}
            (Err(No::Told(why)), Some(told)) if *told == why => {
                tracing::debug!("metrics of the application again: {why}");
            }
            (Err(No::Told(why)), _) => {
                let text = format!(
                    "metrics of the application were not written, the next ones follow in {} s: {why}",
                    interval.as_secs()
                );
                context.reporter.tell(Event::Warning { text });
                failing = Some(why);
            }
        }
    }
}

/// Why nothing, or not all, was sent.
enum No {
    /// There is nobody to ask.
    Container,
    /// Anything else.
    Told(String),
}

struct Relayed {
    relay: Relay,
    facts: InstanceFacts,
    cloudwatch: CloudWatch,
    group: Option<String>,
    /// What was sent last.
    before: Reading,
}

impl Relayed {
    async fn once(&mut self, context: &Context) -> Result<(), No> {
        let relay = &self.relay;
        let address = address(context).await?;
        let to = SocketAddr::new(address, relay.port);
        let mut reader = relay.reader();
        scrape::read(to, &relay.path, |line| reader.line(line))
            .await
            .map_err(|why| No::Told(format!("http://{to}{}: {why}", relay.path)))?;
        let reading = reader.finish();
        if self.group.is_none() {
            self.group = name_of_group(context).await;
        }
        let data = relay.data(
            &reading,
            &self.before,
            &self.facts.instance_id,
            self.group.as_deref(),
        );
        if !data.is_empty() {
            let sent = self.cloudwatch.put(&relay.namespace, &data).await;
            sent.map_err(|error| No::Told(chain(&error)))?;
        }
        let missing = relay.missing(&reading).join(", ");
        self.before = reading;
        if missing.is_empty() {
            return Ok(());
        }
        Err(No::Told(format!("the application has no metric {missing}")))
    }
}

async fn address(context: &Context) -> Result<IpAddr, No> {
    let container = context.reporter.snapshot().container;
    let id = container.map(|container| container.id).ok_or(No::Container)?;
    let status = context.engine.status(&id).await;
    let status = status.map_err(|error| No::Told(chain(&error)))?;
    match status.map(|status| status.address) {
        Some(Address::Own(address)) => Ok(address),
        Some(Address::Machine) => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(Address::Unknown | Address::Nowhere) | None => Err(No::Container),
    }
}
