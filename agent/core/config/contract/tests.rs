use std::collections::BTreeSet;

use super::*;

/// Every key with its path, inner ones too.
fn all() -> Vec<(String, &'static Key)> {
    fn inside(path: &str, shape: &'static Shape, out: &mut Vec<(String, &'static Key)>) {
        match shape {
            Shape::Object(keys) => keys.iter().for_each(|key| add(&format!("{path}."), key, out)),
            Shape::Map { value, .. } => inside(&format!("{path}.*"), value, out),
            Shape::List(item) => inside(path, item, out),
            Shape::Either(shapes) => shapes.iter().for_each(|shape| inside(path, shape, out)),
            _ => {}
        }
    }
    fn add(before: &str, key: &'static Key, out: &mut Vec<(String, &'static Key)>) {
        let path = format!("{before}{}", key.name);
        out.push((path.clone(), key));
        inside(&path, &key.shape, out);
    }
    let mut out = Vec::new();
    keys().for_each(|key| add("", key, &mut out));
    POLICY.iter().for_each(|key| add("policy.", key, &mut out));
    out
}

#[test]
fn every_key_stands_once_and_is_explained() {
    let all = all();
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
