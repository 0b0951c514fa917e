//! What becomes of keys that are not part of the container: later, refused, gone, unknown.

use super::super::contract::{self, Fate};
use super::super::keys;
use super::super::problem::{Code, Problem};
use super::super::yaml::{Entry, Kind, Resolved};
use super::Checker;
use super::field::Field;

impl Checker<'_> {
    /// One problem for each key that has no effect.
    pub(super) fn fates(&mut self) {
        for entry in self.entries {
            let name = &entry.name;
            let field = Field::top(entry);
            let problem = match contract::top(name).map(|key| key.fate) {
                Some(Fate::Read) => continue,
                Some(_) if asks_for_nothing(&field) => continue,
                Some(Fate::Refused(_)) if self.is_old_layout(&field) => continue,
                Some(Fate::Refused(why)) => not_available(&field, why),
                Some(Fate::Later(lost)) => Problem::warning(
                    Code::NoEffectYet,
                    format!("`{name}` is known, but has no effect in this version: {lost}"),
                ),
                Some(Fate::Retired(instead)) => Problem::warning(
                    Code::Retired,
                    format!("the service behind `{name}` is gone: it has no effect"),
                )
                .help(format!("remove it; instead: {instead}")),
                None => self.unknown(entry),
            };
            self.report(problem.at(entry.place).key(name.as_str()));
        }
    }

    /// Nothing is lost by booting without what Taupage ignored too.
    fn is_old_layout(&self, field: &Field<'_>) -> bool {
        field.path == "volumes"
            && field
                .entries()
                .is_ok_and(|entries| entries.iter().any(|entry| entry.name.starts_with("/dev/")))
    }

    fn unknown(&self, entry: &Entry) -> Problem {
        let name = &entry.name;
        let problem = self.unknown_key(format!("nobody knows the key `{name}`: it has no effect"));
        match keys::nearest(name) {
            Some(known) => problem.help(format!("did you mean `{known}`?")),
            None if problem.help.is_none() => {
                problem.help("remove it, unless your application reads it from the user data itself")
            }
            None => problem,
        }
    }

    /// A warning, or an error where somebody wants it so.
    pub(super) fn unknown_key(&self, message: String) -> Problem {
        match &self.deny_unknown {
            None => Problem::warning(Code::UnknownKey, message),
            Some(None) => Problem::error(Code::UnknownKey, message),
            Some(Some(rule)) => {
                Problem::error(Code::UnknownKey, message).because("unknown keys are denied here", *rule)
            }
        }
    }
}

fn not_available(field: &Field<'_>, why: &str) -> Problem {
    Problem::error(Code::NotAvailable, format!("`{}` is not available yet: {why}", field.path))
        .at(field.key_place)
        .key(field.path.clone())
        .help("stay on the image you have until a later version of monopod does it, or remove the key if you don't need it")
}

/// Null, false, an empty list or map: leaving the key without effect is what was asked for.
pub(super) fn asks_for_nothing(field: &Field<'_>) -> bool {
    match &field.node.kind {
        Kind::Scalar(scalar) => match scalar.value {
            Resolved::Null | Resolved::Bool(false) => true,
            // An empty account key has always meant off.
            Resolved::Str => scalar.text.is_empty(),
            _ => false,
        },
        Kind::Seq(nodes) => nodes.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Broken | Kind::Hole => false,
    }
}
