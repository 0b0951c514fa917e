//! Finding what was meant: the key or the word closest to a typo.

use super::contract::{self, Fate};
pub(super) use super::nearest::nearest_of;

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
            ("image", "source"),
            ("mem_limit", "memory"),
        ] {
            assert_eq!(nearest(typo), Some(key), "{typo}");
        }
        for private in ["my_team_dashboard", "x", "stack", "foo"] {
            assert_eq!(nearest(private), None, "{private}");
        }
    }
}
