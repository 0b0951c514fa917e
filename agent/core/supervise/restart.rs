//! How often and how fast an ended container is started again.
//!
//! 1, 2, 4 ... 60 s with jitter, at most ten times in ten minutes; a container that ran for ten
//! minutes starts the schedule afresh. After that the supervisor gives up aloud.

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

    /// It ended, or could not be started.
    pub fn ended(&mut self, now: Duration, chance: f64) -> Decision {
        let ran = self
            .running_since
            .take()
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        if ran >= self.window {
            self.consecutive = 0;
            self.granted.clear();
        }
        while self
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
