//! Where what runs comes from, read from real images on the real engine, and what follows from it.

use std::fs;

use monopod_testrig::{AUDIT_PASSWORD, AUDIT_USER, Agent, AuditServer, Image, Machine, Where};
use serde_json::{Value, json};

use crate::common::*;

const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";
const COMMIT: &str = "7f8b6ad0c1d24f7b8a59b6f6d1c0e3a2b4c5d6e7";

fn scm(status: &str) -> String {
    json!({"url": "git:git@github.com:my-org/app.git", "revision": COMMIT, "author": "jane", "status": status})
        .to_string()
}

/// An image with this in the place of the file.
fn image(name: &str, entry: Option<Value>) -> Image {
    let image = Image::new(name, &format!("# {name}\n{SLEEP}"));
    match entry {
        Some(entry) => image.entry("scm-source.json", entry),
        None => image,
    }
}

fn text(text: &str) -> Option<Value> {
    Some(json!({"text": text, "mode": 0o644}))
}

fn user_data(machine: &Machine, image: &Image) -> UserData {
    UserData::of(machine, &machine.registry().push(image))
}

/// Where the boot record goes.
fn audit(machine: &Machine, server: &AuditServer) -> String {
    let password = machine.aws().put_parameter("audit", AUDIT_PASSWORD);
    format!(
        "instance_logs_url: {}\nlogsink_username: {AUDIT_USER}\nlogsink_password: '{password}'",
        server.url()
    )
}

fn etc(machine: &Machine, name: &str, content: &str) {
    let directory = &machine.dirs().configuration;
    fs::create_dir_all(directory).unwrap();
    fs::write(directory.join(name), content).unwrap();
}

fn names(shown: &Value) -> Vec<&str> {
    let verdicts = shown["verdicts"].as_array().unwrap();
    verdicts.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

/// Boots, and gives what `monopod status --json` shows.
fn booted(machine: &Machine, image: &Image) -> (Agent, Value) {
    user_data(machine, image).serve(machine);
    let agent = run_until_ready(machine);
    let shown = status(machine);
    (agent, shown)
}

#[test]
fn a_traced_image_is_shown_wherever_somebody_looks() {
    let machine = Machine::acquire();
    let server = AuditServer::start(Where::Machine(&machine));
    etc(
        &machine,
        "image.json",
        r#"{"schema": 1, "name": "monopod-debian-12-1", "built": "2026-11-21T20:58:24Z", "expires": "2999-01-01"}"#,
    );
    let image = image("trace-good", text(&scm(""))).config(
        "Labels",
        json!({
            "org.opencontainers.image.title": "A\u{1b}[31mpp",
            "org.opencontainers.image.version": "x".repeat(4000),
            "maintainer": "nobody",
        }),
    );
    user_data(&machine, &image)
        .line("deployment_id: d-1")
        .line(&audit(&machine, &server))
        .serve(&machine);
    let agent = run_until_ready(&machine);
    let shown = status(&machine);
    let trace = &shown["trace"];
    assert_eq!(trace["commit"], COMMIT, "{shown:#}");
    assert_eq!(trace["source_url"], "git:git@github.com:my-org/app.git");
    assert_eq!(trace["scm_source"], json!({"state": "read"}));
    assert_eq!(trace["digest"], shown["container"]["digest"]);
    assert_eq!(trace["ami_id"], shown["facts"]["image_id"]);
    assert!(trace["ami_id"].is_string(), "{trace:#}");
    assert_eq!(trace["ami"]["name"], "monopod-debian-12-1");
    assert_eq!(trace["image_created"], 1_577_836_800, "as the rig builds them");
    assert_eq!(trace["deployment_id"], "d-1");
    assert_eq!(trace["labels"]["title"], "A·[31mpp");
    assert_eq!(trace["labels"]["version"].as_str().unwrap().chars().count(), 257);
    assert_eq!(trace["labels"].as_object().unwrap().len(), 2);
    assert_eq!(names(&shown), Vec::<&str>::new());

    let output = machine.monopod(binary(), &["status"]).output().unwrap();
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.contains(&format!(
            "from       {COMMIT} of git:git@github.com:my-org/app.git"
        )),
        "{output}"
    );
    assert!(output.contains("(monopod-debian-12-1)"), "{output}");

    let metrics = machine.http_get(9180, "/metrics").unwrap();
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = metrics
        .lines()
        .find(|line| line.starts_with("monopod_build_info{"))
        .unwrap();
    for part in [
        format!("commit=\"{COMMIT}\""),
        format!("digest={}", trace["digest"]),
        format!("ami={}", trace["ami_id"]),
        "ami_version=\"monopod-debian-12-1\"".to_owned(),
        "application_id=\"app\",application_version=\"1.0\",deployment_id=\"d-1\"".to_owned(),
    ] {
        assert!(line.contains(&part), "{part} in {line}");
    }

    let told: Value = serde_json::from_str(&server.wait_for("BOOT_RECORD", BOOT).text()).unwrap();
    assert_eq!((&told["trace"], &told["verdicts"]), (trace, &shown["verdicts"]));

    // The next agent knows it from this one, and asks neither the network nor the engine for it.
    agent.kill9();
    fs::remove_file(machine.dirs().configuration.join("image.json")).unwrap();
    let agent = run_until_ready(&machine);
    assert_eq!(&status(&machine)["trace"], trace, "{}", agent.output());
}

#[test]
fn whatever_lies_there_the_machine_boots() {
    let machine = Machine::acquire();
    for (name, entry, state, reason) in [
        ("trace-none", None, "missing", ""),
        (
            "trace-link",
            Some(json!({"link": "/etc/passwd"})),
            "invalid",
            "it is a symbolic link",
        ),
        (
            "trace-loop",
            Some(json!({"link": "scm-source.json"})),
            "invalid",
            "the engine could not read it: ",
        ),
        (
            "trace-directory",
            Some(json!({"directory": true})),
            "invalid",
            "it is a directory",
        ),
        (
            "trace-huge",
            Some(json!({"zeros": 10 << 20, "mode": 0o644})),
            "invalid",
            "it has 10 MiB",
        ),
        (
            "trace-json",
            text("{\"url\": \"canary-4711"),
            "invalid",
            "it is not JSON (",
        ),
        ("trace-list", text("[1]"), "invalid", "it is JSON, and not a map"),
        (
            "trace-types",
            text(r#"{"url": 1}"#),
            "invalid",
            "`url` is no text, `revision` is missing",
        ),
        ("trace-empty", text(""), "invalid", "it is not JSON ("),
        (
            "trace-latin",
            Some(json!({"random": 4096, "seed": 7, "mode": 0o644})),
            "invalid",
            "it is not UTF-8",
        ),
    ] {
        let (agent, shown) = booted(&machine, &image(name, entry));
        let found = &shown["trace"]["scm_source"];
        assert_eq!(found["state"], state, "{name}: {found}");
        assert!(
            found["reason"].as_str().unwrap_or_default().contains(reason),
            "{name}: {found}"
        );
        let warned = agent.output().matches("SCM_SOURCE_JSON_INVALID: ").count();
        assert_eq!(
            warned,
            usize::from(state == "invalid"),
            "{name}:\n{}",
            agent.output()
        );
        assert!(
            !agent.output().contains("SCM_SOURCE_JSON_MISSING"),
            "{}",
            agent.output()
        );
        assert!(!agent.output().contains("canary-4711"), "{}", agent.output());
        agent.kill9();
        drop(machine.docker(&["rm", "-f", CONTAINER]));
    }
}

#[test]
fn what_is_denied_never_starts() {
    let machine = Machine::acquire();
    etc(
        &machine,
        "policy.yaml",
        "# The rules.\nverdicts:\n  ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY: deny\n  IMAGE_TOO_OLD: deny\nmax_image_age: 90d\nscm_repositories: [github.com/other-org/*]\n",
    );
    let server = AuditServer::start(Where::Machine(&machine));
    user_data(&machine, &image("trace-dirty", text(&scm("M README.md"))))
        .line("notify_cfn: {stack: my-stack, resource: Group}")
        .line(&audit(&machine, &server))
        .serve(&machine);
    let (exit, agent) = run_to_end(&machine);
    assert_eq!(exit, 78, "{}", agent.output());
    assert!(machine.containers().is_empty(), "{:#?}", machine.containers());
    let error = error_line(&agent);
    let policy = machine.dirs().configuration.join("policy.yaml");
    for part in [
        "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY: the image was built with changes that no commit has: M README.md".to_owned(),
        format!("denied at {}:3", policy.display()),
        "commit everything and build the image again".to_owned(),
        "IMAGE_TOO_OLD: the image was built at 2020-01-01T00:00:00Z".to_owned(),
        format!("denied at {}:4", policy.display()),
    ] {
        assert!(error.contains(&part), "{part} in {error}");
    }
    assert_eq!(machine.aws().wait_for_signal(SOON).status, "FAILURE");
    let told: Value = serde_json::from_str(&server.wait_for("BOOT_RECORD", BOOT).text()).unwrap();
    assert_eq!(told["trace"]["commit"], COMMIT);
    assert_eq!(told["outcome"]["exit_code"], 78);
    assert_eq!(
        names(&told),
        [
            "ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY",
            "ILLEGAL_SCM_REPOSITORY",
            "IMAGE_TOO_OLD"
        ]
    );
    assert_eq!(told["verdicts"][1]["level"], "warn");
    assert_eq!(told["verdicts"][1]["rule"]["line"], 6);
}

#[test]
fn what_is_known_without_the_image_is_denied_before_it_is_pulled() {
    let machine = Machine::acquire();
    etc(&machine, "policy.yaml", "verdicts:\n  OUTDATED_TAUPAGE: deny\n");
    etc(
        &machine,
        "image.json",
        r#"{"name": "old-1", "expires": "2020-01-31"}"#,
    );
    let server = AuditServer::start(Where::Machine(&machine));
    let connections = machine.registry().line().connections();
    UserData::of(&machine, "127.0.0.1:5000/test/nobody-pushed-it:1")
        .line(&audit(&machine, &server))
        .env(&[("SECRET", "aws:kms:Z2FyYmFnZSBnYXJiYWdlIGdhcmJhZ2U=")])
        .serve(&machine);
    let (exit, agent) = run_to_end(&machine);
    assert_eq!(exit, 78, "{}", agent.output());
    let error = error_line(&agent);
    let policy = machine.dirs().configuration.join("policy.yaml");
    for part in [
        "and nothing was pulled for it".to_owned(),
        "OUTDATED_TAUPAGE: the machine's image old-1 expired: 2020-01-31".to_owned(),
        format!("denied at {}:2", policy.display()),
        "launch machines from a newer image".to_owned(),
    ] {
        assert!(error.contains(&part), "{part} in {error}");
    }
    assert_eq!(
        machine.registry().line().connections(),
        connections,
        "nobody asked the registry"
    );
    assert_eq!(machine.aws().decrypt_calls(), 0);
    assert!(machine.containers().is_empty());
    let told: Value = serde_json::from_str(&server.wait_for("BOOT_RECORD", BOOT).text()).unwrap();
    assert_eq!(names(&told), ["OUTDATED_TAUPAGE"]);
    assert_eq!(told["trace"]["ami"]["name"], "old-1");
    assert_eq!(
        told["trace"]["scm_source"]["reason"],
        "the image was not looked at"
    );
}

#[test]
fn what_is_only_told_is_told_once_a_boot() {
    let machine = Machine::acquire();
    etc(
        &machine,
        "image.json",
        r#"{"name": "old-1", "expires": "2020-01-31"}"#,
    );
    let (agent, shown) = booted(&machine, &image("trace-warned", text(&scm("M x"))));
    assert_eq!(
        names(&shown),
        ["ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY", "OUTDATED_TAUPAGE"]
    );
    let warnings: Vec<String> = agent
        .output()
        .lines()
        .filter(|line| line.contains("OUTDATED_TAUPAGE"))
        .map(str::to_owned)
        .collect();
    assert_eq!(warnings.len(), 1, "{}", agent.output());
    assert!(
        warnings[0].contains("the machine's image old-1 expired: 2020-01-31")
            && warnings[0].contains("ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY"),
        "{warnings:?}"
    );
    let before = shown["verdicts"].clone();
    agent.kill9();
    let agent = run_until_ready(&machine);
    assert!(!agent.output().contains("OUTDATED_TAUPAGE"), "{}", agent.output());
    assert_eq!(status(&machine)["verdicts"], before);

    // A rule that came later lets what runs go on; it is for new containers.
    agent.kill9();
    etc(&machine, "policy.yaml", "verdicts: {OUTDATED_TAUPAGE: deny}\n");
    machine.reboot();
    let agent = run_until_ready(&machine);
    assert!(
        agent.output().contains(
            "OUTDATED_TAUPAGE: the machine's image old-1 expired: 2020-01-31 (denied for new containers)"
        ),
        "{}",
        agent.output()
    );
}
