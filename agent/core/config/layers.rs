//! Several texts as one: the image's defaults, drop-ins in their order, and the user data on top.
//!
//! A key of a higher text takes the place of the lower one's. `environment` and `logging` merge by their inner keys,
//! because a team adds a variable to the image's; nothing else does. A key that is null on top is empty: leave it out
//! to have the lower value.

use super::yaml::{Entry, Kind, Node};

/// Maps whose inner keys are merged.
const MERGED: &[&str] = &["environment", "logging"];

/// Puts `upper` over `lower`.
pub(super) fn over(lower: Vec<Entry>, upper: Vec<Entry>) -> Vec<Entry> {
    let mut all = lower;
    // Two names for one thing.
    if upper
        .iter()
        .any(|entry| matches!(entry.name.as_str(), "command" | "args"))
    {
        all.retain(|entry| !matches!(entry.name.as_str(), "command" | "args"));
    }
    for entry in upper {
        let Some(below) = all.iter_mut().find(|below| below.name == entry.name) else {
            all.push(entry);
            continue;
        };
        *below = if MERGED.contains(&entry.name.as_str()) {
            merged(below, entry)
        } else {
            entry
        };
    }
    all
}

fn merged(below: &mut Entry, above: Entry) -> Entry {
    let Node {
        place,
        end,
        tag,
        kind,
    } = above.value;
    let kind = match (&mut below.value.kind, kind) {
        (Kind::Map(lower), Kind::Map(upper)) => {
            let mut inner = std::mem::take(lower);
            for entry in upper {
                // `80` and `'80'` are two keys to YAML, and one to everybody who reads these maps.
                inner.retain(|one| one.name != entry.name);
                inner.push(entry);
            }
            Kind::Map(inner)
        }
        (_, kind) => kind,
    };
    Entry {
        value: Node {
            place,
            end,
            tag,
            kind,
        },
        name: above.name,
        key: above.key,
        place: above.place,
        end: above.end,
    }
}
