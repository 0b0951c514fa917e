//! What a scrape tells beside the record: read when it is asked for.
//!
//! Files of the kernel's answer at once; a file system whose disk is stuck, or a file on it, may not. So all of it is read
//! on a thread beside the agent's own, with a deadline, and while one reading is stuck no other is begun: the scrape then
//! says of each collector that it has nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use monopod_core::event::Event;
use monopod_core::metrics::host::Texts;
use monopod_core::metrics::textfile::Found;
use monopod_core::metrics::{self, Figures, Probes, Process, Pushes, Usage};
use monopod_core::record::BootRecord;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::SysconfVar;

use super::host::{self, positive};
use super::{cgroup, textfiles};
use crate::report::Reporter;
use crate::report::figures::Probed;

/// Whoever scrapes gives up after 10 s, if nobody said otherwise.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two complaints about one file.
const HOUR: Duration = Duration::from_secs(3600);

/// Reads for scrapes, one at a time.
#[derive(Default)]
pub(super) struct Gatherer {
    textfiles: Mutex<Option<PathBuf>>,
    reading: Arc<tokio::sync::Mutex<()>>,
    /// Which files were said to be wrong, and when.
    told: Mutex<BTreeMap<String, Instant>>,
}

/// What was read.
#[derive(Default)]
struct Gathered {
    container: Option<Usage>,
    process: Option<Process>,
    host: Texts,
    textfiles: Option<Found>,
}

impl Gatherer {
    /// Where files of teams' own lie, from now on.
    pub(super) fn read_textfiles_in(&self, directory: Option<PathBuf>) {
        *self.textfiles.lock().unwrap_or_else(PoisonError::into_inner) = directory;
    }

    /// The text of a scrape. What can't be read is left out.
    pub(super) async fn scrape(&self, reporter: &Reporter) -> String {
        let record = reporter.snapshot();
        let container = record.container.as_ref().map(|container| container.id.clone());
        let directory = self
            .textfiles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let is_asked = directory.is_some();
        let gathered = tokio::time::timeout(PATIENCE, self.gather(container, directory)).await;
        let mut gathered = gathered.ok().flatten().unwrap_or_else(|| Gathered {
            textfiles: is_asked.then(stuck),
            ..Gathered::default()
        });
        let (redactor, probes) = (reporter.clone(), reporter.probe_figures().now());
        let (denied, notices) = (reporter.denials().asked(), reporter.notice_figures().now());
        let pushes = reporter.push_figures().now();
        // Not on the agent's own thread: files of others may be long.
        let rendering = tokio::task::spawn_blocking(move || {
            for file in gathered.textfiles.iter_mut().flat_map(|found| &mut found.files) {
                file.text = redactor.redacted(&file.text);
            }
            metrics::scrape(&Figures {
                denied,
                notices: Some(notices),
                pushes: pushes.map(|(sent, failed)| Pushes { sent, failed }),
                ..figures(&record, probes, &gathered)
            })
        });
        match rendering.await {
            Ok(scrape) => {
                self.complain(reporter, scrape.complaints);
                scrape.text
            }
            Err(error) => {
                tracing::debug!("a scrape got nothing: {error}");
                String::new()
            }
        }
    }

    /// `None` if the thread could not be had.
    async fn gather(&self, container: Option<String>, directory: Option<PathBuf>) -> Option<Gathered> {
        let alone = Arc::clone(&self.reading).lock_owned().await;
        let reading = tokio::task::spawn_blocking(move || {
            // It goes on when nobody waits any more, and keeps the next one from beginning.
            let _alone = alone;
            Gathered {
                container: container.and_then(|id| cgroup::usage(Path::new(cgroup::ROOT), &id)),
                process: fs::read_to_string("/proc/self/stat")
                    .ok()
                    .map(|stat| process(&stat)),
                host: host::gather(),
                textfiles: directory.map(|directory| textfiles::find(&directory)),
            }
        });
        reading.await.ok()
    }

    /// Tells what is wrong with a file, once an hour at most: one that is written anew all the time is not always whole.
    fn complain(&self, reporter: &Reporter, complaints: Vec<String>) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.retain(|_, at| now.duration_since(*at) < HOUR);
        for complaint in complaints {
            let file = complaint.split(": ").next().unwrap_or_default().to_owned();
            if told.insert(file, now).is_none() {
                let text = format!("figures of `metrics.textfile_directory` are left out: {complaint}");
                reporter.tell(Event::Warning { text });
            }
        }
    }
}

fn stuck() -> Found {
    Found {
        files: Vec::new(),
        wrong: vec!["it could not be read in time".to_owned()],
    }
}

fn figures<'a>(record: &'a BootRecord, probes: Probed, gathered: &'a Gathered) -> Figures<'a> {
    Figures {
        record,
        container: gathered.container,
        probes: Some(counts(probes)),
        denied: None,
        process: gathered.process,
        host: Some(&gathered.host),
        textfiles: gathered.textfiles.as_ref(),
        pushes: None,
        notices: None,
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
