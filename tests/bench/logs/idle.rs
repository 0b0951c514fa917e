//! What an agent costs that has nothing to do: how often its threads wake while its container is silent and nobody
//! probes it.
//!
//! The kernel counts how often a thread has gone to sleep by itself (`voluntary_ctxt_switches`). The agent looks at the
//! engine every half minute; wake-ups around such a call are counted apart, as the health probe they stand for.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use monopod_testrig::{Machine, pause};

use super::float;
use crate::Figures;
use crate::engine_proxy::EngineProxy;

const SETTLE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_secs(120);
const STEP: Duration = Duration::from_millis(50);
/// A call of the engine and all that follows it.
const CALL: Duration = Duration::from_millis(300);

pub(super) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let image = machine.registry().image("sleeper");
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {image}\ndockercfg: {}\n",
        machine.registry().dockercfg()
    ));
    let proxy = EngineProxy::new(machine.dirs().base.join("idle.sock"), &machine.dirs().docker);
    let syslog = machine.dirs().syslog.display().to_string();
    let mut command = machine.monopod(binary, &["run", "--syslog-socket", &syslog]);
    command.env("DOCKER_HOST", format!("unix://{}", proxy.path().display()));
    machine.notify().clear();
    let agent = machine.spawn_command(command);
    machine.notify().wait_for("READY=1", Duration::from_secs(60));
    pause(SETTLE);

    let began = Instant::now();
    let mut threads = switches(agent.pid());
    let (mut by_probes, mut others, mut moments) = (0, 0, 0);
    while began.elapsed() < LOOK {
        pause(STEP);
        let now = switches(agent.pid());
        let woken: u64 = now
            .iter()
            .map(|(thread, count)| count.saturating_sub(threads.get(thread).copied().unwrap_or(0)))
            .sum();
        threads = now;
        if woken == 0 {
            continue;
        }
        if proxy.last_call().is_some_and(|at| at.elapsed() < CALL) {
            by_probes += woken;
        } else {
            others += woken;
            moments += 1;
        }
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    figures.tell("logs_idle_wakeups", float(others) / minutes, "per minute");
    Figures::note(&format!(
        "all threads, beyond looks at the engine, at {:.1} moments a minute; with those looks {:.1} more",
        float(moments) / minutes,
        float(by_probes) / minutes
    ));
    super::end(machine, agent);
}

/// Of each thread.
fn switches(pid: u32) -> BTreeMap<u32, u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("bench: the agent runs");
    tasks
        .flatten()
        .filter_map(|task| {
            let status = fs::read_to_string(task.path().join("status")).ok()?;
            let count = status
                .lines()
                .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            Some((
                task.file_name().to_str()?.parse().ok()?,
                count.trim().parse().ok()?,
            ))
        })
        .collect()
}
