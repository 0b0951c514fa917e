//! From the tree to a [`Config`]: types, ranges, and what becomes of every key.
//!
//! Each key has one function, which reports what is wrong through [`Checker`] and returns what could be
//! read. Checking goes on after an error, so that all problems are known at once; a [`Config`] is built
//! only if there was none. `null` means that a key is left out.
//!
//! Types, ranges and words come from [`super::contract`]; what it cannot say (grammars, keys that exclude each other)
//! is here.
//!
//! It deliberately knows no facts of the machine and applies no defaults but the health check's.

mod audit;
mod balancers;
mod capabilities;
mod container;
mod environment;
mod fates;
mod field;
mod health;
mod host;
mod identity;
mod images;
mod lifecycle;
mod logging;
mod options;
mod policy;
mod ports;
mod read;
mod registries;
mod secrets;
mod storage;
mod targets;
#[cfg(test)]
mod tests;
mod units;
mod verdicts;

use std::collections::BTreeMap;
use std::time::Duration;

use super::model::{Audit, Config};
use super::policy::Policy;
use super::problem::{Code, Place, Problem};
use super::yaml::{Entry, Kind, Node};
use crate::lifecycle::{LifecyclePlan, SignalTarget};
use field::Field;
pub(super) use images::key_files;
pub(super) use lifecycle::is_hook;
pub(super) use policy::{is_null, note_image, read as read_policy};

/// What checking gave.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) config: Option<Config>,
    pub(super) notify_cfn: Option<SignalTarget>,
    pub(super) boot_timeout: Option<Duration>,
    /// Read even where the rest is wrong: how that boot ended is told, too.
    pub(super) audit: Audit,
    /// Read even where the rest is wrong: what becomes of a machine whose boot failed is said there.
    pub(super) lifecycle: LifecyclePlan,
}

/// The keys of a whole text; what is not a map is reported.
pub(super) fn entries(root: Option<Node>) -> Result<Vec<Entry>, Option<Problem>> {
    let not_a_map = |what: &str| {
        Problem::error(
            Code::NotAMap,
            format!("the text is {what}, not a map of keys and values"),
        )
        .help("write `application_id: my-app` and so on, one key a line")
    };
    let Some(Node { kind, place, .. }) = root else {
        return Err(Some(not_a_map("empty")));
    };
    match kind {
        Kind::Map(entries) => Ok(entries),
        Kind::Broken | Kind::Hole => Err(None),
        Kind::Seq(_) => Err(Some(not_a_map("a list").at(place))),
        Kind::Scalar(scalar) if scalar.text.is_empty() => Err(Some(not_a_map("empty"))),
        Kind::Scalar(_) => Err(Some(not_a_map("a single value").at(place))),
    }
}

/// Checks all keys against the contract and the policy.
pub(super) fn check(entries: &[Entry], policy: Policy, problems: &mut Vec<Problem>) -> Outcome {
    Checker::new(entries, policy, problems).run()
}

/// The top level and the problems found so far.
struct Checker<'c> {
    entries: &'c [Entry],
    policy: Policy,
    /// Unknown keys are errors, and the place that says so, where it is not the keys' own text.
    deny_unknown: Option<Option<Place>>,
    /// For KMS values that name none of their own.
    encryption_context: BTreeMap<String, String>,
    context_used: bool,
    problems: &'c mut Vec<Problem>,
}

impl<'c> Checker<'c> {
    fn new(entries: &'c [Entry], policy: Policy, problems: &'c mut Vec<Problem>) -> Self {
        Self {
            entries,
            deny_unknown: policy.deny_unknown.map(Some),
            policy,
            encryption_context: BTreeMap::new(),
            context_used: false,
            problems,
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a line a field, in one place: cut in two, a key could be read in none"
    )]
    fn run(mut self) -> Outcome {
        self.unknown_keys();
        self.fates();
        self.runtime();
        self.read_encryption_context();
        let application_id = self.application_id();
        let application_version = self.application_version();
        let source = self.source();
        let (registry_auths, registry_mirrors) = (self.registry_auths(), self.registry_mirrors());
        let ports = self.ports();
        let health_check = self.health_check(&ports);
        let notify_cfn = self.notify_cfn();
        let environment = self.environment();
        let capabilities_add = self.capabilities("capabilities_add");
        let capabilities_drop = self.capabilities("capabilities_drop");
        let [root, privileged] = ["root", "privileged"].map(|name| self.strict_flag(name));
        let read_only = self.flag("read_only");
        let hostname = self.hostname();
        let networking = self.networking();
        let shm_size = self.size("shm_size");
        let restart = self.restart();
        let options = self.options();
        let storage = self.storage();
        self.targets(&options, &storage.mounts);
        let logging = self.logging(&options);
        let (host, audit) = (self.host(&ports.mappings), self.audit());
        let delivered = self.delivered(&options);
        let boot_timeout = self.boot_timeout();
        let lifecycle = self.lifecycle(&lifecycle::Beside {
            signal: notify_cfn.clone(),
            restart: restart.unwrap_or_default(),
            gate: health_check.as_ref(),
            stop_timeout: options.stop_timeout,
            boot_timeout: boot_timeout.unwrap_or(crate::budget::DEFAULT),
        });
        let deployment_id = self.deployment_id();
        self.enforce(&policy::Asked {
            source: source.as_ref(),
            root: root == Some(true),
            privileged: privileged == Some(true),
            docker_daemon_access: options.docker_daemon_access == Some(true),
            networking,
            seccomp: options.seccomp.as_ref(),
            capabilities_add: &capabilities_add,
        });
        let trust = source.as_ref().and_then(|source| self.trust(source));
        let config = match (application_id, application_version, source, trust) {
            (Some(application_id), Some(application_version), Some(source), Some(trust)) => Some(Config {
                application_id,
                application_version,
                source,
                registry_auths,
                registry_mirrors,
                ports: given(ports.mappings),
                environment: given(environment),
                capabilities_add: given(capabilities_add),
                capabilities_drop: given(capabilities_drop),
                root,
                privileged,
                read_only,
                hostname,
                networking,
                shm_size,
                restart,
                health_check,
                options,
                storage,
                logging,
                host,
                audit: audit.clone(),
                lifecycle: lifecycle.clone(),
                delivered,
                boot_timeout,
                deployment_id,
                trust,
                verdicts: self.verdict_policy(),
                origins: Vec::new(),
            }),
            _ => None,
        };
        Outcome {
            config,
            notify_cfn,
            boot_timeout,
            audit,
            lifecycle,
        }
    }

    fn boot_timeout(&mut self) -> Option<Duration> {
        let seconds = self.time("boot_timeout")?;
        Some(Duration::from_secs(u64::from(seconds)))
    }

    /// The key's value, unless it is missing, null, or already reported as unreadable.
    fn field(&self, name: &str) -> Option<Field<'c>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(Field::top(entry)).filter(|field| !field.is_null() && !field.is_broken())
    }

    /// The key's value; reports a key that isn't there or is null.
    fn required(&mut self, name: &str, help: &str) -> Option<Field<'c>> {
        let entry = self.entries.iter().find(|entry| entry.name == name);
        let problem = match entry {
            Some(entry) if !Field::top(entry).is_null() => return self.field(name),
            Some(entry) => Problem::error(Code::Missing, format!("`{name}` is empty")).at(entry.place),
            None => Problem::error(Code::Missing, format!("`{name}` is missing")),
        };
        self.report(problem.key(name).help(help));
        None
    }

    fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Reports an error, or passes the value on.
    fn take<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        result.map_err(|problem| self.report(problem)).ok()
    }

    /// Takes the value and reports its warning.
    fn warned<T>(&mut self, (value, warning): (T, Option<Problem>)) -> T {
        self.problems.extend(warning);
        value
    }
}

/// An empty list is the same intent as none.
fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    if list.is_empty() { None } else { Some(list) }
}
