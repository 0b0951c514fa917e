//! What the agent costs a machine that it looks after: its binary, and its memory when nothing happens.

use std::path::Path;
use std::time::Duration;

use monopod_testrig::{Machine, pause};

use crate::Figures;

pub(crate) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    #[expect(clippy::cast_precision_loss, reason = "some megabytes")]
    let size = std::fs::metadata(binary).expect("bench: the binary").len() as f64;
    figures.tell("binary_mb", size / 1e6, "MB");

    let image = machine.registry().image("web");
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {image}\ndockercfg: {}\n\
         ports: {{8080: 8080}}\nhealth_check_path: /health\nenvironment: {{A: \"{}\"}}\n",
        machine.registry().dockercfg(),
        machine.aws().encrypt("canary-bench-value")
    ));
    let syslog = machine.dirs().syslog.display().to_string();
    let agent = machine.spawn(binary, &["run", "--syslog-socket", &syslog]);
    machine.notify().wait_for("READY=1", Duration::from_secs(60));
    // Idle is what is left when the boot is over: the figure is of a state, so it is looked at after a while.
    pause(Duration::from_secs(15));
    figures.tell("idle_rss_mb", megabytes(agent.pid(), "Rss:"), "MiB");
    figures.tell("idle_anon_mb", megabytes(agent.pid(), "Pss_Anon:"), "MiB");
    let before = wakeups(agent.pid());
    pause(Duration::from_secs(60));
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let woken = wakeups(agent.pid()).saturating_sub(before) as f64;
    figures.tell("idle_wakeups_per_minute", woken, "");
    agent.kill9();
    machine.docker_ok(&["rm", "-f", "taupageapp"]);
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
}

/// Of a process, by a name of `/proc/PID/smaps_rollup`.
pub(crate) fn megabytes(pid: u32, name: &str) -> f64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("bench: its memory");
    let kilobytes = rollup.lines().find_map(|line| {
        line.strip_prefix(name)?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<f64>()
            .ok()
    });
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}

/// How often its threads waited for something and got it.
fn wakeups(pid: u32) -> u64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).expect("bench: its threads");
    let of_one = |path: std::path::PathBuf| -> Option<u64> {
        let status = std::fs::read_to_string(path.join("status")).ok()?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    };
    threads.flatten().filter_map(|thread| of_one(thread.path())).sum()
}
