//! What a scrape tells beside the record: read when it is asked for, from files of the kernel's that answer at once.

use std::fs;
use std::path::Path;
use std::time::Duration;

use monopod_core::metrics::{Figures, Notices, Probes, Process};
use monopod_core::record::BootRecord;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::cgroup;
use crate::report::figures::Probed;

/// The figures of now. What can't be read is left out.
pub(super) fn gather(record: &BootRecord, probes: Probed, notices: Notices) -> Figures<'_> {
    Figures {
        record,
        container: record
            .container
            .as_ref()
            .and_then(|container| cgroup::usage(Path::new(cgroup::ROOT), &container.id)),
        probes: Some(counts(probes)),
        process: fs::read_to_string("/proc/self/stat")
            .ok()
            .map(|stat| process(&stat)),
        notices: Some(notices),
    }
}

fn counts(probes: Probed) -> Probes {
    let Probed {
        asked,
        failed,
        // The record says it, with what it is worth.
        last_ok: _,
        last_seconds,
    } = probes;
    Probes {
        asked,
        failed,
        last_seconds,
    }
}

/// proc(5): the fields of `stat` behind the name, which may hold spaces and brackets.
fn process(stat: &str) -> Process {
    let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
    let fields: Vec<&str> = behind.split_whitespace().collect();
    // The first of them is the third of all.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let ticks = positive(SysconfVar::CLK_TCK);
    let time = |ticks_used: u64| {
        let ticks = ticks?;
        Some(
            Duration::from_secs(ticks_used / ticks)
                + Duration::from_secs(1) * fraction(ticks_used, ticks) / 1000,
        )
    };
    let since_boot = field(22).and_then(time);
    Process {
        cpu: field(14)
            .zip(field(15))
            .and_then(|(user, system)| time(user + system)),
        resident: field(24)
            .zip(positive(SysconfVar::PAGE_SIZE))
            .map(|(pages, size)| pages * size),
        open_descriptors: fs::read_dir("/proc/self/fd")
            .ok()
            // One of them is this reading.
            .map(|all| all.count().saturating_sub(1) as u64),
        max_descriptors: getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft),
        started: since_boot
            .zip(booted_at())
            .map(|(since, boot)| (Duration::from_secs(boot) + since).as_secs_f64()),
    }
}

/// Thousandths of a second.
fn fraction(ticks_used: u64, ticks: u64) -> u32 {
    u32::try_from(ticks_used % ticks * 1000 / ticks).unwrap_or(0)
}

fn positive(what: SysconfVar) -> Option<u64> {
    let value = sysconf(what).ok()??;
    u64::try_from(value).ok().filter(|&value| value > 0)
}

/// When the machine booted, in seconds since the epoch.
fn booted_at() -> Option<u64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_brackets_moves_no_field() {
        let ticks = positive(SysconfVar::CLK_TCK).unwrap();
        let stat = format!(
            "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 {} {} 13 14 15 16 17 18 {} 20 3 22",
            ticks * 2,
            ticks / 2,
            ticks * 7
        );
        let process = process(&stat);
        assert_eq!(process.cpu, Some(Duration::from_millis(2_500)));
        let page = positive(SysconfVar::PAGE_SIZE).unwrap();
        assert_eq!(process.resident, Some(3 * page));
        assert!(process.started.is_some());
    }

    #[test]
    fn the_figures_are_this_process_s_own() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        let process = process(&stat);
        let resident = process.resident.unwrap();
        assert!((1 << 20..1 << 34).contains(&resident), "{resident}");
        assert!(process.open_descriptors.unwrap() >= 3);
        assert!(process.max_descriptors.unwrap() >= process.open_descriptors.unwrap());
        let started = process.started.unwrap();
        #[expect(clippy::cast_precision_loss, reason = "seconds")]
        let now = crate::host::clock::now_seconds() as f64;
        assert!(
            started <= now + 2.0 && started > now - 86_400.0,
            "{started} {now}"
        );
    }

    #[test]
    fn what_is_no_stat_gives_nothing() {
        let process = process("nonsense");
        assert_eq!(
            (process.cpu, process.resident, process.started),
            (None, None, None)
        );
    }
}
