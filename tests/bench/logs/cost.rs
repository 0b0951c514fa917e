//! What processes cost: processor time of the engine, the agent and rsyslog, and the agent's memory.
//!
//! The machine has one cgroup tree for all engines of the rig, so it is by process: dockerd, its containerd and the
//! shims (a line passes a shim before the engine), all threads, those that have ended too. The kernel's work for their
//! system calls is in it; that of the disk isn't.

use std::fs;
use std::ops::Sub;
use std::path::Path;

use monopod_testrig::Machine;

/// Seconds of processor time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cpu {
    pub(super) engine: f64,
    pub(super) agent: f64,
    pub(super) rsyslog: f64,
}

impl Cpu {
    pub(super) fn now(machine: &Machine, agent: u32) -> Self {
        let run = machine
            .dirs()
            .docker
            .parent()
            .expect("bench: the socket is in a folder");
        let (mut engine, mut rsyslog) = (0.0, 0.0);
        for pid in pids() {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim_end();
            if !["dockerd", "rsyslogd"].contains(&name) && !name.starts_with("containerd") {
                continue;
            }
            let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            if !contains(&arguments, run) {
                continue;
            }
            *if name == "rsyslogd" {
                &mut rsyslog
            } else {
                &mut engine
            } += cpu(pid);
        }
        Self {
            engine,
            agent: cpu(agent),
            rsyslog,
        }
    }

    pub(super) fn all(self) -> f64 {
        self.engine + self.agent + self.rsyslog
    }

    /// `engine 1.2 + agent 0.8 + rsyslog 2.0`, microseconds a line.
    pub(super) fn per_line(self, lines: u64) -> String {
        let micros = |seconds: f64| seconds * 1e6 / super::float(lines.max(1));
        format!(
            "{:.2} µs a line (engine {:.2}, agent {:.2}, rsyslog {:.2})",
            micros(self.all()),
            micros(self.engine),
            micros(self.agent),
            micros(self.rsyslog)
        )
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            engine: self.engine - before.engine,
            agent: self.agent - before.agent,
            rsyslog: self.rsyslog - before.rsyslog,
        }
    }
}

/// Seconds of processor time of a process, with its threads that have ended; 0 when it is gone.
pub(super) fn cpu(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may have blanks in it.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |field: usize| -> f64 {
        let value = after.split_whitespace().nth(field);
        value.and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    // utime and stime, in ticks of 10 ms on every Linux there is.
    (ticks(11) + ticks(12)) / 100.0
}

/// Megabytes of a line of its `smaps_rollup`: `Rss:`, `Pss_Anon:`.
pub(super) fn memory(pid: u32, name: &str) -> f64 {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kilobytes = rollup.lines().find_map(|line| {
        let value = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
        value.trim().parse::<f64>().ok()
    });
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("bench: /proc");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

fn contains(arguments: &[u8], part: &Path) -> bool {
    String::from_utf8_lossy(arguments).contains(&*part.to_string_lossy())
}
