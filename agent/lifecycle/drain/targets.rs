//! Which load balancers the machine was taken out of: an instance that is stopped and started again is the same one, and
//! nobody else would put it in again.

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::Balancer;
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::host::balancers::BalancerClients;
use crate::host::{chain, files};

/// In the state directory.
const FILE: &str = "deregistered.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Targets {
    instance: String,
    balancers: Vec<Balancer>,
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

/// Before the machine is taken out of this one.
pub(super) fn note(context: &Context, instance: &str, balancer: &Balancer) {
    let mut targets = Targets::load(context, instance);
    if !targets.balancers.contains(balancer) {
        targets.balancers.push(balancer.clone());
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
    let mut left = Vec::new();
    for balancer in std::mem::take(&mut targets.balancers) {
        if let Err(error) = clients.register(&balancer, &facts.instance_id).await {
            let text = format!(
                "this machine left {balancer} when it was stopped, and could not be registered again: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
            left.push(balancer);
        }
    }
    targets.balancers = left;
    targets.save(context);
}
