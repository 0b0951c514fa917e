//! The wall clock, in the one form that is needed.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds since the epoch.
pub(crate) fn epoch_seconds() -> u64 {
    // A clock before 1970 is a clock that isn't set: zero says so.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
