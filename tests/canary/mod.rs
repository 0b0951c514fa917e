//! The canary run: a thousand random values through every source and every error that can be forced, and then a look
//! for each of them, in every spelling, in everything that was said or written.
//!
//! [`SOURCES`] says how a value is referred to, [`CASES`] what happens to the machine that has it: a new source or a
//! new error is a row. Each case has a machine of its own and its share of the canaries, dealt over the sources.

mod cases;
mod net;
mod values;

use std::sync::Mutex;
use std::thread;

use monopod_testrig::Machine;

use crate::common::*;
use cases::CASES;
use net::Net;

/// All cases together.
const CANARIES: usize = 1000;
/// How many machines are used at once.
const AT_ONCE: usize = 2;
/// Less than this was not the whole search.
const LEAST_BYTES: usize = 1_000_000;
/// In each case: output, messages to systemd, status, plan, hint, logs, command lines.
const LEAST_PLACES: usize = 12;

/// A value that must be seen nowhere.
#[derive(Clone, Debug)]
pub(crate) struct Canary {
    /// The variable it is in.
    pub(crate) name: String,
    pub(crate) value: String,
}

/// How user data refers to a value that is kept elsewhere.
struct Source {
    name: &'static str,
    reference: fn(&Machine, &str) -> String,
}

const SOURCES: &[Source] = &[Source {
    name: "KMS",
    reference: |machine, value| machine.aws().encrypt(value),
}];

/// What happens to a machine with canaries in it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many of them fit into what it can be given.
    pub(crate) share: usize,
    pub(crate) play: fn(&Boot<'_>),
}

/// A machine, and what it has been given.
pub(crate) struct Boot<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) canaries: &'a [Canary],
    /// Every text that was made outside of the machine's own files: plans, inspections, command lines.
    texts: Mutex<Vec<(String, String)>>,
}

impl Boot<'_> {
    /// User data for this image, with all canaries in the environment.
    pub(crate) fn user_data(&self, source: &str, dockercfg: &str) -> String {
        let mut text = format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: \"1.0\"\nruntime: Docker\nsource: {source}\n\
             dockercfg: {dockercfg}\nredact_secrets: true\nenvironment:\n"
        );
        for (number, canary) in self.canaries.iter().enumerate() {
            let source = &SOURCES[number % SOURCES.len()];
            let reference = (source.reference)(self.machine, &canary.value);
            text.push_str(&format!("  {}: {reference:?}\n", canary.name));
        }
        text
    }

    /// Gives it to the machine as a file, for it is more than EC2 takes; what was there is replaced.
    pub(crate) fn serve(&self, text: &str) {
        std::fs::write(self.file(), text).unwrap();
        self.note("plan", &["plan", &self.file()]);
        self.note("plan --json", &["plan", "--json", &self.file()]);
        self.note("validate", &["validate", &self.file()]);
    }

    /// The agent on it.
    pub(crate) fn run(&self) -> monopod_testrig::Agent {
        run_with(
            self.machine,
            &["--log-level", "debug", "--user-data", &self.file()],
        )
    }

    /// Keeps what a command of ours prints.
    pub(crate) fn note(&self, place: &str, args: &[&str]) {
        let output = self.machine.monopod(binary(), args).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        self.keep(place, &String::from_utf8_lossy(&text));
    }

    pub(crate) fn keep(&self, place: &str, text: &str) {
        self.texts
            .lock()
            .unwrap()
            .push((place.to_owned(), text.to_owned()));
    }

    /// What everybody can see now, before it changes.
    pub(crate) fn look(&self) {
        self.note("status", &["status"]);
        self.note("status --json", &["status", "--json"]);
        for (place, text) in self.machine.traces() {
            if place.starts_with("/proc/") || place.ends_with(".json") {
                self.keep(&place, &text);
            }
        }
    }

    /// The container has every value, byte for byte: without that nothing would be shown.
    pub(crate) fn delivered(&self) {
        let container = the_container(self.machine);
        let environment: Vec<&str> = container["Config"]["Env"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|variable| variable.as_str())
            .collect();
        for Canary { name, value } in self.canaries {
            let wanted = format!("{name}={value}");
            assert!(
                environment.contains(&wanted.as_str()),
                "{name} is not what was meant"
            );
        }
    }

    fn file(&self) -> String {
        self.machine
            .dirs()
            .base
            .join("user-data.yaml")
            .display()
            .to_string()
    }
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
    let boot = Boot {
        machine: &machine,
        canaries,
        texts: Mutex::default(),
    };
    (case.play)(&boot);
    boot.look();
    let mut texts = machine.traces();
    texts.append(&mut boot.texts.lock().unwrap());
    let mut hits: Vec<String> = Vec::new();
    for (place, text) in &texts {
        for hit in everybody.search(text) {
            hits.push(format!("{}: {hit} in {place}", case.name));
        }
    }
    Outcome {
        name: case.name,
        bytes: texts.iter().map(|(_, text)| text.len()).sum(),
        places: texts.len(),
        hits,
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figure is what the run is for")]
fn no_canary_is_seen_anywhere() {
    let dealt: usize = CASES.iter().map(|case| case.share).sum();
    assert_eq!(dealt, CANARIES, "every canary is in one case");
    let values = values::make(CANARIES);
    let canaries: Vec<Canary> = values
        .into_iter()
        .enumerate()
        .map(|(number, value)| Canary {
            name: format!("C{number:03}"),
            value,
        })
        .collect();
    let net = Net::new(&canaries);
    let mut rest = canaries.as_slice();
    let mut work = Vec::new();
    for case in CASES {
        let (share, more) = rest.split_at(case.share);
        rest = more;
        work.push((case, share));
    }
    let work = Mutex::new(work.into_iter());
    let outcomes = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = work.lock().unwrap().next();
                    let Some((case, share)) = next else { break };
                    let outcome = play(case, share, &net);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap();
    let hits: Vec<&String> = outcomes.iter().flat_map(|outcome| &outcome.hits).collect();
    let bytes: usize = outcomes.iter().map(|outcome| outcome.bytes).sum();
    println!(
        "canary_hits {} of {CANARIES} canaries, {bytes} bytes of output searched ({} spellings, sources: {})",
        hits.len(),
        net.len(),
        SOURCES
            .iter()
            .map(|source| source.name)
            .collect::<Vec<_>>()
            .join(", "),
    );
    assert!(
        hits.is_empty(),
        "{} hits, the first of them: {:#?}",
        hits.len(),
        &hits[..hits.len().min(20)]
    );
    assert_eq!(outcomes.len(), CASES.len());
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
    let canaries: Vec<Canary> = values::make(50)
        .into_iter()
        .map(|value| Canary {
            name: "X".to_owned(),
            value,
        })
        .collect();
    let net = Net::new(&canaries);
    for Canary { value, .. } in &canaries {
        for text in net::spellings(value) {
            assert!(!net.search(&format!("before {text} after")).is_empty(), "{text}");
        }
    }
    assert!(
        net.search("ordinary text, and more of it: monopod 0.1.0 is ready\n")
            .is_empty()
    );
}
