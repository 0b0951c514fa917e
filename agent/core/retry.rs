//! Retry policies as values: the schedule stands beside the policy, time and chance come from outside.

use std::time::Duration;

/// Exponential backoff with equal jitter: each wait is between half and all of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The first step.
    pub first: Duration,
    /// No step is longer than this.
    pub max: Duration,
}

/// The engine's socket, the metadata service: near, cheap to ask. 0.1, 0.2, 0.4 ... 2 s.
pub const LOCAL: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(2),
};

/// AWS APIs under throttling: many machines boot at once, so spread out. 0.5, 1, 2 ... 20 s.
pub const AWS: Backoff = Backoff {
    first: Duration::from_millis(500),
    max: Duration::from_secs(20),
};

/// Registries. 1, 2, 4 ... 15 s.
pub const REGISTRY: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(15),
};

/// What to do when a limit is spent that all machines of an account share (KMS: calls a second).
///
/// Doubling is wrong there: every call beyond the limit is refused and still costs something, and a thousand machines
/// that double from half a second make six to eight calls each. A machine knows neither the limit nor how many others
/// there are, only how often it was refused, so the waits are windows as wide as a herd needs to be served, and every
/// call has a moment of its own in them:
///
/// 1. `0..10 s`. Nearly every refusal comes from a small herd or a short burst: of a hundred machines 95 and more are through after it.
///    A machine that is alone waits five seconds on average, ten at most.
/// 2. The rest of `0..108 s`, counted from the first refusal: the herd was large. A thousand machines then call a little
///    slower than 10 times a second, so that most of these calls are served. Counting from the first refusal and not
///    from the last keeps the rate level, and the end where it is.
/// 3. Once more the rest of those 108 s, six seconds at least: who is refused now was unlucky or late. So up to the sixth.
/// 4. From the seventh on the herd is larger than that: an eighth, a quarter, then half of the time waited so far.
///
/// Against 10 calls a second (burst 10), in `tests/herd.rs`: a thousand machines with one secret each are served within
/// 1.16 of the ideal time with 2.99 calls a machine, the worst of 3000 seeds; doubling takes 8.8 calls. Three thousand
/// take 1.3 of it and 8.3 calls. Three calls leave no room for a step between 10 and 108 s, so herds of 150 to 500 take up
/// to 110 s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The window of the first wait.
    pub first: Duration,
    /// What a large herd needs, from the first refusal on.
    pub herd: Duration,
    /// The least window after that.
    pub straggler: Duration,
}

/// KMS: see [`Spread`].
pub const THROTTLED: Spread = Spread {
    first: Duration::from_secs(10),
    herd: Duration::from_secs(108),
    straggler: Duration::from_secs(6),
};

/// No call follows a refusal at once.
const LEAST: Duration = Duration::from_millis(100);

/// With less time left than this there is no use in another call.
const TOO_LATE: Duration = Duration::from_secs(1);

impl Spread {
    /// The wait before the next call, after `refusals` in a row (1 or more) of which the first was `waited` ago;
    /// `chance` is in `0.0..1.0`. A window ends where the time does; `None`: that is now.
    pub fn delay(
        &self,
        refusals: u32,
        waited: Duration,
        left: Option<Duration>,
        chance: f64,
    ) -> Option<Duration> {
        if left.is_some_and(|left| left < TOO_LATE) {
            return None;
        }
        let rest = self.herd.saturating_sub(waited);
        let (from, to) = match refusals {
            0 | 1 => (LEAST, self.first),
            2 => (
                self.first.saturating_sub(waited).max(LEAST),
                rest.max(self.straggler),
            ),
            3..=6 => (LEAST, rest.max(self.straggler)),
            7 => (LEAST, rest.max(waited / 8)),
            8 => (LEAST, rest.max(waited / 4)),
            _ => (LEAST, rest.max(waited / 2)),
        };
        // A call at the very end would come too late.
        let to = left.map_or(to, |left| to.min(left.mul_f64(0.9)));
        let from = from.min(to);
        Some(from + (to - from).mul_f64(chance.clamp(0.0, 1.0)))
    }
}

impl Backoff {
    /// The wait before the next try, after `failures` failures (1 or more); `chance` is in `0.0..1.0`.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let step = self.first.saturating_mul(1 << doublings).min(self.max);
        step.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_doubles_up_to_its_limit() {
        let steps: Vec<u128> = (1..=8).map(|n| AWS.delay(n, 1.0).as_millis()).collect();
        assert_eq!(steps, [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]);
        assert_eq!(AWS.delay(1, 0.0), Duration::from_millis(250));
        assert_eq!(AWS.delay(u32::MAX, 0.5), Duration::from_secs(15));
    }

    #[test]
    fn refusals_are_spread_over_windows() {
        let window = |refusals, waited| {
            let waited = Duration::from_secs(waited);
            [0.0, 1.0].map(|chance| {
                THROTTLED
                    .delay(refusals, waited, None, chance)
                    .unwrap_or_default()
                    .as_millis()
            })
        };
        assert_eq!(window(1, 0), [100, 10_000]);
        assert_eq!(
            window(2, 4),
            [6000, 104_000],
            "not before the first window is over"
        );
        assert_eq!(window(3, 60), [100, 48_000]);
        assert_eq!(window(6, 107), [100, 6000]);
        assert_eq!(window(7, 160), [100, 20_000]);
        assert_eq!(window(8, 160), [100, 40_000]);
        assert_eq!(window(u32::MAX, 160), [100, 80_000]);
        assert_eq!(window(2, 1000), [100, 6000]);
    }

    #[test]
    fn no_wait_is_longer_than_the_time_that_is_left() {
        let (waited, left) = (Duration::from_secs(20), Duration::from_secs(30));
        let wait = |left, chance| THROTTLED.delay(3, waited, Some(left), chance);
        assert_eq!(wait(left, 1.0), Some(Duration::from_secs(27)));
        assert_eq!(wait(left, 0.0), Some(LEAST));
        assert_eq!(wait(Duration::from_millis(999), 0.0), None);
    }
}
