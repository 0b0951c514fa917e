//! Scalyr, by its `addEvents`: acknowledged.
//!
//! Lines gather for two seconds or up to a megabyte: the documentation asks for a request every few seconds, and a
//! session has one at a time. A request that is sent again keeps session and times, by which Scalyr knows its events;
//! where an answer got lost and Scalyr insists that times go on, the same lines go once more in a new session. A new
//! agent is a new session too, so a kill between request and cursor sends one parcel twice.
//!
//! The key is fetched when the first request leaves, and again when it was refused.

mod about;
mod answer;
mod encode;
mod session;
#[cfg(test)]
mod tests;
mod transport;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use monopod_core::logs::{Attributes, Batch, Gap, LogKey, ScalyrTarget, StreamName};
use monopod_core::secret::Secret;
use tokio::time::Instant;

use self::about::About;
use self::answer::{Refusal, Verdict, judge};
use self::encode::{BODY, Body, put};
use self::session::{Session, nanoseconds, new_id};
use self::transport::{ENDPOINT_VARIABLE, Transport, endpoint_of};
use super::{Due, Replay, SendError, Sink};
use crate::host::Class;
use crate::host::clock::now_millis;
use crate::logs::keys::Keys;
use crate::logs::status::Guarantee;

/// The first line of a request waits this long for others.
const LINGER: Duration = Duration::from_secs(2);
/// A parcel of this size leaves at once: another batch of usual lines would not fit into its body.
const FULL: usize = BODY - 200_000;

/// The sink.
#[derive(Debug)]
pub(crate) struct Scalyr {
    about: About,
    transport: Transport,
    wanted: LogKey,
    keys: Keys,
    key: Option<Secret>,
    session: Session,
    parcel: VecDeque<Body>,
    /// When the first line of the parcel came.
    since: Option<Instant>,
    /// What was lost of the parcel so far.
    gaps: Vec<Gap>,
    /// A remark of Scalyr's was told.
    remarked: bool,
}

impl Scalyr {
    /// The place is that of the target's region, or the one the environment names.
    pub(crate) fn new(
        target: &ScalyrTarget,
        stream: StreamName,
        file: Option<&str>,
        attributes: &Attributes,
        keys: Keys,
    ) -> Self {
        let endpoint = std::env::var(ENDPOINT_VARIABLE).unwrap_or_else(|_| endpoint_of(&target.region));
        let about = About::new(target, stream, file, attributes);
        Self::to(Transport::new(&endpoint), about, target.key.clone(), keys)
    }

    fn to(transport: Transport, about: About, wanted: LogKey, keys: Keys) -> Self {
        Self {
            about,
            transport,
            wanted,
            keys,
            key: None,
            session: Session::new(new_id()),
            parcel: VecDeque::new(),
            since: None,
            gaps: Vec::new(),
            remarked: false,
        }
    }

    /// One request.
    async fn send_body(&mut self, body: &mut Body) -> Result<(), SendError> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => self.keys.get(&self.wanted).await?,
        };
        self.key = Some(key.clone());
        let posted = self.transport.post(body.seal(&self.about, &key)).await;
        let (http, answer) = posted.inspect_err(|_| body.uncertain = true)?;
        match judge(http, &answer, &key) {
            Verdict::Taken { remark } => {
                self.remark(remark);
                Ok(())
            }
            Verdict::Discarded { why } => {
                self.gaps
                    .push(body.lost(format!("Scalyr will not have them: {why}")));
                Ok(())
            }
            Verdict::Refused(refusal) => Err(self.refused(body, refusal)),
        }
    }

    fn refused(&mut self, body: &mut Body, refusal: Refusal) -> SendError {
        if refusal.key {
            self.key = None;
            body.unseal();
        }
        let place = self.transport.place().to_owned();
        let Refusal {
            class, why, advice, ..
        } = refusal;
        if refusal.times && body.uncertain {
            self.move_on(body);
            return SendError {
                class: Class::Transient,
                text: format!(
                    "Scalyr at {place} did not take lines that it may have: {why}; they go once more, in a new session"
                ),
            };
        }
        body.uncertain |= class == Class::Transient;
        SendError {
            class,
            text: format!("Scalyr at {place} did not take lines: {why}{advice}"),
        }
    }

    /// Ends the session of this body, for those behind it too.
    fn move_on(&mut self, body: &mut Body) {
        let (old, new) = (body.session().to_owned(), new_id());
        if self.session.id() == old {
            self.session.rename(new.clone());
        }
        let others = self.parcel.iter_mut().filter(|other| other.session() == old);
        for body in others.chain([body]) {
            body.move_to(&new);
        }
    }

    /// Such as that some events were too old. Scalyr doesn't say how many, or which.
    fn remark(&mut self, remark: Option<String>) {
        if let Some(remark) = remark.filter(|_| !self.remarked) {
            self.remarked = true;
            tracing::warn!(
                sink = Self::NAME, place = self.transport.place(), %remark,
                "Scalyr took log lines with a remark; further ones are not told"
            );
        }
    }
}

impl Sink for Scalyr {
    const NAME: &'static str = "scalyr";
    const GUARANTEE: Guarantee = Guarantee::Acknowledged;
    const EVENTS: bool = true;
    const SAVES_EACH: bool = true;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn take(&mut self, batch: &mut Batch) {
        for line in batch.lines() {
            let time = nanoseconds(line.time).unwrap_or_else(|| now_millis().saturating_mul(1_000_000));
            if self.session.is_ahead_of(time) {
                self.session = Session::new(new_id());
            }
            put(line, time, &mut self.session, &mut self.parcel);
        }
        if !self.parcel.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
        batch.clear();
    }

    fn due(&self) -> Due {
        let Some(since) = self.since else {
            return Due::Nothing;
        };
        match self.parcel.front() {
            Some(body) if self.parcel.len() == 1 && body.len() < FULL => Due::At(since + LINGER),
            _ => Due::Now,
        }
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        while let Some(mut body) = self.parcel.pop_front() {
            if let Err(error) = self.send_body(&mut body).await {
                self.parcel.push_front(body);
                return Err(error);
            }
        }
        // The room of an unusual parcel is given back.
        self.parcel = VecDeque::new();
        self.since = None;
        Ok(std::mem::take(&mut self.gaps))
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
