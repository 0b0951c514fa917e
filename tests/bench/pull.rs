//! The pull: ours against the engine's own (the call that `docker pull` makes, without the program around it, for ours is
//! measured from inside too) of the same image from the same registry, on a machine without it.
//!
//! Ours is the whole step: the tag is resolved, the record of it is on the disk, room and platform are looked at. The
//! image is removed between the rounds; the two take turns, so that the machine's drift hits them alike.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use monopod_testrig::{Image, Machine, REGISTRY, REGISTRY_PASSWORD, REGISTRY_USER};
use serde_json::Value;

use crate::Figures;
use crate::stats::{described, median};

const ROUNDS: usize = 15;
const LAYERS: u64 = 8;
const LAYER: u64 = 8 << 20;

pub(crate) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let rounds = std::env::var("MONOPOD_BENCH_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(ROUNDS);
    let script = "while :; do sleep 1000 & wait; done\n";
    let image = (0..LAYERS).fold(Image::new("bench-pull", script), |image, _| {
        image.random_layer(LAYER)
    });
    let reference = machine.registry().push(&image);
    let (mut ratios, mut ours, mut theirs) = (vec![], vec![], vec![]);
    for round in 0..rounds {
        let pair = if round % 2 == 0 {
            let own = by_agent(machine, binary, &reference);
            (own, by_docker(machine, &reference))
        } else {
            let docker = by_docker(machine, &reference);
            (by_agent(machine, binary, &reference), docker)
        };
        ratios.push(pair.0 / pair.1);
        ours.push(pair.0);
        theirs.push(pair.1);
    }
    machine.forget_images();
    figures.tell("pull_vs_docker", median(&ratios), "ratio");
    Figures::note(&described(&ratios));
    Figures::note(&format!(
        "{LAYERS} layers of {} MiB that don't compress: the agent's step {:.0} ms, the engine's pull {:.0} ms (medians)",
        LAYER >> 20,
        median(&ours),
        median(&theirs)
    ));
}

fn by_docker(machine: &Machine, reference: &str) -> f64 {
    machine.forget_images();
    let login = serde_json::json!({
        "username": REGISTRY_USER,
        "password": REGISTRY_PASSWORD,
        "serveraddress": REGISTRY,
    });
    let request = format!(
        "POST /images/create?fromImage={reference} HTTP/1.0\r\nHost: engine\r\nX-Registry-Auth: {}\r\nContent-Length: 0\r\n\r\n",
        URL_SAFE.encode(login.to_string())
    );
    let began = Instant::now();
    let mut engine = UnixStream::connect(&machine.dirs().docker).expect("bench: the engine's socket");
    engine
        .write_all(request.as_bytes())
        .expect("bench: asking the engine");
    let mut answer = String::new();
    engine
        .read_to_string(&mut answer)
        .expect("bench: the engine's answer");
    let took = began.elapsed().as_secs_f64() * 1e3;
    assert!(
        answer.contains("Downloaded newer image"),
        "bench: the engine pulled nothing: {answer}"
    );
    took
}

fn by_agent(machine: &Machine, binary: &Path, reference: &str) -> f64 {
    machine.forget_images();
    for dir in [&machine.dirs().runtime, &machine.dirs().state] {
        // What an earlier round knows would save this one a question.
        drop(std::fs::remove_dir_all(dir));
    }
    machine.notify().clear();
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {reference}\ndockercfg: {}\n",
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
    let image = steps
        .iter()
        .find(|one| one["step"] == "image")
        .expect("bench: the step");
    image["took_ms"].as_f64().expect("bench: a number")
}
