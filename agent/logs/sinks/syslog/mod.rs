//! Local syslog: each line a datagram to `/dev/log`.
//!
//! Best effort: the line is in the socket, and what the daemon makes of it nobody can tell (journald drops under
//! load). While the socket is away or full, lines wait in the spool; a daemon that is stopped stops this sink only.
//!
//! After a kill the lines since the last cursor, a second's worth, come twice.

mod encode;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::path::{Path, PathBuf};

use monopod_core::logs::{Batch, Line};

use self::encode::{CONTINUES, Encoder, parts};
use self::transport::{SendError, Transport};
use super::{Backoff, Replay, Sink, failed, recovered};
use crate::host::clock::now_seconds;
use crate::logs::status::{Figures, Guarantee};

/// rsyslog's default limit for a whole message; longer lines go in parts.
const MESSAGE_MAX: usize = 8 * 1024;
/// What every daemon takes by RFC 3164, less a header.
const MESSAGE_MIN: usize = 512;
/// Room for the header: 40 bytes and the tag.
const HEADER_ROOM: usize = 256;

/// The sink.
#[derive(Debug)]
pub(crate) struct Syslog {
    path: PathBuf,
    figures: Figures,
    encoder: Encoder,
    transport: Transport,
    message: Vec<u8>,
    most: usize,
}

impl Syslog {
    pub(crate) fn new(path: &Path, tag: &str, figures: Figures) -> Self {
        Self {
            path: path.to_owned(),
            figures,
            encoder: Encoder::new(tag),
            transport: Transport::new(path),
            message: Vec::new(),
            most: MESSAGE_MAX - HEADER_ROOM,
        }
    }

    async fn line(&mut self, line: Line<'_>) {
        let mut rest = line.text;
        loop {
            let Some((part, more)) = parts(rest, self.most).next() else {
                return;
            };
            self.encoder
                .encode(now_seconds(), line.stream, part, &mut self.message);
            if more {
                self.message.extend_from_slice(CONTINUES.as_bytes());
            }
            if self.message().await || self.most <= MESSAGE_MIN {
                rest = rest.get(part.len()..).unwrap_or_default();
                if !more {
                    return;
                }
            } else {
                self.most = (self.most / 2).max(MESSAGE_MIN);
                tracing::warn!(socket = %self.path.display(), most = self.most, "Syslog takes shorter messages only");
            }
        }
    }

    /// Sends the message, however long it takes. False if it's too long for the socket.
    async fn message(&mut self) -> bool {
        let mut backoff = Backoff::new();
        loop {
            match self.transport.send(&self.message).await {
                Ok(()) => {
                    recovered(&self.figures, Self::NAME);
                    return true;
                }
                Err(SendError::TooLong) => {
                    if self.most <= MESSAGE_MIN {
                        let mut figures = self.figures.lock();
                        figures.lost += 1;
                    }
                    return false;
                }
                Err(SendError::Io(error)) => {
                    failed(&self.figures, Self::NAME, &self.path.display(), &error);
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }
}

impl Sink for Syslog {
    const NAME: &'static str = "syslog";
    const GUARANTEE: Guarantee = Guarantee::BestEffort;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn wants_commit(&self, _batch: &Batch) -> bool {
        false
    }

    async fn deliver(&mut self, batch: &Batch) {
        for line in batch.lines() {
            self.line(line).await;
        }
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
