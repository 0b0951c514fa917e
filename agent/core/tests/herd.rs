//! A thousand machines boot at the same moment, against a limit of 10 KMS calls a second: simulated in virtual time.
//!
//! The limit is a token bucket, as AWS describes its own. Chance is seeded, so every run is the same.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a test fails by panicking; the figures are for people: cargo test -p monopod-core --test herd -- --nocapture"
)]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use monopod_core::retry::{AWS, THROTTLED};

/// Calls a second, and how many may come at once.
const RATE: u64 = 10;
const BURST: u64 = 10;
const SECOND: u64 = 1_000_000;

/// Sebastiano Vigna's splitmix64: a few lines, and good enough to spread calls.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = u32::try_from((z ^ (z >> 31)) >> 32).unwrap_or_default();
        f64::from(bits) / f64::from(u32::MAX)
    }
}

/// In millionths of a call, so that nothing is rounded.
struct Bucket {
    level: u64,
    at: u64,
}

impl Bucket {
    fn full() -> Self {
        Self {
            level: BURST * SECOND,
            at: 0,
        }
    }

    fn serves(&mut self, now: u64) -> bool {
        self.level = (self.level + (now - self.at) * RATE).min(BURST * SECOND);
        self.at = now;
        let serves = self.level >= SECOND;
        if serves {
            self.level -= SECOND;
        }
        serves
    }
}

/// How a herd fared.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// Until the last one was served, by the time a perfect queue needs.
    vs_ideal: f64,
    calls_per_success: f64,
    /// Seconds.
    mean: f64,
    last: f64,
}

/// One that waits: how often it was refused, and since when.
#[derive(Clone, Copy, Default)]
struct Waiting {
    refusals: u32,
    since: u64,
}

type Schedule = fn(u32, Duration, f64) -> Duration;

/// Each of `machines` has `secrets` to ask for, at most four at a time.
fn herd(machines: u32, secrets: u32, seed: u64, schedule: Schedule) -> Fate {
    let mut chance = Chance(seed);
    let mut bucket = Bucket::full();
    let slots = secrets.min(4);
    let mut left: Vec<u32> = vec![secrets - slots; machines as usize];
    let mut waiting = vec![Waiting::default(); (machines * slots) as usize];
    let mut due: BinaryHeap<Reverse<(u64, usize)>> =
        (0..waiting.len()).map(|one| Reverse((0, one))).collect();
    let (mut calls, mut last, mut sum) = (0, 0, 0);
    while let Some(Reverse((now, one))) = due.pop() {
        calls += 1;
        let (Some(state), Some(left)) = (waiting.get_mut(one), left.get_mut(one / slots as usize)) else {
            continue;
        };
        if bucket.serves(now) {
            (last, sum) = (now, sum + now);
            if *left > 0 {
                *left -= 1;
                *state = Waiting::default();
                due.push(Reverse((now, one)));
            }
            continue;
        }
        if state.refusals == 0 {
            state.since = now;
        }
        state.refusals += 1;
        let wait = schedule(
            state.refusals,
            Duration::from_micros(now - state.since),
            chance.next(),
        );
        let wait = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        due.push(Reverse((now.saturating_add(wait), one)));
    }
    let all = f64::from(machines * secrets);
    let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
    let ideal = (all - BURST as f64) / RATE as f64;
    Fate {
        vs_ideal: seconds(last) / ideal,
        calls_per_success: f64::from(calls) / all,
        mean: seconds(sum) / all,
        last: seconds(last),
    }
}

fn spread(refusals: u32, waited: Duration, chance: f64) -> Duration {
    THROTTLED
        .delay(refusals, waited, None, chance)
        .expect("there is no deadline")
}

/// The worst of each over the seeds.
fn worst(machines: u32, secrets: u32, seeds: u64, schedule: Schedule) -> Fate {
    (0..seeds)
        .map(|seed| herd(machines, secrets, seed, schedule))
        .reduce(|one, other| Fate {
            vs_ideal: one.vs_ideal.max(other.vs_ideal),
            calls_per_success: one.calls_per_success.max(other.calls_per_success),
            mean: one.mean.max(other.mean),
            last: one.last.max(other.last),
        })
        .expect("there is a seed")
}

#[test]
fn a_thousand_machines_are_served_in_time_and_ask_three_times_at_most() {
    let fate = worst(1000, 1, 300, spread);
    println!(
        "herd_vs_ideal {:.3}, calls_per_success {:.3}",
        fate.vs_ideal, fate.calls_per_success
    );
    assert!(fate.vs_ideal <= 1.2, "{fate:?}");
    assert!(fate.calls_per_success <= 3.0, "{fate:?}");
}

/// What it is there to better.
#[test]
fn doubling_asks_too_often() {
    let fate = worst(1000, 1, 5, |refusals, _, chance| AWS.delay(refusals, chance));
    println!("doubling: {fate:.2?}");
    assert!(fate.calls_per_success > 5.0, "{fate:?}");
}

#[test]
fn small_herds_are_not_kept_waiting_and_large_ones_get_through() {
    // Machines; the worst calls per success, the worst mean and the worst last in seconds.
    for (machines, calls, mean, last) in [
        (20, 1.6, 4.0, 11.0),
        (100, 2.0, 9.0, 120.0),
        (300, 2.8, 45.0, 120.0),
        (3000, 8.5, 160.0, 420.0),
    ] {
        let fate = worst(machines, 1, if machines > 1000 { 5 } else { 30 }, spread);
        println!("{machines} machines: {fate:.2?}");
        assert!(fate.calls_per_success <= calls, "{machines}: {fate:?}");
        assert!(fate.mean <= mean && fate.last <= last, "{machines}: {fate:?}");
    }
}

/// Four calls at a time are four members of the herd: each has a moment of its own, as four machines would.
#[test]
fn machines_with_many_secrets_are_a_herd_of_secrets() {
    for (machines, secrets) in [(250, 4), (83, 12)] {
        let fate = worst(machines, secrets, 10, spread);
        println!("{machines} machines with {secrets} secrets: {fate:.2?}");
        assert!(fate.calls_per_success <= 3.6 && fate.vs_ideal <= 2.0, "{fate:?}");
    }
}

#[test]
fn a_machine_alone_waits_five_seconds_on_average_and_ten_at_most() {
    let mut chance = Chance(7);
    let waits: Vec<f64> = (0..1000)
        .map(|_| spread(1, Duration::ZERO, chance.next()).as_secs_f64())
        .collect();
    let mean = waits.iter().sum::<f64>() / 1000.0;
    println!("alone, throttled once: {mean:.1} s on average");
    assert!((4.5..5.5).contains(&mean), "{mean}");
    assert!(waits.iter().all(|wait| *wait <= 10.0));
}
