//! A receiver of OTLP over HTTP in its JSON form.
//!
//! Contract: `POST /v1/logs`, `/v1/metrics` or `/v1/traces` with `Content-Type: application/json` and
//! `Content-Encoding: gzip`. Each body is judged by the protocol's own protobuf schema (`otlp_check.py`), unknown fields
//! included; what is wrong with it is answered with 400 and told by [`OtlpServer::problems`]. A header
//! `Authorization: Bearer` with [`OTLP_TOKEN`] has to be there where [`OtlpServer::asks_for_token`] was called.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::Request;
use crate::layout;
use crate::listener::{Answer, Listener, answer_each};
use crate::place::Where;
use crate::process::{spawn_tied, tied};
use crate::wait::{Journal, lock, pause};

/// The token it may ask for; a word no output may ever hold.
pub const OTLP_TOKEN: &str = "canary-otlp-bearer-token";

/// What becomes of the next requests.
#[derive(Clone, Debug)]
pub struct OtlpFault {
    what: Fault,
    times: Option<u32>,
    part: String,
}

#[derive(Clone, Debug)]
enum Fault {
    Answer(u16, Option<u32>),
    Partial(u64),
    Slow(Duration),
    Cut,
    Lost,
}

impl OtlpFault {
    /// This HTTP status, always; nothing is taken.
    #[must_use]
    pub fn answer(http: u16) -> Self {
        Self::always(Fault::Answer(http, None))
    }

    /// The same with `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(http: u16, seconds: u32) -> Self {
        Self::always(Fault::Answer(http, Some(seconds)))
    }

    /// A partial success: the last so many records are not taken.
    #[must_use]
    pub fn partial(records: u64) -> Self {
        Self::always(Fault::Partial(records))
    }

    /// Requests are taken this much later, always.
    #[must_use]
    pub fn slow(delay: Duration) -> Self {
        Self::always(Fault::Slow(delay))
    }

    /// The connection ends and nothing is taken, always.
    #[must_use]
    pub fn cut() -> Self {
        Self::always(Fault::Cut)
    }

    /// The request is taken, and the connection ends instead of the answer, always.
    #[must_use]
    pub fn lost() -> Self {
        Self::always(Fault::Lost)
    }

    fn always(what: Fault) -> Self {
        Self {
            what,
            times: None,
            part: String::new(),
        }
    }

    /// Only so many times; then the next fault, or none, applies.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Only for bodies that have this in them.
    #[must_use]
    pub fn with(mut self, part: &str) -> Self {
        part.clone_into(&mut self.part);
        self
    }
}

/// A request, taken or not.
#[derive(Clone, Debug)]
pub struct OtlpRequest {
    /// `logs`, `metrics` or `traces`.
    pub signal: String,
    /// The body.
    pub body: Value,
    /// The HTTP status it was answered with; 0 when the connection was cut instead.
    pub http: u16,
    /// All of it, or part of it, was taken.
    pub taken: bool,
}

/// The receiver. Its port is closed on drop.
pub struct OtlpServer {
    listener: Listener,
    state: Arc<State>,
}

struct State {
    judge: Mutex<Judge>,
    asks: AtomicBool,
    faults: Mutex<Vec<OtlpFault>>,
    requests: Journal<OtlpRequest>,
    records: Journal<Value>,
    problems: Journal<String>,
}

/// The schema's process: asked a line, it answers a line.
struct Judge {
    _child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    fn start() -> Self {
        let python = layout::home().join("otlp/bin/python");
        assert!(
            python.exists(),
            "rig: {} is missing: run tests/setup.sh first",
            python.display()
        );
        let mut command = tied(python);
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(layout::support().join("otlp_check.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = spawn_tied(command).expect("rig: starting otlp_check.py");
        let ask = child.stdin.take().expect("rig: a pipe");
        let answers = BufReader::new(child.stdout.take().expect("rig: a pipe"));
        let mut judge = Self {
            _child: child,
            ask,
            answers,
        };
        assert_eq!(
            judge.line().trim(),
            "judging",
            "rig: otlp_check.py does not start"
        );
        judge
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.answers
            .read_line(&mut line)
            .expect("rig: otlp_check.py ended");
        line
    }

    /// The body, and what is wrong with it.
    fn ask(&mut self, signal: &str, body: &[u8]) -> (Value, Option<String>) {
        writeln!(self.ask, "{signal} {}", BASE64_STANDARD.encode(body)).expect("rig: otlp_check.py ended");
        let answer: Value = serde_json::from_str(&self.line()).expect("rig: otlp_check.py ended");
        let problem = answer["problem"].as_str().map(str::to_owned);
        (answer["body"].clone(), problem)
    }
}

impl OtlpServer {
    /// Starts it, over plain http.
    #[must_use]
    pub fn start(place: Where<'_>) -> Self {
        let state = Arc::new(State {
            judge: Mutex::new(Judge::start()),
            asks: AtomicBool::new(false),
            faults: Mutex::default(),
            requests: Journal::default(),
            records: Journal::default(),
            problems: Journal::default(),
        });
        let shared = Arc::clone(&state);
        let answer = move |wire| answer_each(wire, |request| handle(request, &shared));
        Self {
            listener: Listener::new(place, None, answer),
            state,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Its address for user data.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// From now on a request without the token is answered with 401.
    pub fn asks_for_token(&self) {
        self.state.asks.store(true, Ordering::SeqCst);
    }

    /// Replaces the faults; the first that has some times left is used.
    pub fn faults(&self, faults: &[OtlpFault]) {
        *lock(&self.state.faults) = faults.to_vec();
    }

    /// All requests so far, taken or not.
    #[must_use]
    pub fn requests(&self) -> Vec<OtlpRequest> {
        self.state.requests.entries()
    }

    /// What was wrong with bodies, by the schema.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.state.problems.entries()
    }

    /// All log records that were taken, in their order, each with its `resource`.
    #[must_use]
    pub fn records(&self) -> Vec<Value> {
        self.state.records.entries()
    }

    /// Their texts.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.records().iter().map(text).collect()
    }

    /// Waits for a log record whose text has this in it.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for(&self, part: &str, within: Duration) -> Value {
        let find = |records: &[Value]| records.iter().find(|record| text(record).contains(part)).cloned();
        self.state.records.wait_for(within, find).unwrap_or_else(|| {
            let (requests, problems) = (self.requests().len(), self.problems());
            let texts = self.texts();
            let last = &texts[texts.len().saturating_sub(10)..];
            panic!("rig: no record with {part:?} within {within:?}; {requests} requests, {problems:?}, last {last:#?}")
        })
    }

    /// Waits for a request of this kind that was taken and has this in it.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for_request(&self, signal: &str, part: &str, within: Duration) -> OtlpRequest {
        let is_it =
            |one: &&OtlpRequest| one.taken && one.signal == signal && one.body.to_string().contains(part);
        let find = |requests: &[OtlpRequest]| requests.iter().find(is_it).cloned();
        self.state.requests.wait_for(within, find).unwrap_or_else(|| {
            let known: Vec<(String, u16)> = self
                .requests()
                .into_iter()
                .map(|one| (one.signal, one.http))
                .collect();
            let problems = self.problems();
            panic!("rig: no {signal} with {part:?} within {within:?}: {known:?} {problems:?}")
        })
    }

    /// Waits until there were so many requests: for retries.
    pub fn wait_for_requests(&self, count: usize, within: Duration) {
        let enough = |requests: &[OtlpRequest]| (requests.len() >= count).then_some(());
        self.state
            .requests
            .wait_for(within, enough)
            .unwrap_or_else(|| panic!("rig: no {count} requests within {within:?}"));
    }

    /// Refuses connections, and cuts those there are.
    pub fn down(&self) {
        self.listener.down();
    }

    /// Ends [`Self::down`], at the same port.
    pub fn up(&self) {
        self.listener.up();
    }
}

fn text(record: &Value) -> String {
    record["body"]["stringValue"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// None when the connection is to end without an answer.
fn handle(request: &Request, state: &State) -> Option<Answer> {
    let signal = request.path.strip_prefix("/v1/").unwrap_or_default().to_owned();
    if let Some((http, why)) = refusal(request, &signal, state) {
        note(state, &signal, Value::Null, http, false);
        return Some((http, String::new(), json!({ "code": 3, "message": why })));
    }
    let (body, problem) = lock(&state.judge).ask(&signal, &request.body);
    if let Some(problem) = problem {
        state.problems.push(problem.clone());
        note(state, &signal, body, 400, false);
        return Some((400, String::new(), json!({ "code": 3, "message": problem })));
    }
    let fault = next_fault(state, &body.to_string());
    match fault {
        Some(Fault::Answer(http, after)) => {
            note(state, &signal, body, http, false);
            let after = after.map_or_else(String::new, |seconds| format!("Retry-After: {seconds}\r\n"));
            let why = format!("injected by the test rig, for {OTLP_TOKEN}");
            return Some((http, after, json!({ "code": 14, "message": why })));
        }
        Some(Fault::Cut) => {
            note(state, &signal, body, 0, false);
            return None;
        }
        Some(Fault::Slow(delay)) => pause(delay),
        Some(Fault::Partial(_) | Fault::Lost) | None => {}
    }
    let rejected = match fault {
        Some(Fault::Partial(records)) => records,
        _ => 0,
    };
    take(state, &body, rejected);
    let lost = matches!(fault, Some(Fault::Lost));
    note(state, &signal, body, if lost { 0 } else { 200 }, true);
    let answer = match rejected {
        0 => json!({}),
        rejected => {
            json!({ "partialSuccess": { "rejectedLogRecords": rejected.to_string(), "errorMessage": "too old" } })
        }
    };
    (!lost).then(|| (200, String::new(), answer))
}

fn refusal(request: &Request, signal: &str, state: &State) -> Option<(u16, String)> {
    if request.method != "POST" || !["logs", "metrics", "traces"].contains(&signal) {
        return Some((404, format!("no {} {} here", request.method, request.path)));
    }
    if request.header("content-type") != Some("application/json")
        || request.header("content-encoding") != Some("gzip")
    {
        return Some((415, "JSON in gzip is taken here".to_owned()));
    }
    let token = format!("Bearer {OTLP_TOKEN}");
    let known = request.header("authorization") == Some(token.as_str());
    (state.asks.load(Ordering::SeqCst) && !known)
        .then(|| (401, format!("not {:?}", request.header("authorization"))))
}

fn note(state: &State, signal: &str, body: Value, http: u16, taken: bool) {
    state.requests.push(OtlpRequest {
        signal: signal.to_owned(),
        body,
        http,
        taken,
    });
}

fn take(state: &State, body: &Value, rejected: u64) {
    let mut all = Vec::new();
    for of_resource in body["resourceLogs"].as_array().into_iter().flatten() {
        for of_scope in of_resource["scopeLogs"].as_array().into_iter().flatten() {
            for record in of_scope["logRecords"].as_array().into_iter().flatten() {
                let mut record = record.clone();
                record["resource"] = of_resource["resource"].clone();
                all.push(record);
            }
        }
    }
    let rejected = usize::try_from(rejected).unwrap_or(usize::MAX);
    all.truncate(all.len().saturating_sub(rejected));
    for record in all {
        state.records.push(record);
    }
}

fn next_fault(state: &State, body: &str) -> Option<Fault> {
    let mut faults = lock(&state.faults);
    let fault = faults
        .iter_mut()
        .find(|fault| fault.times != Some(0) && body.contains(&fault.part))?;
    fault.times = fault.times.map(|times| times - 1);
    Some(fault.what.clone())
}
