//! Load balancers: what they say of a machine, and taking it out and in.

mod classic;
mod target_groups;

use std::net::Ipv4Addr;

use monopod_core::lifecycle::Balancer;
use serde::{Deserialize, Serialize};

use super::aws::{self, AwsError, SdkConfig};
use classic::Classic;
use target_groups::TargetGroups;

/// What a load balancer says of a machine. The texts are its state and reason as AWS says them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It gets requests.
    Healthy,
    /// It is registered; nothing is known yet.
    Starting(String),
    /// It is registered and has failed.
    Unhealthy(String),
    /// It gets no new requests, those under way may end.
    Leaving,
    /// It is not registered.
    Absent,
}

/// Where in a load balancer a machine is: a target group may have it on several ports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// The instance's id, or its address.
    pub id: String,
    /// In a target group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// In a target group of addresses, for one from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Both kinds of load balancers in one region.
#[derive(Debug)]
pub struct BalancerClients {
    classic: Classic,
    target_groups: TargetGroups,
    address: Option<Ipv4Addr>,
}

impl BalancerClients {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self::with(&aws::config(region).await, region)
    }

    fn with(config: &SdkConfig, region: &str) -> Self {
        Self {
            classic: Classic::new(config, region),
            target_groups: TargetGroups::new(config, region),
            address: None,
        }
    }

    /// Knows the machine's own address, too: target groups may name it in place of the instance.
    #[must_use]
    pub fn with_address(mut self, address: Option<Ipv4Addr>) -> Self {
        self.address = address;
        self
    }

    /// What it says of one machine.
    pub async fn service(&self, balancer: &Balancer, instance: &str) -> Result<Service, AwsError> {
        match balancer {
            Balancer::Classic(name) => self.classic.service(name, instance).await,
            Balancer::TargetGroup(arn) => self.target_groups.service(arn, &self.names(instance)).await,
        }
    }

    /// What it says of everyone, by instance id, or by address where a target group knows its targets by that.
    pub async fn everyone(&self, balancer: &Balancer) -> Result<Vec<(String, Service)>, AwsError> {
        match balancer {
            Balancer::Classic(name) => self.classic.everyone(name).await,
            Balancer::TargetGroup(arn) => self.target_groups.everyone(arn).await,
        }
    }

    /// Where it has a machine that it has not begun to let go of.
    pub async fn seats(&self, balancer: &Balancer, instance: &str) -> Result<Vec<Seat>, AwsError> {
        match balancer {
            Balancer::Classic(name) => Ok(match self.classic.service(name, instance).await? {
                Service::Absent | Service::Leaving => Vec::new(),
                Service::Healthy | Service::Starting(_) | Service::Unhealthy(_) => vec![Seat {
                    id: instance.to_owned(),
                    port: None,
                    zone: None,
                }],
            }),
            Balancer::TargetGroup(arn) => self.target_groups.seats(arn, &self.names(instance)).await,
        }
    }

    /// Takes a machine out; nothing to do where it is not in.
    pub async fn deregister(&self, balancer: &Balancer, instance: &str) -> Result<(), AwsError> {
        match balancer {
            Balancer::Classic(name) => self.classic.deregister(name, instance).await,
            Balancer::TargetGroup(arn) => self.target_groups.deregister(arn, &self.names(instance)).await,
        }
    }

    /// Puts a machine in; nothing to do where it is. In a target group, where it was, or else on the group's own port.
    pub async fn register(
        &self,
        balancer: &Balancer,
        instance: &str,
        seats: &[Seat],
    ) -> Result<(), AwsError> {
        match balancer {
            Balancer::Classic(name) => self.classic.register(name, instance).await,
            Balancer::TargetGroup(arn) => {
                self.target_groups
                    .register(arn, &self.names(instance), seats)
                    .await
            }
        }
    }

    /// What a target group may call this machine.
    fn names(&self, instance: &str) -> Names {
        Names {
            instance: instance.to_owned(),
            address: self.address.map(|address| address.to_string()),
        }
    }
}

/// What a target group may call a machine.
#[derive(Clone, Debug)]
struct Names {
    instance: String,
    address: Option<String>,
}

impl Names {
    fn has(&self, id: &str) -> bool {
        self.instance == id || self.address.as_deref() == Some(id)
    }
}

#[cfg(test)]
mod tests;
