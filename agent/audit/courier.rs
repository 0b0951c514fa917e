//! The task: looks what waits, sends it in order, and waits when it can't.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use monopod_core::audit::{LogType, Name, Sender};
use monopod_core::event::Event;
use monopod_core::secret::Secret;
use monopod_core::text;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::keeper::Keeper;
use super::logs::{self, Content, Id, LogFile};
use super::marks::remove;
use super::watch::Watch;
use super::{AGAIN, Asks, Flush, Live, SPREAD};
use crate::host::log_sink::{LogSink, SinkError};
use crate::host::{AskError, Class, Classified as _, chain, clock};

/// After so many rounds without a yes somebody is told.
const TELL_AFTER: u32 = 3;
/// A file that is being written is looked at again.
const GROWING: Duration = Duration::from_secs(20);

/// What can wait.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Payload {
    UserData,
    Record(PathBuf),
    Notice(PathBuf),
    Log(LogFile),
}

/// By what it is known that one was given up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    UserData,
    Record(PathBuf),
    Log(Id),
}

impl Payload {
    fn key(&self) -> Key {
        match self {
            Self::UserData => Key::UserData,
            // A path of either is one of a kind.
            Self::Record(path) | Self::Notice(path) => Key::Record(path.clone()),
            Self::Log(file) => Key::Log(file.id),
        }
    }

    fn what(&self) -> String {
        match self {
            Self::UserData => "masked user data".to_owned(),
            Self::Record(_) => "boot record".to_owned(),
            Self::Notice(_) => "notice of what happens here".to_owned(),
            Self::Log(file) => format!("audit log {}", file.path.display()),
        }
    }
}

/// Why a payload is still here.
enum Failure {
    /// It may go later, and so may what is behind it.
    Later(String),
    /// It is not whole yet; what is behind it may go.
    Growing,
    /// Never, unless somebody changes something.
    Never(String),
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Self::of(error.class, error.text)
    }
}

impl Failure {
    fn of(class: Class, text: String) -> Self {
        match class {
            Class::Transient | Class::Throttled => Self::Later(text),
            Class::Permanent => Self::Never(text),
        }
    }

    /// What is about this machine is no reason to hold up what is behind it.
    fn here(error: AskError) -> Self {
        match error.class {
            Class::Transient | Class::Throttled => {
                tracing::debug!("the masked user data waits: {}", error.text);
                Self::Growing
            }
            Class::Permanent => Self::Never(error.text),
        }
    }

    fn disk(error: impl std::error::Error) -> Self {
        Self::Later(chain(&error))
    }
}

/// How a round ended.
enum Ended {
    /// By itself; when to look again.
    Round(Option<Instant>),
    /// Somebody wants all of it out now.
    Flush(Flush),
}

async fn until(due: Option<Instant>) {
    match due {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

pub(super) struct Courier {
    keeper: Arc<Keeper>,
    logs: PathBuf,
    asks: Asks,
    sink: LogSink,
    password: Option<Secret>,
    given_up: BTreeSet<Key>,
    /// Those of them that were given up because the receiver did not know us.
    locked_out: BTreeSet<Key>,
    /// What was told of single payloads.
    told: BTreeSet<String>,
    outage_told: bool,
    /// The login of the newest payload was good.
    mended: bool,
    failures: u32,
}

impl Courier {
    pub(super) fn new(keeper: Arc<Keeper>, logs: PathBuf, asks: Asks) -> Self {
        Self {
            sink: LogSink::new(&keeper.orders.plan.url),
            keeper,
            logs,
            asks,
            password: None,
            given_up: BTreeSet::new(),
            locked_out: BTreeSet::new(),
            told: BTreeSet::new(),
            outage_told: false,
            mended: false,
            failures: 0,
        }
    }

    /// Until nobody is there to ask for a flush.
    pub(super) async fn run(mut self, mut flushes: mpsc::Receiver<Flush>) {
        let keeper = Arc::clone(&self.keeper);
        let mut outcomes = keeper.reporter.outcomes();
        let watch = Watch::new(&self.logs);
        self.note_outcome();
        let mut due = Some(Instant::now());
        loop {
            tokio::select! {
                flush = flushes.recv() => match flush {
                    Some(flush) => due = Some(self.flush(flush).await),
                    None => return,
                },
                changed = outcomes.changed() => match changed {
                    Ok(()) if self.note_outcome() => due = Some(Instant::now()),
                    Ok(()) => {}
                    Err(_gone) => return,
                },
                // What failed waits for its turn: only a round that is due later than now is brought forward.
                () = keeper.news.notified(), if self.failures == 0 => due = Some(Instant::now()),
                () = watch.changed() => {
                    let at = Instant::now() + SPREAD.mul_f64(clock::chance());
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
                () = until(due) => due = match self.round_or_flush(&mut flushes).await {
                    Ended::Round(next) => next,
                    Ended::Flush(flush) => Some(self.flush(flush).await),
                },
            }
        }
    }

    /// A round, which a flush may cut short. How the boot ends is noted meanwhile, however long a call hangs.
    async fn round_or_flush(&mut self, flushes: &mut mpsc::Receiver<Flush>) -> Ended {
        let keeper = Arc::clone(&self.keeper);
        let mut outcomes = keeper.reporter.outcomes();
        let mut anew = false;
        let mut round = Box::pin(self.round(Live::Stays));
        loop {
            tokio::select! {
                next = &mut round => {
                    return Ended::Round(if anew { Some(Instant::now()) } else { next });
                }
                Ok(()) = outcomes.changed() => {
                    // What can't be kept is told by the next look, with its reason.
                    anew |= !matches!(keeper.note_outcome(), Ok(None));
                }
                Some(flush) = flushes.recv() => {
                    let _told_by_the_flush = keeper.note_outcome().is_err();
                    // What is on its way may be taken: to send it anew at once would be a second one.
                    let half = flush.deadline.saturating_duration_since(Instant::now()) / 2;
                    let _late = timeout(half, &mut round).await.is_err();
                    return Ended::Flush(flush);
                }
            }
        }
    }

    /// Whether there is a new record.
    fn note_outcome(&mut self) -> bool {
        match self.keeper.note_outcome() {
            Ok(None) => false,
            Ok(Some(0)) => true,
            Ok(Some(gone)) => {
                self.tell(format!(
                    "boot records that waited for {} are gone ({gone} of them): there were too many",
                    text::without_query(&self.keeper.orders.plan.url)
                ));
                true
            }
            Err(error) => {
                self.tell(format!(
                    "how the boot went is not told to the audit: {}",
                    chain(&error)
                ));
                false
            }
        }
    }

    /// Rounds until nothing is left or the time is up. When to look again.
    async fn flush(&mut self, flush: Flush) -> Instant {
        self.note_outcome();
        self.given_up.clear();
        let rounds = async {
            while let Some(at) = self.round(flush.live).await {
                // No time for a long wait.
                let soon = Instant::now() + AGAIN.first;
                sleep_until(at.min(soon)).await;
            }
        };
        let _late = timeout_at(flush.deadline, rounds).await.is_err();
        let _nobody_waits = flush.done.send(()).is_err();
        Instant::now() + AGAIN.delay(self.failures.max(1), clock::chance())
    }

    /// Sends what waits. When to look again, if anything is left that may be taken later.
    async fn round(&mut self, live: Live) -> Option<Instant> {
        let mut growing = false;
        for payload in self.pending(live).await {
            match self.deliver(&payload).await {
                Ok(()) => {}
                Err(Failure::Growing) => growing = true,
                Err(Failure::Never(text)) => {
                    self.given_up.insert(payload.key());
                    self.tell(format!("the {} is not sent: {text}", payload.what()));
                }
                Err(Failure::Later(text)) => {
                    self.failures = self.failures.saturating_add(1);
                    tracing::debug!("the {} waits: {text}", payload.what());
                    if self.failures >= TELL_AFTER && !self.outage_told {
                        self.outage_told = true;
                        let text = format!("audit records wait on this machine: {text}");
                        self.keeper.reporter.tell(Event::Warning { text });
                    }
                    return Some(Instant::now() + AGAIN.delay(self.failures, clock::chance()));
                }
            }
        }
        if self.mended && !self.locked_out.is_empty() {
            for key in std::mem::take(&mut self.locked_out) {
                self.given_up.remove(&key);
            }
            return Some(Instant::now());
        }
        growing.then(|| Instant::now() + GROWING)
    }

    async fn pending(&mut self, live: Live) -> Vec<Payload> {
        let mut all = Vec::new();
        if !self.keeper.user_data_is_told() {
            all.push(Payload::UserData);
        }
        match self.keeper.records() {
            Ok(records) => all.extend(records.into_iter().map(Payload::Record)),
            Err(error) => self.tell(format!("no boot record is sent: {}", chain(&error))),
        }
        match self.keeper.notices() {
            Ok(notices) => all.extend(notices.into_iter().map(Payload::Notice)),
            Err(error) => self.tell(format!("no notice is sent to the audit: {}", chain(&error))),
        }
        let (directory, boot_id) = (self.logs.clone(), self.keeper.boot_id());
        let wanted = live == Live::Sent;
        let found = tokio::task::spawn_blocking(move || logs::pending(&directory, &boot_id, wanted)).await;
        match found {
            Ok(Ok(files)) => all.extend(files.into_iter().map(Payload::Log)),
            Ok(Err(error)) => {
                let directory = self.logs.display();
                self.tell(format!("no audit log is sent: cannot list {directory}: {error}"));
            }
            Err(error) => tracing::debug!(%error, "the audit log was not looked for"),
        }
        all.retain(|payload| !self.given_up.contains(&payload.key()));
        all
    }

    async fn deliver(&mut self, payload: &Payload) -> Result<(), Failure> {
        match payload {
            Payload::UserData => {
                let mut masked = (self.asks.user_data)().await.map_err(Failure::here)?;
                self.keeper.reporter.redact_json(&mut masked);
                let yaml = serde_yaml::to_string(&masked)
                    .map_err(|error| Failure::Never(format!("it cannot be written as YAML: {error}")))?;
                let body = body(&self.keeper.sender, LogType::UserData, yaml.as_bytes());
                self.post(body, payload).await?;
                self.keeper.user_data_told().map_err(Failure::disk)
            }
            Payload::Record(path) | Payload::Notice(path) => {
                let Some(mut waiting) = self.keeper.record(path).map_err(Failure::disk)? else {
                    return Ok(());
                };
                self.keeper.reporter.redact_json(&mut waiting.record);
                let json = waiting.record.to_string();
                let log_type = match payload {
                    Payload::Notice(_) => LogType::RuntimeEvent,
                    _ => LogType::BootRecord,
                };
                let body = body(&waiting.sender, log_type, json.as_bytes());
                self.post(body, payload).await?;
                remove(path);
                Ok(())
            }
            Payload::Log(file) => self.deliver_log(file, payload).await,
        }
    }

    async fn deliver_log(&mut self, file: &LogFile, payload: &Payload) -> Result<(), Failure> {
        let (before, behind) = self.keeper.sender.envelope(LogType::AuditLog);
        let encoded = {
            let file = file.clone();
            tokio::task::spawn_blocking(move || {
                let mut body = before.into_bytes();
                logs::encode(&file, &mut body).map(|content| (content, body))
            })
        };
        let encoded = encoded.await.map_err(Failure::disk)?;
        let (content, mut body) = match encoded {
            Ok(encoded) => encoded,
            // Rotated away between the look and now: the next look finds it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Failure::Growing),
            Err(error) => return Err(Failure::Never(error.to_string())),
        };
        let sent = match content {
            Content::Ready(sent) => sent,
            Content::Growing => return Err(Failure::Growing),
            Content::Unusable(why) => return Err(Failure::Never(format!("{why}; it stays where it is"))),
            Content::Empty if matches!(file.name, Name::Left(_)) => {
                remove(&file.path);
                return Ok(());
            }
            Content::Empty => return Ok(()),
        };
        body.extend_from_slice(behind.as_bytes());
        self.post(Bytes::from(body), payload).await?;
        let (file, boot_id) = (file.clone(), self.keeper.boot_id());
        let settled = tokio::task::spawn_blocking(move || logs::settle(&file, sent, &boot_id)).await;
        settled.map_err(Failure::disk)?.map_err(|error| {
            let path = payload.what();
            // It would be sent again and again.
            Failure::Never(format!(
                "the receiver has it, but it can't be removed ({error}); remove {path}"
            ))
        })
    }

    /// One attempt, or two if the password may have changed since it was fetched.
    async fn post(&mut self, body: Bytes, payload: &Payload) -> Result<(), Failure> {
        let was_known = self.password.is_some();
        let mut answer = self.try_post(body.clone(), payload).await?;
        if was_known && answer.as_ref().is_err_and(SinkError::is_about_login) {
            self.password = None;
            answer = self.try_post(body, payload).await?;
        }
        match answer {
            Ok(()) => {
                tracing::debug!("the {} is taken by the audit", payload.what());
                self.failures = 0;
                self.outage_told = false;
                self.mended = true;
                Ok(())
            }
            Err(error) => {
                if error.is_about_login() {
                    self.password = None;
                    self.locked_out.insert(payload.key());
                    self.mended = false;
                }
                Err(Failure::of(error.class(), chain(&error)))
            }
        }
    }

    async fn try_post(&mut self, body: Bytes, payload: &Payload) -> Result<Result<(), SinkError>, Failure> {
        let plan = &self.keeper.orders.plan;
        if self.password.is_none() && plan.password.is_some() {
            self.password = Some((self.asks.password)().await?);
        }
        let user = plan.username.as_deref();
        let login = user.map(|user| (user, self.password.as_ref()));
        Ok(self.sink.post(login, body, &payload.what()).await)
    }

    /// Each text once.
    fn tell(&mut self, text: String) {
        if self.told.insert(text.clone()) {
            self.keeper.reporter.tell(Event::Warning { text });
        }
    }
}

fn body(sender: &Sender, log_type: LogType, data: &[u8]) -> Bytes {
    let (mut body, behind) = sender.envelope(log_type);
    STANDARD.encode_string(data, &mut body);
    body.push_str(&behind);
    Bytes::from(body)
}
