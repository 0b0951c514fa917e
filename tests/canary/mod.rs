//! The canary run: a thousand random values through every source and every error that can be forced, and then a look
//! for each of them, in every spelling, in everything that was said or written.
//!
//! [`SOURCES`] says how a value is referred to and delivered, the `CASES` of three modules what happens to the machine
//! that has it: a new source or a new error is a row. Each case has a machine of its own and its share of the canaries,
//! dealt over the sources; what it keeps back is for what user data does not name: credentials, logins, later values.
//!
//! Not searched: the directories that files are delivered in, which the container reads; what a registry or AWS keeps;
//! and what the application itself has printed, where the engine puts it. A variable's value may stand where the engine
//! and the kernel show it, a file's nowhere.

mod boot;
mod cases;
mod files;
mod net;
mod refusals;
mod sources;
mod values;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use monopod_testrig::Machine;

use boot::{Boot, Seen};
use net::Net;
use sources::{SOURCES, Source, Way};

/// All cases together.
const CANARIES: usize = 1000;
/// How many machines are used at once.
const AT_ONCE: usize = 3;
/// Less than this was not the whole search.
const LEAST_BYTES: usize = 20_000_000;
/// In each case: output, messages to systemd, status, logs, command lines, environments, the engine's data.
const LEAST_PLACES: usize = 60;

/// A value that must be seen nowhere.
#[derive(Clone)]
pub(crate) struct Canary {
    /// The variable or the file it is in.
    pub(crate) name: String,
    pub(crate) value: String,
    /// Where user data finds it; none for what a case keeps back.
    pub(crate) source: Option<&'static Source>,
}

impl Canary {
    fn is_variable(&self) -> bool {
        self.source.is_some_and(|source| source.way == Way::Variable)
    }

    /// Fits into a header, a password, and a name.
    pub(crate) fn is_plain(&self) -> bool {
        self.value.len() < 120
            && self
                .value
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b':')
    }
}

/// What happens to a machine with canaries in it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many of them fit into what it can be given.
    pub(crate) share: usize,
    /// How many more it keeps back.
    pub(crate) kept: usize,
    pub(crate) play: fn(&Boot<'_>),
}

fn all_cases() -> impl Iterator<Item = &'static Case> {
    // The longest first: what waits for a refresh has time for it.
    files::CASES.iter().chain(cases::CASES).chain(refusals::CASES)
}

/// What a case came to.
struct Outcome {
    name: &'static str,
    bytes: usize,
    places: usize,
    hits: Vec<String>,
}

fn play(case: &Case, canaries: &[Canary], everybody: &Net) -> Outcome {
    let machine = Machine::acquire();
    let (dealt, kept) = canaries.split_at(case.share);
    let boot = Boot::new(&machine, dealt, kept);
    (case.play)(&boot);
    let never: BTreeSet<&str> = canaries.iter().map(|canary| canary.name.as_str()).collect();
    let reached = boot.reached();
    let never: Vec<&&str> = never.iter().filter(|name| !reached.contains(**name)).collect();
    assert!(never.is_empty(), "{}: {never:?} came nowhere", case.name);
    let texts = boot.texts();
    let mut hits: Vec<String> = Vec::new();
    for text in &texts {
        for hit in everybody.search(&text.bytes) {
            if text.seen == Seen::ByAll || !hit.canary.is_variable() {
                let source = hit.canary.source.map_or("kept back", |source| source.name);
                hits.push(format!(
                    "{}: {} ({source}) in {}: {:?}",
                    case.name, hit.canary.name, text.place, hit.around
                ));
            }
        }
    }
    Outcome {
        name: case.name,
        bytes: texts.iter().map(|text| text.bytes.len()).sum(),
        places: texts.len(),
        hits,
    }
}

/// Of this run; that of another one as `CANARY_SEED`.
fn seed() -> u64 {
    let given = std::env::var("CANARY_SEED")
        .ok()
        .and_then(|seed| u64::from_str_radix(&seed, 16).ok());
    given.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        // The high bits of a time hardly change: spread over all.
        (now.as_nanos() as u64 ^ u64::from(std::process::id())).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}

/// Each case with its canaries.
fn deal(seed: u64) -> Vec<(&'static Case, Vec<Canary>)> {
    let count = all_cases().map(|case| case.share + case.kept).sum();
    let mut values = values::make(seed, count)
        .into_iter()
        .zip(values::make_plain(seed, count))
        .enumerate();
    let mut dealt = Vec::new();
    for case in all_cases() {
        let share = values.by_ref().take(case.share + case.kept).enumerate();
        let canaries = share.map(|(own, (number, (value, plain)))| Canary {
            name: format!("C{number:04}"),
            // Of what is kept back every other one fits anywhere.
            value: if own < case.share || own % 2 == 0 {
                value
            } else {
                plain
            },
            // Over all of them, whatever kind of value comes when.
            source: SOURCES
                .get((number + number / 10) % SOURCES.len())
                .filter(|_| own < case.share),
        });
        dealt.push((case, canaries.collect()));
    }
    dealt
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is what the run is for")]
fn no_canary_is_seen_anywhere() {
    let seed = seed();
    let dealt = deal(seed);
    let canaries: Vec<Canary> = dealt.iter().flat_map(|(_, canaries)| canaries.clone()).collect();
    assert!(canaries.len() >= CANARIES, "only {}", canaries.len());
    let different: BTreeSet<&str> = canaries.iter().map(|canary| canary.value.as_str()).collect();
    assert_eq!(different.len(), canaries.len());
    let net = Net::new(&canaries);
    let work = Mutex::new(dealt.into_iter());
    let outcomes = Mutex::new(Vec::new());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().next();
                    let Some((case, canaries)) = next else { break };
                    // What the others have found is told too.
                    let played = catch_unwind(AssertUnwindSafe(|| play(case, &canaries, &net)));
                    match played {
                        Ok(outcome) => outcomes.lock().unwrap().push(outcome),
                        Err(_) => failed.lock().unwrap().push(case.name),
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let hits: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.hits).collect();
    let bytes: usize = outcomes.iter().map(|outcome| outcome.bytes).sum();
    let places: usize = outcomes.iter().map(|outcome| outcome.places).sum();
    println!(
        "canary_hits {} of {} canaries, {bytes} bytes in {places} places searched ({} spellings, {} cases, seed {seed:x}, sources: {})",
        hits.len(),
        canaries.len(),
        net.len(),
        outcomes.len(),
        SOURCES
            .iter()
            .map(|source| source.name)
            .collect::<Vec<_>>()
            .join("; "),
    );
    assert!(
        hits.is_empty(),
        "{} hits, the first of them: {:#?}",
        hits.len(),
        &hits[..hits.len().min(20)]
    );
    assert_eq!(
        (outcomes.len(), failed.into_inner().unwrap()),
        (all_cases().count(), Vec::new())
    );
    assert!(bytes > LEAST_BYTES, "only {bytes} bytes were searched");
    for outcome in &outcomes {
        assert!(
            outcome.places >= LEAST_PLACES,
            "{}: only {} places",
            outcome.name,
            outcome.places
        );
    }
}

/// The net catches: or it would be no proof that nothing was caught.
#[test]
fn the_net_has_no_holes() {
    let canaries: Vec<Canary> = values::make(seed(), 50)
        .into_iter()
        .map(|value| Canary {
            name: "X".to_owned(),
            value,
            source: None,
        })
        .collect();
    let net = Net::new(&canaries);
    for Canary { value, .. } in &canaries {
        for text in net::spellings(value) {
            assert!(
                !net.search(format!("before {text} after").as_bytes()).is_empty(),
                "{text}"
            );
        }
    }
    assert!(
        net.search(b"ordinary text, and more of it: monopod 0.1.0 is ready\n")
            .is_empty()
    );
}
