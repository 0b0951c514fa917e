//! Lines as log records: written as bytes, since there are many.
//!
//! A body is [`Frame::head`], the records with commas between them, and [`FOOT`].

use serde_json::{Value, json};

use super::{scope, text};
use crate::logs::{Line, Stream};

/// Behind the last record.
pub const FOOT: &[u8] = b"]}]}]}";
/// SEVERITY_NUMBER_WARN.
const WARN: u8 = 13;

/// What is the same for all records of one source.
#[derive(Clone, Debug)]
pub struct Frame {
    head: Vec<u8>,
    /// Behind the text of a record: one for each stream.
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    monopod: Vec<u8>,
}

impl Frame {
    /// For the lines of a container, or of a file where one is named.
    pub fn new(resource: &Value, file: Option<&str>, version: &str) -> Self {
        let mut head = b"{\"resourceLogs\":[{\"resource\":".to_vec();
        head.extend_from_slice(resource.to_string().as_bytes());
        head.extend_from_slice(b",\"scopeLogs\":[{\"scope\":");
        head.extend_from_slice(scope(version).to_string().as_bytes());
        head.extend_from_slice(b",\"logRecords\":[");
        let of_stream = |stream: &str| match file {
            None => vec![text("log.iostream", stream)],
            Some(path) => of_file(path),
        };
        let mut ours = file.map(of_file).unwrap_or_default();
        ours.push(json!({ "key": "monopod.gap", "value": { "boolValue": true } }));
        Self {
            head,
            stdout: tail(&of_stream("stdout"), false),
            stderr: tail(&of_stream("stderr"), false),
            monopod: tail(&ours, true),
        }
    }

    /// Before the first record.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Writes one record; `observed` in nanoseconds since the epoch. A severity is told of our own words alone: nobody
    /// knows that of an application's line, whichever stream it came by.
    pub fn put(&self, line: Line<'_>, observed: u64, out: &mut Vec<u8>) {
        let time = nanoseconds(line.time);
        out.push(b'{');
        if let Some(time) = time {
            out.extend_from_slice(format!("\"timeUnixNano\":\"{time}\",").as_bytes());
        }
        // A clock that is set back must not make a line seen before it was written.
        let observed = observed.max(time.unwrap_or(0));
        out.extend_from_slice(
            format!("\"observedTimeUnixNano\":\"{observed}\",\"body\":{{\"stringValue\":").as_bytes(),
        );
        // Writing to memory cannot fail.
        let _ok = serde_json::to_writer(&mut *out, line.text).is_ok();
        out.extend_from_slice(match line.stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
            Stream::Monopod => &self.monopod,
        });
    }
}

fn of_file(path: &str) -> Vec<Value> {
    let name = path.rsplit('/').next().unwrap_or_default();
    vec![text("log.file.path", path), text("log.file.name", name)]
}

fn tail(attributes: &[Value], ours: bool) -> Vec<u8> {
    let severity = match ours {
        true => format!(",\"severityNumber\":{WARN},\"severityText\":\"WARN\""),
        false => String::new(),
    };
    format!("}}{severity},\"attributes\":{}}}", json!(attributes)).into_bytes()
}

/// Nanoseconds since the epoch of `2026-01-02T03:04:05.123456789Z`, with any number of digits behind the point.
pub fn nanoseconds(time: &str) -> Option<u64> {
    let (seconds, fraction) = match time.split_once('.') {
        Some((seconds, fraction)) => (format!("{seconds}Z"), fraction.strip_suffix('Z')?),
        None => (time.to_owned(), ""),
    };
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis = crate::text::parse_timestamp_millis(&seconds)?;
    let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    millis.checked_mul(1_000_000)?.checked_add(nanos)
}
