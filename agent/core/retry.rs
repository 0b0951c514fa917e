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
}
