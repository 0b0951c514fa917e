//! What happens on a machine, told as it happens: with the real engine, and a receiver that has bad days.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use monopod_testrig::{Agent, Machine, wait_until};
use serde_json::{Value, json};

use crate::common::*;

const HEADER: &str = "canary-webhook-header";

/// What the receiver does with the next request.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Status(u16),
    /// Taken, and the connection ends instead of the answer.
    Lost,
}

/// One that came.
#[derive(Clone, Debug)]
struct Came {
    authorization: String,
    body: Value,
    taken: bool,
}

/// The receiver behind `events.webhook`, in the machine's network.
struct Receiver {
    port: u16,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    came: Arc<Mutex<Vec<Came>>>,
}

impl Receiver {
    fn start(machine: &Machine) -> Self {
        let listener = machine.inside(|| TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let answers: Arc<Mutex<VecDeque<Answer>>> = Arc::default();
        let came: Arc<Mutex<Vec<Came>>> = Arc::default();
        let (script, journal) = (Arc::clone(&answers), Arc::clone(&came));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                take(stream, &script, &journal);
            }
        });
        Self { port, answers, came }
    }

    fn answers(&self, all: &[Answer]) {
        *self.answers.lock().unwrap() = all.iter().copied().collect();
    }

    /// Every notice of this kind that was taken.
    fn taken(&self, kind: &str) -> Vec<Value> {
        let came = self.came.lock().unwrap();
        let taken = came.iter().filter(|one| one.taken).map(|one| one.body.clone());
        taken.filter(|body| body["kind"] == kind).collect()
    }

    fn wait_for(&self, kind: &str, number: usize, agent: &Agent) -> Vec<Value> {
        let there = wait_until(BOOT, || {
            Some(self.taken(kind)).filter(|taken| taken.len() >= number)
        });
        there.unwrap_or_else(|| {
            panic!(
                "no {number} of {kind}; came: {:#?}\n{}",
                self.came.lock().unwrap(),
                agent.output()
            )
        })
    }
}

fn take(stream: TcpStream, script: &Mutex<VecDeque<Answer>>, journal: &Mutex<Vec<Came>>) {
    let mut reader = BufReader::new(&stream);
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "authorization" => value.trim().clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let answer = script.lock().unwrap().pop_front().unwrap_or(Answer::Status(204));
    journal.lock().unwrap().push(Came {
        authorization,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        taken: !matches!(answer, Answer::Status(status) if status >= 300),
    });
    if let Answer::Status(status) = answer {
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        drop((&stream).write_all(text.as_bytes()));
    }
}

fn events(machine: &Machine, receiver: &Receiver) -> UserData {
    let header = machine.aws().put_parameter("hook", HEADER);
    UserData::new(machine, "web").web().line(&format!(
        "deployment_id: d-1\nevents:\n  webhook: http://127.0.0.1:{}/canary-path\n  headers: {{Authorization: '{header}'}}",
        receiver.port
    ))
}

struct Places {
    access: PathBuf,
    units: PathBuf,
}

/// An agent that looks for units and the access record where the test writes them.
fn start(machine: &Machine) -> (Agent, Places) {
    let places = Places {
        access: machine.dirs().base.join("access"),
        units: machine.dirs().base.join("units"),
    };
    fs::create_dir_all(&places.units).unwrap();
    machine.notify().clear();
    let agent = run_with(
        machine,
        &[
            "--access-directory",
            &places.access.display().to_string(),
            "--unit-directory",
            &places.units.display().to_string(),
        ],
    );
    wait_ready(machine, &agent);
    (agent, places)
}

fn record(directory: &Path, seq: u64, what: &str) {
    fs::create_dir_all(directory).unwrap();
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let line = json!({"at": 1_785_312_000_000_u64, "what": what, "user": "alice", "role": "guest", "reason": "look",
                      "by": "root", "from": "10.0.0.1", "until": null, "detail": null, "boot_id": boot_id.trim(), "seq": seq});
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("record.jsonl"))
        .unwrap();
    writeln!(file, "{line}").unwrap();
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, from its beginning to its end")]
fn what_others_do_is_told_as_it_happens_and_what_we_do_is_not() {
    let machine = Machine::acquire();
    let receiver = Receiver::start(&machine);
    events(&machine, &receiver).line("root: true").serve(&machine);
    let (agent, places) = start(&machine);

    let boot = &receiver.wait_for("boot", 1, &agent)[0];
    assert_eq!(boot["details"]["outcome"], "ready", "{boot:#}");
    assert_eq!(boot["details"]["deployment_id"], "d-1");
    assert_eq!(boot["details"]["digest"], status(&machine)["container"]["digest"]);
    assert_eq!(boot["application_id"], "app");
    let opened = &receiver.wait_for("opt-out", 1, &agent)[0];
    assert!(
        opened["details"]["keys"]
            .as_array()
            .unwrap()
            .contains(&json!("root"))
    );

    machine.docker_ok(&["exec", CONTAINER, "sh", "-c", "true canary-argument"]);
    let exec = &receiver.wait_for("exec", 1, &agent)[0];
    assert_eq!(exec["details"]["program"], "sh");
    assert!(!exec.to_string().contains("canary-argument"), "{exec:#}");

    let image = the_container(&machine)["Image"].as_str().unwrap().to_owned();
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "shady",
        "--entrypoint",
        "sleep",
        &image,
        "60",
    ]);
    let foreign = &receiver.wait_for("container-not-ours", 1, &agent)[0];
    assert_eq!(
        (&foreign["details"]["name"], &foreign["details"]["did"]),
        (&json!("shady"), &json!("created"))
    );

    record(&places.access, 1, "granted");
    record(&places.access, 2, "login");
    let access = receiver.wait_for("access", 2, &agent);
    let whats: Vec<&Value> = access.iter().map(|one| &one["details"]["what"]).collect();
    assert_eq!(whats, ["granted", "login"]);

    fs::write(
        machine.dirs().configuration.join("policy.yaml"),
        "unknown_keys: warn\n",
    )
    .unwrap();
    fs::create_dir(places.units.join("monopod.service.d")).unwrap();
    fs::write(places.units.join("other.service"), "x").unwrap();
    let changed = receiver.wait_for("file-changed", 1, &agent);
    assert!(
        changed[0]["details"]["path"]
            .as_str()
            .unwrap()
            .ends_with("/policy.yaml"),
        "{changed:#?}"
    );
    fs::write(places.units.join("monopod.service.d/x.conf"), "x").unwrap();
    let changed = receiver.wait_for("file-changed", 2, &agent);
    assert!(
        changed[1]["details"]["path"]
            .as_str()
            .unwrap()
            .ends_with("/x.conf"),
        "{changed:#?}"
    );

    machine.docker_ok(&["stop", CONTAINER]);
    let stopped = &receiver.wait_for("stopped-by-hand", 1, &agent)[0];
    assert_eq!(stopped["details"]["how"], "SIGTERM", "{stopped:#}");
    receiver.wait_for("boot", 2, &agent);

    // One each: nothing of what the agent itself did was told.
    for (kind, number) in [
        ("exec", 1),
        ("container-not-ours", 1),
        ("stopped-by-hand", 1),
        ("file-changed", 2),
    ] {
        assert_eq!(
            receiver.taken(kind).len(),
            number,
            "{kind}: {:#?}",
            receiver.taken(kind)
        );
    }
    let came = receiver.came.lock().unwrap().clone();
    assert!(came.iter().all(|one| one.authorization == HEADER), "{came:#?}");
    let told = everything_told(&machine, &agent);
    assert!(!told.contains(HEADER) && machine.leaks(HEADER).is_empty());
}

/// Health checks in the container, a restart for new health, and an agent that is killed: none is somebody else.
#[test]
fn the_agents_own_commands_and_restarts_are_no_news() {
    let machine = Machine::acquire();
    let receiver = Receiver::start(&machine);
    let header = machine.aws().put_parameter("hook", HEADER);
    UserData::new(&machine, "web")
        .line(&format!(
            "ports: {{8080: 8080}}\nhealth_check_type: exec\nhealth_check_command: [sh, -c, 'test ! -e /dev/shm/sick']\nhealth_check_interval_seconds: 1\nhealth_check_unhealthy_threshold: 1\non_unhealthy: restart\nevents: {{webhook: 'http://127.0.0.1:{}/', headers: {{Authorization: '{header}'}}}}",
            receiver.port
        ))
        .serve(&machine);
    let (agent, _) = start(&machine);
    receiver.wait_for("boot", 1, &agent);
    // Gone with the container's next start.
    machine.docker_ok(&["exec", CONTAINER, "sh", "-c", ": > /dev/shm/sick"]);
    receiver.wait_for("exec", 1, &agent);
    agent.wait_for_line("started again", BOOT);
    agent.kill9();
    let (agent, _) = start(&machine);
    machine.docker_ok(&["exec", CONTAINER, "id"]);
    let programs = || -> Vec<String> {
        let all = receiver.taken("exec");
        all.iter()
            .map(|one| one["details"]["program"].as_str().unwrap().to_owned())
            .collect()
    };
    assert!(
        wait_until(BOOT, || programs().contains(&"id".to_owned()).then_some(())).is_some(),
        "{}",
        agent.output()
    );
    // The one by hand; a health check would be told before it, and again by the second agent.
    assert_eq!(programs(), ["sh", "id"]);
    assert_eq!(receiver.taken("stopped-by-hand"), Vec::<Value>::new());
    assert_eq!(receiver.taken("container-not-ours"), Vec::<Value>::new());
    assert_eq!(receiver.taken("boot").len(), 1, "once a boot of the machine");
}

#[test]
fn nothing_is_lost_by_a_receiver_that_has_a_bad_day_nor_by_a_kill() {
    let machine = Machine::acquire();
    let receiver = Receiver::start(&machine);
    receiver.answers(&[Answer::Status(500); 1000]);
    events(&machine, &receiver).serve(&machine);
    let (agent, places) = start(&machine);
    for seq in 1..=5 {
        record(&places.access, seq, "refused");
    }
    let waiting = || {
        let entries = fs::read_dir(machine.dirs().state.join("notices/webhook"));
        let entries = entries.into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "json"))
            .count()
    };
    // The boot, what it opens (metadata), and five refusals.
    assert!(
        wait_until(BOOT, || (waiting() >= 6).then_some(())).is_some(),
        "{}",
        agent.output()
    );
    agent.kill9();
    record(&places.access, 6, "refused");
    let (agent, _) = start(&machine);
    assert!(
        wait_until(BOOT, || (waiting() >= 7).then_some(())).is_some(),
        "{}",
        agent.output()
    );
    let warned = agent.output().matches("waits on this machine").count();
    assert!(warned <= 1, "told once:\n{}", agent.output());
    agent.kill9();
    receiver.answers(&[Answer::Lost, Answer::Status(503)]);
    let (agent, _) = start(&machine);
    assert!(
        wait_until(BOOT, || (waiting() == 0).then_some(())).is_some(),
        "{}",
        agent.output()
    );
    let access = receiver.taken("access");
    let ids: std::collections::BTreeSet<String> = access.iter().map(|one| one["id"].to_string()).collect();
    assert_eq!(ids.len(), 6, "{access:#?}");
    let boots = receiver.taken("boot");
    assert!(boots.iter().any(|one| one["details"]["outcome"] == "ready"));
    // The one whose answer was lost is there twice, and nobody could know.
    let all: Vec<String> = {
        let came = receiver.came.lock().unwrap();
        came.iter()
            .filter(|one| one.taken)
            .map(|one| one.body["id"].to_string())
            .collect()
    };
    let once: std::collections::BTreeSet<&String> = all.iter().collect();
    assert_eq!(all.len(), once.len() + 1, "{all:#?}");
}

#[test]
fn a_boot_that_fails_is_told_before_the_agent_ends() {
    let machine = Machine::acquire();
    let receiver = Receiver::start(&machine);
    events(&machine, &receiver)
        .line("memory: not-a-size")
        .serve(&machine);
    let agent = run(&machine);
    assert_eq!(agent.wait_exit(BOOT), 78);
    let told = receiver.taken("boot");
    assert_eq!(told.len(), 1, "{}", agent.output());
    assert_eq!(told[0]["details"]["outcome"], "failed");
    assert!(told[0]["details"]["reason"].as_str().unwrap().contains("memory"));
}

#[test]
fn an_event_bus_hears_of_the_boot() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .line("events: {event_bus: default}")
        .serve(&machine);
    let agent = run_until_ready(&machine);
    assert!(
        wait_until(BOOT, || {
            let waiting = fs::read_dir(machine.dirs().state.join("notices/event-bus"));
            let waiting = waiting.into_iter().flatten().count();
            (machine.aws().count("PutEvents") > 0 && waiting == 0).then_some(())
        })
        .is_some(),
        "{:?}\n{}",
        machine.aws().calls(),
        agent.output()
    );
    assert!(
        !agent.output().contains("waits on this machine"),
        "{}",
        agent.output()
    );
}
