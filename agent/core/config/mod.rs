//! User data, from bytes to a checked [`Config`] and every problem at once.
//!
//! ```text
//! user data ─► intake: text ─► yaml: tree with places ┐
//! image's defaults ─────────────► yaml ───────────────┼─► layers: one tree ─► check: Config + problems ─► report
//! image's policy ───────────────► yaml ─► policy ─────┘                        │
//!                                                                              └─ contract: every key there is
//! ```
//!
//! Users of Taupage wrote their files for PyYAML, so what it read is read alike here, down to
//! `22:30` being 1350 in an environment value. What Taupage swallowed is reported.
//!
//! Invariants: a [`Config`] exists only if there is no error. No problem quotes a value, since any
//! value may be a secret; [`Report`] shows of a line only keys and what the contract says is no secret.
//! [`Config::canonical`] holds intent, no default and no secret.
//!
//! It deliberately reads no file, decrypts nothing, and knows nothing of the machine it is on.

mod canonical;
mod check;
pub mod contract;
pub mod edit;
mod image;
mod intake;
mod keys;
mod layers;
#[cfg(test)]
mod layers_tests;
mod masked;
mod mirror;
mod model;
mod nearest;
mod policy;
mod problem;
mod registry;
mod report;
mod salvage;
pub mod template;
#[cfg(test)]
mod tests;
mod yaml;

pub(crate) use check::units::seconds;
pub use image::{ImageRef, ImageRefError};
pub use intake::{Include, Location, NotTheText, included};
pub use mirror::{Mirror, RegistryMirrors};
pub use model::{
    AccountKey, Audit, Config, Destination, EbsVolume, EcrHost, EnvValue, Events, FileMount, Filesystem,
    Gpus, HealthCheck, Host, HostEntry, LineFormat, Logging, Logrotate, Mount, Networking, OnChange, Options,
    Origin, Otlp, OtlpHeader, PortMapping, Probe, Protocol, Raid, RaidLevel, Redact, Refresh, RegistryAuth,
    RegistryLogin, RestartPolicy, Rsyslog, S3, Sampling, Scalyr, Seccomp, Shutdown, Storage, Stream, Tmpfs,
    Ulimit,
};
pub use problem::{Code, Place, Problem, Related, Severity};
pub use registry::RegistryHost;
pub use report::{Report, Style};
use yaml::Entry;

use crate::access::AccessRules;

/// A text and what it is called: `user data`, or a file's name.
#[derive(Clone, Copy, Debug)]
pub struct Text<'b> {
    /// For people.
    pub name: &'b str,
    /// As it was read.
    pub bytes: &'b [u8],
}

/// What the machine's image brings along.
#[derive(Clone, Debug, Default)]
pub struct ImageLayer<'b> {
    /// Values below the user data's, the lowest first.
    pub defaults: Vec<Text<'b>>,
    /// What user data may ask for.
    pub policy: Option<Text<'b>>,
    /// The files that [`policy_key_files`] names; one that is missing here counts as missing on the machine.
    pub keys: Vec<KeyFile<'b>>,
}

/// A public key that the policy names.
#[derive(Clone, Copy, Debug)]
pub struct KeyFile<'b> {
    /// The path, as the policy writes it.
    pub path: &'b str,
    /// What it holds, or why that cannot be used.
    pub content: Result<&'b [u8], &'b str>,
}

/// The key files that a policy names, as far as it can be read: whoever reads files reads them before [`read`].
pub fn policy_key_files(policy: &[u8]) -> Vec<String> {
    let tree = intake::plain(policy)
        .ok()
        .and_then(|text| yaml::load(text, 1, yaml::Tags::Refuse, &mut Vec::new()).ok()?);
    tree.as_ref().map(check::key_files).unwrap_or_default()
}

/// What the image's policy says about logins for a time. A policy with any mistake lets nobody in; the mistakes are said on
/// one line.
pub fn access_rules(image: &ImageLayer<'_>) -> Result<AccessRules, String> {
    let Some(file) = image.policy else {
        return Ok(AccessRules::default());
    };
    let mut reading = Reading::default();
    let policy = reading
        .file(file, 0)
        .map(|text| reading.policy(&text, 0, file.name, &image.keys));
    let errors = reading.problems.iter();
    let errors: Vec<&str> = errors
        .filter(|problem| problem.severity == Severity::Error)
        .map(|problem| problem.message.as_str())
        .collect();
    match policy {
        Some(policy) if errors.is_empty() => Ok(policy.access),
        _ => Err(format!("{}: {}", file.name, errors.join("; "))),
    }
}

/// Reads user data alone. `origin` is `user data` or a file's name.
pub fn parse(bytes: &[u8], origin: &str) -> Report {
    read(Text { name: origin, bytes }, &ImageLayer::default())
}

/// Reads user data as a machine of this image does.
pub fn read(user_data: Text<'_>, image: &ImageLayer<'_>) -> Report {
    read_with(user_data, image, intake::Holes::Refused)
}

/// A template's name, and the image of the machines it is for.
#[derive(Clone, Copy)]
struct On<'a> {
    origin: &'a str,
    image: &'a ImageLayer<'a>,
}

/// Reads user data that was put together from a template's pieces.
fn parse_with_holes(text: &str, on: On<'_>) -> Report {
    let text = Text {
        name: on.origin,
        bytes: text.as_bytes(),
    };
    read_with(text, on.image, intake::Holes::Expected)
}

fn read_with(user_data: Text<'_>, image: &ImageLayer<'_>, holes: intake::Holes) -> Report {
    let mut reading = Reading::default();
    let text = reading.user_data(user_data, holes);
    let top = text.as_deref().and_then(|text| reading.map(text, 0));
    // Places are those of the text as it was unpacked, even if it could not be read.
    let shown = text.unwrap_or_else(|| intake::readable(user_data.bytes).into_owned());
    // Somebody waits to be told, whatever is wrong with the rest.
    let salvaged = match top {
        None => salvage::salvage(&shown),
        Some(_) => salvage::Salvaged::default(),
    };
    reading.name(user_data.name, Some(shown));
    let mut report = reading.check(top, image);
    salvaged.put_over(&mut report.lifecycle);
    report.notify_cfn = report.notify_cfn.or(salvaged.signal);
    report
}

/// Checks a tree that a template holds; `problems` are those of reading it.
fn check_tree(root: yaml::Node, problems: Vec<Problem>, on: On<'_>) -> Report {
    let mut reading = Reading {
        problems,
        ..Reading::default()
    };
    reading.name(on.origin, None);
    let top = match check::entries(Some(root)) {
        Ok(entries) => Some(entries),
        Err(problem) => {
            reading.problems.extend(problem);
            None
        }
    };
    reading.check(top, on.image)
}

fn is_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// Texts and problems on their way to a report.
#[derive(Default)]
struct Reading {
    problems: Vec<Problem>,
    texts: Vec<report::Text>,
    policy_tree: Option<yaml::Node>,
}

impl Reading {
    fn user_data(&mut self, text: Text<'_>, holes: intake::Holes) -> Option<String> {
        match intake::text(text.bytes, holes, &mut self.problems) {
            Ok(text) => Some(text.into_owned()),
            Err(problem) => {
                self.problems.push(problem);
                None
            }
        }
    }

    /// Checks the user data's keys over the image's, under its policy.
    fn check(mut self, top: Option<Vec<Entry>>, image: &ImageLayer<'_>) -> Report {
        let mut layers: Vec<Vec<Entry>> = Vec::new();
        let mut is_whole = true;
        let mut source = 0;
        for defaults in &image.defaults {
            source += 1;
            let text = self.file(*defaults, source);
            // A drop-in with nothing but comments is as good as none.
            let text_with_keys = text.as_deref().filter(|text| !text.lines().all(is_comment));
            let keys = text_with_keys.and_then(|text| self.map(text, source));
            is_whole &= text.is_some() && keys.is_some() == text_with_keys.is_some();
            layers.extend(keys);
            self.name(defaults.name, text);
        }
        let mut policy = policy::Policy::default();
        if let Some(file) = image.policy {
            source += 1;
            let text = self.file(file, source);
            if let Some(text) = text.as_deref() {
                policy = self.policy(text, source, file.name, &image.keys);
            }
            self.name(file.name, text);
        }
        check::note_image(&mut policy, &layers);
        let Some(top) = top else {
            // The image's word holds where the user's cannot be read; in part it may be one that a drop-in takes back.
            let layers = if is_whole { layers } else { Vec::new() };
            let below = layers.into_iter().reduce(layers::over).unwrap_or_default();
            let outcome = check::Outcome {
                lifecycle: check::check(&below, policy, &mut Vec::new()).lifecycle,
                ..check::Outcome::default()
            };
            return self.finish(outcome, &[]);
        };
        let entries = layers
            .into_iter()
            .chain([top])
            .reduce(layers::over)
            .unwrap_or_default();
        let outcome = check::check(&entries, policy, &mut self.problems);
        self.finish(outcome, &entries)
    }

    /// A file of the image's: plain text.
    fn file(&mut self, text: Text<'_>, source: u16) -> Option<String> {
        match intake::plain(text.bytes) {
            Ok(text) => Some(text.to_owned()),
            Err(problem) => {
                let place = problem.place.unwrap_or(Place::new(1, 1)).of(source);
                self.problems.push(problem.at(place));
                None
            }
        }
    }

    fn name(&mut self, name: &str, text: Option<String>) {
        self.texts.push(report::Text {
            name: name.to_owned(),
            text: text.unwrap_or_default(),
        });
    }

    fn map(&mut self, text: &str, source: u16) -> Option<Vec<Entry>> {
        let entries = yaml::load(text, source, yaml::Tags::Refuse, &mut self.problems)
            .map_err(Some)
            .and_then(check::entries);
        entries
            .map_err(|problem| {
                self.problems.extend(problem.map(|problem| match problem.place {
                    None if source > 0 => problem.at(Place::new(1, 1).of(source)),
                    _ => problem,
                }));
            })
            .ok()
    }

    fn policy(&mut self, text: &str, source: u16, name: &str, keys: &[KeyFile<'_>]) -> policy::Policy {
        match yaml::load(text, source, yaml::Tags::Refuse, &mut self.problems) {
            Ok(Some(root)) if !check::is_null(&root) => {
                // The last of two equal rules would count, and nobody knows which one was meant.
                for problem in self.problems.iter_mut().filter(|problem| {
                    problem.code == Code::DuplicateKey
                        && problem.place.is_some_and(|place| place.source == source)
                }) {
                    problem.severity = Severity::Error;
                }
                let policy = check::read_policy(&root, name, keys, &mut self.problems);
                self.policy_tree = Some(root);
                policy
            }
            Ok(_) => {
                // Whoever put the file there meant to forbid something, and a machine without its rules allows it.
                let message = format!("{name} holds no rule: perhaps it is a copy that was cut off");
                let problem = Problem::error(Code::Missing, message).at(Place::new(1, 1).of(source));
                let help = "write `{}` for a policy that says nothing, or remove the file";
                self.problems.push(problem.help(help));
                policy::Policy::default()
            }
            Err(problem) => {
                self.problems.push(problem);
                policy::Policy::default()
            }
        }
    }

    fn finish(mut self, outcome: check::Outcome, entries: &[Entry]) -> Report {
        // What concerns the whole text comes first, the rest in the order of the texts.
        self.problems.sort_by_key(|problem| problem.place);
        let mut config = outcome.config;
        if let Some(config) = &mut config {
            config.origins = report::origins(entries, &self.texts);
        }
        let mut report = Report::new(
            config,
            self.problems,
            self.texts,
            entries,
            self.policy_tree.as_ref(),
        );
        report.notify_cfn = outcome.notify_cfn;
        report.boot_timeout = outcome.boot_timeout;
        report.audit = outcome.audit;
        report.otlp = outcome.otlp;
        report.events = outcome.events;
        report.lifecycle = outcome.lifecycle;
        report.masked = masked::of(entries);
        report
    }
}
