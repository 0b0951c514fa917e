//! The machine's entry in etcd: there exactly as long as the machine is healthy.
//!
//! ```text
//!          healthy                     not healthy, draining
//! away ──────────────► grant, put ─┐ ──────────────────────► revoke ──► away
//!                      keep alive ◄┘ every 5 s; a lease that is over is granted anew, and the key written every 30 s
//! ```
//!
//! The key belongs to a lease: should the agent die, etcd forgets the machine after 15 s, and a restarted agent puts the
//! key under a lease of its own. An etcd that is away is told once, and asked again and again.
//!
//! Deliberately absent: anything that ends or holds up a boot.

use std::convert::Infallible;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::extras::Registration;
use tokio::sync::watch;

use crate::context::Context;
use crate::host::chain;
use crate::host::etcd::{Etcd, EtcdError, Lease};
use crate::host::hostname::hostname;

/// Somebody may have deleted or overwritten the key while its lease lives: it is written again with each sixth beat.
const BEATS: u32 = 6;

const INTERVAL: Duration = Duration::from_secs(Registration::INTERVAL_SECONDS as u64);

/// Sees to the entry for as long as it is asked for. Never returns, and does nothing at all where nobody asks.
pub(crate) async fn registration(context: &Context) -> Infallible {
    let mut life = context.watch_life();
    let asked = life.wait_for(|life| life.extras.etcd.is_some()).await;
    let registration = asked.ok().and_then(|life| life.extras.etcd.clone());
    if let Some(registration) = registration {
        match Etcd::new(&registration.endpoint) {
            Ok(etcd) => {
                let entry = Entry {
                    key: Registration::key(&hostname()),
                    etcd,
                    value: registration.value,
                };
                entry.keep(context).await;
            }
            Err(error) => context.reporter.tell(Event::Warning {
                text: format!("the machine is not registered in etcd: {}", chain(&error)),
            }),
        }
    }
    std::future::pending().await
}

struct Entry {
    etcd: Etcd,
    key: String,
    value: String,
}

/// What etcd holds of ours.
#[derive(Default)]
struct Held {
    lease: Option<Lease>,
    /// Beats since the key was written; `None` where it never was.
    written: Option<u32>,
}

impl Entry {
    /// Ends with the sender of what it watches, which lives as long as the agent.
    async fn keep(&self, context: &Context) {
        let mut serving = context.reporter.watch_serving();
        let mut failing = false;
        while serving.wait_for(|serving| *serving).await.is_ok() {
            let mut held = Held::default();
            while let Some(outcome) = self.unless_over(&mut serving, self.beat(&mut held)).await {
                self.tell(context, &mut failing, outcome);
                if self
                    .unless_over(&mut serving, tokio::time::sleep(INTERVAL))
                    .await
                    .is_none()
                {
                    break;
                }
            }
            if let Some(lease) = held.lease
                && let Err(error) = self.etcd.revoke(&lease).await
            {
                self.tell(context, &mut failing, Err(error));
            }
        }
    }

    /// `None` once the machine is not healthy any more: then that comes first.
    async fn unless_over<T>(
        &self,
        serving: &mut watch::Receiver<bool>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            biased;
            _ = serving.wait_for(|serving| !*serving) => None,
            done = work => Some(done),
        }
    }

    /// One sign of life. What etcd has granted is noted at once, so that it can be given back whenever this is left.
    async fn beat(&self, held: &mut Held) -> Result<(), EtcdError> {
        if let Some(lease) = &held.lease
            && !self.etcd.keep_alive(lease).await?
        {
            *held = Held::default();
        }
        let lease = match &held.lease {
            Some(lease) => lease.clone(),
            None => {
                let lease = self.etcd.grant(Registration::TTL_SECONDS).await?;
                held.lease.insert(lease).clone()
            }
        };
        let beats = held.written.map_or(BEATS, |beats| beats + 1);
        if beats >= BEATS {
            self.etcd.put(&self.key, &self.value, &lease).await?;
            held.written = Some(0);
        } else {
            held.written = Some(beats);
        }
        Ok(())
    }

    fn tell(&self, context: &Context, failing: &mut bool, outcome: Result<(), EtcdError>) {
        match outcome {
            Err(error) if !*failing => {
                *failing = true;
                let text = format!(
                    "the machine's entry {} in etcd can't be seen to, trying again every {} s: {}",
                    self.key,
                    INTERVAL.as_secs(),
                    chain(&error)
                );
                context.reporter.tell(Event::Warning { text });
            }
            Err(error) => tracing::debug!("etcd again: {}", chain(&error)),
            Ok(()) if *failing => {
                *failing = false;
                tracing::info!("the machine's entry {} in etcd is up to date again", self.key);
            }
            Ok(()) => {}
        }
    }
}
