//! Target groups of application, network and gateway load balancers.
//!
//! A machine may be in a group more than once: on several ports, by its instance id or by its address. So a group is asked for
//! all of its targets, and ours are those with one of our names.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetHealth, TargetHealthDescription, TargetHealthReasonEnum, TargetHealthStateEnum,
};
use monopod_core::lifecycle::Balancer;

use super::{Names, Service};
use crate::host::aws::{self, AwsError};

#[derive(Debug)]
pub(super) struct TargetGroups {
    client: Client,
    service: String,
}

const UNKNOWN_GROUP: &str = "TargetGroupNotFound";
const INVALID_TARGET: &str = "InvalidTarget";

impl TargetGroups {
    pub(super) fn new(config: impl Into<aws_sdk_elasticloadbalancingv2::Config>, region: &str) -> Self {
        Self {
            client: Client::from_conf(config.into()),
            service: format!("Elastic Load Balancing in {region}"),
        }
    }

    pub(super) async fn service(&self, arn: &str, names: &Names) -> Result<Service, AwsError> {
        let targets = self.targets(arn).await?;
        let ours = targets.iter().filter(|target| is_ours(target, names));
        Ok(together(ours.map(read)))
    }

    pub(super) async fn everyone(&self, arn: &str) -> Result<Vec<(String, Service)>, AwsError> {
        let mut all: BTreeMap<String, Vec<Service>> = BTreeMap::new();
        for target in self.targets(arn).await? {
            let service = read(&target);
            if let Some(id) = target.target.and_then(|target| target.id) {
                all.entry(id).or_default().push(service);
            }
        }
        Ok(all
            .into_iter()
            .map(|(id, services)| (id, together(services)))
            .collect())
    }

    pub(super) async fn deregister(&self, arn: &str, names: &Names) -> Result<(), AwsError> {
        let targets = match self.describe(arn).await {
            Ok(targets) => targets,
            // A group that is gone sends nobody anything.
            Err(error) if aws::is(&error, UNKNOWN_GROUP) => return Ok(()),
            Err(error) => return Err(self.not_described(arn, error)),
        };
        let ours: Vec<TargetDescription> = targets
            .into_iter()
            .filter(|target| {
                is_ours(target, names) && !matches!(read(target), Service::Leaving | Service::Absent)
            })
            .filter_map(|target| target.target)
            .collect();
        if ours.is_empty() {
            return Ok(());
        }
        let call = self.client.deregister_targets().target_group_arn(arn);
        match call.set_targets(Some(ours)).send().await {
            Ok(_) => Ok(()),
            // Somebody else did it between the two calls.
            Err(error) if aws::is(&error, UNKNOWN_GROUP) || aws::is(&error, INVALID_TARGET) => Ok(()),
            Err(error) => {
                let subject = format!("to take {} out of {}", names.instance, named(arn));
                Err(AwsError::new(&self.service, &subject, error, deregister_advice))
            }
        }
    }

    pub(super) async fn register(&self, arn: &str, names: &Names) -> Result<(), AwsError> {
        let register = |id: &str| {
            let target = TargetDescription::builder().id(id).build();
            self.client
                .register_targets()
                .target_group_arn(arn)
                .targets(target)
                .send()
        };
        let mut answer = register(&names.instance).await;
        // A group of addresses takes no instance ids.
        if let (Err(error), Some(address)) = (&answer, &names.address)
            && (aws::is(error, INVALID_TARGET) || aws::is(error, "ValidationError"))
        {
            answer = register(address).await;
        }
        answer.map_err(|error| {
            let subject = format!("to put {} into {}", names.instance, named(arn));
            AwsError::new(&self.service, &subject, error, register_advice)
        })?;
        Ok(())
    }

    async fn targets(&self, arn: &str) -> Result<Vec<TargetHealthDescription>, AwsError> {
        self.describe(arn)
            .await
            .map_err(|error| self.not_described(arn, error))
    }

    async fn describe(&self, arn: &str) -> Result<Vec<TargetHealthDescription>, DescribeError> {
        let call = self.client.describe_target_health().target_group_arn(arn);
        Ok(call.send().await?.target_health_descriptions.unwrap_or_default())
    }

    fn not_described(&self, arn: &str, error: DescribeError) -> AwsError {
        let subject = format!("the targets of {}", named(arn));
        AwsError::new(&self.service, &subject, error, describe_advice)
    }
}

type DescribeError = aws_sdk_elasticloadbalancingv2::error::SdkError<
    aws_sdk_elasticloadbalancingv2::operation::describe_target_health::DescribeTargetHealthError,
>;

fn named(arn: &str) -> Balancer {
    Balancer::TargetGroup(arn.to_owned())
}

fn is_ours(target: &TargetHealthDescription, names: &Names) -> bool {
    let id = target.target.as_ref().and_then(|target| target.id.as_deref());
    id.is_some_and(|id| names.has(id))
}

/// What is said of a machine that is in several times: the worst that is told of where it serves. It leaves only when it
/// serves nowhere, and is absent only when it is nowhere.
fn together(services: impl IntoIterator<Item = Service>) -> Service {
    let rank = |service: &Service| match service {
        Service::Absent => 0,
        Service::Leaving => 1,
        Service::Healthy => 2,
        Service::Starting(_) => 3,
        Service::Unhealthy(_) => 4,
    };
    services.into_iter().max_by_key(rank).unwrap_or(Service::Absent)
}

fn read(target: &TargetHealthDescription) -> Service {
    let Some(health) = &target.target_health else {
        return Service::Starting("no state".to_owned());
    };
    let reason = health.reason.as_ref();
    match &health.state {
        Some(TargetHealthStateEnum::Healthy) => Service::Healthy,
        Some(TargetHealthStateEnum::Draining | TargetHealthStateEnum::UnhealthyDraining) => Service::Leaving,
        Some(TargetHealthStateEnum::Unused) => match reason {
            Some(TargetHealthReasonEnum::NotRegistered) => Service::Absent,
            // Stopped, terminated, or an address nobody may use: no waiting mends that.
            Some(TargetHealthReasonEnum::InvalidState | TargetHealthReasonEnum::IpUnusable) => {
                Service::Unhealthy(said(health))
            }
            // Registered, in a group that no load balancer uses, or in a zone it does not serve, yet.
            _ => Service::Starting(said(health)),
        },
        Some(TargetHealthStateEnum::Unhealthy) => Service::Unhealthy(said(health)),
        // With its health checks off a group sends requests to every target: asking for more would wait for ever.
        Some(TargetHealthStateEnum::Unavailable)
            if reason == Some(&TargetHealthReasonEnum::HealthCheckDisabled) =>
        {
            Service::Healthy
        }
        // `initial`; `unavailable` for an error of the load balancer's own, which says nothing of the machine; what AWS may add.
        _ => Service::Starting(said(health)),
    }
}

/// `unhealthy: Target.ResponseCodeMismatch: Health checks failed with these codes: [503]`.
fn said(health: &TargetHealth) -> String {
    let state = health
        .state
        .as_ref()
        .map_or("no state", TargetHealthStateEnum::as_str);
    let reason = health.reason.as_ref().map(TargetHealthReasonEnum::as_str);
    let words = [Some(state), reason, health.description.as_deref()];
    words.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

fn describe_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:DescribeTargetHealth on * (`monopod plan --iam` prints the whole policy)"
        }
        UNKNOWN_GROUP | "ValidationError" => WRONG_ARN,
        _ => "",
    }
}

fn deregister_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:DeregisterTargets on it (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

fn register_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role elasticloadbalancing:RegisterTargets on it (`monopod plan --iam` prints the whole policy)"
        }
        UNKNOWN_GROUP => WRONG_ARN,
        _ => "",
    }
}

const WRONG_ARN: &str =
    "; give the ARN of a target group of this region and account in `healthcheck: {target_groups: ...}`";
