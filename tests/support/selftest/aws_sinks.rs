//! CloudWatch Logs with AWS's limits, and S3, as the log sinks meet them.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monopod_testrig::{AWS_PORT, AwsFault, Machine};
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A call signed in name only.
fn ask(machine: &Machine, head: &str, service: &str, body: &[u8]) -> io::Result<(u16, String)> {
    let text = machine.inside(|| {
        let mut stream = TcpStream::connect(("127.0.0.1", AWS_PORT))?;
        write!(
            stream,
            "{head}\r\nHost: {service}.eu-central-1.amazonaws.com\r\nContent-Length: {}\r\nAuthorization: \
             AWS4-HMAC-SHA256 Credential={}/20260101/eu-central-1/{service}/aws4_request, SignedHeaders=host, \
             Signature=0\r\n\r\n",
            body.len(),
            machine.aws().access_key(),
        )?;
        stream.write_all(body)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    })?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| io::Error::other("no answer"))?;
    Ok((
        head.split_whitespace().nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    ))
}

fn logs(machine: &Machine, op: &str, body: &Value) -> io::Result<(u16, Value)> {
    let head = format!(
        "POST / HTTP/1.0\r\nX-Amz-Target: Logs_20140328.{op}\r\nContent-Type: application/x-amz-json-1.1"
    );
    let (status, text) = ask(machine, &head, "logs", body.to_string().as_bytes())?;
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

struct Stream<'a> {
    machine: &'a Machine,
    group: String,
}

impl<'a> Stream<'a> {
    fn new(machine: &'a Machine, group: String) -> Self {
        let stream = Self { machine, group };
        let made = stream.call("CreateLogStream").unwrap();
        assert_eq!(made.0, 200, "{made:?}");
        stream
    }

    fn call(&self, op: &str) -> io::Result<(u16, Value)> {
        logs(
            self.machine,
            op,
            &json!({"logGroupName": self.group, "logStreamName": "i-1"}),
        )
    }

    fn put(&self, events: &[(i64, &str)]) -> io::Result<(u16, Value)> {
        let events: Vec<Value> = events
            .iter()
            .map(|(time, message)| json!({"timestamp": time, "message": message}))
            .collect();
        logs(
            self.machine,
            "PutLogEvents",
            &json!({"logGroupName": self.group, "logStreamName": "i-1", "logEvents": events}),
        )
    }

    fn refusal(&self, events: &[(i64, &str)]) -> String {
        let (status, answer) = self.put(events).unwrap();
        assert_eq!(
            (status, &answer["__type"]),
            (400, &json!("InvalidParameterException")),
            "{answer}"
        );
        answer["message"].as_str().unwrap().to_owned()
    }

    fn messages(&self) -> Vec<String> {
        let events = self.machine.aws().log_events(&self.group, "i-1");
        events.into_iter().map(|(_, message)| message).collect()
    }
}

#[test]
fn a_batch_of_log_events_has_limits() {
    let machine = Machine::acquire();
    let stream = Stream::new(&machine, machine.aws().log_group("limits"));
    let t = now();
    assert!(stream.refusal(&[]).contains("greater than or equal to 1"));
    assert!(stream.refusal(&[(t, "")]).contains("logEvents.1.member.message"));
    let many = vec![(t, "x"); 10_001];
    assert!(stream.refusal(&many).contains("less than or equal to 10000"));
    assert_eq!(stream.put(&many[1..]).unwrap().0, 200);
    assert!(
        stream
            .refusal(&[(t, "a"), (t - 1, "b")])
            .contains("chronological order")
    );
    assert!(
        stream
            .refusal(&[(t - DAY - 1, "a"), (t, "b")])
            .contains("cannot span more than 24 hours")
    );
    assert_eq!(stream.put(&[(t - DAY, "a"), (t, "b")]).unwrap().0, 200);

    // In bytes, not letters: this one has two.
    let half = "é".repeat((524_288 - 26) / 2);
    assert_eq!(stream.put(&[(t, &half), (t, &half)]).unwrap().0, 200);
    assert_eq!(
        stream.refusal(&[(t, &half), (t, &format!("{half}.."))]),
        "Upload too large: 1048578 bytes exceeds limit of 1048576"
    );
    let event = "z".repeat(1_048_576 - 26);
    assert_eq!(stream.put(&[(t, &event)]).unwrap().0, 200);
    assert_eq!(
        stream.refusal(&[(t, &format!("{event}z"))]),
        "Log event too large: 1048577 bytes exceeds limit of 1048576"
    );

    let calls = machine.aws().put_log_calls();
    let last = calls.last().unwrap();
    assert_eq!((last.events, last.bytes, last.stored), (1, 1_048_577, 0));
    assert!(last.error.as_deref().unwrap().contains("too large"));
    let biggest = calls
        .iter()
        .filter(|call| call.error.is_none())
        .max_by_key(|call| call.bytes);
    assert_eq!(biggest.unwrap().bytes, 1_048_576);
    assert_eq!((calls.len(), machine.aws().count("PutLogEvents")), (11, 11));
    assert_eq!(stream.messages().len(), 10_000 + 2 + 2 + 1);
}

#[test]
fn log_events_too_old_or_too_new_are_left_out_and_said() {
    let machine = Machine::acquire();
    let group = machine.aws().log_group("times");
    let stream = Stream::new(&machine, group.clone());
    let t = now();
    let old = t - 14 * DAY;
    let (status, answer) = stream
        .put(&[(old - HOUR, "old"), (old - HOUR / 2, "old"), (old + HOUR, "kept")])
        .unwrap();
    assert_eq!(
        (status, &answer["rejectedLogEventsInfo"]),
        (200, &json!({"tooOldLogEventEndIndex": 2}))
    );
    let (_, answer) = stream
        .put(&[
            (t, "now"),
            (t + HOUR, "soon"),
            (t + 3 * HOUR, "new"),
            (t + 3 * HOUR, "new"),
        ])
        .unwrap();
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({"tooNewLogEventStartIndex": 2})
    );
    assert_eq!(machine.aws().log_group_kept("times", 1), group);
    let (_, answer) = stream
        .put(&[(t - DAY - HOUR, "expired"), (t - HOUR, "young")])
        .unwrap();
    assert_eq!(
        answer["rejectedLogEventsInfo"],
        json!({"expiredLogEventEndIndex": 1})
    );
    assert_eq!(stream.messages(), ["kept", "now", "soon", "young"]);
    let stored: Vec<usize> = machine
        .aws()
        .put_log_calls()
        .iter()
        .map(|call| call.stored)
        .collect();
    assert_eq!(stored, [1, 2, 1]);
}

#[test]
fn log_groups_and_streams_are_missed_and_made() {
    let machine = Machine::acquire();
    let group = machine.aws().log_group_name("made later");
    let group = group.replace(' ', "-");
    let stream = Stream {
        machine: &machine,
        group: group.clone(),
    };
    let missing = |answer: io::Result<(u16, Value)>| {
        let (status, answer) = answer.unwrap();
        assert_eq!(
            (status, &answer["__type"]),
            (400, &json!("ResourceNotFoundException"))
        );
        answer["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(machine.aws().log_streams(&group), None);
    assert_eq!(
        missing(stream.put(&[(now(), "x")])),
        "The specified log group does not exist."
    );
    missing(stream.call("CreateLogStream"));
    machine
        .aws()
        .faults(&[AwsFault::error("CreateLogGroup", "AccessDeniedException").times(1)]);
    let create = || logs(&machine, "CreateLogGroup", &json!({"logGroupName": group})).unwrap();
    assert_eq!(create().1["__type"], "AccessDeniedException");
    assert_eq!(create().0, 200);
    assert_eq!(
        missing(stream.put(&[(now(), "x")])),
        "The specified log stream does not exist."
    );
    machine
        .aws()
        .faults(&[AwsFault::lost("CreateLogStream").times(1)]);
    assert!(stream.call("CreateLogStream").is_err());
    let (_, again) = stream.call("CreateLogStream").unwrap();
    assert_eq!(again["__type"], "ResourceAlreadyExistsException");
    assert_eq!(machine.aws().log_streams(&group).unwrap(), ["i-1"]);
    assert_eq!(stream.put(&[(now(), "x")]).unwrap().0, 200);
}

#[test]
fn put_log_events_suffers_faults() {
    let machine = Machine::acquire();
    let stream = Stream::new(&machine, machine.aws().log_group("faults"));
    machine.aws().faults(&[
        AwsFault::error("PutLogEvents", "ThrottlingException").times(1),
        AwsFault::error("PutLogEvents", "InternalFailure")
            .status(500)
            .times(1),
        AwsFault::cut("PutLogEvents").times(1),
        AwsFault::lost("PutLogEvents").times(1),
        AwsFault::slow("PutLogEvents", Duration::from_millis(300)).times(1),
    ]);
    let put = || stream.put(&[(now(), "event")]);
    assert_eq!(put().unwrap().1["__type"], "ThrottlingException");
    assert_eq!(put().unwrap().0, 500);
    assert!(put().is_err(), "cut");
    assert_eq!(stream.messages().len(), 0);
    assert!(put().is_err(), "lost");
    assert_eq!(stream.messages(), ["event"], "taken all the same");
    let began = Instant::now();
    assert_eq!(put().unwrap().0, 200);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(stream.messages(), ["event", "event"]);
    let calls = machine.aws().calls();
    let puts: Vec<(u16, bool)> = calls
        .iter()
        .filter(|call| call.op == "PutLogEvents")
        .map(|call| (call.status, call.injected))
        .collect();
    assert_eq!(
        puts,
        [(400, true), (500, true), (0, true), (200, true), (200, true)]
    );
    assert_eq!(machine.aws().max_concurrent("PutLogEvents"), 1);
}

#[test]
fn objects_are_put_and_looked_at_and_suffer_faults() {
    let machine = Machine::acquire();
    let bucket = machine.aws().make_bucket();
    let put = |key: &str, body: &[u8]| {
        let head = format!(
            "PUT /{bucket}/{key} HTTP/1.0\r\nx-amz-content-sha256: UNSIGNED-PAYLOAD\r\nContent-Encoding: \
             gzip\r\nContent-Type: text/plain\r\nx-amz-meta-lines: 7"
        );
        ask(&machine, &head, "s3", body)
    };
    assert_eq!(put("logs/b", b"\x1f\x8b\x00\xff").unwrap().0, 200);
    assert_eq!(put("other/c", b"x").unwrap().0, 200);
    machine.aws().faults(&[
        AwsFault::lost("PutObject").times(1),
        AwsFault::cut("PutObject").times(1),
        AwsFault::error("PutObject", "SlowDown").status(503).times(1),
        AwsFault::error(&format!("PUT /{bucket}/logs/a"), "AccessDenied")
            .status(403)
            .times(1),
    ]);
    assert!(put("logs/a", b"one").is_err());
    let objects = machine.aws().objects(&bucket, "logs/");
    let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(keys, ["logs/a", "logs/b"]);
    assert_eq!(objects[1].body, b"\x1f\x8b\x00\xff");
    let metadata = &objects[1].metadata;
    assert_eq!(
        (&*metadata["content-encoding"], &*metadata["x-amz-meta-lines"]),
        ("gzip", "7")
    );
    assert!(put("logs/a", b"two").is_err());
    assert_eq!(put("logs/a", b"two").unwrap().0, 503);
    let (status, text) = put("logs/a", b"two").unwrap();
    assert!(status == 403 && text.contains("AccessDenied"), "{text}");
    assert_eq!(machine.aws().objects(&bucket, "logs/a")[0].body, b"one");
    assert_eq!(machine.aws().count("PutObject"), 6);
    assert_eq!(machine.aws().objects("no-such-bucket", "").len(), 0);
}
