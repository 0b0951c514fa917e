//! The Scalyr stand-in, as the sink meets it.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use monopod_testrig::{SCALYR_TOKEN, Scalyr, ScalyrFault, Where};
use serde_json::{Value, json};

use crate::SOON;

fn post(stream: &TcpStream, path: &str, body: &str) -> io::Result<(u16, Value)> {
    let mut writer = stream;
    write!(
        writer,
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(rest) = line.strip_prefix("HTTP/1.1 ") {
            status = rest[..3].parse().unwrap();
        }
        if let Some(rest) = line.strip_prefix("Content-Length: ") {
            length = rest.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((status, serde_json::from_slice(&body)?))
}

fn ask(server: &Scalyr, body: &Value) -> io::Result<(u16, String)> {
    let stream = TcpStream::connect(server.address())?;
    let (http, answer) = post(&stream, "/addEvents", &body.to_string())?;
    Ok((http, answer["status"].as_str().unwrap().to_owned()))
}

fn events(session: &str, events: &[(u64, &str)]) -> Value {
    let events: Vec<Value> = events
        .iter()
        .map(|(ts, message)| json!({"ts": ts.to_string(), "sev": 3, "log": "1", "attrs": {"message": message}}))
        .collect();
    json!({
        "token": SCALYR_TOKEN, "session": session, "sessionInfo": {"serverHost": "i-1"}, "events": events,
        "logs": [{"id": "1", "attrs": {"parser": "json"}}],
    })
}

#[test]
fn scalyr_takes_events_by_session() {
    let server = Scalyr::start(Where::Host);
    // Twice on one connection: it stays.
    let stream = TcpStream::connect(server.address()).unwrap();
    for (at, path) in [(1, "/addEvents"), (2, "/api/addEvents?x=1")] {
        let body = events("one", &[(at, "first"), (at, "second")]).to_string();
        let (http, answer) = post(&stream, path, &body).unwrap();
        assert_eq!((http, &answer["status"]), (200, &json!("success")));
    }
    assert_eq!(ask(&server, &events("two", &[(1, "other")])).unwrap().0, 200);
    assert_eq!(server.sessions(), ["one", "two"]);
    assert_eq!(server.messages("one"), ["first", "second", "first", "second"]);
    let event = server.wait_for("other", SOON);
    assert_eq!((event.ts, event.sev), (1, 3));
    assert_eq!(event.log["attrs"]["parser"], "json");
    assert_eq!(event.session_info["serverHost"], "i-1");
}

#[test]
fn scalyr_refuses_what_is_wrong_and_takes_nothing_of_it() {
    let server = Scalyr::start(Where::Host);
    let bad = (400, "error/client/badParam".to_owned());
    assert_eq!(ask(&server, &events("s", &[(5, "a")])).unwrap().0, 200);
    assert_eq!(ask(&server, &events("s", &[(6, "b"), (5, "back")])).unwrap(), bad);
    assert_eq!(ask(&server, &events("s", &[(4, "back")])).unwrap(), bad);
    assert_eq!(ask(&server, &events("s", &[(5, "equal")])).unwrap().0, 200);

    let mut wrong = events("s", &[(9, "x")]);
    wrong["token"] = json!("guessed");
    assert_eq!(
        ask(&server, &wrong).unwrap(),
        (401, "error/client/noPermission".to_owned())
    );
    for (place, value) in [
        ("/session", json!(null)),
        ("/sessionInfo", json!("text")),
        ("/events/0/ts", json!(9)),
        ("/events/0/sev", json!(7)),
        ("/events/0/attrs", json!("text")),
        ("/events/0/log", json!("unknown")),
    ] {
        let mut body = events("s", &[(9, "x")]);
        *body.pointer_mut(place).unwrap() = value;
        assert_eq!(ask(&server, &body).unwrap(), bad, "{place}");
    }
    let room = 6_000_000 - events("s", &[(9, "")]).to_string().len();
    let fits = "x".repeat(room);
    assert_eq!(ask(&server, &events("s", &[(9, &fits)])).unwrap().0, 200);
    assert_eq!(
        ask(&server, &events("s", &[(9, &format!("{fits}x"))])).unwrap().0,
        413
    );
    assert_eq!(server.messages("s"), ["a", "equal", fits.as_str()]);
    let last = server.requests().pop().unwrap();
    assert_eq!((last.bytes, last.events, last.http), (6_000_001, 1, 413));
}

#[test]
fn scalyr_suffers_faults() {
    let server = Scalyr::start(Where::Host);
    server.faults(&[
        ScalyrFault::answer(429, "error/server/backoff").times(1),
        ScalyrFault::answer(200, "error/server/backoff").times(1),
        ScalyrFault::cut().times(1),
        ScalyrFault::lost().times(1),
        ScalyrFault::slow(Duration::from_millis(300)).times(1),
    ]);
    let send = || ask(&server, &events("s", &[(1, "m")]));
    assert_eq!(send().unwrap(), (429, "error/server/backoff".to_owned()));
    assert_eq!(send().unwrap(), (200, "error/server/backoff".to_owned()));
    assert!(send().is_err());
    assert_eq!(server.messages("s").len(), 0);
    assert!(send().is_err());
    assert_eq!(server.messages("s").len(), 1, "taken all the same");
    let began = Instant::now();
    assert_eq!(send().unwrap().0, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(server.messages("s").len(), 2);
    server.wait_for_requests(5, SOON);
    let answers: Vec<u16> = server.requests().iter().map(|request| request.http).collect();
    assert_eq!(answers, [429, 200, 0, 0, 200]);
    server.down();
    assert!(send().is_err());
    server.up();
    assert_eq!(send().unwrap().0, 200);
}
