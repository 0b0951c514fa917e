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

use monopod_core::logs::{Batch, Gap, GapReason};

use self::encode::Encoder;
pub(super) use self::encode::{CONTINUES, parts};
use self::transport::{Failure, Transport};
use super::{Due, Replay, SendError, Sink};
use crate::host::clock::now_seconds;
use crate::logs::status::Guarantee;

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
    encoder: Encoder,
    transport: Transport,
    message: Vec<u8>,
    most: usize,
    parcel: Batch,
    /// Lines of the parcel that are out, and bytes of the next one that are.
    sent: (usize, usize),
    /// Lines that no size would bring through.
    lost: u64,
}

impl Syslog {
    pub(crate) fn new(path: &Path, tag: &str) -> Self {
        Self {
            path: path.to_owned(),
            encoder: Encoder::new(tag),
            transport: Transport::new(path),
            message: Vec::new(),
            most: MESSAGE_MAX - HEADER_ROOM,
            parcel: Batch::default(),
            sent: (0, 0),
            lost: 0,
        }
    }

    async fn send_lines(&mut self, parcel: &Batch) -> Result<(), io::Error> {
        for line in parcel.lines().skip(self.sent.0) {
            while let Some((part, more)) =
                parts(line.text.get(self.sent.1..).unwrap_or_default(), self.most).next()
            {
                self.encoder
                    .encode(now_seconds(), line.stream, part, &mut self.message);
                if more {
                    self.message.extend_from_slice(CONTINUES.as_bytes());
                }
                match self.transport.send(&self.message).await {
                    Ok(()) => {}
                    Err(Failure::TooLong) if self.most > MESSAGE_MIN => {
                        self.most = (self.most / 2).max(MESSAGE_MIN);
                        tracing::warn!(
                            socket = %self.path.display(), most = self.most, "Syslog takes shorter messages only"
                        );
                        continue;
                    }
                    Err(Failure::TooLong) => self.lost += 1,
                    Err(Failure::Io(error)) => return Err(error),
                }
                self.sent.1 += part.len();
                if !more {
                    break;
                }
            }
            self.sent = (self.sent.0 + 1, 0);
        }
        Ok(())
    }
}

impl Sink for Syslog {
    const NAME: &'static str = "syslog";
    const GUARANTEE: Guarantee = Guarantee::BestEffort;
    const EVENTS: bool = false;
    const SAVES_EACH: bool = false;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn take(&mut self, batch: &mut Batch) {
        if self.parcel.is_empty() {
            std::mem::swap(&mut self.parcel, batch);
        } else {
            self.parcel.append(batch);
        }
    }

    fn due(&self) -> Due {
        if self.parcel.is_empty() {
            Due::Nothing
        } else {
            Due::Now
        }
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        let parcel = std::mem::take(&mut self.parcel);
        let sent = self.send_lines(&parcel).await;
        self.parcel = parcel;
        if let Err(error) = sent {
            return Err(SendError::io(
                format_args!("cannot send to {}", self.path.display()),
                &error,
            ));
        }
        self.parcel.clear();
        self.sent = (0, 0);
        let lines = std::mem::take(&mut self.lost);
        let gap = Gap {
            lines,
            exact: true,
            ..Gap::unknown(GapReason::Other(
                "the syslog socket takes no message of that length".into(),
            ))
        };
        Ok((lines > 0).then_some(gap).into_iter().collect())
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
