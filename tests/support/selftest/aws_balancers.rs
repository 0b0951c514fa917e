//! Load balancers of both kinds.

use monopod_testrig::{Aws, AwsFault, Balanced, Group, Identity};

use crate::aws_lifecycle::{ELB, query};

struct Ours {
    aws: Aws,
    me: String,
}

impl Ours {
    fn new(number: u64) -> Self {
        let (aws, identity) = (Aws::alone(), Identity::new(number));
        aws.identify(&identity);
        Self {
            aws,
            me: identity.instance_id,
        }
    }

    /// What a target group says of this machine.
    fn target(&self, arn: &str) -> String {
        let params = [("TargetGroupArn", arn), ("Targets.member.1.Id", &self.me)];
        let (status, text) = query(&self.aws, ELB, "DescribeTargetHealth", &params);
        assert_eq!(status, 200, "{text}");
        format!("{} {}", between(&text, "<State>"), between(&text, "<Reason>"))
            .trim_end()
            .to_owned()
    }

    fn targets(&self, op: &str, arn: &str) {
        let params = [("TargetGroupArn", arn), ("Targets.member.1.Id", &self.me)];
        let (status, text) = query(&self.aws, ELB, op, &params);
        assert!(status == 200 && text.contains(&format!("<{op}Result>")), "{text}");
    }

    /// What a classic load balancer says of it.
    fn instance(&self, name: &str) -> String {
        let params = [
            ("LoadBalancerName", name),
            ("Instances.member.1.InstanceId", &self.me),
        ];
        let (status, text) = query(&self.aws, ELB, "DescribeInstanceHealth", &params);
        let (says, why) = if status == 200 {
            ("<State>", "<ReasonCode>")
        } else {
            ("<Code>", "<Message>")
        };
        format!("{} {}", between(&text, says), between(&text, why))
    }
}

fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    text.split_once(tag)
        .map_or("", |(_, rest)| rest.split('<').next().unwrap())
}

const NOT_REGISTERED: &str = "unused Target.NotRegistered";
const INITIAL: &str = "initial Elb.InitialHealthChecking";
const DRAINING: &str = "draining Target.DeregistrationInProgress";

#[test]
fn a_target_is_unused_until_the_launch_hook_is_completed() {
    let ours = Ours::new(77_101);
    let arn = ours.aws.target_group("shop", Balanced::new().initial(2));
    ours.aws
        .group(Group::new("shop").launch_hook("up").balancer(&arn));
    assert_eq!(
        [ours.target(&arn), ours.target(&arn), ours.target(&arn)],
        [NOT_REGISTERED; 3]
    );
    let params = [
        ("AutoScalingGroupName", "shop"),
        ("LifecycleHookName", "up"),
        ("InstanceId", &ours.me),
        ("LifecycleActionResult", "CONTINUE"),
    ];
    assert_eq!(
        query(&ours.aws, "autoscaling", "CompleteLifecycleAction", &params).0,
        200
    );
    assert_eq!(
        [ours.target(&arn), ours.target(&arn), ours.target(&arn)],
        [INITIAL, INITIAL, "healthy"]
    );
    ours.aws.set_target(&arn, "unhealthy");
    assert_eq!(ours.target(&arn), "unhealthy Target.FailedHealthChecks");
    ours.aws
        .script_target(&arn, &["healthy", "unhealthy Target.Timeout", "healthy"]);
    let said = [
        ours.target(&arn),
        ours.target(&arn),
        ours.target(&arn),
        ours.target(&arn),
    ];
    assert_eq!(
        said,
        ["healthy", "unhealthy Target.Timeout", "healthy", "healthy"]
    );
    assert_eq!(ours.aws.target_asks(&arn).len(), 11);
    assert_eq!(ours.aws.target_asks(&arn)[9], "healthy");
}

#[test]
fn a_target_drains() {
    let ours = Ours::new(77_102);
    let group = Balanced::new()
        .initial_until_told()
        .draining(2)
        .other("i-other", "unhealthy");
    let arn = ours.aws.target_group("shop", group);
    assert_eq!([ours.target(&arn), ours.target(&arn)], [INITIAL; 2]);
    ours.aws.set_target(&arn, "healthy");
    assert_eq!(ours.target(&arn), "healthy");
    ours.targets("DeregisterTargets", &arn);
    let everyone = || {
        query(
            &ours.aws,
            ELB,
            "DescribeTargetHealth",
            &[("TargetGroupArn", arn.as_str())],
        )
        .1
    };
    assert!(
        everyone().contains("draining") && everyone().contains("i-other"),
        "{}",
        everyone()
    );
    assert_eq!(
        [ours.target(&arn), ours.target(&arn), ours.target(&arn)],
        [DRAINING, DRAINING, NOT_REGISTERED]
    );
    assert!(!everyone().contains(&ours.me));
    ours.targets("DeregisterTargets", &arn);
    ours.targets("RegisterTargets", &arn);
    assert_eq!(ours.target(&arn), INITIAL);
    let calls: Vec<bool> = ours
        .aws
        .registrations(&arn)
        .iter()
        .map(|call| call.registered)
        .collect();
    assert_eq!(calls, [false, false, true]);

    let arn = ours
        .aws
        .target_group("slow", Balanced::new().initial(0).draining_until_told());
    ours.targets("DeregisterTargets", &arn);
    assert_eq!(
        [ours.target(&arn), ours.target(&arn), ours.target(&arn)],
        [DRAINING; 3]
    );
    ours.aws.set_target(&arn, "unused");
    assert_eq!(ours.target(&arn), NOT_REGISTERED);
    let unknown = [("TargetGroupArn", "arn:none"), ("Targets.member.1.Id", "i-1")];
    assert!(
        query(&ours.aws, ELB, "DescribeTargetHealth", &unknown)
            .1
            .contains("TargetGroupNotFound")
    );
    for op in ["DescribeTargetHealth", "RegisterTargets", "DeregisterTargets"] {
        ours.aws.faults(&[AwsFault::nonsense(op)]);
        assert!(
            query(&ours.aws, ELB, op, &unknown).1.contains("It works!"),
            "{op}"
        );
    }
}

#[test]
fn a_classic_load_balancer_has_words_of_its_own() {
    let ours = Ours::new(77_103);
    ours.aws
        .classic("leader", Balanced::new().other("i-other", "healthy"));
    ours.aws.classic("replica", Balanced::new().without_us());
    assert_eq!(
        [ours.instance("leader"), ours.instance("leader")],
        ["OutOfService ELB", "InService N/A"]
    );
    ours.aws.set_target("leader", "unhealthy");
    assert_eq!(ours.instance("leader"), "OutOfService Instance");
    let missing = format!("InvalidInstance Could not find EC2 instance {}.", ours.me);
    assert_eq!(ours.instance("replica"), missing);
    assert!(ours.instance("none").starts_with("LoadBalancerNotFound"));
    let change = |op: &str, name: &str| {
        let params = [
            ("LoadBalancerName", name),
            ("Instances.member.1.InstanceId", &ours.me),
        ];
        let (status, text) = query(&ours.aws, ELB, op, &params);
        assert_eq!(status, 200, "{text}");
        text
    };
    assert!(change("RegisterInstancesWithLoadBalancer", "replica").contains(&ours.me));
    assert_eq!(
        [ours.instance("replica"), ours.instance("replica")],
        ["OutOfService ELB", "InService N/A"]
    );
    let left = change("DeregisterInstancesFromLoadBalancer", "leader");
    assert!(left.contains("i-other") && !left.contains(&ours.me), "{left}");
    assert_eq!(
        [ours.instance("leader"), ours.instance("leader")],
        ["InService N/A".to_owned(), missing]
    );
    for op in [
        "DescribeInstanceHealth",
        "RegisterInstancesWithLoadBalancer",
        "DeregisterInstancesFromLoadBalancer",
    ] {
        ours.aws
            .faults(&[AwsFault::error(op, "AccessDenied").status(403)]);
        assert_eq!(query(&ours.aws, ELB, op, &[]).0, 403, "{op}");
    }
}
