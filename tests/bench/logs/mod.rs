//! Shipping a container's lines: how fast, at what cost, and whether all of them arrive.
//!
//! Everything writes from a stage, a container that writes when it is told to, so no figure has a start in it.
//!
//! - `logs_vs_syslog_driver`, `logs_vs_imfile`, `logs_cpu_vs_imfile` ([`ways`]): three ways to the same rsyslog, in turn.
//! - `logs_unaccounted` ([`burst`]): a burst and a steady run, each line looked for.
//! - `logs_rss_mb` ([`load`]): memory and processor while shipping, by rate, by length and by number of sinks: a table and
//!   a plot, `target/bench-logs.svg`.
//! - `app_write_p999_ms` ([`writes`]): the application's writes while sinks and the agent are in trouble.
//! - `logs_idle_wakeups` ([`idle`]): what silence costs.

mod burst;
mod cost;
mod far;
mod idle;
mod load;
mod plot;
mod ways;
mod writes;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use monopod_testrig::{Agent, Machine, Rig, Stage};

use crate::Figures;

const NAME: &str = "taupageapp";

type Bench = fn(&Machine, &Path, &mut Figures);

/// Each figure and what makes it; those made together come together.
const BENCHES: [(&[&str], Bench); 5] = [
    (
        &[
            "logs_vs_syslog_driver",
            "logs_vs_imfile",
            "logs_cpu_vs_imfile",
            "logs_to_null",
        ],
        ways::run,
    ),
    (&["logs_unaccounted"], burst::run),
    (&["logs_rss_mb"], load::run),
    (&["app_write_p999_ms"], writes::run),
    (&["logs_idle_wakeups"], idle::run),
];

/// Runs what is wanted, each on a machine of its own.
pub(crate) fn run(binary: &Path, figures: &mut Figures, wanted: impl Fn(&str) -> bool) {
    let mut chosen = BENCHES
        .iter()
        .filter(|(names, _)| names.iter().any(|name| wanted(name)))
        .peekable();
    let any = chosen.peek().is_some();
    for (_, bench) in chosen {
        bench(&Machine::acquire(), binary, figures);
    }
    if any {
        Rig::get().close();
    }
}

/// A seed that no piece had before.
fn seed() -> u64 {
    static SEEDS: AtomicU64 = AtomicU64::new(1);
    SEEDS.fetch_add(1, Ordering::Relaxed)
}

/// The agent with this image, these lines of user data and this syslog socket, ready.
fn start(machine: &Machine, binary: &Path, image: &str, more: &str, syslog: &str) -> Agent {
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {}\ndockercfg: {}\n\
         application_logrotate_disable_compress: true\n{more}",
        machine.registry().image(image),
        machine.registry().dockercfg(),
    ));
    machine.notify().clear();
    let agent = machine.spawn(binary, &["run", "--syslog-socket", syslog]);
    machine.notify().wait_for("READY=1", Duration::from_secs(60));
    agent
}

/// The same with a stage, which is the container.
fn start_stage(machine: &Machine, binary: &Path, more: &str, syslog: &str) -> (Agent, Stage) {
    let agent = start(machine, binary, "stage", more, syslog);
    (agent, Stage::of(machine, NAME))
}

/// Ends the agent and forgets its container: the next one begins anew.
fn end(machine: &Machine, agent: Agent) {
    agent.kill9();
    drop(agent);
    machine.docker_ok(&["rm", "-f", NAME]);
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
    drop(std::fs::remove_dir_all(&machine.dirs().state));
    for dir in [&machine.dirs().runtime, &machine.dirs().state] {
        std::fs::create_dir_all(dir).expect("bench: a folder");
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}
