//! Finding what was meant: the key or the word closest to a typo.

use super::contract::{self, Fate};

/// The fate of a key of the top level; `None` when nobody knows it.
pub(super) fn fate(name: &str) -> Option<Fate> {
    contract::top(name).map(|key| key.fate)
}

/// The known key closest to a typo.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    nearest_of(
        name,
        contract::keys()
            .map(|key| key.name)
            .filter(|known| !known.ends_with('*')),
    )
}

/// The candidate closest to `name`, if one is close enough to be meant: a third of the letters may differ.
pub(super) fn nearest_of<'k>(name: &str, candidates: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let limit = (name.chars().count() / 3).clamp(1, 4);
    candidates
        .map(|known| {
            (
                strsim::damerau_levenshtein(&name, &known.to_ascii_lowercase()),
                known,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_typo_finds_its_key_and_a_private_key_finds_none() {
        for (typo, key) in [
            ("heath_check_path", "health_check_path"),
            ("sorce", "source"),
            ("enviroment", "environment"),
            ("port", "ports"),
            ("Application-Id", "application_id"),
            ("volume", "volumes"),
            ("notify_cf", "notify_cfn"),
        ] {
            assert_eq!(nearest(typo), Some(key), "{typo}");
        }
        for private in ["my_team_dashboard", "x", "stack", "image", "foo"] {
            assert_eq!(nearest(private), None, "{private}");
        }
    }
}
