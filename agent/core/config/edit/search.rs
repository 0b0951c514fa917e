//! From a path as people write it to the value meant.
//!
//! Keys may hold dots themselves (`dockercfg.https://registry.example.org.auth`), so a path is not cut at its dots: it is
//! held against the keys that are there.

use super::EditError;
use super::locate::{Entry, Value, What};
use crate::config::nearest::nearest_of;
use crate::config::yaml::{Resolved, plain};
use crate::text;

/// The one value that a path means.
pub(super) struct Found<'v> {
    pub(super) path: Vec<String>,
    pub(super) entry: &'v Entry,
    /// A map on the way is used elsewhere too.
    pub(super) shared: bool,
}

/// The map that a new key belongs into.
pub(super) struct Parent<'v> {
    pub(super) path: Vec<String>,
    pub(super) value: &'v Value,
    pub(super) shared: bool,
}

/// Exactly one value, or why not.
pub(super) fn find<'v>(root: &'v Value, key: &str) -> Result<Found<'v>, EditError> {
    let mut found = Vec::new();
    all(root, key, &mut Vec::new(), root.anchored, &mut found);
    if found.len() > 1 {
        return Err(EditError::Ambiguous { key: key.to_owned() });
    }
    found.pop().ok_or_else(|| EditError::NotThere {
        key: key.to_owned(),
        hint: hint(root, key),
    })
}

fn all<'v>(map: &'v Value, key: &str, path: &mut Vec<String>, shared: bool, found: &mut Vec<Found<'v>>) {
    let What::Map(entries) = &map.what else {
        return;
    };
    for entry in entries {
        let Some(rest) = key.strip_prefix(&entry.key) else {
            continue;
        };
        path.push(entry.key.clone());
        if rest.is_empty() {
            found.push(Found {
                path: path.clone(),
                entry,
                shared,
            });
        } else if let Some(rest) = rest.strip_prefix('.') {
            all(&entry.value, rest, path, shared || entry.value.anchored, found);
        }
        path.pop();
    }
}

/// The map and the last key, where all but the last part is there; never the text's own map, where a key that is not
/// there is a slip.
pub(super) fn parent<'v, 'k>(root: &'v Value, key: &'k str) -> Option<(Parent<'v>, &'k str)> {
    let (above, name) = key.rsplit_once('.')?;
    if name.is_empty() {
        return None;
    }
    let Found { path, entry, shared } = find(root, above).ok()?;
    matches!(entry.value.what, What::Map(_)).then_some((
        Parent {
            path,
            value: &entry.value,
            shared,
        },
        name,
    ))
}

/// A key as it can be written, if it can.
pub(super) fn written_key(name: &str) -> Option<String> {
    let is_word = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_word && !name.starts_with('-') && plain(name) == Ok(Resolved::Str) {
        return Some(name.to_owned());
    }
    let quotable = name.chars().all(|c| !c.is_control() && c != '"' && c != '\\');
    quotable.then(|| format!("\"{name}\""))
}

/// What may have been meant; keys may be named.
fn hint(root: &Value, key: &str) -> String {
    let mut paths = Vec::new();
    leaves(root, "", &mut paths);
    let same_end = paths
        .iter()
        .find(|path| path.strip_suffix(key).is_some_and(|start| start.ends_with('.')));
    let near = same_end
        .map(String::as_str)
        .or_else(|| nearest_of(key, paths.iter().map(String::as_str)));
    match near {
        Some(near) => format!("; did you mean `{}`?", text::printable(near)),
        None if merges(root) => "; what a merge key (`<<`) brings in is not looked at".to_owned(),
        None => "; write it as in `environment.DB_PASSWORD`".to_owned(),
    }
}

fn leaves(value: &Value, above: &str, paths: &mut Vec<String>) {
    let What::Map(entries) = &value.what else {
        return;
    };
    for entry in entries {
        let path = if above.is_empty() {
            entry.key.clone()
        } else {
            format!("{above}.{}", entry.key)
        };
        match entry.value.what {
            What::Map(_) => leaves(&entry.value, &path, paths),
            What::Scalar(_) => paths.push(path),
            What::Seq | What::Alias => {}
        }
    }
}

fn merges(value: &Value) -> bool {
    match &value.what {
        What::Map(entries) => entries
            .iter()
            .any(|entry| entry.key == "<<" || merges(&entry.value)),
        What::Scalar(_) | What::Seq | What::Alias => false,
    }
}
