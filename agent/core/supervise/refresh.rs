//! When a set of files is fetched again, how stale it is, and what the container is told of a change.
//!
//! ```text
//!            fetched                       past max_age
//! ┌───────┐ ◄─────── ┌───────┐ ────────────────────────► ┌───────────┐
//! │ Fresh │ ───────► │ Stale │                           │ Unhealthy │
//! └───────┘  failed  └───────┘        fetched ┌───────── └───────────┘
//!      ▲                                      │
//!      └──────────────────────────────────────┘
//! ```
//!
//! Invariants
//! - A failed fetch changes nothing but the freshness: the last good set stays, whole.
//! - Values are as old as the last fetch that worked, whether it brought anything new or not.

use std::time::Duration;

use super::State;
use crate::config::OnChange;
use crate::retry::{Backoff, THROTTLED};

/// After a failed fetch: 5, 10, 20 ... s with jitter, never longer than the interval.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// Where there is no interval: a set that came from its copy is fetched until that worked once.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// How far a set can be trusted to be what the stores hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The last fetch worked.
    Fresh,
    /// It did not.
    Stale,
    /// Nor did any other for longer than `max_age`.
    Unhealthy,
}

/// What kept a fetch from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Whatever it was.
    Any,
    /// A limit that other machines share is spent: too many of them ask at once.
    Throttled,
}

/// How a set stood when the machine began to look after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begin {
    /// How long ago its values were fetched.
    pub age: Duration,
    /// For how long it has been stale, if it is.
    pub stale_for: Option<Duration>,
}

/// The rhythm of one set; `now` is monotonic, `chance` in `0.0..1.0`.
#[derive(Clone, Debug)]
pub struct Rhythm {
    interval: Option<Duration>,
    max_age: Option<Duration>,
    begun: Duration,
    age_at_begin: Duration,
    confirmed: Option<Duration>,
    stale: bool,
    failures: u32,
    /// How often in a row a shared limit was spent, and when first.
    throttled: Option<(u32, Duration)>,
    next: Option<Duration>,
}

impl Rhythm {
    /// Without an interval a set is fetched again only while it is stale.
    pub fn new(
        interval: Option<Duration>,
        max_age: Option<Duration>,
        begin: Begin,
        now: Duration,
        chance: f64,
    ) -> Self {
        let mut rhythm = Self {
            interval,
            max_age,
            begun: now,
            age_at_begin: begin.age,
            confirmed: None,
            stale: false,
            failures: 0,
            throttled: None,
            next: interval.map(|interval| now + spread(interval, chance).saturating_sub(begin.age)),
        };
        if begin.stale_for.is_some() {
            rhythm.failed(Failure::Any, now, chance);
        }
        rhythm
    }

    /// How long ago a fetch worked.
    pub fn age(&self, now: Duration) -> Duration {
        match self.confirmed {
            Some(at) => now.saturating_sub(at),
            None => now.saturating_sub(self.begun) + self.age_at_begin,
        }
    }

    /// Whether it is time to fetch.
    pub fn is_due(&self, now: Duration) -> bool {
        self.next.is_some_and(|next| next <= now)
    }

    /// When to look again: for a fetch, or because the values become too old.
    pub fn wake(&self, now: Duration) -> Option<Duration> {
        [self.next, self.too_old(now)].into_iter().flatten().min()
    }

    /// When the values become too old, if no fetch works until then.
    pub fn too_old(&self, now: Duration) -> Option<Duration> {
        self.max_age
            .filter(|_| self.stale)
            .map(|max_age| now + max_age.saturating_sub(self.age(now)))
            .filter(|at| *at > now)
    }

    /// A fetch worked.
    pub fn succeeded(&mut self, now: Duration, chance: f64) {
        self.confirmed = Some(now);
        self.failures = 0;
        self.throttled = None;
        self.stale = false;
        self.next = self.interval.map(|interval| now + spread(interval, chance));
    }

    /// A fetch failed.
    pub fn failed(&mut self, failure: Failure, now: Duration, chance: f64) {
        self.stale = true;
        self.failures = self.failures.saturating_add(1);
        let max = self.retry_within();
        if failure == Failure::Throttled {
            let (refusals, since) = self
                .throttled
                .map_or((1, now), |(n, since)| (n.saturating_add(1), since));
            self.throttled = Some((refusals, since));
            let waited = now.saturating_sub(since);
            // An interval of a second leaves nothing to spread over.
            let wait = THROTTLED.delay(refusals, waited, Some(max), chance);
            self.next = Some(now + wait.unwrap_or(max));
            return;
        }
        self.throttled = None;
        let backoff = Backoff {
            first: FIRST_RETRY.min(max),
            max,
        };
        self.next = Some(now + backoff.delay(self.failures, chance));
    }

    /// The longest wait after a failed fetch, and for so long values of a round that is not complete are kept.
    pub fn retry_within(&self) -> Duration {
        self.interval.unwrap_or(LONGEST_RETRY)
    }

    /// How it stands.
    pub fn freshness(&self, now: Duration) -> Freshness {
        match self.max_age {
            _ if !self.stale => Freshness::Fresh,
            Some(max_age) if self.age(now) >= max_age => Freshness::Unhealthy,
            Some(_) | None => Freshness::Stale,
        }
    }
}

/// Up to a tenth more or less: many machines that booted together shall not ask together for ever.
fn spread(interval: Duration, chance: f64) -> Duration {
    interval.mul_f64(0.9 + chance.clamp(0.0, 1.0) * 0.2)
}

/// What has to be done about the container when its files have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// Nothing.
    Nothing,
    /// Send it this.
    Signal(String),
    /// Stop it and start it again.
    Restart,
}

impl Reaction {
    /// A container that is not up reads the new files when it is started; one that is done is left alone.
    pub fn new(on_change: &OnChange, state: &State) -> Self {
        let is_up = match state {
            State::Starting | State::Running => true,
            State::BackingOff { .. } | State::Completed { .. } | State::Failed { .. } => false,
        };
        match on_change {
            OnChange::Signal(signal) if is_up => Self::Signal(signal.clone()),
            OnChange::Restart if is_up => Self::Restart,
            OnChange::None | OnChange::Signal(_) | OnChange::Restart => Self::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const FRESH: Begin = Begin {
        age: Duration::ZERO,
        stale_for: None,
    };

    #[test]
    fn fetches_are_an_interval_apart_up_to_a_tenth_more_or_less() {
        for (chance, seconds) in [(0.0, 54), (0.5, 60), (1.0, 66)] {
            let mut rhythm = Rhythm::new(Some(MINUTE), None, FRESH, MINUTE, chance);
            assert_eq!(rhythm.wake(MINUTE), Some(MINUTE + Duration::from_secs(seconds)));
            rhythm.succeeded(MINUTE * 5, chance);
            assert_eq!(
                rhythm.wake(MINUTE * 5),
                Some(MINUTE * 5 + Duration::from_secs(seconds))
            );
        }
    }

    #[test]
    fn a_restarted_agent_goes_on_where_the_last_one_was() {
        let begin = |seconds| Begin {
            age: Duration::from_secs(seconds),
            stale_for: None,
        };
        let rhythm = Rhythm::new(Some(MINUTE), None, begin(40), MINUTE, 0.5);
        assert_eq!(rhythm.wake(MINUTE), Some(MINUTE + Duration::from_secs(20)));
        assert!(Rhythm::new(Some(MINUTE), None, begin(4000), MINUTE, 0.5).is_due(MINUTE));
    }

    #[test]
    fn a_failed_fetch_is_tried_sooner_and_never_later_than_the_interval() {
        let mut rhythm = Rhythm::new(Some(MINUTE), None, FRESH, Duration::ZERO, 0.5);
        let mut waits = Vec::new();
        for _ in 0..6 {
            rhythm.failed(Failure::Any, MINUTE, 1.0);
            waits.push((rhythm.wake(MINUTE).unwrap() - MINUTE).as_secs());
        }
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        rhythm.succeeded(MINUTE, 0.5);
        assert_eq!(rhythm.freshness(MINUTE), Freshness::Fresh);
        rhythm.failed(Failure::Any, MINUTE, 1.0);
        assert_eq!(rhythm.wake(MINUTE), Some(MINUTE + Duration::from_secs(5)));
        let mut short = Rhythm::new(Some(Duration::from_secs(1)), None, FRESH, Duration::ZERO, 0.5);
        short.failed(Failure::Any, MINUTE, 1.0);
        assert_eq!(short.wake(MINUTE), Some(MINUTE + Duration::from_secs(1)));
    }

    #[test]
    fn a_spent_limit_spreads_the_fetches_within_the_interval() {
        let hour = MINUTE * 60;
        let waits = |interval, chance| {
            let mut rhythm = Rhythm::new(Some(interval), None, FRESH, Duration::ZERO, 0.5);
            let mut now = MINUTE;
            [0; 3].map(|_| {
                rhythm.failed(Failure::Throttled, now, chance);
                let wait = rhythm.wake(now).unwrap() - now;
                now += wait;
                wait.as_millis()
            })
        };
        assert_eq!(waits(hour, 1.0), [10_000, 98_000, 6000], "the windows of a herd");
        assert_eq!(waits(hour, 0.0), [100, 9900, 100]);
        assert_eq!(
            waits(MINUTE, 1.0),
            [10_000, 54_000, 44_000],
            "no later than the next fetch"
        );
        assert_eq!(waits(Duration::from_millis(900), 0.5), [900; 3]);
        let mut rhythm = Rhythm::new(Some(hour), None, FRESH, Duration::ZERO, 0.5);
        rhythm.failed(Failure::Throttled, MINUTE, 1.0);
        rhythm.succeeded(MINUTE * 2, 0.5);
        rhythm.failed(Failure::Throttled, MINUTE * 3, 1.0);
        assert_eq!(
            rhythm.wake(MINUTE * 3),
            Some(MINUTE * 3 + Duration::from_secs(10)),
            "one that worked ends the row"
        );
    }

    #[test]
    fn values_are_unhealthy_when_no_fetch_has_worked_for_too_long_and_well_with_the_next_that_does() {
        let mut rhythm = Rhythm::new(Some(MINUTE), Some(MINUTE * 3), FRESH, Duration::ZERO, 0.5);
        // Old alone is not unhealthy: nobody has asked.
        assert_eq!(rhythm.freshness(MINUTE * 9), Freshness::Fresh);
        rhythm.failed(Failure::Any, MINUTE, 0.5);
        assert_eq!(rhythm.freshness(MINUTE), Freshness::Stale);
        for _ in 0..9 {
            rhythm.failed(Failure::Any, MINUTE * 2 + Duration::from_secs(59), 1.0);
        }
        // The moment it becomes so comes before the next fetch.
        assert_eq!(
            rhythm.wake(MINUTE * 2 + Duration::from_secs(59)),
            Some(MINUTE * 3)
        );
        assert_eq!(rhythm.freshness(MINUTE * 3), Freshness::Unhealthy);
        let next = rhythm.wake(MINUTE * 3).unwrap();
        assert!(next > MINUTE * 3 && rhythm.is_due(next));
        rhythm.succeeded(MINUTE * 4, 0.5);
        assert_eq!(rhythm.freshness(MINUTE * 4), Freshness::Fresh);
        assert_eq!(rhythm.freshness(MINUTE * 8), Freshness::Fresh);
    }

    #[test]
    fn without_an_interval_it_is_fetched_until_it_is_fresh_once() {
        let stale = Begin {
            age: MINUTE * 600,
            stale_for: Some(Duration::ZERO),
        };
        let mut rhythm = Rhythm::new(None, None, stale, Duration::ZERO, 1.0);
        assert_eq!(rhythm.freshness(Duration::ZERO), Freshness::Stale);
        assert_eq!(rhythm.wake(Duration::ZERO), Some(FIRST_RETRY));
        rhythm.succeeded(MINUTE, 0.5);
        assert_eq!((rhythm.wake(MINUTE), rhythm.is_due(MINUTE * 9)), (None, false));
        assert_eq!(
            Rhythm::new(None, None, FRESH, Duration::ZERO, 0.5).wake(MINUTE),
            None
        );
    }

    #[test]
    fn only_a_container_that_is_up_is_told() {
        let signal = OnChange::Signal("SIGHUP".to_owned());
        let off = State::BackingOff {
            after: "exit code 1".to_owned(),
        };
        let failed = State::Failed {
            reason: "exit code 1".to_owned(),
        };
        let hup = Reaction::Signal("SIGHUP".to_owned());
        for (on_change, state, reaction) in [
            (&OnChange::None, &State::Running, Reaction::Nothing),
            (&signal, &State::Running, hup.clone()),
            (&signal, &State::Starting, hup),
            (&signal, &off, Reaction::Nothing),
            (&OnChange::Restart, &State::Running, Reaction::Restart),
            (&OnChange::Restart, &off, Reaction::Nothing),
            (&OnChange::Restart, &failed, Reaction::Nothing),
        ] {
            assert_eq!(Reaction::new(on_change, state), reaction, "{on_change} {state}");
        }
    }

    proptest! {
        /// Whatever happens: there is a next look, it lies ahead within an interval and a tenth, and unhealthy means old.
        #[test]
        fn it_never_stops(outcomes in proptest::collection::vec((0..3u8, 0.0..1.0f64), 1..40), interval in 1..4000u64, age in 0..9000u64) {
            let interval = Duration::from_secs(interval);
            let max_age = interval * 3;
            let begin = Begin { age: Duration::from_secs(age), stale_for: None };
            let mut now = MINUTE;
            let mut rhythm = Rhythm::new(Some(interval), Some(max_age), begin, now, 0.5);
            for (works, chance) in outcomes {
                let next = rhythm.wake(now).unwrap();
                prop_assert!(next <= now + interval.mul_f64(1.1));
                now = now.max(next);
                if rhythm.is_due(now) {
                    match works {
                        0 => rhythm.succeeded(now, chance),
                        1 => rhythm.failed(Failure::Any, now, chance),
                        _ => rhythm.failed(Failure::Throttled, now, chance),
                    }
                    prop_assert!(!rhythm.is_due(now));
                }
                let unhealthy = rhythm.freshness(now) == Freshness::Unhealthy;
                prop_assert!(!unhealthy || rhythm.age(now) >= max_age);
            }
        }
    }
}
