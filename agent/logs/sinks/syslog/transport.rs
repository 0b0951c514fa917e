//! Datagrams to a unix socket: connected again when the far end was away, waiting when it's full.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::logs::sinks::datagrams::Datagrams;

/// A full socket is worth telling after this long; the wait itself has no end.
const FULL_AFTER: Duration = Duration::from_secs(2);

/// The socket.
#[derive(Debug)]
pub(super) struct Transport {
    path: PathBuf,
    socket: Option<UnixDatagram>,
}

/// What became of one datagram.
#[derive(Debug)]
pub(super) enum Failure {
    /// It's longer than the socket takes.
    TooLong,
    /// Try again.
    Io(io::Error),
}

impl Transport {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            socket: None,
        }
    }

    /// Sends as many as there is room for, beginning with that one: at least that one. It waits for room but not for
    /// ever, so that the outage can be told.
    pub(super) async fn send(&mut self, datagrams: &Datagrams, from: usize) -> Result<usize, Failure> {
        let socket = match &self.socket {
            Some(socket) => socket,
            None => self.connect().map_err(Failure::Io)?,
        };
        let sending = socket.async_io(Interest::WRITABLE, || datagrams.send(socket, from));
        let sent = tokio::time::timeout(FULL_AFTER, sending).await;
        let sent = sent.unwrap_or_else(|_elapsed| Err(io::ErrorKind::TimedOut.into()));
        let error = match sent {
            Ok(count) => return Ok(count),
            Err(error) => error,
        };
        if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) {
            return Err(Failure::TooLong);
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return Err(Failure::Io(io::Error::new(
                error.kind(),
                "the reader of the socket doesn't keep up",
            )));
        }
        self.socket = None;
        Err(Failure::Io(error))
    }

    fn connect(&mut self) -> io::Result<&UnixDatagram> {
        // Connected, because only then does "writable" speak of the far end's queue.
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.path)?;
        Ok(self.socket.insert(socket))
    }
}
