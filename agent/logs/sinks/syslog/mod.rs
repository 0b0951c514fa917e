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

use monopod_core::logs::syslog::{CONTINUES, parts};
use monopod_core::logs::{Attributes, Batch, Gap, GapReason, Line, SyslogFormat};

use self::encode::Encoder;
use self::transport::{Failure, Transport};
use super::datagrams::Datagrams;
use super::{Due, Replay, SendError, Sink};
use crate::host::clock::now_seconds;
use crate::logs::status::Guarantee;

/// rsyslog's default limit for a whole message; longer lines go in parts.
const MESSAGE_MAX: usize = 8 * 1024;
/// What every daemon takes by RFC 3164, less a header.
const MESSAGE_MIN: usize = 512;
/// So much is encoded at a time.
const ROUND: usize = 64 * 1024;

/// The sink.
#[derive(Debug)]
pub(crate) struct Syslog {
    path: PathBuf,
    encoder: Encoder,
    transport: Transport,
    header: Vec<u8>,
    round: Datagrams,
    /// Where each message of the round ends in the parcel.
    ends: Vec<(usize, usize)>,
    most: usize,
    parcel: Batch,
    /// Lines of the parcel that are out, and bytes of the next one that are.
    sent: (usize, usize),
    /// Lines that no size would bring through.
    lost: u64,
}

impl Syslog {
    pub(crate) fn new(path: &Path, format: SyslogFormat, attributes: &Attributes) -> Self {
        Self {
            path: path.to_owned(),
            encoder: Encoder::new(format, attributes),
            transport: Transport::new(path),
            header: Vec::new(),
            round: Datagrams::default(),
            ends: Vec::new(),
            most: MESSAGE_MAX,
            parcel: Batch::default(),
            sent: (0, 0),
            lost: 0,
        }
    }

    /// Messages of what isn't out yet, a round of them.
    fn encode(&mut self) {
        self.round.clear(2 * ROUND);
        self.ends.clear();
        let second = now_seconds();
        let (first, mut offset) = self.sent;
        for (number, line) in self.parcel.lines().enumerate().skip(first) {
            self.encoder.begin(second, line, &mut self.header);
            // A header that leaves next to nothing is cut into, or no text would ever be out.
            let room = self.most.saturating_sub(self.header.len()).max(MESSAGE_MIN / 2);
            let Line { text, .. } = line;
            for (part, more) in parts(text.get(offset..).unwrap_or_default(), room) {
                let end = if more { CONTINUES } else { "" };
                self.round.push([&self.header, part.as_bytes(), end.as_bytes()]);
                offset += part.len();
                self.ends
                    .push(if more { (number, offset) } else { (number + 1, 0) });
            }
            offset = 0;
            if self.round.bytes() >= ROUND {
                return;
            }
        }
    }

    /// Dropped at any moment it has noted all that is out: a later call goes on behind that.
    async fn send_lines(&mut self) -> Result<(), io::Error> {
        loop {
            self.encode();
            if self.ends.is_empty() {
                return Ok(());
            }
            let mut done = 0;
            while done < self.ends.len() {
                match self.transport.send(&self.round, done).await {
                    Ok(count) => done += count,
                    Err(Failure::TooLong) if self.most > MESSAGE_MIN => {
                        self.most = (self.most / 2).max(MESSAGE_MIN);
                        tracing::warn!(
                            socket = %self.path.display(), most = self.most, "Syslog takes shorter messages only"
                        );
                        break;
                    }
                    Err(Failure::TooLong) => {
                        self.lost += 1;
                        done += 1;
                    }
                    Err(Failure::Io(error)) => return Err(error),
                }
                if let Some(end) = done.checked_sub(1).and_then(|last| self.ends.get(last)) {
                    self.sent = *end;
                }
            }
        }
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
        if let Err(error) = self.send_lines().await {
            return Err(SendError::io(
                format_args!("cannot send to {}", self.path.display()),
                &error,
            ));
        }
        self.parcel.clear();
        self.round.clear(ROUND);
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
