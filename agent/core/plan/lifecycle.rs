//! The machine's life: what it opens, and what it calls.

use super::container::OptOut;
use super::{AwsCall, Plan};
use crate::config::Networking;
use crate::lifecycle::{Balancer, OnBootFailure, OnUnhealthy, SignWith};

/// Before a replacement.
const OTHERS: &str = "see how many of the group its load balancers call unhealthy";

impl Plan {
    /// What the user opened, of the container and of the machine.
    pub fn opt_outs(&self) -> Vec<OptOut> {
        let mut all = self.container.opt_outs();
        if self.firewall.networking != Networking::None && !self.firewall.metadata_blocked {
            all.push(OptOut {
                key: "instance_metadata",
                opens: "the instance metadata service, and so the instance's own credentials, can be reached",
            });
        }
        let reachable = |address: std::net::SocketAddr| !address.ip().to_canonical().is_loopback();
        if self.lifecycle.status_address.0.is_some_and(reachable) {
            all.push(OptOut {
                key: "status_address",
                opens: "status and metrics of this machine, without a login, to whoever can reach the address",
            });
        }
        all
    }

    /// Calls that tell and ask others about this machine.
    pub(super) fn lifecycle_calls(&self, calls: &mut Vec<AwsCall>) {
        self.signal_calls(calls);
        self.group_calls(calls);
        self.balancer_calls(calls);
    }

    fn signal_calls(&self, calls: &mut Vec<AwsCall>) {
        let signal = self.lifecycle.signal.as_ref();
        if let Some(target) = signal.filter(|target| target.sign == SignWith::Role) {
            let resource = if target.stack.starts_with("arn:") {
                target.stack.clone()
            } else {
                format!("{}:stack/{}/*", self.arn("cloudformation"), target.stack)
            };
            let why = format!("tell {target} how the boot ended");
            calls.push(call("cloudformation:SignalResource", &resource, 1, why));
        }
    }

    fn group_calls(&self, calls: &mut Vec<AwsCall>) {
        let life = &self.lifecycle;
        let name = life.hooks.group.as_deref().unwrap_or("*");
        let group = format!(
            "{}:autoScalingGroup:*:autoScalingGroupName/{name}",
            self.arn("autoscaling")
        );
        let hooks: Vec<&str> = [&life.hooks.launch, &life.hooks.terminate]
            .into_iter()
            .filter_map(|hook| hook.as_deref())
            .collect();
        if !hooks.is_empty() {
            let names = hooks.join(", ");
            calls.push(call(
                "autoscaling:CompleteLifecycleAction",
                &group,
                hooks.len(),
                format!("complete the hooks {names}"),
            ));
            calls.push(call(
                "autoscaling:RecordLifecycleActionHeartbeat",
                &group,
                0,
                format!("keep the hooks {names} waiting"),
            ));
        }
        let looks = life.on_unhealthy == OnUnhealthy::Replace;
        // Auto Scaling's questions know no narrower resource.
        if life.hooks.group.is_none() && (looks || !hooks.is_empty()) {
            let why = "find the group of this machine, where its tags don't say it".to_owned();
            calls.push(call("autoscaling:DescribeAutoScalingInstances", "*", 0, why));
        }
        // A boot that fails is told without a look at the others.
        if looks {
            let why = "see how many of the group are unhealthy, too".to_owned();
            calls.push(call("autoscaling:DescribeAutoScalingGroups", "*", 0, why));
        }
        if looks || life.on_boot_failure == OnBootFailure::Replace {
            let why = "ask the group to replace this machine".to_owned();
            calls.push(call("autoscaling:SetInstanceHealth", &group, 0, why));
        }
    }

    fn balancer_calls(&self, calls: &mut Vec<AwsCall>) {
        let all = &self.lifecycle.balancers.all;
        let (groups, classic): (Vec<&Balancer>, Vec<&Balancer>) = all
            .iter()
            .partition(|one| matches!(one, Balancer::TargetGroup(_)));
        // The group may have load balancers of its own, which only the group knows.
        let looks = self.lifecycle.on_unhealthy == OnUnhealthy::Replace;
        // IAM knows no narrower resource for either.
        for (action, asked) in [
            ("elasticloadbalancing:DescribeInstanceHealth", classic),
            ("elasticloadbalancing:DescribeTargetHealth", groups),
        ] {
            let names: Vec<String> = asked.iter().map(ToString::to_string).collect();
            let this = format!("ask {} about this machine", names.join(", "));
            let why = match (asked.is_empty(), looks) {
                (true, false) => continue,
                (true, true) => OTHERS.to_owned(),
                (false, false) => this,
                (false, true) => format!("{this}; {OTHERS}"),
            };
            calls.push(call(action, "*", 0, why));
        }
        for one in all {
            let (resource, out, back) = match one {
                Balancer::Classic(name) => (
                    format!("{}:loadbalancer/{name}", self.arn("elasticloadbalancing")),
                    "elasticloadbalancing:DeregisterInstancesFromLoadBalancer",
                    "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
                ),
                Balancer::TargetGroup(arn) => (
                    arn.clone(),
                    "elasticloadbalancing:DeregisterTargets",
                    "elasticloadbalancing:RegisterTargets",
                ),
            };
            let why = format!("take this machine out of {one} when it leaves");
            calls.push(call(out, &resource, 0, why));
            let why = format!("put it back into {one} when it boots again after that");
            calls.push(call(back, &resource, 0, why));
        }
    }
}

fn call(action: &'static str, resource: &str, times: usize, why: String) -> AwsCall {
    AwsCall {
        action,
        resource: resource.to_owned(),
        times,
        why,
    }
}
