//! How much of the boot budget is left, by the kernel's own clock.

use std::time::Duration;

use monopod_core::budget::{self, Moments};

use crate::host::clock;

/// From the launch of an instance to its kernel, in milliseconds, at most.
const TO_KERNEL: u64 = 120_000;

/// How much of the boot budget is left.
pub(crate) fn time_left(total: Duration, first_start: u64, launched: Option<u64>) -> Duration {
    budget::left(total, moments(first_start, launched))
}

/// The moment of the launch by the kernel's own clock. The wall clock may be wrong still: a kernel starts within this
/// time of its launch.
pub(crate) fn launched(pending_time: u64) -> u64 {
    let up = clock::since_boot_millis();
    let ago = clock::now_millis().saturating_sub(pending_time * 1000);
    up.saturating_sub(ago.min(up + TO_KERNEL))
}

pub(super) fn moments(first_start: u64, launched: Option<u64>) -> Moments {
    Moments {
        now: clock::since_boot_millis(),
        first_start,
        launched,
    }
}

/// In milliseconds since the kernel started.
pub(super) fn moment_after(time: Duration) -> u64 {
    clock::since_boot_millis() + u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
