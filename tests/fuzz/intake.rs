//! The fuzz target: any bytes as user data. `make fuzz` builds and runs it.
//!
//! `FUZZ_STATS=1` prints the memory and time of each reading, for running it over files.

#![no_main]

mod checks;
mod limits;

#[global_allocator]
static COUNTING: limits::Counting = limits::Counting;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| checks::check(bytes, limits::limited));
