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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::edit::read;

    fn differs(old: &str, new: &str, is_new: bool) -> bool {
        let path = ["e".to_owned(), "A".to_owned()];
        let change = Change {
            path: &path,
            value: "new",
            is_new,
        };
        differs_only(&read(old).unwrap(), &read(new).unwrap(), &[change])
    }

    #[test]
    fn the_change_and_nothing_else() {
        let old = "e: {A: old, B: &b x}\nc: [1, {e: {A: old}}]\nd: *b\n";
        assert!(differs(old, &old.replacen("old", "\"new\"", 1), false));
        for (what, new) in [
            ("not the value", old.replacen("old", "'newer'", 1)),
            ("a number", old.replacen("old", "12", 1)),
            ("in a list too", old.replace("old", "new")),
            ("another value", old.replacen("old", "new", 1).replace('x', "y")),
            (
                "a key less",
                old.replacen("old, B: &b x", "new", 1).replace("*b", "x"),
            ),
            ("a key more", old.replacen("old,", "new, C: 1,", 1)),
            ("another key", old.replacen("old, B", "new, C", 1)),
            (
                "quotes elsewhere",
                old.replacen("old", "new", 1).replace("[1,", "['1',"),
            ),
            ("an item less", old.replacen("old", "new", 1).replace("1, ", "")),
        ] {
            assert!(!differs(old, &new, false), "{what}: {new}");
        }
    }

    #[test]
    fn a_new_key_and_nothing_else() {
        let old = "e: {B: x}\n";
        assert!(differs(old, "e: {A: new, B: x}\n", true));
        assert!(!differs(old, "e: {A: new}\n", true));
        assert!(!differs(old, "e: {A: new, B: x, C: y}\n", true));
    }
}
