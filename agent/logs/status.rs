//! What a person or a program can see of log shipping.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

/// What a sink's counters are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guarantee {
    /// The far end has taken the line for good before the cursor moves.
    Acknowledged,
    /// The line was written to a socket; what happens behind it nobody can tell.
    BestEffort,
}

/// What a sink is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum SinkState {
    /// It takes lines, or waits for some.
    Ok,
    /// It can't deliver and tries again; the spool holds the lines meanwhile.
    Retrying {
        /// Seconds since the epoch at the first failure of this outage.
        since: u64,
        /// Why, in words.
        error: String,
    },
}

/// One sink's figures since this agent started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// The sink's name, as in the name of its cursor file.
    pub name: &'static str,
    /// What `delivered` means.
    pub guarantee: Guarantee,
    /// Lines handed over.
    pub delivered: u64,
    /// Lines known to be lost.
    pub lost: u64,
    /// False when more may have been lost than `lost` says.
    pub lost_exact: bool,
    /// Records in the spool that were no records.
    pub garbage: u64,
    /// Bytes of the spool that wait for this sink.
    pub behind_bytes: u64,
    /// What it does now.
    pub state: SinkState,
    /// The last error, kept after it went away.
    pub last_error: Option<String>,
}

/// Everything about log shipping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogsStatus {
    /// The container followed last.
    pub container: Option<String>,
    /// Each sink.
    pub sinks: Vec<SinkStatus>,
}

/// How far a drain came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a container may only be removed after Complete, or with a gap recorded"]
pub enum Drained {
    /// Every acknowledged sink has every whole line that was in the files.
    Complete,
    /// This sink has not; the first of several.
    Behind {
        /// Its name.
        sink: &'static str,
        /// What it still had to read, at the last look.
        bytes: u64,
    },
}

/// A sink's figures, shared between its task, its transport and whoever asks.
#[derive(Clone, Debug)]
pub(crate) struct Figures(Arc<Mutex<SinkStatus>>);

impl Figures {
    pub(crate) fn new(name: &'static str, guarantee: Guarantee) -> Self {
        Self(Arc::new(Mutex::new(SinkStatus {
            name,
            guarantee,
            delivered: 0,
            lost: 0,
            lost_exact: true,
            garbage: 0,
            behind_bytes: 0,
            state: SinkState::Ok,
            last_error: None,
        })))
    }

    /// Numbers stay readable after a panic elsewhere: nothing here is left half written.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SinkStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> SinkStatus {
        self.lock().clone()
    }

    /// Notes a failure; true when the outage begins with it, so that it's logged once.
    pub(crate) fn failed(&self, error: &str, now: u64) -> bool {
        let mut status = self.lock();
        let first = status.state == SinkState::Ok;
        let since = match &status.state {
            SinkState::Ok => now,
            SinkState::Retrying { since, .. } => *since,
        };
        status.state = SinkState::Retrying {
            since,
            error: error.to_owned(),
        };
        status.last_error = Some(error.to_owned());
        first
    }

    /// Notes that it works; true when an outage ends with it.
    pub(crate) fn recovered(&self) -> bool {
        let mut status = self.lock();
        let ended = status.state != SinkState::Ok;
        status.state = SinkState::Ok;
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_keeps_its_start_and_is_told_once() {
        let figures = Figures::new("x", Guarantee::BestEffort);
        assert!(figures.failed("gone", 10));
        assert!(!figures.failed("still gone", 20));
        let state = SinkState::Retrying {
            since: 10,
            error: "still gone".into(),
        };
        assert_eq!(figures.snapshot().state, state);
        assert!(figures.recovered());
        assert!(!figures.recovered());
        assert_eq!(figures.snapshot().last_error.as_deref(), Some("still gone"));
    }

    #[test]
    fn serializes_for_programs() {
        let figures = Figures::new("x", Guarantee::BestEffort);
        figures.failed("gone", 10);
        let json = serde_json::to_value(figures.snapshot()).unwrap();
        assert_eq!(json["guarantee"], "best-effort");
        assert_eq!(json["state"]["kind"], "retrying");
        assert_eq!(json["state"]["since"], 10);
    }
}
