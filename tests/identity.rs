//! The container's own AWS credentials: unmodified SDKs in a container get them from the agent, and nobody else does.
//!
//! The firewall's unit runs in the machine's network: it puts the address they are served at on `lo`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use monopod_testrig::{Agent, AwsFault, Machine, wait_until};
use serde_json::{Value, json};

use crate::common::*;

const ROLE: &str = "arn:aws:iam::123456789012:role/my-app";
const MARK: &str = "identity: ";

/// What boto3 finds, without any configuration but the container's environment.
const FIND: &str = r#"
import boto3, json
found = boto3.Session().get_credentials()
frozen = found.get_frozen_credentials()
print(json.dumps({"method": found.method, "key": frozen.access_key, "secret": frozen.secret_key, "token": frozen.token}))
"#;

/// Who it is to AWS then.
const WHO: &str = r#"
import boto3, json
boto3.client("s3").list_buckets()
print(json.dumps({"arn": boto3.client("sts").get_caller_identity()["Arn"]}))
"#;

/// The firewall's unit, as long as a test runs: it has the address on `lo`, and nobody gets credentials without it.
fn firewall(machine: &Machine) -> Agent {
    let dirs = machine.dirs();
    let socket = format!("{}-firewall.sock", dirs.runtime.display());
    let order = dirs.base.join("firewall").display().to_string();
    let args = [
        "firewall",
        "--socket",
        &socket,
        "serve",
        "--runtime-directory",
        &order,
    ];
    let mut command = machine.monopod(binary(), &args);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    let unit = machine.spawn_command(command);
    wait_until(SOON, || Path::new(&socket).exists().then_some(())).unwrap();
    unit
}

/// Brings what a container sends to the bridge to an address of the machine's own; the address it has there, and who does it.
fn bridged(machine: &Machine, url: &str) -> (String, Agent) {
    let template = "{{(index .IPAM.Config 0).Gateway}}";
    let gateway = machine.docker_ok(&["network", "inspect", "--format", template, "bridge"]);
    let port = url.rsplit(':').next().unwrap().trim_end_matches('/');
    let mut command = machine.monopod(
        Path::new("/usr/bin/python3"),
        &["-c", RELAY, gateway.trim(), BRIDGED, port],
    );
    command.env("PATH", "/usr/bin:/bin");
    let relay = machine.spawn_command(command);
    relay.wait_for_line("listening", SOON);
    (format!("http://{}:{BRIDGED}", gateway.trim()), relay)
}

const BRIDGED: &str = "51999";

const RELAY: &str = r#"
import socket, sys, threading
def pump(a, b):
    try:
        while (data := a.recv(65536)): b.sendall(data)
    except OSError: pass
    try: b.shutdown(socket.SHUT_WR)
    except OSError: pass
server = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listening", flush=True)
while True:
    near, _ = server.accept()
    far = socket.create_connection(("127.0.0.1", int(sys.argv[3])))
    for ends in ((near, far), (far, near)): threading.Thread(target=pump, args=ends, daemon=True).start()
"#;

fn role(machine: &Machine) -> UserData {
    UserData::new(machine, "sleeper").line(&format!("aws_credentials: {ROLE}"))
}

fn token(machine: &Machine) -> String {
    fs::read_to_string(machine.dirs().runtime.join("identity/token")).unwrap()
}

/// One request, as an SDK makes it: the status and the answer.
fn ask(machine: &Machine, token: Option<&str>) -> (u16, Value) {
    let header = token.map(|token| format!("Authorization: {token}"));
    let mut args = vec!["--silent", "--max-time", "10", "--write-out", "\n%{http_code}"];
    if let Some(header) = &header {
        args.extend(["--header", header]);
    }
    args.push("http://169.254.170.2:51680/credentials");
    let output = machine
        .monopod(Path::new("/usr/bin/curl"), &args)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n').unwrap();
    let body = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text:?}"));
    (status.parse().unwrap(), body)
}

fn identity(machine: &Machine) -> Value {
    status(machine)["identity"].clone()
}

fn wait_for_identity(machine: &Machine, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(BOOT, || Some(identity(machine)).filter(&wanted))
        .unwrap_or_else(|| panic!("it stands otherwise: {:#}", status(machine)))
}

/// The rig's Python as the system has it: `/usr/bin/python3.N`.
fn interpreter() -> PathBuf {
    fs::canonicalize(repository("target/rig/venv/bin/python")).unwrap()
}

/// Puts Python, boto3 and their libraries into the running container: those of the rig, as they are.
fn bring_python(machine: &Machine) {
    let root = machine.dirs().base.join("python");
    let interpreter = interpreter();
    let version = interpreter.file_name().unwrap();
    let packages = repository("target/rig/venv/lib")
        .join(version)
        .join("site-packages");
    let script = r#"
set -eu
mkdir -p "$1/sdk"
lib=usr/lib/${4##*/}
libraries=$(ldd "$3" "$4" "/$lib"/lib-dynload/*.so | sed -n 's,^.* \(/[^ ]*\) (0x.*,\1,p; s,^[[:space:]]*\(/[^ ]*\) (0x.*,\1,p' | sort -u)
tar -ch -C / --exclude=__pycache__ --exclude="$lib/test" --exclude="$lib/config-*" \
    "${4#/}" "$lib" $(echo "$libraries" | sed 's,^/,,') 2>"$1.err" | tar -x -C "$1"
cd "$2"
tar -c --exclude=__pycache__ --exclude='botocore/data/*/*' boto3 jmespath dateutil s3transfer six.py urllib3 botocore \
    | tar -x -C "$1/sdk"
tar -c botocore/data/sts botocore/data/s3 | tar -x -C "$1/sdk"
"#;
    let done = Command::new("sh")
        .args(["-c", script, "sh"])
        .args([&root, &packages])
        // Its libraries come along: it runs there, too.
        .arg(std::env::current_exe().unwrap())
        .arg(&interpreter)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let from = format!("{}/.", root.display());
    machine.docker_ok(&["cp", &from, &format!("{CONTAINER}:/")]);
}

fn python(machine: &Machine, script: &str) -> Value {
    let args = [
        "exec",
        "--env",
        "PYTHONPATH=/sdk",
        "--env",
        "HOME=/tmp",
        CONTAINER,
    ];
    let interpreter = interpreter().display().to_string();
    let args = [&args[..], &[&interpreter, "-B", "-c", script]].concat();
    serde_json::from_str(&machine.docker_ok(&args)).unwrap()
}

/// Run in the container: the Rust SDK, with nothing but its environment.
#[test]
#[ignore = "run by another, in a container"]
fn a_process_that_asks() {
    use aws_credential_types::provider::ProvideCredentials as _;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let found = runtime.block_on(async {
        let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
        let provider = config.credentials_provider().expect("a provider");
        let key = provider.provide_credentials().await.expect("credentials");
        let s3 = aws_sdk_s3::Client::new(&config);
        s3.list_buckets().send().await.expect("an answer of S3");
        json!({"key": key.access_key_id(), "region": config.region().map(ToString::to_string)})
    });
    #[expect(clippy::print_stdout, reason = "it is the answer")]
    {
        println!("\n{MARK}{found}");
    }
}

fn rust(machine: &Machine) -> Value {
    let program = machine.dirs().base.join("it");
    let stripped = Command::new("strip")
        .arg("-o")
        .arg(&program)
        .arg(std::env::current_exe().unwrap())
        .status();
    assert!(stripped.unwrap().success());
    machine.docker_ok(&[
        "cp",
        &program.display().to_string(),
        &format!("{CONTAINER}:/app/it"),
    ]);
    let args = ["exec", CONTAINER, "/app/it", "--ignored", "--exact"];
    let shown = machine.docker_ok(&[&args[..], &["identity::a_process_that_asks", "--nocapture"]].concat());
    let answer = shown.lines().find_map(|line| line.strip_prefix(MARK)).unwrap();
    serde_json::from_str(answer).unwrap()
}

/// Nothing of these is in anything the agent wrote or said.
fn nowhere(machine: &Machine, agent: &Agent, values: &[&str]) {
    let mut found = Vec::new();
    let mut look = |place: String, text: &str| {
        for value in values {
            if text.contains(value) {
                found.push(format!("{value} in {place}"));
            }
        }
    };
    look("the agent's output".to_owned(), &agent.output());
    look("docker inspect".to_owned(), &the_container(machine).to_string());
    look("the status".to_owned(), &status(machine).to_string());
    let dirs = machine.dirs();
    let mut waiting = vec![dirs.runtime.clone(), dirs.state.clone(), dirs.logs.clone()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let inside = fs::read_dir(&path).unwrap().flatten();
            waiting.extend(inside.map(|entry| entry.path()));
        } else if path != dirs.runtime.join("identity/token")
            && let Ok(bytes) = fs::read(&path)
        {
            look(path.display().to_string(), &String::from_utf8_lossy(&bytes));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn boto3_on_the_bridge_gets_a_role_s_credentials_and_nobody_else_does() {
    let machine = Machine::acquire();
    let _unit = firewall(&machine);
    role(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    bring_python(&machine);
    let found = python(&machine, FIND);
    assert_eq!(found["method"], "container-role", "{found}");
    let of = |name: &str| found[name].as_str().unwrap().to_owned();
    assert!(of("key").starts_with("ASIA"), "{found}");

    let (missing, message) = ask(&machine, None);
    assert_eq!(
        (missing, &message["code"]),
        (401, &json!("AccessDenied")),
        "{message}"
    );
    let (wrong, _) = ask(&machine, Some("0123456789abcdef"));
    assert_eq!(wrong, 403);
    let (right, answer) = ask(&machine, Some(&token(&machine)));
    assert_eq!((right, &answer["RoleArn"]), (200, &json!(ROLE)));
    let shown = wait_for_identity(&machine, |identity| identity["served"].as_u64() > Some(1));
    assert_eq!(
        (&shown["refused"], &shown["role"], &shown["listening"]),
        (&json!(2), &json!(ROLE), &json!(true))
    );
    assert_eq!(machine.aws().count("AssumeRole"), 1, "one call, however many ask");
    nowhere(
        &machine,
        &agent,
        &[&of("key"), &of("secret"), &of("token"), &token(&machine)],
    );
}

#[test]
fn unmodified_sdks_sign_with_them() {
    let machine = Machine::acquire();
    let _unit = firewall(&machine);
    let (aws, _relay) = bridged(&machine, &machine.aws().endpoint());
    role(&machine)
        // A debug build of the SDK does not begin without any.
        .line("mount_certs: true")
        .env(&[("AWS_ENDPOINT_URL", &aws)])
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    bring_python(&machine);
    let who = python(&machine, WHO);
    let session = format!("assumed-role/my-app/monopod-{}", machine.imds().instance_id());
    assert!(who["arn"].as_str().unwrap().ends_with(&session), "{who}");
    let found = rust(&machine);
    assert!(found["key"].as_str().unwrap().starts_with("ASIA"), "{found}");
    assert_eq!(found["region"], "eu-central-1");
}

#[test]
fn a_restarted_agent_serves_with_the_same_token_without_a_network_and_a_started_container_has_another() {
    let machine = Machine::acquire();
    let _unit = firewall(&machine);
    role(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    let first = token(&machine);
    assert_eq!(ask(&machine, Some(&first)).0, 200);

    machine.aws().line().down();
    machine.imds().down();
    agent.kill9();
    let agent = run(&machine);
    agent.wait_for_line("there are no AWS credentials for the container", BOOT);
    assert_eq!(token(&machine), first);
    let (status, message) = ask(&machine, Some(&first));
    assert_eq!(status, 503, "it is the right one, and AWS is away: {message}");
    machine.aws().line().up();
    machine.imds().up();
    wait_until(BOOT, || (ask(&machine, Some(&first)).0 == 200).then_some(())).expect("AWS is back");

    machine.docker_ok(&["kill", CONTAINER]);
    wait_until(BOOT, || (token(&machine) != first).then_some(())).expect("a start has a token of its own");
    assert_eq!(ask(&machine, Some(&first)).0, 403);
    wait_until(SOON, || {
        (ask(&machine, Some(&token(&machine))).0 == 200).then_some(())
    })
    .expect("the new one opens");
    drop(agent);
}

#[test]
fn a_refusal_is_told_once_and_old_credentials_go_on() {
    let machine = Machine::acquire();
    let _unit = firewall(&machine);
    machine.aws().session_life(Duration::from_secs(40));
    machine
        .aws()
        .faults(&[AwsFault::error("AssumeRole", "AccessDenied").status(403)]);
    role(&machine).serve(&machine);
    let agent = run_until_ready(&machine);
    let (status, message) = ask(&machine, Some(&token(&machine)));
    assert_eq!(
        (status, &message["code"]),
        (403, &json!("CredentialsRefused")),
        "{message}"
    );
    let text = message["message"].as_str().unwrap();
    assert!(
        text.contains("AccessDenied") && text.contains("trust policy"),
        "{text}"
    );
    wait_until(BOOT, || (machine.aws().count("AssumeRole") > 2).then_some(())).expect("it is tried again");
    let told = |agent: &Agent| {
        let output = agent.output();
        output
            .lines()
            .filter(|line| line.contains("no AWS credentials for the container"))
            .count()
    };
    assert_eq!(told(&agent), 1, "{}", agent.output());

    machine.aws().faults(&[]);
    let good = wait_until(BOOT, || {
        Some(ask(&machine, Some(&token(&machine)))).filter(|(status, _)| *status == 200)
    });
    let key = good.expect("it may be assumed now").1["AccessKeyId"].clone();
    machine
        .aws()
        .faults(&[AwsFault::error("AssumeRole", "ServiceUnavailable").status(503)]);
    // Whoever asks has it renewed ahead of its end.
    wait_until(BOOT, || {
        drop(ask(&machine, Some(&token(&machine))));
        agent.output().contains("were not renewed").then_some(())
    })
    .expect("it is told");
    let (status, answer) = ask(&machine, Some(&token(&machine)));
    assert_eq!(
        (status, &answer["AccessKeyId"]),
        (200, &key),
        "the old ones are good"
    );
    machine.aws().faults(&[]);
    wait_until(BOOT, || {
        Some(ask(&machine, Some(&token(&machine))))
            .filter(|(status, answer)| *status == 200 && answer["AccessKeyId"] != key)
    })
    .expect("renewed");
    let shown = wait_for_identity(&machine, |identity| identity["last_error"] == Value::Null);
    assert!(shown["expires_at"].is_u64(), "{shown}");
}
