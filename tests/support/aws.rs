//! The AWS stand-in: one process (`aws_standin.py`) for all tests, and one test's view of it.
//!
//! Tests are kept apart by the access key id their agent signs with: each lease of a machine has its own.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use crate::Rig;
use crate::forward::Line;
use crate::http;
use crate::layout;
use crate::place::Where;
use crate::process::{Part, tied};

/// The process.
#[derive(Debug)]
pub(crate) struct Standin {
    part: Part,
    pub(crate) address: SocketAddr,
}

impl Standin {
    pub(crate) fn start() -> Self {
        let mut command = tied(layout::python());
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // The machine images there are: through its API, moto makes none whose root is a volume.
            .env("MOTO_AMIS_PATH", layout::support().join("amis.json"))
            .arg(layout::support().join("aws_standin.py"));
        let part = Part::start("AWS stand-in", command, &layout::process().join("aws.log"));
        let address = part.ready(Duration::from_secs(60), |log| {
            log.lines()
                .find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
        });
        Self { part, address }
    }

    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = TcpStream::connect(self.address)
            .and_then(|stream| {
                stream.set_read_timeout(Some(Duration::from_secs(30)))?;
                http::call(stream, method, path, &[], body.to_string().as_bytes())
            })
            .unwrap_or_else(|e| {
                panic!(
                    "rig: {method} {path} on the AWS stand-in: {e}{}",
                    self.part.tail()
                )
            });
        assert!(
            answer.status == 200,
            "rig: {method} {path} on the AWS stand-in: {} {}{}",
            answer.status,
            answer.text(),
            self.part.tail()
        );
        serde_json::from_slice(&answer.body).unwrap_or_else(|e| {
            panic!(
                "rig: {method} {path} on the AWS stand-in: no JSON: {e}{}",
                self.part.tail()
            )
        })
    }
}

/// A fault of an operation, for the calls of one machine.
#[derive(Clone, Debug)]
pub struct AwsFault {
    order: Value,
}

impl AwsFault {
    /// The operation (`Decrypt`) answers with this error code, always. KMS uses status 400 for nearly everything.
    #[must_use]
    pub fn error(op: &str, code: &str) -> Self {
        Self {
            order: json!({"op": op, "code": code}),
        }
    }

    /// The operation takes this much longer, always.
    #[must_use]
    pub fn slow(op: &str, delay: Duration) -> Self {
        Self {
            order: json!({"op": op, "delay": delay.as_secs_f64()}),
        }
    }

    /// The connection ends before the operation is done, always.
    #[must_use]
    pub fn cut(op: &str) -> Self {
        Self {
            order: json!({"op": op, "cut": true}),
        }
    }

    /// The operation is done, and the connection ends instead of the answer, always: who asks again does it twice.
    #[must_use]
    pub fn lost(op: &str) -> Self {
        Self {
            order: json!({"op": op, "lose": true}),
        }
    }

    /// The operation is not done and answers 200 with a web page, always.
    #[must_use]
    pub fn nonsense(op: &str) -> Self {
        Self {
            order: json!({"op": op, "nonsense": true}),
        }
    }

    /// Only so many times; then the next fault, or none, applies.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.order["times"] = json!(times);
        self
    }

    /// With this delay before the answer.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.order["delay"] = json!(delay.as_secs_f64());
        self
    }

    /// With this status rather than 400.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.order["http"] = json!(status);
        self
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.order["headers"][name] = json!(value);
        self
    }

    /// With this message.
    #[must_use]
    pub fn message(mut self, message: &str) -> Self {
        self.order["message"] = json!(message);
        self
    }
}

/// One call a machine has made.
#[derive(Clone, Debug)]
pub struct AwsCall {
    /// The operation, such as `Decrypt`; of S3 the method and the path.
    pub op: String,
    /// The operation by its name for S3 too: `PutObject`.
    pub action: String,
    /// The status it was answered with, or would have been had the answer not been lost; 0 when it was cut before.
    pub status: u16,
    /// True where a fault was in play.
    pub injected: bool,
}

/// AWS, as one machine sees it: the line to it and what happens on its account.
pub struct Aws {
    pub(crate) standin: &'static Standin,
    pub(crate) line: Line,
    pub(crate) access_key: String,
}

impl Aws {
    /// With an access key of its own, on a line of the host's: for tests of a client alone.
    #[must_use]
    pub fn alone() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let (standin, place) = (Rig::get().standin(), Where::Host);
        Self {
            standin,
            line: Line::new(&place.network(), place.free_port(), standin.address),
            access_key: format!("AKIAALONE{:011X}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// Where a client on the line's network asks.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.line.address())
    }

    /// The line between the machine and AWS.
    #[must_use]
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The access key id the machine's agent signs with.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.access_key
    }

    /// A value for user data, as people write it: `aws:kms:` and the ciphertext that KMS made of the plain text.
    #[must_use]
    pub fn encrypt(&self, plaintext: impl AsRef<[u8]>) -> String {
        self.encrypt_in("eu-central-1", plaintext)
    }

    /// The same with another region's key.
    #[must_use]
    pub fn encrypt_in(&self, region: &str, plaintext: impl AsRef<[u8]>) -> String {
        let order = json!({"region": region, "plaintext": BASE64.encode(plaintext)});
        let answer = self.standin.call("POST", "/_test/encrypt", &order);
        format!(
            "aws:kms:{}",
            answer["ciphertext"]
                .as_str()
                .expect("rig: the stand-in answers with a ciphertext")
        )
    }

    /// Gives the region's key a name, `alias/my-app`; all machines see it.
    pub fn alias(&self, region: &str, alias: &str) {
        self.standin
            .call("POST", "/_test/alias", &json!({"region": region, "alias": alias}));
    }

    /// What KMS makes of a ciphertext (base64) under this encryption context; `None` when it refuses.
    #[must_use]
    pub fn decrypt_in(&self, region: &str, ciphertext: &str, context: &Value) -> Option<Vec<u8>> {
        let order = json!({"region": region, "ciphertext": ciphertext, "context": context});
        let answer = self.standin.call("POST", "/_test/decrypt", &order);
        let plaintext = answer["plaintext"].as_str()?;
        Some(
            BASE64
                .decode(plaintext)
                .expect("rig: the stand-in answers in base64"),
        )
    }

    /// Puts an object into a bucket of this machine's own, and gives its `s3://` address. A fault's operation for it is
    /// `GET /BUCKET/KEY`.
    #[must_use]
    pub fn put_object(&self, key: &str, bytes: impl AsRef<[u8]>) -> String {
        let bucket = self.bucket();
        let order = json!({"bucket": bucket, "key": key, "body": BASE64.encode(bytes)});
        self.standin.call("POST", "/_test/object", &order);
        format!("s3://{bucket}/{key}")
    }

    /// The name of this machine's bucket.
    #[must_use]
    pub fn bucket(&self) -> String {
        self.access_key.to_ascii_lowercase()
    }

    /// Puts a parameter of this machine's own, or its next version, and gives the reference to it as people write it.
    #[must_use]
    pub fn put_parameter(&self, name: &str, value: &str) -> String {
        let name = format!("/{}/{name}", self.bucket());
        let order = json!({"name": name, "value": value});
        self.standin.call("POST", "/_test/parameter", &order);
        format!("aws:ssm:{name}")
    }

    /// Puts a secret of this machine's own into Secrets Manager, or its next version: the reference to it, and the
    /// version's id.
    #[must_use]
    pub fn put_secret(&self, name: &str, value: &str) -> (String, String) {
        let name = format!("{}/{name}", self.bucket());
        let order = json!({"name": name, "value": value});
        let answer = self.standin.call("POST", "/_test/secret", &order);
        let version = answer["version"].as_str().unwrap_or_default().to_owned();
        (format!("aws:secretsmanager:{name}"), version)
    }

    /// How often this machine has called an operation.
    #[must_use]
    pub fn calls_of(&self, op: &str) -> usize {
        self.calls().iter().filter(|call| call.op == op).count()
    }

    /// Replaces this machine's faults; the first that fits a call is used.
    pub fn faults(&self, faults: &[AwsFault]) {
        let faults: Vec<&Value> = faults.iter().map(|fault| &fault.order).collect();
        self.standin.call(
            "POST",
            "/_test/faults",
            &json!({"access_key": self.access_key, "faults": faults}),
        );
    }

    /// How long the logins last that ECR gives this machine from now on: 12 hours, unless a test says otherwise.
    pub fn ecr_life(&self, life: Duration) {
        self.standin.call(
            "POST",
            "/_test/ecr",
            &json!({"access_key": self.access_key, "life": life.as_secs()}),
        );
    }

    /// How long sessions of the roles last that it assumes.
    pub fn session_life(&self, life: Duration) {
        self.standin.call(
            "POST",
            "/_test/sts",
            &json!({"access_key": self.access_key, "life": life.as_secs()}),
        );
    }

    /// All calls this machine has made, in the order they ended.
    #[must_use]
    pub fn calls(&self) -> Vec<AwsCall> {
        let journal = self.journal();
        let calls = journal["calls"].as_array().expect("rig: the journal is a list");
        calls
            .iter()
            .map(|call| AwsCall {
                op: call["op"].as_str().unwrap_or_default().to_owned(),
                action: call["action"].as_str().unwrap_or_default().to_owned(),
                status: call["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok())
                    .unwrap_or(0),
                injected: call["injected"].as_bool().unwrap_or(false),
            })
            .collect()
    }

    /// How often this machine has called an operation.
    #[must_use]
    pub fn count(&self, op: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.op == op || call.action == op)
            .count()
    }

    /// How often this machine has called Decrypt.
    #[must_use]
    pub fn decrypt_calls(&self) -> usize {
        self.calls().iter().filter(|call| call.op == "Decrypt").count()
    }

    /// The most Decrypt calls of this machine that ran at once.
    #[must_use]
    pub fn max_concurrent_decrypts(&self) -> u64 {
        self.journal()["max_concurrent"]["Decrypt"].as_u64().unwrap_or(0)
    }

    /// The most calls of an operation of this machine that ran at once.
    #[must_use]
    pub fn max_concurrent(&self, op: &str) -> u64 {
        self.journal()["max_concurrent"][op].as_u64().unwrap_or(0)
    }

    pub(crate) fn journal(&self) -> Value {
        self.standin.call(
            "GET",
            &format!("/_test/journal?access_key={}", self.access_key),
            &Value::Null,
        )
    }
}
