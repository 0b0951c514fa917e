//! A call that is made until it has worked.

use std::time::Duration;

use crate::retry::Backoff;

/// An answer that has not come by then does not come: every call of ours has a limit below it.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// One kind of call to one place.
#[derive(Clone, Debug)]
pub(super) struct Call {
    backoff: Backoff,
    /// Since when it is under way.
    since: Option<Duration>,
    failures: u32,
    refusals: u32,
    /// Not before then.
    next: Duration,
}

impl Call {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            since: None,
            failures: 0,
            refusals: 0,
            next: Duration::ZERO,
        }
    }

    /// Begins it if it is time; one without an answer counts as failed.
    pub(super) fn begin(&mut self, now: Duration) -> bool {
        if now < self.wake() {
            return false;
        }
        self.failures += u32::from(self.since.replace(now).is_some());
        true
    }

    /// When there is something to do.
    pub(super) fn wake(&self) -> Duration {
        self.since.map_or(self.next, |since| since + PATIENCE)
    }

    /// It failed; an answer to nothing changes nothing.
    pub(super) fn failed(&mut self, now: Duration, chance: f64) {
        if self.since.take().is_some() {
            self.failures += 1;
            self.next = now + self.backoff.delay(self.failures, chance);
        }
    }

    /// It was refused.
    pub(super) fn refused(&mut self, now: Duration, chance: f64) {
        self.refusals += u32::from(self.since.is_some());
        self.failed(now, chance);
    }

    /// It worked, and is made again after this time.
    pub(super) fn again(&mut self, now: Duration, after: Duration) {
        if self.since.take().is_some() {
            self.failures = 0;
            self.next = now + after;
        }
    }

    /// How often it was refused.
    pub(super) fn refusals(&self) -> u32 {
        self.refusals
    }
}
