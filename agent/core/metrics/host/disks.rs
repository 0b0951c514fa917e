//! Disks: what they read and wrote, and how long it took.

use super::{Collected, Texts, any, number, scaled, words};
use crate::metrics::text::{Exposition, Kind, Number};

/// Of the kernel's, whatever the disk's own are.
const SECTOR: u64 = 512;

/// A column of `/proc/diskstats`, counted from zero, and what is made of it.
struct Row(&'static str, usize, Unit, &'static str);

#[derive(Clone, Copy)]
enum Unit {
    Count,
    Now,
    Sectors,
    Milliseconds,
}

const ROWS: [Row; 17] = [
    Row(
        "reads_completed_total",
        3,
        Unit::Count,
        "The total number of reads completed successfully.",
    ),
    Row(
        "reads_merged_total",
        4,
        Unit::Count,
        "The total number of reads merged.",
    ),
    Row(
        "read_bytes_total",
        5,
        Unit::Sectors,
        "The total number of bytes read successfully.",
    ),
    Row(
        "read_time_seconds_total",
        6,
        Unit::Milliseconds,
        "The total number of seconds spent by all reads.",
    ),
    Row(
        "writes_completed_total",
        7,
        Unit::Count,
        "The total number of writes completed successfully.",
    ),
    Row(
        "writes_merged_total",
        8,
        Unit::Count,
        "The number of writes merged.",
    ),
    Row(
        "written_bytes_total",
        9,
        Unit::Sectors,
        "The total number of bytes written successfully.",
    ),
    Row(
        "write_time_seconds_total",
        10,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all writes.",
    ),
    Row(
        "io_now",
        11,
        Unit::Now,
        "The number of I/Os currently in progress.",
    ),
    Row(
        "io_time_seconds_total",
        12,
        Unit::Milliseconds,
        "Total seconds spent doing I/Os.",
    ),
    Row(
        "io_time_weighted_seconds_total",
        13,
        Unit::Milliseconds,
        "The weighted # of seconds spent doing I/Os.",
    ),
    Row(
        "discards_completed_total",
        14,
        Unit::Count,
        "The total number of discards completed successfully.",
    ),
    Row(
        "discards_merged_total",
        15,
        Unit::Count,
        "The total number of discards merged.",
    ),
    Row(
        "discarded_sectors_total",
        16,
        Unit::Count,
        "The total number of sectors discarded successfully.",
    ),
    Row(
        "discard_time_seconds_total",
        17,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all discards.",
    ),
    Row(
        "flush_requests_total",
        18,
        Unit::Count,
        "The total number of flush requests completed successfully",
    ),
    Row(
        "flush_requests_time_seconds_total",
        19,
        Unit::Milliseconds,
        "This is the total number of seconds spent by all flush requests.",
    ),
];

pub(super) fn write(texts: &Texts, out: &mut Exposition) -> Collected {
    let disks: Vec<Vec<&str>> = texts
        .diskstats
        .as_deref()?
        .lines()
        .map(words)
        .filter(|disk| disk.get(2).is_some_and(|name| !is_left_out(name)))
        .collect();
    let mut gave = false;
    for Row(name, column, unit, help) in ROWS {
        let name = format!("node_disk_{name}");
        let kind = match unit {
            Unit::Now => Kind::Gauge,
            Unit::Count | Unit::Sectors | Unit::Milliseconds => Kind::Counter,
        };
        let mut metric = out.metric(&name, kind, help);
        for disk in &disks {
            let (Some(device), Some(value)) = (disk.get(2), number(disk, column)) else {
                continue;
            };
            let value: Number = match unit {
                Unit::Count | Unit::Now => value.into(),
                Unit::Sectors => value.saturating_mul(SECTOR).into(),
                Unit::Milliseconds => scaled(value, 1000).into(),
            };
            metric.sample(&[("device", device)], value);
            gave = true;
        }
    }
    any(gave)
}

/// node_exporter's `^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$`: partitions, and what is no disk.
fn is_left_out(name: &str) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == name.len() {
        return false;
    }
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let nvme = stem
        .strip_prefix("nvme")
        .and_then(|rest| rest.strip_suffix('p'))
        .and_then(|rest| rest.split_once('n'));
    let scsi = ["hd", "sd", "vd", "xvd"].iter().any(|start| {
        stem.strip_prefix(start)
            .is_some_and(|rest| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_lowercase()))
    });
    matches!(stem, "ram" | "zram" | "loop" | "fd")
        || scsi
        || nvme.is_some_and(|(controller, namespace)| digits(controller) && digits(namespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_disks_and_arrays_count() {
        for (name, left_out) in [
            ("nvme0n1", false),
            ("nvme0n1p1", true),
            ("nvme12n1p128", true),
            ("xvda", false),
            ("xvda1", true),
            ("sdaa1", false),
            ("sda14", true),
            ("vda", false),
            ("md0", false),
            ("dm-0", false),
            ("loop7", true),
            ("zram0", true),
            ("sr0", false),
        ] {
            assert_eq!(is_left_out(name), left_out, "{name}");
        }
    }
}
