//! What arrived in CloudWatch Logs and in S3.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::aws::Aws;

const REGION: &str = "eu-central-1";

/// One call of PutLogEvents, taken or refused. Calls that a fault answered are not among them.
#[derive(Clone, Debug)]
pub struct LogBatch {
    /// The log group it named.
    pub group: String,
    /// The log stream.
    pub stream: String,
    /// How many events it held.
    pub events: usize,
    /// Their size as AWS counts it: the messages, and 26 bytes an event.
    pub bytes: usize,
    /// The first event's time in milliseconds.
    pub first: i64,
    /// The last event's.
    pub last: i64,
    /// How many of them were kept: not those too old or too new.
    pub stored: usize,
    /// Why it was refused.
    pub error: Option<String>,
}

/// An object in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its key.
    pub key: String,
    /// Its bytes, as they were put.
    pub body: Vec<u8>,
    /// `Content-Type`, `Content-Encoding` and `x-amz-meta-...`, in lower case.
    pub metadata: BTreeMap<String, String>,
}

impl Aws {
    /// The full name of a log group of this machine's own, which need not be there.
    #[must_use]
    pub fn log_group_name(&self, name: &str) -> String {
        format!("/{}/{name}", self.bucket())
    }

    /// Makes a log group of this machine's own, in eu-central-1, and gives its full name.
    #[must_use = "user data names the group by its full name"]
    pub fn log_group(&self, name: &str) -> String {
        self.make_log_group(name, None)
    }

    /// The same with a retention in days; for a group that is there, its new one.
    #[must_use = "user data names the group by its full name"]
    pub fn log_group_kept(&self, name: &str, days: u32) -> String {
        self.make_log_group(name, Some(days))
    }

    fn make_log_group(&self, name: &str, retention: Option<u32>) -> String {
        let name = self.log_group_name(name);
        let order = json!({"region": REGION, "name": name, "retention": retention});
        self.standin.call("POST", "/_test/log_group", &order);
        name
    }

    /// The streams of a log group, by its full name; None when there is no such group.
    #[must_use]
    pub fn log_streams(&self, group: &str) -> Option<Vec<String>> {
        let order = json!({"region": REGION, "name": group});
        let answer = self.standin.call("POST", "/_test/log_streams", &order);
        let names = answer["streams"].as_array()?;
        Some(names.iter().map(text).collect())
    }

    /// The events of a stream, as milliseconds and message, in the order they were taken in: duplicates are there as
    /// often as they were sent.
    #[must_use]
    pub fn log_events(&self, group: &str, stream: &str) -> Vec<(i64, String)> {
        let order = json!({"group": group, "stream": stream});
        let answer = self.standin.call("POST", "/_test/log_events", &order);
        let events = answer["events"].as_array().map(Vec::as_slice).unwrap_or_default();
        events
            .iter()
            .map(|event| (event[0].as_i64().unwrap_or_default(), text(&event[1])))
            .collect()
    }

    /// The calls of PutLogEvents this machine has made, in the order they were judged.
    #[must_use]
    pub fn put_log_calls(&self) -> Vec<LogBatch> {
        let journal = self.journal();
        let batches = journal["batches"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let number = |value: &Value| {
            value
                .as_u64()
                .and_then(|number| usize::try_from(number).ok())
                .unwrap_or(0)
        };
        batches
            .iter()
            .map(|batch| LogBatch {
                group: text(&batch["group"]),
                stream: text(&batch["stream"]),
                events: number(&batch["events"]),
                bytes: number(&batch["bytes"]),
                first: batch["first"].as_i64().unwrap_or_default(),
                last: batch["last"].as_i64().unwrap_or_default(),
                stored: number(&batch["stored"]),
                error: batch["error"].as_str().map(str::to_owned),
            })
            .collect()
    }

    /// Makes this machine's own bucket, empty, and gives its name.
    #[must_use = "user data names the bucket"]
    pub fn make_bucket(&self) -> String {
        let bucket = self.bucket();
        self.standin
            .call("POST", "/_test/bucket", &json!({"bucket": bucket}));
        bucket
    }

    /// The objects whose key begins so, by their keys; none when there is no such bucket.
    #[must_use]
    pub fn objects(&self, bucket: &str, prefix: &str) -> Vec<Object> {
        let order = json!({"bucket": bucket, "prefix": prefix});
        let answer = self.standin.call("POST", "/_test/objects", &order);
        let objects = answer["objects"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        objects.iter().map(object).collect()
    }
}

fn object(value: &Value) -> Object {
    let metadata = value["metadata"].as_object().into_iter().flatten();
    Object {
        key: text(&value["key"]),
        body: BASE64
            .decode(text(&value["body"]))
            .expect("rig: the stand-in answers in base64"),
        metadata: metadata
            .map(|(name, value)| (name.to_ascii_lowercase(), text(value)))
            .collect(),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
