//! Target groups of application, network and gateway load balancers.
//!
//! A machine may be in a group more than once: on several ports, by its instance id or by its address. So a group is first
//! asked for all of its targets; ours are those with one of our names, and from then on it is asked for them alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetHealth, TargetHealthDescription, TargetHealthReasonEnum, TargetHealthStateEnum,
};
use monopod_core::lifecycle::Balancer;

use super::{Names, Seat, Service};
use crate::host::aws::{self, AwsError, SdkConfig};

#[derive(Debug)]
pub(super) struct TargetGroups {
    client: Client,
    service: String,
    /// Where a machine is registered, by group and instance.
    seats: Mutex<BTreeMap<(String, String), Vec<TargetDescription>>>,
}

const UNKNOWN_GROUP: &str = "TargetGroupNotFound";
const INVALID_TARGET: &str = "InvalidTarget";

impl TargetGroups {
    pub(super) fn new(config: &SdkConfig, region: &str) -> Self {
        Self {
            client: Client::new(config),
            service: format!("Elastic Load Balancing in {region}"),
            seats: Mutex::default(),
        }
    }

    pub(super) async fn service(&self, arn: &str, names: &Names) -> Result<Service, AwsError> {
        // Seats that were ours once may have been given up for others meanwhile: then they are looked for again.
        for known in [self.remembered(arn, names), None] {
            let seats = match known {
                Some(seats) => seats,
                None => self.find_seats(arn, names).await?,
            };
            if seats.is_empty() {
                break;
            }
            match self.describe(arn, Some(seats)).await {
                Ok(targets) => match together(targets.iter().map(read)) {
                    Service::Absent => {}
                    service => return Ok(service),
                },
                Err(error) if aws::is(&error, INVALID_TARGET) => {}
                Err(error) => return Err(self.not_described(arn, error)),
            }
        }
        self.remember(arn, names, Vec::new());
        Ok(Service::Absent)
    }

    /// Where we are registered, as the group's whole list has it.
    async fn find_seats(&self, arn: &str, names: &Names) -> Result<Vec<TargetDescription>, AwsError> {
        let targets = self.targets(arn).await?;
        let ours = targets.into_iter().filter(|target| is_ours(target, names));
        let seats: Vec<TargetDescription> = ours.filter_map(|target| target.target).collect();
        self.remember(arn, names, seats.clone());
        Ok(seats)
    }

    fn remembered(&self, arn: &str, names: &Names) -> Option<Vec<TargetDescription>> {
        let seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.get(&(arn.to_owned(), names.instance.clone())).cloned()
    }

    fn remember(&self, arn: &str, names: &Names, ours: Vec<TargetDescription>) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (arn.to_owned(), names.instance.clone());
        if ours.is_empty() {
            seats.remove(&key);
        } else {
            seats.insert(key, ours);
        }
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

    /// Where it serves.
    pub(super) async fn seats(&self, arn: &str, names: &Names) -> Result<Vec<Seat>, AwsError> {
        let seats = self.serving(arn, names).await?.into_iter();
        let seat = |one: TargetDescription| {
            Some(Seat {
                id: one.id?,
                port: one.port,
                zone: one.availability_zone,
            })
        };
        Ok(seats.filter_map(seat).collect())
    }

    async fn serving(&self, arn: &str, names: &Names) -> Result<Vec<TargetDescription>, AwsError> {
        let targets = match self.describe(arn, None).await {
            Ok(targets) => targets,
            // A group that is gone sends nobody anything.
            Err(error) if aws::is(&error, UNKNOWN_GROUP) => return Ok(Vec::new()),
            Err(error) => return Err(self.not_described(arn, error)),
        };
        let serves = |target: &TargetHealthDescription| {
            is_ours(target, names) && !matches!(read(target), Service::Leaving | Service::Absent)
        };
        Ok(targets
            .into_iter()
            .filter(serves)
            .filter_map(|target| target.target)
            .collect())
    }

    pub(super) async fn deregister(&self, arn: &str, names: &Names) -> Result<(), AwsError> {
        let ours = self.serving(arn, names).await?;
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

    pub(super) async fn register(&self, arn: &str, names: &Names, seats: &[Seat]) -> Result<(), AwsError> {
        let target = |id: &str| TargetDescription::builder().id(id);
        let register = |targets: Vec<TargetDescription>| {
            let call = self.client.register_targets().target_group_arn(arn);
            call.set_targets(Some(targets)).send()
        };
        let known = seats.iter().map(|seat| {
            target(&seat.id)
                .set_port(seat.port)
                .set_availability_zone(seat.zone.clone())
                .build()
        });
        let mut answer = register(match seats {
            [] => vec![target(&names.instance).build()],
            _ => known.collect(),
        })
        .await;
        // A group of addresses takes no instance ids.
        if let (Err(error), Some(address), []) = (&answer, &names.address, seats)
            && (aws::is(error, INVALID_TARGET) || aws::is(error, "ValidationError"))
        {
            answer = register(vec![target(address).build()]).await;
        }
        answer.map_err(|error| {
            let subject = format!("to put {} into {}", names.instance, named(arn));
            AwsError::new(&self.service, &subject, error, register_advice)
        })?;
        Ok(())
    }

    async fn targets(&self, arn: &str) -> Result<Vec<TargetHealthDescription>, AwsError> {
        self.describe(arn, None)
            .await
            .map_err(|error| self.not_described(arn, error))
    }

    /// Of some targets, or of all.
    async fn describe(
        &self,
        arn: &str,
        targets: Option<Vec<TargetDescription>>,
    ) -> Result<Vec<TargetHealthDescription>, DescribeError> {
        let call = self.client.describe_target_health().target_group_arn(arn);
        Ok(call
            .set_targets(targets)
            .send()
            .await?
            .target_health_descriptions
            .unwrap_or_default())
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
pub(super) fn together(services: impl IntoIterator<Item = Service>) -> Service {
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
