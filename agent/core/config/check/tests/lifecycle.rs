//! Whom the machine tells and asks, and what becomes of it.

use super::*;
use crate::lifecycle::{
    Balancer, Balancers, Brakes, DrainPlan, Hooks, LifecyclePlan, OnBootFailure, OnUnhealthy, Require,
    Shutdown, SignWith, SignalTarget, StatusAddress,
};

const ARN: &str =
    "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/my-app/0123456789abcdef";

fn codes(lines: &str) -> Vec<Code> {
    let report = report(lines);
    report.problems().iter().map(|problem| problem.code).collect()
}

fn life(lines: &str) -> LifecyclePlan {
    clean(lines).lifecycle().clone()
}

#[test]
fn notify_cfn_is_read_even_if_the_rest_is_wrong() {
    let report = report("notify_cfn: {stack: my-stack, resource: AppServer}\nroot: 'no'");
    let target = SignalTarget {
        stack: "my-stack".into(),
        resource: "AppServer".into(),
        sign: SignWith::Instance,
        wait_handle: None,
    };
    assert_eq!(report.notify_cfn(), Some(&target));
    assert!(report.config().is_none());
    let handle = "https://s3.example.org/handle?signature=x";
    let config = clean(&format!(
        "notify_cfn: {{stack: a, resource: b, sign: role, wait_handle: '{handle}'}}"
    ));
    let target = config.notify_cfn().unwrap();
    assert_eq!(
        (target.sign, target.wait_handle.as_deref()),
        (SignWith::Role, Some(handle))
    );
    assert!(codes("notify_cfn: {stack: a}").contains(&Code::Missing));
    assert!(codes("notify_cfn: {stack: a, resource: [b]}").contains(&Code::WrongType));
    assert!(codes("notify_cfn: {stack: a, resource: !Ref b}").contains(&Code::Template));
    assert_eq!(
        code("notify_cfn: {stack: a, resource: b, wait_handle: s3.example.org}"),
        Code::BadValue
    );
    assert_eq!(
        code("notify_cfn: {stack: a, resource: b, sign: rule}"),
        Code::BadValue
    );
}

#[test]
fn load_balancers_of_both_kinds() {
    let classic = |name: &str| Balancer::Classic(name.to_owned());
    let of = |lines: &str| life(lines).balancers;
    assert_eq!(
        of("healthcheck: {type: elb, loadbalancer_name: lb}"),
        Balancers {
            all: vec![classic("lb")],
            require: Require::Any,
            healthy_threshold: 2,
            timeout_seconds: 300,
        }
    );
    let two = of(
        "healthcheck: {type: elb, loadbalancer_name: [a, b, a], require: all, healthy_threshold: 3, timeout: 90s}",
    );
    assert_eq!(
        two,
        Balancers {
            all: vec![classic("a"), classic("b")],
            require: Require::All,
            healthy_threshold: 3,
            timeout_seconds: 90,
        }
    );
    let groups = vec![Balancer::TargetGroup(ARN.to_owned())];
    assert_eq!(
        of(&format!("healthcheck: {{type: elbv2, target_groups: '{ARN}'}}")).all,
        groups
    );
    assert_eq!(
        of(&format!("healthcheck: {{type: elbv2, target_groups: ['{ARN}']}}")).all,
        groups
    );
    assert_eq!(life("").balancers, Balancers::default());
}

#[test]
fn a_load_balancer_that_nobody_could_ask_is_refused() {
    for (bad, code) in [
        ("healthcheck: {type: elb}", Code::Missing),
        ("healthcheck: {type: elb, loadbalancer_name: []}", Code::Missing),
        ("healthcheck: {loadbalancer_name: x}", Code::Missing),
        ("healthcheck: {type: elbv2, target_groups: ~}", Code::Missing),
        ("healthcheck: {type: alb, loadbalancer_name: x}", Code::BadValue),
        ("healthcheck: elb", Code::WrongType),
        (
            "healthcheck: {type: elb, loadbalancer_name: {a: b}}",
            Code::WrongType,
        ),
        (
            "healthcheck: {type: elb, loadbalancer_name: [{a: b}]}",
            Code::WrongType,
        ),
        (
            "healthcheck: {type: elb, loadbalancer_name: x, timeout: 5}",
            Code::BadValue,
        ),
        (
            "healthcheck: {type: elb, loadbalancer_name: x, healthy_threshold: 0}",
            Code::BadValue,
        ),
        (
            "healthcheck: {type: elbv2, target_groups: my-app}",
            Code::BadValue,
        ),
    ] {
        assert_eq!(codes(bad), [code], "{bad}");
    }
    assert_eq!(
        codes("healthcheck: {type: elbv2, loadbalancer_name: x}"),
        [Code::Missing, Code::NoEffectHere]
    );
    let both = format!("healthcheck: {{type: elb, loadbalancer_name: x, target_groups: ['{ARN}']}}");
    assert_eq!(warning(&both).1.key.as_deref(), Some("healthcheck.target_groups"));
    for (from, to) in [
        ("arn:", "urn:"),
        (":aws:", ":aws-:"),
        (":aws:", ":gcp:"),
        ("elasticloadbalancing", "ec2"),
        ("eu-central-1", ""),
        ("123456789012", "12345678901"),
        ("targetgroup/", "loadbalancer/app/"),
        ("my-app", ""),
        ("my-app", "my_app"),
        ("/0123456789abcdef", ""),
        ("abcdef", "abcdef/x"),
        ("0123456789abcdef", "ABC"),
        ("abcdef", "abcdef:x"),
    ] {
        let bad = ARN.replacen(from, to, 1);
        let problem = error(&format!("healthcheck: {{type: elbv2, target_groups: ['{bad}']}}"));
        assert_eq!(problem.code, Code::BadValue, "{bad}");
        assert!(!problem.message.contains("0123"), "{problem:?}");
    }
    for good in ["aws-cn", "aws-us-gov", "aws-iso-b"] {
        let good = ARN.replacen("aws", good, 1);
        life(&format!(
            "healthcheck: {{type: elbv2, target_groups: ['{good}']}}"
        ));
    }
}

#[test]
fn hooks_wait_for_something() {
    let hooks = life("lifecycle_hooks: {group: my group, launch: booted, terminate: a/b_c-1}").hooks;
    assert_eq!(
        hooks,
        Hooks {
            group: Some("my group".into()),
            launch: Some("booted".into()),
            terminate: Some("a/b_c-1".into()),
        }
    );
    assert_eq!(life("lifecycle_hooks: {launch: booted}").hooks.terminate, None);
    for (bad, code) in [
        ("lifecycle_hooks: {group: g}", Code::Missing),
        ("lifecycle_hooks: {}", Code::Missing),
        ("lifecycle_hooks: {launch: ~}", Code::Missing),
        ("lifecycle_hooks: booted", Code::WrongType),
        ("lifecycle_hooks: {launch: a b}", Code::BadValue),
        ("lifecycle_hooks: {terminate: [a]}", Code::WrongType),
    ] {
        assert_eq!(codes(bad), [code], "{bad}");
    }
}

#[test]
fn what_becomes_of_a_machine() {
    let plan = life("");
    assert_eq!(plan, LifecyclePlan::default());
    let plan = life(
        "on_boot_failure: poweroff\non_unhealthy: replace\nreplace: {min_uptime: 15m, max_unhealthy_percent: 34}\n\
         on_rebalance: drain\ndrain_timeout: 5m\nstop_timeout: 30s\nshutdown: on-success",
    );
    let wanted = LifecyclePlan {
        on_boot_failure: OnBootFailure::Poweroff,
        on_unhealthy: OnUnhealthy::Replace,
        brakes: Brakes {
            min_uptime_seconds: 900,
            max_unhealthy_percent: 34,
        },
        shutdown: Shutdown::OnSuccess,
        drain: DrainPlan {
            on_rebalance: true,
            timeout_seconds: 300,
            stop_timeout_seconds: 30,
        },
        ..LifecyclePlan::default()
    };
    assert_eq!(plan, wanted);
    let plan = life("on_boot_failure: poweroff\nreplace: {min_uptime: 0}\non_unhealthy: replace");
    assert_eq!(
        (plan.on_boot_failure, plan.on_unhealthy, plan.brakes),
        (
            OnBootFailure::Poweroff,
            OnUnhealthy::Replace,
            Brakes {
                min_uptime_seconds: 0,
                max_unhealthy_percent: 20
            }
        )
    );
    for bad in [
        "on_boot_failure: restart",
        "on_unhealthy: poweroff",
        "on_rebalance: true",
        "drain_timeout: 5",
        "shutdown: 1",
        "on_unhealthy: replace\nreplace: {max_unhealthy_percent: 101}",
        "on_unhealthy: replace\nreplace: {min_uptime: 8d}",
    ] {
        assert_eq!(code(bad), Code::BadValue, "{bad}");
    }
    assert_eq!(warning("shutdown: off").1.code, Code::Coerced);
    assert_eq!(life("shutdown: never\nrestart: always").shutdown, Shutdown::Never);
}

#[test]
fn what_cannot_come_true_is_warned_about() {
    for (lines, code, key) in [
        (
            "shutdown: on-exit\nrestart: always",
            Code::NoEffectHere,
            "shutdown",
        ),
        ("replace: {min_uptime: 15m}", Code::NoEffectHere, "replace"),
        (
            "replace: {}\non_unhealthy: restart",
            Code::NoEffectHere,
            "replace",
        ),
        (
            "drain_timeout: 20s\nstop_timeout: 30s",
            Code::OverBudget,
            "drain_timeout",
        ),
        ("stop_timeout: 11m", Code::OverBudget, "stop_timeout"),
        (
            "healthcheck: {type: elb, loadbalancer_name: lb}\nboot_timeout: 4m",
            Code::OverBudget,
            "healthcheck",
        ),
        (
            "healthcheck: {type: elb, loadbalancer_name: lb}\nhealth_check_path: /h\nhealth_check_port: 80\n\
             health_check_timeout_seconds: 601",
            Code::OverBudget,
            "healthcheck",
        ),
    ] {
        let problem = warning(lines).1;
        assert_eq!(
            (problem.code, problem.key.as_deref()),
            (code, Some(key)),
            "{lines}"
        );
    }
    clean("drain_timeout: 30s\nstop_timeout: 30s");
    clean(
        "healthcheck: {type: elb, loadbalancer_name: lb}\nhealth_check_path: /h\nhealth_check_port: 80\n\
         health_check_timeout_seconds: 600",
    );
}

#[test]
fn where_the_status_is_served() {
    let of = |lines: &str| life(lines).status_address;
    let at = |text: &str| StatusAddress(Some(text.parse().unwrap()));
    assert_eq!(of(""), at("127.0.0.1:9180"));
    assert_eq!(of("status_address:"), at("127.0.0.1:9180"));
    assert_eq!(of("status_address: 10.0.0.1:80"), at("10.0.0.1:80"));
    assert_eq!(of("status_address: '[::1]:9180'"), at("[::1]:9180"));
    assert_eq!(of("status_address: none"), StatusAddress(None));
    for bad in [
        "status_address: localhost:9180",
        "status_address: 9180",
        "status_address: 127.0.0.1",
        "status_address: 127.0.0.1:0",
        "status_address: 127.0.0.1:65536",
        "status_address: '::1:9180'",
        "status_address: '[fe80::1%2]:80'",
    ] {
        assert_eq!(code(bad), Code::BadValue, "{bad}");
    }
}

#[test]
fn an_http_check_may_say_what_it_sends_and_takes() {
    let check = |lines: &str| {
        let lines = format!("health_check_path: /h\nhealth_check_port: 80\n{lines}");
        clean(&lines).health_check().unwrap()
    };
    let probe = |lines: &str| match check(lines).probe {
        Probe::Http {
            statuses, headers, ..
        } => (statuses, headers),
        other => panic!("{other:?}"),
    };
    assert_eq!(probe(""), (vec![], vec![]));
    assert_eq!(probe("health_check_status_codes: [200, 204, 200]").0, [200, 204]);
    assert_eq!(probe("health_check_status_codes: 204").0, [204]);
    assert_eq!(
        probe("health_check_headers: {Host: my-app.example.org, X-Probe: 1, X-Empty: ''}").1,
        [
            ("Host".to_owned(), "my-app.example.org".to_owned()),
            ("X-Probe".to_owned(), "1".to_owned()),
            ("X-Empty".to_owned(), String::new()),
        ]
    );
    let tuned = check("health_check_unhealthy_threshold: 5\nhealth_check_start_period_seconds: 0");
    assert_eq!((tuned.unhealthy_threshold, tuned.start_period_seconds), (5, 0));
    assert_eq!((tuned.interval_seconds, tuned.watch_interval_seconds), (2, 10));
    let every = check("health_check_interval_seconds: 7\nhealth_check_timeout_seconds: 90");
    assert_eq!(
        (
            every.interval_seconds,
            every.watch_interval_seconds,
            every.start_period_seconds
        ),
        (7, 7, 90)
    );
    for (bad, code) in [
        ("health_check_status_codes: []", Code::HealthCheck),
        ("health_check_status_codes: [99]", Code::BadValue),
        ("health_check_status_codes: [600]", Code::BadValue),
        ("health_check_status_codes: [ok]", Code::WrongType),
        ("health_check_headers: {'X Y': z}", Code::HealthCheck),
        ("health_check_headers: {'': z}", Code::HealthCheck),
        ("health_check_headers: {Content-Length: 3}", Code::HealthCheck),
        ("health_check_headers: {X: \"a\\r\\nHost: b\"}", Code::HealthCheck),
        ("health_check_headers: {X: ä}", Code::HealthCheck),
        ("health_check_headers: {X: 'aws:kms:aGk='}", Code::SecretNotHere),
        ("health_check_headers: {X: [a]}", Code::WrongType),
        ("health_check_unhealthy_threshold: 0", Code::BadValue),
    ] {
        let lines = format!("health_check_path: /h\nhealth_check_port: 80\n{bad}");
        assert_eq!(self::code(&lines), code, "{bad}");
    }
    for lines in [
        "health_check_command: [x]\nhealth_check_headers: {A: b}",
        "health_check_type: tcp\nhealth_check_port: 80\nhealth_check_status_codes: [200]",
        "health_check_unhealthy_threshold: 5",
    ] {
        assert_eq!(warning(lines).1.code, Code::HealthCheck, "{lines}");
    }
}

/// A wrong value may be a secret that was pasted into the wrong place.
#[test]
fn neither_headers_nor_handles_are_shown() {
    for (lines, secret) in [
        ("health_check_headers: {X: hunter2ä}", "hunter2"),
        ("health_check_headers: {'X Y': hunter2}", "hunter2"),
        (
            "notify_cfn: {stack: a, resource: b, wait_handle: hunter2}",
            "hunter2",
        ),
        (
            "notify_cfn: {stack: a, resource: b, wait_handle: 'https://x/hunter2', sign: x}",
            "hunter2",
        ),
    ] {
        let lines = format!("health_check_path: /h\nhealth_check_port: 80\n{lines}");
        let report = report(&lines);
        assert!(report.has_errors(), "{lines}");
        let text = report.render(Style::Plain);
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn nothing_of_it_replaces_a_container() {
    let plain = clean("").canonical();
    for lines in [
        "notify_cfn: {stack: a, resource: b, sign: role, wait_handle: 'https://x.example.org/y'}",
        "healthcheck: {type: elb, loadbalancer_name: lb}",
        "lifecycle_hooks: {launch: booted}",
        "on_boot_failure: replace\non_unhealthy: replace\nreplace: {min_uptime: 1m}",
        "shutdown: on-exit\non_rebalance: drain\ndrain_timeout: 5m\nstatus_address: none",
        "health_check_path: /h\nhealth_check_port: 80\nhealth_check_status_codes: [204]\n\
         health_check_headers: {Host: x}\nhealth_check_unhealthy_threshold: 5\nhealth_check_start_period_seconds: 5",
    ] {
        assert_eq!(clean(lines).canonical(), plain, "{lines}");
    }
}
