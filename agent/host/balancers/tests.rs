//! Against a server that answers as load balancers do, and as they should not.

use std::time::Duration;

use super::*;
use crate::host::aws::tests::config_for;
use crate::host::testing::{Asked, Reply, Server, failure, nonsense, reply, silence};
use crate::host::{Class, Classified as _};

const ARN: &str = "arn:aws:elasticloadbalancing:eu-central-1:1:targetgroup/web/0a1b";

async fn at(server: &Server) -> BalancerClients {
    BalancerClients::with(
        &config_for(&server.url, Duration::from_secs(10)).await,
        "eu-central-1",
    )
}

fn classic() -> Balancer {
    Balancer::Classic("old".to_owned())
}

fn group() -> Balancer {
    Balancer::TargetGroup(ARN.to_owned())
}

fn states(all: &[(&str, &str, &str)]) -> Reply {
    let members: String = all
        .iter()
        .map(|(id, state, description)| {
            format!(
                "<member><InstanceId>{id}</InstanceId><State>{state}</State><ReasonCode>ELB</ReasonCode><Description>{description}</Description></member>"
            )
        })
        .collect();
    reply(
        200,
        format!(
            "<DescribeInstanceHealthResponse><DescribeInstanceHealthResult><InstanceStates>{members}</InstanceStates></DescribeInstanceHealthResult></DescribeInstanceHealthResponse>"
        ),
    )
}

/// Id, port, state, reason.
type Target = (&'static str, u16, &'static str, &'static str);

fn targets(all: &[Target]) -> Reply {
    let members: String = all
        .iter()
        .map(|(id, port, state, reason)| {
            format!(
                "<member><Target><Id>{id}</Id><Port>{port}</Port></Target><TargetHealth><State>{state}</State><Reason>{reason}</Reason><Description>words</Description></TargetHealth></member>"
            )
        })
        .collect();
    reply(
        200,
        format!(
            "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{members}</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
        ),
    )
}

/// Says of all targets, or of those that are asked for.
fn group_of(all: &'static [Target]) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        if !asked.body.contains("Action=DescribeTargetHealth") {
            return reply(200, "<R><DeregisterTargetsResult/></R>");
        }
        let is_asked = |target: &&Target| {
            !asked.body.contains("Targets.member")
                || asked.body.contains(&format!("Id={}&", target.0))
                    && asked.body.contains(&format!("Port={}", target.1))
        };
        targets(&all.iter().filter(is_asked).copied().collect::<Vec<_>>())
    }
}

#[tokio::test]
async fn words_of_a_classic_balancer() {
    let unhealthy =
        "Instance has failed at least the UnhealthyThreshold number of health checks consecutively.";
    let starting =
        "Instance has not passed the configured HealthyThreshold number of health checks consecutively.";
    for (state, description, service) in [
        ("InService", "N/A", Service::Healthy),
        (
            "InService",
            "Instance deregistration currently in progress.",
            Service::Leaving,
        ),
        (
            "OutOfService",
            "Instance is not currently registered with the LoadBalancer.",
            Service::Absent,
        ),
        (
            "OutOfService",
            "Instance registration is still in progress.",
            Service::Starting("OutOfService: Instance registration is still in progress.".to_owned()),
        ),
        (
            "OutOfService",
            starting,
            Service::Starting(format!("OutOfService: {starting}")),
        ),
        (
            "OutOfService",
            unhealthy,
            Service::Unhealthy(format!("OutOfService: {unhealthy}")),
        ),
        (
            "OutOfService",
            "Instance is in stopped state.",
            Service::Unhealthy("OutOfService: Instance is in stopped state.".to_owned()),
        ),
        ("Unknown", "N/A", Service::Starting("Unknown".to_owned())),
    ] {
        let server = Server::saying(states(&[("i-1", state, description)])).await;
        let said = at(&server).await.service(&classic(), "i-1").await.unwrap();
        assert_eq!(said, service, "{state}: {description}");
    }
}

#[tokio::test]
async fn an_instance_that_a_classic_balancer_does_not_know_is_absent() {
    let unknown = failure(400, "InvalidInstance", "Could not find EC2 instance i-1.");
    let server = Server::saying(unknown).await;
    let balancers = at(&server).await;
    assert_eq!(
        balancers.service(&classic(), "i-1").await.unwrap(),
        Service::Absent
    );
    balancers.deregister(&classic(), "i-1").await.unwrap();
    assert!(balancers.register(&classic(), "i-1", &[]).await.is_err());
}

#[tokio::test]
async fn words_of_a_target_group() {
    let said = |state: &str, reason: &str| format!("{state}: {reason}: words");
    for (state, reason, service) in [
        ("healthy", "", Service::Healthy),
        ("draining", "Target.DeregistrationInProgress", Service::Leaving),
        (
            "unhealthy.draining",
            "Target.DeregistrationInProgress",
            Service::Leaving,
        ),
        ("unused", "Target.NotRegistered", Service::Absent),
        ("unavailable", "Target.HealthCheckDisabled", Service::Healthy),
    ] {
        assert_eq!(one(state, reason).await, service, "{state} {reason}");
    }
    for (state, reason) in [
        ("initial", "Elb.InitialHealthChecking"),
        ("unused", "Target.NotInUse"),
        ("unavailable", "Elb.InternalError"),
        ("novel", "Elb.Novel"),
    ] {
        assert_eq!(one(state, reason).await, Service::Starting(said(state, reason)));
    }
    for (state, reason) in [
        ("unhealthy", "Target.ResponseCodeMismatch"),
        ("unused", "Target.InvalidState"),
        ("unused", "Target.IpUnusable"),
    ] {
        assert_eq!(one(state, reason).await, Service::Unhealthy(said(state, reason)));
    }
}

async fn one(state: &'static str, reason: &'static str) -> Service {
    let server = Server::saying(targets(&[("i-1", 80, state, reason)])).await;
    at(&server).await.service(&group(), "i-1").await.unwrap()
}

#[tokio::test]
async fn a_group_is_asked_for_its_whole_list_once() {
    let server = Server::start(group_of(&[
        ("i-2", 80, "unhealthy", ""),
        ("i-1", 80, "healthy", ""),
    ]))
    .await;
    let balancers = at(&server).await;
    for _ in 0..3 {
        assert_eq!(
            balancers.service(&group(), "i-1").await.unwrap(),
            Service::Healthy
        );
    }
    let asked = server.asked();
    let whole = asked
        .iter()
        .filter(|asked| !asked.body.contains("Targets.member"));
    assert_eq!((asked.len(), whole.count()), (4, 1));
    assert_eq!(balancers.service(&group(), "i-3").await.unwrap(), Service::Absent);
}

#[tokio::test]
async fn one_machine_on_two_ports_and_by_its_address() {
    let server = Server::start(group_of(&[
        ("i-1", 80, "healthy", ""),
        ("i-1", 81, "unhealthy", "Target.Timeout"),
        ("10.0.0.7", 80, "draining", ""),
        ("i-2", 80, "healthy", ""),
    ]))
    .await;
    let address = "10.0.0.7".parse().ok();
    let balancers = at(&server).await.with_address(address);
    let said = balancers.service(&group(), "i-1").await.unwrap();
    assert_eq!(
        said,
        Service::Unhealthy("unhealthy: Target.Timeout: words".to_owned())
    );
    let everyone = balancers.everyone(&group()).await.unwrap();
    assert_eq!(
        everyone,
        [
            ("10.0.0.7".to_owned(), Service::Leaving),
            (
                "i-1".to_owned(),
                Service::Unhealthy("unhealthy: Target.Timeout: words".to_owned())
            ),
            ("i-2".to_owned(), Service::Healthy),
        ]
    );
    balancers.deregister(&group(), "i-1").await.unwrap();
    let last = server.asked().pop().unwrap().body;
    assert_eq!(
        last,
        "Action=DeregisterTargets&Version=2015-12-01&TargetGroupArn=arn%3Aaws%3Aelasticloadbalancing%3Aeu-central-1%3A1%3Atargetgroup%2Fweb%2F0a1b&Targets.member.1.Id=i-1&Targets.member.1.Port=80&Targets.member.2.Id=i-1&Targets.member.2.Port=81"
    );
}

#[test]
fn it_leaves_when_it_serves_nowhere_and_is_absent_when_it_is_nowhere() {
    use Service::{Absent, Healthy, Leaving};
    let together = |all: &[Service]| target_groups::together(all.to_vec());
    assert_eq!(together(&[Healthy, Leaving]), Healthy);
    assert_eq!(together(&[Absent, Leaving]), Leaving);
    assert_eq!(together(&[]), Absent);
}

#[tokio::test]
async fn what_is_out_already_or_was_never_in_is_not_taken_out() {
    let server = Server::start(group_of(&[("i-1", 80, "draining", "")])).await;
    let balancers = at(&server).await;
    balancers.deregister(&group(), "i-1").await.unwrap();
    balancers.deregister(&group(), "i-2").await.unwrap();
    assert!(server.asked().iter().all(|asked| asked.body.contains("Describe")));

    let gone = Server::saying(failure(
        400,
        "TargetGroupNotFound",
        "One or more target groups not found",
    ))
    .await;
    let balancers = at(&gone).await;
    balancers.deregister(&group(), "i-1").await.unwrap();
    let error = balancers.service(&group(), "i-1").await.unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(
        error
            .to_string()
            .contains("the target group web: TargetGroupNotFound"),
        "{error}"
    );

    let gone = Server::saying(failure(
        400,
        "LoadBalancerNotFound",
        "There is no ACTIVE Load Balancer",
    ))
    .await;
    let balancers = at(&gone).await;
    balancers.deregister(&classic(), "i-1").await.unwrap();
    assert!(balancers.everyone(&classic()).await.is_err());
}

#[tokio::test]
async fn a_group_of_addresses_gets_the_address() {
    let server = Server::start(|asked: &Asked| match asked.body.contains("Id=i-1") {
        true => failure(
            400,
            "ValidationError",
            "The IP address 'i-1' is not a valid IPv4 address",
        ),
        false => reply(200, "<R><RegisterTargetsResult/></R>"),
    })
    .await;
    let refused = at(&server)
        .await
        .register(&group(), "i-1", &[])
        .await
        .unwrap_err();
    assert_eq!(refused.class(), Class::Permanent);
    let balancers = at(&server).await.with_address("10.0.0.7".parse().ok());
    balancers.register(&group(), "i-1", &[]).await.unwrap();
    assert!(
        server
            .asked()
            .pop()
            .unwrap()
            .body
            .ends_with("Targets.member.1.Id=10.0.0.7")
    );
}

/// Everything that can be asked, with what it needs.
async fn each(balancers: &BalancerClients) -> Vec<(AwsError, &'static str)> {
    let mut errors = Vec::new();
    for (balancer, describe, deregister, register) in [
        (
            classic(),
            "DescribeInstanceHealth",
            "DeregisterInstancesFromLoadBalancer",
            "RegisterInstancesWithLoadBalancer",
        ),
        (
            group(),
            "DescribeTargetHealth",
            "DescribeTargetHealth",
            "RegisterTargets",
        ),
    ] {
        let answers = [
            (balancers.service(&balancer, "i-1").await.map(|_| ()), describe),
            (balancers.everyone(&balancer).await.map(|_| ()), describe),
            (balancers.deregister(&balancer, "i-1").await, deregister),
            (balancers.register(&balancer, "i-1", &[]).await, register),
        ];
        errors.extend(
            answers
                .into_iter()
                .map(|(answer, action)| (answer.unwrap_err(), action)),
        );
    }
    errors
}

#[tokio::test]
async fn every_refusal_names_the_action_to_grant() {
    let server = Server::saying(failure(403, "AccessDenied", "User: x is not authorized")).await;
    for (error, action) in each(&at(&server).await).await {
        assert_eq!(error.class(), Class::Permanent);
        let text = error.to_string();
        assert!(
            text.starts_with("Elastic Load Balancing in eu-central-1 refused "),
            "{text}"
        );
        assert!(
            text.contains(&format!("role elasticloadbalancing:{action} on")),
            "{text}"
        );
    }
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for (reply, class) in [
        (failure(400, "Throttling", "Rate exceeded"), Class::Throttled),
        (failure(500, "InternalFailure", "oops"), Class::Transient),
        (reply(503, "<html>busy</html>"), Class::Transient),
    ] {
        let server = Server::saying(reply).await;
        for (error, _) in each(&at(&server).await).await {
            assert_eq!(error.class(), class, "{error}");
        }
    }
}

#[tokio::test]
async fn nonsense_is_no_answer() {
    for (name, reply) in nonsense() {
        let server = Server::saying(reply).await;
        let balancers = at(&server).await;
        // Of answers that hold nothing the SDK reads nothing: whether it came to pass is asked afterwards.
        for answer in [
            balancers.service(&classic(), "i-1").await.map(|_| ()),
            balancers.everyone(&classic()).await.map(|_| ()),
            balancers.service(&group(), "i-1").await.map(|_| ()),
            balancers.everyone(&group()).await.map(|_| ()),
            balancers.deregister(&group(), "i-1").await,
        ] {
            let error = answer.unwrap_err();
            assert_eq!(error.class(), Class::Transient, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_call_that_hangs() {
    let server = Server::saying(silence()).await;
    let config = config_for(&server.url, Duration::from_millis(100)).await;
    let balancers = BalancerClients::with(&config, "eu-central-1");
    for balancer in [classic(), group()] {
        let error = balancers.service(&balancer, "i-1").await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
    }
}
