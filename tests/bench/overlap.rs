//! Twenty KMS values of 50 ms each beside a pull, against the longer of the two alone.

use std::path::Path;
use std::time::Duration;

use monopod_testrig::{AwsFault, Machine};
use serde_json::Value;

use crate::Figures;
use crate::stats::{described, median};

const ROUNDS: usize = 9;
const VALUES: usize = 20;

pub(crate) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_millis(50))]);
    let secrets: Vec<String> = (0..VALUES)
        .map(|n| machine.aws().encrypt(format!("canary-overlap-{n:02}")))
        .collect();
    let (mut ratios, mut pulls, mut kms) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let pull = boot(machine, binary, "large", &[]);
        let decrypt = boot(machine, binary, "sleeper", &secrets);
        let both = boot(machine, binary, "large", &secrets);
        ratios.push(both / pull.max(decrypt));
        pulls.push(pull);
        kms.push(decrypt);
    }
    figures.tell("kms20_with_pull", median(&ratios), "ratio");
    Figures::note(&described(&ratios));
    Figures::note(&format!(
        "alone: pull {:.0} ms, {VALUES} values {:.0} ms (medians)",
        median(&pulls),
        median(&kms)
    ));
}

/// From a machine without image or container; milliseconds until secrets and image are both there.
fn boot(machine: &Machine, binary: &Path, image: &str, secrets: &[String]) -> f64 {
    machine.forget_images();
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
    machine.notify().clear();
    let reference = machine.registry().image(image);
    let environment: String = secrets
        .iter()
        .enumerate()
        .map(|(n, value)| format!("  SECRET_{n}: \"{value}\"\n"))
        .collect();
    let environment = if secrets.is_empty() {
        "  A: b\n".to_owned()
    } else {
        environment
    };
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {reference}\ndockercfg: {}\nenvironment:\n{environment}",
        machine.registry().dockercfg()
    ));
    let agent = machine.spawn(binary, &["run", "--syslog-socket", "none"]);
    machine.notify().wait_for("READY=1", Duration::from_secs(120));
    let output = machine
        .monopod(binary, &["status", "--json"])
        .output()
        .expect("bench: status");
    let record: Value = serde_json::from_slice(&output.stdout).expect("bench: status is JSON");
    agent.kill9();
    let steps = record["steps"].as_array().expect("bench: steps");
    let number = |step: &str, field: &str| {
        let found = steps
            .iter()
            .find(|one| one["step"] == step)
            .expect("bench: the step");
        found[field].as_f64().expect("bench: a number")
    };
    let end = |step: &str| number(step, "started_ms") + number(step, "took_ms");
    let begin = number("secrets", "started_ms").min(number("image", "started_ms"));
    end("secrets").max(end("image")) - begin
}
