//! How the time that is left is shared out.

use std::time::Duration;

/// From SIGKILL to the end of the container, by way of an engine that is busy.
pub const KILL: Duration = Duration::from_secs(2);
/// What the last lines get in any case.
pub const FLUSH: Duration = Duration::from_secs(10);
/// What they get where there is time: a sink that is away for good must not hold up the machine.
pub(super) const LONG_FLUSH: Duration = Duration::from_secs(30);
/// One call to the group.
pub const HOOK: Duration = Duration::from_secs(10);
/// A cause that comes too late gets so long nevertheless: clocks differ, and no container should go without its stop
/// signal.
pub const LEAST: Duration = Duration::from_secs(5);

/// Of the time that is left, what remains when those who come later have theirs; half of it if they want more.
pub(super) fn share(left: Duration, later: Duration) -> Duration {
    left - later.min(left / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_later_gets_at_most_half() {
        let seconds = Duration::from_secs;
        assert_eq!(share(seconds(120), seconds(22)), seconds(98));
        assert_eq!(share(seconds(20), seconds(22)), seconds(10));
        assert_eq!(share(Duration::ZERO, seconds(22)), Duration::ZERO);
    }
}
