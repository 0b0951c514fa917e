use std::collections::BTreeSet;

use super::*;

#[test]
fn every_key_stands_once_and_is_explained() {
    let policy = every_policy()
        .into_iter()
        .map(|path| (format!("policy.{}", path.dotted), path.key()));
    let all: Vec<(String, &Key)> = every()
        .into_iter()
        .map(|path| (path.dotted.clone(), path.key()))
        .chain(policy)
        .collect();
    let names: BTreeSet<&str> = all.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names.len(), all.len());
    for (path, key) in all {
        assert!(key.summary.ends_with('.'), "{path}");
        let is_gone = matches!(key.fate, Fate::Retired(_));
        assert_eq!(key.example.is_empty(), is_gone, "{path}");
        assert!(key.taupage.is_empty() || key.taupage.ends_with('.'), "{path}");
    }
}

#[test]
fn a_key_is_found_by_its_path() {
    for (path, name) in [
        ("source", "source"),
        ("newrelic_account_key", "newrelic_*"),
        ("logging.s3_bucket", "s3_bucket"),
        ("mounts.*.filesystem", "filesystem"),
        ("mounts./data.erase_on_boot", "erase_on_boot"),
        ("dockercfg.*.auth", "auth"),
        ("ulimits.*.soft", "soft"),
        ("environment.DB_PASSWORD", "environment"),
        (
            "logging.scalyr_agent_applog_sampling.sampling_rate",
            "sampling_rate",
        ),
    ] {
        assert_eq!(find(path).map(|key| key.name), Some(name), "{path}");
    }
    for path in [
        "",
        "sourc",
        "logging.s3",
        "mounts.*.size",
        "source.x",
        "newrelic_",
    ] {
        assert!(find(path).is_none(), "{path}");
    }
}

#[test]
fn a_policy_s_key_is_found_by_its_path() {
    assert_eq!(find_policy("allow.root").map(|key| key.name), Some("root"));
    assert!(find_policy("root").is_none() && find_policy("allow.rot").is_none());
}
