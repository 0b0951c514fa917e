//! The container's AWS credentials, served where every SDK looks for them.
//!
//! ```text
//!  the container's SDK ── GET, with the token of its file ──► endpoint ◄── keeper ── instance metadata or STS
//! ```
//!
//! Design: one task, the keeper, asks AWS; whoever asks us gets what it has in memory, and waits for it only where there
//! is nothing valid yet. So there is one call at a time, however many processes of the container ask at once.
//!
//! Invariants
//! - A value is known to the redactor before anybody is given it, and is in no file, log or record of ours.
//! - Old credentials are served as long as they are valid: AWS being away is nobody's outage before their end.
//! - It ends nothing: an address that is not there and a role that is refused are told, and tried again.
//! - Nobody asks, nobody fetches: credentials are renewed ahead of their end while the container uses them.

mod answer;
mod keeper;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::identity::counts::IdentityRecord;
use monopod_core::identity::protocol::SessionCredentials;
use monopod_core::identity::{self, Identity, RoleArn, Served};
use monopod_core::retry;
use monopod_core::secret::Secret;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::host::accept::{Connections, PAUSE};
use crate::host::clock;
use crate::host::delivery::{DeliveryError, TokenFile};
use crate::report::Reporter;

/// The address comes with the rules of the firewall, which may take that long.
const PATIENCE: Duration = Duration::from_secs(5);
/// Counts are written that often at most.
const PUBLISH: Duration = Duration::from_secs(1);

/// What is served to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Orders {
    served: Served,
    region: String,
    instance_id: String,
}

/// Serves one container's credentials, or none.
pub struct Endpoint {
    reporter: Reporter,
    token_file: TokenFile,
    running: Mutex<Option<Running>>,
}

struct Running {
    orders: Orders,
    shared: Arc<Shared>,
    /// With them go the listener, its connections and the keeper.
    _tasks: JoinSet<()>,
}

/// What the tasks have in common.
struct Shared {
    reporter: Reporter,
    role: Option<RoleArn>,
    token: Mutex<Option<Secret>>,
    state: watch::Sender<State>,
    /// Somebody asks, and what there is does not do.
    wanted: Notify,
    /// Somebody asked since the last fetch.
    asked: AtomicBool,
    record: Mutex<IdentityRecord>,
    counted: Notify,
}

/// What the keeper has.
#[derive(Clone, Debug, Default)]
struct State {
    credentials: Option<Arc<SessionCredentials>>,
    /// When they are to be renewed, in milliseconds since the epoch.
    due: u64,
    /// Why the last fetch gave none.
    failure: Option<Failure>,
}

/// As an SDK is told.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    is_refusal: bool,
    message: String,
}

impl State {
    fn valid(&self, now: u64) -> Option<&Arc<SessionCredentials>> {
        self.credentials
            .as_ref()
            .filter(|credentials| credentials.is_valid(now))
    }

    fn is_due(&self, now: u64) -> bool {
        now >= self.due || self.valid(now).is_none()
    }
}

impl Endpoint {
    /// Serves nobody yet.
    pub fn new(reporter: Reporter, runtime: &Path) -> Self {
        Self {
            reporter,
            token_file: TokenFile::new(runtime),
            running: Mutex::default(),
        }
    }

    /// Serves this from now on, with the token that lies there, and nothing else. Asked again for the same it changes nothing.
    pub fn ensure(&self, identity: &Identity, facts: &InstanceFacts) {
        let orders = identity.served().map(|served| Orders {
            served,
            region: facts.region.clone(),
            instance_id: facts.instance_id.clone(),
        });
        let mut running = self.running();
        if running.as_ref().map(|running| &running.orders) == orders.as_ref() {
            return;
        }
        let Some(orders) = orders else {
            *running = None;
            self.token_file.ensure_none();
            self.reporter.set_identity(None);
            return;
        };
        let shared = Arc::new(Shared::new(&orders, self.reporter.clone()));
        shared.take_token(self.token_file.recall());
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(Arc::clone(&shared)));
        tasks.spawn(keeper::keep(orders.clone(), Arc::clone(&shared)));
        tasks.spawn(publish(Arc::clone(&shared)));
        *running = Some(Running {
            orders,
            shared,
            _tasks: tasks,
        });
    }

    /// What the container has mounted, if it is served at all.
    pub fn token_directory(&self) -> Option<PathBuf> {
        self.running()
            .as_ref()
            .map(|_| self.token_file.directory().to_owned())
    }

    /// The token's directory is as it has to be, where one is needed.
    pub fn ensure_layout(&self) -> Result<(), DeliveryError> {
        match &*self.running() {
            Some(_) => self.token_file.ensure_layout(),
            None => Ok(()),
        }
    }

    /// The container that is about to be started finds a token that no other had.
    pub fn renew_token(&self) -> Result<(), DeliveryError> {
        if let Some(running) = &*self.running() {
            running.shared.take_token(Some(self.token_file.renew()?));
        }
        Ok(())
    }

    /// The container that runs finds a token: the one it has, or another in its place.
    pub fn ensure_token(&self) -> Result<(), DeliveryError> {
        let has_one = match &*self.running() {
            Some(running) => running.shared.token().is_some(),
            None => true,
        };
        if has_one { Ok(()) } else { self.renew_token() }
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn new(orders: &Orders, reporter: Reporter) -> Self {
        let role = match &orders.served {
            Served::Role(role) => Some(role.clone()),
            Served::Instance => None,
        };
        let record = IdentityRecord::new(&orders.served);
        reporter.set_identity(Some(record.clone()));
        Self {
            reporter,
            role,
            token: Mutex::default(),
            state: watch::Sender::default(),
            wanted: Notify::new(),
            asked: AtomicBool::default(),
            record: Mutex::new(record),
            counted: Notify::new(),
        }
    }

    /// Nobody is told it from now on.
    fn take_token(&self, token: Option<Secret>) {
        if let Some(token) = &token {
            // Every start has another: what no container has any more is not kept for ever.
            self.reporter
                .learn_passing("the token of aws_credentials", [token]);
        }
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = token;
    }

    fn token(&self) -> Option<Secret> {
        self.token.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, change: impl FnOnce(&mut IdentityRecord)) {
        change(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
        self.counted.notify_one();
    }

    /// What there is, or what comes until then.
    async fn credentials(&self, deadline: Instant) -> Result<Arc<SessionCredentials>, Failure> {
        let mut states = self.state.subscribe();
        self.asked.store(true, Ordering::Relaxed);
        loop {
            {
                let (state, now) = (states.borrow_and_update(), clock::now_millis());
                if state.is_due(now) {
                    self.wanted.notify_one();
                }
                match (state.valid(now), &state.failure) {
                    (Some(credentials), _) => return Ok(Arc::clone(credentials)),
                    (None, Some(failure)) => return Err(failure.clone()),
                    (None, None) => {}
                }
            }
            if !matches!(
                tokio::time::timeout_at(deadline, states.changed()).await,
                Ok(Ok(()))
            ) {
                return Err(Failure {
                    is_refusal: false,
                    message: "there are no credentials yet; ask again".to_owned(),
                });
            }
        }
    }
}

/// Takes the record's counts to where they are seen, some time after they changed.
async fn publish(shared: Arc<Shared>) {
    loop {
        shared.counted.notified().await;
        let record = shared
            .record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        shared.reporter.set_identity(Some(record));
        tokio::time::sleep(PUBLISH).await;
    }
}

async fn listen(shared: Arc<Shared>) {
    let Ok(address) = identity::ADDRESS.parse::<SocketAddr>() else {
        return;
    };
    let listener = bind(address, &shared).await;
    shared.count(|record| record.listening = true);
    tracing::info!("the container's AWS credentials are served at http://{address}");
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = Arc::clone(&shared);
                connections.begin(stream, move |request| {
                    let shared = Arc::clone(&shared);
                    async move { answer::answer(&request, &shared).await }
                });
            }
            Err(error) => {
                tracing::debug!("a connection to {address} was not accepted, ignoring: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// As soon as the machine has the address. A restarted agent has it at once.
async fn bind(address: SocketAddr, shared: &Shared) -> TcpListener {
    let (begun, mut failures, mut told) = (Instant::now(), 0, None);
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(error) => {
                let why = match error.kind() {
                    std::io::ErrorKind::AddrNotAvailable => format!(
                        "the machine does not have the address {}, which monopod-firewall.service puts on `lo`; see `systemctl status monopod-firewall.socket`",
                        address.ip()
                    ),
                    std::io::ErrorKind::AddrInUse => {
                        "another process has that port; see `ss -ltnp`".to_owned()
                    }
                    _ => error.to_string(),
                };
                if begun.elapsed() >= PATIENCE && told.as_ref() != Some(&why) {
                    let text = format!(
                        "the container's AWS credentials are not served at {address}, trying again: {why}"
                    );
                    shared.count(|record| record.last_error = Some(text.clone()));
                    shared.reporter.tell(Event::Warning { text });
                    told = Some(why);
                }
            }
        }
        failures += 1;
        tokio::time::sleep(retry::LOCAL.delay(failures, clock::chance())).await;
    }
}
