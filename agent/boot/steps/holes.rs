//! Fills what a plan left open of the environment: the addresses of services on this machine.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use monopod_core::config::Networking;
use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::plan::container::ContainerSpec;
use monopod_core::plan::extras::{Hole, TOKENINFO_PATIENCE_SECONDS};
use monopod_core::retry;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::BootError;
use crate::context::Context;
use crate::host::tokeninfo;

/// The variables' names and values; of one that stays without a value there is none. A service that is away ends no boot.
pub(super) async fn fill(
    context: &Context,
    spec: &ContainerSpec,
    deadline: Instant,
) -> Result<Vec<(String, String)>, BootError> {
    if spec.holes.is_empty() {
        return Ok(Vec::new());
    }
    let machine = match spec.networking {
        Networking::Host | Networking::None => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Networking::Bridge => gateway(context, deadline).await?,
    };
    let mut filled = Vec::new();
    for hole in &spec.holes {
        let found = match (hole, machine) {
            (_, None) => Err("the engine names no gateway of its bridge".to_owned()),
            // The plan has the region of every machine it is carried out on.
            (Hole::Etcd | Hole::Region(_), Some(_)) => Ok(()),
            (Hole::Tokeninfo { .. }, Some(machine)) => {
                let text = format!("waiting for the machine's tokeninfo service at {machine}");
                context.reporter.tell(Event::StepProgress {
                    step: StepId::Container,
                    text,
                });
                tokeninfo::is_there(machine, patience(deadline)).await
            }
        };
        let value = match machine {
            Some(machine) => hole.decide(machine, found.is_ok()),
            None => hole.instead(),
        };
        if let Err(why) = found {
            let text = format!("{}; {why}", hole.lack());
            context.reporter.tell(Event::Warning { text });
        }
        filled.extend(value.map(|value| (hole.variable().to_owned(), value)));
    }
    Ok(filled)
}

/// A part of the boot budget, where that is short: the application has to start, too.
fn patience(deadline: Instant) -> Instant {
    let now = Instant::now();
    let most = Duration::from_secs(u64::from(TOKENINFO_PATIENCE_SECONDS));
    now + most.min(deadline.saturating_duration_since(now) / 2)
}

async fn gateway(context: &Context, deadline: Instant) -> Result<Option<IpAddr>, BootError> {
    let step = StepId::Container;
    until_it_works(context, step, retry::LOCAL, Some(deadline), async || {
        context.engine.gateway().await
    })
    .await
    .map_err(|gave_up| gave_up.into_boot_error(step, BootError::Engine))
}
