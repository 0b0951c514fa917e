//! Whether two texts mean the same but for some values.

use crate::config::yaml::{Entry, Kind, Node, Resolved};

/// One value that may differ, and has to be this one.
pub(super) struct Change<'c> {
    pub(super) path: &'c [String],
    pub(super) value: &'c str,
    /// The old text does not have it.
    pub(super) is_new: bool,
}

/// The node at a path of keys as they are written.
pub(super) fn node<'n>(root: &'n Node, path: &[String]) -> Option<&'n Node> {
    path.iter().try_fold(root, |node, name| match &node.kind {
        Kind::Map(entries) => entries
            .iter()
            .find(|entry| entry.key.text == *name)
            .map(|entry| &entry.value),
        Kind::Scalar(_) | Kind::Seq(_) | Kind::Broken | Kind::Hole => None,
    })
}

/// Whether each change is there, and nothing else differs.
pub(super) fn differs_only(old: &Node, new: &Node, changes: &[Change<'_>]) -> bool {
    let all_there = changes
        .iter()
        .all(|change| node(new, change.path).is_some_and(|node| is_text(node, change.value)));
    all_there && same(old, new, &mut Vec::new(), changes)
}

fn is_text(node: &Node, text: &str) -> bool {
    matches!(&node.kind, Kind::Scalar(scalar) if scalar.value == Resolved::Str && scalar.text == text)
}

fn same<'n>(old: &'n Node, new: &'n Node, path: &mut Vec<&'n str>, changes: &[Change<'_>]) -> bool {
    if old.tag != new.tag {
        return false;
    }
    match (&old.kind, &new.kind) {
        (Kind::Scalar(old), Kind::Scalar(new)) => {
            old.text == new.text && old.value == new.value && old.plain == new.plain
        }
        (Kind::Seq(old), Kind::Seq(new)) => {
            // No change is below a list, whatever the keys in it are called.
            old.len() == new.len()
                && old
                    .iter()
                    .zip(new)
                    .all(|(old, new)| same(old, new, &mut Vec::new(), &[]))
        }
        (Kind::Map(old), Kind::Map(new)) => same_entries(old, new, path, changes),
        (Kind::Broken, Kind::Broken) | (Kind::Hole, Kind::Hole) => true,
        (Kind::Scalar(_) | Kind::Seq(_) | Kind::Map(_) | Kind::Broken | Kind::Hole, _) => false,
    }
}

fn same_entries<'n>(
    old: &'n [Entry],
    new: &'n [Entry],
    path: &mut Vec<&'n str>,
    changes: &[Change<'_>],
) -> bool {
    let mut old = old.iter();
    for entry in new {
        path.push(&entry.key.text);
        let change = changes.iter().find(|change| change.path == path.as_slice());
        let fits = match change {
            // It was looked at before.
            Some(change) if change.is_new => true,
            change => old.next().is_some_and(|before| {
                before.name == entry.name
                    && before.key.text == entry.key.text
                    && before.key.plain == entry.key.plain
                    && (change.is_some() || same(&before.value, &entry.value, path, changes))
            }),
        };
        path.pop();
        if !fits {
            return false;
        }
    }
    old.next().is_none()
}
