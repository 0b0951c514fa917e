//! The boot budget: one deadline that engine waits, pulls, decryption and the health gate share.
//!
//! CloudFormation and Auto Scaling count from the launch of the instance, so the budget does too:
//! from the identity document's `pendingTime` at the first boot of an instance. A reboot has nobody
//! waiting for it and `pendingTime` lies in the past, so there it counts from the agent's first
//! start in that boot. An agent that starts when the budget is spent (systemd restarted it) still
//! gets [`LEAST`], because trying again is why it was restarted.

use std::time::Duration;

/// Default of the whole budget; Senza's templates give CloudFormation the same.
pub const DEFAULT: Duration = Duration::from_secs(15 * 60);

/// What every start of the agent gets, however late it is.
pub const LEAST: Duration = Duration::from_secs(2 * 60);

/// Moments in milliseconds, by one clock.
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// Now.
    pub now: u64,
    /// When this boot's first agent started (this one, or one that was killed).
    pub first_start: u64,
    /// The identity document's `pendingTime`, if it is known and this is the instance's first boot.
    pub launched: Option<u64>,
}

/// How much of the budget is left.
pub fn left(total: Duration, moments: Moments) -> Duration {
    let spent = Duration::from_millis(moments.now.saturating_sub(moments.begin()));
    total.saturating_sub(spent).max(LEAST.min(total))
}

/// When whoever waits for the boot gives up, by the same clock, whatever a late start still gets.
pub fn end(total: Duration, moments: Moments) -> u64 {
    let total = u64::try_from(total.as_millis()).unwrap_or(u64::MAX);
    moments.begin().saturating_add(total)
}

impl Moments {
    /// A clock that was set back, or a launch time in the future, must not lengthen the budget.
    fn begin(self) -> u64 {
        self.launched.unwrap_or(self.first_start).min(self.first_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_left(now: u64, first_start: u64, launched: Option<u64>) -> u64 {
        let at = |s: u64| s * 1000;
        let moments = Moments {
            now: at(now),
            first_start: at(first_start),
            launched: launched.map(at),
        };
        left(DEFAULT, moments).as_secs()
    }

    #[test]
    fn nobody_waits_longer_because_the_agent_was_late() {
        let moments = |launched| Moments {
            now: 5_000_000,
            first_start: 2_000_000,
            launched,
        };
        assert_eq!(end(DEFAULT, moments(None)), 2_900_000);
        assert_eq!(end(DEFAULT, moments(Some(1_500_000))), 2_400_000);
        assert_eq!(end(DEFAULT, moments(Some(9_000_000))), 2_900_000);
    }

    #[test]
    fn it_counts_from_the_launch_at_the_first_boot() {
        assert_eq!(seconds_left(1060, 1050, Some(1000)), 840);
    }

    #[test]
    fn it_counts_from_the_first_start_at_a_reboot() {
        assert_eq!(seconds_left(900_010, 900_000, None), 890);
    }

    #[test]
    fn a_late_start_still_gets_the_least() {
        assert_eq!(seconds_left(9000, 1000, Some(1000)), LEAST.as_secs());
    }

    #[test]
    fn a_launch_in_the_future_does_not_lengthen_it() {
        assert_eq!(seconds_left(1000, 1000, Some(5000)), 900);
    }
}
