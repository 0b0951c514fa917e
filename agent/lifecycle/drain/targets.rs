//! Which load balancers the machine was taken out of: an instance that is stopped and started again is the same one, and
//! nobody else would put it in again.

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::Balancer;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::host::balancers::{BalancerClients, Seat};
use crate::host::{chain, files};

/// In the state directory.
const FILE: &str = "deregistered.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Targets {
    instance: String,
    balancers: Vec<Left>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Left {
    balancer: Balancer,
    /// Where in it; nothing where that is not known.
    seats: Vec<Seat>,
}

impl Targets {
    fn load(context: &Context, instance: &str) -> Self {
        let read = files::read(&context.directories.state.join(FILE)).ok().flatten();
        read.and_then(|bytes| serde_json::from_slice::<Self>(&bytes).ok())
            .filter(|targets| targets.instance == instance)
            .unwrap_or_else(|| Self {
                instance: instance.to_owned(),
                balancers: Vec::new(),
            })
    }

    /// Whether that changes anything.
    fn add(&mut self, balancer: &Balancer, seats: Vec<Seat>) -> bool {
        let Some(left) = self.balancers.iter_mut().find(|left| left.balancer == *balancer) else {
            self.balancers.push(Left {
                balancer: balancer.clone(),
                seats,
            });
            return true;
        };
        let before = left.seats.len();
        for seat in seats {
            if !left.seats.contains(&seat) {
                left.seats.push(seat);
            }
        }
        left.seats.len() != before
    }

    fn save(&self, context: &Context) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        let path = context.directories.state.join(FILE);
        if let Err(error) = files::ensure_durable_content(&path, &json) {
            let text = format!(
                "this instance would not be registered again if it were stopped and started: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
        }
    }
}

/// Before the machine is taken out of this one. What was noted before stays: some of it may be taken out already.
pub(super) fn note(context: &Context, instance: &str, balancer: &Balancer, seats: Vec<Seat>) {
    let mut targets = Targets::load(context, instance);
    if targets.add(balancer, seats) {
        targets.save(context);
    }
}

/// Puts the machine back where an earlier boot took it out. A failure is told and tried again by the next boot: the gate
/// of the load balancers says whether it matters.
pub(crate) async fn ensure_registered_again(context: &Context, facts: &InstanceFacts) {
    let mut targets = Targets::load(context, &facts.instance_id);
    if targets.balancers.is_empty() {
        return;
    }
    let clients = BalancerClients::new(&facts.region)
        .await
        .with_address(facts.local_ipv4);
    let mut still_out = Vec::new();
    for left in std::mem::take(&mut targets.balancers) {
        let Left { balancer, seats } = &left;
        if let Err(error) = clients.register(balancer, &facts.instance_id, seats).await {
            let text = format!(
                "this machine left {balancer} when it was stopped, and could not be registered again: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
            still_out.push(left);
        }
    }
    targets.balancers = still_out;
    targets.save(context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_stays() {
        let seat = |port| Seat {
            id: "i-1".to_owned(),
            port,
            zone: None,
        };
        let mut targets = Targets {
            instance: "i-1".to_owned(),
            balancers: Vec::new(),
        };
        let group = Balancer::TargetGroup("arn".to_owned());
        assert!(targets.add(&group, vec![seat(Some(80)), seat(Some(81))]));
        assert!(!targets.add(&group, vec![seat(Some(81))]));
        assert!(targets.add(&group, vec![seat(Some(82))]));
        assert!(targets.add(&Balancer::Classic("old".to_owned()), vec![seat(None)]));
        let ports: Vec<_> = targets.balancers[0].seats.iter().map(|one| one.port).collect();
        assert_eq!(ports, [Some(80), Some(81), Some(82)]);
        let json = serde_json::to_vec(&targets).unwrap();
        assert_eq!(serde_json::from_slice::<Targets>(&json).unwrap(), targets);
    }
}
