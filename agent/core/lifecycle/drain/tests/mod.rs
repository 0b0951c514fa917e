//! The machine alone, in a simulated world, and through every order of a few events.

mod alone;
mod exhaustive;
mod properties;
mod world;

use std::time::Duration;

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
