//! Scalyr, by its `addEvents`: acknowledged.
//!
//! Lines gather for two seconds or up to a megabyte: the documentation asks for a request every few seconds, and a
//! session has one at a time. A request that is sent again keeps session and times, by which Scalyr knows its events;
//! where an answer got lost and Scalyr insists that times go on, the same lines go once more in a new session. A new
//! agent is a new session too, so a kill between request and cursor sends one parcel twice.
//!
//! A request that is refused for what is in it is halved until the event is found that Scalyr won't have. That one is
//! left out and told as a gap, and the others go on.
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

use bytes::Bytes;
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

/// What is sent instead of an event that is not taken.
const STAND_IN: &str = "monopod: a line is left out here that Scalyr did not take";

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
    /// The event before the next one was left out.
    left_out: bool,
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
            left_out: false,
            remarked: false,
        }
    }

    /// One request, or two: the first body leaves the parcel, or is taken apart there.
    async fn step(&mut self) -> Result<(), SendError> {
        let key = match &self.key {
            Some(key) => key.clone(),
            None => self.keys.get(&self.wanted).await?,
        };
        self.key = Some(key.clone());
        let Some(body) = self.parcel.front_mut() else {
            return Ok(());
        };
        let request = body.seal(&self.about, &key);
        match self.ask(request, &key).await? {
            Verdict::Taken { remark } => {
                self.remark(remark);
                self.left_out = false;
                self.parcel.pop_front();
                Ok(())
            }
            Verdict::Discarded { why } => {
                let lost = self.parcel.pop_front();
                self.gaps
                    .extend(lost.map(|body| body.lost(format!("Scalyr will not have them: {why}"))));
                Ok(())
            }
            Verdict::Refused(refusal) if self.blames_events(&refusal) => self.take_apart(refusal, &key).await,
            Verdict::Refused(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Asks Scalyr to take the first body, or what stands for it. Until there is an answer it may have been taken, also
    /// when nobody waits for the answer any more.
    async fn ask(&mut self, request: Bytes, key: &Secret) -> Result<Verdict, SendError> {
        let before = self
            .parcel
            .front_mut()
            .map(|body| std::mem::replace(&mut body.uncertain, true));
        let (http, answer) = self.transport.post(request).await?;
        if let (Some(body), Some(before)) = (self.parcel.front_mut(), before) {
            body.uncertain = before;
        }
        Ok(judge(http, &answer, key))
    }

    /// Whether fewer events may be taken: not before the key and the times were found to be without blame.
    fn blames_events(&self, refusal: &Refusal) -> bool {
        let front = self.parcel.front();
        front.is_some_and(|body| {
            let key = refusal.key && !body.suspect;
            let times = refusal.times && body.uncertain;
            refusal.events && !key && !times
        })
    }

    /// Halves the first body. A single event is left out, if one of our own is taken instead: else it's not the event.
    async fn take_apart(&mut self, refusal: Refusal, key: &Secret) -> Result<(), SendError> {
        let Some(body) = self.parcel.front_mut() else {
            return Ok(());
        };
        if let Some(second) = body.split() {
            self.parcel.insert(1, second);
            return Ok(());
        }
        let stand_in = body.stand_in(STAND_IN).seal(&self.about, key);
        if !matches!(self.ask(stand_in, key).await?, Verdict::Taken { .. }) {
            return Err(self.refused(refusal));
        }
        if let Some(body) = self.parcel.pop_front() {
            let why = format!("Scalyr will not have it: {}", refusal.why);
            let gap = body.lost(why);
            match self.gaps.last_mut() {
                // More of the same line.
                Some(last) if self.left_out && body.goes_on() => last.bytes += gap.bytes,
                _ => self.gaps.push(Gap { lines: 1, ..gap }),
            }
            self.left_out = true;
        }
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal) -> SendError {
        let place = self.transport.place().to_owned();
        let Refusal {
            class, why, advice, ..
        } = refusal;
        let mut uncertain = false;
        if let Some(body) = self.parcel.front_mut() {
            uncertain = body.uncertain;
            body.uncertain |= class == Class::Transient;
            body.suspect |= refusal.events && !(refusal.times && uncertain);
            if refusal.key {
                self.key = None;
                body.unseal();
            }
        }
        if refusal.times && uncertain {
            self.move_on();
            return SendError {
                class: Class::Transient,
                text: format!(
                    "Scalyr at {place} did not take lines that it may have: {why}; they go once more, in a new session"
                ),
            };
        }
        SendError {
            class,
            text: format!("Scalyr at {place} did not take lines: {why}{advice}"),
        }
    }

    /// Ends the session of the first body, for those behind it too.
    fn move_on(&mut self) {
        let Some(old) = self.parcel.front().map(|body| body.session().to_owned()) else {
            return;
        };
        let new = new_id();
        if self.session.id() == old {
            self.session.rename(new.clone());
        }
        for body in self.parcel.iter_mut().filter(|body| body.session() == old) {
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

    fn learn(&mut self, attributes: &Attributes) {
        if self.about.learn(attributes) {
            // What is said of a session is the same for all of it.
            self.session = Session::new(new_id());
        }
    }

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
        while !self.parcel.is_empty() {
            self.step().await?;
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
