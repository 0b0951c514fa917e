//! The machine's life, as the user data wants it.

use super::container::STOP_TIMEOUT;
use crate::config::{Config, NotifyCfn};
use crate::lifecycle::{Balancer, Balancers, DrainPlan, LifecyclePlan, SignWith, SignalTarget};

pub(super) fn plan(config: &Config) -> LifecyclePlan {
    let balancers = config
        .load_balancer()
        .map_or_else(Balancers::default, |check| Balancers {
            all: vec![Balancer::Classic(check.loadbalancer_name.clone())],
            healthy_threshold: 2,
            timeout_seconds: 300,
            ..Balancers::default()
        });
    LifecyclePlan {
        signal: config.notify_cfn().map(|cfn| SignalTarget {
            stack: cfn.stack.clone(),
            resource: cfn.resource.clone(),
            sign: crate::lifecycle::SignWith::Instance,
            wait_handle: None,
        }),
        balancers,
        shutdown: config.shutdown(),
        drain: DrainPlan {
            stop_timeout_seconds: config.options().stop_timeout.unwrap_or(STOP_TIMEOUT),
            ..DrainPlan::default()
        },
        ..LifecyclePlan::default()
    }
}

impl From<&NotifyCfn> for SignalTarget {
    fn from(notify: &NotifyCfn) -> Self {
        Self {
            stack: notify.stack.clone(),
            resource: notify.resource.clone(),
            sign: SignWith::Instance,
            wait_handle: None,
        }
    }
}
