//! An instance metadata service: version 2, tokens enforced, with outages on demand.
//!
//! It listens inside the machine's network only, so nothing here can be mistaken for, or ask, a real one.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufReader, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use crate::gate::Gate;
use crate::http::{Request, read_request};
use crate::identity::Identity;
use crate::notices::Notices;
use crate::sandbox::Network;
use crate::wait::{Journal, lock, pause};

const TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// What a request carried as its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token {
    /// A token that was issued and is still good.
    Good,
    /// One that has expired, or was never issued.
    Bad,
    /// None.
    Missing,
}

/// One request, as it was answered.
#[derive(Clone, Debug)]
pub struct ImdsCall {
    /// GET or PUT.
    pub method: String,
    /// The path asked for.
    pub path: String,
    /// What the request carried as its token.
    pub token: Token,
    /// The status it was answered with.
    pub status: u16,
    /// When.
    pub at: Instant,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Mode {
    #[default]
    Sound,
    /// Every request is answered with this status.
    Always(u16),
    /// As before version 2: no tokens, and none asked for.
    VersionOne,
}

#[derive(Debug)]
pub(crate) struct State {
    identity: Identity,
    pub(crate) notices: Notices,
    user_data: Option<Vec<u8>>,
    mode: Mode,
    delay: Duration,
    tokens: HashMap<String, Instant>,
    issued: u64,
    expire_after: Option<usize>,
}

/// The service, as a test steers it.
pub struct Imds {
    gate: Arc<Gate>,
    network: Arc<Mutex<Arc<Network>>>,
    pub(crate) state: Arc<Mutex<State>>,
    journal: Journal<ImdsCall>,
    told: Box<dyn Fn(&Identity) + Send + Sync>,
}

impl Imds {
    /// `told` hears who the machine is, now and whenever that changes.
    pub(crate) fn new(
        network: &Arc<Network>,
        address: SocketAddrV4,
        identity: Identity,
        told: impl Fn(&Identity) + Send + Sync + 'static,
    ) -> Self {
        told(&identity);
        let state = Arc::new(Mutex::new(State {
            identity,
            notices: Notices::default(),
            user_data: None,
            mode: Mode::Sound,
            delay: Duration::ZERO,
            tokens: HashMap::new(),
            issued: 0,
            expire_after: None,
        }));
        let journal = Journal::default();
        let (shared, calls) = (Arc::clone(&state), journal.clone());
        let gate = Gate::at(network, address, move |stream| {
            // A client that hangs up in the middle is its own affair.
            drop(converse(stream, &shared, &calls));
        });
        Self {
            gate: Arc::new(gate),
            network: Arc::new(Mutex::new(Arc::clone(network))),
            state,
            journal,
            told: Box::new(told),
        }
    }

    /// What the launch template would carry; any bytes.
    pub fn set_user_data(&self, data: impl AsRef<[u8]>) {
        lock(&self.state).user_data = Some(data.as_ref().to_owned());
    }

    /// No user data: 404, as on a machine launched without.
    pub fn clear_user_data(&self) {
        lock(&self.state).user_data = None;
    }

    /// Changes who the machine is.
    pub fn identity(&self, change: impl FnOnce(&mut Identity)) {
        let identity = {
            let mut state = lock(&self.state);
            change(&mut state.identity);
            state.identity.clone()
        };
        (self.told)(&identity);
    }

    /// The instance id it gives.
    #[must_use]
    pub fn instance_id(&self) -> String {
        lock(&self.state).identity.instance_id.clone()
    }

    /// Connections are refused.
    pub fn down(&self) {
        self.gate.close();
    }

    /// Connections are accepted again.
    pub fn up(&self) {
        self.gate.open(&lock(&self.network));
    }

    /// Refuses connections now, and comes up after `delay` by itself.
    pub fn late_by(&self, delay: Duration) {
        self.down();
        let (gate, network) = (Arc::downgrade(&self.gate), Arc::clone(&self.network));
        thread::spawn(move || {
            pause(delay);
            if let Some(gate) = gate.upgrade() {
                gate.open(&lock(&network));
            }
        });
    }

    /// Every answer takes this long.
    pub fn delay(&self, delay: Duration) {
        lock(&self.state).delay = delay;
    }

    /// Every request, the one for a token too, is answered with this status (401, 403, 503 ...).
    pub fn always(&self, status: u16) {
        lock(&self.state).mode = Mode::Always(status);
    }

    /// A service of version 1: the token path is 404, everything else answers without a token.
    pub fn version_one(&self) {
        lock(&self.state).mode = Mode::VersionOne;
    }

    /// Tokens issued so far are good no longer.
    pub fn expire_tokens(&self) {
        lock(&self.state).tokens.clear();
    }

    /// Tokens expire in the middle of a conversation: after so many more answers to a good one, once.
    pub fn expire_tokens_after(&self, answers: usize) {
        lock(&self.state).expire_after = Some(answers);
    }

    /// Ends all faults; user data, identity and notices stay.
    pub fn heal(&self) {
        {
            let mut state = lock(&self.state);
            state.mode = Mode::Sound;
            state.delay = Duration::ZERO;
            state.expire_after = None;
        }
        self.up();
    }

    /// All requests so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ImdsCall> {
        self.journal.entries()
    }

    /// The requests as they come: for waiting on one.
    #[must_use]
    pub fn journal(&self) -> &Journal<ImdsCall> {
        &self.journal
    }

    pub(crate) fn move_to(&self, network: &Arc<Network>) {
        let open = self.gate.is_open();
        self.gate.close();
        *lock(&self.network) = Arc::clone(network);
        if open {
            self.up();
        }
    }
}

fn converse(mut stream: TcpStream, state: &Mutex<State>, journal: &Journal<ImdsCall>) -> io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = read_request(&mut reader)? {
        let delay = lock(state).delay;
        pause(delay);
        let (token, answer) = {
            let mut state = lock(state);
            let answer = answer(&mut state, &request);
            // Afterwards, as the answer may be what expires the token.
            (judge(&state, &request), answer)
        };
        let last = request.last;
        journal.push(ImdsCall {
            method: request.method,
            path: request.path,
            token,
            status: answer.status,
            at: Instant::now(),
        });
        answer.send(&mut stream)?;
        if last {
            break;
        }
    }
    Ok(())
}

struct Answer {
    status: u16,
    ttl: Option<u64>,
    body: Vec<u8>,
}

impl Answer {
    fn status(status: u16) -> Self {
        Self {
            status,
            ttl: None,
            body: Vec::new(),
        }
    }

    fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            ttl: None,
            body: body.into(),
        }
    }

    fn send(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut head = format!(
            "HTTP/1.1 {} Rig\r\nServer: EC2ws\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n",
            self.status,
            self.body.len()
        );
        if let Some(ttl) = self.ttl {
            write!(head, "{TTL}: {ttl}\r\n").expect("writing to a string");
        }
        head.push_str("\r\n");
        let mut message = head.into_bytes();
        message.extend_from_slice(&self.body);
        stream.write_all(&message)
    }
}

fn judge(state: &State, request: &Request) -> Token {
    match request.header("x-aws-ec2-metadata-token") {
        None => Token::Missing,
        Some(token)
            if state
                .tokens
                .get(token)
                .is_some_and(|until| *until > Instant::now()) =>
        {
            Token::Good
        }
        Some(_) => Token::Bad,
    }
}

fn answer(state: &mut State, request: &Request) -> Answer {
    if let Mode::Always(status) = state.mode {
        return Answer::status(status);
    }
    let Some((version, path)) = request.path.trim_start_matches('/').split_once('/') else {
        return Answer::status(404);
    };
    // The versions that cloud-init asks for by their dates have what the latest has.
    if version != "latest" && !version.starts_with("20") {
        return Answer::status(404);
    }
    if path == "api/token" {
        return if state.mode == Mode::VersionOne {
            Answer::status(404)
        } else {
            issue(state, request)
        };
    }
    if request.method != "GET" {
        return Answer::status(405);
    }
    if state.expire_after == Some(0) {
        state.tokens.clear();
        state.expire_after = None;
    }
    if state.mode == Mode::Sound && judge(state, request) != Token::Good {
        return Answer::status(401);
    }
    state.expire_after = state.expire_after.map(|left| left.saturating_sub(1));
    if path == "user-data" {
        return state
            .user_data
            .clone()
            .map_or_else(|| Answer::status(404), Answer::ok);
    }
    let notice = path
        .strip_prefix("meta-data/")
        .and_then(|path| state.notices.get(path));
    notice
        .or_else(|| state.identity.get(path))
        .map_or_else(|| Answer::status(404), Answer::ok)
}

fn issue(state: &mut State, request: &Request) -> Answer {
    if request.method != "PUT" {
        return Answer::status(405);
    }
    let ttl = request.header(TTL).and_then(|value| value.parse::<u64>().ok());
    let Some(ttl) = ttl.filter(|ttl| (1..=21600).contains(ttl)) else {
        return Answer::status(400);
    };
    // The real service refuses to give a token to a request that came through a proxy.
    if request.header("x-forwarded-for").is_some() {
        return Answer::status(403);
    }
    state.issued += 1;
    let token = format!("rig-token-{}==", state.issued);
    state
        .tokens
        .insert(token.clone(), Instant::now() + Duration::from_secs(ttl));
    Answer {
        status: 200,
        ttl: Some(ttl),
        body: token.into_bytes(),
    }
}
