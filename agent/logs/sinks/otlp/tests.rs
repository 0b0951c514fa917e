//! The whole way, from an engine's file to a receiver that judges by the protocol's own schema, and what goes wrong on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use monopod_core::logs::{LogKey, Treatment};
use monopod_core::secret::Secret;
use monopod_testrig::{OTLP_TOKEN, OtlpFault, OtlpServer, Where};

use super::*;
use crate::logs::routes::attach;
use crate::logs::testing::{Rig, retrying, sink, until};
use crate::logs::{Drained, Options, Shipper, SinkState};

const LONG: Duration = Duration::from_secs(60);

/// Keys that are wrong as often as said, and how often somebody asked.
fn keys(wrong: usize) -> (Keys, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keys = Keys::new(move |_| {
        let key = match count.fetch_add(1, Ordering::SeqCst) < wrong {
            true => "Bearer canary-wrong-key".to_owned(),
            false => format!("Bearer {OTLP_TOKEN}\n"),
        };
        Box::pin(async move { Ok(Secret::new(key)) })
    });
    (keys, asked)
}

fn otlp(server: &OtlpServer, keys: Keys) -> Otlp {
    let target = OtlpTarget {
        endpoint: server.url(),
        headers: vec![(
            "Authorization".into(),
            LogKey::UserData("otlp.headers.Authorization".into()),
        )],
    };
    let transport = Transport::new(&target, Signal::Logs, keys).patience(Duration::from_secs(1));
    Otlp::to(transport, None, &attributes())
}

fn attributes() -> Attributes {
    Attributes {
        application_id: "my-app".into(),
        instance_id: "i-1".into(),
        ..Attributes::default()
    }
}

async fn start(rig: &Rig, sink: Otlp) -> Shipper {
    let options = Options {
        application_log: None,
        attributes: attributes(),
        ..rig.options()
    };
    let shipper = Shipper::start(options).await.unwrap();
    attach(&shipper, sink, Treatment::default());
    shipper.follow("c1", rig.engine.path()).await.unwrap();
    shipper
}

async fn started(rig: &Rig, server: &OtlpServer) -> Shipper {
    start(rig, otlp(server, keys(0).0)).await
}

async fn drained(shipper: &Shipper) {
    assert_eq!(shipper.drain(Instant::now() + LONG).await, Drained::Complete);
}

fn expected(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("line {number}")).collect()
}

fn write(rig: &mut Rig, from: usize, to: usize) {
    for number in from..=to {
        rig.engine.write(&format!("line {number}"));
    }
}

#[tokio::test]
async fn every_line_once_over_a_restart_and_by_the_schema() {
    let server = OtlpServer::start(Where::Host);
    server.asks_for_token();
    let mut rig = Rig::new();
    write(&mut rig, 1, 5_000);
    let shipper = started(&rig, &server).await;
    drained(&shipper).await;
    rig.engine.rotate();
    write(&mut rig, 5_001, 5_500);
    shipper.stop(Instant::now() + LONG).await;
    write(&mut rig, 5_501, 6_000);
    rig.engine.record("oops\n", "stderr");
    let shipper = started(&rig, &server).await;
    drained(&shipper).await;
    let mut all = expected(6_000);
    all.push("oops".into());
    assert_eq!(server.texts(), all);
    assert_eq!(server.problems(), Vec::<String>::new());
    let records = server.records();
    let last = records.last().unwrap();
    assert_eq!(last["attributes"][0]["value"]["stringValue"], "stderr");
    assert_eq!(last["timeUnixNano"], "1767323045000006001");
    let resource = last["resource"].to_string();
    for part in ["my-app", "service.instance.id", "container.id", "c1"] {
        assert!(resource.contains(part), "{part} in {resource}");
    }
    assert!(
        server
            .requests()
            .iter()
            .all(|one| one.body.to_string().len() < 2_000_000)
    );
}

#[tokio::test]
async fn away_at_start_and_back() {
    let server = OtlpServer::start(Where::Host);
    server.down();
    let mut rig = Rig::new();
    write(&mut rig, 1, 300);
    let shipper = started(&rig, &server).await;
    until("an outage", || retrying(&shipper, "otlp")).await;
    let error = sink(&shipper, "otlp").last_error.unwrap();
    assert!(
        error.starts_with(&format!("cannot send to {}/v1/logs: ", server.url())),
        "{error}"
    );
    server.up();
    drained(&shipper).await;
    assert_eq!(server.texts(), expected(300));
    assert_eq!(sink(&shipper, "otlp").state, SinkState::Ok);
}

#[tokio::test]
async fn what_passes_is_waited_for_and_nothing_is_lost() {
    for fault in [
        OtlpFault::answer(503).times(2),
        OtlpFault::answer(500).times(2),
        OtlpFault::cut().times(2),
        OtlpFault::slow(Duration::from_millis(1_500)).times(1),
    ] {
        let server = OtlpServer::start(Where::Host);
        server.faults(&[fault]);
        let mut rig = Rig::new();
        write(&mut rig, 1, 100);
        let shipper = started(&rig, &server).await;
        drained(&shipper).await;
        // A slow one is taken, too, only too late: then the far end has it twice.
        let texts: Vec<String> = server.texts().into_iter().take(100).collect();
        assert_eq!(texts, expected(100));
        assert!(sink(&shipper, "otlp").failures >= 1);
        assert_eq!(sink(&shipper, "otlp").lost, 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_costs_one_parcel_twice() {
    let server = OtlpServer::start(Where::Host);
    server.faults(&[OtlpFault::lost().times(1)]);
    let mut rig = Rig::new();
    write(&mut rig, 1, 100);
    let shipper = started(&rig, &server).await;
    drained(&shipper).await;
    let texts = server.texts();
    assert_eq!(texts.len(), 200);
    assert_eq!(texts[100..], expected(100));
    let requests = server.requests();
    assert_eq!(requests[0].body, requests[1].body, "the same bytes again");
}

#[tokio::test]
async fn whoever_asks_for_a_pause_gets_it() {
    let server = OtlpServer::start(Where::Host);
    server.faults(&[OtlpFault::retry_after(429, 4).times(1)]);
    let mut rig = Rig::new();
    write(&mut rig, 1, 10);
    let shipper = started(&rig, &server).await;
    let begun = Instant::now();
    drained(&shipper).await;
    // The usual wait is a second at most.
    assert!(begun.elapsed() >= Duration::from_secs(4), "{:?}", begun.elapsed());
    assert_eq!(server.texts(), expected(10));
}

#[tokio::test]
async fn a_partial_success_is_a_gap_with_its_number() {
    let server = OtlpServer::start(Where::Host);
    server.faults(&[OtlpFault::partial(3).times(1)]);
    let mut rig = Rig::new();
    write(&mut rig, 1, 10);
    let shipper = started(&rig, &server).await;
    drained(&shipper).await;
    let marker = server.wait_for("monopod: 3 log lines lost", LONG);
    assert!(
        marker["body"]["stringValue"]
            .as_str()
            .unwrap()
            .contains("too old"),
        "{marker}"
    );
    assert_eq!(marker["attributes"][0]["key"], "monopod.gap");
    assert_eq!(marker["severityText"], "WARN");
    assert_eq!(sink(&shipper, "otlp").lost, 3);
    assert_eq!(server.texts()[..7], expected(7));
    assert_eq!(server.problems(), Vec::<String>::new());
}

#[tokio::test]
async fn a_line_that_is_never_taken_is_a_gap_and_the_others_go_on() {
    for status in [400, 413] {
        let server = OtlpServer::start(Where::Host);
        server.faults(&[OtlpFault::answer(status).with("poison")]);
        let mut rig = Rig::new();
        write(&mut rig, 1, 50);
        rig.engine.write("poison");
        write(&mut rig, 51, 100);
        let shipper = started(&rig, &server).await;
        drained(&shipper).await;
        drop(server.wait_for("monopod: 1 log line lost", LONG));
        let mut texts = server.texts();
        texts.retain(|text| text.starts_with("line "));
        assert_eq!(texts, expected(100), "{status}");
        assert!(server.texts().contains(&STAND_IN.to_owned()));
        assert_eq!(sink(&shipper, "otlp").lost, 1);
    }
}

#[tokio::test]
async fn whoever_takes_nothing_at_all_costs_no_line() {
    let server = OtlpServer::start(Where::Host);
    server.faults(&[OtlpFault::answer(400)]);
    let mut rig = Rig::new();
    write(&mut rig, 1, 20);
    let shipper = started(&rig, &server).await;
    until("a refusal", || {
        sink(&shipper, "otlp")
            .last_error
            .is_some_and(|error| error.contains("takes no other line either"))
    })
    .await;
    assert_eq!(sink(&shipper, "otlp").lost, 0);
    server.faults(&[]);
    drained(&shipper).await;
    assert_eq!(server.texts(), expected(20));
}

#[tokio::test]
async fn a_header_that_is_refused_is_fetched_again_and_never_shown() {
    let server = OtlpServer::start(Where::Host);
    server.asks_for_token();
    let mut rig = Rig::new();
    write(&mut rig, 1, 20);
    let (keys, asked) = keys(1);
    let shipper = start(&rig, otlp(&server, keys)).await;
    until("a refusal", || sink(&shipper, "otlp").last_error.is_some()).await;
    let error = sink(&shipper, "otlp").last_error.unwrap();
    assert!(
        error.contains("HTTP 401") && error.contains("`otlp.headers`"),
        "{error}"
    );
    assert!(!error.contains("canary"), "{error}");
    drained(&shipper).await;
    assert_eq!(server.texts(), expected(20));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}
