//! Timers of the kernel's: one on the clock that counts from the boot, which wakes nobody before its time, and one that
//! says when the wall clock was set.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer, as tokio takes descriptors.
#[derive(Debug)]
struct Kernels(TimerFd);

impl AsRawFd for Kernels {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

/// Fires at a moment of CLOCK_BOOTTIME.
#[derive(Debug)]
pub(super) struct BootTimer(AsyncFd<Kernels>);

impl BootTimer {
    pub(super) fn new() -> io::Result<Self> {
        made(ClockId::CLOCK_BOOTTIME).map(Self)
    }

    /// Fires once at so many milliseconds since the boot, at once if they are over; never for `None`.
    pub(super) fn arm(&self, at_ms: Option<u64>) -> io::Result<()> {
        match at_ms {
            None => self.0.get_ref().0.unset()?,
            Some(at) => {
                // Zero would mean never.
                let at = TimeSpec::from_duration(Duration::from_millis(at.max(1)));
                let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME;
                self.0.get_ref().0.set(Expiration::OneShot(at), flags)?;
            }
        }
        Ok(())
    }

    /// Waits until it fires.
    pub(super) async fn fired(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.ready(Interest::READABLE).await?;
            // It does not block; an error of try_io says that it was armed anew in the meantime.
            if let Ok(fired) = ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from)) {
                return fired;
            }
        }
    }
}

/// Says when the wall clock was set.
#[derive(Debug)]
pub(super) struct WallClock(AsyncFd<Kernels>);

impl WallClock {
    pub(super) fn new() -> io::Result<Self> {
        let clock = Self(made(ClockId::CLOCK_REALTIME)?);
        clock.arm()?;
        Ok(clock)
    }

    fn arm(&self) -> io::Result<()> {
        // Far away: it is not the time that is waited for.
        let far = Expiration::OneShot(TimeSpec::from_duration(Duration::from_secs(1 << 33)));
        let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
        Ok(self.0.get_ref().0.set(far, flags)?)
    }

    /// Waits until it was set.
    pub(super) async fn was_set(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.ready(Interest::READABLE).await?;
            let outcome = ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from));
            match outcome {
                Ok(Err(error)) if error.raw_os_error() == Some(Errno::ECANCELED as i32) => {
                    self.arm()?;
                    return Ok(());
                }
                Ok(outcome) => outcome?,
                Err(_not_yet) => {}
            }
        }
    }
}

#[allow(
    deprecated,
    reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, which \
              TimerFd sees to, as the one owner of it"
)]
fn made(clock: ClockId) -> io::Result<AsyncFd<Kernels>> {
    let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
    AsyncFd::with_interest(Kernels(TimerFd::new(clock, flags)?), Interest::READABLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock;

    #[tokio::test]
    async fn it_fires_at_its_time_and_not_before() {
        let timer = BootTimer::new().unwrap();
        let at = clock::since_boot_millis() + 60;
        timer.arm(Some(at)).unwrap();
        tokio::time::timeout(Duration::from_secs(10), timer.fired())
            .await
            .unwrap()
            .unwrap();
        assert!(clock::since_boot_millis() >= at);
        timer.arm(Some(0)).unwrap();
        tokio::time::timeout(Duration::from_secs(10), timer.fired())
            .await
            .unwrap()
            .unwrap();
        timer.arm(None).unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(50), timer.fired()).await;
        assert!(silent.is_err());
    }

    #[tokio::test]
    async fn a_clock_that_nobody_sets_says_nothing() {
        let clock = WallClock::new().unwrap();
        let silent = tokio::time::timeout(Duration::from_millis(50), clock.was_set()).await;
        assert!(silent.is_err());
    }
}
