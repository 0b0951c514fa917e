//! From the tree to a [`Config`]: types, ranges, and what becomes of every key.
//!
//! Each key has one function, which reports what is wrong through [`Checker`] and returns what could be
//! read. Checking goes on after an error, so that all problems are known at once; a [`Config`] is built
//! only if there was none. `null` means that a key is left out.
//!
//! It deliberately knows no facts of the machine and applies no defaults but the health check's.

mod capabilities;
mod container;
mod environment;
mod fates;
mod field;
mod health;
mod identity;
mod ports;
mod registries;
#[cfg(test)]
mod tests;

use super::model::{Config, NotifyCfn};
use super::problem::{Code, Problem, Severity};
use super::yaml::{Entry, Kind, Node};
use field::Field;

/// What checking gave.
pub(super) struct Outcome {
    pub(super) config: Option<Config>,
    pub(super) notify_cfn: Option<NotifyCfn>,
}

/// Checks the whole text's tree; `problems` may already hold those of reading it.
pub(super) fn check(root: Option<Node>, problems: &mut Vec<Problem>) -> Outcome {
    let nothing = Outcome {
        config: None,
        notify_cfn: None,
    };
    let not_a_map = |what: &str| {
        Problem::error(
            Code::NotAMap,
            format!("the text is {what}, not a map of keys and values"),
        )
        .help("write `application_id: my-app` and so on, one key a line")
    };
    let entries = match root {
        Some(Node {
            kind: Kind::Map(entries),
            ..
        }) => entries,
        Some(Node {
            kind: Kind::Broken | Kind::Hole,
            ..
        }) => return nothing,
        Some(Node {
            kind: Kind::Seq(_),
            place,
            ..
        }) => {
            problems.push(not_a_map("a list").at(place));
            return nothing;
        }
        Some(Node {
            kind: Kind::Scalar(scalar),
            place,
            ..
        }) if !scalar.text.is_empty() => {
            problems.push(not_a_map("a single value").at(place));
            return nothing;
        }
        Some(Node {
            kind: Kind::Scalar(_),
            ..
        })
        | None => {
            problems.push(not_a_map("empty"));
            return nothing;
        }
    };
    Checker {
        entries: &entries,
        problems,
    }
    .run()
}

/// The top level and the problems found so far.
struct Checker<'c> {
    entries: &'c [Entry],
    problems: &'c mut Vec<Problem>,
}

impl<'c> Checker<'c> {
    fn run(mut self) -> Outcome {
        self.fates();
        self.runtime();
        let application_id = self.application_id();
        let application_version = self.application_version();
        let source = self.source();
        let registry_auths = self.registry_auths();
        let ports = self.ports();
        let health_check = self.health_check(&ports);
        let notify_cfn = self.notify_cfn();
        let environment = self.environment();
        let capabilities_add = self.capabilities("capabilities_add");
        let capabilities_drop = self.capabilities("capabilities_drop");
        let root = self.strict_flag("root");
        let privileged = self.strict_flag("privileged");
        let read_only = self.flag("read_only");
        let hostname = self.hostname();
        let networking = self.networking();
        let shm_size = self.shm_size();
        let restart = self.restart();
        self.docker_daemon_access();
        self.mounts();

        let failed = self
            .problems
            .iter()
            .any(|problem| problem.severity == Severity::Error);
        let config = match (application_id, application_version, source) {
            (Some(application_id), Some(application_version), Some(source)) if !failed => Some(Config {
                application_id,
                application_version,
                source,
                registry_auths,
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
                options: super::model::Options::default(),
                storage: super::model::Storage::default(),
                logging: super::model::Logging::default(),
                host: super::model::Host::default(),
                audit: super::model::Audit::default(),
                notify_cfn: None,
                load_balancer: None,
                shutdown: None,
                mint_bucket: None,
                boot_timeout: None,
                deployment_id: None,
            }),
            _ => None,
        };
        Outcome { config, notify_cfn }
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
