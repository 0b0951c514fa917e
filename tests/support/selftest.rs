//! The rig's own tests: what the agent's tests take for granted.

use std::net::Shutdown;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use monopod_testrig::{
    AWS_PORT, AwsFault, IMDS_PORT, Image, Machine, REGISTRY, REGISTRY_PASSWORD, REGISTRY_PORT, REGISTRY_USER,
    Response, Rsyslog, Signal, Token, pause, wait_until,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(10);
const SECOND: Duration = Duration::from_secs(1);

/// curl is not among what the rig needs, busybox is: its shell, run like the agent.
fn shell(machine: &Machine, script: &str) -> Command {
    machine.monopod(Path::new("/bin/busybox"), &["sh", "-c", script])
}

fn login(machine: &Machine) {
    machine.docker_ok(&["login", "-u", REGISTRY_USER, "-p", REGISTRY_PASSWORD, REGISTRY]);
}

fn start_web(machine: &Machine, name: &str, image: &str) {
    login(machine);
    let image = machine.registry().image(image);
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        name,
        "-u",
        "999",
        "-p",
        "8080:8080",
        &image,
    ]);
}

fn healthy(machine: &Machine) -> Option<Response> {
    machine
        .http_get(8080, "/health")
        .ok()
        .filter(|answer| answer.status == 200)
}

/// A raw Decrypt, signed in name only: the stand-in looks at the key id and nothing else.
fn decrypt(machine: &Machine, value: &str) -> (u16, Value) {
    let blob = value.strip_prefix("aws:kms:").unwrap_or(value);
    let body = json!({"CiphertextBlob": blob}).to_string();
    let answer = machine
        .inside(|| {
            use std::io::{Read as _, Write as _};
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", AWS_PORT))?;
            write!(
                stream,
                "POST / HTTP/1.0\r\nHost: kms.eu-central-1.amazonaws.com\r\nX-Amz-Target: TrentService.Decrypt\r\n\
                 Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nAuthorization: AWS4-HMAC-SHA256 \
                 Credential={}/20260101/eu-central-1/kms/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{body}",
                body.len(),
                machine.aws().access_key(),
            )?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            stream.shutdown(Shutdown::Both).ok();
            Ok(text)
        })
        .unwrap();
    let status = answer.split_whitespace().nth(1).unwrap().parse().unwrap();
    (
        status,
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap(),
    )
}

#[test]
fn machines_in_use_at_once_have_engines_of_their_own() {
    let (one, two) = (Machine::acquire(), Machine::acquire());
    assert_ne!(one.index(), two.index());
    start_web(&one, "only-here", "web");
    assert_eq!(one.containers().len(), 1);
    assert_eq!(two.containers().len(), 0);
    assert!(two.http_get(8080, "/health").is_err());
}

#[test]
fn a_lease_leaves_nothing_to_the_next() {
    let (index, base, pid) = {
        let machine = Machine::acquire();
        start_web(&machine, "left-running", "web");
        (
            machine.index(),
            machine.dirs().base.clone(),
            machine.host_pid("left-running").unwrap(),
        )
    };
    assert!(!base.exists());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    // Another test may have the slot by now; what counts is that ours is gone from whoever has it.
    let next = Machine::acquire();
    if next.index() == index {
        assert!(next.inspect("left-running").is_none());
        assert_eq!(next.docker_ok(&["images", "-q"]), "");
    }
}

#[test]
fn metadata_wants_a_token() {
    let machine = Machine::acquire();
    machine.set_user_data("#taupage-ami-config\n");
    let get = |path: &str| machine.http_get(IMDS_PORT, path).unwrap();
    assert_eq!(get("/latest/user-data").status, 401);
    assert_eq!(get("/latest/api/token").status, 405);

    let ask = "T=$(busybox wget -q -O - --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' \
               --post-data '' http://127.0.0.1:1338/latest/api/token); echo \"token $T\"";
    let agent = machine.spawn_command(shell(&machine, ask));
    agent.wait_for_line("token", SOON);
    // busybox can only POST, and a token is only given for a PUT.
    assert!(
        machine
            .imds()
            .calls()
            .iter()
            .any(|call| call.method == "POST" && call.status == 405)
    );

    let with = |token: &str| imds_get(&machine, "/latest/user-data", token);
    let token = imds_token(&machine, 1);
    assert_eq!(with(&token).status, 200);
    assert_eq!(with(&token).text(), "#taupage-ami-config\n");
    assert_eq!(with("made-up").status, 401);
    pause(Duration::from_millis(1100));
    assert_eq!(with(&token).status, 401, "the token lived for a second");

    let token = imds_token(&machine, 60);
    let document: Value = serde_json::from_slice(
        &imds_get(&machine, "/latest/dynamic/instance-identity/document", &token).body,
    )
    .unwrap();
    assert_eq!(document["instanceId"], machine.imds().instance_id());
    assert_eq!(document["accountId"], "123456789012");
    machine.imds().clear_user_data();
    assert_eq!(with(&token).status, 404);
    assert!(
        machine
            .imds()
            .calls()
            .iter()
            .any(|call| call.token == Token::Good)
    );
}

fn imds_token(machine: &Machine, ttl: u64) -> String {
    let answer = imds_raw(
        machine,
        &format!("PUT /latest/api/token HTTP/1.0\r\nX-aws-ec2-metadata-token-ttl-seconds: {ttl}"),
    );
    assert_eq!(
        answer.header("x-aws-ec2-metadata-token-ttl-seconds"),
        Some(ttl.to_string().as_str())
    );
    answer.text()
}

fn imds_get(machine: &Machine, path: &str, token: &str) -> Response {
    imds_raw(
        machine,
        &format!("GET {path} HTTP/1.0\r\nX-aws-ec2-metadata-token: {token}"),
    )
}

fn imds_raw(machine: &Machine, head: &str) -> Response {
    use std::io::{BufRead as _, Read as _, Write as _};
    let read = machine.inside(|| {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", IMDS_PORT))?;
        write!(stream, "{head}\r\n\r\n")?;
        let mut reader = std::io::BufReader::new(stream);
        let mut status = String::new();
        reader.read_line(&mut status)?;
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim().split_once(": ") else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .unwrap()
            .1
            .parse()
            .unwrap();
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        Ok(Response {
            status: status.split_whitespace().nth(1).unwrap().parse().unwrap(),
            headers,
            body,
        })
    });
    read.unwrap()
}

#[test]
fn metadata_has_outages() {
    let machine = Machine::acquire();
    let status = |path: &str| machine.http_get(IMDS_PORT, path).map(|answer| answer.status);
    machine.imds().always(503);
    assert_eq!(status("/latest/user-data").unwrap(), 503);
    machine.imds().version_one();
    assert_eq!(status("/latest/meta-data/instance-id").unwrap(), 200);
    assert_eq!(status("/latest/api/token").unwrap(), 404);
    machine.imds().heal();
    let token = imds_token(&machine, 60);
    machine.imds().expire_tokens();
    assert_eq!(imds_get(&machine, "/latest/user-data", &token).status, 401);
    machine.imds().down();
    assert!(status("/latest/user-data").is_err());
    machine.imds().late_by(Duration::from_millis(300));
    let began = Instant::now();
    wait_until(SOON, || status("/latest/user-data").ok()).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(250));
}

#[test]
fn the_registry_wants_a_password() {
    let machine = Machine::acquire();
    let image = machine.registry().image("web");
    let refused = machine.docker(&["pull", &image]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no basic auth credentials"));
    assert_eq!(machine.registry().ask("/v2/", None).status, 401);
    assert_eq!(machine.registry().ask("/v2/", Some("wrong")).status, 401);
    assert_eq!(
        machine.registry().ask("/v2/", Some(REGISTRY_PASSWORD)).status,
        200
    );

    login(&machine);
    machine.docker_ok(&["pull", "-q", &image]);
    let digests = machine.docker_ok(&["image", "inspect", "-f", "{{.RepoDigests}}", &image]);
    assert!(digests.contains(&machine.registry().digest("web")), "{digests}");

    let mine = machine
        .registry()
        .push(&Image::tagged("selftest", "v2", "echo made here"));
    assert_eq!(machine.docker_ok(&["run", "--rm", &mine]), "made here");
    machine.forget_images();
    assert_eq!(machine.docker_ok(&["images", "-q"]), "");
}

#[test]
fn the_line_to_the_registry_breaks_on_demand() {
    let machine = Machine::acquire();
    login(&machine);
    let (line, image) = (machine.registry().line(), machine.registry().image("large"));
    let status = || {
        machine
            .http_get(REGISTRY_PORT, "/v2/")
            .map(|answer| answer.status)
    };
    assert_eq!(status().unwrap(), 401);
    line.down();
    assert!(status().is_err());
    assert!(!machine.docker(&["pull", "-q", &image]).status.success());
    line.up();
    assert_eq!(status().unwrap(), 401);

    line.cut_after(1 << 20, 2);
    // The engine asks again by itself for what was cut.
    machine.docker_ok(&["pull", "-q", &image]);
    assert_eq!(line.cuts_left(), 0);

    machine.forget_images();
    line.throttle(8 << 20);
    let began = Instant::now();
    machine.docker_ok(&["pull", "-q", &image]);
    assert!(
        began.elapsed() > Duration::from_millis(700),
        "20 MB at 8 MB/s a connection took {:?}",
        began.elapsed()
    );
    line.heal();
    line.delay(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(status().unwrap(), 401);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[test]
fn kms_encrypts_and_decrypts_and_fails_on_demand() {
    let (machine, other) = (Machine::acquire(), Machine::acquire());
    let value = machine.aws().encrypt("canary-plaintext");
    let (status, answer) = decrypt(&machine, &value);
    assert_eq!(
        (status, &answer["Plaintext"]),
        (200, &json!("Y2FuYXJ5LXBsYWludGV4dA=="))
    );

    let (status, answer) = decrypt(&machine, "Z2FyYmFnZQ==");
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("InvalidCiphertextException"))
    );
    let (status, answer) = decrypt(&machine, &machine.aws().encrypt_in("us-east-1", "elsewhere"));
    assert_eq!(
        (status, &answer["__type"]),
        (400, &json!("AccessDeniedException"))
    );

    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "ThrottlingException").times(2)]);
    assert_eq!(decrypt(&machine, &value).1["__type"], "ThrottlingException");
    assert_eq!(
        decrypt(&other, &value).0,
        200,
        "another machine's faults are its own"
    );
    assert_eq!(decrypt(&machine, &value).0, 400);
    assert_eq!(decrypt(&machine, &value).0, 200);

    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_millis(300))]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| decrypt(&machine, &value));
        }
    });
    assert_eq!(machine.aws().max_concurrent_decrypts(), 3);
    assert_eq!(machine.aws().decrypt_calls(), 9);
    assert_eq!(other.aws().decrypt_calls(), 1);
    machine.aws().line().down();
    assert!(machine.http_get(AWS_PORT, "/").is_err());
}

#[test]
fn images_do_what_their_names_say() {
    let machine = Machine::acquire();
    start_web(&machine, "web", "web");
    wait_until(SOON, || healthy(&machine)).unwrap();
    assert_eq!(machine.http_get(8080, "/uid").unwrap().text(), "999");
    let status = machine.process_status("web").unwrap();
    assert!(status.contains("Uid:\t999\t999\t999\t999"), "{status}");
    machine.docker_ok(&["stop", "-t", "5", "web"]);
    assert_eq!(machine.inspect("web").unwrap()["State"]["ExitCode"], 0);
    machine.docker_ok(&["rm", "web"]);

    let (slow, never) = (
        machine.registry().image("web-slow"),
        machine.registry().image("never-healthy"),
    );
    machine.docker_ok(&["run", "-d", "--name", "slow", "-p", "8080:8080", &slow]);
    let status = || machine.http_get(8080, "/health").ok().map(|answer| answer.status);
    assert_eq!(wait_until(SOON, status), Some(503));
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.docker_ok(&["rm", "-f", "slow"]);
    machine.docker_ok(&["run", "-d", "--name", "never", "-p", "8080:8080", &never]);
    assert_eq!(wait_until(SOON, status), Some(500));

    let oom = machine.registry().image("oom");
    let limits = ["--memory", "32m", "--memory-swap", "32m"];
    assert_eq!(
        machine
            .docker(&[&["run", "--name", "oom"], &limits[..], &[&oom]].concat())
            .status
            .code(),
        Some(137)
    );
    assert_eq!(machine.inspect("oom").unwrap()["State"]["OOMKilled"], true);

    let chatty = machine.registry().image("chatty");
    let said = machine.docker_ok(&["run", "--rm", "-e", "LINES=3", "-e", "EXIT_CODE=0", &chatty]);
    assert_eq!(said, "chatty line 1\nchatty line 2\nchatty line 3\nchatty done");
    let exit = machine.registry().image("exit-now");
    assert_eq!(
        machine.docker(&["run", "-e", "EXIT_CODE=7", &exit]).status.code(),
        Some(7)
    );

    let printenv = machine.registry().image("printenv");
    machine.docker_ok(&[
        "run",
        "-d",
        "--name",
        "env",
        "-e",
        "NAMES=A B",
        "-e",
        "A=canary",
        "-e",
        "B=x y",
        &printenv,
    ]);
    let logs = wait_until(SOON, || {
        Some(machine.docker_ok(&["logs", "env"])).filter(|logs| logs.contains("done"))
    })
    .unwrap();
    assert!(
        logs.contains("env A 6 ") && logs.contains("env B 3 ") && !logs.contains("canary"),
        "{logs}"
    );
}

#[test]
fn an_engine_dies_and_comes_back_with_its_containers() {
    let machine = Machine::acquire();
    start_web(&machine, "survivor", "web");
    let pid = machine.host_pid("survivor").unwrap();
    machine.kill_engine();
    assert!(!machine.docker(&["ps"]).status.success());
    // It goes on, but nobody reaches it through localhost: the engine's proxy for published ports died with it.
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    assert!(healthy(&machine).is_none());
    machine.start_engine();
    wait_until(SOON, || healthy(&machine)).unwrap();
    machine.restart_engine();
    assert_eq!(machine.host_pid("survivor"), Some(pid));

    machine.freeze_engine();
    let socket = &machine.dirs().docker;
    let mut silent = std::os::unix::net::UnixStream::connect(socket).unwrap();
    silent.set_read_timeout(Some(SECOND)).unwrap();
    std::io::Write::write_all(&mut silent, b"GET /_ping HTTP/1.0\r\n\r\n").unwrap();
    assert!(
        std::io::Read::read(&mut silent, &mut [0]).is_err(),
        "it accepts, and says nothing"
    );
    machine.thaw_engine();
    assert_eq!(machine.containers().len(), 1);

    machine.set_live_restore(false);
    machine.kill_engine();
    machine.start_engine();
    assert_eq!(machine.inspect("survivor").unwrap()["State"]["Running"], false);
}

#[test]
fn a_reboot_ends_everything_but_what_is_on_disk() {
    let machine = Machine::acquire();
    start_web(&machine, "before", "web");
    let id = machine.inspect("before").unwrap()["Id"].clone();
    let agent = machine.spawn_command(shell(&machine, "echo here; sleep 1000"));
    agent.wait_for_line("here", SOON);
    std::fs::write(machine.dirs().runtime.join("facts"), "x").unwrap();
    std::fs::write(machine.dirs().state.join("cursor"), "x").unwrap();
    machine.registry().line().down();

    machine.reboot();
    assert_eq!(agent.wait_exit(SOON), 137);
    let after = machine.inspect("before").unwrap();
    assert_eq!((&after["Id"], &after["State"]["Running"]), (&id, &json!(false)));
    assert!(!machine.dirs().runtime.join("facts").exists());
    assert!(machine.dirs().state.join("cursor").exists());
    assert!(
        machine.http_get(REGISTRY_PORT, "/v2/").is_err(),
        "what was down stays down"
    );
    assert_eq!(
        machine.http_get(IMDS_PORT, "/latest/user-data").unwrap().status,
        401
    );
    machine.docker_ok(&["start", "before"]);
    wait_until(SOON, || healthy(&machine)).unwrap();
}

#[test]
fn an_agent_is_heard_signalled_and_waited_for() {
    let machine = Machine::acquire();
    let script = "trap 'echo bye; exit 3' TERM; echo up; echo oops >&2; env; while :; do sleep 0.1; done";
    let agent = machine.spawn_command(shell(&machine, script));
    agent.wait_for_line("up", SOON);
    agent.wait_for_line("oops", SOON);
    agent.wait_for_line("AWS_ACCESS_KEY_ID=", SOON);
    assert!(agent.running());
    assert!(!agent.output().contains("HOME="), "a clean environment");
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 3);
    assert!(agent.output().ends_with("bye\n"));

    let agent = machine.spawn_command(shell(&machine, "echo up; exec sleep 1000"));
    agent.wait_for_line("up", SOON);
    agent.kill9();
    assert_eq!(agent.wait_exit(SOON), 137);
}

#[test]
fn sockets_keep_what_they_get() {
    let machine = Machine::acquire();
    let to = std::os::unix::net::UnixDatagram::unbound().unwrap();
    to.send_to(b"STATUS=pulling\nREADY=1", &machine.dirs().notify)
        .unwrap();
    machine.notify().wait_for("READY=1", SECOND);
    assert_eq!(machine.notify().lines(), ["STATUS=pulling", "READY=1"]);

    to.send_to(b"<30>app[1]: one", &machine.dirs().syslog).unwrap();
    machine.syslog().wait_for("one", SECOND);
    machine.syslog().down();
    assert!(to.send_to(b"<30>app[1]: two", &machine.dirs().syslog).is_err());
    machine.syslog().up();
    to.send_to(b"<30>app[1]: three", &machine.dirs().syslog).unwrap();
    machine.syslog().wait_for("three", SECOND);
    assert_eq!(machine.syslog().lines().len(), 2);
}

#[test]
fn rsyslog_writes_what_a_snippet_says() {
    let machine = Machine::acquire();
    let dir = machine.dirs().base.clone();
    let snippet = dir.join("snippet.conf");
    std::fs::write(
        &snippet,
        "template(name=\"bare\" type=\"string\" string=\"%msg:2:$%\\n\")\n\
         if $programname == 'app' then action(type=\"omfile\" file=\"/var/log/application.log\" template=\"bare\")\n",
    )
    .unwrap();
    let rsyslog = Rsyslog::start(&dir.join("rsyslog"), &snippet);
    let to = std::os::unix::net::UnixDatagram::unbound().unwrap();
    to.send_to(b"<30>Nov 21 04:00:00 app[1]: a line of the app", rsyslog.socket())
        .unwrap();
    assert_eq!(
        rsyslog.wait_for("application.log", "a line", SOON),
        "a line of the app\n"
    );
}

/// Run by the test below in a process of its own, to be killed there.
#[test]
#[ignore = "holds a machine until it is killed"]
fn hold_a_machine() {
    let machine = Machine::acquire();
    start_web(&machine, "orphan", "web");
    println!("holding {}", machine.host_pid("orphan").unwrap());
    pause(Duration::from_secs(120));
}

#[test]
fn a_killed_test_process_leaves_no_process_network_or_mount() {
    use std::io::{BufRead as _, BufReader};
    let namespaces = || std::fs::read_dir("/run/netns").map_or(0, Iterator::count);
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (named, mounted) = (namespaces(), mounts());
    let mut held = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "hold_a_machine"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(held.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let pid: u32 = lines
        .find_map(|line| line.split_once("holding ")?.1.trim().parse().ok())
        .unwrap();
    let container = format!("/proc/{pid}");
    assert!(Path::new(&container).exists());
    assert_eq!(mounts(), mounted, "an engine's mounts are its own");
    held.kill().unwrap();
    held.wait().unwrap();
    wait_until(SOON, || (!Path::new(&container).exists()).then_some(()))
        .expect("the container outlived the tests");
    assert_eq!(namespaces(), named);
}
