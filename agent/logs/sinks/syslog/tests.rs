//! The socket, with real sockets: full, gone, back.

use monopod_core::logs::{Batch, Line, Stream, SyslogFormat};
use tokio::net::UnixDatagram;

use super::Syslog;
use crate::logs::sinks::Sink;
use crate::logs::testing::{Rig, retrying, sink, soon, until};
use crate::logs::{Drained, Options};

#[tokio::test]
async fn a_reader_of_the_socket_that_hangs_holds_nobody_else() {
    let mut rig = Rig::new();
    let _reads_nothing = UnixDatagram::bind(rig.socket()).unwrap();
    let shipper = rig.start(rig.options_with_syslog()).await;
    for _ in 0..4 {
        rig.write(2_000);
        assert!(until_shipped(&rig).await);
    }
    assert_eq!(shipper.drain(soon()).await, Drained::Complete);
    assert_eq!(rig.shipped(), rig.numbered_lines());
    assert!(retrying(&shipper, "syslog"));
    assert!(sink(&shipper, "syslog").behind_bytes > 0);
}

async fn until_shipped(rig: &Rig) -> bool {
    until("application.log", || {
        rig.shipped().len() as u64 == rig.engine.written
    })
    .await;
    true
}

fn received(socket: &UnixDatagram, into: &mut Vec<String>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(length) = socket.try_recv(&mut buffer) {
        into.push(String::from_utf8(buffer[..length].to_vec()).unwrap());
    }
}

fn texts(messages: &[String]) -> Vec<String> {
    messages
        .iter()
        .map(|message| message.split_once(" my-app: ").unwrap().1.to_owned())
        .collect()
}

async fn receive(socket: &UnixDatagram, count: usize) -> Vec<String> {
    let mut messages = Vec::new();
    let deadline = soon();
    while messages.len() < count {
        tokio::time::timeout_at(deadline, socket.readable())
            .await
            .expect("messages in time")
            .unwrap();
        received(socket, &mut messages);
    }
    messages
}

#[tokio::test]
async fn syslog_away_and_back_loses_nothing() {
    let mut rig = Rig::new();
    let options = Options {
        application_log: None,
        ..rig.options_with_syslog()
    };
    rig.write(700);
    let shipper = rig.start(options).await;
    until("an outage", || retrying(&shipper, "syslog")).await;
    assert_eq!(
        shipper.drain(soon()).await,
        Drained::Complete,
        "no acknowledged sink is behind"
    );
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    let mut messages = receive(&socket, 700).await;
    until("recovery", || !retrying(&shipper, "syslog")).await;
    drop(socket);
    std::fs::remove_file(rig.socket()).unwrap();
    rig.write(300);
    until("another outage", || retrying(&shipper, "syslog")).await;
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    messages.extend(receive(&socket, 300).await);
    assert_eq!(texts(&messages), rig.numbered_lines());
    assert_eq!(sink(&shipper, "syslog").delivered, 1000);
}

#[tokio::test]
async fn long_lines_go_in_parts() {
    let mut rig = Rig::new();
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    let shipper = rig
        .start(Options {
            application_log: None,
            ..rig.options_with_syslog()
        })
        .await;
    rig.engine.record(&format!("{}\n", "x".repeat(15_000)), "stderr");
    let messages = receive(&socket, 2).await;
    let parts = texts(&messages);
    assert!(
        messages
            .iter()
            .all(|message| message.starts_with("<133>") && message.len() <= 8192)
    );
    assert!(parts[0].ends_with(" [monopod: continues]"));
    assert_eq!(
        parts[0].trim_end_matches(" [monopod: continues]").len() + parts[1].len(),
        15_000
    );
    drop(shipper);
}

#[tokio::test]
async fn what_rotates_away_before_a_sink_had_anything_is_a_gap() {
    let mut rig = Rig::new();
    let options = Options {
        application_log: None,
        ..rig.options_with_syslog()
    };
    rig.write(100);
    let shipper = rig.start(options.clone()).await;
    until("an outage", || retrying(&shipper, "syslog")).await;
    drop(shipper);
    for _ in 0..9 {
        rig.write(10);
        rig.engine.rotate();
    }
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    let shipper = rig.start(options).await;
    let first = texts(&receive(&socket, 1).await).remove(0);
    assert!(
        first.contains("log lines (at least") && first.contains("lost: rotated away"),
        "{first}"
    );
    assert!(!sink(&shipper, "syslog").lost_exact);
}

fn give(syslog: &mut Syslog, texts: &[&str]) {
    let mut batch = Batch::default();
    for text in texts {
        batch.push(Line {
            time: "2026-01-02T03:04:05.123456789Z",
            stream: Stream::Stdout,
            text,
        });
    }
    syslog.take(&mut batch);
}

#[tokio::test]
async fn a_send_that_is_given_up_halfway_loses_nothing() {
    let rig = Rig::new();
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    let attributes = rig.options().attributes;
    let mut syslog = Syslog::new(&rig.socket(), SyslogFormat::Rfc3164, &attributes);
    let texts: Vec<String> = (0..2_000).map(|number| format!("line {number}")).collect();
    give(&mut syslog, &texts.iter().map(String::as_str).collect::<Vec<_>>());
    // Nobody reads, so the socket is full, and the future waits when it is dropped.
    assert!(futures_util::FutureExt::now_or_never(syslog.send()).is_none());
    let (sent, messages) = tokio::join!(syslog.send(), receive(&socket, texts.len()));
    sent.unwrap();
    assert_eq!(self::texts(&messages), texts);
}

#[tokio::test]
async fn lines_by_rfc_5424_have_their_own_time() {
    let rig = Rig::new();
    let socket = UnixDatagram::bind(rig.socket()).unwrap();
    let attributes = rig.options().attributes;
    let mut syslog = Syslog::new(&rig.socket(), SyslogFormat::Rfc5424, &attributes);
    give(&mut syslog, &["one", "two"]);
    syslog.send().await.unwrap();
    let header = "<134>1 2026-01-02T03:04:05.123456Z - my-app - applog \
                  [monopod@32473 application_id=\"my-app\" stream=\"stdout\"] ";
    assert_eq!(
        receive(&socket, 2).await,
        [format!("{header}one"), format!("{header}two")]
    );
}
