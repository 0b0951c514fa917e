//! What a container uses, from its control group, in the kernel's second form and in its first.
//!
//! The group is found by its name, in the places where the engine puts it. Asking the engine for a pid and the kernel for
//! that process's group would be two more questions a scrape, and the unit's `ProtectProc` hides the process. One below a
//! nested `cgroup-parent` is not found, and the figures are left out.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::metrics::Usage;

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
    Some(Usage {
        memory: number(&group.join("memory.current")),
        memory_limit: number(&group.join("memory.max")),
        cpu: keyed(&group.join("cpu.stat"), "usage_usec").map(Duration::from_micros),
        oom_kills: keyed(&group.join("memory.events"), "oom_kill"),
    })
}

fn first_form(root: &Path, id: &str) -> Option<Usage> {
    let memory = group(&root.join("memory"), id);
    let cpu = group(&root.join("cpuacct"), id);
    if memory.is_none() && cpu.is_none() {
        return None;
    }
    let memory = |file: &str| memory.as_ref().map(|group| group.join(file));
    Some(Usage {
        memory: memory("memory.usage_in_bytes").and_then(|path| number(&path)),
        memory_limit: memory("memory.limit_in_bytes")
            .and_then(|path| number(&path))
            .filter(|&limit| limit < NO_LIMIT),
        cpu: cpu
            .and_then(|group| number(&group.join("cpuacct.usage")))
            .map(Duration::from_nanos),
        oom_kills: memory("memory.oom_control").and_then(|path| keyed(&path, "oom_kill")),
    })
}

/// A file of one number; the second form's `max` is none.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A number from a file of names and numbers.
fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        (name == key).then(|| value.trim().parse().ok())?
    })
}

#[cfg(test)]
mod tests {
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
                    (&file("cpu.stat"), "usage_usec 1500\nuser_usec 1000\n"),
                    (&file("memory.events"), "low 0\noom 3\noom_kill 2\n"),
                ],
            );
            let wanted = Usage {
                memory: Some(4096),
                memory_limit: None,
                cpu: Some(Duration::from_micros(1500)),
                oom_kills: Some(2),
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
            ],
        );
        let wanted = Usage {
            memory: Some(4096),
            memory_limit: Some(8192),
            cpu: Some(Duration::from_micros(1500)),
            oom_kills: Some(1),
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
