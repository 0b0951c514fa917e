//! What has changed among the files the agent goes by: paths and hashes in, paths out.

use std::collections::BTreeMap;

use super::{Notice, What};

/// More changes at once are told as a number.
pub const MOST: usize = 20;

/// Path and hash of what is in it.
pub type Hashes = BTreeMap<String, String>;

/// What differs, in the order of the paths.
pub fn changes(before: &Hashes, now: &Hashes) -> Vec<(String, &'static str)> {
    let mut all: Vec<(String, &'static str)> = Vec::new();
    for (path, hash) in now {
        match before.get(path) {
            None => all.push((path.clone(), "new")),
            Some(old) if old != hash => all.push((path.clone(), "changed")),
            Some(_) => {}
        }
    }
    let gone = before.keys().filter(|path| !now.contains_key(*path));
    all.extend(gone.map(|path| (path.clone(), "gone")));
    all.sort();
    all
}

/// The notices of it; what is too much for one look is told by number.
pub fn notices(changes: &[(String, &'static str)], boot_id: &str, at: u64) -> Vec<Notice> {
    let each = changes.iter().take(MOST).map(|(path, how)| {
        let name: String = path
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        // The moment is in it: a file that gets an earlier content again has changed again.
        let id = format!("f-{boot_id}-{at}-{}", name.trim_matches('-'));
        let path = path.clone();
        Notice::new(id, at, What::FileChanged { path, how })
    });
    let more = changes.len().saturating_sub(MOST);
    let rest = (more > 0).then(|| {
        let text = format!("{more} more files under the agent's configuration have changed at once");
        Notice::new(format!("f-{boot_id}-{at}-more"), at, What::Unseen { text })
    });
    each.chain(rest).collect()
}
