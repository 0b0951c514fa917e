//! The unit: one task owns the grants, one more for each who asks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use monopod_core::access::{
    AccessRecord, AccessRules, Asker, GRANTING_SERVICE, Granted, KeyError, LONGEST_KEYS, Order, Proof,
    PublicKey, Refusal, Request, SessionEnd, UserName, What, chosen_text, may, public_keys,
};
use monopod_core::config::access_rules;
use nix::unistd::User;
use serde_json::{Value, json};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::grants::{GrantError, Grants, Wanted};
use super::timer::{BootTimer, WallClock};
use super::{Places, ServeError};
use crate::host::files::{self, FileError};
use crate::host::image_layer::ImageFiles;
use crate::host::key_service::{self, KeyServiceError};
use crate::host::local::{Connection, Listener, Peer};
use crate::host::{Class, Classified, chain};

/// With nothing to hold and nobody asking, the unit ends: systemd starts it with the next question.
const IDLE: Duration = Duration::from_secs(30);
/// Who revokes is told after as long that it goes on.
const REVOKED: Duration = Duration::from_secs(20);
/// Questions at a time.
const ASKING: usize = 16;

/// What connections ask of the task that owns the grants.
#[derive(Debug)]
enum Message {
    Grant(Box<Wanted>, oneshot::Sender<Result<Granted, GrantError>>),
    /// Answered when nobody of that name is left; `false` where there was no grant.
    Revoke(UserName, String, oneshot::Sender<bool>),
    List(Option<u32>, oneshot::Sender<Vec<Granted>>),
    Note(AccessRecord),
    Session(AccessRecord),
}

/// Why a question has no good answer.
#[derive(Debug, thiserror::Error)]
enum No {
    #[error("that is no question of ours: {0}")]
    Unclear(String),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the policy of the machine's image cannot be read, so nobody is let in: {0}")]
    Policy(String),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Service(#[from] KeyServiceError),
    #[error("what the key service sent is no key")]
    Key(#[source] KeyError),
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error("{0} cannot log in any more, but not all of its processes have ended; it goes on")]
    StillThere(UserName),
    #[error("the unit is ending: ask again")]
    Gone,
}

impl Classified for No {
    fn class(&self) -> Class {
        match self {
            Self::Unclear(_) | Self::Refused(_) | Self::Policy(_) | Self::Key(_) => Class::Permanent,
            Self::Service(error) => error.class(),
            Self::Grant(error) => error.class(),
            Self::File(_) | Self::StillThere(_) | Self::Gone => Class::Transient,
        }
    }
}

/// Holds the grants until there are none and nobody asks.
pub async fn serve(places: Places) -> Result<(), ServeError> {
    files::ensure_directory(&places.directory)?;
    let _held = files::lock(&places.directory.join("serve.lock"))?;
    let mut grants = Grants::load(places.clone(), files::boot_id()?)?;
    let timer = BootTimer::new().map_err(ServeError::Timer)?;
    let wall = WallClock::new().map_err(ServeError::Timer)?;
    // What the last one left behind comes before anything that is asked.
    let mut soonest = grants.step();
    let listener = Listener::inherited_or_bind(&places.socket)?;
    let (sender, mut messages) = mpsc::channel::<Message>(ASKING);
    let seats = Arc::new(Semaphore::new(ASKING));
    let left = Arc::new(Notify::new());
    let mut waiting: Vec<(UserName, oneshot::Sender<bool>)> = Vec::new();
    let mut idle_since = Instant::now();
    loop {
        timer.arm(soonest).map_err(ServeError::Timer)?;
        let is_idle = grants.is_idle() && seats.available_permits() == ASKING;
        let seat = async {
            // Nobody closes it.
            let seat = Arc::clone(&seats).acquire_owned().await.ok();
            (listener.accept().await, seat)
        };
        tokio::select! {
            fired = timer.fired() => fired.map_err(ServeError::Timer)?,
            set = wall.was_set() => {
                set.map_err(ServeError::Timer)?;
                grants.clock_was_set();
            }
            Some(message) = messages.recv() => {
                answer(&mut grants, message, &mut waiting);
                idle_since = Instant::now();
            }
            (connection, seat) = seat => {
                idle_since = Instant::now();
                match connection {
                    Ok(connection) => {
                        let (places, sender, left) = (places.clone(), sender.clone(), Arc::clone(&left));
                        tokio::spawn(async move {
                            converse(connection, &places, &sender).await;
                            drop(seat);
                            left.notify_one();
                        });
                    }
                    // Who asked is gone already.
                    Err(error) => tracing::warn!("{}, ignoring", chain(&error)),
                }
            }
            // Whether there is anybody still is asked again.
            () = left.notified() => {}
            () = sleep_until(idle_since + IDLE), if is_idle => return Ok(()),
        }
        soonest = grants.step();
        let mut still = Vec::new();
        for (user, sender) in waiting {
            if grants.has(&user) {
                still.push((user, sender));
            } else {
                let _nobody_waits = sender.send(true).is_err();
            }
        }
        waiting = still;
    }
}

fn answer(grants: &mut Grants, message: Message, waiting: &mut Vec<(UserName, oneshot::Sender<bool>)>) {
    // Whoever asked may have gone: what was done is done.
    match message {
        Message::Grant(wanted, sender) => {
            let _gone = sender.send(grants.ensure_granted(*wanted)).is_err();
        }
        Message::Revoke(user, by, sender) => {
            if grants.ensure_revoked(&user, &by) {
                waiting.push((user, sender));
            } else {
                let _gone = sender.send(false).is_err();
            }
        }
        Message::List(only, sender) => {
            let _gone = sender.send(grants.listed(only)).is_err();
        }
        Message::Note(record) => grants.note(record),
        Message::Session(record) => grants.session(record),
    }
}

/// Answers one who asks, question by question.
async fn converse(mut connection: Connection, places: &Places, owner: &mpsc::Sender<Message>) {
    let peer = connection.peer;
    loop {
        let question = match connection.question().await {
            Ok(Some(question)) => question,
            Ok(None) => return,
            Err(error) => {
                tracing::warn!("user {}: {}, ignoring", peer.uid, chain(&error));
                return;
            }
        };
        let answer = match handle(&question, peer, places, owner).await {
            Ok(answer) => answer,
            Err(no) => {
                if matters(&question) {
                    let _ending = owner
                        .send(Message::Note(refused(&question, peer, &no)))
                        .await
                        .is_err();
                }
                json!({ "error": chain(&no), "permanent": no.class() == Class::Permanent })
            }
        };
        if connection.answer(&answer).await.is_err() {
            return;
        }
    }
}

/// Whether a refusal is one of somebody's login.
fn matters(question: &Value) -> bool {
    question.get("op").and_then(Value::as_str) != Some("list")
}

async fn handle(
    question: &Value,
    peer: Peer,
    places: &Places,
    owner: &mpsc::Sender<Message>,
) -> Result<Value, No> {
    let request: Request = serde_json::from_value(question.clone())
        .map_err(|error| No::Unclear(chosen_text(&error.to_string(), 200)))?;
    let asker = asker(peer);
    let rules = match &request {
        Request::Grant { .. } => rules(&places.configuration)?,
        // Nobody is kept in by a policy that cannot be read.
        _ => AccessRules::default(),
    };
    match may(asker, &request, &rules)? {
        Order::List { only } => {
            let grants = ask(owner, |sender| Message::List(only, sender)).await?;
            Ok(json!({ "grants": grants }))
        }
        Order::Record => {
            let message = recorded(&request, peer);
            owner.send(message).await.map_err(|_| No::Gone)?;
            Ok(json!({ "recorded": true }))
        }
        Order::Revoke { user } => {
            let (sender, answer) = oneshot::channel();
            let message = Message::Revoke(user.clone(), by(peer, from(&request).as_deref()), sender);
            owner.send(message).await.map_err(|_| No::Gone)?;
            match tokio::time::timeout(REVOKED, answer).await {
                Ok(answer) => Ok(json!({ "revoked": answer.map_err(|_| No::Gone)? })),
                Err(_) => Err(No::StillThere(user)),
            }
        }
        Order::Grant {
            user,
            role,
            seconds,
            reason,
            remote_host,
            proof,
        } => {
            let wanted = Wanted {
                user,
                role,
                seconds,
                reason,
                remote_host,
                keys: keys(proof).await?,
                by: by(peer, None),
                from: from(&request),
            };
            let granted = ask(owner, |sender| Message::Grant(Box::new(wanted), sender)).await??;
            Ok(json!({ "granted": granted }))
        }
    }
}

async fn ask<T>(
    owner: &mpsc::Sender<Message>,
    message: impl FnOnce(oneshot::Sender<T>) -> Message,
) -> Result<T, No> {
    let (sender, answer) = oneshot::channel();
    owner.send(message(sender)).await.map_err(|_| No::Gone)?;
    answer.await.map_err(|_| No::Gone)
}

async fn keys(proof: Proof) -> Result<Vec<PublicKey>, No> {
    match proof {
        Proof::Keys(keys) => Ok(keys),
        Proof::Fetch(url) => {
            let text = key_service::fetch(&url, LONGEST_KEYS).await?;
            public_keys(&text).map_err(No::Key)
        }
    }
}

/// Read for every grant: a policy that was mended holds at once.
fn rules(configuration: &Path) -> Result<AccessRules, No> {
    let files = ImageFiles::read(configuration)?;
    access_rules(&files.layer()).map_err(|problems| No::Policy(chosen_text(&problems, 500)))
}

fn asker(peer: Peer) -> Asker {
    match peer.uid {
        0 => Asker::Root,
        uid => match User::from_name(GRANTING_SERVICE) {
            Ok(Some(user)) if user.uid.as_raw() == uid => Asker::Service,
            _ => Asker::Other(uid),
        },
    }
}

/// Who asks, for the record: root with the name it logged in by, where the kernel knows that.
fn by(peer: Peer, from: Option<&str>) -> String {
    let name = |uid: u32| match User::from_uid(uid.into()) {
        Ok(Some(user)) => user.name,
        _ => format!("user {uid}"),
    };
    let login = peer.pid.and_then(|pid| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/loginuid")).ok()?;
        text.trim().parse::<u32>().ok()
    });
    let who = match login {
        Some(login) if login != u32::MAX && login != peer.uid => {
            format!("{} (logged in as {})", name(peer.uid), name(login))
        }
        _ => name(peer.uid),
    };
    match from {
        Some(from) => format!("{who} from {from}"),
        None => who,
    }
}

fn from(request: &Request) -> Option<String> {
    match request {
        Request::Grant { from, .. } | Request::Revoke { from, .. } | Request::Refused { from, .. } => {
            from.map(|address| address.to_string())
        }
        Request::Session { from, .. } => from.as_deref().map(|from| chosen_text(from, 100)),
        Request::List => None,
    }
}

fn recorded(request: &Request, peer: Peer) -> Message {
    match request {
        Request::Session {
            what,
            user,
            service,
            pid,
            ..
        } => {
            let what = match what {
                SessionEnd::Open => What::Login,
                SessionEnd::Close => What::Logout,
            };
            let service = service.as_deref().map(|service| chosen_text(service, 64));
            let pid = pid.map(|pid| format!("process {pid}"));
            let words: Vec<String> = service.into_iter().chain(pid).collect();
            Message::Session(AccessRecord {
                from: from(request),
                detail: (!words.is_empty()).then(|| words.join(", ")),
                ..AccessRecord::new(what, user)
            })
        }
        Request::Refused { detail, .. } => Message::Note(AccessRecord {
            by: Some(by(peer, None)),
            from: from(request),
            detail: Some(chosen_text(detail, 200)),
            ..AccessRecord::new(What::Refused, "")
        }),
        // Neither is only recorded.
        Request::Grant { .. } | Request::Revoke { .. } | Request::List => {
            Message::Note(AccessRecord::new(What::Failed, ""))
        }
    }
}

fn refused(question: &Value, peer: Peer, no: &No) -> AccessRecord {
    let text = |key: &str| question.get(key).and_then(Value::as_str).unwrap_or_default();
    let address = text("from").parse::<std::net::IpAddr>().ok();
    AccessRecord {
        by: Some(by(peer, None)),
        from: address.map(|address| address.to_string()),
        detail: Some(chosen_text(&chain(no), 500)),
        ..AccessRecord::new(What::Refused, text("user"))
    }
}
