//! Readings that report what is wrong and what is doubtful: one for each kind of value in the contract.

use super::super::contract::{Fate, Key};
use super::super::keys::nearest_of;
use super::super::problem::{Code, Problem};
use super::super::yaml::Entry;
use super::Checker;
use super::field::Field;
use crate::secret::SecretSource;

/// A map with known keys.
pub(super) struct Section<'c> {
    field: Field<'c>,
    entries: &'c [Entry],
}

impl<'c> Section<'c> {
    /// A key that stands there, null or to be filled in later as it may be, and where.
    pub(super) fn stands(&self, name: &str) -> Option<Field<'c>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(self.field.child(entry))
    }

    /// A key's value, unless it is missing, null, already reported, or filled in later.
    pub(super) fn get(&self, name: &str) -> Option<Field<'c>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(self.field.child(entry)).filter(|field| !field.is_null() && !field.is_broken())
    }
}

impl Checker<'_> {
    /// The map's keys, unknown and retired ones reported.
    pub(super) fn section<'f>(&mut self, field: Field<'f>) -> Option<Section<'f>> {
        let entries = self.take(field.entries())?;
        let known = field.shape.known();
        for entry in entries {
            let child = field.child(entry);
            match known.iter().find(|key| key.matches(&entry.name)) {
                None => self.unknown_inside(&child, entry, known),
                Some(Key {
                    fate: Fate::Retired(instead),
                    ..
                }) if !super::fates::asks_for_nothing(&child) => {
                    let message = format!("what is behind `{}` is gone: it has no effect", child.path);
                    let problem = Problem::warning(Code::Retired, message)
                        .at(entry.place)
                        .key(child.path);
                    self.report(problem.help(format!("remove it; instead: {instead}")));
                }
                Some(_) => {}
            }
        }
        for key in known.iter().filter(|key| key.required) {
            match entries.iter().find(|entry| entry.name == key.name) {
                Some(entry) if !field.child(entry).is_null() => {}
                _ => {
                    let message = format!("`{}` has no `{}`", field.path, key.name);
                    let problem = Problem::error(Code::Missing, message)
                        .at(field.key_place)
                        .key(field.path.clone());
                    self.report(problem.help(format!("write `{}` below it", key.example)));
                }
            }
        }
        Some(Section { field, entries })
    }

    fn unknown_inside(&mut self, child: &Field<'_>, entry: &Entry, known: &'static [Key]) {
        let inside = child
            .path
            .strip_suffix(&entry.name)
            .unwrap_or_default()
            .trim_end_matches('.');
        let message = format!(
            "nobody knows the key `{}` inside {}: it has no effect",
            entry.name,
            if inside.is_empty() {
                "the policy".to_owned()
            } else {
                format!("`{inside}`")
            }
        );
        let names = known
            .iter()
            .map(|key| key.name)
            .filter(|name| !name.ends_with('*'));
        let problem = self.unknown_key(message).at(entry.place).key(child.path.clone());
        self.report(match nearest_of(&entry.name, names) {
            Some(known) => problem.help(format!("did you mean `{known}`?")),
            None => problem,
        });
    }

    pub(super) fn text(&mut self, field: &Field<'_>) -> Option<String> {
        let read = self.take(field.text())?;
        Some(self.warned(read))
    }

    /// A string that says something: an empty one is as if it were left out, with a warning.
    pub(super) fn word(&mut self, field: &Field<'_>) -> Option<String> {
        let text = self.text(field)?;
        if text.trim().is_empty() {
            let message = format!("`{}` is empty, which is as if it were left out", field.path);
            self.report(field.warning(Code::NothingSaid, message));
            return None;
        }
        Some(text)
    }

    pub(super) fn read_flag(&mut self, field: &Field<'_>) -> Option<bool> {
        let read = self.take(field.flag())?;
        Some(self.warned(read))
    }

    pub(super) fn read_number(&mut self, field: &Field<'_>) -> Option<u32> {
        self.take(field.number())
    }

    pub(super) fn choice(&mut self, field: &Field<'_>) -> Option<&'static str> {
        let read = self.take(field.choice())?;
        Some(self.warned(read))
    }

    pub(super) fn read_secret(&mut self, field: &Field<'_>) -> Option<SecretSource> {
        self.take_secret(field.secret())
    }

    /// Every entry of a map whose keys the user chose, null values left out.
    pub(super) fn children<'f>(&mut self, field: &Field<'f>) -> Vec<(&'f Entry, Field<'f>)> {
        let entries = self.take(field.entries()).unwrap_or_default();
        entries
            .iter()
            .map(|entry| (entry, field.child(entry)))
            .filter(|(_, child)| !child.is_null() && !child.is_broken())
            .collect()
    }

    /// Every item of a list that is there.
    pub(super) fn list<'f>(&mut self, field: &Field<'f>) -> Vec<Field<'f>> {
        let items = self.take(field.items()).unwrap_or_default();
        items
            .into_iter()
            .filter(|item| !item.is_null() && !item.is_broken())
            .collect()
    }

    /// A path that begins at the root and is written in one way only, so that two of them can be compared.
    pub(super) fn absolute(
        &mut self,
        path: &str,
        problem: impl FnOnce(String) -> Problem,
        key: &str,
    ) -> bool {
        let wrong = if !path.starts_with('/') {
            Some("an absolute path")
        } else if path == "/" {
            Some("a path below `/`")
        } else if path.split('/').any(|part| part == ".." || part == ".") {
            Some("a path without `.` and `..`")
        } else if path.contains("//") || path.ends_with('/') {
            Some("a path with single slashes and none at its end")
        } else if path.contains(|c: char| c.is_control()) {
            Some("a path without control characters")
        } else {
            None
        };
        if let Some(wanted) = wrong {
            self.report(
                problem(format!("`{key}` needs {wanted}")).help(format!("write it like `/var/lib/{key}`")),
            );
        }
        wrong.is_none()
    }
}
