//! Secrets as files: where the container finds them, where nobody does, and what happens when they change or AWS is away.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::time::Duration;

use monopod_testrig::{AwsFault, Image, Machine, Signal, wait_until};
use serde_json::Value;

use crate::common::*;
use crate::files::without_capabilities;

/// Sees the set through `..data`, opened once, in a loop; says what it sees when that changes, and when it is mixed.
const READER: &str = r#"
trap 'read -r now </run/secrets/db; echo "told HUP, reads $now"' HUP
trap 'echo "reader ends"; exit 0' TERM
read -r db </run/secrets/db
echo "reader begins with $db"
last=$db
while :; do
    cd /run/secrets/..data
    db=; token=
    read -r db <db; read -r token <token
    [ -z "$db" ] || [ -z "$token" ] || [ "${db#db-}" = "${token#token-}" ] || echo "MIXED $db $token"
    [ -z "$db" ] || [ "$db" = "$last" ] || { last=$db; echo "reader sees $db"; }
    sleep 0.02
done
"#;

/// A value nobody else has.
fn canary(machine: &Machine, name: &str) -> String {
    format!("canary-{name}-{}", machine.aws().access_key())
}

fn put(machine: &Machine, number: usize) -> (String, String) {
    (
        machine.aws().put_parameter("db", &format!("db-{number}")),
        machine.aws().put_parameter("token", &format!("token-{number}")),
    )
}

fn reader(machine: &Machine, more: &str) {
    let (db, token) = put(machine, 1);
    let image = machine.registry().push(&Image::new("reader", READER));
    UserData::of(machine, &image)
        .line(&format!("secrets: {{db: '{db}', token: '{token}'}}\n{more}"))
        .serve(machine);
}

fn secrets(machine: &Machine, user_data: UserData, all: &[(&str, &str)]) {
    let lines: Vec<String> = all
        .iter()
        .map(|(name, reference)| format!("  {name}: '{reference}'"))
        .collect();
    user_data
        .line(&format!("secrets:\n{}", lines.join("\n")))
        .serve(machine);
}

fn cat(machine: &Machine, path: &str) -> String {
    machine.docker_ok(&["exec", CONTAINER, "/bin/busybox", "cat", path])
}

fn set(machine: &Machine) -> Value {
    status(machine)["secrets"][0].clone()
}

/// Until the set stands as a test wants it; what it was last stands in the failure.
fn wait_for_set(machine: &Machine, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(BOOT, || Some(set(machine)).filter(&wanted))
        .unwrap_or_else(|| panic!("the set stands otherwise: {:#}", status(machine)))
}

fn aws_is_away(machine: &Machine) {
    machine.aws().line().down();
}

/// Every source, a key, a version and a stage; what each file has to hold.
fn of_every_source(machine: &Machine) -> Vec<(&'static str, String, String)> {
    let aws = machine.aws();
    let [plain, password, sealed] = ["plain", "password", "sealed"].map(|name| canary(machine, name));
    let parameter = aws.put_parameter("plain", &plain);
    let document = |password: &str| format!(r#"{{"user": "orders", "password": "{password}"}}"#);
    let (secret, version) = aws.put_secret("db", &document(&password));
    drop(aws.put_secret("db", &document("the one after it")));
    vec![
        ("plain", parameter.clone(), plain.clone()),
        ("same", parameter, plain),
        (
            "password",
            format!("{secret}?key=password&version={version}"),
            password.clone(),
        ),
        (
            "user",
            format!("{secret}?key=/user&version={version}"),
            "orders".to_owned(),
        ),
        (
            "previous",
            format!("{secret}?key=password&stage=AWSPREVIOUS"),
            password,
        ),
        ("sealed", aws.encrypt(&sealed), sealed),
    ]
}

fn serve_all(machine: &Machine, all: &[(&str, String, String)]) {
    let all: Vec<(&str, &str)> = all
        .iter()
        .map(|(name, reference, _)| (*name, reference.as_str()))
        .collect();
    secrets(machine, UserData::new(machine, "sleeper"), &all);
}

#[test]
fn the_container_s_user_reads_them_and_nobody_writes_them() {
    let machine = Machine::acquire();
    let all = of_every_source(&machine);
    serve_all(&machine, &all);
    let _agent = run_until_ready(&machine);
    for (name, _, value) in &all {
        assert_eq!(&cat(&machine, &format!("/run/secrets/{name}")), value, "{name}");
    }
    // A stage and a version are two questions, however the answers turn out.
    let calls = |op| machine.aws().calls_of(op);
    assert_eq!(
        (calls("GetParameter"), calls("GetSecretValue"), calls("Decrypt")),
        (1, 2, 1)
    );
    let kernel = machine.process_status(CONTAINER).unwrap();
    assert!(kernel.contains("Uid:\t999"), "{kernel}");
    let busybox = |words: &[&str]| {
        let all: Vec<&str> = ["exec", CONTAINER, "/bin/busybox"]
            .iter()
            .chain(words)
            .copied()
            .collect();
        machine.docker_ok(&all)
    };
    let paths = [
        "stat",
        "-L",
        "-c",
        "%u:%g %a",
        "/run/secrets",
        "/run/secrets/plain",
    ];
    assert_eq!(busybox(&paths), "0:999 2750\n0:999 440");
    let mounted = busybox(&["grep", "/run/secrets", "/proc/mounts"]);
    assert!(mounted.contains(" ro,"), "{mounted}");
    for order in [
        "echo x >/run/secrets/plain",
        "echo x >/run/secrets/new",
        "rm /run/secrets/plain",
    ] {
        let write = ["exec", "-u", "0", CONTAINER, "/bin/busybox", "sh", "-c", order];
        assert!(!machine.docker(&write).status.success(), "not even root: {order}");
    }
}

#[test]
fn nobody_else_finds_them() {
    let machine = Machine::acquire();
    let all = of_every_source(&machine);
    serve_all(&machine, &all);
    let agent = run_until_ready(&machine);
    let told = everything_told(&machine, &agent);
    let inspected = the_container(&machine).to_string();
    let of_processes = environments();
    for (name, _, value) in all.iter().filter(|(_, _, value)| value.starts_with("canary")) {
        assert!(!told.contains(value), "{name}: {told}");
        assert!(!inspected.contains(value), "{name}: {inspected}");
        assert!(!of_processes.contains(value), "{name}");
        let leaks: Vec<String> = machine
            .leaks(value)
            .into_iter()
            .filter(|place| !place.contains("/run/secrets/"))
            .collect();
        assert!(leaks.is_empty(), "{name}: {leaks:#?}");
        for disk in [
            &machine.dirs().engine_data,
            &machine.dirs().state,
            &machine.dirs().logs,
        ] {
            let found = files_with(disk, value.as_bytes());
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
    let shown = set(&machine);
    assert_eq!(
        (&shown["set"], shown["files"].as_array().unwrap().len()),
        (&Value::from("secrets"), 6)
    );
    assert!(
        shown["stale_since"].is_null() && shown["last_error"].is_null(),
        "{shown}"
    );
    assert!(
        told.contains("/run/secrets") && told.contains("key password"),
        "{told}"
    );
}

/// The environments of all processes there are.
fn environments() -> String {
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("environ")).ok())
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect()
}

/// Files below a directory in which these bytes stand.
fn files_with(directory: &Path, bytes: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if kind.is_file() {
            let content = fs::read(&path).unwrap_or_default();
            if content.windows(bytes.len()).any(|window| window == bytes) {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn in_the_environment_it_is_where_the_plan_says() {
    // The other half of what is said about files: without this, nothing found could mean nobody looked.
    let machine = Machine::acquire();
    let value = canary(&machine, "environment");
    let reference = machine.aws().put_parameter("db", &value);
    UserData::new(&machine, "sleeper")
        .env(&[("DB", &reference)])
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    assert!(the_container(&machine).to_string().contains(&value));
    assert!(environments().contains(&value));
    let found = files_with(&machine.dirs().engine_data, value.as_bytes());
    let names: BTreeSet<&str> = found
        .iter()
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    // The engine's own record, and containerd's of the process it has to start.
    assert_eq!(names, BTreeSet::from(["config.v2.json", "meta.db"]), "{found:?}");
}

#[test]
fn an_unknown_parameter_is_refused_by_its_name() {
    let machine = Machine::acquire();
    secrets(
        &machine,
        UserData::new(&machine, "sleeper"),
        &[("db", "aws:ssm:/not/there")],
    );
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    for word in [
        "secrets.db",
        "/not/there",
        "ParameterNotFound",
        "eu-central-1",
        "mend its name",
    ] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    assert!(machine.containers().is_empty());
}

#[test]
fn a_refusal_is_final_and_throttling_is_not() {
    let machine = Machine::acquire();
    let (secret, _) = machine.aws().put_secret("db", "the-value-of-it");
    let parameter = machine.aws().put_parameter("db", "another-value");
    secrets(
        &machine,
        UserData::new(&machine, "sleeper"),
        &[("a", &secret), ("b", &parameter)],
    );
    machine
        .aws()
        .faults(&[AwsFault::error("GetSecretValue", "AccessDeniedException")]);
    let (code, agent) = run_to_end(&machine);
    let error = error_line(&agent);
    assert_eq!(code, 78, "{error}");
    for word in ["secrets.a", "grant", "secretsmanager:GetSecretValue"] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    machine.aws().faults(&[
        AwsFault::error("GetSecretValue", "ThrottlingException").times(1),
        AwsFault::error("GetParameter", "ThrottlingException").times(1),
    ]);
    let agent = run_until_ready(&machine);
    assert!(agent.output().contains("ThrottlingException"));
    assert_eq!(cat(&machine, "/run/secrets/a"), "the-value-of-it");
}

#[test]
fn a_changed_set_is_swapped_under_a_reader_that_is_told_nothing() {
    let machine = Machine::acquire();
    reader(&machine, "refresh: {interval: 1s}");
    let agent = run_until_ready(&machine);
    machine.syslog().wait_for("reader begins with db-1", SOON);
    let id = container_id(&machine);
    for number in 2..6 {
        put_all(&machine, number);
        machine
            .syslog()
            .wait_for(&format!("reader sees db-{number}"), BOOT);
    }
    assert_eq!(container_id(&machine), id);
    assert_eq!(status(&machine)["container"]["restarts"], 0);
    let said = machine.syslog().lines().join("\n");
    assert!(!said.contains("MIXED") && !said.contains("told HUP"), "{said}");
    agent.wait_for_line("/run/secrets has changed; it is not told", SOON);
    // What KMS decrypts and what has not changed: nothing is written for it.
    let before = set(&machine)["delivered_at"].clone();
    let calls = machine.aws().calls_of("GetParameter");
    wait_until(BOOT, || {
        (machine.aws().calls_of("GetParameter") > calls + 3).then_some(())
    })
    .unwrap();
    assert_eq!(set(&machine)["delivered_at"], before);
}

/// Both values of a number while no fetch can come in between.
fn put_all(machine: &Machine, number: usize) {
    machine
        .aws()
        .faults(&[AwsFault::error("GetParameter", "ThrottlingException")]);
    drop(put(machine, number));
    machine.aws().faults(&[]);
}

#[test]
fn a_changed_set_is_told_by_a_signal() {
    let machine = Machine::acquire();
    reader(&machine, "refresh: {interval: 1s, on_change: SIGHUP}");
    let agent = run_until_ready(&machine);
    machine.syslog().wait_for("reader begins with db-1", SOON);
    put_all(&machine, 2);
    machine.syslog().wait_for("told HUP, reads db-2", BOOT);
    agent.wait_for_line("/run/secrets has changed; it gets SIGHUP", SOON);
    assert_eq!(status(&machine)["container"]["restarts"], 0);
    // The next agent has nothing left to tell.
    agent.kill9();
    let _agent = run_until_ready(&machine);
    put_all(&machine, 3);
    machine.syslog().wait_for("told HUP, reads db-3", BOOT);
    // By the engine's own file: a killed agent ships its last lines twice.
    let logged = machine.docker_ok(&["logs", CONTAINER]);
    assert_eq!(logged.matches("told HUP").count(), 2, "{logged}");
}

#[test]
fn a_changed_set_restarts_the_container_whatever_its_policy() {
    for policy in ["never", "on-failure", "always"] {
        let machine = Machine::acquire();
        reader(
            &machine,
            &format!("restart: {policy}\nrefresh: {{interval: 1s, on_change: restart}}"),
        );
        let agent = run_until_ready(&machine);
        let id = container_id(&machine);
        for number in 2..4 {
            put_all(&machine, number);
            machine
                .syslog()
                .wait_for(&format!("reader begins with db-{number}"), BOOT);
            machine.syslog().wait_for("reader ends", SOON);
        }
        agent.wait_for_nth_line("the container was started again", 2, SOON);
        assert_eq!(container_id(&machine), id);
        let shown = status(&machine);
        assert_eq!(shown["container"]["restarts"], 2, "{policy}");
        assert_eq!(shown["outcome"]["state"], "ready", "{policy}: {shown:#}");
    }
}

#[test]
fn values_that_cannot_be_fetched_become_stale_then_unhealthy_then_well_again() {
    let machine = Machine::acquire();
    reader(&machine, "refresh: {interval: 1s, max_age: 4s}");
    let agent = run_until_ready(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("GetParameter", "AccessDeniedException")]);
    let stale = wait_for_set(&machine, |set| !set["stale_since"].is_null());
    assert!(
        stale["last_error"]
            .as_str()
            .unwrap()
            .contains("AccessDeniedException"),
        "{stale}"
    );
    let line = agent.wait_for_line(" ERROR ", BOOT);
    assert!(line.text.contains("refresh.max_age"), "{}", line.text);
    let shown = status(&machine);
    assert_eq!(shown["outcome"]["state"], "degraded");
    assert_eq!(shown["secrets"][0]["unhealthy"], true);
    assert_eq!(
        cat(&machine, "/run/secrets/db"),
        "db-1",
        "the last good ones stay"
    );
    drop(put(&machine, 2));
    machine.aws().faults(&[]);
    wait_for_set(&machine, |set| {
        set["stale_since"].is_null() && set["unhealthy"] == false
    });
    wait_until(SOON, || {
        (status(&machine)["outcome"]["state"] == "ready").then_some(())
    })
    .unwrap();
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-2");
    assert_eq!(
        machine
            .notify()
            .lines()
            .iter()
            .filter(|line| *line == "READY=1")
            .count(),
        1
    );
}

#[test]
fn one_value_that_fails_leaves_the_whole_set() {
    let machine = Machine::acquire();
    let db = machine.aws().put_parameter("db", "db-1-value");
    let (token, _) = machine.aws().put_secret("token", "token-1-value");
    secrets(
        &machine,
        UserData::new(&machine, "sleeper").line("refresh: {interval: 1s}"),
        &[("db", &db), ("token", &token)],
    );
    let _agent = run_until_ready(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("GetSecretValue", "InternalServiceError").status(500)]);
    drop(machine.aws().put_parameter("db", "db-2-value"));
    let calls = machine.aws().calls_of("GetSecretValue");
    wait_until(BOOT, || {
        (machine.aws().calls_of("GetSecretValue") > calls + 2).then_some(())
    })
    .unwrap();
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-1-value");
    machine.aws().faults(&[]);
    wait_until(BOOT, || {
        (cat(&machine, "/run/secrets/db") == "db-2-value").then_some(())
    })
    .unwrap();
}

#[test]
fn a_killed_agent_needs_no_aws_and_still_knows_what_to_redact() {
    let machine = Machine::acquire();
    let value = canary(&machine, "leaky");
    let parameter = machine.aws().put_parameter("db", &value);
    let file = machine.aws().put_parameter("file", &canary(&machine, "file"));
    let leaky = Image::new(
        "leaky-files",
        "echo \"connecting with $(cat /run/secrets/db) and $(cat /etc/app.conf)\"; while :; do sleep 1; done",
    );
    let image = machine.registry().push(&leaky);
    let user_data = UserData::of(&machine, &image)
        .web()
        .line("health_check_timeout_seconds: 8")
        .line(&format!("files: {{/etc/app.conf: '{file}'}}"));
    secrets(&machine, user_data, &[("db", &parameter)]);
    let killed = run(&machine);
    killed.wait_for_line("health: wait until", BOOT);
    killed.kill9();
    aws_is_away(&machine);
    machine.imds().down();
    let agent = run(&machine);
    agent.wait_for_line("known since an earlier start", SOON);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(
        error.contains("connecting with [redacted] and [redacted]"),
        "{error}"
    );
    // Started again from what lies in memory, without anybody.
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    assert_eq!(cat(&machine, "/run/secrets/db"), value);
    assert!(!everything_told(&machine, &agent).contains(&value));
}

#[test]
fn sets_that_somebody_removed_are_there_again_at_the_next_start() {
    let machine = Machine::acquire();
    reader(&machine, "");
    let agent = run_until_ready(&machine);
    aws_is_away(&machine);
    fs::remove_dir_all(machine.dirs().runtime.join("secrets")).unwrap();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    assert_eq!(
        cat(&machine, "/run/secrets/db"),
        "db-1",
        "this agent knows the values"
    );
    agent.kill9();
    fs::remove_dir_all(machine.dirs().runtime.join("secrets")).unwrap();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the container's files are gone", SOON);
    machine.aws().line().up();
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("reading the user data", SOON);
    wait_until(BOOT, || machine.inspect(CONTAINER).filter(is_running)).expect("it runs again");
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-1");
}

#[test]
fn a_reboot_without_aws_waits_for_it() {
    let machine = Machine::acquire();
    reader(&machine, "");
    drop(run_until_ready(&machine));
    let id = container_id(&machine);
    machine.reboot();
    machine.notify().clear();
    aws_is_away(&machine);
    let agent = run(&machine);
    agent.wait_for_line("Parameter Store in eu-central-1 was not reached", BOOT);
    assert!(!is_running(&the_container(&machine)), "it has no files yet");
    machine.aws().line().up();
    wait_ready(&machine, &agent);
    assert_eq!(container_id(&machine), id);
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-1");
    assert!(
        !machine.dirs().state.join("sealed").exists(),
        "nobody asked for a copy"
    );
}

#[test]
fn a_reboot_without_aws_takes_the_copy_where_one_was_kept() {
    let machine = Machine::acquire();
    let file = machine.aws().put_parameter("file", "the-text-of-a-file");
    reader(
        &machine,
        &format!("keep_secrets: true\nfiles: {{/etc/app.conf: '{file}'}}\nrefresh: {{interval: 1s}}"),
    );
    let copy = machine.dirs().state.join("sealed/secrets");
    let agent = run_until_ready(&machine);
    // Written at the first fetch of each agent, and then it follows what changes.
    wait_until(BOOT, || {
        (machine.aws().calls_of("GetParameter") > 7).then_some(())
    })
    .unwrap();
    let first = fs::read(&copy).unwrap();
    put_all(&machine, 2);
    machine.syslog().wait_for("reader sees db-2", BOOT);
    let rewritten = || fs::read(&copy).ok().filter(|now| *now != first);
    wait_until(BOOT, rewritten).expect("the copy follows");
    drop(agent);
    let id = container_id(&machine);
    for value in ["db-2", "token-2", "the-text-of-a-file"] {
        assert!(
            files_with(&machine.dirs().state, value.as_bytes()).is_empty(),
            "{value}"
        );
    }
    machine.reboot();
    aws_is_away(&machine);
    machine.registry().line().down();
    let agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), id);
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-2");
    assert_eq!(cat(&machine, "/etc/app.conf"), "the-text-of-a-file");
    let warned = agent.wait_for_line("the encrypted copy of secrets from", SOON);
    assert!(
        warned.text.contains(" ago is used until AWS answers"),
        "{}",
        warned.text
    );
    let warned = agent.wait_for_line("the encrypted copy of files from", SOON);
    assert!(
        warned.text.contains("until the next boot of the machine"),
        "nobody fetches them before: {}",
        warned.text
    );
    assert!(!set(&machine)["stale_since"].is_null());
    // An agent that ends before it could note that they are from the copy makes them no newer.
    agent.kill9();
    fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the container's files are there, nobody was asked", SOON);
    let after = set(&machine);
    let at = |key: &str| after[key].as_u64().unwrap();
    assert!(
        at("fetched_at") < at("delivered_at"),
        "fetched before the reboot, delivered after it: {after}"
    );
    assert!(!after["stale_since"].is_null());
    put_all_while_away(&machine, 3);
    machine.aws().line().up();
    machine.syslog().wait_for("reader sees db-3", BOOT);
    wait_for_set(&machine, |set| set["stale_since"].is_null());
}

/// A disk that does not answer is a file that cannot be opened: the copy waits, and the supervisor does not.
#[test]
fn a_copy_that_waits_for_the_disk_holds_up_nothing() {
    let machine = Machine::acquire();
    reader(&machine, "keep_secrets: true\nrefresh: {interval: 1s}");
    let agent = run_until_ready(&machine);
    let key = machine.dirs().state.join("seal.key");
    fs::remove_file(&key).unwrap();
    nix::unistd::mkfifo(&key, nix::sys::stat::Mode::S_IRUSR).unwrap();
    for number in 2..4 {
        put_all(&machine, number);
        machine
            .syslog()
            .wait_for(&format!("reader sees db-{number}"), BOOT);
    }
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
}

fn put_all_while_away(machine: &Machine, number: usize) {
    drop(put(machine, number));
}

#[test]
fn a_copy_is_no_answer_to_a_refusal() {
    let machine = Machine::acquire();
    reader(&machine, "keep_secrets: true");
    drop(run_until_ready(&machine));
    machine.reboot();
    machine
        .aws()
        .faults(&[AwsFault::error("GetParameter", "AccessDeniedException")]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(!is_running(&the_container(&machine)));
    // Not asked for any more: the disk holds none.
    machine.aws().faults(&[]);
    reader(&machine, "keep_secrets: false");
    let _agent = run_until_ready(&machine);
    assert!(files_in(&machine.dirs().state.join("sealed")).is_empty());
}

#[test]
fn a_copy_stands_in_for_what_is_broken_in_the_store() {
    let machine = Machine::acquire();
    let (secret, _) = machine.aws().put_secret("api", r#"{"token": "token-1"}"#);
    let image = machine.registry().push(&Image::new("reader", READER));
    let data = UserData::of(&machine, &image).line("keep_secrets: true");
    let token = format!("{secret}?key=token");
    secrets(&machine, data, &[("db", &token), ("token", &token)]);
    drop(run_until_ready(&machine));
    machine.reboot();
    drop(machine.aws().put_secret("api", "no document"));
    let agent = run_until_ready(&machine);
    let warned = agent.wait_for_line("the encrypted copy of secrets from", SOON);
    for words in [
        "is used until it is mended in AWS",
        "secrets.token",
        "no JSON document",
    ] {
        assert!(warned.text.contains(words), "{}", warned.text);
    }
    assert_eq!(cat(&machine, "/run/secrets/token"), "token-1");
    assert!(!set(&machine)["stale_since"].is_null());
}

fn files_in(directory: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

#[test]
fn variables_need_nobody_at_a_reboot() {
    let machine = Machine::acquire();
    let parameter = machine.aws().put_parameter("db", "the-value-of-db");
    let (secret, _) = machine.aws().put_secret("token", "the-value-of-token");
    UserData::new(&machine, "sleeper")
        .env(&[("DB", &parameter), ("TOKEN", &secret)])
        .serve(&machine);
    drop(run_until_ready(&machine));
    let id = container_id(&machine);
    machine.reboot();
    aws_is_away(&machine);
    machine.registry().line().down();
    let _agent = run_until_ready(&machine);
    assert_eq!(container_id(&machine), id);
}

#[test]
fn other_references_are_another_container_and_the_same_are_not() {
    let machine = Machine::acquire();
    reader(&machine, "");
    run_until_ready(&machine).kill9();
    let id = container_id(&machine);
    // How it stays fresh is no part of the container.
    fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    reader(
        &machine,
        "refresh: {interval: 10m, on_change: SIGHUP}\nkeep_secrets: true",
    );
    aws_is_away(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the container's files are there, nobody was asked", SOON);
    agent.kill9();
    assert_eq!(container_id(&machine), id);
    machine.aws().line().up();
    fs::remove_file(machine.dirs().runtime.join("hint.json")).unwrap();
    let other = machine.aws().put_parameter("other", "db-9");
    let image = machine.registry().push(&Image::new("reader", READER));
    secrets(
        &machine,
        UserData::of(&machine, &image),
        &[("db", &other), ("token", &other)],
    );
    let _agent = run_until_ready(&machine);
    assert_ne!(container_id(&machine), id);
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-9");
    assert_eq!(files_in(&machine.dirs().runtime.join("secrets")).len(), 1);
}

#[test]
fn credentials_of_mint_are_there_before_the_container_and_survive_a_reboot_without_s3() {
    let machine = Machine::acquire();
    UserData::new(&machine, "sleeper")
        .line(&format!("mint_bucket: {}", machine.aws().bucket()))
        .serve(&machine);
    let password = canary(&machine, "mint");
    drop(
        machine
            .aws()
            .put_object("app/client.json", r#"{"client_id": "x", "client_secret": "y"}"#),
    );
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    assert!(error_line(&agent).contains("app/user.json"), "{}", agent.output());
    assert!(machine.containers().is_empty(), "an app without them cannot work");
    let user = format!(r#"{{"application_username": "stups_app", "application_password": "{password}"}}"#);
    drop(machine.aws().put_object("app/user.json", &user));
    let agent = run_until_ready(&machine);
    assert_eq!(cat(&machine, "/meta/credentials/user.json"), user);
    assert!(!everything_told(&machine, &agent).contains(&password));
    drop(agent);
    machine.reboot();
    aws_is_away(&machine);
    let agent = run_until_ready(&machine);
    agent.wait_for_line("the encrypted copy of credentials from", SOON);
    assert_eq!(cat(&machine, "/meta/credentials/user.json"), user);
    machine.aws().line().up();
    wait_for_set(&machine, |set| set["stale_since"].is_null());
    assert!(!everything_told(&machine, &agent).contains(&password));
}

/// A kill at any line leaves one container with a whole set.
#[test]
fn a_kill_at_any_line_leaves_one_container_with_its_set() {
    let machine = Machine::acquire();
    reader(
        &machine,
        "keep_secrets: true\nrefresh: {interval: 1s, on_change: restart}",
    );
    for nth in (1..16).step_by(2) {
        drop(machine.docker(&["rm", "-f", CONTAINER]));
        fs::remove_dir_all(&machine.dirs().runtime).unwrap();
        let killed = run(&machine);
        let reached = killed
            .lines()
            .wait_for(BOOT, |lines| (lines.len() >= nth).then_some(()));
        assert!(reached.is_some(), "{}", killed.output());
        killed.kill9();
        let agent = run_until_ready(&machine);
        assert!(is_running(&the_container(&machine)), "after line {nth}");
        assert_eq!(cat(&machine, "/run/secrets/db"), "db-1", "after line {nth}");
        assert_eq!(cat(&machine, "/run/secrets/token"), "token-1", "after line {nth}");
        agent.kill9();
    }
}

/// Wherever an agent is killed while a set changes, the container ends up running with the new one.
#[test]
fn a_kill_in_the_middle_of_a_restart_loses_no_container() {
    let machine = Machine::acquire();
    reader(&machine, "refresh: {interval: 1s, on_change: restart}");
    let mut agent = run_until_ready(&machine);
    for number in 2..8 {
        put_all(&machine, number);
        agent.wait_for_line("/run/secrets has changed", BOOT);
        // Later each time.
        monopod_testrig::pause(Duration::from_millis(15 * (number as u64 - 2)));
        agent.kill9();
        agent = run_until_ready(&machine);
        machine
            .syslog()
            .wait_for(&format!("reader begins with db-{number}"), BOOT);
        wait_until(SOON, || machine.inspect(CONTAINER).filter(is_running)).expect("it runs");
    }
}

/// It takes its time to end, so that the agent is told to stop while it does.
#[test]
fn an_agent_that_is_stopped_in_a_restart_starts_the_container_first() {
    let machine = Machine::acquire();
    let script = READER.replace(
        "echo \"reader ends\"; exit 0",
        "echo \"reader ends\"; sleep 2; exit 0",
    );
    let (db, token) = put(&machine, 1);
    let image = machine.registry().push(&Image::new("slow-reader", &script));
    UserData::of(&machine, &image)
        .line(&format!(
            "secrets: {{db: '{db}', token: '{token}'}}\nrefresh: {{interval: 1s, on_change: restart}}"
        ))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let started = || machine.inspect(CONTAINER).unwrap()["State"]["StartedAt"].clone();
    let before = started();
    put_all(&machine, 2);
    machine.syslog().wait_for("reader ends", BOOT);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0, "{}", agent.output());
    assert_ne!(started(), before);
    assert!(machine.inspect(CONTAINER).is_some_and(|it| is_running(&it)));
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-2");
    // Nothing is left to be told.
    let _agent = run_until_ready(&machine);
    assert_eq!(status(&machine)["container"]["restarts"], 0);
}

#[test]
fn a_container_that_could_not_be_started_again_is_not_stopped() {
    let machine = Machine::acquire();
    reader(
        &machine,
        "files: {/etc/app.conf: a-text}\nrefresh: {interval: 1s, on_change: restart}",
    );
    let agent = run_until_ready(&machine);
    let started = || machine.inspect(CONTAINER).unwrap()["State"]["StartedAt"].clone();
    let before = started();
    let files = machine.dirs().runtime.join("files");
    fs::rename(&files, machine.dirs().runtime.join("elsewhere")).unwrap();
    fs::write(&files, "").unwrap();
    put_all(&machine, 2);
    agent.wait_for_line("the container is not restarted for its new files", BOOT);
    machine.syslog().wait_for("reader sees db-2", SOON);
    assert!(machine.inspect(CONTAINER).is_some_and(|it| is_running(&it)));
    assert_eq!(started(), before);
    // The mark is still there.
    agent.kill9();
    fs::remove_file(&files).unwrap();
    fs::rename(machine.dirs().runtime.join("elsewhere"), &files).unwrap();
    let agent = run_until_ready(&machine);
    machine.syslog().wait_for("reader begins with db-2", BOOT);
    agent.wait_for_line("the container was started again", SOON);
}

/// As the unit runs it, after systemd-tmpfiles.
#[test]
fn an_agent_without_capabilities_swaps_and_mends_sets() {
    let machine = Machine::acquire();
    reader(&machine, "refresh: {interval: 1s}");
    let agent = without_capabilities(&machine);
    assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(error.contains("tmpfiles-monopod.conf"), "{error}");
    let secrets = machine.dirs().runtime.join("secrets");
    chown(&secrets, Some(0), Some(999)).unwrap();
    fs::set_permissions(&secrets, fs::Permissions::from_mode(0o2750)).unwrap();
    let agent = without_capabilities(&machine);
    wait_ready(&machine, &agent);
    for number in 2..5 {
        put_all(&machine, number);
        machine
            .syslog()
            .wait_for(&format!("reader sees db-{number}"), BOOT);
    }
    for name in files_in(&secrets) {
        fs::remove_dir_all(name).unwrap();
    }
    machine.docker_ok(&["kill", CONTAINER]);
    agent.wait_for_line("the container was started again", BOOT);
    assert_eq!(cat(&machine, "/run/secrets/db"), "db-4");
}
