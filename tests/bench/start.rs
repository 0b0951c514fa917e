//! From process start to a running container: the agent, the raw API, and `docker run -d` with the same options.
//!
//! The image is on the machine, there are no secrets and no gate. The end is the engine's own `start` event, read from
//! one stream for all three. One round runs all three, so that the machine's drift hits them alike.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monopod_testrig::Machine;
use serde_json::{Value, json};

use crate::Figures;
use crate::engine_proxy::EngineProxy;
use crate::stats::{described, median};

const NAME: &str = "taupageapp";

pub(crate) fn run(machine: &Machine, binary: &Path, figures: &mut Figures) {
    let pairs: usize = std::env::var("MONOPOD_BENCH_PAIRS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(200);
    let files = Files::new(machine);
    let started = start_events(machine);
    let proxy = EngineProxy::new(machine.dirs().base.join("proxy.sock"), &machine.dirs().docker);

    // Once, so that the image is here; its settings are those of the other two.
    by_agent(machine, binary, &files, &proxy, &started);
    let container = machine.inspect(NAME).expect("bench: the container");
    machine.docker_ok(&["rm", "-f", NAME]);

    let (mut to_api, mut to_cli, mut call, mut cpu, mut own) = (vec![], vec![], vec![], vec![], vec![]);
    for pair in 0..pairs {
        let mut took = [0.0; 3];
        // The order turns, so that none always comes after the same.
        for step in 0..3 {
            let which = (pair + step) % 3;
            took[which] = match which {
                0 => {
                    let run = by_agent(machine, binary, &files, &proxy, &started);
                    call.push(run.first_call);
                    cpu.push(run.cpu);
                    own.push(run.until_create);
                    run.took
                }
                1 => by_api(machine, &container, &started),
                _ => by_cli(machine, &container, &started),
            };
            machine.docker_ok(&["rm", "-f", NAME]);
        }
        to_api.push(took[0] / took[1]);
        to_cli.push(took[0] / took[2]);
    }
    figures.tell("start_vs_api", median(&to_api), "ratio");
    Figures::note(&described(&to_api));
    figures.tell("start_vs_cli", median(&to_cli), "ratio");
    Figures::note(&described(&to_cli));
    figures.tell("start_first_call_ms", median(&call), "ms");
    Figures::note(&format!(
        "from exec to the first call of the engine: {}",
        described(&call)
    ));
    figures.tell("start_own_ms", median(&cpu), "ms");
    Figures::note(&format!(
        "processor time up to the create call: {}",
        described(&cpu)
    ));
    figures.tell("start_until_create_ms", median(&own), "ms");
    Figures::note(&format!(
        "wall time up to the create call, the engine's answers included: {}",
        described(&own)
    ));
}

struct Files {
    facts: String,
    user_data: String,
}

impl Files {
    fn new(machine: &Machine) -> Self {
        let base = &machine.dirs().base;
        let image = machine.registry().image("sleeper");
        let pinned = format!(
            "{}@{}",
            image.rsplit_once(':').expect("a tag").0,
            machine.registry().digest("sleeper")
        );
        let (facts, user_data) = (base.join("facts.yaml"), base.join("user-data.yaml"));
        std::fs::write(
            &facts,
            "instance_id: i-bench\nregion: eu-central-1\navailability_zone: eu-central-1a\naccount_id: \"123456789012\"\n",
        )
        .expect("bench: a file");
        let text = format!(
            "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {pinned}\ndockercfg: {}\n",
            machine.registry().dockercfg()
        );
        std::fs::write(&user_data, text).expect("bench: a file");
        Self {
            facts: facts.display().to_string(),
            user_data: user_data.display().to_string(),
        }
    }
}

struct Run {
    took: f64,
    first_call: f64,
    until_create: f64,
    cpu: f64,
}

fn by_agent(
    machine: &Machine,
    binary: &Path,
    files: &Files,
    proxy: &EngineProxy,
    started: &Receiver<Duration>,
) -> Run {
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
    proxy.reset();
    let args = [
        "run",
        "--facts",
        &files.facts,
        "--user-data",
        &files.user_data,
        "--syslog-socket",
        "none",
    ];
    let mut command = machine.monopod(binary, &args);
    command.env("DOCKER_HOST", format!("unix://{}", proxy.path().display()));
    let (began, instant) = (now(), Instant::now());
    let agent = machine.spawn_command(command);
    proxy.watch(agent.pid());
    let seen = proxy.wait_create();
    let took = until_started(started, began);
    agent.kill9();
    let ms = |at: Option<Instant>| at.map_or(f64::NAN, |at| (at - instant).as_secs_f64() * 1e3);
    Run {
        took,
        first_call: ms(seen.first_call),
        until_create: ms(seen.create),
        cpu: seen.cpu_at_create.map_or(f64::NAN, |cpu| cpu.as_secs_f64() * 1e3),
    }
}

fn by_api(machine: &Machine, like: &Value, started: &Receiver<Duration>) -> f64 {
    let config = &like["Config"];
    let body = json!({
        "Image": config["Image"], "User": config["User"], "Env": config["Env"], "Labels": config["Labels"],
        "HostConfig": like["HostConfig"],
    });
    let began = now();
    let made = machine.engine_api("POST", &format!("/containers/create?name={NAME}"), Some(&body));
    assert_eq!(made.status, 201, "bench: {}", made.text());
    let begun = machine.engine_api("POST", &format!("/containers/{NAME}/start"), None);
    assert_eq!(begun.status, 204, "bench: {}", begun.text());
    until_started(started, began)
}

fn by_cli(machine: &Machine, like: &Value, started: &Receiver<Duration>) -> f64 {
    let host = &like["HostConfig"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut args = vec![
        "run".to_owned(),
        "-d".into(),
        format!("--name={NAME}"),
        format!("--user={}", text(&like["Config"]["User"])),
    ];
    args.extend([
        "--cap-drop=ALL".to_owned(),
        "--security-opt=no-new-privileges".into(),
    ]);
    args.push(format!("--pids-limit={}", host["PidsLimit"]));
    args.push(format!("--memory={}", host["Memory"]));
    args.push(format!("--memory-swap={}", host["MemorySwap"]));
    for (key, value) in host["LogConfig"]["Config"]
        .as_object()
        .expect("bench: log options")
    {
        args.push(format!("--log-opt={key}={}", text(value)));
    }
    for pair in like["Config"]["Env"].as_array().expect("bench: variables") {
        args.push(format!("--env={}", text(pair)));
    }
    args.push(text(&like["Config"]["Image"]));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let began = now();
    machine.docker_ok(&args);
    until_started(started, began)
}

fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("bench: after 1970")
}

fn until_started(started: &Receiver<Duration>, began: Duration) -> f64 {
    loop {
        let at = started
            .recv_timeout(Duration::from_secs(60))
            .expect("bench: a start event");
        if at > began {
            return (at - began).as_secs_f64() * 1e3;
        }
    }
}

/// When the engine says that it started a container, by its own clock, which is ours.
fn start_events(machine: &Machine) -> Receiver<Duration> {
    let mut stream = UnixStream::connect(&machine.dirs().docker).expect("bench: the engine listens");
    let filter = "%7B%22event%22%3A%5B%22start%22%5D%7D";
    write!(
        stream,
        "GET /events?filters={filter} HTTP/1.1\r\nHost: engine\r\n\r\n"
    )
    .expect("bench: a request");
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                continue;
            };
            if let Some(nanos) = event["timeNano"].as_u64()
                && send.send(Duration::from_nanos(nanos)).is_err()
            {
                return;
            }
        }
    });
    receive
}
