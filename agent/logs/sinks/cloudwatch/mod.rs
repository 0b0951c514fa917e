//! CloudWatch Logs: one log stream a machine, named by the instance's id, in the group that the user data names.
//!
//! The line is the event's message, as it is: a JSON line stays JSON, which Logs Insights takes its fields from. An event
//! has no fields of its own, so nothing else of the [`Attributes`] is sent: who it is from is the log stream's name.
//!
//! Group and stream are used where they are, and made where they are missing, at the start or when somebody deletes
//! them later. A role that may only write (`logs:PutLogEvents`) does for a stream that is there, `logs:CreateLogStream`
//! is the usual one more, and `logs:CreateLogGroup` is for groups that nobody made. A group made here keeps its events for
//! ever until somebody says otherwise.
//!
//! At least once: AWS has no way to tell a batch it has from another one. A call whose answer is lost is made again, and
//! a kill between the call and the saved cursor repeats what it carried: one parcel, about a second's worth of a busy
//! application and at most about 1 MiB.
//!
//! The limits of a call, the order of lines, and which of them AWS never takes: [`monopod_core::logs::cloudwatch`].
//!
//! Deliberately absent: sequence tokens, which AWS ignores since 2023, calls side by side, which would give up the order,
//! and compression, which the API doesn't know.

mod encode;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::time::Duration;

use monopod_core::logs::cloudwatch::{BATCH_EVENTS, Parcel};
use monopod_core::logs::{Attributes, Batch, Gap};
use tokio::time::Instant;

use self::transport::{Failure, Transport};
use super::{Due, Replay, SendError, Sink};
use crate::host::clock::now_millis;
use crate::logs::status::Guarantee;

pub(crate) use self::transport::Connection;

/// A line waits this long for others. The limit is of calls, an account's machines share it, and a call a line would
/// spend it; half a call a second of an idle machine doesn't. Somebody who watches a log stream waits longer for
/// CloudWatch itself, and what waits here is in the spool: a kill loses none of it.
const LINGER: Duration = Duration::from_secs(2);

/// The sink.
#[derive(Debug)]
pub(crate) struct CloudWatch {
    transport: Transport,
    parcel: Parcel,
    /// When the parcel's first line was taken.
    since: Option<Instant>,
    /// Events a call: fewer after one that AWS refused as a whole, to find what it doesn't like.
    most: usize,
}

impl CloudWatch {
    pub(crate) fn new(group: &str, attributes: &Attributes, connection: Connection) -> Self {
        let (region, stream) = (&attributes.region, &attributes.instance_id);
        Self {
            transport: Transport::new(region, group, stream, connection),
            parcel: Parcel::default(),
            since: None,
            most: BATCH_EVENTS,
        }
    }
}

impl Sink for CloudWatch {
    const NAME: &'static str = "cloudwatch";
    const GUARANTEE: Guarantee = Guarantee::Acknowledged;
    const EVENTS: bool = true;
    const SAVES_EACH: bool = true;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn take(&mut self, batch: &mut Batch) {
        let now = now_millis();
        for line in batch.lines() {
            self.parcel.push(line, now);
        }
        batch.clear();
        if !self.parcel.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    fn due(&self) -> Due {
        match self.since {
            None => Due::Nothing,
            Some(_) if self.parcel.is_full() => Due::Now,
            Some(since) => Due::At(since + LINGER),
        }
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        loop {
            let count = self.parcel.next(now_millis(), self.most);
            if count == 0 {
                break;
            }
            match self.transport.put(&self.parcel, count).await {
                Ok(rejected) => {
                    self.parcel.delivered(count, rejected);
                    self.most = self.most.saturating_mul(2).min(BATCH_EVENTS);
                }
                Err(Failure::Batch(_)) if count > 1 => self.most = count.div_ceil(2),
                Err(Failure::Batch(answer)) => self.parcel.refused(&answer),
                Err(Failure::Call(error)) => return Err(error),
            }
        }
        let gaps = self.parcel.gaps();
        // Its memory too: the next parcel of an idle machine is small.
        self.parcel = Parcel::default();
        self.since = None;
        Ok(gaps)
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
