//! What a plan says of the machine's life, what it opens and what it may call.

use super::*;

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/my-app/0123456789abcdef";

/// `ACTION on RESOURCE`.
fn calls(lines: &str) -> Vec<String> {
    plan(lines)
        .aws_calls()
        .iter()
        .map(|call| format!("{} on {}", call.action, call.resource))
        .collect()
}

fn section(lines: &str) -> String {
    let text = plan(lines).to_text();
    let (_, rest) = text.split_once("\nWhen it ends or fails\n").unwrap();
    rest.split_once("\n\n").unwrap().0.to_owned()
}

#[test]
fn what_is_written_is_planned() {
    let plan = plan(
        "notify_cfn: {stack: s, resource: r}\nlifecycle_hooks: {launch: booted}\nstop_timeout: 40s\n\
         healthcheck: {type: elb, loadbalancer_name: lb}\nshutdown: on-success",
    );
    assert_eq!(plan.lifecycle.drain.stop_timeout_seconds, 40);
    let steps: Vec<StepId> = plan.steps(&Then::Create).iter().map(Step::id).collect();
    assert!(
        steps.ends_with(&[
            StepId::Health,
            StepId::Hook,
            StepId::Balancer,
            StepId::Signal,
            StepId::Ready
        ]),
        "{steps:?}"
    );
}

#[test]
fn each_call_asks_for_the_least() {
    assert!(calls("notify_cfn: {stack: s, resource: r}\nshutdown: on-exit").is_empty());
    assert_eq!(
        calls("notify_cfn: {stack: my-stack, resource: r, sign: role}"),
        ["cloudformation:SignalResource on arn:aws:cloudformation:*:*:stack/my-stack/*"]
    );
    let stack = "arn:aws:cloudformation:eu-central-1:123456789012:stack/a/1b";
    assert_eq!(
        calls(&format!(
            "notify_cfn: {{stack: '{stack}', resource: r, sign: role}}"
        )),
        [format!("cloudformation:SignalResource on {stack}")]
    );
    let group = "arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName";
    assert_eq!(
        calls("lifecycle_hooks: {group: my-group, launch: a, terminate: b}"),
        [
            format!("autoscaling:CompleteLifecycleAction on {group}/my-group"),
            format!("autoscaling:RecordLifecycleActionHeartbeat on {group}/my-group"),
        ]
    );
    assert_eq!(
        calls("lifecycle_hooks: {terminate: b}").last().unwrap(),
        "autoscaling:DescribeAutoScalingInstances on *"
    );
    let instances = "autoscaling:DescribeAutoScalingInstances on *".to_owned();
    let groups = "autoscaling:DescribeAutoScalingGroups on *".to_owned();
    let set = format!("autoscaling:SetInstanceHealth on {group}/*");
    let [classics, targets] = ["DescribeInstanceHealth", "DescribeTargetHealth"]
        .map(|action| format!("elasticloadbalancing:{action} on *"));
    // The group's own load balancers are of either kind.
    assert_eq!(
        calls("on_unhealthy: replace"),
        [&instances, &groups, &set, &classics, &targets].map(String::clone)
    );
    assert_eq!(calls("on_boot_failure: replace"), std::slice::from_ref(&set));
    assert!(
        calls("on_boot_failure: replace\nlifecycle_hooks: {launch: a}").contains(&instances),
        "a hook's group is asked for"
    );
    let all = calls(&format!(
        "on_unhealthy: replace\non_boot_failure: replace\nlifecycle_hooks: {{launch: a}}\n\
         healthcheck: {{type: elbv2, target_groups: '{ARN}'}}"
    ));
    for one in [&instances, &groups, &set, &classics, &targets] {
        assert_eq!(
            all.iter().filter(|call| *call == one).count(),
            1,
            "{one} in {all:?}"
        );
    }
    let named = calls("on_unhealthy: replace\nlifecycle_hooks: {group: my-group, launch: a}");
    assert!(!named.contains(&instances), "{named:?}");
    let classic = "arn:aws:elasticloadbalancing:*:*:loadbalancer/lb";
    assert_eq!(
        calls("healthcheck: {type: elb, loadbalancer_name: lb}"),
        [
            "elasticloadbalancing:DescribeInstanceHealth on *".to_owned(),
            format!("elasticloadbalancing:DeregisterInstancesFromLoadBalancer on {classic}"),
            format!("elasticloadbalancing:RegisterInstancesWithLoadBalancer on {classic}"),
        ]
    );
    assert_eq!(
        calls(&format!("healthcheck: {{type: elbv2, target_groups: '{ARN}'}}")),
        [
            "elasticloadbalancing:DescribeTargetHealth on *".to_owned(),
            format!("elasticloadbalancing:DeregisterTargets on {ARN}"),
            format!("elasticloadbalancing:RegisterTargets on {ARN}"),
        ]
    );
}

#[test]
fn an_address_that_others_can_reach_is_opened() {
    let opened = |lines: &str| {
        plan(lines)
            .opt_outs()
            .iter()
            .any(|out| out.key == "status_address")
    };
    for shut in [
        "",
        "status_address: none",
        "status_address: '[::1]:80'",
        "status_address: 127.1.2.3:80",
    ] {
        assert!(!opened(shut), "{shut}");
    }
    for open in [
        "status_address: 0.0.0.0:9180",
        "status_address: 10.0.0.1:9180",
        "status_address: '[::]:80'",
    ] {
        assert!(opened(open), "{open}");
        let plan = plan(open);
        assert!(
            plan.to_text()
                .contains("status and metrics of this machine, without a login")
        );
        assert!(plan.to_json()["opt_outs"].to_string().contains("status_address"));
    }
}

#[test]
fn the_plan_says_what_happens_when_it_ends_or_fails() {
    assert_eq!(
        section(""),
        "  after the boot     nothing is asked: what runs is healthy, unless the image says how to tell\n\
         \x20 unhealthy          the container is restarted\n\
         \x20 container ends     started again unless it ended with 0\n\
         \x20 machine then       stays on\n\
         \x20 boot fails         the machine stays for inspection\n\
         \x20 machine leaves     the container gets its stop signal and 10 s, then the last lines go out; 10 min at most, 2 min for a spot interruption\n\
         \x20 rebalance notice   reported\n\
         \x20 status             http://127.0.0.1:9180"
    );
    let all = format!(
        "health_check_path: /h\nhealth_check_port: 80\nhealth_check_headers: {{Host: hidden.example.org}}\n\
         health_check_unhealthy_threshold: 1\non_unhealthy: replace\nreplace: {{min_uptime: 15m}}\nrestart: never\n\
         on_boot_failure: poweroff\nshutdown: on-exit\non_rebalance: drain\ndrain_timeout: 3m\nstop_signal: INT\n\
         status_address: none\nlifecycle_hooks: {{terminate: bye}}\n\
         healthcheck: {{type: elbv2, target_groups: '{ARN}'}}\n\
         notify_cfn: {{stack: s, resource: r, wait_handle: 'https://u@h.example.org:8443/key?signature'}}"
    );
    assert_eq!(
        section(&all),
        "  after the boot     asked every 10 s; one failure is unhealthy, those of the first 1 min after a start left out; with headers of its own: Host\n\
         \x20 unhealthy          the container is restarted; if that does not help, the Auto Scaling group is asked to replace the machine, not before 15 min after its launch, and not if more than 20 % of the group are unhealthy\n\
         \x20 container ends     left as it is\n\
         \x20 machine then       powered off once the container has ended for good\n\
         \x20 boot fails         the machine is powered off\n\
         \x20 machine leaves     out of the target group my-app, then the container gets its SIGINT and 10 s, then the last lines go out, then CONTINUE for the hook bye; 3 min at most, 2 min for a spot interruption\n\
         \x20 rebalance notice   the machine leaves\n\
         \x20 status             not served\n\
         \x20 also told          the wait handle at h.example.org:8443, with the reason of a failure"
    );
}

/// Whoever has the URL can answer in the machine's place.
#[test]
fn of_a_wait_handle_only_the_host_is_shown() {
    let plan = plan(
        "notify_cfn: {stack: s, resource: r, wait_handle: 'https://user@handles.example.org/key?signature'}",
    );
    let shown = [plan.to_text(), plan.to_json().to_string(), format!("{plan:?}")];
    for text in shown {
        assert!(text.contains("handles.example.org"), "{text}");
        for hidden in ["user@", "/key", "signature"] {
            assert!(!text.contains(hidden), "{hidden}: {text}");
        }
    }
    let json = plan.to_json();
    assert_eq!(
        json["lifecycle"]["signal"]["wait_handle_host"],
        "handles.example.org"
    );
    assert_eq!(json["lifecycle"]["shutdown"], "never");
}

#[test]
fn a_change_of_it_is_a_difference_and_replaces_no_container() {
    let (replaced, changed) = paths("shutdown: never", "shutdown: on-exit\non_unhealthy: ignore");
    assert!(!replaced);
    assert_eq!(changed, ["lifecycle.on_unhealthy", "lifecycle.shutdown"]);
}
