//! How an image is got: what its tag stands for, from where, whether it fits and runs here.

mod disk;
mod mirrors;
mod pins;
mod platform;
mod pull;

use monopod_testrig::{Agent, Machine};

use crate::common::*;

/// Runs for ever, and tells its version.
const SCRIPT: &str = "echo version $VERSION\nwhile :; do sleep 1000 & wait; done\n";

/// The engine made the container of this digest, and label and status say so.
fn assert_runs(machine: &Machine, digest: &str) {
    let container = the_container(machine);
    assert_eq!(container["Config"]["Labels"]["org.monopod.digest"], digest);
    assert_eq!(status(machine)["container"]["digest"], digest);
    let image = container["Config"]["Image"].as_str().unwrap();
    assert!(image.ends_with(&format!("@{digest}")), "{image} is not {digest}");
}

/// Stops the agent and removes what it made: only its record is left, and the machine boots again.
fn lose_everything(machine: &Machine, agent: &Agent) {
    agent.signal(monopod_testrig::Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    machine.docker_ok(&["system", "prune", "--all", "--force"]);
    assert_eq!(machine.docker_ok(&["images", "-q"]), "");
    machine.reboot();
}
