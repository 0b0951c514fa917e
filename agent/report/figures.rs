//! Figures of the probes and of notices, for whoever shows metrics: counted where they are asked, read at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use monopod_core::firewall::Denied;
use monopod_core::metrics::{Notices, Pushed};
use monopod_core::notice::What;
use tokio::sync::Notify;

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

/// Counters of what is sent by OTLP every now and then.
#[derive(Debug, Default)]
pub struct PushFigures {
    begun: AtomicBool,
    sent: AtomicU64,
    failed: AtomicU64,
}

impl PushFigures {
    /// Somebody asks for it.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// One more push.
    pub fn pushed(&self, ok: bool) {
        let counter = if ok { &self.sent } else { &self.failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that were taken and those that were not; `None` where nobody asks.
    pub fn now(&self) -> Option<(u64, u64)> {
        let figures = || {
            (
                self.sent.load(Ordering::Relaxed),
                self.failed.load(Ordering::Relaxed),
            )
        };
        self.begun.load(Ordering::Relaxed).then(figures)
    }
}

/// Packets that the firewall refused. A scrape does not wait for the unit that counts them: it gets what was known, and has
/// whoever listens ask anew, so that a machine nobody scrapes asks nothing.
#[derive(Debug, Default)]
pub struct Denials {
    known: Mutex<Option<Denied>>,
    wanted: Notify,
}

impl Denials {
    /// What is known, for somebody who asked for it.
    pub fn asked(&self) -> Option<Denied> {
        self.wanted.notify_one();
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once somebody has asked.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The figures of now; `None` where there are none.
    pub fn learn(&self, denied: Option<Denied>) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = denied;
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
    webhook: ReceiverFigures,
    event_bus: ReceiverFigures,
}

#[derive(Debug, Default)]
struct ReceiverFigures {
    is_used: AtomicBool,
    delivered: AtomicU64,
    dropped: AtomicU64,
    waiting: AtomicU64,
}

impl ReceiverFigures {
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

    const fn of(&self, receiver: Receiver) -> &ReceiverFigures {
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

    #[tokio::test]
    async fn whoever_asks_gets_what_is_known_and_has_it_asked_anew() {
        let denials = Denials::default();
        assert_eq!(denials.asked(), None);
        denials.wanted().await;
        let three = Denied {
            egress: 3,
            ..Denied::default()
        };
        denials.learn(Some(three));
        assert_eq!(denials.asked(), Some(three));
    }

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
