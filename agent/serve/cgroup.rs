//! What a container uses, from its control group, in the kernel's second form and in its first.
//!
//! The group is found by its name, in the places where the engine puts it. Asking the engine for a pid and the kernel for
//! that process's group would be two more questions a scrape, and the unit's `ProtectProc` hides the process. One below a
//! nested `cgroup-parent` is not found, and the figures are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::metrics::host::pressure;
use monopod_core::metrics::{Io, Throttling, Usage};

pub(super) const ROOT: &str = "/sys/fs/cgroup";

/// A limit above this is the first form's way to say that there is none.
const NO_LIMIT: u64 = 1 << 62;

/// What a container uses; `None` where its group is not found, as while it does not run.
pub(super) fn usage(root: &Path, id: &str) -> Option<Usage> {
    // An id becomes a path here.
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    unified(root, id).or_else(|| first_form(root, id))
}

/// Below any parent (`system.slice`, `docker`, or what the engine's `cgroup-parent` says), by the systemd driver or by
/// the cgroupfs driver.
fn group(root: &Path, id: &str) -> Option<PathBuf> {
    let names = [format!("docker-{id}.scope"), id.to_owned()];
    fs::read_dir(root)
        .ok()?
        .flatten()
        .flat_map(|parent| names.clone().map(|name| parent.path().join(name)))
        .find(|path| path.is_dir())
}

fn unified(root: &Path, id: &str) -> Option<Usage> {
    let group = group(root, id)?;
    let file = |name: &str| text(&group.join(name));
    let number = |name: &str| number(&file(name)?);
    let (stat, cpu, io) = (file("memory.stat"), file("cpu.stat"), file("io.stat"));
    let (stat, cpu) = (keys(stat.as_ref()), keys(cpu.as_ref()));
    let memory = number("memory.current");
    let limited = cpu("nr_periods").is_some_and(|periods| periods > 0);
    Some(Usage {
        memory,
        memory_limit: number("memory.max"),
        cpu: cpu("usage_usec").map(Duration::from_micros),
        oom_kills: keys(file("memory.events").as_ref())("oom_kill"),
        working_set: less(memory, stat("inactive_file")),
        anonymous: stat("anon"),
        file: stat("file"),
        throttling: Throttling {
            periods: cpu("nr_periods").filter(|_| limited),
            throttled: cpu("nr_throttled").filter(|_| limited),
            time: cpu("throttled_usec")
                .filter(|_| limited)
                .map(Duration::from_micros),
        },
        pids: number("pids.current"),
        pids_limit: number("pids.max"),
        io: io.as_deref().map(io_of_disks).unwrap_or_default(),
        pressure: ["cpu.pressure", "memory.pressure", "io.pressure"]
            .map(|name| file(name).as_deref().map(pressure).unwrap_or_default()),
    })
}

fn first_form(root: &Path, id: &str) -> Option<Usage> {
    let [memory, cpuacct, cpu, pids, blkio] =
        ["memory", "cpuacct", "cpu", "pids", "blkio"].map(|one| group(&root.join(one), id));
    if memory.is_none() && cpuacct.is_none() {
        return None;
    }
    let file = |group: &Option<PathBuf>, name: &str| text(&group.as_ref()?.join(name));
    let one = |group: &Option<PathBuf>, name: &str| number(&file(group, name)?);
    let (stat, limit) = (file(&memory, "memory.stat"), file(&cpu, "cpu.stat"));
    let (stat, limit) = (keys(stat.as_ref()), keys(limit.as_ref()));
    let used = one(&memory, "memory.usage_in_bytes");
    let limited = limit("nr_periods").is_some_and(|periods| periods > 0);
    // The throttling policy counts whatever scheduler a disk has.
    let of_disks = |what: &str| {
        let recursive = file(&blkio, &format!("blkio.throttle.{what}_recursive"));
        recursive.or_else(|| file(&blkio, &format!("blkio.throttle.{what}")))
    };
    let (bytes, calls) = (of_disks("io_service_bytes"), of_disks("io_serviced"));
    Some(Usage {
        memory: used,
        memory_limit: one(&memory, "memory.limit_in_bytes").filter(|&limit| limit < NO_LIMIT),
        cpu: one(&cpuacct, "cpuacct.usage").map(Duration::from_nanos),
        oom_kills: keys(file(&memory, "memory.oom_control").as_ref())("oom_kill"),
        working_set: less(used, stat("total_inactive_file")),
        anonymous: stat("total_rss"),
        file: stat("total_cache"),
        throttling: Throttling {
            periods: limit("nr_periods").filter(|_| limited),
            throttled: limit("nr_throttled").filter(|_| limited),
            time: limit("throttled_time")
                .filter(|_| limited)
                .map(Duration::from_nanos),
        },
        pids: one(&pids, "pids.current"),
        pids_limit: one(&pids, "pids.max"),
        io: Io {
            read: sum_of(bytes.as_deref(), "Read"),
            written: sum_of(bytes.as_deref(), "Write"),
            reads: sum_of(calls.as_deref(), "Read"),
            writes: sum_of(calls.as_deref(), "Write"),
        },
        // The kernel counts these in the second form alone.
        pressure: Default::default(),
    })
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// A text of one number; the second form's `max` is none.
fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Numbers by their names, of a text of both.
fn keys(text: Option<&String>) -> impl Fn(&str) -> Option<u64> {
    move |key| {
        text?.lines().find_map(|line| {
            let (name, value) = line.split_once(' ')?;
            (name == key).then(|| value.trim().parse().ok())?
        })
    }
}

fn less(used: Option<u64>, part: Option<u64>) -> Option<u64> {
    Some(used?.saturating_sub(part?))
}

/// `259:0 rbytes=1 wbytes=2 rios=3 wios=4 ...`, a line a disk: added up. A group that did nothing has no line.
fn io_of_disks(text: &str) -> Io {
    let sum = |key: &str| {
        let of_line = |line: &str| -> Option<u64> {
            let mut words = line.split_ascii_whitespace();
            let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
            value.parse().ok()
        };
        Some(text.lines().filter_map(of_line).fold(0, u64::saturating_add))
    };
    Io {
        read: sum("rbytes"),
        written: sum("wbytes"),
        reads: sum("rios"),
        writes: sum("wios"),
    }
}

/// `259:0 Read 1`, several lines a disk.
fn sum_of(text: Option<&str>, what: &str) -> Option<u64> {
    let of_line = |line: &str| -> Option<u64> {
        let mut words = line.split_ascii_whitespace();
        let (_disk, name, value) = (words.next()?, words.next()?, words.next()?);
        (name == what).then(|| value.parse().ok())?
    };
    Some(text?.lines().filter_map(of_line).fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use monopod_core::metrics::host::Pressure;

    use super::*;

    const ID: &str = "0123456789abcdef";

    struct Tree(PathBuf);

    impl Tree {
        fn new(name: &str, files: &[(&str, &str)]) -> Self {
            let root = std::env::temp_dir().join(format!("monopod-cgroup-{name}-{}", std::process::id()));
            for (path, text) in files {
                let path = root.join(path.replace("ID", ID));
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    #[test]
    fn the_second_form_by_either_driver() {
        for place in ["system.slice/docker-ID.scope", "docker/ID", "mine/ID"] {
            let file = |name: &str| format!("{place}/{name}");
            let tree = Tree::new(
                &place.replace('/', "-"),
                &[
                    (&file("memory.current"), "4096\n"),
                    (&file("memory.max"), "max\n"),
                    (
                        &file("cpu.stat"),
                        "usage_usec 1500\nuser_usec 1000\nnr_periods 9\nnr_throttled 3\nthrottled_usec 70\n",
                    ),
                    (&file("memory.events"), "low 0\noom 3\noom_kill 2\n"),
                    (
                        &file("memory.stat"),
                        "anon 2048\nfile 1024\nkernel 1\ninactive_anon 9\ninactive_file 96\n",
                    ),
                    (&file("pids.current"), "3\n"),
                    (&file("pids.max"), "4096\n"),
                    (
                        &file("io.stat"),
                        "259:0 rbytes=512 wbytes=1024 rios=1 wios=2 dbytes=0 dios=0\n259:1 rbytes=88 wios=torn\n",
                    ),
                    (
                        &file("cpu.pressure"),
                        "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=4\n",
                    ),
                    (
                        &file("io.pressure"),
                        "some avg10=0.00 avg60=0.00 avg300=0.00 total=7\nfull avg",
                    ),
                ],
            );
            let wanted = Usage {
                memory: Some(4096),
                memory_limit: None,
                cpu: Some(Duration::from_micros(1500)),
                oom_kills: Some(2),
                working_set: Some(4000),
                anonymous: Some(2048),
                file: Some(1024),
                throttling: Throttling {
                    periods: Some(9),
                    throttled: Some(3),
                    time: Some(Duration::from_micros(70)),
                },
                pids: Some(3),
                pids_limit: Some(4096),
                io: Io {
                    read: Some(600),
                    written: Some(1024),
                    reads: Some(1),
                    writes: Some(2),
                },
                pressure: [(Some(5), Some(4)), (None, None), (Some(7), None)].map(|(some, full)| Pressure {
                    some: some.map(Duration::from_micros),
                    full: full.map(Duration::from_micros),
                }),
            };
            assert_eq!(usage(&tree.0, ID), Some(wanted), "{place}");
        }
    }

    #[test]
    fn the_first_form() {
        let tree = Tree::new(
            "first",
            &[
                ("memory/docker/ID/memory.usage_in_bytes", "4096\n"),
                ("memory/docker/ID/memory.limit_in_bytes", "8192\n"),
                (
                    "memory/docker/ID/memory.oom_control",
                    "oom_kill_disable 0\noom_kill 1\n",
                ),
                ("cpuacct/docker/ID/cpuacct.usage", "1500000\n"),
                (
                    "memory/docker/ID/memory.stat",
                    "cache 1\nrss 2\ntotal_cache 1024\ntotal_rss 2048\ntotal_inactive_file 96\n",
                ),
                (
                    "cpu/docker/ID/cpu.stat",
                    "nr_periods 9\nnr_throttled 3\nthrottled_time 70000\n",
                ),
                ("pids/docker/ID/pids.current", "3\n"),
                ("pids/docker/ID/pids.max", "max\n"),
                (
                    "blkio/docker/ID/blkio.throttle.io_service_bytes",
                    "8:0 Read 512\n8:0 Write 1024\n8:0 Total 1536\n8:16 Read 88\nTotal 1624\n",
                ),
                (
                    "blkio/docker/ID/blkio.throttle.io_serviced_recursive",
                    "8:0 Read 1\n8:0 Write 2\n",
                ),
            ],
        );
        let wanted = Usage {
            memory: Some(4096),
            memory_limit: Some(8192),
            cpu: Some(Duration::from_micros(1500)),
            oom_kills: Some(1),
            working_set: Some(4000),
            anonymous: Some(2048),
            file: Some(1024),
            throttling: Throttling {
                periods: Some(9),
                throttled: Some(3),
                time: Some(Duration::from_micros(70)),
            },
            pids: Some(3),
            pids_limit: None,
            io: Io {
                read: Some(600),
                written: Some(1024),
                reads: Some(1),
                writes: Some(2),
            },
            pressure: Default::default(),
        };
        assert_eq!(usage(&tree.0, ID), Some(wanted));
    }

    #[test]
    fn what_is_not_there_is_left_out_and_an_id_is_no_path() {
        let tree = Tree::new("none", &[("docker/ID/cpu.stat", "torn")]);
        assert_eq!(usage(&tree.0, ID), Some(Usage::default()));
        for id in ["", "ffff", "../docker/0123456789abcdef", "."] {
            assert_eq!(usage(&tree.0, id), None, "{id}");
        }
    }
}
