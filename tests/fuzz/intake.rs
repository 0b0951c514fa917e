//! The fuzz target: any bytes as user data. `make fuzz` builds and runs it.
//!
//! `FUZZ_STATS=1` prints the memory and time of each input, for running it over files.

#![no_main]

mod checks;
mod limits;

use std::sync::LazyLock;

#[global_allocator]
static COUNTING: limits::Counting = limits::Counting;

static STATS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("FUZZ_STATS").is_some());

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let stats = *STATS;
    let (peak, spent) = limits::limited(|| checks::check(bytes));
    if stats {
        eprintln!("stats: {} bytes, peak {peak} bytes, {} us", bytes.len(), spent.as_micros());
    }
});
