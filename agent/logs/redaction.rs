//! Whether shipped lines pass the redactor, and what is known when they do.
//!
//! Asked anew for every batch: the user data is read after the shipper may have started, and secrets are learnt all
//! the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use monopod_core::logs::{Batch, LineRedaction, Patience, Redacted};
use monopod_core::redact::Redactor;

/// The switch and the secrets, shared by all sinks; off at first.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    redactor: Arc<RwLock<Redactor>>,
    on: Arc<AtomicBool>,
}

impl Redaction {
    /// With the secrets that this redactor knows or will know.
    pub fn new(redactor: Arc<RwLock<Redactor>>) -> Self {
        let on = Arc::default();
        Self { redactor, on }
    }

    /// Turns it on or off for the lines not read yet.
    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }
}

/// One sink's lines on their way through it.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    shared: Redaction,
    lines: LineRedaction,
}

impl Filter {
    pub(crate) fn new(shared: Redaction) -> Self {
        let lines = LineRedaction::default();
        Self { shared, lines }
    }

    /// Takes the secrets out, if that is asked for; says whether the lines should wait for those behind them, and then
    /// has changed nothing. It works on a thread that may take its time: the watchdog and the probes share this one.
    pub(crate) async fn apply(&mut self, batch: &mut Batch, patience: Patience) -> Redacted {
        if !self.shared.on.load(Ordering::Relaxed) {
            return Redacted::Done;
        }
        let (mut filter, mut lines) = (std::mem::take(self), std::mem::take(batch));
        let done = tokio::task::spawn_blocking(move || {
            let shared = filter.shared.clone();
            let redactor = shared.redactor.read().unwrap_or_else(PoisonError::into_inner);
            let redacted = filter.lines.redact(&redactor, &mut lines, patience);
            (filter, lines, redacted)
        });
        let Ok((filter, lines, redacted)) = done.await else {
            // Only a bug gets here, and it has been told. Nothing that was not looked at is shipped: the sink stands
            // still, and what it is behind is in the status.
            return std::future::pending().await;
        };
        (*self, *batch) = (filter, lines);
        redacted
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::secret::Secret;

    use super::*;
    use crate::logs::testing::{Rig, sink, soon, until};
    use crate::logs::{Drained, Options, Shipper};

    /// Longer than what the engine takes into one record.
    const LONG: usize = 20 * 1024;

    fn knowing(value: &str) -> Redaction {
        let redactor = Arc::<RwLock<Redactor>>::default();
        redactor.write().unwrap().learn(&Secret::new(value.to_owned()));
        let redaction = Redaction::new(redactor);
        redaction.set(true);
        redaction
    }

    async fn started(rig: &Rig, redaction: &Redaction) -> Shipper {
        let redaction = redaction.clone();
        rig.start(Options {
            redaction,
            ..rig.options()
        })
        .await
    }

    #[tokio::test]
    async fn lines_are_shipped_without_secrets_while_it_is_on() {
        let mut rig = Rig::new();
        let redaction = knowing("hunter2-hunter2");
        let shipper = started(&rig, &redaction).await;
        rig.engine.write("it is hunter2-hunter2!");
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        redaction.set(false);
        rig.engine.write("it is hunter2-hunter2!");
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        assert_eq!(rig.shipped(), ["it is [redacted]!", "it is hunter2-hunter2!"]);
    }

    #[tokio::test]
    async fn a_line_in_several_records_is_one() {
        let mut rig = Rig::new();
        let shipper = started(&rig, &knowing("hunter2-hunter2")).await;
        let line = format!("{:x<LONG$}", "");
        let (before, after) = line.split_at(16 * 1024 - 5);
        rig.engine.record(&format!("{before}hunte"), "stdout");
        rig.engine.write(&format!("r2-hunter2{after}"));
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        assert_eq!(rig.shipped(), [format!("{before}[redacted]{after}")]);
    }

    #[tokio::test]
    async fn the_beginning_of_a_secret_waits_for_its_rest_and_is_read_again_after_a_kill() {
        let mut rig = Rig::new();
        let redaction = knowing("first-line\nsecond-line\nab-3");
        let shipper = started(&rig, &redaction).await;
        rig.engine.write("first-line");
        rig.engine.write("second-line");
        until("lines to be read", || {
            sink(&shipper, "application-log").behind_bytes > 0
        })
        .await;
        // Killed with two lines read and none shipped.
        drop(shipper);
        let shipper = started(&rig, &redaction).await;
        rig.engine.write("ab-3");
        rig.engine.write("the end");
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        assert_eq!(
            rig.shipped(),
            ["[redacted]", "[redacted]", "[redacted]", "the end"]
        );
        assert_eq!(sink(&shipper, "application-log").behind_bytes, 0);
    }

    #[tokio::test]
    async fn what_looks_like_a_beginning_and_is_none_is_shipped() {
        let mut rig = Rig::new();
        let shipper = started(&rig, &knowing("a long secret that never comes")).await;
        rig.engine.write("a long secret");
        assert_eq!(shipper.drain(soon()).await, Drained::Complete);
        assert_eq!(rig.shipped(), ["a long secret"]);
        let stopping = tokio::time::Instant::now();
        rig.engine.write("a long secret that");
        shipper.stop(soon()).await;
        assert!(stopping.elapsed().as_secs() < 1, "a stop waits for nothing");
    }
}
