//! The whole way, from an engine's file to a stand-in of Scalyr's, and what goes wrong on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use monopod_core::logs::{Attributes, Line, LogKey, ScalyrTarget, Stream, StreamName, Treatment};
use monopod_core::secret::Secret;
use monopod_testrig::{SCALYR_TOKEN, Scalyr as Server, ScalyrFault, Where};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::about::About;
use super::transport::Transport;
use super::*;
use crate::logs::routes::attach;
use crate::logs::testing::{Rig, retrying, sink, soon, until};
use crate::logs::{Drained, Options, Shipper, SinkState};

/// Keys that are wrong as often as said, and how often somebody asked.
fn keys(wrong: usize) -> (Keys, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keys = Keys::new(move |_| {
        let key = if count.fetch_add(1, Ordering::SeqCst) < wrong {
            "canary-wrong-key"
        } else {
            SCALYR_TOKEN
        };
        Box::pin(async move { Ok(Secret::new(key.into())) })
    });
    (keys, asked)
}

fn scalyr(endpoint: &str, keys: Keys) -> Scalyr {
    let target = ScalyrTarget {
        key: LogKey::UserData("scalyr_account_key".into()),
        region: "eu".into(),
        parser: "slf4j".into(),
    };
    let attributes = Attributes {
        application_id: "my-app".into(),
        ..Attributes::default()
    };
    let about = About::new(&target, StreamName::Applog, None, &attributes);
    let transport = Transport::new(endpoint).patience(Duration::from_secs(1));
    Scalyr::to(transport, about, target.key, keys)
}

async fn start(rig: &Rig, sink: Scalyr) -> Shipper {
    let options = Options {
        application_log: None,
        ..rig.options()
    };
    let shipper = Shipper::start(options).await.unwrap();
    attach(&shipper, sink, Treatment::default());
    shipper.follow("c1", rig.engine.path()).await.unwrap();
    shipper
}

fn messages(server: &Server) -> Vec<String> {
    let text = |event: &monopod_testrig::ScalyrEvent| event.attrs["message"].as_str().unwrap().to_owned();
    server.events().iter().map(text).collect()
}

async fn drained(shipper: &Shipper) {
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
}

#[tokio::test]
async fn lines_arrive_with_all_that_is_known_of_them() {
    let server = Server::start(Where::Host);
    let mut rig = Rig::new();
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    rig.write(3_000);
    rig.engine.record(&format!("{}\n", "x".repeat(120_000)), "stderr");
    drained(&shipper).await;
    let mut expected = rig.numbered_lines();
    expected.pop();
    let messages = messages(&server);
    assert_eq!(messages[..3_000], expected);
    let long = messages[3_000..].join("|").replace(" [monopod: continues]|", "");
    assert_eq!((messages.len(), long), (3_003, "x".repeat(120_000)));
    let event = &server.events()[0];
    assert_eq!(event.session_info["serverHost"], "my-app");
    assert_eq!(event.log["attrs"]["logfile"], "/var/log/application.log");
    assert_eq!(event.log["attrs"]["parser"], "slf4j");
    assert_eq!(event.ts, 1_767_323_045_000_000_001);
    assert_eq!(server.sessions().len(), 1);
    assert_eq!(sink(&shipper, "scalyr").delivered, 3_001);
}

#[tokio::test]
async fn megabytes_go_in_requests_of_a_megabyte() {
    let server = Server::start(Where::Host);
    let mut rig = Rig::new();
    let filler = "y".repeat(1_000);
    for number in 0..4_000 {
        rig.engine.write(&format!("{number} {filler}"));
    }
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    drained(&shipper).await;
    assert_eq!(messages(&server).len(), 4_000);
    let sizes: Vec<usize> = server.requests().iter().map(|request| request.bytes).collect();
    assert!((5..=7).contains(&sizes.len()), "{sizes:?}");
    assert!(sizes.iter().all(|size| *size <= BODY + 1_000), "{sizes:?}");
}

#[tokio::test]
async fn away_at_start_busy_and_back() {
    let server = Server::start(Where::Host);
    server.down();
    let mut rig = Rig::new();
    rig.write(500);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    until("an outage", || retrying(&shipper, "scalyr")).await;
    let error = sink(&shipper, "scalyr").last_error.unwrap();
    assert!(error.contains("cannot send to Scalyr at 127.0.0.1"), "{error}");
    server.faults(&[
        ScalyrFault::cut().times(1),
        ScalyrFault::answer(200, "error/server/backoff").times(1),
        ScalyrFault::answer(503, "error/server").times(1),
    ]);
    server.up();
    drained(&shipper).await;
    assert_eq!(messages(&server), rig.numbered_lines());
    assert_eq!(sink(&shipper, "scalyr").state, SinkState::Ok);
    let statuses: Vec<String> = server
        .requests()
        .into_iter()
        .map(|request| request.status)
        .collect();
    assert_eq!(
        statuses,
        ["cut", "error/server/backoff", "error/server", "success"]
    );
}

#[tokio::test]
async fn a_wrong_key_is_told_and_fetched_again() {
    let server = Server::start(Where::Host);
    let mut rig = Rig::new();
    rig.write(10);
    let (keys, asked) = keys(1);
    let shipper = start(&rig, scalyr(&server.url(), keys)).await;
    let refused = |shipper: &Shipper| matches!(sink(shipper, "scalyr").state, SinkState::Refused { .. });
    until("a refusal", || refused(&shipper)).await;
    let status = sink(&shipper, "scalyr");
    let error = status.last_error.clone().unwrap();
    assert!(error.contains("error/client/noPermission"), "{error}");
    assert!(error.contains("scalyr_account_key"), "{error}");
    assert!(
        !format!("{status:?} {shipper:?}").contains("canary"),
        "{status:?}"
    );
    until("the other key", || server.events().len() == 10).await;
    assert_eq!((asked.load(Ordering::SeqCst), server.requests().len()), (2, 2));
    assert_eq!(messages(&server), rig.numbered_lines());
    rig.write(10);
    drained(&shipper).await;
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a key that works is kept");
}

/// A server that insists that times go on gets the lines once more: those of this one parcel, and no others.
#[tokio::test]
async fn a_lost_answer_costs_one_parcel_twice_where_times_must_go_on() {
    let server = Server::start(Where::Host);
    server.faults(&[ScalyrFault::lost().times(1)]);
    let mut rig = Rig::new();
    rig.write(700);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    until("the parcel again", || server.events().len() >= 1_400).await;
    rig.write(300);
    drained(&shipper).await;
    let mut expected = rig.numbered_lines();
    expected.splice(0..0, rig.numbered_lines()[..700].to_vec());
    assert_eq!(messages(&server), expected);
    assert_eq!(server.sessions().len(), 2);
    assert_eq!(sink(&shipper, "scalyr").delivered, 1_000);
}

/// Takes one request after the other and answers none but the last: what a server sees that knows events again.
#[tokio::test]
async fn another_attempt_has_the_same_bytes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut rig = Rig::new();
    rig.write(100);
    let shipper = start(&rig, scalyr(&endpoint, keys(0).0)).await;
    let mut requests = Vec::new();
    let mut late = String::new();
    for attempt in 0..3 {
        let mut stream = accept(&listener).await;
        let request = read_request(&mut stream).await;
        requests.push(request.split_once("\r\n\r\n").unwrap().1.to_owned());
        match attempt {
            // Cut, then nothing at all, then taken.
            0 => drop(stream),
            1 => drop(stream.read_to_string(&mut late).await),
            _ => {
                succeed(&mut stream).await;
                drained(&shipper).await;
            }
        }
    }
    assert!(requests[0].contains("line 100"));
    assert!(requests.iter().all(|request| *request == requests[0]));
    assert_eq!(sink(&shipper, "scalyr").delivered, 100);
}

async fn succeed(stream: &mut tokio::net::TcpStream) {
    let body = r#"{"status":"success"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.unwrap();
}

/// A request is out; its answer comes when the pump has heard of another line, perhaps of a drain, too.
async fn news_while_a_request_is_out(drain: bool) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut rig = Rig::new();
    rig.write(1);
    let shipper = start(&rig, scalyr(&endpoint, keys(0).0)).await;
    let mut stream = accept(&listener).await;
    read_request(&mut stream).await;
    let behind = sink(&shipper, "scalyr").behind_bytes;
    rig.write(1);
    // New names are looked at at once, whatever else is going on: that can be seen from outside.
    rig.engine.rotate();
    let far_end = async {
        until("the news", || sink(&shipper, "scalyr").behind_bytes > behind).await;
        succeed(&mut stream).await;
        let second = read_request(&mut stream).await;
        succeed(&mut stream).await;
        assert!(second.contains("line 2"));
    };
    if drain {
        let (drained, ()) = tokio::join!(shipper.drain(soon()), far_end);
        assert_eq!(drained, Drained::Complete);
        assert_eq!(sink(&shipper, "scalyr").delivered, 2);
    } else {
        far_end.await;
        until("the answer", || sink(&shipper, "scalyr").delivered == 2).await;
    }
}

/// The container may be removed once a drain is complete.
#[tokio::test]
async fn a_drain_means_lines_that_came_while_a_request_was_out_too() {
    news_while_a_request_is_out(true).await;
}

#[tokio::test]
async fn lines_that_came_while_a_request_was_out_leave_without_others_behind_them() {
    news_while_a_request_is_out(false).await;
}

async fn accept(listener: &tokio::net::TcpListener) -> tokio::net::TcpStream {
    let accepted = tokio::time::timeout_at(soon(), listener.accept()).await;
    accepted.expect("a connection in time").unwrap().0
}

async fn read_request(stream: &mut tokio::net::TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut room = vec![0; 64 * 1024];
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1).unwrap();
            let length: usize = length.lines().next().unwrap().parse().unwrap();
            if body.len() >= length {
                return text.into_owned();
            }
        }
        let read = tokio::time::timeout_at(soon(), stream.read(&mut room)).await;
        let count = read.expect("a request in time").unwrap();
        assert!(count > 0, "a whole request");
        bytes.extend_from_slice(&room[..count]);
    }
}

#[tokio::test]
async fn discarded_lines_are_a_gap_in_the_stream() {
    let server = Server::start(Where::Host);
    server.faults(&[ScalyrFault::answer(200, "error/server/discardBuffer").times(1)]);
    let mut rig = Rig::new();
    rig.write(20);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    until("the marker", || !server.events().is_empty()).await;
    let marker = &server.events()[0];
    let text = marker.attrs["message"].as_str().unwrap();
    assert!(
        text.starts_with("monopod: 20 log lines lost between 2026-01-02T03:04:05.000000001Z"),
        "{text}"
    );
    assert!(text.contains("discardBuffer"), "{text}");
    assert_eq!(marker.sev, 4);
    let status = sink(&shipper, "scalyr");
    assert_eq!((status.delivered, status.lost, status.lost_exact), (0, 20, true));
}

#[tokio::test]
async fn a_kill_behind_the_request_costs_one_parcel_twice() {
    let server = Server::start(Where::Host);
    let mut rig = Rig::new();
    rig.write(400);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    drained(&shipper).await;
    // The request is taken, and its answer doesn't come before the kill.
    server.faults(&[ScalyrFault::lost().times(1), ScalyrFault::cut()]);
    rig.write(300);
    until("the second parcel", || server.events().len() == 700).await;
    until("an outage", || retrying(&shipper, "scalyr")).await;
    drop(shipper);
    server.faults(&[]);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    rig.write(300);
    drained(&shipper).await;
    let messages = messages(&server);
    let mut distinct = messages.clone();
    distinct.sort();
    distinct.dedup();
    let mut expected = rig.numbered_lines();
    expected.sort();
    assert_eq!(distinct, expected, "nothing is lost");
    let twice = messages.len() - distinct.len();
    assert_eq!(twice, 300, "the one parcel came twice");
}

#[tokio::test]
async fn a_slow_far_end_is_waited_for_but_not_for_ever() {
    let server = Server::start(Where::Host);
    server.faults(&[
        ScalyrFault::slow(Duration::from_millis(300)).times(1),
        ScalyrFault::slow(Duration::from_secs(3)).times(1),
    ]);
    let mut rig = Rig::new();
    rig.write(5);
    let shipper = start(&rig, scalyr(&server.url(), keys(0).0)).await;
    until("the first request", || server.events().len() == 5).await;
    assert_eq!(sink(&shipper, "scalyr").failures, 0);
    rig.write(5);
    until("an outage", || retrying(&shipper, "scalyr")).await;
    let error = sink(&shipper, "scalyr").last_error.unwrap();
    assert!(error.contains("no answer in time"), "{error}");
    drained(&shipper).await;
    assert!(messages(&server).contains(&"line 10".to_owned()));
}

fn give(sink: &mut Scalyr, texts: &[&str]) {
    let mut batch = Batch::default();
    for text in texts {
        batch.push(Line {
            time: "2026-01-02T03:04:05.000000001Z",
            stream: Stream::Stdout,
            text,
        });
    }
    sink.take(&mut batch);
}

#[tokio::test]
async fn a_send_that_is_given_up_loses_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut sink = scalyr(&endpoint, keys(0).0);
    give(&mut sink, &["one", "two"]);
    let first = tokio::select! {
        sent = sink.send() => panic!("{sent:?}"),
        request = async { read_request(&mut accept(&listener).await).await } => request,
    };
    assert!(matches!(sink.due(), Due::At(_)), "it is still to be sent");
    let again = async {
        let mut stream = accept(&listener).await;
        let request = read_request(&mut stream).await;
        succeed(&mut stream).await;
        request
    };
    let (sent, second) = tokio::join!(sink.send(), again);
    assert!(sent.unwrap().is_empty());
    let body = |request: &str| request.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert!(second.contains("two"));
    assert_eq!(body(&first), body(&second));
}

/// Refuses requests with that word in it, with that answer, and gives the texts it took.
async fn refusing(listener: &tokio::net::TcpListener, word: &str, refusal: &str, took: &Mutex<Vec<String>>) {
    loop {
        let mut stream = accept(listener).await;
        let request = read_request(&mut stream).await;
        let body = request.split_once("\r\n\r\n").unwrap().1;
        let answer = if body.contains(word) {
            refusal
        } else {
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            let texts = body["events"].as_array().unwrap().iter();
            let texts = texts.map(|event| event["attrs"]["message"].as_str().unwrap().to_owned());
            took.lock().unwrap().extend(texts);
            "200 {\"status\":\"success\"}"
        };
        let (code, body) = answer.split_once(' ').unwrap();
        let head = format!(
            "HTTP/1.1 {code} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream
            .write_all(format!("{head}{body}").as_bytes())
            .await
            .unwrap();
    }
}

const BAD: &str = "400 {\"status\":\"error/client/badParam\"}";

#[tokio::test]
async fn an_event_that_is_never_taken_is_a_gap_and_the_others_go_on() {
    for (refusal, refused_before) in [("413 <html>", 0), (BAD, 1)] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let (keys, asked) = keys(0);
        let mut sink = scalyr(&endpoint, keys);
        let took = Mutex::new(Vec::new());
        let mut texts: Vec<String> = (0..50).map(|number| format!("line {number}")).collect();
        texts[30] = "poison".into();
        give(&mut sink, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        let sending = async {
            // The key may be to blame: it is asked for again first.
            for _ in 0..refused_before {
                assert_eq!(sink.send().await.unwrap_err().class, Class::Permanent);
            }
            sink.send().await.unwrap()
        };
        let gaps = tokio::select! {
            gaps = sending => gaps,
            () = refusing(&listener, "poison", refusal, &took) => unreachable!(),
        };
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        let gap = &gaps[0];
        assert_eq!((gap.lines, gap.bytes, gap.exact), (1, 6, true));
        assert_eq!(gap.from.as_deref(), Some("2026-01-02T03:04:05.000000031Z"));
        texts[30] = STAND_IN.into();
        assert_eq!(*took.lock().unwrap(), texts);
        assert_eq!(asked.load(Ordering::SeqCst), 1 + refused_before);
        assert_eq!(sink.due(), Due::Nothing);
    }
}

#[tokio::test]
async fn a_key_that_is_refused_costs_no_line() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let mut sink = scalyr(&endpoint, keys(4).0);
    let took = Mutex::new(Vec::new());
    let texts = ["one", "two", "three", "four", "five"];
    give(&mut sink, &texts);
    let sending = async {
        for _ in 0..4 {
            assert_eq!(sink.send().await.unwrap_err().class, Class::Permanent);
        }
        sink.send().await.unwrap()
    };
    let gaps = tokio::select! {
        gaps = sending => gaps,
        () = refusing(&listener, "canary-wrong-key", BAD, &took) => unreachable!(),
    };
    assert_eq!(
        (gaps, took.into_inner().unwrap()),
        (Vec::new(), texts.map(str::to_owned).to_vec())
    );
}
