//! A receiver of OTLP over HTTP, such as a collector: acknowledged.
//!
//! Lines gather for two seconds or up to half a megabyte, and leave as JSON in gzip. The protocol knows no number by which
//! a receiver could tell that it has a request already: where an answer got lost, or a kill came between request and
//! cursor, one parcel comes twice.
//!
//! What a receiver takes in part is told as a gap with its own count. A request that is refused for what is in it, or for its
//! size, is halved until the line is found that it won't have; that one is left out, if a line of our own is taken in its
//! place: else it is not the line, and nothing is given up.
//!
//! Headers are fetched when the first request leaves, and again when they were refused.

mod encode;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use monopod_core::logs::{Attributes, Batch, Gap, Line, Stream};
use monopod_core::otlp::answer::Verdict;
use monopod_core::otlp::logs::Frame;
use monopod_core::otlp::resource::Who;
use monopod_core::otlp::{OtlpTarget, Signal};
use tokio::time::Instant;

use self::encode::{LINES, Piece, TEXT, body, cut};
use super::{Due, Replay, SendError, Sink};
use crate::host::Class;
use crate::host::clock::now_millis;
use crate::logs::keys::Keys;
use crate::logs::status::Guarantee;

pub(crate) use self::transport::Transport;

/// The first line of a request waits this long for others.
const LINGER: Duration = Duration::from_secs(2);
/// What is sent instead of a line that is not taken.
const STAND_IN: &str = "monopod: a line is left out here that the receiver of OTLP did not take";

/// The sink.
#[derive(Debug)]
pub(crate) struct Otlp {
    attributes: Attributes,
    file: Option<String>,
    container: Option<String>,
    frame: Frame,
    transport: Transport,
    parcel: Batch,
    /// What leaves in one request each, of the first lines of the parcel; the rest is not cut yet.
    pieces: VecDeque<Piece>,
    /// So many lines of the parcel are in pieces, or were.
    cut: usize,
    /// When the first line of the parcel came.
    since: Option<Instant>,
    /// What was lost of the parcel so far.
    gaps: Vec<Gap>,
    /// The receiver wants to be left alone until then.
    not_before: Option<Instant>,
    /// A remark of the receiver's was told.
    remarked: bool,
}

impl Otlp {
    /// For the container's lines, or those of a file where one is named.
    pub(crate) fn new(target: &OtlpTarget, file: Option<&str>, attributes: &Attributes, keys: Keys) -> Self {
        let transport = Transport::new(target, Signal::Logs, keys);
        Self::to(transport, file, attributes)
    }

    fn to(transport: Transport, file: Option<&str>, attributes: &Attributes) -> Self {
        Self {
            frame: frame(attributes, None, file),
            attributes: attributes.clone(),
            file: file.map(str::to_owned),
            container: None,
            transport,
            parcel: Batch::default(),
            pieces: VecDeque::new(),
            cut: 0,
            since: None,
            gaps: Vec::new(),
            not_before: None,
            remarked: false,
        }
    }

    /// One request: the first piece leaves, or is halved.
    async fn step(&mut self) -> Result<(), SendError> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(());
        };
        let request = piece
            .seal(&self.parcel, &self.frame, observed())
            .map_err(in_memory)?;
        match self.transport.post(request).await? {
            Verdict::Taken { rejected, message } => self.taken(rejected, message),
            Verdict::TooLarge { said } | Verdict::Refused { said } => self.take_apart(said).await?,
            Verdict::Busy {
                said,
                throttled,
                after,
            } => {
                self.not_before = after.map(|seconds| Instant::now() + Duration::from_secs(seconds));
                let class = match throttled {
                    true => Class::Throttled,
                    false => Class::Transient,
                };
                return Err(self.refused(class, &said, ""));
            }
            Verdict::Denied { said, advice, .. } => {
                return Err(self.refused(Class::Permanent, &said, advice));
            }
        }
        Ok(())
    }

    /// The first piece is the receiver's, but for so many lines.
    fn taken(&mut self, rejected: u64, message: Option<String>) {
        self.not_before = None;
        let Some(piece) = self.pieces.pop_front() else {
            return;
        };
        if rejected > 0 {
            let why = message.unwrap_or_else(|| "it did not say why".to_owned());
            let why = format!("the receiver of OTLP will not have them: {why}");
            self.gaps.push(piece.lost(&self.parcel, rejected, why));
        } else if let Some(remark) = message.filter(|_| !self.remarked) {
            self.remarked = true;
            tracing::warn!(
                sink = Self::NAME, place = self.transport.place(), %remark,
                "The receiver of OTLP took log lines with a remark; further ones are not told"
            );
        }
    }

    /// Halves the first piece. A single line is left out, if one of our own is taken instead.
    async fn take_apart(&mut self, said: String) -> Result<(), SendError> {
        let Some(piece) = self.pieces.front_mut() else {
            return Ok(());
        };
        if let Some(second) = piece.split() {
            self.pieces.insert(1, second);
            return Ok(());
        }
        let stand_in = Line {
            time: piece.time(&self.parcel),
            stream: Stream::Monopod,
            text: STAND_IN,
        };
        let request = body(&self.frame, std::iter::once(stand_in), observed()).map_err(in_memory)?;
        if !matches!(self.transport.post(request).await?, Verdict::Taken { .. }) {
            return Err(self.refused(
                Class::Permanent,
                &said,
                "; it takes no other line either: look at its own log",
            ));
        }
        if let Some(piece) = self.pieces.pop_front() {
            let why = format!("the receiver of OTLP will not have it: {said}");
            self.gaps.push(piece.lost(&self.parcel, 1, why));
        }
        Ok(())
    }

    fn refused(&self, class: Class, said: &str, advice: &str) -> SendError {
        let place = self.transport.place();
        SendError {
            class,
            text: format!("{place} did not take lines: {said}{advice}"),
        }
    }
}

impl Sink for Otlp {
    const NAME: &'static str = "otlp";
    const GUARANTEE: Guarantee = Guarantee::Acknowledged;
    const EVENTS: bool = true;
    const SAVES_EACH: bool = true;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn reads_from(&mut self, container: Option<&str>) {
        if self.container.as_deref() != container {
            self.container = container.map(str::to_owned);
            self.frame = frame(&self.attributes, container, self.file.as_deref());
        }
    }

    fn learn(&mut self, attributes: &Attributes) {
        self.attributes = attributes.clone();
        let container = self.container.as_deref();
        self.frame = frame(&self.attributes, container, self.file.as_deref());
    }

    fn take(&mut self, batch: &mut Batch) {
        if self.parcel.is_empty() {
            std::mem::swap(&mut self.parcel, batch);
        } else {
            self.parcel.append(batch);
        }
        batch.clear();
        if !self.parcel.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn due(&self) -> Due {
        match self.since {
            None => Due::Nothing,
            Some(_) if self.parcel.bytes() >= TEXT || self.parcel.len() >= LINES => Due::Now,
            Some(since) => Due::At(since + LINGER),
        }
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        self.pieces.extend(cut(&self.parcel, self.cut));
        self.cut = self.parcel.len();
        while !self.pieces.is_empty() {
            self.step().await?;
        }
        // The room of an unusual parcel is given back.
        (self.parcel, self.cut, self.since) = (Batch::default(), 0, None);
        self.pieces = VecDeque::new();
        Ok(std::mem::take(&mut self.gaps))
    }

    fn not_before(&self) -> Option<Instant> {
        self.not_before
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}

/// What is the same for all lines of a container, or of a file.
fn frame(attributes: &Attributes, container: Option<&str>, file: Option<&str>) -> Frame {
    let who = Who {
        container: container.unwrap_or_default(),
        ..Who::of_lines(attributes)
    };
    Frame::new(&who.resource(), file, env!("CARGO_PKG_VERSION"))
}

/// Nanoseconds since the epoch.
fn observed() -> u64 {
    now_millis().saturating_mul(1_000_000)
}

/// Nothing but memory is written, which does not fail.
fn in_memory(error: io::Error) -> SendError {
    SendError::io("cannot compress log lines", &error)
}
