//! Keys that are not part of the configuration: refused, passed over, retired, unknown.

use super::super::keys::{self, Fate};
use super::super::problem::{Code, Problem};
use super::super::yaml::{Entry, Kind, Resolved};
use super::Checker;
use super::field::Field;

impl Checker<'_> {
    /// Says what becomes of every key that has no check of its own.
    pub(super) fn fates(&mut self) {
        for entry in self.entries {
            let field = Field::top(entry);
            let name = &entry.name;
            let problem = match keys::fate(name) {
                Some(Fate::Read) => continue,
                Some(Fate::Refused(_) | Fate::NoEffectYet) if asks_for_nothing(&field) => continue,
                Some(Fate::Refused(why)) => not_available(&field, why),
                Some(Fate::NoEffectYet) => Problem::warning(
                    Code::NoEffectYet,
                    format!("`{name}` is known, but not available in this version: it has no effect"),
                ),
                Some(Fate::Retired(instead)) => Problem::warning(
                    Code::Retired,
                    format!("the service behind `{name}` is gone: it has no effect"),
                )
                .help(format!("remove it; instead: {instead}")),
                None => unknown(name),
            };
            self.report(problem.at(entry.place).key(name.as_str()));
        }
    }

    /// The engine's socket: any string counted as true once.
    pub(super) fn docker_daemon_access(&mut self) {
        let Some(field) = self.field("docker_daemon_access") else {
            return;
        };
        if self.take(field.strict_flag()) == Some(true) {
            self.report(not_available(
                &field,
                "the app would not find the socket it was built for",
            ));
        }
    }

    /// Refused as a whole, but a dangerous mistake inside is named first.
    pub(super) fn mounts(&mut self) {
        let Some(field) = self.field("mounts").filter(|field| !asks_for_nothing(field)) else {
            return;
        };
        let mounts = self.take(field.entries()).unwrap_or_default();
        for mount in mounts {
            let mount = field.child(mount);
            let options = mount.entries().unwrap_or_default();
            for option in options.iter().filter(|option| option.name == "erase_on_boot") {
                let option = mount.child(option);
                if !option.is_null() && !option.is_broken() {
                    self.take(option.strict_flag());
                }
            }
        }
        self.report(not_available(
            &field,
            "an app booted without its volume loses data",
        ));
    }
}

/// Reports the keys of an inner map that nobody reads.
pub(super) fn unknown_inside(
    field: &Field<'_>,
    entries: &[Entry],
    known: &[&str],
    problems: &mut Vec<Problem>,
) {
    for entry in entries
        .iter()
        .filter(|entry| !known.contains(&entry.name.as_str()))
    {
        let message = format!("nobody knows the key `{}` inside `{}`", entry.name, field.path);
        let mut problem = Problem::warning(Code::UnknownKey, message)
            .at(entry.place)
            .key(format!("{}.{}", field.path, entry.name));
        if let Some(known) = keys::nearest_of(&entry.name, known.iter().copied()) {
            problem = problem.help(format!("did you mean `{known}`?"));
        }
        problems.push(problem);
    }
}

fn not_available(field: &Field<'_>, why: &str) -> Problem {
    Problem::error(Code::NotAvailable, format!("`{}` is not available yet: {why}", field.path))
        .at(field.key_place)
        .key(field.path.clone())
        .help("stay on the image you have until this version of monopod does it, or remove the key if you don't need it")
}

fn unknown(name: &str) -> Problem {
    let problem = Problem::warning(
        Code::UnknownKey,
        format!("nobody knows the key `{name}`: it has no effect"),
    );
    match keys::nearest(name) {
        Some(known) => problem.help(format!("did you mean `{known}`?")),
        None => problem,
    }
}

/// Null, false, an empty list or map: leaving the key without effect is what was asked for.
fn asks_for_nothing(field: &Field<'_>) -> bool {
    match &field.node.kind {
        Kind::Scalar(scalar) => matches!(scalar.value, Resolved::Null | Resolved::Bool(false)),
        Kind::Seq(nodes) => nodes.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Broken | Kind::Hole => false,
    }
}
