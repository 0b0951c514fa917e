//! The Auto Scaling group this machine is in: its hooks, its members, and asking it for a replacement.

use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::AutoScalingGroup;
use monopod_core::lifecycle::Balancer;

use super::aws::{self, AwsError};

/// What a hook is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookResult {
    /// Go on.
    Continue,
    /// A machine that launches is terminated; one that terminates goes at once.
    Abandon,
}

/// What came of telling a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completed {
    /// It was told.
    Done,
    /// It does not wait for this machine: nothing holds it, or it was told before, or its time is over.
    NotWaiting,
}

/// A group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Who is in it.
    pub members: Vec<Member>,
    /// Where it registers them.
    pub balancers: Vec<Balancer>,
    /// How many there should be.
    pub desired: u32,
}

/// A machine of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The instance's id.
    pub id: String,
    /// What the group thinks of it.
    pub healthy: bool,
    /// Where it is in its life, as AWS says it: `InService`, `Pending:Wait`.
    pub state: String,
}

/// Auto Scaling in one region.
#[derive(Debug)]
pub struct AutoScaling {
    client: Client,
    service: String,
}

impl AutoScaling {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            service: format!("Auto Scaling in {region}"),
        }
    }

    /// The group an instance is in; `None` outside of any.
    pub async fn group_of(&self, instance: &str) -> Result<Option<String>, AwsError> {
        let call = self
            .client
            .describe_auto_scaling_instances()
            .instance_ids(instance);
        let answer = call.send().await.map_err(|error| {
            let subject = format!("the group of {instance}");
            AwsError::new(&self.service, &subject, error, describe_instances_advice)
        })?;
        let mut all = answer.auto_scaling_instances.unwrap_or_default().into_iter();
        let ours = all.find(|one| one.instance_id.as_deref() == Some(instance));
        Ok(ours.and_then(|one| one.auto_scaling_group_name))
    }

    /// Tells a hook that its wait is over.
    pub async fn complete(
        &self,
        group: &str,
        hook: &str,
        instance: &str,
        result: HookResult,
    ) -> Result<Completed, AwsError> {
        let word = match result {
            HookResult::Continue => "CONTINUE",
            HookResult::Abandon => "ABANDON",
        };
        let call = self
            .client
            .complete_lifecycle_action()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .instance_id(instance)
            .lifecycle_action_result(word);
        match call.send().await {
            Ok(_) => Ok(Completed::Done),
            Err(error) if aws::is(&error, INVALID) && aws::says(&error, NOT_WAITING) => {
                Ok(Completed::NotWaiting)
            }
            Err(error) => {
                let subject = format!("{word} for the lifecycle hook {hook} of the group {group}");
                Err(AwsError::new(&self.service, &subject, error, complete_advice))
            }
        }
    }

    /// Asks a hook to wait longer.
    pub async fn heartbeat(&self, group: &str, hook: &str, instance: &str) -> Result<Completed, AwsError> {
        let call = self
            .client
            .record_lifecycle_action_heartbeat()
            .auto_scaling_group_name(group)
            .lifecycle_hook_name(hook)
            .instance_id(instance);
        match call.send().await {
            Ok(_) => Ok(Completed::Done),
            Err(error) if aws::is(&error, INVALID) && aws::says(&error, NOT_WAITING) => {
                Ok(Completed::NotWaiting)
            }
            Err(error) => {
                let subject = format!("a heartbeat for the lifecycle hook {hook} of the group {group}");
                Err(AwsError::new(&self.service, &subject, error, heartbeat_advice))
            }
        }
    }

    /// Who is in a group, and where it registers them; `None` when there is no such group.
    pub async fn group(&self, group: &str) -> Result<Option<Group>, AwsError> {
        let call = self
            .client
            .describe_auto_scaling_groups()
            .auto_scaling_group_names(group);
        let answer = call.send().await.map_err(|error| {
            let subject = format!("the group {group}");
            AwsError::new(&self.service, &subject, error, describe_groups_advice)
        })?;
        let mut all = answer.auto_scaling_groups.unwrap_or_default().into_iter();
        Ok(all
            .find(|one| one.auto_scaling_group_name.as_deref() == Some(group))
            .map(read))
    }

    /// Asks the group to replace an instance; not while the group's grace period for it runs.
    pub async fn set_unhealthy(&self, instance: &str) -> Result<(), AwsError> {
        self.report(instance, true).await
    }

    /// The same at once: the grace period is for machines that may still become well, and this one's boot has failed.
    pub async fn give_up(&self, instance: &str) -> Result<(), AwsError> {
        self.report(instance, false).await
    }

    async fn report(&self, instance: &str, respect_grace_period: bool) -> Result<(), AwsError> {
        let call = self
            .client
            .set_instance_health()
            .instance_id(instance)
            .health_status("Unhealthy")
            .should_respect_grace_period(respect_grace_period);
        call.send().await.map_err(|error| {
            let subject = format!("to call {instance} unhealthy");
            AwsError::new(&self.service, &subject, error, set_health_advice)
        })?;
        Ok(())
    }
}

/// Auto Scaling's code for what does not fit.
const INVALID: &str = "ValidationError";
/// `No active Lifecycle Action found with instance ID i-...`, or with a token.
const NOT_WAITING: &str = "No active Lifecycle Action found";

fn read(group: AutoScalingGroup) -> Group {
    let mut balancers: Vec<Balancer> = Vec::new();
    let names = group.load_balancer_names.unwrap_or_default();
    balancers.extend(names.into_iter().map(Balancer::Classic));
    let arns = group.target_group_arns.unwrap_or_default();
    balancers.extend(arns.into_iter().map(Balancer::TargetGroup));
    // The newer way to attach them, which may repeat the older one.
    for source in group.traffic_sources.unwrap_or_default() {
        let (kind, Some(identifier)) = (source.r#type, source.identifier) else {
            continue;
        };
        let balancer = match kind.as_deref() {
            Some("elb") => Balancer::Classic(identifier),
            Some("elbv2") => Balancer::TargetGroup(identifier),
            // VPC Lattice, and what AWS may add.
            _ => continue,
        };
        if !balancers.contains(&balancer) {
            balancers.push(balancer);
        }
    }
    let members = group.instances.unwrap_or_default().into_iter();
    Group {
        members: members
            .filter_map(|one| {
                Some(Member {
                    id: one.instance_id?,
                    healthy: one
                        .health_status
                        .is_some_and(|status| status.eq_ignore_ascii_case("healthy")),
                    state: one
                        .lifecycle_state
                        .map(|state| state.as_str().to_owned())
                        .unwrap_or_default(),
                })
            })
            .collect(),
        balancers,
        desired: group
            .desired_capacity
            .and_then(|desired| u32::try_from(desired).ok())
            .unwrap_or(0),
    }
}

fn describe_instances_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role autoscaling:DescribeAutoScalingInstances on * (`monopod plan --iam` prints the whole policy), or name the group as `group` in `lifecycle_hooks`"
        }
        _ => "",
    }
}

fn describe_groups_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role autoscaling:DescribeAutoScalingGroups on * (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

fn complete_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role autoscaling:CompleteLifecycleAction on the group (`monopod plan --iam` prints the whole policy)"
        }
        INVALID => WRONG_HOOK,
        _ => "",
    }
}

fn heartbeat_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role autoscaling:RecordLifecycleActionHeartbeat on the group (`monopod plan --iam` prints the whole policy)"
        }
        INVALID => WRONG_HOOK,
        _ => "",
    }
}

const WRONG_HOOK: &str = "; `lifecycle_hooks` has to name a hook that this group has (`aws autoscaling describe-lifecycle-hooks` lists them)";

fn set_health_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => {
            "; grant the instance profile's role autoscaling:SetInstanceHealth on the group (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}
