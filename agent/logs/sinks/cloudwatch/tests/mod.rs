//! The sink and a stand-in of AWS that has its limits: calls, faults and what arrived.

mod speed;

use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::retry::RetryConfig;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Config, Credentials, Region};
use monopod_core::logs::{LogPlan, Origin, Route, StreamName, Target, Treatment};
use monopod_core::text;
use monopod_testrig::{Aws, AwsFault, LogBatch};

use super::*;
use crate::logs::testing::{Rig, retrying, sink, soon, until};
use crate::logs::{Drained, Options, Shipper, SinkState, SinkStatus};

const STREAM: &str = "i-0123456789abcdef0";
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

/// A container's log, and AWS.
struct Far {
    aws: Aws,
    rig: Rig,
    group: String,
    written: Vec<String>,
    endpoint: String,
    /// How long the client waits for an answer.
    patience: Duration,
}

impl Far {
    fn new(group: impl FnOnce(&Aws) -> String) -> Self {
        let aws = Aws::alone();
        Self {
            group: group(&aws),
            endpoint: aws.endpoint(),
            aws,
            rig: Rig::new(),
            written: Vec::new(),
            patience: Duration::from_secs(10),
        }
    }

    /// With the group there.
    fn ready() -> Self {
        Self::new(|aws| aws.log_group("app"))
    }

    fn client(&self) -> Client {
        let timeouts = TimeoutConfig::builder().operation_timeout(self.patience).build();
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new(
                self.aws.access_key(),
                "secret",
                None,
                None,
                "test",
            ))
            .endpoint_url(&self.endpoint)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts);
        Client::from_conf(config.build())
    }

    fn options(&self) -> Options {
        let options = self.rig.options();
        let route = Route {
            stream: StreamName::Applog,
            origin: Origin::Application,
            target: Target::CloudWatch {
                group: self.group.clone(),
            },
            treatment: Treatment::default(),
        };
        Options {
            application_log: None,
            plan: LogPlan {
                routes: vec![route],
                ..options.plan
            },
            attributes: Attributes {
                region: "eu-central-1".into(),
                instance_id: STREAM.into(),
                ..options.attributes
            },
            ..options
        }
    }

    /// The client is there before the first line is: nothing is read until the container is followed.
    async fn start(&self) -> Shipper {
        let shipper = Shipper::start(self.options()).await.unwrap();
        shipper.shared.cloudwatch.set(self.client());
        shipper.follow("c1", self.rig.engine.path()).await.unwrap();
        shipper
    }

    fn line(&mut self, stream: &str, time: u64, line: &str) {
        let time = format!(
            "{}.{:03}Z",
            text::timestamp(time / 1000).trim_end_matches('Z'),
            time % 1000
        );
        let record = serde_json::json!({"log": format!("{line}\n"), "stream": stream, "time": time});
        self.rig.engine.raw(&format!("{record}\n"));
        self.written.push(line.to_owned());
    }

    /// Lines with a number, written now.
    fn lines(&mut self, count: usize, width: usize) {
        for _ in 0..count {
            let number = self.written.len();
            self.line("stdout", now_millis(), &format!("line {number:0width$}"));
        }
    }

    fn arrived(&self) -> Vec<String> {
        let events = self.aws.log_events(&self.group, STREAM);
        events.into_iter().map(|(_, message)| message).collect()
    }

    /// With the stream there too, and one line in it.
    async fn begun() -> (Self, Shipper) {
        let mut far = Self::ready();
        far.lines(1, 0);
        let shipper = far.start().await;
        complete(&shipper).await;
        (far, shipper)
    }

    /// Everything that was written and that many lines of our own behind it.
    async fn arrived_with_markers(&self, lines: usize) -> Vec<String> {
        until("markers", || self.arrived().len() >= lines).await;
        self.arrived()
    }

    /// Calls that were judged; none of them broke a limit.
    fn calls(&self) -> Vec<LogBatch> {
        let calls = self.aws.put_log_calls();
        let missing = "does not exist";
        let refused = calls
            .iter()
            .find(|call| call.error.as_ref().is_some_and(|error| !error.contains(missing)));
        assert!(refused.is_none(), "{refused:?}");
        calls.into_iter().filter(|call| call.error.is_none()).collect()
    }
}

async fn complete(shipper: &Shipper) -> SinkStatus {
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    sink(shipper, "cloudwatch")
}

#[tokio::test]
async fn group_and_stream_are_made_once() {
    let mut far = Far::new(|aws| aws.log_group_name("new"));
    far.lines(500, 0);
    far.line("stdout", now_millis(), "{\"level\":\"info\",\"text\":\"ü\"}");
    let shipper = far.start().await;
    assert_eq!(complete(&shipper).await.delivered, 501);
    assert_eq!(far.arrived(), far.written);
    assert_eq!(far.aws.log_streams(&far.group).unwrap(), [STREAM]);
    shipper.stop(soon()).await;
    let shipper = far.start().await;
    far.lines(1, 0);
    complete(&shipper).await;
    assert_eq!(far.arrived(), far.written);
    let made = ["CreateLogGroup", "CreateLogStream", "PutLogEvents"].map(|op| far.aws.count(op));
    assert_eq!(made, [1, 2, 3], "a stream that is there costs no call");
}

#[tokio::test]
async fn what_is_deleted_later_is_made_again() {
    let mut far = Far::ready();
    let shipper = far.start().await;
    far.lines(1, 0);
    complete(&shipper).await;
    let client = far.client();
    let stream = client.delete_log_stream().log_group_name(&far.group);
    stream.log_stream_name(STREAM).send().await.unwrap();
    far.lines(1, 0);
    complete(&shipper).await;
    assert_eq!(far.aws.log_streams(&far.group).unwrap(), [STREAM]);
    client
        .delete_log_group()
        .log_group_name(&far.group)
        .send()
        .await
        .unwrap();
    // Another machine makes it at the same moment.
    far.aws.faults(&[
        AwsFault::error("CreateLogGroup", "OperationAbortedException").times(1),
        AwsFault::error("CreateLogGroup", "ResourceAlreadyExistsException").times(1),
    ]);
    far.lines(1, 0);
    until("an outage", || sink(&shipper, "cloudwatch").failures >= 2).await;
    let status = complete(&shipper).await;
    assert_eq!((status.state, status.failures), (SinkState::Ok, 2));
    assert_eq!(far.aws.count("CreateLogGroup"), 3);
    assert_eq!(far.arrived(), far.written);
}

#[tokio::test]
async fn a_group_that_may_not_be_made_is_said() {
    let mut far = Far::new(|aws| aws.log_group_name("theirs"));
    far.aws
        .faults(&[AwsFault::error("CreateLogGroup", "AccessDeniedException")]);
    far.lines(10, 0);
    let shipper = far.start().await;
    let refused = || matches!(sink(&shipper, "cloudwatch").state, SinkState::Refused { .. });
    until("a refusal", refused).await;
    let status = sink(&shipper, "cloudwatch");
    let error = status.last_error.unwrap();
    let said = format!(
        "CreateLogGroup for stream {STREAM} of log group {} in eu-central-1",
        far.group
    );
    assert!(error.starts_with(&said), "{error}");
    assert!(
        error.ends_with("make it, or allow the instance profile logs:CreateLogGroup"),
        "{error}"
    );
    let _made = far.aws.log_group("theirs");
    let status = complete(&shipper).await;
    assert_eq!((status.delivered, status.lost), (10, 0));
    assert_eq!(far.arrived(), far.written);
}

#[tokio::test]
async fn a_name_that_cannot_be_loses_nothing() {
    let mut far = Far::ready();
    let said = "1 validation error detected: Value 'a b' at 'logGroupName' failed to satisfy constraint";
    let fault = AwsFault::error("PutLogEvents", "InvalidParameterException").message(said);
    far.aws.faults(&[fault.times(1)]);
    far.lines(10, 0);
    let shipper = far.start().await;
    until("a refusal", || retrying(&shipper, "cloudwatch")).await;
    let status = complete(&shipper).await;
    assert!(
        status
            .last_error
            .unwrap()
            .ends_with("check the group's name in the user data")
    );
    assert_eq!((status.delivered, status.lost), (10, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bursts_keep_the_limits() {
    let mut far = Far::ready();
    far.lines(12_000, 200);
    for _ in 0..25_000 {
        far.line("stdout", now_millis(), "");
    }
    for letter in ["x", "ü", "\u{1}"] {
        far.line("stderr", now_millis(), &letter.repeat(100 * 1024));
    }
    far.lines(500, 0);
    let shipper = far.start().await;
    assert_eq!(complete(&shipper).await.delivered, 37_503);
    let mut expected = far.written.clone();
    expected
        .iter_mut()
        .filter(|line| line.is_empty())
        .for_each(|line| line.push(' '));
    assert!(far.arrived() == expected, "all of them, in order");
    let calls = far.calls();
    assert!(
        calls.iter().any(|call| call.bytes > 900 * 1024),
        "large by bytes: {calls:?}"
    );
    assert!(
        calls.iter().any(|call| call.events > 9_000),
        "large by events: {calls:?}"
    );
}

#[tokio::test]
async fn old_new_and_scattered_times() {
    let mut far = Far::new(|aws| aws.log_group_kept("short", 7));
    let now = now_millis();
    for (stream, time, line) in [
        ("stdout", now - 20 * DAY, "too old"),
        ("stdout", now - 9 * DAY, "expired"),
        ("stdout", now - 3 * DAY, "1"),
        ("stderr", now - 2 * DAY - HOUR, "2"),
        ("stdout", now - DAY - 10, "3"),
        ("stderr", now - 50, "5"),
        ("stdout", now - 90, "4"),
        ("stderr", now + 5 * HOUR, "too new"),
    ] {
        far.line(stream, time, line);
    }
    let shipper = far.start().await;
    let status = complete(&shipper).await;
    let arrived = far.arrived_with_markers(7).await;
    assert_eq!(arrived[..5], ["1", "2", "3", "4", "5"]);
    let why = ["2 log lines lost between", "1 log line lost between"];
    assert!(
        arrived[5].contains(why[0]) && arrived[6].contains(why[1]),
        "{arrived:?}"
    );
    assert_eq!(
        (arrived.len(), status.delivered, status.lost, status.lost_exact),
        (7, 5, 3, true)
    );
    let days = far
        .calls()
        .iter()
        .map(|call| (call.events, call.stored))
        .collect::<Vec<_>>();
    assert_eq!(days, [(1, 0), (2, 2), (3, 3), (2, 2)]);
}

#[tokio::test]
async fn what_is_too_old_is_told_by_a_marker_of_now() {
    let (mut far, shipper) = Far::begun().await;
    far.line("stdout", now_millis() - 15 * DAY, "old");
    let status = complete(&shipper).await;
    assert_eq!((status.delivered, status.lost), (1, 1));
    far.arrived_with_markers(2).await;
    let marker = far.aws.log_events(&far.group, STREAM).pop().unwrap();
    assert!(marker.1.starts_with("monopod: 1 log line lost"), "{marker:?}");
    assert!(
        u64::try_from(marker.0).unwrap() > now_millis() - HOUR,
        "{marker:?}"
    );
    assert_eq!(far.calls().len(), 2, "the line itself was not sent");
}

#[tokio::test]
async fn a_lost_answer_costs_one_batch_twice() {
    let (mut far, shipper) = Far::begun().await;
    shipper.stop(soon()).await;
    far.lines(3_000, 100);
    far.aws.faults(&[AwsFault::lost("PutLogEvents").times(2)]);
    let shipper = far.start().await;
    let status = complete(&shipper).await;
    let (calls, arrived) = (far.calls(), far.arrived());
    let batch = calls[1].events;
    assert_eq!((status.delivered, arrived.len()), (3_000, 3_001 + 2 * batch));
    assert_eq!(arrived[1..=batch], arrived[1 + batch..=2 * batch]);
    assert_eq!(arrived[1 + 2 * batch..], far.written[1..]);
    assert!(batch <= 10_000);
}

/// The batch is there and no cursor says so: twice with the answer on its way, then somewhere between parcels.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_costs_one_parcel() {
    let (mut far, shipper) = Far::begun().await;
    shipper.stop(soon()).await;
    let mut all = 0;
    for wanted in [1, 1, 2, 2] {
        let before = far.calls().len();
        if wanted == 1 {
            far.aws.line().throttle(1);
        } else {
            far.aws
                .faults(&[AwsFault::slow("PutLogEvents", Duration::from_millis(150))]);
        }
        far.lines(12_000, 200);
        let shipper = far.start().await;
        until("batches", || far.calls().len() >= before + wanted).await;
        drop(shipper);
        far.aws.line().heal();
        far.aws.line().sever();
        far.aws.faults(&[]);
        let shipper = far.start().await;
        complete(&shipper).await;
        shipper.stop(soon()).await;
        let largest = far.calls()[before..]
            .iter()
            .map(|call| call.events)
            .max()
            .unwrap();
        let twice = far.arrived().len() - far.written.len() - all;
        assert!(
            twice <= largest && (wanted == 2 || twice > 0),
            "{twice} of {largest}"
        );
        all += twice;
    }
    let mut unique = far.arrived();
    unique.sort_unstable();
    unique.dedup();
    assert!(unique == far.written, "nothing lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn away_at_the_start_gone_in_the_middle_and_half_open() {
    let mut far = Far::ready();
    far.patience = Duration::from_millis(500);
    far.aws.line().down();
    far.lines(100, 0);
    let shipper = far.start().await;
    until("an outage", || retrying(&shipper, "cloudwatch")).await;
    far.aws.line().up();
    assert_eq!(complete(&shipper).await.delivered, 100);
    far.aws.faults(&[AwsFault::cut("PutLogEvents").times(2)]);
    far.lines(100, 0);
    assert_eq!(complete(&shipper).await.delivered, 200);
    assert_eq!(far.arrived(), far.written, "cut before the stand-in looked at it");
    far.aws.line().stall();
    far.lines(100, 0);
    until("an outage", || retrying(&shipper, "cloudwatch")).await;
    let error = sink(&shipper, "cloudwatch").last_error.unwrap();
    assert!(
        error.contains("has no answer: ") && error.contains("timeout"),
        "{error}"
    );
    far.aws.line().heal();
    far.aws.line().sever();
    assert_eq!(complete(&shipper).await.delivered, 300);
    assert!(sink(&shipper, "cloudwatch").state == SinkState::Ok);
}

#[tokio::test]
async fn throttling_is_waited_out() {
    let mut far = Far::ready();
    far.aws.faults(&[
        AwsFault::error("PutLogEvents", "ThrottlingException").times(1),
        AwsFault::error("PutLogEvents", "ServiceUnavailableException")
            .status(500)
            .times(1),
    ]);
    far.lines(10, 0);
    let shipper = far.start().await;
    until("an outage", || retrying(&shipper, "cloudwatch")).await;
    assert!(matches!(
        sink(&shipper, "cloudwatch").state,
        SinkState::Retrying { .. }
    ));
    let status = complete(&shipper).await;
    assert_eq!((status.delivered, status.failures), (10, 2));
    assert_eq!(far.arrived(), far.written);
}

#[tokio::test]
async fn a_line_that_aws_never_takes_holds_nobody_up() {
    let mut far = Far::ready();
    let refusal =
        || AwsFault::error("PutLogEvents", "InvalidParameterException").message("Log event too large: x");
    // Of 100 lines at last the first alone, which is given up; of the other lines none.
    far.aws.faults(&[refusal().times(8)]);
    far.lines(100, 0);
    let shipper = far.start().await;
    let status = complete(&shipper).await;
    assert_eq!((status.delivered, status.lost, status.failures), (99, 1, 0));
    let arrived = far.arrived_with_markers(100).await;
    assert_eq!(arrived[..99], far.written[1..]);
    assert!(
        arrived[99].ends_with("CloudWatch Logs refused them: Log event too large: x"),
        "{}",
        arrived[99]
    );
}

#[tokio::test]
async fn lines_linger_and_a_stop_does_not() {
    let (mut far, shipper) = Far::begun().await;
    let began = Instant::now();
    for _ in 0..5 {
        far.lines(1, 0);
        let behind = || sink(&shipper, "cloudwatch").behind_bytes > 0;
        until("a line that was read", behind).await;
    }
    until("lines", || far.arrived().len() == 6).await;
    assert!(began.elapsed() >= LINGER);
    complete(&shipper).await;
    assert_eq!(far.calls().len(), 2);
    far.lines(1, 0);
    until("a line that was read", || {
        sink(&shipper, "cloudwatch").behind_bytes > 0
    })
    .await;
    let began = Instant::now();
    shipper.stop(soon()).await;
    assert!(began.elapsed() < LINGER);
    assert_eq!(far.arrived(), far.written);
}
