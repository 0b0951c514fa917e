//! The whole boot: the machine image with monopod, against the same image with a plain unit that does `docker run` of the
//! same container. From the start of the machine's first process to the first 200 of the application, as its load balancer
//! would see it; and from the engine's start, without what systemd and the distribution do before.
//!
//! Each pair is two new machines that pull the image: a boot of a group's new instance. It needs `make image`.
//! `MONOPOD_BENCH_BOOTS` is the number of pairs (10).

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{REGISTRY, REGISTRY_PASSWORD, REGISTRY_USER, RealMachine, wait_until};

use crate::Figures;
use crate::stats::{described, median};

const PAIRS: usize = 10;
const BOOT: Duration = Duration::from_secs(240);

/// What one boot took, in milliseconds.
struct Boot {
    /// From the first process to the first 200.
    whole: f64,
    /// From the engine's being ready to the first 200.
    after_engine: f64,
}

pub(crate) fn run(figures: &mut Figures) {
    let pairs = std::env::var("MONOPOD_BENCH_BOOTS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(PAIRS);
    let (mut ratios, mut ours, mut plain) = (vec![], vec![], vec![]);
    let (mut extra, mut shares) = (vec![], vec![]);
    for pair in 0..pairs {
        let mut with_us = || {
            let machine = with_monopod();
            let boot = boot(&machine);
            if pair == 0 {
                Figures::note(&timeline(&machine));
            }
            shares.push(own_share(&machine));
            boot
        };
        let (own, other) = if pair % 2 == 0 {
            let own = with_us();
            (own, boot(&with_plain_unit()))
        } else {
            let other = boot(&with_plain_unit());
            (with_us(), other)
        };
        ratios.push(own.whole / other.whole);
        extra.push(own.after_engine - other.after_engine);
        ours.push(own.whole);
        plain.push(other.whole);
    }
    figures.tell("boot_vs_plain_unit", median(&ratios), "ratio");
    Figures::note(&described(&ratios));
    Figures::note(&format!(
        "from the first process to the first 200: with monopod {:.0} ms, with a plain unit {:.0} ms (medians)",
        median(&ours),
        median(&plain)
    ));
    figures.tell("boot_agent_extra_ms", median(&extra), "ms");
    Figures::note(&format!(
        "from a ready engine to the first 200, the plain unit's taken off: {}",
        described(&extra)
    ));
    figures.tell("boot_agent_own_ms", median(&shares), "ms");
    Figures::note(&format!(
        "from the agent's first instruction to READY, without its waits for the engine, the registry and the application: {}",
        described(&shares)
    ));
}

fn with_monopod() -> RealMachine {
    let machine = RealMachine::new();
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {}\ndockercfg: {}\n\
         ports: {{8080: 8080}}\nhealth_check_path: /health\n",
        machine.registry().image("web"),
        machine.registry().dockercfg()
    ));
    machine
}

fn with_plain_unit() -> RealMachine {
    let machine = RealMachine::new();
    for unit in [
        "monopod.service",
        "monopod-prepare.service",
        "monopod-drain.service",
    ] {
        machine.mask(unit);
    }
    let login = STANDARD.encode(format!("{REGISTRY_USER}:{REGISTRY_PASSWORD}"));
    machine.write(
        "/root/.docker/config.json",
        &format!("{{\"auths\": {{\"{REGISTRY}\": {{\"auth\": \"{login}\"}}}}}}"),
    );
    machine.write(
        "/etc/systemd/system/plain.service",
        &format!(
            "[Unit]\nWants=docker.service network-online.target\nAfter=docker.service network-online.target\n\
             [Service]\nEnvironment=HOME=/root\nExecStart=/usr/bin/docker run --rm --user 999 --cap-drop ALL --publish 8080:8080 {}\n",
            machine.registry().image("web")
        ),
    );
    machine.enable("plain.service");
    machine
}

fn boot(machine: &RealMachine) -> Boot {
    machine.boot();
    wait_until(BOOT, || {
        machine
            .http_get(8080, "/health")
            .ok()
            .filter(|answer| answer.status == 200)
    })
    .unwrap_or_else(|| panic!("bench: no 200 within {BOOT:?}{}", machine.story()));
    let whole = machine.uptime();
    // The machine's own clock, to place what its systemd has written down.
    let asked = Instant::now();
    let clock: f64 = machine
        .run_ok(&["cut", "-d ", "-f1", "/proc/uptime"])
        .parse()
        .expect("bench: /proc/uptime");
    let since = machine.uptime() - asked.elapsed() / 2;
    let engine = microseconds(&machine.unit("docker.service", "ActiveEnterTimestampMonotonic")) / 1e6;
    let ready = since.as_secs_f64() - (clock - engine);
    Boot {
        whole: whole.as_secs_f64() * 1e3,
        after_engine: (whole.as_secs_f64() - ready) * 1e3,
    }
}

fn microseconds(text: &str) -> f64 {
    text.parse()
        .unwrap_or_else(|_| panic!("bench: no time: {text:?}"))
}

/// What the agent adds by itself: all of its way to READY but the steps in which it waits for others.
fn own_share(machine: &RealMachine) -> f64 {
    machine.wait_ready(BOOT);
    let unit = |property: &str| microseconds(&machine.unit("monopod.service", property)) / 1e3;
    let whole = unit("ActiveEnterTimestampMonotonic") - unit("ExecMainStartTimestampMonotonic");
    let status = machine.status();
    let steps = status["steps"].as_array().cloned().unwrap_or_default();
    let waits: u64 = steps
        .iter()
        .filter(|step| {
            ["image", "container", "health"]
                .iter()
                .any(|name| step["step"] == *name)
        })
        .filter_map(|step| step["took_ms"].as_u64())
        .sum();
    #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
    let waits = waits as f64;
    whole - waits
}

/// One boot as a timeline: systemd's, and ours.
fn timeline(machine: &RealMachine) -> String {
    machine.wait_ready(BOOT);
    // systemd adds up when all its jobs are done, and says no when one has failed, which is no matter here.
    drop(machine.run(&["systemctl", "is-system-running", "--wait"]));
    let mut text = String::from("one boot, by systemd and by the agent:\n");
    for args in [
        &["systemd-analyze", "time"][..],
        &["systemd-analyze", "critical-chain", "monopod.service"],
    ] {
        let output = machine.run(args);
        text.push_str(&String::from_utf8_lossy(&output.stdout));
    }
    for step in machine.status()["steps"].as_array().into_iter().flatten() {
        text.push_str(&format!(
            "{:>10} at {:>6} ms, {:>6} ms: {}\n",
            step["step"].as_str().unwrap_or_default(),
            step["started_ms"],
            step["took_ms"],
            step["detail"].as_str().unwrap_or_default()
        ));
    }
    text
}
