//! Classic load balancers.

use aws_sdk_elasticloadbalancing::Client;
use aws_sdk_elasticloadbalancing::types::{Instance, InstanceState};

use super::Service;
use crate::host::aws::{self, AwsError};

#[derive(Debug)]
pub(super) struct Classic {
    client: Client,
    service: String,
}

/// The code for an instance that was never registered.
const UNKNOWN_INSTANCE: &str = "InvalidInstance";
const UNKNOWN_BALANCER: &str = "LoadBalancerNotFound";

impl Classic {
    pub(super) fn new(config: impl Into<aws_sdk_elasticloadbalancing::Config>, region: &str) -> Self {
        Self {
            client: Client::from_conf(config.into()),
            service: format!("Elastic Load Balancing in {region}"),
        }
    }

    pub(super) async fn service(&self, name: &str, instance: &str) -> Result<Service, AwsError> {
        let call = self.client.describe_instance_health().load_balancer_name(name);
        match call.instances(id(instance)).send().await {
            Ok(answer) => {
                let states = answer.instance_states.unwrap_or_default();
                let ours = states
                    .iter()
                    .find(|state| state.instance_id.as_deref() == Some(instance));
                Ok(ours.map_or(Service::Absent, read))
            }
            Err(error) if aws::is(&error, UNKNOWN_INSTANCE) => Ok(Service::Absent),
            Err(error) => {
                let subject = format!("what the load balancer {name} says of {instance}");
                Err(AwsError::new(&self.service, &subject, error, describe_advice))
            }
        }
    }

    pub(super) async fn everyone(&self, name: &str) -> Result<Vec<(String, Service)>, AwsError> {
        let call = self.client.describe_instance_health().load_balancer_name(name);
        let answer = call.send().await.map_err(|error| {
            let subject = format!("what the load balancer {name} says of its instances");
            AwsError::new(&self.service, &subject, error, describe_advice)
        })?;
        let states = answer.instance_states.unwrap_or_default();
        Ok(states
            .iter()
            .filter_map(|state| Some((state.instance_id.clone()?, read(state))))
            .collect())
    }

    pub(super) async fn deregister(&self, name: &str, instance: &str) -> Result<(), AwsError> {
        let call = self.client.deregister_instances_from_load_balancer();
        match call.load_balancer_name(name).instances(id(instance)).send().await {
            Ok(_) => Ok(()),
            // It is not in, or there is nothing to be in.
            Err(error) if aws::is(&error, UNKNOWN_INSTANCE) || aws::is(&error, UNKNOWN_BALANCER) => Ok(()),
            Err(error) => {
                let subject = format!("to take {instance} out of the load balancer {name}");
                Err(AwsError::new(&self.service, &subject, error, deregister_advice))
            }
        }
    }

    pub(super) async fn register(&self, name: &str, instance: &str) -> Result<(), AwsError> {
        let call = self.client.register_instances_with_load_balancer();
        let answer = call.load_balancer_name(name).instances(id(instance)).send().await;
        answer.map_err(|error| {
            let subject = format!("to put {instance} into the load balancer {name}");
            AwsError::new(&self.service, &subject, error, register_advice)
        })?;
        Ok(())
    }
}

fn id(instance: &str) -> Instance {
    Instance::builder().instance_id(instance).build()
}

/// The state is coarse: what it means is in the description, in words that are AWS's documented list.
fn read(state: &InstanceState) -> Service {
    let description = state.description.as_deref().unwrap_or_default();
    let said = || {
        let state = state.state.as_deref().unwrap_or("no state");
        match description {
            "" | "N/A" => state.to_owned(),
            description => format!("{state}: {description}"),
        }
    };
    // Whether it still serves what is under way or not, it leaves.
    if description.contains("deregistration currently in progress") {
        return Service::Leaving;
    }
    match state.state.as_deref() {
        Some("InService") => Service::Healthy,
        Some("OutOfService") if description.contains("not currently registered") => Service::Absent,
        Some("OutOfService")
            if ["still in progress", "HealthyThreshold number", "pending state"]
                .iter()
                .any(|words| description.contains(words))
                // "at least the UnhealthyThreshold number" is the end of it.
                && !description.contains("UnhealthyThreshold") =>
        {
            Service::Starting(said())
        }
        Some("OutOfService") => Service::Unhealthy(said()),
        // `Unknown`: the load balancer itself does not know at the moment, so it counts for nothing.
        _ => Service::Starting(said()),
    }
}

fn describe_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:DescribeInstanceHealth on * (`monopod plan --iam` prints the whole policy)"
        }
        UNKNOWN_BALANCER => WRONG_NAME,
        _ => "",
    }
}

fn deregister_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:DeregisterInstancesFromLoadBalancer on it (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

fn register_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:RegisterInstancesWithLoadBalancer on it (`monopod plan --iam` prints the whole policy)"
        }
        UNKNOWN_BALANCER => WRONG_NAME,
        _ => "",
    }
}

const WRONG_NAME: &str =
    "; name a classic load balancer of this region and account in `healthcheck: {loadbalancer_name: ...}`";
