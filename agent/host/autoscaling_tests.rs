//! Against a server that answers as Auto Scaling does, and as it should not.

use std::time::Duration;

use super::*;
use crate::host::aws::tests::config_for;
use crate::host::testing::{Reply, Server, failure, nonsense, reply, silence};
use crate::host::{Class, Classified as _};

async fn at(server: &Server) -> AutoScaling {
    AutoScaling::with(
        &config_for(&server.url, Duration::from_secs(10)).await,
        "eu-central-1",
    )
}

/// All calls in order, against one answer to each.
async fn each(reply: Reply) -> Vec<Result<String, AwsError>> {
    let server = Server::saying(reply).await;
    let groups = at(&server).await;
    vec![
        groups.group_of("i-1").await.map(|answer| format!("{answer:?}")),
        groups
            .complete("group", "hook", "i-1", HookResult::Continue)
            .await
            .map(|answer| format!("{answer:?}")),
        groups
            .heartbeat("group", "hook", "i-1")
            .await
            .map(|answer| format!("{answer:?}")),
        groups.group("group").await.map(|answer| format!("{answer:?}")),
        groups.set_unhealthy("i-1").await.map(|()| "done".to_owned()),
    ]
}

const INSTANCES: &str = "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult><AutoScalingInstances><member><InstanceId>i-1</InstanceId><AutoScalingGroupName>group</AutoScalingGroupName></member></AutoScalingInstances></DescribeAutoScalingInstancesResult></DescribeAutoScalingInstancesResponse>";

const GROUPS: &str = "<DescribeAutoScalingGroupsResponse><DescribeAutoScalingGroupsResult><AutoScalingGroups><member>
<AutoScalingGroupName>group</AutoScalingGroupName><DesiredCapacity>3</DesiredCapacity>
<LoadBalancerNames><member>old</member></LoadBalancerNames>
<TargetGroupARNs><member>arn:1</member></TargetGroupARNs>
<TrafficSources><member><Identifier>arn:1</Identifier><Type>elbv2</Type></member>
<member><Identifier>arn:2</Identifier><Type>elbv2</Type></member>
<member><Identifier>arn:lattice</Identifier><Type>vpc-lattice</Type></member></TrafficSources>
<Instances><member><InstanceId>i-1</InstanceId><HealthStatus>Healthy</HealthStatus><LifecycleState>InService</LifecycleState></member>
<member><InstanceId>i-2</InstanceId><HealthStatus>Unhealthy</HealthStatus><LifecycleState>Terminating:Wait</LifecycleState></member></Instances>
</member></AutoScalingGroups></DescribeAutoScalingGroupsResult></DescribeAutoScalingGroupsResponse>";

#[tokio::test]
async fn a_group_is_found_and_read() {
    let server = Server::saying(reply(200, INSTANCES)).await;
    let groups = at(&server).await;
    assert_eq!(groups.group_of("i-1").await.unwrap().as_deref(), Some("group"));
    // An answer about somebody else.
    assert_eq!(groups.group_of("i-2").await.unwrap(), None);

    let server = Server::saying(reply(200, GROUPS)).await;
    let groups = at(&server).await;
    let group = groups.group("group").await.unwrap().unwrap();
    assert_eq!(
        group.balancers,
        [
            Balancer::Classic("old".to_owned()),
            Balancer::TargetGroup("arn:1".to_owned()),
            Balancer::TargetGroup("arn:2".to_owned()),
        ]
    );
    assert_eq!(group.desired, 3);
    let member = |id: &str, healthy, state: &str| Member {
        id: id.to_owned(),
        healthy,
        state: state.to_owned(),
    };
    assert_eq!(
        group.members,
        [
            member("i-1", true, "InService"),
            member("i-2", false, "Terminating:Wait")
        ]
    );
    assert_eq!(groups.group("other").await.unwrap(), None);
}

#[tokio::test]
async fn a_hook_is_told_and_the_grace_period_respected() {
    let answer = "<R><CompleteLifecycleActionResult/></R>";
    let server = Server::saying(reply(200, answer)).await;
    let groups = at(&server).await;
    let told = groups.complete("group", "hook", "i-1", HookResult::Abandon).await;
    assert_eq!(told.unwrap(), Completed::Done);
    groups.set_unhealthy("i-1").await.ok();
    let bodies: Vec<String> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies,
        [
            "Action=CompleteLifecycleAction&Version=2011-01-01&LifecycleHookName=hook&AutoScalingGroupName=group&LifecycleActionResult=ABANDON&InstanceId=i-1",
            "Action=SetInstanceHealth&Version=2011-01-01&InstanceId=i-1&HealthStatus=Unhealthy&ShouldRespectGracePeriod=true",
        ]
    );
}

#[tokio::test]
async fn a_hook_that_does_not_wait_is_no_error_and_one_that_is_not_there_is() {
    let not_waiting = failure(
        400,
        INVALID,
        "No active Lifecycle Action found with instance ID i-1",
    );
    let answers = each(not_waiting).await;
    assert_eq!(answers[1].as_ref().unwrap(), "NotWaiting");
    assert_eq!(answers[2].as_ref().unwrap(), "NotWaiting");

    let wrong = failure(400, INVALID, "No lifecycle hook found with name hook");
    let answers = each(wrong).await;
    for answer in &answers[1..3] {
        let error = answer.as_ref().unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        let text = error.to_string();
        assert!(
            text.contains("the lifecycle hook hook of the group group"),
            "{text}"
        );
        assert!(text.contains("`lifecycle_hooks` has to name a hook"), "{text}");
    }
    // Another code with the same words is no such thing.
    let odd = failure(403, "AccessDenied", "No active Lifecycle Action found");
    assert!(each(odd).await[1].is_err());
}

#[tokio::test]
async fn every_refusal_names_the_action_to_grant() {
    let denied = failure(403, "AccessDenied", "User: x is not authorized to perform: y");
    let actions = [
        "autoscaling:DescribeAutoScalingInstances",
        "autoscaling:CompleteLifecycleAction",
        "autoscaling:RecordLifecycleActionHeartbeat",
        "autoscaling:DescribeAutoScalingGroups",
        "autoscaling:SetInstanceHealth",
    ];
    for (answer, action) in each(denied).await.into_iter().zip(actions) {
        let error = answer.unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        let text = error.to_string();
        assert!(
            text.starts_with("Auto Scaling in eu-central-1 refused "),
            "{text}"
        );
        assert!(text.contains(action), "{text}");
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for (reply, class) in [
        (failure(400, "Throttling", "Rate exceeded"), Class::Throttled),
        (failure(500, "InternalFailure", "oops"), Class::Transient),
        (reply(503, "<html>busy</html>"), Class::Transient),
        (reply(500, ""), Class::Transient),
    ] {
        for answer in each(reply).await {
            let error = answer.unwrap_err();
            assert_eq!(error.class(), class, "{error}");
        }
    }
}

#[tokio::test]
async fn nonsense_is_no_answer() {
    for (name, reply) in nonsense() {
        let answers = each(reply).await;
        // Of answers that hold nothing the SDK reads nothing, unless they break off.
        let read = [0, 3]
            .into_iter()
            .chain((name == "truncated").then_some(1..3).into_iter().flatten());
        for at in read {
            let error = answers[at].as_ref().unwrap_err();
            assert_eq!(error.class(), Class::Transient, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_call_that_hangs() {
    let server = Server::saying(silence()).await;
    let config = config_for(&server.url, Duration::from_millis(100)).await;
    let groups = AutoScaling::with(&config, "eu-central-1");
    let error = groups.set_unhealthy("i-1").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(
        error
            .to_string()
            .starts_with("Auto Scaling in eu-central-1 was not reached"),
        "{error}"
    );
}
