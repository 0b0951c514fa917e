//! The users that a cloud image brings, and when cloud-init has written their keys.

use serde_json::Value;

/// Users that cloud images make, by the distributions' names for them.
const KNOWN: &[&str] = &[
    "admin",
    "alpine",
    "almalinux",
    "arch",
    "bitnami",
    "centos",
    "cloud-user",
    "debian",
    "ec2-user",
    "fedora",
    "opensuse",
    "rocky",
    "ubuntu",
];

/// The home directories of the cloud image's own users: those of known names, and those that cloud-init let become root.
/// Never root's own.
pub fn homes(passwd: &str, sudoers: &str) -> Vec<(String, String)> {
    let made: Vec<&str> = sudoers
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', '%']))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            let uid: u32 = fields.nth(1)?.parse().ok()?;
            let home = fields.nth(2)?;
            let is_theirs = KNOWN.contains(&name) || made.contains(&name);
            (is_theirs && uid >= 1000 && home.starts_with("/home/"))
                .then(|| (name.to_owned(), home.to_owned()))
        })
        .collect()
}

/// Whether cloud-init writes no key any more in this boot: it is off, or the stage that makes users is over.
///
/// `enabled` is whether its generator switched it on, `status` its own status.json.
pub fn is_past_keys(enabled: bool, status: Option<&str>) -> bool {
    if !enabled {
        return true;
    }
    let status: Option<Value> = status.and_then(|text| serde_json::from_str(text).ok());
    // A number once the stage is over, null before.
    status.is_some_and(|status| status.pointer("/v1/init/finished").is_some_and(Value::is_number))
}
