//! Stacks, hooks, metrics and the clock, as CloudFormation, Auto Scaling and CloudWatch have them.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_testrig::{Aws, AwsFault, Group, Identity, Response};

pub(crate) const ELB: &str = "elasticloadbalancing";

/// One request, and all of its answer.
pub(crate) fn send(aws: &Aws, head: &str, body: &[u8]) -> io::Result<Response> {
    let mut stream = TcpStream::connect(aws.endpoint().trim_start_matches("http://"))?;
    write!(
        stream,
        "{head}\r\nHost: aws\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no answer"))?;
    let header = |line: &str| {
        line.split_once(": ")
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
    };
    Ok(Response {
        status: head.split_whitespace().nth(1).unwrap().parse().unwrap(),
        headers: head.lines().filter_map(header).collect(),
        body: body.into(),
    })
}

/// Signed in name only.
pub(crate) fn signed(aws: &Aws, service: &str) -> String {
    format!(
        "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/eu-central-1/{service}/aws4_request, \
         SignedHeaders=host, Signature=0",
        aws.access_key()
    )
}

fn form(op: &str, params: &[(&str, &str)]) -> String {
    let encode = |text: &str| {
        text.bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect::<String>()
    };
    let mut form = format!("Action={op}&Version=2010-05-15");
    for (name, value) in params {
        form.push_str(&format!("&{name}={}", encode(value)));
    }
    form
}

fn post(aws: &Aws, headers: &str, form: &str) -> io::Result<Response> {
    let head = format!("POST / HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}");
    send(aws, &head, form.as_bytes())
}

/// A call of the query protocol: the status and the text.
pub(crate) fn query(aws: &Aws, service: &str, op: &str, params: &[(&str, &str)]) -> (u16, String) {
    let answer = post(aws, &signed(aws, service), &form(op, params)).unwrap();
    (answer.status, answer.text())
}

fn signal(aws: &Aws, authorization: &str, stack: &str, resource: &str, id: &str) -> (u16, String) {
    let params = [
        ("StackName", stack),
        ("LogicalResourceId", resource),
        ("UniqueId", id),
        ("Status", "SUCCESS"),
    ];
    let answer = post(aws, authorization, &form("SignalResource", &params)).unwrap();
    (answer.status, answer.text())
}

fn cfn_v1(document: &str, signature: &str) -> String {
    let flat = signature.replace('\n', "");
    format!("Authorization: CFN_V1 {}:{flat}", BASE64.encode(document))
}

#[test]
fn a_stack_takes_signals_of_its_instance_and_its_role() {
    let (aws, identity) = (Aws::alone(), Identity::new(77_001));
    aws.identify(&identity);
    aws.stack("shop-7", "AppServer");
    let (document, signature) = (identity.document(), identity.signature());
    let instance = cfn_v1(&document, &signature);
    let (status, text) = signal(&aws, &instance, "shop-7", "AppServer", "i-1");
    assert!(
        status == 200 && text.contains("<SignalResourceResponse"),
        "{text}"
    );
    assert_eq!(
        signal(
            &aws,
            &signed(&aws, "cloudformation"),
            "shop-7",
            "AppServer",
            "i-2"
        )
        .0,
        200
    );
    assert_eq!(signal(&aws, &instance, "shop-7", "AppServer", "i-1").0, 200);
    let signals = aws.signals();
    let seen: Vec<_> = signals
        .iter()
        .map(|signal| (&*signal.unique_id, &*signal.signer, &*signal.status, signal.again))
        .collect();
    assert_eq!(
        seen,
        [
            ("i-1", "instance", "SUCCESS", false),
            ("i-2", "role", "SUCCESS", false),
            ("i-1", "instance", "SUCCESS", true)
        ]
    );
    assert_eq!(aws.wait_for_signal(Duration::ZERO), signals[0]);

    // As cfn-signal asks: GET, and JSON.
    let path = form(
        "SignalResource",
        &[
            ("StackName", "shop-7"),
            ("LogicalResourceId", "AppServer"),
            ("UniqueId", "i-3"),
            ("Status", "FAILURE"),
            ("ContentType", "JSON"),
        ],
    );
    let answer = send(&aws, &format!("GET /?{path} HTTP/1.0\r\n{instance}"), b"").unwrap();
    assert!(
        answer.status == 200 && answer.text().starts_with("{\"SignalResourceResponse\""),
        "{answer:?}"
    );

    // Another document's signature, another document, another machine's, and none.
    let wrong = [
        cfn_v1(&document, &Identity::new(1).signature()),
        cfn_v1(&document.replace("t3.micro", "t3.nano"), &signature),
    ];
    for authorization in wrong {
        let (status, text) = signal(&aws, &authorization, "shop-7", "AppServer", "i-9");
        assert!(status == 403 && text.contains("SignatureDoesNotMatch"), "{text}");
    }
    let stranger = Identity::new(77_002);
    assert_eq!(
        signal(
            &aws,
            &cfn_v1(&stranger.document(), &stranger.signature()),
            "shop-7",
            "AppServer",
            "i-9"
        )
        .0,
        403
    );
    assert_eq!(signal(&aws, "X: y", "shop-7", "AppServer", "i-9").0, 403);
    assert_eq!(aws.signals().len(), 4);
    assert_eq!(
        aws.calls_of("SignalResource"),
        6,
        "the stranger's and the unsigned one are nobody's"
    );
}

#[test]
fn a_stack_that_is_not_there_or_done_is_not_signalled() {
    let (aws, identity) = (Aws::alone(), Identity::new(77_003));
    aws.identify(&identity);
    aws.stack("shop-7", "AppServer");
    let instance = cfn_v1(&identity.document(), &identity.signature());
    let refused = |stack: &str, resource: &str| {
        let (status, text) = signal(&aws, &instance, stack, resource, "i-1");
        assert!(
            status == 400 && text.contains("<Code>ValidationError</Code>"),
            "{text}"
        );
        text
    };
    assert!(refused("shop-8", "AppServer").contains("Stack:shop-8 does not exist"));
    assert!(refused("shop-7", "Other").contains("Resource Other does not exist"));
    aws.stack_state("shop-7", "CREATE_COMPLETE");
    let text = refused("shop-7", "AppServer");
    assert!(
        text.contains("is in CREATE_COMPLETE state and cannot be signaled"),
        "{text}"
    );
    assert_eq!(
        aws.signals()
            .iter()
            .filter(|signal| signal.refusal.is_some())
            .count(),
        3
    );
    aws.stack_state("shop-7", "UPDATE_IN_PROGRESS");
    let arn = "arn:aws:cloudformation:eu-central-1:123456789012:stack/shop-7/7d2e";
    assert_eq!(signal(&aws, &instance, arn, "AppServer", "i-1").0, 200);

    aws.faults(&[
        AwsFault::nonsense("SignalResource").times(1),
        AwsFault::error("SignalResource", "Throttling").times(1),
        AwsFault::cut("SignalResource").times(1),
        AwsFault::lost("SignalResource").times(1),
    ]);
    let (status, text) = signal(&aws, &instance, "shop-7", "AppServer", "i-2");
    assert!(status == 200 && text.contains("It works!"), "{text}");
    assert!(
        signal(&aws, &instance, "shop-7", "AppServer", "i-2")
            .1
            .contains("Throttling")
    );
    let params = [
        ("StackName", "shop-7"),
        ("LogicalResourceId", "AppServer"),
        ("UniqueId", "i-2"),
        ("Status", "SUCCESS"),
    ];
    let form = form("SignalResource", &params);
    assert!(post(&aws, &instance, &form).is_err(), "cut");
    assert_eq!(aws.signals().last().unwrap().unique_id, "i-1");
    assert!(post(&aws, &instance, &form).is_err(), "lost");
    assert_eq!(aws.signals().last().unwrap().unique_id, "i-2");

    let handle = aws.wait_handle("ready");
    let path = handle
        .split_once("127.0.0.1")
        .unwrap()
        .1
        .split_once('/')
        .unwrap()
        .1;
    let body = br#"{"Status":"FAILURE","Reason":"no image"}"#;
    let put = |headers: &str| {
        send(&aws, &format!("PUT /{path} HTTP/1.0{headers}"), body)
            .unwrap()
            .status
    };
    assert_eq!(
        (
            put("\r\nContent-Type: application/json"),
            put("\r\nContent-Type:"),
            put("")
        ),
        (403, 200, 200)
    );
    assert_eq!(
        aws.handle_bodies("ready"),
        [String::from_utf8_lossy(body), String::from_utf8_lossy(body)]
    );
}

fn hook(aws: &Aws, op: &str, hook: &str, instance: &str, result: Option<&str>) -> (u16, String) {
    let mut params = vec![
        ("AutoScalingGroupName", "shop"),
        ("LifecycleHookName", hook),
        ("InstanceId", instance),
    ];
    params.extend(result.map(|result| ("LifecycleActionResult", result)));
    query(aws, "autoscaling", op, &params)
}

#[test]
fn a_hook_is_completed_once_a_wait() {
    let (aws, identity) = (Aws::alone(), Identity::new(77_004));
    aws.identify(&identity);
    let me = identity.instance_id.as_str();
    aws.group(Group::new("shop").launch_hook("up").terminate_hook("down"));
    let complete = |name: &str, result: &str| hook(&aws, "CompleteLifecycleAction", name, me, Some(result));
    let beat = |name: &str| hook(&aws, "RecordLifecycleActionHeartbeat", name, me, None);

    assert_eq!((beat("up").0, aws.group_state().as_str()), (200, "Pending:Wait"));
    assert!(
        complete("sideways", "CONTINUE")
            .1
            .contains("No lifecycle hook found with name sideways")
    );
    assert_eq!(complete("down", "CONTINUE").0, 400, "nobody leaves yet");
    assert_eq!(complete("up", "CONTINUE").0, 200);
    assert_eq!(aws.group_state(), "InService");
    let (status, text) = complete("up", "CONTINUE");
    let none = format!("No active Lifecycle Action found with instance ID {me}");
    assert!(
        status == 400 && text.contains(&none) && text.contains("ValidationError"),
        "{text}"
    );
    assert_eq!(beat("up").0, 400);

    aws.begin_termination();
    assert_eq!(
        (beat("down").0, aws.group_state().as_str()),
        (200, "Terminating:Wait")
    );
    assert_eq!(complete("down", "CONTINUE").0, 200);
    assert_eq!(aws.group_state(), "Terminating:Proceed");
    aws.begin_warming();
    assert_eq!(complete("up", "CONTINUE").0, 200);
    assert_eq!(aws.group_state(), "Warmed:Stopped");
    aws.begin_launch();
    assert_eq!(complete("up", "ABANDON").0, 200);
    assert_eq!(aws.group_state(), "Terminating:Proceed");
    aws.begin_launch();
    aws.expire_hooks();
    assert_eq!(complete("up", "CONTINUE").0, 400);

    let done: Vec<_> = aws
        .hook_completions()
        .into_iter()
        .filter(|call| call.refusal.is_none())
        .collect();
    let done: Vec<_> = done
        .iter()
        .map(|call| (&*call.hook, &*call.result, &*call.instance))
        .collect();
    assert_eq!(
        done,
        [
            ("up", "CONTINUE", me),
            ("down", "CONTINUE", me),
            ("up", "CONTINUE", me),
            ("up", "ABANDON", me)
        ]
    );
    let beats: Vec<_> = aws
        .heartbeats()
        .into_iter()
        .map(|beat| (beat.hook, beat.refusal.is_none()))
        .collect();
    assert_eq!(
        beats,
        [("up".into(), true), ("up".into(), false), ("down".into(), true)]
    );
    aws.faults(&[
        AwsFault::nonsense("CompleteLifecycleAction"),
        AwsFault::error("RecordLifecycleActionHeartbeat", "AccessDenied"),
    ]);
    assert!(complete("up", "CONTINUE").1.contains("It works!"));
    assert!(beat("up").1.contains("AccessDenied"));
}

#[test]
fn a_group_has_members_with_health() {
    let (aws, identity) = (Aws::alone(), Identity::new(77_005));
    aws.identify(&identity);
    let me = identity.instance_id.as_str();
    let ask = |op: &str, params: &[(&str, &str)]| query(&aws, "autoscaling", op, params);
    let mine = [("InstanceIds.member.1", me)];
    let (status, text) = ask("DescribeAutoScalingInstances", &mine);
    assert!(
        status == 200 && text.contains("<AutoScalingInstances></AutoScalingInstances>"),
        "{text}"
    );

    let group = Group::new("shop")
        .launch_hook("up")
        .other("i-other", true, "InService")
        .balancer("arn:x")
        .balancer("old");
    aws.group(group);
    let (_, text) = ask("DescribeAutoScalingInstances", &mine);
    assert!(
        text.contains("<AutoScalingGroupName>shop</AutoScalingGroupName>") && text.contains("Pending:Wait"),
        "{text}"
    );
    assert!(!text.contains("i-other"));
    let (_, text) = ask("DescribeLifecycleHooks", &[("AutoScalingGroupName", "shop")]);
    assert!(text.contains("autoscaling:EC2_INSTANCE_LAUNCHING"), "{text}");
    aws.member("i-third", false, "InService");
    aws.remove_member("i-other");
    let (_, text) = ask(
        "DescribeAutoScalingGroups",
        &[("AutoScalingGroupNames.member.1", "shop")],
    );
    assert!(
        text.contains("i-third") && text.contains(me) && !text.contains("i-other"),
        "{text}"
    );
    assert!(
        text.contains("<DesiredCapacity>2<")
            && text.contains("<member>arn:x<")
            && text.contains("<member>old<"),
        "{text}"
    );
    assert!(
        ask(
            "DescribeAutoScalingGroups",
            &[("AutoScalingGroupNames.member.1", "x")]
        )
        .1
        .contains("Groups></Auto")
    );

    let report = |respect: Option<&str>| {
        let mut params = vec![("InstanceId", me), ("HealthStatus", "Unhealthy")];
        params.extend(respect.map(|value| ("ShouldRespectGracePeriod", value)));
        ask("SetInstanceHealth", &params).0
    };
    aws.group(Group::new("shop").in_grace_period());
    assert_eq!((report(None), aws.group_healthy()), (200, true));
    assert_eq!((report(Some("false")), aws.group_healthy()), (200, false));
    let seen: Vec<_> = aws
        .health_reports()
        .into_iter()
        .map(|report| (report.status, report.respects_grace))
        .collect();
    assert_eq!(seen, [("Unhealthy".into(), true), ("Unhealthy".into(), false)]);
    let (status, _) = ask(
        "SetInstanceHealth",
        &[("InstanceId", "i-none"), ("HealthStatus", "Unhealthy")],
    );
    assert!(status == 400 && !aws.health_reports()[2].known);
    for op in [
        "SetInstanceHealth",
        "DescribeAutoScalingInstances",
        "DescribeAutoScalingGroups",
        "DescribeLifecycleHooks",
    ] {
        aws.faults(&[AwsFault::error(op, "Throttling").status(503)]);
        assert_eq!(ask(op, &mine).0, 503, "{op}");
    }
}
