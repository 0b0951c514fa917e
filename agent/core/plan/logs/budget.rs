//! One byte budget for everything that logs occupy, and who gets how much of it.
//!
//! Full disks were the most frequent outage, so the budget is the stronger: no size and no number of old files that
//! the user data asks for makes logs larger than it.
//!
//! ```text
//!                          without custom logs    with `mount_custom_log`
//! the engine's own files           1/2                     3/8       the spool: what a sink that is away can miss
//! application.log                  3/8                     1/4       with its old files
//! custom logs                       -                      1/4       all of /var/log-custom together
//! the machine's own                1/8                     1/8       the journal and rsyslog, which keep their own limits
//! ```

use crate::config::Logrotate;
use crate::logs::{Rotate, Split};
use crate::plan::container::LOG_MAX_FILES;

/// Bytes of everything unless `log_budget` says otherwise: a quarter of the smallest disk machines come with, and with
/// half of it for the engine ten minutes of 1.5 MB a second while a sink is away.
pub const LOG_BUDGET: u64 = 2 << 30;

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// Who gets how much of a budget.
pub fn split(budget: u64, custom_logs: bool) -> Split {
    // In eighths, so that nothing overflows and a byte of the rest may be lost.
    let eighths = |count: u64| budget / 8 * count;
    if custom_logs {
        Split {
            engine: eighths(3),
            application_log: eighths(2),
            custom_logs: eighths(2),
            machine: eighths(1),
        }
    } else {
        Split {
            engine: eighths(4),
            application_log: eighths(3),
            custom_logs: 0,
            machine: eighths(1),
        }
    }
}

/// Bytes of one of the engine's files.
pub fn engine_file(split: &Split) -> u64 {
    split.engine / u64::from(LOG_MAX_FILES)
}

/// What holds for files whose keys say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateDefaults {
    interval_seconds: u64,
    keep: u32,
}

/// application.log: weekly, four old files.
pub const APPLICATION: RotateDefaults = RotateDefaults {
    interval_seconds: 7 * DAY,
    keep: 4,
};

/// Files in /var/log-custom: daily, five old files.
pub const CUSTOM: RotateDefaults = RotateDefaults {
    interval_seconds: DAY,
    keep: 5,
};

/// When files are put aside, within `total` bytes.
pub fn rotate(asked: &Logrotate, defaults: RotateDefaults, total: u64) -> Rotate {
    let keep = asked.rotate.unwrap_or(defaults.keep);
    let size = asked.size.unwrap_or(256 * MIB).min(largest(total, keep));
    Rotate {
        size,
        interval_seconds: asked
            .interval
            .as_deref()
            .map_or(defaults.interval_seconds, seconds),
        keep: usize::try_from(keep).unwrap_or(usize::MAX),
        compress: !asked.disable_compress.unwrap_or_default(),
        delay_compress: !asked.disable_delaycompress.unwrap_or_default(),
        total,
    }
}

/// The largest that one file may become: where an old one is kept, there has to be room for it beside the new one.
const fn largest(total: u64, keep: u32) -> u64 {
    if keep == 0 { total } else { total / 2 }
}

/// Bytes that files take at their largest, those that are compressed aside: nobody knows what becomes of them.
pub fn wanted(asked: &Logrotate, defaults: RotateDefaults) -> u64 {
    let keep = asked.rotate.unwrap_or(defaults.keep);
    let as_they_are = match (asked.disable_compress, asked.disable_delaycompress) {
        (Some(true), _) => keep,
        (_, Some(true)) => 0,
        _ => keep.min(1),
    };
    let size = asked.size.unwrap_or(256 * MIB);
    size.saturating_mul(u64::from(as_they_are) + 1)
}

/// A month is 30 days, a year 365: nobody waits for the first of either.
fn seconds(interval: &str) -> u64 {
    match interval {
        "hourly" => HOUR,
        "daily" => DAY,
        "monthly" => 30 * DAY,
        "yearly" => 365 * DAY,
        _ => 7 * DAY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_never_more_than_the_whole() {
        for budget in [3 << 20, 100_000_007, LOG_BUDGET, u64::MAX] {
            for custom in [false, true] {
                let split = split(budget, custom);
                let parts = [
                    split.engine,
                    split.application_log,
                    split.custom_logs,
                    split.machine,
                ]
                .map(u128::from);
                let sum: u128 = parts.iter().sum();
                assert!(sum <= u128::from(budget), "{split:?}");
                assert!(u128::from(budget) - sum < 8, "{split:?}");
                assert_eq!(split.custom_logs > 0, custom);
                assert!(engine_file(&split) * u64::from(LOG_MAX_FILES) <= split.engine);
            }
        }
    }

    #[test]
    fn the_budget_is_stronger_than_sizes() {
        let asked = |size, rotate| Logrotate {
            size: Some(size),
            rotate: Some(rotate),
            ..Logrotate::default()
        };
        let size = |size, keep, total| rotate(&asked(size, keep), APPLICATION, total).size;
        assert_eq!(size(10 * MIB, 4, 100 * MIB), 10 * MIB);
        assert_eq!(
            size(80 * MIB, 4, 100 * MIB),
            50 * MIB,
            "an old one has to fit beside"
        );
        assert_eq!(size(80 * MIB, 0, 100 * MIB), 80 * MIB, "none is kept");
        assert_eq!(size(300 * MIB, 0, 100 * MIB), 100 * MIB);
        let all = rotate(&Logrotate::default(), APPLICATION, 1 << 30);
        assert_eq!(
            all,
            Rotate {
                size: 256 * MIB,
                interval_seconds: 7 * DAY,
                keep: 4,
                compress: true,
                delay_compress: true,
                total: 1 << 30,
            }
        );
    }

    #[test]
    fn what_is_asked_for_counts_files_as_they_are() {
        let mut asked = Logrotate::default();
        assert_eq!(wanted(&asked, APPLICATION), 512 * MIB, "the newest old one waits");
        asked.disable_delaycompress = Some(true);
        assert_eq!(wanted(&asked, APPLICATION), 256 * MIB);
        asked.disable_compress = Some(true);
        assert_eq!(wanted(&asked, APPLICATION), 5 * 256 * MIB);
    }

    #[test]
    fn intervals_are_seconds() {
        let all = ["hourly", "daily", "weekly", "monthly", "yearly"].map(seconds);
        assert_eq!(all, [3600, 86_400, 604_800, 2_592_000, 31_536_000]);
    }
}
