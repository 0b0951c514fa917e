//! Memory and what it is used for.

use super::{Collected, Texts, any};
use crate::metrics::text::{Exposition, Kind};

/// Every line, as node_exporter has it: the kernel's name, brackets made underscores, `_bytes` for what has a unit.
pub(super) fn meminfo(texts: &Texts, out: &mut Exposition) -> Collected {
    let mut gave = false;
    for line in texts.meminfo.as_deref()?.lines() {
        let Some((key, rest)) = line.split_once(':') else {
            continue;
        };
        let mut words = rest.split_ascii_whitespace();
        let value = words.next().and_then(|word| word.parse::<u64>().ok());
        let (unit, factor) = match words.next() {
            Some("kB") => ("_bytes", 1024),
            // A line that ends in the middle of its unit.
            Some(_) => continue,
            None if UNITLESS.contains(&key) => ("", 1),
            None => continue,
        };
        let key = key.replace('(', "_").replace(')', "");
        let is_name = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Some(value) = value
            .and_then(|value| value.checked_mul(factor))
            .filter(|_| is_name)
        else {
            continue;
        };
        let name = format!("node_memory_{key}{unit}");
        let help = format!("Memory information field {key}{unit}.");
        out.single(&name, Kind::Gauge, &help, Some(value));
        gave = true;
    }
    any(gave)
}

/// Counted in pages of a size of its own.
const UNITLESS: [&str; 4] = [
    "HugePages_Total",
    "HugePages_Free",
    "HugePages_Rsvd",
    "HugePages_Surp",
];

/// Those that node_exporter takes: `^(oom_kill|pgpg|pswp|pg.*fault).*`.
pub(super) fn vmstat(texts: &Texts, out: &mut Exposition) -> Collected {
    let mut gave = false;
    for line in texts.vmstat.as_deref()?.lines() {
        let Some((key, value)) = line.split_once(' ') else {
            continue;
        };
        let wanted = ["oom_kill", "pgpg", "pswp"]
            .iter()
            .any(|start| key.starts_with(start))
            || key.strip_prefix("pg").is_some_and(|rest| rest.contains("fault"));
        let is_name = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let Some(value) = value.parse::<u64>().ok().filter(|_| wanted && is_name) else {
            continue;
        };
        let name = format!("node_vmstat_{key}");
        let help = format!("/proc/vmstat information field {key}.");
        out.single(&name, Kind::Untyped, &help, Some(value));
        gave = true;
    }
    any(gave)
}
