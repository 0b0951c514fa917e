//! Figures of the probes and of notices, for whoever shows metrics: counted where they are asked, read at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use monopod_core::metrics::{Notices, Pushed};
use monopod_core::notice::What;

/// Counters of one run of the agent; the gate's questions are not among them.
#[derive(Debug, Default)]
pub struct ProbeFigures {
    asked: AtomicU64,
    failed: AtomicU64,
    /// Microseconds of the last one, plus one; the lowest bit says that it was good. 0 before the first.
    last: AtomicU64,
}

/// What they say now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Probed {
    /// Probes that had an answer, good or bad.
    pub asked: u64,
    /// Bad ones.
    pub failed: u64,
    /// Whether the last one was good; `None` before the first.
    pub last_ok: Option<bool>,
    /// How long the last one took; `None` before the first.
    pub last_seconds: Option<f64>,
}

impl ProbeFigures {
    /// One more answer.
    pub fn answered(&self, ok: bool, took: Duration) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.failed.fetch_add(u64::from(!ok), Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 2);
        self.last.store(
            ((micros.min(u64::MAX >> 2) + 1) << 1) | u64::from(ok),
            Ordering::Relaxed,
        );
    }

    /// What they say now.
    pub fn now(&self) -> Probed {
        let last = self.last.load(Ordering::Relaxed);
        let answered = last != 0;
        Probed {
            asked: self.asked.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            last_ok: answered.then_some(last & 1 == 1),
            last_seconds: answered
                .then(|| Duration::from_micros((last >> 1).saturating_sub(1)).as_secs_f64()),
        }
    }
}

/// Who notices are pushed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// `events.webhook`.
    Webhook,
    /// `events.event_bus`.
    EventBus,
}

impl Receiver {
    /// As a directory is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::EventBus => "event-bus",
        }
    }

    /// In a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::EventBus => "event bus",
        }
    }
}

/// Counters of what was told as it happened.
#[derive(Debug, Default)]
pub struct NoticeFigures {
    told: [AtomicU64; What::KINDS.len()],
    webhook: PushFigures,
    event_bus: PushFigures,
}

#[derive(Debug, Default)]
struct PushFigures {
    is_used: AtomicBool,
    delivered: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

impl PushFigures {
    fn now(&self) -> Option<Pushed> {
        self.is_used.load(Ordering::Relaxed).then(|| Pushed {
            delivered: self.delivered.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        })
    }
}

impl NoticeFigures {
    /// One more of this kind.
    pub(super) fn told(&self, what: &What) {
        let at = What::KINDS.iter().position(|kind| *kind == what.kind());
        if let Some(count) = at.and_then(|at| self.told.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    const fn of(&self, receiver: Receiver) -> &PushFigures {
        match receiver {
            Receiver::Webhook => &self.webhook,
            Receiver::EventBus => &self.event_bus,
        }
    }

    /// One more was taken.
    pub fn delivered(&self, receiver: Receiver) {
        self.of(receiver).delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// One more will not get there.
    pub fn dropped(&self, receiver: Receiver) {
        self.of(receiver).dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// So many wait.
    pub fn waits(&self, receiver: Receiver, waiting: u64) {
        let figures = self.of(receiver);
        figures.is_used.store(true, Ordering::Relaxed);
        figures.waiting.store(waiting, Ordering::Relaxed);
    }

    /// What they say now.
    pub fn now(&self) -> Notices {
        Notices {
            told: std::array::from_fn(|at| {
                self.told.get(at).map_or(0, |count| count.load(Ordering::Relaxed))
            }),
            webhook: self.webhook.now(),
            event_bus: self.event_bus.now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_answer_and_all_of_them() {
        let figures = ProbeFigures::default();
        assert_eq!(figures.now(), Probed::default());
        figures.answered(true, Duration::ZERO);
        assert_eq!(figures.now().last_ok, Some(true));
        assert_eq!(figures.now().last_seconds, Some(0.0));
        figures.answered(false, Duration::from_millis(1500));
        let expected = Probed {
            asked: 2,
            failed: 1,
            last_ok: Some(false),
            last_seconds: Some(1.5),
        };
        assert_eq!(figures.now(), expected);
    }
}
