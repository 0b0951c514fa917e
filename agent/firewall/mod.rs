//! The unit that holds the rules for the container's traffic: `monopod firewall serve`, with CAP_NET_ADMIN and little else.
//!
//! Design: one task owns the table ([`keeper`]). It is told what is wanted over a socket, makes the text
//! (`monopod_core::firewall`), has nft load it, and remembers the order for a unit that is started anew. `nft monitor` says when
//! somebody changes rules; where ours are not as they were, they are loaded again. Names are asked for every half minute, only
//! where there are any.
//!
//! Invariants
//! - Only uid 0 is answered, and what it says becomes rules through the pure core alone: names are checked, no text is passed on.
//! - Rules stay when this process goes. They are taken away on request alone.
//! - Nothing is polled: without names it sleeps until it is asked, or until rules change. Rules that could not be loaded are tried
//!   again until they are.

mod keeper;
mod names;
mod nft;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::host::command::CommandError;
use crate::host::files::FileError;
use crate::host::local::{Connection, Listener, LocalError};
use crate::host::{Class, Classified, chain};
use keeper::Keeper;
use watch::Watch;

/// Whoever asks waits in line.
const LINE: usize = 8;
/// Without rules and without questions it goes; systemd starts it with the next question.
const IDLE: Duration = Duration::from_secs(10);

/// Where it works.
#[derive(Clone, Debug)]
pub struct Options {
    /// The socket, where systemd hands over none.
    pub socket: PathBuf,
    /// Where the order is remembered, for one boot.
    pub directory: PathBuf,
    /// systemd holds the socket: it may go when nothing is to do.
    pub activated: bool,
}

/// Why it cannot.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket.
    #[error("nobody can ask the firewall anything")]
    Socket(#[from] LocalError),
    /// Signals.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The rules cannot be what is wanted.
    #[error(transparent)]
    Impossible(#[from] monopod_core::firewall::Impossible),
    /// nft, or ip.
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Classified for ServeError {
    fn class(&self) -> Class {
        match self {
            Self::Socket(error) => error.class(),
            Self::Signals(_) | Self::File(_) => Class::Transient,
            Self::Impossible(_) => Class::Permanent,
            Self::Command(error) => error.class(),
        }
    }
}

/// A question and who waits for its answer.
type Asked = (Value, oneshot::Sender<Value>);

/// Serves until it is stopped, or until there is nothing to do.
pub async fn serve(options: &Options) -> Result<(), ServeError> {
    let mut stop = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let listener = Listener::inherited_or_bind(&options.socket)?;
    let mut keeper = Keeper::new(&options.directory)?;
    if let Err(error) = keeper.recall().await {
        tracing::error!("the rules of before were not loaded again: {}", chain(&error));
    }
    let mut watch = Watch::default();
    let (asking, mut asked) = mpsc::channel::<Asked>(LINE);
    let mut idle_since = Instant::now();
    loop {
        let may_go = options.activated && !keeper.has_order();
        tokio::select! {
            connection = listener.accept() => match connection {
                Ok(connection) => drop(tokio::spawn(hear(connection, asking.clone()))),
                Err(error) => {
                    tracing::warn!("a question was not heard: {}", chain(&error));
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            },
            Some((question, answer)) = asked.recv() => {
                // Whoever asked may be gone.
                let _gone = answer.send(keeper.answer(&question).await).is_err();
                idle_since = Instant::now();
            },
            () = watch.changed(), if keeper.has_order() => keeper.look().await,
            () = at(keeper.next_try()) => keeper.look().await,
            () = tokio::time::sleep_until(keeper.next_refresh()), if keeper.has_names() => keeper.refresh().await,
            () = tokio::time::sleep_until(idle_since + IDLE), if may_go => return Ok(()),
            _ = stop.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
        }
    }
}

/// Never, without a moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Hears one connection's questions.
async fn hear(mut connection: Connection, asking: mpsc::Sender<Asked>) {
    let heard = async {
        while let Some(question) = connection.question().await? {
            let answer = if connection.peer.uid == 0 {
                let (sender, receiver) = oneshot::channel();
                if asking.send((question, sender)).await.is_err() {
                    return Ok(());
                }
                receiver
                    .await
                    .unwrap_or_else(|_| refusal("the firewall's unit is ending", false))
            } else {
                refusal("only root is answered", true)
            };
            connection.answer(&answer).await?;
        }
        Ok::<(), LocalError>(())
    };
    if let Err(error) = heard.await {
        tracing::debug!("a question was not answered, ignoring: {}", chain(&error));
    }
}

fn refusal(error: &str, permanent: bool) -> Value {
    json!({ "error": error, "permanent": permanent })
}
