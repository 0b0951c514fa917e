//! The socket through which `monopod drain` asks the agent to leave, and follows how far it is.
//!
//! One line of JSON in, lines of JSON out until the drain is over. It lies in the runtime directory with mode 0600, so
//! only root can ask; whoever asks nonsense, too much, or reads too slowly is hung up on.

use std::convert::Infallible;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{LocalBoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use monopod_core::event::Event;
use monopod_core::lifecycle::drain::Cause;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, sleep_until};

use super::drain::Causes;
use crate::context::Context;
use crate::host::{chain, clock};

/// In the runtime directory.
pub const SOCKET: &str = "control";

/// A request is far shorter.
const LONGEST: usize = 1024;

/// For a request to come, and for a line to be taken.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who follows at once; more wait for their turn.
const MOST: usize = 16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Why.
    pub drain: Cause,
    /// The machine is gone then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
}

/// What is answered, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Said {
    /// How far it is.
    Line(String),
    /// It is over.
    Drained,
    /// The request can't be understood.
    Refused(String),
}

/// Answers as long as the agent lives. Without its socket the agent does everything else.
pub async fn serve(context: &Context, causes: &Causes) -> Infallible {
    let path = context.directories.runtime.join(SOCKET);
    let listener = match listen(&path) {
        Ok(listener) => listener,
        Err(error) => {
            let text = format!(
                "`monopod drain` will not reach this agent, the socket {} could not be made: {error}",
                path.display()
            );
            context.reporter.tell(Event::Warning { text });
            return std::future::pending().await;
        }
    };
    attend(async || listener.accept().await.map(|(stream, _)| stream), causes).await
}

/// Takes callers and talks to them. While none can be taken, those who are there hear on.
async fn attend(accept: impl AsyncFn() -> io::Result<UnixStream>, causes: &Causes) -> Infallible {
    let mut clients: FuturesUnordered<LocalBoxFuture<'_, io::Result<()>>> = FuturesUnordered::new();
    let mut closed_until = None;
    loop {
        tokio::select! {
            accepted = accept(), if closed_until.is_none() && clients.len() < MOST => match accepted {
                Ok(stream) => clients.push(Box::pin(talk(stream, causes))),
                Err(error) => {
                    tracing::warn!("the control socket takes no caller, trying again: {error}");
                    closed_until = Some(Instant::now() + PATIENCE);
                }
            },
            Some(()) = OptionFuture::from(closed_until.map(sleep_until)) => closed_until = None,
            Some(ended) = clients.next() => {
                if let Err(error) = ended {
                    tracing::debug!("a caller of the control socket went away: {}", chain(&error));
                }
            }
        }
    }
}

/// The agent holds the lock, so a socket that is there is a dead one's.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    // Nobody may connect in the moment before its mode is set: it has its mode when it gets its name.
    let mut unnamed = path.as_os_str().to_owned();
    unnamed.push(".new");
    let unnamed = PathBuf::from(unnamed);
    match std::fs::remove_file(&unnamed) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&unnamed)?;
    std::fs::set_permissions(&unnamed, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unnamed, path)?;
    Ok(listener)
}

async fn talk(mut stream: UnixStream, causes: &Causes) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let line = tokio::time::timeout(PATIENCE, read_line(&mut stream))
        .await
        .map_err(late)??;
    let request = match serde_json::from_slice::<Request>(&line) {
        Ok(request) if matches!(request.drain, Cause::Person | Cause::Poweroff) => request,
        Ok(_) => {
            return say(
                &mut stream,
                &Said::Refused("that is not for you to say".to_owned()),
            )
            .await;
        }
        Err(_) => return say(&mut stream, &Said::Refused("that is no request".to_owned())).await,
    };
    let end = request
        .within_ms
        .map(|within| clock::now_millis().saturating_add(within));
    let mut heard = causes.subscribe();
    causes.add(request.drain, end);
    let mut told = 0;
    loop {
        let (lines, drained) = {
            let heard = heard.borrow_and_update();
            (
                heard.lines.get(told..).unwrap_or_default().to_vec(),
                heard.drained,
            )
        };
        told += lines.len();
        for line in lines {
            say(&mut stream, &Said::Line(line)).await?;
        }
        if drained {
            return say(&mut stream, &Said::Drained).await;
        }
        let mut nothing = [0; 1];
        tokio::select! {
            changed = heard.changed() => if changed.is_err() { return Ok(()) },
            // It has nothing more to say: this is its end.
            _ = stream.read(&mut nothing) => return Ok(()),
        }
    }
}

async fn read_line(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    loop {
        let byte = stream.read_u8().await?;
        if byte == b'\n' {
            return Ok(line);
        }
        line.push(byte);
        if line.len() > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

async fn say(stream: &mut UnixStream, said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said).unwrap_or_default();
    line.push(b'\n');
    tokio::time::timeout(PATIENCE, stream.write_all(&line))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::io::{AsyncBufReadExt as _, BufReader};
    use tokio::sync::Notify;

    use super::*;

    async fn asked(request: &[u8]) -> (String, bool) {
        let (client, agent) = UnixStream::pair().unwrap();
        let causes = Causes::default();
        let (read, mut write) = client.into_split();
        let ask = async {
            write.write_all(request).await.ok();
            let mut line = String::new();
            BufReader::new(read).read_line(&mut line).await.ok();
            line
        };
        let (line, _) = tokio::join!(ask, async {
            tokio::time::timeout(Duration::from_millis(300), talk(agent, &causes))
                .await
                .ok()
        });
        (line, causes.is_leaving())
    }

    #[tokio::test]
    async fn only_a_request_is_one() {
        let (said, leaves) = asked(b"{\"drain\":\"person\"}\n").await;
        assert!(leaves, "{said}");
        for nonsense in [
            &b"{\"drain\":\"lifecycle\"}\n"[..],
            b"{\"drain\":\"person\",\"x\":1}\n",
            b"{}\n",
            b"\xff\xfe\n",
            b"\n",
        ] {
            let (said, leaves) = asked(nonsense).await;
            assert!(said.contains("refused") && !leaves, "{said}");
        }
        let (said, leaves) = asked(&[b'x'; 100_000]).await;
        assert!(said.is_empty() && !leaves, "{said}");
    }

    #[tokio::test]
    async fn who_is_there_hears_on_while_nobody_else_is_taken() {
        let (mut client, agent) = UnixStream::pair().unwrap();
        let (agent, failed) = (Cell::new(Some(agent)), Notify::new());
        let causes = Causes::default();
        let accept = async || match agent.take() {
            Some(stream) => Ok(stream),
            None => {
                failed.notify_one();
                Err(io::Error::from(io::ErrorKind::OutOfMemory))
            }
        };
        let asks = async {
            failed.notified().await;
            client.write_all(b"nonsense\n").await.unwrap();
            let mut line = String::new();
            BufReader::new(client).read_line(&mut line).await.unwrap();
            line
        };
        tokio::select! {
            never = attend(accept, &causes) => match never {},
            answered = tokio::time::timeout(PATIENCE / 2, asks) => {
                assert!(answered.expect("an answer in time").contains("refused"));
            }
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced() {
        let path = std::env::temp_dir().join(format!("monopod-control-{}", std::process::id()));
        std::fs::write(&path, b"").unwrap();
        drop(listen(&path).unwrap());
        let _again = listen(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}
