//! How often and how fast an ended container is started again.
//!
//! 1, 2, 4 ... 60 s with jitter, at most ten times in ten minutes; a container that ran for ten
//! minutes starts the schedule afresh. After that the supervisor gives up aloud. Who asks for one more try then gets
//! one: it has to run for ten minutes before anything is granted again.

use std::collections::VecDeque;
use std::time::Duration;

use crate::retry::Backoff;

/// Restarts in a rolling window.
#[derive(Clone, Debug)]
pub struct Budget {
    backoff: Backoff,
    most: usize,
    window: Duration,
    /// When restarts were granted.
    granted: VecDeque<Duration>,
    consecutive: u32,
    running_since: Option<Duration>,
    /// It was spent, and one more try was asked for.
    on_trial: bool,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            backoff: Backoff {
                first: Duration::from_secs(1),
                max: Duration::from_secs(60),
            },
            most: 10,
            window: Duration::from_secs(600),
            granted: VecDeque::new(),
            consecutive: 0,
            running_since: None,
            on_trial: false,
        }
    }
}

/// Again, or no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start it after this wait.
    After(Duration),
    /// The budget is spent.
    Spent {
        /// How many restarts there were.
        restarts: u32,
        /// In how long.
        window: Duration,
    },
}

impl Budget {
    /// It runs now.
    pub fn started(&mut self, now: Duration) {
        self.running_since = Some(now);
    }

    /// It is started once more although nothing is left.
    pub fn try_again(&mut self) {
        self.on_trial = true;
    }

    /// It ended, or could not be started.
    pub fn ended(&mut self, now: Duration, chance: f64) -> Decision {
        let ran = self
            .running_since
            .take()
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if ran >= self.window {
            self.consecutive = 0;
            self.granted.clear();
            self.on_trial = false;
        }
        while !self.on_trial
            && self
                .granted
                .front()
                .is_some_and(|&at| now.saturating_sub(at) > self.window)
        {
            self.granted.pop_front();
        }
        if self.granted.len() >= self.most {
            let restarts = u32::try_from(self.granted.len()).unwrap_or(u32::MAX);
            return Decision::Spent {
                restarts,
                window: self.window,
            };
        }
        self.granted.push_back(now);
        self.consecutive = self.consecutive.saturating_add(1);
        Decision::After(self.backoff.delay(self.consecutive, chance))
    }
}

/// Restarts because of probes: gentler than those after an exit, for what is asked may fail with a dependency that all
/// machines share, and none of them gets better by restarts. 5, 20, 60 s with jitter, three in half an hour.
#[derive(Clone, Debug, Default)]
pub struct Gentle {
    granted: VecDeque<Duration>,
}

impl Gentle {
    /// As many in [`Self::WINDOW`].
    pub const MOST: usize = 3;
    /// The rolling window.
    pub const WINDOW: Duration = Duration::from_secs(1800);
    const WAITS: [Duration; Self::MOST] = [
        Duration::from_secs(5),
        Duration::from_secs(20),
        Duration::from_secs(60),
    ];

    /// The wait before the next one, or how long there is none.
    pub fn ask(&mut self, now: Duration, chance: f64) -> Result<Duration, Duration> {
        while self
            .granted
            .front()
            .is_some_and(|&at| now.saturating_sub(at) >= Self::WINDOW)
        {
            self.granted.pop_front();
        }
        let Some(step) = Self::WAITS.get(self.granted.len()) else {
            let oldest = self.granted.front().copied().unwrap_or(now);
            return Err((oldest + Self::WINDOW).saturating_sub(now));
        };
        self.granted.push_back(now);
        Ok(step.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0))
    }

    /// The last one was not needed.
    pub fn take_back(&mut self) {
        self.granted.pop_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn ten_in_ten_minutes_and_no_more() {
        let mut budget = Budget::default();
        for n in 0..10 {
            assert!(
                matches!(budget.ended(Duration::from_secs(n), 1.0), Decision::After(_)),
                "{n}"
            );
        }
        assert_eq!(
            budget.ended(Duration::from_secs(11), 1.0),
            Decision::Spent {
                restarts: 10,
                window: MINUTE * 10
            }
        );
    }

    #[test]
    fn a_good_while_starts_afresh() {
        let mut budget = Budget::default();
        for n in 0..9 {
            budget.ended(Duration::from_secs(n), 1.0);
        }
        budget.started(MINUTE);
        assert_eq!(
            budget.ended(MINUTE * 12, 1.0),
            Decision::After(Duration::from_secs(1))
        );
    }

    #[test]
    fn one_more_try_is_one() {
        let mut budget = Budget::default();
        while matches!(budget.ended(Duration::ZERO, 1.0), Decision::After(_)) {}
        for hour in 1..5 {
            budget.try_again();
            budget.started(MINUTE * 60 * hour);
            assert!(
                matches!(
                    budget.ended(MINUTE * (60 * hour + 9), 1.0),
                    Decision::Spent { restarts: 10, .. }
                ),
                "{hour}"
            );
        }
        budget.try_again();
        budget.started(MINUTE * 600);
        assert_eq!(
            budget.ended(MINUTE * 610, 1.0),
            Decision::After(Duration::from_secs(1)),
            "a good while starts afresh"
        );
    }

    #[test]
    fn probes_restart_three_times_in_half_an_hour() {
        let mut gentle = Gentle::default();
        let waits: Vec<u64> = (0..3)
            .map(|n| gentle.ask(MINUTE * n, 1.0).unwrap().as_secs())
            .collect();
        assert_eq!(waits, [5, 20, 60]);
        assert_eq!(gentle.ask(MINUTE * 10, 1.0), Err(MINUTE * 20));
        assert!(gentle.ask(MINUTE * 30, 1.0).is_ok());
        assert_eq!(gentle.ask(MINUTE * 30, 1.0), Err(MINUTE));
        gentle.take_back();
        assert!(gentle.ask(MINUTE * 30, 0.0).is_ok());
    }

    #[test]
    fn slow_failures_stay_inside_the_budget_for_ever() {
        let mut budget = Budget::default();
        for n in 1..1000 {
            assert!(
                matches!(budget.ended(MINUTE * 2 * n, 0.3), Decision::After(_)),
                "{n}"
            );
        }
    }
}
