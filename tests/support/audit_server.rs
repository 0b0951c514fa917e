//! The server behind `instance_logs_url`: takes audit records as JSON and answers by script.
//!
//! Contract: `POST` with a JSON object of `account_id`, `region`, `instance_boot_time`, `instance_id`, `log_type`, all of
//! them strings that are not empty, and `log_data`, base64. Basic authentication as [`AUDIT_USER`] with
//! [`AUDIT_PASSWORD`]. A good record is answered with 201, other credentials with 401, another method with 405, anything
//! else with 400 and the reason. `log_type` may be anything: tests look at it themselves. Bodies come with their length,
//! not in chunks.
//!
//! In user data: `instance_logs_url` is [`AuditServer::url`], `logsink_username` and `logsink_password` the two constants.
//! With [`AuditServer::tls`] the agent needs `SSL_CERT_FILE` with [`crate::authority`], and the certificate is for
//! 127.0.0.1. A script is a list of [`AuditAnswer`]s; the first with some times left is used, then it is 201 again:
//!
//! ```no_run
//! use std::time::Duration;
//! use monopod_testrig::{AuditAnswer, AuditServer, Machine, Where};
//!
//! let machine = Machine::acquire();
//! let server = AuditServer::start(Where::Machine(&machine));
//! server.answers(&[AuditAnswer::status(500).times(2), AuditAnswer::hang().times(1)]);
//! let record = server.wait_for("USER_DATA", Duration::from_secs(60));
//! assert!(record.text().contains("source: "));
//! assert_eq!(server.records().len(), 4, "the refused ones are there too");
//! ```

use std::io::{self, BufReader, Read as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::ServerConfig;
use serde_json::Value;

use crate::http::{Request, read_request};
use crate::listener::{Listener, Wire};
use crate::place::Where;
use crate::tls::Presents;
use crate::wait::{Journal, lock, pause};

/// Who may post.
pub const AUDIT_USER: &str = "audit-user";
/// With which password; a word no output may ever hold.
pub const AUDIT_PASSWORD: &str = "canary-audit-password";

/// What becomes of the next requests.
#[derive(Clone, Debug)]
pub struct AuditAnswer {
    what: What,
    times: Option<u32>,
}

#[derive(Clone, Debug)]
enum What {
    Status(u16),
    Slow(Duration),
    Hang,
    Cut,
    Lost,
}

impl AuditAnswer {
    /// This status, always; the record is not taken, unless the status is 201.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::always(What::Status(status))
    }

    /// Taken, and answered this much later, always.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::always(What::Slow(delay))
    }

    /// Read, not taken, and never answered, always: until the client hangs up.
    #[must_use]
    pub fn hang() -> Self {
        Self::always(What::Hang)
    }

    /// The connection ends and the record is not taken, always.
    #[must_use]
    pub fn cut() -> Self {
        Self::always(What::Cut)
    }

    /// The record is taken, and the connection ends instead of the answer, always.
    #[must_use]
    pub fn lost() -> Self {
        Self::always(What::Lost)
    }

    fn always(what: What) -> Self {
        Self { what, times: None }
    }

    /// Only so many times; then the next answer of the script applies.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// A request, taken or not.
#[derive(Clone, Debug)]
pub struct AuditRecord {
    /// Its path and query.
    pub path: String,
    /// The body as it came; null where it is no JSON.
    pub body: Value,
    /// `log_type`; empty where there is none.
    pub log_type: String,
    /// `log_data`, decoded; empty where it is no base64.
    pub data: Vec<u8>,
    /// Whether the server has it: what a client that heard 201 counts on.
    pub taken: bool,
    /// The status it was answered with; 0 where it was not.
    pub status: u16,
    /// Why it was refused, where the contract says so.
    pub refusal: Option<String>,
    /// When it had come in.
    pub at: SystemTime,
}

impl AuditRecord {
    /// `log_data` as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }
}

/// The server. Its port is closed on drop.
pub struct AuditServer {
    listener: Listener,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    answers: Mutex<Vec<AuditAnswer>>,
    records: Journal<AuditRecord>,
}

impl AuditServer {
    /// Starts it, over plain http.
    #[must_use]
    pub fn start(place: Where<'_>) -> Self {
        Self::new(place, None)
    }

    /// Starts it, over https.
    #[must_use]
    pub fn tls(place: Where<'_>, presents: Presents) -> Self {
        Self::new(place, Some(presents.server_config()))
    }

    fn new(place: Where<'_>, config: Option<Arc<ServerConfig>>) -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let listener = Listener::new(place, config, move |wire| serve(wire, &shared));
        Self { listener, state }
    }

    /// Its address for user data: `http://127.0.0.1:PORT/instance-logs`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/instance-logs", self.listener.url())
    }

    /// Replaces the script.
    pub fn answers(&self, answers: &[AuditAnswer]) {
        *lock(&self.state.answers) = answers.to_vec();
    }

    /// All requests so far, taken or not, in the order they came.
    #[must_use]
    pub fn records(&self) -> Vec<AuditRecord> {
        self.state.records.entries()
    }

    /// Those of a type that were taken; one that was sent twice is there twice.
    #[must_use]
    pub fn taken(&self, log_type: &str) -> Vec<AuditRecord> {
        let mut records = self.records();
        records.retain(|record| record.taken && record.log_type == log_type);
        records
    }

    /// Waits until a record of this type is taken.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for(&self, log_type: &str, within: Duration) -> AuditRecord {
        let find = |records: &[AuditRecord]| {
            let mut taken = records.iter().filter(|record| record.taken);
            taken.find(|record| record.log_type == log_type).cloned()
        };
        self.state.records.wait_for(within, find).unwrap_or_else(|| {
            panic!(
                "rig: no {log_type} within {within:?}; requests: {:#?}",
                self.records()
            )
        })
    }

    /// Waits until there were so many requests, taken or not: for retries.
    pub fn wait_for_requests(&self, count: usize, within: Duration) {
        let enough = |records: &[AuditRecord]| (records.len() >= count).then_some(());
        self.state.records.wait_for(within, enough).unwrap_or_else(|| {
            panic!(
                "rig: no {count} requests within {within:?}: {:#?}",
                self.records()
            )
        });
    }

    /// Refuses connections, and cuts those there are.
    pub fn down(&self) {
        self.listener.down();
    }

    /// Ends [`Self::down`], at the same port.
    pub fn up(&self) {
        self.listener.up();
    }

    /// Listens at the same port in another place: a machine that was rebooted has a new network.
    pub fn start_in(&mut self, place: Where<'_>) {
        self.listener.start_in(place);
    }
}

fn serve(wire: Wire, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(wire);
    while let Some(request) = read_request(&mut reader)? {
        let answer = next_answer(state);
        let refusal = judge(&request).err();
        let (status, taken) = match (&answer, &refusal) {
            (Some(What::Hang | What::Cut), _) => (0, false),
            (Some(What::Status(status)), _) => (*status, *status == 201 && refusal.is_none()),
            (Some(What::Lost), _) => (0, refusal.is_none()),
            (Some(What::Slow(_)) | None, Some((status, _))) => (*status, false),
            (Some(What::Slow(_)) | None, None) => (201, true),
        };
        if let Some(What::Slow(delay)) = answer {
            pause(delay);
        }
        state.records.push(record(&request, status, taken, refusal));
        if let Some(What::Hang) = answer {
            // Until nobody is there any more.
            while reader.read(&mut [0; 1024])? > 0 {}
        }
        if status == 0 {
            return Ok(());
        }
        let wire = reader.get_mut();
        write!(wire, "HTTP/1.1 {status} Audit\r\nContent-Length: 0\r\n\r\n")?;
        wire.flush()?;
        if request.last {
            return Ok(());
        }
    }
    Ok(())
}

fn next_answer(state: &State) -> Option<What> {
    let mut answers = lock(&state.answers);
    let answer = answers.iter_mut().find(|answer| answer.times != Some(0))?;
    answer.times = answer.times.map(|times| times - 1);
    Some(answer.what.clone())
}

fn record(request: &Request, status: u16, taken: bool, refusal: Option<(u16, String)>) -> AuditRecord {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    AuditRecord {
        path: request.path.clone(),
        log_type: body["log_type"].as_str().unwrap_or_default().to_owned(),
        data: BASE64
            .decode(body["log_data"].as_str().unwrap_or_default())
            .unwrap_or_default(),
        body,
        taken,
        status,
        refusal: refusal.map(|(_, why)| why),
        at: SystemTime::now(),
    }
}

fn judge(request: &Request) -> Result<(), (u16, String)> {
    if request.method != "POST" {
        return Err((405, format!("{} is not POST", request.method)));
    }
    let expected = format!(
        "Basic {}",
        BASE64.encode(format!("{AUDIT_USER}:{AUDIT_PASSWORD}"))
    );
    if request.header("authorization") != Some(&expected) {
        return Err((401, "other credentials, or none".into()));
    }
    let kind = request.header("content-type").unwrap_or_default();
    if !kind.starts_with("application/json") {
        return Err((400, format!("its Content-Type is {kind:?}")));
    }
    let body: Value =
        serde_json::from_slice(&request.body).map_err(|error| (400, format!("no JSON: {error}")))?;
    let names = [
        "account_id",
        "region",
        "instance_boot_time",
        "instance_id",
        "log_type",
        "log_data",
    ];
    for name in names {
        if body[name].as_str().is_none_or(str::is_empty) {
            return Err((400, format!("`{name}` is no string, or empty")));
        }
    }
    let data = body["log_data"].as_str().unwrap_or_default();
    let decoded = BASE64.decode(data);
    decoded
        .map(drop)
        .map_err(|error| (400, format!("`log_data` is no base64: {error}")))
}
