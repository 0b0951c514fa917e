//! A log server: syslog messages over UDP, TCP or TLS.
//!
//! Best effort, since syslog knows no acknowledgement. Over UDP that is all there is to say. Over a connection a line
//! counts as delivered when the far kernel has acknowledged it, and what was written last is sent again when the
//! connection ends ([`tail`]): a server that restarts, crashes or is cut off loses nothing and gets some lines twice,
//! at most 1 MiB or ten seconds of them.
//!
//! What can still be lost: a server that hangs for longer than that, or that lags behind by more than that, and is then
//! killed, takes along what its kernel had acknowledged; what it had read and not written is its own; and if the agent
//! is killed in the same seconds, nobody sends the tail again.
//!
//! Where the kernel may not be asked what was acknowledged (it needs netlink, which a unit can forbid), a line counts as
//! delivered when it is in the socket. The tail is the same, but a kill of the agent then loses what the socket held,
//! and a server that takes nothing for 8 s is taken for gone.

mod acknowledged;
mod connection;
mod encode;
mod tail;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::time::Duration;

use monopod_core::logs::{Attributes, Batch, Gap, Protocol, RsyslogTarget, StreamName};
use tokio::time::Instant;

use self::connection::Endpoint;
use self::encode::Encoder;
use self::transport::{Frames, Packets};
use super::{Due, Replay, SendError, Sink};
use crate::logs::status::Guarantee;

/// Each parcel waits for its acknowledgement, so under load it should be large, and alone a line should not wait.
const PARCEL: usize = 256 * 1024;
const LINGER: Duration = Duration::from_millis(20);

/// The sink.
#[derive(Debug)]
pub(crate) struct Rsyslog {
    target: RsyslogTarget,
    stream: StreamName,
    encoder: Encoder,
    way: Way,
    parcel: Batch,
    since: Option<Instant>,
    /// Lines of the parcel that are in the tail.
    encoded: usize,
}

#[derive(Debug)]
enum Way {
    Frames(Box<Frames>),
    Packets(Box<Packets>),
}

impl Rsyslog {
    pub(crate) fn new(target: &RsyslogTarget, stream: StreamName, attributes: &Attributes) -> Self {
        let endpoint = Endpoint::new(target);
        Self {
            target: target.clone(),
            stream,
            encoder: Encoder::new(target, stream, attributes),
            way: match target.protocol {
                Protocol::Udp => Way::Packets(Box::new(Packets::new(endpoint))),
                Protocol::Tcp | Protocol::Tls => Way::Frames(Box::new(Frames::new(endpoint))),
            },
            parcel: Batch::default(),
            since: None,
            encoded: 0,
        }
    }
}

/// As a person would call the place.
pub(crate) fn place(target: &RsyslogTarget) -> String {
    let way = match target.protocol {
        Protocol::Udp => "udp",
        Protocol::Tcp => "tcp",
        Protocol::Tls => "tls",
    };
    format!("{way}://{}:{}", target.host, target.port)
}

impl Sink for Rsyslog {
    const NAME: &'static str = "rsyslog";
    const GUARANTEE: Guarantee = Guarantee::BestEffort;
    const EVENTS: bool = false;
    const SAVES_EACH: bool = false;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn learn(&mut self, attributes: &Attributes) {
        self.encoder = Encoder::new(&self.target, self.stream, attributes);
    }

    fn take(&mut self, batch: &mut Batch) {
        self.since.get_or_insert_with(Instant::now);
        if self.parcel.is_empty() {
            std::mem::swap(&mut self.parcel, batch);
        } else {
            self.parcel.append(batch);
        }
        batch.clear();
    }

    fn due(&self) -> Due {
        match (&self.way, self.since) {
            (Way::Packets(_), None) => Due::Nothing,
            (Way::Packets(_), Some(_)) => Due::Now,
            (Way::Frames(_), Some(_)) if self.parcel.bytes() >= PARCEL => Due::Now,
            (Way::Frames(_), Some(since)) => Due::At(since + LINGER),
            (Way::Frames(frames), None) => frames.look_at().map_or(Due::Nothing, Due::At),
        }
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        let Self {
            encoder,
            way,
            parcel,
            encoded,
            ..
        } = self;
        match way {
            Way::Frames(frames) => frames.send(|| encoder.frames(parcel, encoded)).await?,
            Way::Packets(packets) => packets.send(encoder, parcel).await?,
        }
        // With its memory: the next line may be far away.
        self.parcel = Batch::default();
        (self.since, self.encoded) = (None, 0);
        Ok(Vec::new())
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
