//! The whole way, from an engine's file to a server of lines behind TLS, and what goes wrong on it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use monopod_core::logs::{Line, Stream, Treatment};
use monopod_testrig::{LineServer, Presents, Where};
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::host::AskError;
use crate::logs::routes::attach;
use crate::logs::testing::{Rig, retrying, sink, soon, until};
use crate::logs::{Options, Shipper, SinkState};

const TOKEN: &str = "canary-2bfbea1e-10c3-4419-bdad-7e6435882e1f";

fn hurried() -> Patience {
    Patience {
        connect: Duration::from_secs(5),
        progress: Duration::from_millis(300),
        confirmed: Duration::from_secs(30),
    }
}

fn trusting(authority: &Path) -> Trust {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(authority).unwrap())
        .unwrap();
    Trust::Only(roots)
}

async fn start(rig: &Rig, server: &LineServer, patience: Patience, treatment: Treatment) -> Shipper {
    let options = Options {
        application_log: None,
        ..rig.options()
    };
    let shipper = Shipper::start(options).await.unwrap();
    let endpoint = server.address().to_string();
    let transport = Transport::new(&endpoint, trusting(&server.authority()), patience);
    let keys = Keys::new(|_| Box::pin(async { Ok(Secret::new(TOKEN.into())) }));
    let token = LogKey::UserData("logentries_account_key".into());
    attach(&shipper, Logentries::to(transport, token, keys), treatment);
    shipper.follow("c1", rig.engine.path()).await.unwrap();
    shipper
}

async fn started(rig: &Rig, server: &LineServer) -> Shipper {
    start(rig, server, hurried(), Treatment::default()).await
}

/// What came, with how much of it came twice; in order apart from that.
fn received(server: &LineServer) -> (Vec<String>, usize) {
    let mut texts: Vec<String> = Vec::new();
    let lines = server.lines();
    for line in &lines {
        let text = line
            .strip_prefix(&format!("{TOKEN} "))
            .unwrap_or_else(|| panic!("{line:?}"));
        if !texts.iter().any(|known| known == text) {
            texts.push(text.to_owned());
        }
    }
    let twice = lines.len() - texts.len();
    (texts, twice)
}

#[tokio::test]
async fn each_line_has_the_token_and_an_event_is_one_line() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    let treatment = Treatment {
        multiline_start: Some("^[^ ]".into()),
        ..Treatment::default()
    };
    for line in ["first", "Exception", "  at x", "  at y", "last"] {
        rig.engine.write(line);
    }
    let shipper = start(&rig, &server, hurried(), treatment).await;
    until("three lines", || server.count() == 3).await;
    assert_eq!(
        received(&server),
        (
            ["first", "Exception\u{2028}  at x\u{2028}  at y", "last"]
                .map(str::to_owned)
                .to_vec(),
            0
        )
    );
    assert_eq!(sink(&shipper, "logentries").delivered, 5);
}

#[tokio::test]
async fn away_at_start_and_back() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    server.down();
    let mut rig = Rig::new();
    rig.write(2_000);
    let shipper = started(&rig, &server).await;
    until("an outage", || retrying(&shipper, "logentries")).await;
    let status = sink(&shipper, "logentries");
    let error = status.last_error.clone().unwrap();
    let place = format!("cannot send to Logentries at {}: ", server.address());
    assert!(error.starts_with(&place), "{error}");
    assert!(
        !format!("{status:?} {shipper:?}").contains("canary"),
        "{status:?}"
    );
    server.up();
    until("all lines", || server.count() == 2_000).await;
    assert_eq!(received(&server), (rig.numbered_lines(), 0));
    until("recovery", || sink(&shipper, "logentries").state == SinkState::Ok).await;
}

#[tokio::test]
async fn a_certificate_nobody_trusts_is_a_refusal() {
    for (presents, word) in [
        (Presents::OtherAuthority, "invalid peer certificate"),
        (Presents::OtherName, "not valid for name"),
    ] {
        let server = LineServer::tls(Where::Host, presents);
        let mut rig = Rig::new();
        rig.write(1);
        let shipper = started(&rig, &server).await;
        let refused = || matches!(sink(&shipper, "logentries").state, SinkState::Refused { .. });
        until("a refusal", refused).await;
        let error = sink(&shipper, "logentries").last_error.unwrap();
        assert!(error.contains(word) && error.contains("SSL_CERT_FILE"), "{error}");
        assert_eq!(server.bytes(), 0, "no token for a stranger");
    }
}

#[tokio::test]
async fn who_speaks_no_tls_is_a_refusal_and_gets_no_token() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut transport = Transport::new(&address, trusting(&server.authority()), hurried());
    transport.lines().push(format!("{TOKEN} x\n").as_bytes());
    let both = futures_util::future::join(transport.flush(), async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.ok();
        heard
    });
    let both = tokio::time::timeout(Duration::from_secs(10), both).await;
    let (sent, heard) = both.expect("an end in time");
    let error = sent.unwrap_err();
    assert_eq!(error.class, crate::host::Class::Permanent);
    assert!(error.text.contains("doesn't speak TLS"), "{}", error.text);
    assert!(!String::from_utf8_lossy(&heard).contains("canary"));
}

/// The far end hangs up while nothing is to be sent; the next line must not go into the void.
#[tokio::test]
async fn a_farewell_is_seen_before_the_next_write() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    let shipper = started(&rig, &server).await;
    for number in 1..=20 {
        rig.write(1);
        until("the line", || received(&server).0.len() == number).await;
        server.sever();
    }
    assert_eq!(received(&server).0, rig.numbered_lines());
    assert_eq!(sink(&shipper, "logentries").failures, 0, "no write failed");
}

/// The connection ends in the middle of lines, again and again: nothing is lost, and at most what stayed in memory comes
/// twice. All of it fits there: what the far end's machine confirmed and nobody read there is gone otherwise.
#[tokio::test]
async fn cut_in_the_middle_of_lines_again_and_again() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    server.cut_after(30_003, 5);
    rig.write(4_000);
    let shipper = started(&rig, &server).await;
    // A cut behind the last line is seen with the next one.
    let mut looks = 0;
    until("the cuts", || {
        looks += 1;
        if looks % 50 == 0 {
            rig.write(1);
        }
        server.cuts_left() == 0
    })
    .await;
    rig.write(1);
    let last = format!(" line {}", rig.engine.written);
    until("the last line", || {
        looks += 1;
        if looks % 50 == 0 {
            rig.write(1);
        }
        server.lines().iter().any(|line| line.ends_with(&last))
    })
    .await;
    let written = rig.engine.written;
    until("each line", || received(&server).0.len() as u64 == written).await;
    let lines = server.lines();
    let mut distinct = lines.clone();
    distinct.sort();
    distinct.dedup();
    let twice: usize =
        lines.iter().map(String::len).sum::<usize>() - distinct.iter().map(String::len).sum::<usize>();
    assert!(twice <= 5 * (256 + 128) * 1024, "{twice} bytes came twice");
    drop(shipper);
}

#[tokio::test]
async fn a_far_end_that_reads_nothing_is_an_outage_and_loses_nothing() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    let shipper = started(&rig, &server).await;
    rig.write(10);
    until("the first lines", || server.count() == 10).await;
    server.stop_reading();
    let filler = "z".repeat(4_000);
    for number in 0..500 {
        rig.engine.write(&format!("{number} {filler}"));
    }
    until("an outage", || retrying(&shipper, "logentries")).await;
    let error = sink(&shipper, "logentries").last_error.unwrap();
    assert!(error.contains("reads nothing"), "{error}");
    server.read_again();
    until("each line", || {
        let mut lines = server.lines();
        lines.sort();
        lines.dedup();
        lines.len() == 510
    })
    .await;
    until("recovery", || sink(&shipper, "logentries").state == SinkState::Ok).await;
}

/// Nobody is behind the last line, and its connection ends before it was confirmed: it goes again all the same.
#[tokio::test]
async fn the_last_line_is_looked_after() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    let patience = Patience {
        confirmed: Duration::from_millis(300),
        ..hurried()
    };
    let shipper = start(&rig, &server, patience, Treatment::default()).await;
    rig.write(1);
    until("the line", || server.count() == 1).await;
    server.sever();
    until("the line again", || server.count() == 2).await;
    assert_eq!(received(&server), (rig.numbered_lines(), 1));
    drop(shipper);
}

/// The cursor is saved just before the event ends, and nothing else is to be done then.
#[tokio::test]
async fn an_event_with_nothing_behind_it_leaves() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut rig = Rig::new();
    let treatment = Treatment {
        multiline_start: Some("^line".into()),
        ..Treatment::default()
    };
    let shipper = start(&rig, &server, hurried(), treatment).await;
    for number in 1..=3 {
        rig.write(1);
        until("the event", || server.count() == number).await;
    }
    assert_eq!(received(&server), (rig.numbered_lines(), 0));
    drop(shipper);
}

fn give(sink: &mut Logentries, text: &str) {
    let mut batch = Batch::default();
    batch.push(Line {
        time: "",
        stream: Stream::Stdout,
        text,
    });
    sink.take(&mut batch);
}

/// Another token goes before the lines that are sent again too; without an answer the old one serves on.
#[tokio::test]
async fn a_new_connection_asks_for_the_token_again() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let endpoint = server.address().to_string();
    let transport = Transport::new(&endpoint, trusting(&server.authority()), hurried());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keys = Keys::new(move |_| {
        let answer = match count.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(Secret::new("first".into())),
            1 => Err(AskError {
                class: Class::Transient,
                text: "nobody answers".into(),
            }),
            _ => Ok(Secret::new("second".into())),
        };
        Box::pin(async move { answer })
    });
    let token = LogKey::UserData("logentries_account_key".into());
    let mut sink = Logentries::to(transport, token, keys);
    sink.renew = Duration::ZERO;
    for (text, expected) in [
        ("a", vec!["first a"]),
        ("b", vec!["first a", "first a", "first b"]),
        (
            "c",
            vec![
                "first a", "first a", "first b", "second a", "second b", "second c",
            ],
        ),
    ] {
        give(&mut sink, text);
        // Until the end of the connection before has come here, the lines go to nobody.
        let ended = async { while sink.transport.is_connected().await {} };
        tokio::time::timeout_at(soon(), ended)
            .await
            .expect("the end in time");
        sink.send().await.unwrap();
        until("the lines", || server.lines() == expected).await;
        server.sever();
    }
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}
