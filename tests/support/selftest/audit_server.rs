//! The server for audit records.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod_testrig::{AUDIT_PASSWORD, AUDIT_USER, AuditAnswer, AuditServer, Where};
use serde_json::{Value, json};

use crate::SOON;

fn record(log_type: &str) -> Value {
    json!({
        "account_id": "123456789012", "region": "eu-central-1", "instance_boot_time": "2026-11-21T04:00:00Z",
        "instance_id": "i-1", "log_type": log_type, "log_data": BASE64.encode("a: 1\n"),
    })
}

fn post(server: &AuditServer, password: &str, body: &str) -> io::Result<u16> {
    let url = server.url();
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    let basic = BASE64.encode(format!("{AUDIT_USER}:{password}"));
    write!(
        stream,
        "POST /{path} HTTP/1.0\r\nAuthorization: Basic {basic}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let status = text.split_whitespace().nth(1);
    status
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::other("no answer"))
}

#[test]
fn audit_records_are_taken_as_the_contract_says() {
    let server = AuditServer::start(Where::Host);
    let good = record("USER_DATA").to_string();
    assert_eq!(post(&server, AUDIT_PASSWORD, &good).unwrap(), 201);
    let taken = server.wait_for("USER_DATA", SOON);
    assert_eq!(
        (taken.text().as_str(), taken.path.as_str()),
        ("a: 1\n", "/instance-logs")
    );
    assert_eq!(taken.body["instance_id"], "i-1");

    assert_eq!(post(&server, "wrong", &good).unwrap(), 401);
    assert_eq!(post(&server, AUDIT_PASSWORD, "{").unwrap(), 400);
    for name in [
        "account_id",
        "region",
        "instance_boot_time",
        "instance_id",
        "log_type",
        "log_data",
    ] {
        let mut body = record("USER_DATA");
        body[name] = json!("");
        assert_eq!(
            post(&server, AUDIT_PASSWORD, &body.to_string()).unwrap(),
            400,
            "{name}"
        );
        let refusal = server.records().pop().unwrap().refusal.unwrap();
        assert!(refusal.contains(name), "{refusal}");
    }
    let mut body = record("USER_DATA");
    body["log_data"] = json!("no base64");
    assert_eq!(post(&server, AUDIT_PASSWORD, &body.to_string()).unwrap(), 400);
    assert_eq!(server.taken("USER_DATA").len(), 1);
    server.wait_for_requests(10, SOON);
}

#[test]
fn an_audit_server_answers_by_script() {
    let server = AuditServer::start(Where::Host);
    let post = || post(&server, AUDIT_PASSWORD, &record("AUDIT_LOG").to_string());
    server.answers(&[
        AuditAnswer::status(500).times(1),
        AuditAnswer::cut().times(1),
        AuditAnswer::hang().times(1),
        AuditAnswer::lost().times(1),
        AuditAnswer::slow(Duration::from_millis(200)).times(1),
    ]);
    assert_eq!(post().unwrap(), 500);
    assert!(post().is_err(), "cut");
    assert!(post().is_err(), "hangs");
    assert_eq!(server.taken("AUDIT_LOG").len(), 0);
    assert!(post().is_err(), "lost");
    assert_eq!(server.taken("AUDIT_LOG").len(), 1);
    let began = Instant::now();
    assert_eq!(post().unwrap(), 201);
    assert!(began.elapsed() >= Duration::from_millis(200));
    assert_eq!(post().unwrap(), 201);
    let statuses: Vec<u16> = server.records().iter().map(|record| record.status).collect();
    assert_eq!(statuses, [500, 0, 0, 0, 201, 201]);
    server.down();
    assert!(post().is_err());
    server.up();
    assert_eq!(post().unwrap(), 201);
}
