//! What a row of answers means: nothing turns on one answer.
//!
//! ```text
//!             enough good ones            enough bad ones
//! ┌─────────┐ ───────────────► ┌─────────┐ ─────────────► ┌───────────┐
//! │ Unknown │                  │ Healthy │ ◄───────────── │ Unhealthy │
//! └─────────┘ ◄── started ───  └─────────┘  enough good   └───────────┘
//!      └──────────── enough bad ones, after the start period ──►┘
//! ```
//!
//! Invariants
//! - In the start period bad answers don't count before the first good one.
//! - A turn needs as many answers in a row as its threshold says, all since the last one to the contrary.
//! - Time is monotonic and comes from outside: a clock that is set changes nothing.

use std::time::Duration;

use crate::plan::Gate;

/// How many answers are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Good answers in a row that make it healthy.
    pub healthy: u32,
    /// Bad ones that make it unhealthy.
    pub unhealthy: u32,
    /// How long bad ones don't count after a start.
    pub start_period: Duration,
}

impl Thresholds {
    /// As the gate has them. An image's HEALTHCHECK has thresholds and a start period of its own: its word is followed.
    pub fn new(gate: &Gate) -> Self {
        if !gate.asks() {
            return Self {
                healthy: 1,
                unhealthy: 1,
                start_period: Duration::ZERO,
            };
        }
        Self {
            healthy: gate.healthy_threshold.max(1),
            unhealthy: gate.unhealthy_threshold.max(1),
            start_period: Duration::from_secs(u64::from(gate.start_period_seconds)),
        }
    }
}

/// What the answers say so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Not enough yet.
    Unknown,
    /// Well.
    Healthy,
    /// Not well.
    Unhealthy,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Hysteresis {
    thresholds: Thresholds,
    health: Health,
    started: Duration,
    /// A good answer came since the start.
    proven: bool,
    /// Answers in a row: good ones, or bad ones.
    good: u32,
    bad: u32,
}

impl Hysteresis {
    /// Of a container that was started now, or found: it may have been started a moment ago.
    pub fn new(thresholds: Thresholds, now: Duration) -> Self {
        Self {
            thresholds,
            health: Health::Unknown,
            started: now,
            proven: false,
            good: 0,
            bad: 0,
        }
    }

    /// It was started again.
    pub fn started(&mut self, now: Duration) {
        *self = Self::new(self.thresholds, now);
    }

    /// Somebody has counted already: the gate.
    pub fn found_healthy(&mut self) {
        self.health = Health::Healthy;
        (self.proven, self.good, self.bad) = (true, self.thresholds.healthy, 0);
    }

    /// What the answers say so far.
    pub fn health(&self) -> Health {
        self.health
    }

    /// Bad answers in a row, as far as they count.
    pub fn failures(&self) -> u32 {
        self.bad
    }

    /// One more answer; what it turned to, if it turned.
    pub fn answered(&mut self, good: bool, now: Duration) -> Option<Health> {
        if good {
            self.proven = true;
            self.bad = 0;
            self.good = self.good.saturating_add(1);
        } else {
            self.good = 0;
            let early = now.saturating_sub(self.started) < self.thresholds.start_period;
            if early && !self.proven {
                return None;
            }
            self.bad = self.bad.saturating_add(1);
        }
        let says = if self.good >= self.thresholds.healthy {
            Health::Healthy
        } else if self.bad >= self.thresholds.unhealthy {
            Health::Unhealthy
        } else {
            return None;
        };
        (std::mem::replace(&mut self.health, says) != says).then_some(says)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn machine(healthy: u32, unhealthy: u32, start_period: u64) -> Hysteresis {
        let thresholds = Thresholds {
            healthy,
            unhealthy,
            start_period: SECOND * u32::try_from(start_period).unwrap(),
        };
        Hysteresis::new(thresholds, SECOND)
    }

    #[test]
    fn a_turn_needs_its_answers_in_a_row_and_is_told_once() {
        let mut machine = machine(2, 3, 0);
        let turns: Vec<Option<Health>> = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 1]
            .iter()
            .map(|&answer| machine.answered(answer == 1, SECOND))
            .collect();
        let mut expected = [None; 14];
        expected[1] = Some(Health::Healthy);
        expected[8] = Some(Health::Unhealthy);
        expected[13] = Some(Health::Healthy);
        assert_eq!(turns, expected);
    }

    #[test]
    fn a_start_has_its_time_until_the_first_good_answer() {
        let mut machine = machine(1, 2, 60);
        for second in 1..61 {
            assert_eq!(machine.answered(false, SECOND * second), None);
        }
        assert_eq!(machine.answered(false, SECOND * 61), None);
        assert_eq!(machine.answered(false, SECOND * 62), Some(Health::Unhealthy));
        // The next start has its own.
        machine.started(SECOND * 100);
        assert_eq!(machine.health(), Health::Unknown);
        assert_eq!(machine.answered(false, SECOND * 101), None);
        assert_eq!(machine.answered(false, SECOND * 102), None);
        assert_eq!(machine.answered(true, SECOND * 103), Some(Health::Healthy));
        // It was up: what is bad now is bad, start period or not.
        assert_eq!(machine.answered(false, SECOND * 104), None);
        assert_eq!(machine.answered(false, SECOND * 105), Some(Health::Unhealthy));
    }

    #[test]
    fn the_gate_has_counted_already() {
        let mut machine = machine(5, 2, 60);
        machine.found_healthy();
        assert_eq!(machine.answered(true, SECOND), None);
        assert_eq!(machine.answered(false, SECOND), None);
        assert_eq!(machine.answered(false, SECOND), Some(Health::Unhealthy));
    }

    #[test]
    fn the_image_s_own_check_is_followed() {
        let thresholds = Thresholds::new(&Gate::RUNNING);
        assert_eq!((thresholds.healthy, thresholds.unhealthy), (1, 1));
        let gate = Gate {
            probe: crate::config::Probe::Tcp { port: 1 },
            healthy_threshold: 0,
            ..Gate::RUNNING
        };
        let thresholds = Thresholds::new(&gate);
        assert_eq!((thresholds.healthy, thresholds.unhealthy), (1, 3));
        assert_eq!(thresholds.start_period, SECOND * 60);
    }

    proptest! {
        /// Answers that alternate never make it unhealthy, whatever the threshold above one.
        #[test]
        fn it_does_not_flap(unhealthy in 2..6u32, healthy in 1..4u32, first: bool, count in 1..200u32) {
            let mut machine = machine(healthy, unhealthy, 0);
            let mut turns = 0;
            for n in 0..count {
                let turn = machine.answered((n % 2 == 0) == first, SECOND * n);
                prop_assert_ne!(turn, Some(Health::Unhealthy));
                turns += u32::from(turn.is_some());
            }
            prop_assert!(turns <= 1);
        }

        /// A turn has its row of answers behind it, no two turns in a row are the same, and a row is never without its turn.
        #[test]
        fn every_turn_is_earned(answers in proptest::collection::vec((any::<bool>(), 0..30u64), 0..200),
                                healthy in 1..4u32, unhealthy in 1..5u32, period in 0..120u64) {
            let mut machine = machine(healthy, unhealthy, period);
            let (mut now, mut row, mut last, mut proven) = (SECOND, (true, 0), Health::Unknown, false);
            for (good, gap) in answers {
                now += Duration::from_secs(gap);
                let counts = good || proven || now - SECOND >= Duration::from_secs(period);
                row = match row {
                    _ if !counts => (false, 0),
                    (kind, n) if kind == good => (good, n + 1),
                    _ => (good, 1),
                };
                proven |= good;
                let turn = machine.answered(good, now);
                let needed = if row.0 { healthy } else { unhealthy };
                let says = if row.0 { Health::Healthy } else { Health::Unhealthy };
                prop_assert_eq!(turn, (row.1 >= needed && last != says).then_some(says));
                last = turn.unwrap_or(last);
                prop_assert_eq!(machine.health(), last);
            }
        }
    }
}
