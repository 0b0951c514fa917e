//! `/var/log/application.log`, written by the agent itself: a syslog daemon loses lines under load, and nobody
//! could acknowledge them.
//!
//! One message a line, mode 0640, rotated by size within a budget. Every line is in it exactly once, whenever the
//! agent is killed. When the disk is full the lines wait in the spool.
//!
//! It doesn't compress, doesn't rotate by time and sets no group: the agent has no capability to give files away.

mod encode;
#[cfg(test)]
mod tests;
mod transport;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use monopod_core::logs::{Batch, RotationPolicy};

use self::transport::{Mark, Transport};
use super::{Backoff, Replay, Sink, failed, recovered};
use crate::logs::lock::Lock;
use crate::logs::status::{Figures, Guarantee};

/// The sink.
#[derive(Debug)]
pub(crate) struct ApplicationLog {
    path: PathBuf,
    figures: Figures,
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
    pub(crate) fn new(path: &Path, policy: RotationPolicy, figures: Figures, lock: Arc<Lock>) -> Self {
        let parts = Parts {
            transport: Transport::new(path, policy),
            bytes: Vec::new(),
            done: 0,
            _lock: lock,
        };
        Self {
            path: path.to_owned(),
            figures,
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

    fn restore(&mut self, mark: Option<serde_json::Value>, replay: Replay) {
        // A mark of another form is no mark: the file is appended to.
        let mark = mark.and_then(|mark| serde_json::from_value::<Mark>(mark).ok());
        if let Some(parts) = &mut self.parts {
            parts.transport.restore(mark, replay);
        }
    }

    fn wants_commit(&self, batch: &Batch) -> bool {
        // A line feed for each line beside the text; times make it a little too much, and a commit too many is
        // no harm.
        self.parts
            .as_ref()
            .is_some_and(|parts| parts.transport.rotates((batch.bytes() + batch.len()) as u64))
    }

    async fn deliver(&mut self, batch: &Batch) {
        if let Some(parts) = &mut self.parts {
            encode::encode(batch, &mut parts.bytes);
            parts.done = 0;
        }
        let mut backoff = Backoff::new();
        while let Err(error) = self
            .blocking(|parts| parts.transport.append(&parts.bytes, &mut parts.done))
            .await
        {
            failed(&self.figures, Self::NAME, &self.path.display(), &error);
            tokio::time::sleep(backoff.next()).await;
        }
        recovered(&self.figures, Self::NAME);
    }

    async fn commit(&mut self) -> io::Result<Option<serde_json::Value>> {
        let mark = self.blocking(|parts| {
            // Half a batch is in the file, and no cursor says so: the mark of before is the right one.
            if parts.done < parts.bytes.len() {
                return Err(io::Error::other("a delivery was given up halfway"));
            }
            // Nothing is on its way now, so an idle machine needn't keep the memory.
            (parts.bytes, parts.done) = (Vec::new(), 0);
            parts.transport.mark()
        });
        mark.await?
            .map(|mark| serde_json::to_value(mark).map_err(io::Error::other))
            .transpose()
    }
}
