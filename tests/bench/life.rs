//! How fast the agent tells what it knows: `/metrics`, READY after the first good answer, the decision after an end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use monopod_core::text;
use monopod_testrig::{Agent, Machine};

use crate::Figures;
use crate::footprint::megabytes;
use crate::stats::{described, median, quantile};

const NAME: &str = "taupageapp";
const BOOT: Duration = Duration::from_secs(60);
const SCRAPES: usize = 1000;
const BOOTS: usize = 10;
/// Fewer than the restarts that a container has in ten minutes, as the pauses between them double.
const ENDS: usize = 6;

fn serve(machine: &Machine, image: &str, more: &str) {
    let image = machine.registry().image(image);
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: bench\napplication_version: \"1\"\nsource: {image}\ndockercfg: {}\n{more}",
        machine.registry().dockercfg()
    ));
}

fn start(machine: &Machine, binary: &Path) -> Agent {
    machine.notify().clear();
    machine.spawn(binary, &["run", "--syslog-socket", "none"])
}

fn clean(machine: &Machine, agent: &Agent) {
    agent.kill9();
    machine.docker_ok(&["rm", "-f", NAME]);
    drop(std::fs::remove_dir_all(&machine.dirs().runtime));
}

/// The whole of a scrape, from the connection to the last byte.
pub(crate) fn metrics(machine: &Machine, binary: &Path, figures: &mut Figures) {
    serve(
        machine,
        "web",
        "ports: {8080: 8080}\nhealth_check_path: /health\n",
    );
    let agent = start(machine, binary);
    machine.notify().wait_for("READY=1", BOOT);
    let scrape = || {
        let begun = Instant::now();
        let mut stream = TcpStream::connect(("127.0.0.1", 9180))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        assert!(answer.starts_with(b"HTTP/1.1 200"), "bench: /metrics");
        Ok((begun.elapsed().as_secs_f64() * 1e3, answer.len()))
    };
    let scrapes: Vec<(f64, usize)> = machine
        .inside(|| (0..SCRAPES).map(|_| scrape()).collect())
        .expect("bench: /metrics");
    let took: Vec<f64> = scrapes.iter().map(|(took, _)| *took).collect();
    figures.tell("metrics_ms", median(&took), "ms");
    figures.tell("metrics_p99_ms", quantile(&took, 0.99), "ms");
    #[expect(clippy::cast_precision_loss, reason = "a few dozen KiB")]
    let size = scrapes.last().map_or(0.0, |(_, bytes)| *bytes as f64 / 1024.0);
    figures.tell("metrics_kb", size, "KiB");
    figures.tell("metrics_anon_mb", megabytes(agent.pid(), "Pss_Anon:"), "MiB");
    Figures::note(&described(&took));
    clean(machine, &agent);
}

/// From the moment the application has answered 200 for the first time to READY=1.
pub(crate) fn ready(machine: &Machine, binary: &Path, figures: &mut Figures) {
    serve(
        machine,
        "sleeper",
        "networking: host\nhealth_check_path: /health\nhealth_check_port: 8080\nhealth_check_interval_seconds: 1\n",
    );
    let took: Vec<f64> = (0..BOOTS)
        .map(|_| {
            let listener = machine
                .inside(|| std::net::TcpListener::bind(("127.0.0.1", 8080)))
                .expect("bench: a port");
            let (send, good) = channel();
            let server = thread::spawn(move || {
                for status in [503, 503, 200] {
                    let (stream, _) = listener.accept().expect("bench: a probe");
                    let answered = answer(stream, status);
                    if status == 200 {
                        send.send(answered).expect("bench: somebody waits");
                    }
                }
            });
            let agent = start(machine, binary);
            let ready = machine.notify().wait_for("READY=1", BOOT).at;
            let good = good.recv_timeout(BOOT).expect("bench: the application was asked");
            server.join().expect("bench: the application");
            clean(machine, &agent);
            ready.saturating_duration_since(good).as_secs_f64() * 1e3
        })
        .collect();
    figures.tell("ready_after_200_ms", median(&took), "ms");
    Figures::note(&described(&took));
}

/// Answers one request; when it had.
fn answer(stream: TcpStream, status: u16) -> Instant {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|count| count > 2) {
        line.clear();
    }
    let mut out = &stream;
    write!(
        out,
        "HTTP/1.1 {status} Bench\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
    .expect("bench: an answer");
    Instant::now()
}

/// From the container's end, by the engine's clock, to the line that says when it is started again.
pub(crate) fn restart(machine: &Machine, binary: &Path, figures: &mut Figures) {
    serve(machine, "sleeper", "");
    let agent = start(machine, binary);
    machine.notify().wait_for("READY=1", BOOT);
    let took: Vec<f64> = (1..=ENDS)
        .map(|nth| {
            machine.docker_ok(&["kill", NAME]);
            let decided = agent
                .wait_for_nth_line("starting the container again in", nth, BOOT)
                .at;
            let wall = SystemTime::now() - decided.elapsed();
            agent.wait_for_nth_line("the container was started again", nth, BOOT);
            let container = machine.inspect(NAME).expect("bench: the container");
            let ended = container["State"]["FinishedAt"]
                .as_str()
                .and_then(text::parse_timestamp_millis)
                .expect("bench: when it ended");
            let decided = wall.duration_since(UNIX_EPOCH).expect("bench: after 1970");
            (decided.saturating_sub(Duration::from_millis(ended))).as_secs_f64() * 1e3
        })
        .collect();
    figures.tell("restart_decision_ms", median(&took), "ms");
    Figures::note(&described(&took));
    clean(machine, &agent);
}
