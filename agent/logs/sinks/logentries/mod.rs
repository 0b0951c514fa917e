//! Logentries, by tokens over TLS: best effort.
//!
//! Nobody answers, not even to a token that is wrong: then the lines are gone, and only Logentries' pages show that none
//! came. What a socket can tell is used (see [`transport`]): lines that the far end's machine has not confirmed are sent
//! again when a connection breaks. After a kill the lines since the last cursor, a second's worth, come twice.
//!
//! It has no fields and no times of its own: a line is the text, and its time that of its arrival.

mod bytes;
mod encode;
#[cfg(test)]
mod tests;
mod transport;
mod trust;

use std::io;
use std::time::Duration;

use monopod_core::logs::{Batch, Gap, LogKey};
use monopod_core::secret::Secret;
use tokio::time::Instant;

use self::encode::{encode, restamp};
use self::transport::{ENDPOINT, ENDPOINT_VARIABLE, Patience, Transport};
use self::trust::Trust;
use super::{Due, Replay, SendError, Sink};
use crate::host::Class;
use crate::logs::keys::Keys;
use crate::logs::status::Guarantee;

/// The sink.
#[derive(Debug)]
pub(crate) struct Logentries {
    wanted: LogKey,
    keys: Keys,
    /// With the time it was asked for last.
    token: Option<(Secret, Instant)>,
    /// Without the token; with it once they are on their way.
    parcel: Batch,
    transport: Transport,
    renew: Duration,
}

/// A token of this age is asked for again by the next new connection.
const RENEW: Duration = Duration::from_secs(300);

impl Logentries {
    /// The place is Logentries' own, or the one the environment names.
    pub(crate) fn new(token: LogKey, keys: Keys) -> Self {
        let endpoint = std::env::var(ENDPOINT_VARIABLE).unwrap_or_else(|_| ENDPOINT.to_owned());
        let transport = Transport::new(&endpoint, Trust::System, Patience::default());
        Self::to(transport, token, keys)
    }

    fn to(transport: Transport, token: LogKey, keys: Keys) -> Self {
        Self {
            wanted: token,
            keys,
            token: None,
            parcel: Batch::default(),
            transport,
            renew: RENEW,
        }
    }

    /// The token: a new connection asks for it again, for it may be another one by now. Nobody says that a token is
    /// wrong, so the one there is serves on only where asking can't work just now.
    async fn token(&mut self) -> Result<Secret, SendError> {
        let connected = self.transport.is_connected().await;
        let (old, since) = match &self.token {
            None => {
                let token = self.keys.get(&self.wanted).await?;
                self.token = Some((token.clone(), Instant::now()));
                return Ok(token);
            }
            Some((token, since)) if connected || since.elapsed() < self.renew => return Ok(token.clone()),
            Some((token, since)) => (token.clone(), *since),
        };
        match self.keys.get(&self.wanted).await {
            Ok(new) => {
                if new.expose() != old.expose() {
                    let lines = restamp(self.transport.lines(), &old, &new);
                    self.transport.replace(lines);
                }
                self.token = Some((new.clone(), Instant::now()));
                Ok(new)
            }
            Err(error) if error.class == Class::Permanent => Err(error),
            Err(error) => {
                tracing::warn!(
                    sink = Self::NAME, error = %error.text, age = ?since.elapsed(),
                    "The token can't be asked for again, going on with the old one"
                );
                self.token = Some((old.clone(), Instant::now()));
                Ok(old)
            }
        }
    }
}

impl Sink for Logentries {
    const NAME: &'static str = "logentries";
    const GUARANTEE: Guarantee = Guarantee::BestEffort;
    const EVENTS: bool = true;
    const SAVES_EACH: bool = false;

    fn restore(&mut self, _mark: Option<serde_json::Value>, _replay: Replay) {}

    fn take(&mut self, batch: &mut Batch) {
        if self.parcel.is_empty() {
            std::mem::swap(&mut self.parcel, batch);
        } else {
            self.parcel.append(batch);
        }
        batch.clear();
    }

    fn due(&self) -> Due {
        if !self.parcel.is_empty() || self.transport.has_unsent() {
            return Due::Now;
        }
        self.transport.look_again().map_or(Due::Nothing, Due::At)
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        let token = self.token().await?;
        // Nothing waits between these two: lines are here or there, also when nobody waits for the end of this.
        let parcel = std::mem::take(&mut self.parcel);
        encode(&parcel, &token, self.transport.lines());
        self.transport.flush().await?;
        Ok(Vec::new())
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
