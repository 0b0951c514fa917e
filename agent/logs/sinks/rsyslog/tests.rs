//! The sink with a real rsyslogd: every way there, and every way it can go away.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use monopod_core::logs::{
    Attributes, Batch, Framing, Line, Origin, Protocol, Route, RsyslogTarget, Stream, StreamName,
    SyslogFormat, Target, Treatment,
};
use monopod_testrig::{LogServer, Presents, Transport, Where, authority, other_authority};

use tokio::io::AsyncReadExt;

use super::Rsyslog;
use crate::host::Class;
use crate::logs::sinks::Sink;
use crate::logs::testing::{Rig, retrying, sink, soon, until};
use crate::logs::{Options, Shipper, SinkState};

const LONG: Duration = Duration::from_secs(60);

fn tcp_target() -> RsyslogTarget {
    RsyslogTarget {
        host: "127.0.0.1".into(),
        port: 0,
        protocol: Protocol::Tcp,
        framing: Framing::OctetCounting,
        format: SyslogFormat::Rfc3164,
        severity: 5,
        program: None,
        hostname: Some("host-1".into()),
        ca: None,
    }
}

fn target(server: &LogServer, protocol: Protocol, framing: Framing, format: SyslogFormat) -> RsyslogTarget {
    let address = match protocol {
        Protocol::Udp => server.udp(),
        Protocol::Tcp => server.tcp(),
        Protocol::Tls => server.tls(),
    };
    RsyslogTarget {
        port: address.port(),
        protocol,
        framing,
        format,
        ca: (protocol == Protocol::Tls).then(|| std::fs::read_to_string(authority()).unwrap()),
        ..tcp_target()
    }
}

fn tcp(server: &LogServer) -> RsyslogTarget {
    target(
        server,
        Protocol::Tcp,
        Framing::OctetCounting,
        SyslogFormat::Rfc5424,
    )
}

fn options(rig: &Rig, target: RsyslogTarget) -> Options {
    let mut options = rig.options();
    options.application_log = None;
    options.plan.routes = vec![Route {
        stream: StreamName::Applog,
        origin: Origin::Application,
        target: Target::Rsyslog(target),
        treatment: Treatment::default(),
    }];
    options
}

async fn start(rig: &Rig, target: RsyslogTarget) -> Shipper {
    rig.start(options(rig, target)).await
}

async fn delivered(shipper: &Shipper, count: u64) {
    let waiting = async {
        while sink(shipper, "rsyslog").delivered < count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(LONG, waiting).await;
    assert!(in_time.is_ok(), "{:?}", shipper.status());
}

/// What came twice, and the worst that this can be is what the tail holds; fails if a line is missing.
fn assert_all(rig: &Rig, server: &LogServer) -> usize {
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    let mut messages = 0;
    for message in std::fs::read_to_string(server.file()).unwrap().lines() {
        // A server that is killed leaves half a message, and the next one goes on in the same line.
        let whole = message.get(message.rfind("{\"raw\":").unwrap()..).unwrap();
        let Ok(whole) = serde_json::from_str::<serde_json::Value>(whole) else {
            continue;
        };
        let text = whole["msg"].as_str().unwrap().trim_start();
        let number = text
            .strip_prefix("line ")
            .unwrap_or_else(|| panic!("{message:?}"));
        *counts.entry(number.parse().unwrap()).or_default() += 1;
        messages += 1;
    }
    let missing: Vec<_> = (1..=rig.engine.written)
        .filter(|number| !counts.contains_key(number))
        .collect();
    let (first, last) = (missing.first(), missing.last());
    assert!(
        missing.is_empty(),
        "{} of {} lines are missing, {first:?} to {last:?}",
        missing.len(),
        rig.engine.written
    );
    messages - counts.len()
}

/// Until rsyslogd has written what it was sent.
async fn quiet(server: &LogServer, count: u64) {
    let mut before = usize::MAX;
    for _ in 0..600 {
        let now = server.count();
        if now as u64 >= count && now == before {
            return;
        }
        before = now;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_there() {
    let server = LogServer::start(Where::Host);
    let ways = [
        (
            Protocol::Udp,
            Framing::Newline,
            SyslogFormat::Rfc3164,
            Transport::Udp,
        ),
        (
            Protocol::Tcp,
            Framing::Newline,
            SyslogFormat::Rfc3164,
            Transport::Tcp,
        ),
        (
            Protocol::Tcp,
            Framing::OctetCounting,
            SyslogFormat::Rfc5424,
            Transport::Tcp,
        ),
        (
            Protocol::Tls,
            Framing::OctetCounting,
            SyslogFormat::Rfc5424,
            Transport::Tls,
        ),
        (
            Protocol::Tls,
            Framing::Newline,
            SyslogFormat::Rfc3164,
            Transport::Tls,
        ),
    ];
    for (protocol, framing, format, transport) in ways {
        let before = server.count();
        let mut rig = Rig::new();
        let shipper = start(&rig, target(&server, protocol, framing, format)).await;
        rig.engine.record("12 to begin with a number\n", "stderr");
        rig.engine.record(&format!("{}\n", "x".repeat(12_000)), "stdout");
        delivered(&shipper, 2).await;
        server.wait_for_count(before + 3, LONG);
        let messages = &server.messages()[before..];
        let texts: Vec<_> = messages.iter().map(|message| message.msg.as_str()).collect();
        assert_eq!(texts[0], "12 to begin with a number");
        assert!(texts[1].ends_with("x [monopod: continues]"));
        assert_eq!(
            texts[1].len() + texts[2].len(),
            12_000 + " [monopod: continues]".len()
        );
        let first = &messages[0];
        assert!(messages.iter().all(|message| message.raw.len() <= 8192));
        assert_eq!(
            (first.transport, first.pri, first.hostname.as_str()),
            (transport, 13, "host-1")
        );
        assert_eq!(first.app_name, "my-app");
        if format == SyslogFormat::Rfc5424 {
            assert_eq!(first.timestamp, "2026-01-02T03:04:05.000000Z");
            assert_eq!((first.msgid.as_str(), first.procid.as_str()), ("applog", "-"));
            assert_eq!(
                first.structured_data,
                "[monopod@32473 application_id=\"my-app\" stream=\"stderr\"]"
            );
        } else {
            assert!(
                first.raw.starts_with("<13>Jan  2 03:04:05 host-1 my-app: 12 to"),
                "{}",
                first.raw
            );
        }
        shipper.stop(soon()).await;
    }
}

/// The classical loss: what is written between the server's FIN and the RST, and what lies unread in its socket.
async fn goes_away(protocol: Protocol, mut away: impl FnMut(&mut LogServer) + Send + Copy + 'static) {
    let mut server = LogServer::start(Where::Host);
    let mut rig = Rig::new();
    let target = target(&server, protocol, Framing::OctetCounting, SyslogFormat::Rfc5424);
    let shipper = start(&rig, target).await;
    for _ in 0..5 {
        let restart = std::thread::spawn(move || {
            away(&mut server);
            server.start_again();
            server
        });
        while !restart.is_finished() {
            rig.write(200);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server = restart.join().unwrap();
        rig.write(2_000);
        delivered(&shipper, rig.engine.written - 2_000).await;
        // A server that lags behind by more than the tail takes along, when killed, what it had read.
        quiet(&server, 0).await;
    }
    delivered(&shipper, rig.engine.written).await;
    quiet(&server, rig.engine.written).await;
    let twice = assert_all(&rig, &server);
    // What the tail holds at most, at 120 bytes a message, for each time.
    assert!(
        twice <= 5 * 13_000,
        "{twice} lines of {} came twice",
        rig.engine.written
    );
    shipper.stop(soon()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_under_load_loses_nothing() {
    goes_away(Protocol::Tcp, LogServer::stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_under_load_loses_nothing_over_tls() {
    goes_away(Protocol::Tls, LogServer::stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_under_load_loses_nothing() {
    goes_away(Protocol::Tcp, LogServer::kill9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_took_and_never_read_is_sent_again() {
    let mut server = LogServer::start(Where::Host);
    let mut rig = Rig::new();
    let shipper = start(&rig, tcp(&server)).await;
    rig.write(10);
    delivered(&shipper, 10).await;
    server.wait_for_count(10, LONG);
    server.freeze();
    rig.write(50);
    // Its kernel has them, and nobody else.
    delivered(&shipper, 60).await;
    assert_eq!(server.count(), 10);
    server.kill9();
    server.start_again();
    // No further line comes: the connection is looked at all the same.
    server.wait_for_count(60 + 10, LONG);
    assert_eq!(assert_all(&rig, &server), 10);
    shipper.stop(soon()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_waited_for() {
    let server = LogServer::start(Where::Host);
    let mut rig = Rig::new();
    let shipper = start(&rig, tcp(&server)).await;
    server.freeze();
    rig.write(60_000);
    until("the socket to fill", || {
        sink(&shipper, "rsyslog").behind_bytes > 0
    })
    .await;
    server.thaw();
    delivered(&shipper, 60_000).await;
    quiet(&server, 60_000).await;
    assert_eq!(assert_all(&rig, &server), 0, "no line twice");
    shipper.stop(soon()).await;
}

async fn refused(server: &LogServer, change: impl FnOnce(&mut RsyslogTarget)) -> String {
    let mut rig = Rig::new();
    let mut target = target(
        server,
        Protocol::Tls,
        Framing::OctetCounting,
        SyslogFormat::Rfc5424,
    );
    change(&mut target);
    rig.write(1);
    let shipper = start(&rig, target).await;
    let mut words = String::new();
    until("a refusal", || match sink(&shipper, "rsyslog").state {
        SinkState::Refused { error, .. } => {
            words = error;
            true
        }
        _ => false,
    })
    .await;
    words
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_trusted_is_refused_in_words_that_help() {
    let server = LogServer::start(Where::Host);
    let port = server.tls().port();
    let other = std::fs::read_to_string(other_authority()).unwrap();
    let why = refused(&server, |target| target.ca = Some(other)).await;
    assert_eq!(
        why,
        format!(
            "cannot connect to the log server 127.0.0.1:{port} over TLS: its certificate is of no authority that is \
             trusted by `logging.rsyslog_ca`: set `logging.rsyslog_ca` to the certificate of the authority that signed it"
        )
    );
    let why = refused(&server, |target| target.ca = None).await;
    assert!(why.contains("trusted on this machine"), "{why}");
    let why = refused(&server, |target| target.ca = Some("no".into())).await;
    assert!(why.contains("`logging.rsyslog_ca` holds no certificate"), "{why}");
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = plain.local_addr().unwrap().port();
    let speaks = std::thread::spawn(move || plain.accept().unwrap().0.write_all(b"220 hello\r\n"));
    let why = refused(&server, |target| target.port = port).await;
    speaks.join().unwrap().unwrap();
    assert!(why.contains("it doesn't speak TLS on this port"), "{why}");
    drop(server);
    let server = LogServer::presenting(Where::Host, Presents::OtherName);
    let why = refused(&server, |_| {}).await;
    assert!(why.contains("is not for the name 127.0.0.1"), "{why}");
    let server = LogServer::presenting(Where::Host, Presents::Expired);
    // This machine's clock may be wrong, and mended soon.
    let mut rig = Rig::new();
    rig.write(1);
    let target = target(&server, Protocol::Tls, Framing::Newline, SyslogFormat::Rfc3164);
    let shipper = start(&rig, target).await;
    until("an outage", || retrying(&shipper, "rsyslog")).await;
    let why = sink(&shipper, "rsyslog").last_error.unwrap();
    assert!(why.contains("has expired"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    // As many datagrams as a busy server's socket holds: what is more may be lost, and nobody would know.
    for (protocol, count) in [(Protocol::Udp, 100), (Protocol::Tcp, 500)] {
        let mut server = LogServer::start(Where::Host);
        server.stop();
        let mut rig = Rig::new();
        rig.write(count);
        let target = target(&server, protocol, Framing::Newline, SyslogFormat::Rfc3164);
        let shipper = start(&rig, target).await;
        until("an outage", || retrying(&shipper, "rsyslog")).await;
        server.start_again();
        delivered(&shipper, count as u64).await;
        quiet(&server, count as u64).await;
        assert_eq!(assert_all(&rig, &server), 0);
        assert!(!retrying(&shipper, "rsyslog"));
        shipper.stop(soon()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shipper_that_is_killed_goes_on_where_the_cursor_is() {
    let server = LogServer::start(Where::Host);
    let mut rig = Rig::new();
    let shipper = start(&rig, tcp(&server)).await;
    rig.write(3_000);
    delivered(&shipper, 1_000).await;
    drop(shipper);
    rig.write(1_000);
    let shipper = start(&rig, tcp(&server)).await;
    delivered(&shipper, 1_000).await;
    server.wait_for_count(4_000, LONG);
    quiet(&server, 4_000).await;
    let twice = assert_all(&rig, &server);
    assert!(twice <= 3_000, "{twice}");
    shipper.stop(soon()).await;
}

/// A network in which nothing is answered, and nobody says so.
#[test]
fn a_connection_that_nobody_answers_is_noticed_within_half_a_minute() {
    let lo = |state: &str| {
        let done = std::process::Command::new("ip")
            .args(["link", "set", "lo", state])
            .status();
        assert!(done.unwrap().success());
    };
    let alone = move || {
        // This thread only: the runtime below has no other.
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        lo("up");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = RsyslogTarget {
                port: listener.local_addr().unwrap().port(),
                ..tcp_target()
            };
            let mut sink = Rsyslog::new(&target, StreamName::Applog, &Attributes::default());
            let say = |sink: &mut Rsyslog, text: &str| {
                let mut batch = Batch::default();
                batch.push(Line {
                    time: "",
                    stream: Stream::Stdout,
                    text,
                });
                sink.take(&mut batch);
            };
            say(&mut sink, "one");
            sink.send().await.unwrap();
            let (_first, _) = listener.accept().await.unwrap();
            lo("down");
            say(&mut sink, "two");
            let began = std::time::Instant::now();
            let error = sink.send().await.unwrap_err();
            assert!(error.text.ends_with(": no answer for 30 s"), "{}", error.text);
            assert_eq!(error.class, Class::Transient);
            assert!(began.elapsed() < Duration::from_secs(32), "{:?}", began.elapsed());
            lo("up");
            sink.send().await.unwrap();
            let (mut second, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 1000];
            let length = second.read(&mut buffer).await.unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]);
            assert!(text.contains(": one") && text.contains(": two"), "{text}");
        });
    };
    std::thread::spawn(alone).join().unwrap();
}
