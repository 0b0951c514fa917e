//! Whether a pull stands still, and whether it helps to begin anew.
//!
//! Within one call the engine takes up a broken download where it was, for about 75 s, and says so every second. A
//! connection that is there and carries nothing it waits on for ever. Cancelling throws away everything that was
//! loaded, so it is worth it only where the time left is enough for a whole new pull.

use std::time::Duration;

/// Nothing for so long is a stall.
pub const AFTER: Duration = Duration::from_secs(60);
/// Once the boot budget is spent, a pull that says nothing for so long ends the boot.
pub const LAST: Duration = Duration::from_secs(120);

/// The same where every byte is here: large layers on a slow disk are silent for minutes, and a new pull of theirs would be
/// too.
pub const LAST_OF_DISK: Duration = Duration::from_secs(15 * 60);

/// How a pull is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pull {
    /// How long it took until something happened last.
    pub active: Duration,
    /// How long nothing has happened: no byte, no layer further, no new try by the engine.
    pub silent: Duration,
    /// Bytes loaded.
    pub loaded: u64,
    /// Bytes in all, as far as it is known.
    pub total: u64,
    /// Every byte is here, and the disk is at work.
    pub all_loaded: bool,
    /// What is left of the boot budget; `None` once it is spent.
    pub left: Option<Duration>,
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Look again when this time is over.
    Moves {
        /// Until it would be a stall.
        look_again: Duration,
    },
    /// It stands still, and a new one would not be done in time: the engine may still get on with it.
    Wait,
    /// It stands still, and there is time for a new one.
    Cancel,
    /// It stands still and the time is up.
    GiveUp,
}

/// Decides.
pub fn judge(pull: Pull) -> Verdict {
    let Some(left) = pull.left else {
        let last = if pull.all_loaded { LAST_OF_DISK } else { LAST };
        return match last.checked_sub(pull.silent) {
            Some(rest) if !rest.is_zero() => Verdict::Moves { look_again: rest },
            _ => Verdict::GiveUp,
        };
    };
    match AFTER.checked_sub(pull.silent) {
        Some(rest) if !rest.is_zero() => Verdict::Moves { look_again: rest },
        // A new pull would only wait for the same disk.
        _ if pull.all_loaded => Verdict::Wait,
        _ if whole_pull(pull) <= left => Verdict::Cancel,
        _ => Verdict::Wait,
    }
}

/// How long a whole new pull takes, by the speed so far. Where nothing was loaded, nothing is lost by another try, as
/// long as there is time to see it stall too.
fn whole_pull(pull: Pull) -> Duration {
    if pull.loaded == 0 {
        return AFTER;
    }
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let rounds = pull.total.max(pull.loaded) as f64 / pull.loaded as f64;
    // Unpacking takes its time too, and lines have moods.
    Duration::try_from_secs_f64(pull.active.as_secs_f64() * rounds * 1.5).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half of it loaded in 20 s, so that a whole pull is taken to be a minute.
    const HALF: Pull = Pull {
        active: Duration::from_secs(20),
        silent: AFTER,
        loaded: 50,
        total: 100,
        all_loaded: false,
        left: Some(Duration::from_secs(60)),
    };

    #[test]
    fn a_stalled_pull_is_cancelled_only_if_there_is_time_for_a_whole_one() {
        assert_eq!(judge(HALF), Verdict::Cancel);
        let late = Some(Duration::from_secs(59));
        assert_eq!(judge(Pull { left: late, ..HALF }), Verdict::Wait);
    }

    #[test]
    fn one_that_moves_is_let_alone() {
        let silent = Duration::from_secs(59);
        let look_again = Duration::from_secs(1);
        assert_eq!(judge(Pull { silent, ..HALF }), Verdict::Moves { look_again });
    }

    #[test]
    fn where_nothing_came_yet_nothing_is_lost() {
        let nothing = Pull {
            loaded: 0,
            total: 0,
            active: Duration::ZERO,
            ..HALF
        };
        assert_eq!(judge(nothing), Verdict::Cancel);
        let late = Some(Duration::from_secs(30));
        assert_eq!(
            judge(Pull {
                left: late,
                ..nothing
            }),
            Verdict::Wait
        );
    }

    #[test]
    fn a_slow_disk_is_waited_for() {
        assert_eq!(
            judge(Pull {
                all_loaded: true,
                ..HALF
            }),
            Verdict::Wait
        );
    }

    #[test]
    fn once_the_time_is_up_a_moving_pull_goes_on_and_a_still_one_ends() {
        let spent = Pull { left: None, ..HALF };
        assert_eq!(judge(spent), Verdict::Moves { look_again: AFTER });
        assert_eq!(
            judge(Pull {
                silent: LAST,
                ..spent
            }),
            Verdict::GiveUp
        );
    }

    #[test]
    fn a_slow_disk_is_waited_for_even_when_the_time_is_up_but_not_for_ever() {
        let spent = Pull {
            left: None,
            all_loaded: true,
            silent: LAST,
            ..HALF
        };
        let look_again = LAST_OF_DISK - LAST;
        assert_eq!(judge(spent), Verdict::Moves { look_again });
        let silent = LAST_OF_DISK;
        assert_eq!(judge(Pull { silent, ..spent }), Verdict::GiveUp);
    }

    #[test]
    fn no_number_makes_it_panic() {
        let odd = Pull {
            active: Duration::MAX,
            loaded: 1,
            total: u64::MAX,
            ..HALF
        };
        assert_eq!(judge(odd), Verdict::Wait);
    }
}
