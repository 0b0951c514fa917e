//! Scalyr's `addEvents`, as its public documentation describes it.
//!
//! Contract: `POST /addEvents` or `/api/addEvents` with a JSON object: `token`; `session`, a name; `sessionInfo`, an
//! object, optional; `events`, each with `ts` (nanoseconds, in a string), `sev` (0 to 6, optional), `attrs` (an object),
//! and optionally `thread` and `log`, which name one of `threads` and `logs`. A body has at most 6,000,000 bytes and is
//! neither compressed nor chunked. Within a session times never go back. A request is taken as a whole or not at all, and
//! the answer is an object with `status`: `success`, `error/client/badParam`, `error/client/noPermission`, or what a
//! fault says.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::{Value, json};

use crate::http::Request;
use crate::listener::{Answer, Listener, answer_each};
use crate::place::Where;
use crate::tls::Presents;
use crate::wait::{Journal, lock, pause};

/// The token it takes; a word no output may ever hold.
pub const SCALYR_TOKEN: &str = "canary-scalyr-write-token";

/// What a request body may have at most.
const BODY: usize = 6_000_000;

/// What becomes of the next requests.
#[derive(Clone, Debug)]
pub struct ScalyrFault {
    what: Fault,
    times: Option<u32>,
}

#[derive(Clone, Debug)]
enum Fault {
    Answer(u16, String),
    Slow(Duration),
    Cut,
    Lost,
}

impl ScalyrFault {
    /// This HTTP status and this `status`, always: `(429, "error/server/backoff")`, `(200, "error/server/backoff")`,
    /// `(401, "error/client/noPermission")`.
    #[must_use]
    pub fn answer(http: u16, status: &str) -> Self {
        Self::always(Fault::Answer(http, status.to_owned()))
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
        Self { what, times: None }
    }

    /// Only so many times; then the next fault, or none, applies.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }
}

/// An event it has taken.
#[derive(Clone, Debug)]
pub struct ScalyrEvent {
    /// The session it came in.
    pub session: String,
    /// Nanoseconds since 1970.
    pub ts: u128,
    /// The severity; 3 (info) when it has none.
    pub sev: u64,
    /// Its attributes; the text is in `message`.
    pub attrs: Value,
    /// The thread, as its request describes it; null without one.
    pub thread: Value,
    /// The log, as its request describes it; null without one.
    pub log: Value,
    /// What the request said of the session; null without.
    pub session_info: Value,
}

/// A request, taken or not.
#[derive(Clone, Debug)]
pub struct ScalyrRequest {
    /// Its session.
    pub session: String,
    /// How many events it had.
    pub events: usize,
    /// The size of its body.
    pub bytes: usize,
    /// The HTTP status it was answered with; 0 when the connection was cut instead.
    pub http: u16,
    /// `status` of the answer; of a lost one too.
    pub status: String,
}

/// The server. Its port is closed on drop.
pub struct Scalyr {
    listener: Listener,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    faults: Mutex<Vec<ScalyrFault>>,
    events: Journal<ScalyrEvent>,
    requests: Journal<ScalyrRequest>,
    /// The last time of each session. Held while a request is judged and taken.
    sessions: Mutex<HashMap<String, u128>>,
}

impl Scalyr {
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
        let listener = Listener::new(place, config, move |wire| {
            answer_each(wire, |request| handle(request, &shared))
        });
        Self { listener, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Its address for user data: `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        self.listener.url()
    }

    /// Replaces the faults; the first that has some times left is used.
    pub fn faults(&self, faults: &[ScalyrFault]) {
        *lock(&self.state.faults) = faults.to_vec();
    }

    /// All events so far, in the order they were taken; duplicates as often as they were sent.
    #[must_use]
    pub fn events(&self) -> Vec<ScalyrEvent> {
        self.state.events.entries()
    }

    /// The messages of one session.
    #[must_use]
    pub fn messages(&self, session: &str) -> Vec<String> {
        let of_session = |event: &ScalyrEvent| (event.session == session).then(|| message(event));
        self.events().iter().filter_map(of_session).collect()
    }

    /// The sessions so far, in the order of their first event.
    #[must_use]
    pub fn sessions(&self) -> Vec<String> {
        let mut sessions: Vec<String> = Vec::new();
        for event in self.events() {
            if !sessions.contains(&event.session) {
                sessions.push(event.session);
            }
        }
        sessions
    }

    /// All requests so far, taken or not, in the order they were judged.
    #[must_use]
    pub fn requests(&self) -> Vec<ScalyrRequest> {
        self.state.requests.entries()
    }

    /// Waits for an event whose message has this in it.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for(&self, part: &str, within: Duration) -> ScalyrEvent {
        let find =
            |events: &[ScalyrEvent]| events.iter().find(|event| message(event).contains(part)).cloned();
        self.state.events.wait_for(within, find).unwrap_or_else(|| {
            let (requests, count) = (self.requests(), self.events().len());
            let last = &requests[requests.len().saturating_sub(10)..];
            panic!("rig: no event with {part:?} within {within:?}; {count} events, last requests {last:#?}")
        })
    }

    /// Waits until there were so many requests: for retries.
    pub fn wait_for_requests(&self, count: usize, within: Duration) {
        let enough = |requests: &[ScalyrRequest]| (requests.len() >= count).then_some(());
        self.state.requests.wait_for(within, enough).unwrap_or_else(|| {
            panic!(
                "rig: no {count} requests within {within:?}: {:#?}",
                self.requests()
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

fn message(event: &ScalyrEvent) -> String {
    event.attrs["message"].as_str().unwrap_or_default().to_owned()
}

/// `status` and a reason; None when the connection is to end without.
fn handle(request: &Request, state: &State) -> Option<Answer> {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let fault = next_fault(state);
    if let Some(Fault::Slow(delay)) = fault {
        pause(delay);
    }
    let (http, status, why) = match &fault {
        Some(Fault::Answer(http, status)) => (*http, status.clone(), "injected by the test rig".to_owned()),
        Some(Fault::Cut) => (0, "cut".to_owned(), String::new()),
        Some(Fault::Slow(_) | Fault::Lost) | None => match judge_and_take(request, &body, state) {
            Ok(()) => (200, "success".to_owned(), String::new()),
            Err((http, status, why)) => (http, format!("error/client/{status}"), why),
        },
    };
    let answered = !matches!(fault, Some(Fault::Cut | Fault::Lost));
    state.requests.push(ScalyrRequest {
        session: body["session"].as_str().unwrap_or_default().to_owned(),
        events: body["events"].as_array().map_or(0, Vec::len),
        bytes: request.body.len(),
        http: if answered { http } else { 0 },
        status: status.clone(),
    });
    answered.then(|| (http, String::new(), json!({"status": status, "message": why})))
}

fn next_fault(state: &State) -> Option<Fault> {
    let mut faults = lock(&state.faults);
    let fault = faults.iter_mut().find(|fault| fault.times != Some(0))?;
    fault.times = fault.times.map(|times| times - 1);
    Some(fault.what.clone())
}

type Refusal = (u16, &'static str, String);

fn bad(why: impl Into<String>) -> Refusal {
    (400, "badParam", why.into())
}

fn judge_and_take(request: &Request, body: &Value, state: &State) -> Result<(), Refusal> {
    check_request(request, body)?;
    let session = body["session"].as_str().unwrap_or_default();
    let events = body["events"]
        .as_array()
        .ok_or_else(|| bad("`events` is no list"))?;
    let mut sessions = lock(&state.sessions);
    let mut last = sessions.get(session).copied().unwrap_or(0);
    let mut taken = Vec::new();
    for (index, event) in events.iter().enumerate() {
        let event = read_event(event, body).map_err(|why| bad(format!("event {index}: {why}")))?;
        if event.ts < last {
            return Err(bad(format!(
                "event {index}: its time is before an earlier one of the session"
            )));
        }
        last = event.ts;
        taken.push(event);
    }
    sessions.insert(session.to_owned(), last);
    for event in taken {
        state.events.push(event);
    }
    Ok(())
}

fn check_request(request: &Request, body: &Value) -> Result<(), Refusal> {
    let path = request.path.split('?').next().unwrap_or_default();
    if request.method != "POST" || !["/addEvents", "/api/addEvents"].contains(&path) {
        return Err((404, "badParam", format!("no {} {path} here", request.method)));
    }
    if request.header("transfer-encoding").is_some() || request.header("content-encoding").is_some() {
        return Err((415, "badParam", "this stand-in takes plain bodies only".into()));
    }
    if request.body.len() > BODY {
        return Err((
            413,
            "badParam",
            format!("{} bytes are too many", request.body.len()),
        ));
    }
    if !body.is_object() {
        return Err(bad("the body is no JSON object"));
    }
    if body["token"] != SCALYR_TOKEN {
        return Err((401, "noPermission", "the token is not known".into()));
    }
    if body["session"].as_str().is_none_or(str::is_empty) {
        return Err(bad("`session` is missing"));
    }
    if !(body["sessionInfo"].is_null() || body["sessionInfo"].is_object()) {
        return Err(bad("`sessionInfo` is no object"));
    }
    Ok(())
}

fn read_event(event: &Value, body: &Value) -> Result<ScalyrEvent, String> {
    let ts = event["ts"].as_str().and_then(|ts| ts.parse().ok());
    let sev = if event["sev"].is_null() {
        Some(3)
    } else {
        event["sev"].as_u64().filter(|sev| *sev <= 6)
    };
    if !event["attrs"].is_object() {
        return Err("`attrs` is no object".into());
    }
    Ok(ScalyrEvent {
        session: body["session"].as_str().unwrap_or_default().to_owned(),
        ts: ts.ok_or("`ts` is no string of nanoseconds")?,
        sev: sev.ok_or("`sev` is not from 0 to 6")?,
        attrs: event["attrs"].clone(),
        thread: described(&event["thread"], &body["threads"])?,
        log: described(&event["log"], &body["logs"])?,
        session_info: body["sessionInfo"].clone(),
    })
}

/// What the request says of the thread or log that an event names.
fn described(id: &Value, all: &Value) -> Result<Value, String> {
    if id.is_null() {
        return Ok(Value::Null);
    }
    let mut known = all.as_array().into_iter().flatten();
    let found = known.find(|one| one["id"] == *id);
    found.cloned().ok_or_else(|| format!("{id} is not described"))
}
