//! Time and chance: the only place that asks for either.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Milliseconds since the epoch.
pub fn now_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the kernel started. No clock that is set changes it, and every agent of one boot counts alike: what
/// has to end at a certain moment is counted by it.
pub fn since_boot_millis() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_BOOTTIME).map(Duration::from);
    // The kernel has this clock since 2.6.39.
    u64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since the epoch.
pub fn now_seconds() -> u64 {
    now_millis() / 1000
}

/// Monotonic time since an origin, as the pure state machines take it.
#[derive(Clone, Copy, Debug)]
pub struct Monotonic(Instant);

impl Monotonic {
    /// Starts at zero.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Time since the start.
    pub fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A number in `0.0..1.0` for jitter. The standard library seeds its hash maps from the kernel's
/// randomness; that is good enough to spread retries and saves a crate.
pub fn chance() -> f64 {
    let bits = std::hash::RandomState::new().build_hasher().finish();
    // 32 bits are exact in an f64.
    f64::from(u32::try_from(bits >> 32).unwrap_or(0)) / f64::from(u32::MAX)
}
