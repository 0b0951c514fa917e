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

use monopod_core::logs::{Batch, Gap, LogKey};
use monopod_core::secret::Secret;

use self::encode::encode;
use self::transport::{ENDPOINT, ENDPOINT_VARIABLE, Patience, Transport};
use self::trust::Trust;
use super::{Due, Replay, SendError, Sink};
use crate::logs::keys::Keys;
use crate::logs::status::Guarantee;

/// The sink.
#[derive(Debug)]
pub(crate) struct Logentries {
    wanted: LogKey,
    keys: Keys,
    token: Option<Secret>,
    /// Without the token; with it once they are on their way.
    parcel: Batch,
    transport: Transport,
}

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
        }
    }

    /// Puts the token before every line.
    async fn stamp(&mut self) -> Result<(), SendError> {
        let token = match &self.token {
            Some(token) => token.clone(),
            None => self.keys.get(&self.wanted).await?,
        };
        let parcel = std::mem::take(&mut self.parcel);
        encode(&parcel, &token, self.transport.lines());
        self.token = Some(token);
        Ok(())
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
        if !self.parcel.is_empty() {
            self.stamp().await?;
        }
        self.transport.flush().await?;
        Ok(Vec::new())
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        Ok(None)
    }
}
