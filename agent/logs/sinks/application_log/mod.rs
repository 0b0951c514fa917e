//! `/var/log/application.log`, written by the agent itself: a syslog daemon loses lines under load, and nobody
//! could acknowledge them.
//!
//! One message a line, mode 0640, rotated by size and age within a budget, old files compressed. Every line is in it
//! exactly once, whenever the agent is killed. When the disk is nearly full old files go first, then the lines wait in
//! the spool.
//!
//! It sets no group: the agent has no capability to give files away.

mod aside;
mod encode;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use monopod_core::logs::{Batch, Gap, LineStyler, RotationPolicy};

use self::transport::{Mark, Transport};
use super::{Due, Replay, SendError, Sink};
use crate::logs::lock::Lock;
use crate::logs::status::Guarantee;

/// The sink.
#[derive(Debug)]
pub(crate) struct ApplicationLog {
    path: PathBuf,
    styler: LineStyler,
    /// Away while a thread works with it; gone when that work was given up halfway.
    parts: Option<Parts>,
}

#[derive(Debug)]
struct Parts {
    transport: Transport,
    bytes: Vec<u8>,
    done: usize,
    /// Goes where the file goes: a write outlives its task, and nobody may begin before it's done.
    _lock: Arc<Lock>,
}

impl ApplicationLog {
    pub(crate) fn new(path: &Path, styler: LineStyler, policy: RotationPolicy, lock: Arc<Lock>) -> Self {
        let parts = Parts {
            transport: Transport::new(path, policy),
            bytes: Vec::new(),
            done: 0,
            _lock: lock,
        };
        Self {
            path: path.to_owned(),
            styler,
            parts: Some(parts),
        }
    }

    /// Runs `work` where it may block: a disk can take seconds, and the watchdog shares the runtime's threads.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Parts) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let Some(mut parts) = self.parts.take() else {
            return Err(io::Error::other("a write to the file was given up halfway"));
        };
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&mut parts);
            (parts, result)
        });
        let (parts, result) = done.await.map_err(io::Error::other)?;
        self.parts = Some(parts);
        result
    }
}

impl Sink for ApplicationLog {
    const NAME: &'static str = "application-log";
    const GUARANTEE: Guarantee = Guarantee::Acknowledged;
    const EVENTS: bool = false;
    const SAVES_EACH: bool = false;

    fn restore(&mut self, mark: Option<serde_json::Value>, replay: Replay) {
        // A mark of another form is no mark: the file is appended to.
        let mark = mark.and_then(|mark| serde_json::from_value::<Mark>(mark).ok());
        if let Some(parts) = &mut self.parts {
            parts.transport.restore(mark, replay);
        }
    }

    fn take(&mut self, batch: &mut Batch) {
        if let Some(parts) = &mut self.parts {
            if parts.done == parts.bytes.len() {
                parts.bytes.clear();
                parts.done = 0;
            }
            encode::encode(&self.styler, batch, &mut parts.bytes);
        }
    }

    fn due(&self) -> Due {
        match &self.parts {
            Some(parts) if parts.done == parts.bytes.len() => Due::Nothing,
            _ => Due::Now,
        }
    }

    fn wants_commit(&self) -> bool {
        self.parts
            .as_ref()
            .is_some_and(|parts| parts.transport.rotates((parts.bytes.len() - parts.done) as u64))
    }

    async fn send(&mut self) -> Result<Vec<Gap>, SendError> {
        let appended = self.blocking(|parts| parts.transport.append(&parts.bytes, &mut parts.done));
        match appended.await {
            Ok(()) => Ok(Vec::new()),
            Err(error) => Err(SendError::io(
                format_args!("cannot append to {}", self.path.display()),
                &error,
            )),
        }
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        let mark = self.blocking(|parts| {
            // Half a batch is in the file, and no cursor says so: the mark of before is the right one.
            if parts.done > 0 && parts.done < parts.bytes.len() {
                return Err(io::Error::other("a delivery was given up halfway"));
            }
            if parts.done == parts.bytes.len() {
                // Nothing is on its way now, so an idle machine needn't keep the memory.
                (parts.bytes, parts.done) = (Vec::new(), 0);
            }
            parts.transport.mark()
        });
        mark.await?
            .map(|mark| serde_json::to_value(mark).map_err(io::Error::other))
            .transpose()
    }
}
