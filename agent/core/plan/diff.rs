//! Two plans compared: what changes, and whether the container is replaced.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;

use super::{Plan, VALUE_WIDTH};
use crate::text;

/// What is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Whether a machine that runs the old plan's container replaces it under the new one.
    pub replaces_container: bool,
    /// In the order of their paths.
    pub changes: Vec<Change>,
}

/// One value that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Where in the plan's JSON, with dots.
    pub path: String,
    /// As it was; `None` where it was not.
    pub old: Option<String>,
    /// As it is; `None` where it is no more.
    pub new: Option<String>,
}

impl Difference {
    /// Compares what two plans show of themselves. Warnings are about texts, not about machines, and are left out.
    pub fn new(old: &Plan, new: &Plan) -> Self {
        let (old_leaves, new_leaves) = (leaves(old), leaves(new));
        let mut changes = Vec::new();
        for (path, was) in &old_leaves {
            let is = new_leaves.get(path);
            if is != Some(was) {
                changes.push(Change {
                    path: path.clone(),
                    old: Some(was.clone()),
                    new: is.cloned(),
                });
            }
        }
        for (path, is) in new_leaves
            .iter()
            .filter(|(path, _)| !old_leaves.contains_key(*path))
        {
            changes.push(Change {
                path: path.clone(),
                old: None,
                new: Some(is.clone()),
            });
        }
        changes.sort_by(|one, other| one.path.cmp(&other.path));
        Self {
            // A tag may resolve to another digest at any time; that is the machine's to see, not the text's.
            replaces_container: old.intent != new.intent,
            changes,
        }
    }

    /// Whether nothing is different.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && !self.replaces_container
    }

    /// For people: `-` and `+` lines, then the verdict.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for Change { path, old, new } in &self.changes {
            for (sign, value) in [('-', old), ('+', new)] {
                if let Some(value) = value {
                    // Writing to a String cannot fail.
                    let _ok = writeln!(out, "{sign} {path}: {}", text::one_line(value, VALUE_WIDTH)).is_ok();
                }
            }
        }
        out.push_str(match (self.changes.is_empty(), self.replaces_container) {
            (_, true) => "The container is replaced: a machine started again with the new file removes the old one first.\n",
            (false, false) => "The container stays: nothing of this is part of it.\n",
            (true, false) => "The two plans are the same.\n",
        });
        out
    }
}

/// Every value by its path; items of a list are their own path, so that their order plays no part.
fn leaves(plan: &Plan) -> BTreeMap<String, String> {
    let mut json = plan.to_json();
    if let Some(map) = json.as_object_mut() {
        for about_the_text in ["warnings", "refused", "steps", "origins"] {
            map.remove(about_the_text);
        }
    }
    let mut out = BTreeMap::new();
    collect(String::new(), &json, &mut out);
    out
}

fn collect(path: String, value: &Value, out: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                collect(path, value, out);
            }
        }
        Value::Array(items) if items.iter().all(|item| item.is_string()) && is_a_set(&path) => {
            for item in items.iter().filter_map(Value::as_str) {
                out.insert(format!("{path}[{item}]"), "yes".to_owned());
            }
        }
        Value::Null => {}
        Value::String(text) => {
            out.insert(path, text.clone());
        }
        other => {
            out.insert(path, other.to_string());
        }
    }
}

/// Lists whose order means nothing.
fn is_a_set(path: &str) -> bool {
    matches!(
        path,
        "container.ports" | "container.capabilities_add" | "container.capabilities_drop"
    )
}
