//! The far ends that lines are sent to: rsyslog, and a server of lines with bad manners.

use std::io::{self, Read as _, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;

use monopod_testrig::{LineServer, LogServer, Machine, Presents, Transport, Where, authority, wait_until};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::SOON;

/// A TLS connection as a careful client makes it; the error of the handshake if there is one.
fn tls_to(address: SocketAddr, trusted: &Path) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(trusted).unwrap())
        .unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::from(address.ip());
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(SOON))?;
    connection.complete_io(&mut stream)?;
    Ok(StreamOwned::new(connection, stream))
}

const MODERN: &str =
    "<165>1 2026-11-21T04:00:00.250Z host-1 app 42 ID7 [rig@1 version=\"1.2\" q=\"a \\\"b\\\"\"] text";

#[test]
fn a_log_server_takes_datagrams_streams_and_tls() {
    let server = LogServer::start(Where::Host);
    let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
    datagrams
        .send_to(
            b"<30>Nov 21 04:00:00 host-1 app[42]: by \"datagram\"\tq",
            server.udp(),
        )
        .unwrap();
    let by_datagram = server.wait_for("by \"datagram\"", SOON);
    assert_eq!(by_datagram.msg, "by \"datagram\"\tq");
    assert_eq!((by_datagram.pri, by_datagram.transport), (30, Transport::Udp));
    assert_eq!(
        (by_datagram.app_name.as_str(), by_datagram.procid.as_str()),
        ("app", "42")
    );

    let mut stream = TcpStream::connect(server.tcp()).unwrap();
    // The two framings, and a newline inside of the one that can hold it.
    writeln!(stream, "<30>Nov 21 04:00:00 host-1 app[42]: by newline").unwrap();
    let two_lines = format!("{MODERN}\nand more");
    write!(stream, "{} {two_lines}", two_lines.len()).unwrap();
    assert_eq!(server.wait_for("by newline", SOON).transport, Transport::Tcp);
    let counted = server.wait_for("and more", SOON);
    assert_eq!(counted.raw, two_lines);
    assert_eq!(
        counted.structured_data,
        "[rig@1 version=\"1.2\" q=\"a \\\"b\\\"\"]"
    );
    assert_eq!(counted.timestamp, "2026-11-21T04:00:00.250Z");
    assert_eq!(
        (counted.msgid.as_str(), counted.msg.as_str()),
        ("ID7", "text\nand more")
    );

    let mut stream = tls_to(server.tls(), &authority()).unwrap();
    let long = format!("{MODERN} {}", "x".repeat(200_000));
    write!(stream, "{} {long}", long.len()).unwrap();
    stream.flush().unwrap();
    let by_tls = server.wait_for(&"x".repeat(1000), SOON);
    assert_eq!(by_tls.transport, Transport::Tls);
    assert!(by_tls.raw == long, "{} bytes of {}", by_tls.raw.len(), long.len());
    assert_eq!(server.count(), 4);
}

#[test]
fn a_log_server_goes_away_and_comes_back() {
    let mut server = LogServer::start(Where::Host);
    let say = |text: &str| -> io::Result<()> {
        let mut stream = TcpStream::connect(server.tcp())?;
        writeln!(stream, "<30>Nov 21 04:00:00 host-1 app: {text}")
    };
    say("first").unwrap();
    drop(server.wait_for("first", SOON));
    server.freeze();
    say("while frozen").unwrap();
    let before = server.count();
    assert_eq!(before, 1);
    server.thaw();
    drop(server.wait_for("while frozen", SOON));
    let address = server.tcp();
    server.stop();
    assert!(TcpStream::connect(address).is_err());
    server.start_again();
    server.kill9();
    assert!(TcpStream::connect(address).is_err());
    server.start_again();
    let mut stream = TcpStream::connect(address).unwrap();
    writeln!(stream, "<30>Nov 21 04:00:00 host-1 app: back").unwrap();
    drop(server.wait_for("back", SOON));
    assert_eq!(server.count(), 3, "what it had written is there still");
}

#[test]
fn a_log_server_presents_what_it_is_told_to() {
    let refused = |presents: Presents| {
        let server = LogServer::presenting(Where::Host, presents);
        tls_to(server.tls(), &authority()).unwrap_err().to_string()
    };
    assert!(refused(Presents::OtherAuthority).contains("UnknownIssuer"));
    assert!(refused(Presents::OtherName).contains("not valid for name"));
    let why = refused(Presents::Expired);
    assert!(why.contains("expired"), "{why}");
}

#[test]
fn a_log_server_in_a_machine_is_reached_from_there_only() {
    let machine = Machine::acquire();
    let mut server = LogServer::start(Where::Machine(&machine));
    let lines = LineServer::start(Where::Machine(&machine));
    let (address, other) = (server.tcp(), lines.address());
    assert!(TcpStream::connect(address).is_err());
    assert!(TcpStream::connect(other).is_err());
    let say = |address: SocketAddr| {
        machine
            .inside(|| writeln!(TcpStream::connect(address)?, "<30>Nov 21 04:00:00 h app: inside"))
            .unwrap();
    };
    say(address);
    say(other);
    drop(server.wait_for("inside", SOON));
    drop(lines.wait_for("inside", SOON));

    let mut lines = lines;
    machine.reboot();
    assert!(machine.inside(|| TcpStream::connect(address)).is_err());
    server.start_in(Where::Machine(&machine));
    lines.start_in(Where::Machine(&machine));
    say(address);
    say(other);
    server.wait_for_count(2, SOON);
    lines.wait_for_count(2, SOON);
}

#[test]
fn a_line_server_counts_lines_and_has_bad_manners() {
    let server = LineServer::start(Where::Host);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"one\ntwo\nthr").unwrap();
    drop(server.wait_for("two", SOON));
    stream.write_all(b"ee\nrest").unwrap();
    drop(server.wait_for("three", SOON));
    drop(stream);
    wait_until(SOON, || (server.fragments() == ["rest"]).then_some(())).unwrap();
    assert_eq!(server.lines(), ["one", "two", "three"]);
    assert_eq!((server.count(), server.bytes(), server.connections()), (3, 18, 1));

    // In the middle of a line, and only once.
    server.cut_after(6, 1);
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(b"four\nfive\n").unwrap();
    // An end or a reset: it depends on what was left unread.
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
    wait_until(SOON, || (server.fragments() == ["rest", "f"]).then_some(())).unwrap();
    assert_eq!((server.count(), server.cuts_left()), (4, 0));

    server.stop_reading();
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream
        .set_write_timeout(Some(std::time::Duration::from_millis(300)))
        .unwrap();
    let line = [b"z".repeat(65_535), b"\n".to_vec()].concat();
    // Somewhere within a thousand times 64 KiB the kernel has no more room.
    let stuck = (0..1000).find_map(|_| stream.write_all(&line).err()).unwrap();
    assert_eq!(stuck.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(server.count(), 4);
    server.read_again();
    server.wait_for_count(5, SOON);

    server.down();
    assert!(TcpStream::connect(server.address()).is_err());
    server.up();
    TcpStream::connect(server.address())
        .unwrap()
        .write_all(b"six\n")
        .unwrap();
    drop(server.wait_for("six", SOON));
}

#[test]
fn a_line_server_speaks_tls_and_forgets_if_told() {
    let server = LineServer::tls(Where::Host, Presents::Good);
    let mut stream = tls_to(server.address(), &server.authority()).unwrap();
    stream.write_all(b"token one\ntoken two\n").unwrap();
    stream.flush().unwrap();
    drop(server.wait_for("token two", SOON));
    // A line is counted after it is kept.
    server.wait_for_count(2, SOON);
    let server = LineServer::tls(Where::Host, Presents::OtherName);
    assert!(tls_to(server.address(), &authority()).is_err());

    let null = LineServer::null(Where::Host);
    let mut stream = TcpStream::connect(null.address()).unwrap();
    stream.write_all(b"a\nb\nc\nd").unwrap();
    null.wait_for_count(3, SOON);
    drop(stream);
    wait_until(SOON, || (null.bytes() == 7).then_some(())).unwrap();
    assert_eq!((null.lines().len(), null.fragments().len()), (0, 0));
}

/// How much the far ends take, without which a sink's speed says little.
/// `cargo test --release -p monopod-testrig --test rig -- --ignored --nocapture timings`
#[test]
#[ignore = "prints, and checks nothing"]
fn timings_of_far_ends() {
    use std::os::fd::OwnedFd;
    let feed = |address: SocketAddr, lines: u64| {
        let stream = TcpStream::connect(address).unwrap();
        let status = std::process::Command::new(monopod_testrig::writer_program())
            .args(["--length", "200", "--lines", &lines.to_string()])
            .stdout(OwnedFd::from(stream))
            .status();
        assert!(status.unwrap().success());
    };
    let minute = std::time::Duration::from_secs(60);
    let print = |what: &str, lines: u64, began: std::time::Instant| {
        let rate = lines as f64 / began.elapsed().as_secs_f64();
        println!("{what:<40} {rate:9.0} lines a second of 200 bytes");
    };
    let null = LineServer::null(Where::Host);
    let began = std::time::Instant::now();
    feed(null.address(), 1_000_000);
    null.wait_for_count(1_000_000, minute);
    print("null sink, tcp", 1_000_000, began);
    let server = LogServer::start(Where::Host);
    let began = std::time::Instant::now();
    feed(server.tcp(), 300_000);
    server.wait_for_count(300_000, minute);
    print("rsyslog with the rig's JSON, tcp", 300_000, began);
    let began = std::time::Instant::now();
    let account = monopod_testrig::Numbered::new(1, 300_000)
        .check(server.messages().iter().map(|message| message.raw.as_str()));
    assert!(account.is_perfect());
    print("reading and checking these", 300_000, began);
}
