//! What a person or a program can see of log shipping.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use monopod_core::logs::StreamName;
use serde::Serialize;
use tokio::sync::Notify;

use crate::host::Class;

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
    /// It was told no, and that somebody has to change something first. It asks again once a minute; the spool holds the
    /// lines meanwhile.
    Refused {
        /// Seconds since the epoch at the first failure of this outage.
        since: u64,
        /// Why, in words.
        error: String,
    },
}

/// Which lines a pump moves, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The stream.
    pub(crate) stream: StreamName,
    /// The sink.
    pub(crate) sink: &'static str,
    /// Where lines come from, if that isn't the container.
    pub(crate) origin: Option<String>,
    /// Where they go, as a person would say it.
    pub(crate) target: String,
}

/// One sink's figures since this agent started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// The sink's name, as in the name of its cursor file.
    pub name: &'static str,
    /// Which stream of the machine.
    pub stream: StreamName,
    /// The file the lines come from, if it isn't the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Where they go.
    pub target: String,
    /// What `delivered` means.
    pub guarantee: Guarantee,
    /// Lines handed over.
    pub delivered: u64,
    /// Bytes of their text.
    pub delivered_bytes: u64,
    /// Lines left out because the user data says so: filters and sampling.
    pub excluded: u64,
    /// Lines cut because they were too long.
    pub cut: u64,
    /// Lines known to be lost.
    pub lost: u64,
    /// False when more may have been lost than `lost` says.
    pub lost_exact: bool,
    /// Records in the spool that were no records.
    pub garbage: u64,
    /// Bytes of the spool that wait for this sink.
    pub behind_bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
    /// The time of the last line handed over.
    pub last_line: Option<String>,
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
pub(crate) struct Figures {
    status: Arc<Mutex<SinkStatus>>,
    /// Told when anything may have changed.
    changed: Arc<Notify>,
}

impl Figures {
    pub(crate) fn new(label: Label, guarantee: Guarantee, changed: Arc<Notify>) -> Self {
        let status = SinkStatus {
            name: label.sink,
            stream: label.stream,
            origin: label.origin,
            target: label.target,
            guarantee,
            delivered: 0,
            delivered_bytes: 0,
            excluded: 0,
            cut: 0,
            lost: 0,
            lost_exact: true,
            garbage: 0,
            behind_bytes: 0,
            failures: 0,
            last_line: None,
            state: SinkState::Ok,
            last_error: None,
        };
        Self {
            status: Arc::new(Mutex::new(status)),
            changed,
        }
    }

    /// To change them. Numbers stay readable after a panic elsewhere: nothing here is left half written.
    pub(crate) fn lock(&self) -> MutexGuard<'_, SinkStatus> {
        self.changed.notify_one();
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot(&self) -> SinkStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes a failure; true when it is news, so that it's logged once: an outage begins, or turns into a refusal.
    pub(crate) fn failed(&self, error: &str, class: Class, now: u64) -> bool {
        let mut status = self.lock();
        let (since, was_refused, was_ok) = match &status.state {
            SinkState::Ok => (now, false, true),
            SinkState::Retrying { since, .. } => (*since, false, false),
            SinkState::Refused { since, .. } => (*since, true, false),
        };
        let error = error.to_owned();
        let refused = class == Class::Permanent;
        status.failures += 1;
        status.last_error = Some(error.clone());
        status.state = if refused {
            SinkState::Refused { since, error }
        } else {
            SinkState::Retrying { since, error }
        };
        was_ok || (refused && !was_refused)
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

    fn figures() -> Figures {
        let label = Label {
            stream: StreamName::Applog,
            sink: "x",
            origin: None,
            target: "y".into(),
        };
        Figures::new(label, Guarantee::BestEffort, Arc::default())
    }

    #[test]
    fn an_outage_keeps_its_start_and_is_told_once() {
        let figures = figures();
        assert!(figures.failed("gone", Class::Transient, 10));
        assert!(!figures.failed("still gone", Class::Throttled, 20));
        let state = SinkState::Retrying {
            since: 10,
            error: "still gone".into(),
        };
        assert_eq!(figures.snapshot().state, state);
        assert!(figures.failed("no", Class::Permanent, 30), "worse is news");
        assert!(!figures.failed("no", Class::Permanent, 40));
        assert!(!figures.failed("gone", Class::Transient, 40), "better is not");
        assert!(figures.recovered());
        assert!(!figures.recovered());
        let status = figures.snapshot();
        assert_eq!((status.last_error.as_deref(), status.failures), (Some("gone"), 5));
    }

    #[test]
    fn serializes_for_programs() {
        let figures = figures();
        figures.failed("gone", Class::Transient, 10);
        let json = serde_json::to_value(figures.snapshot()).unwrap();
        assert_eq!(json["guarantee"], "best-effort");
        assert_eq!(json["stream"], "applog");
        assert_eq!(json["state"]["kind"], "retrying");
        assert_eq!(json["state"]["since"], 10);
    }
}
