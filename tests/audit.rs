//! Audit records, as their receiver gets them from a machine.

use std::fs;
use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use monopod_testrig::{
    AUDIT_PASSWORD, AUDIT_USER, Agent, AuditAnswer, AuditServer, Machine, REGISTRY_PASSWORD, Where,
    wait_until,
};
use serde_json::Value;

use crate::common::*;

const CANARY: &str = "canary-in-clear-4711";

/// A web application whose audit is told, with secrets of every kind.
fn web(machine: &Machine, server: &AuditServer) -> UserData {
    let password = machine.aws().put_parameter("audit", AUDIT_PASSWORD);
    UserData::new(machine, "web")
        .web()
        .env(&[("PLAIN", CANARY), ("STAGE", "test")])
        .line(&format!(
            "instance_logs_url: {}\nlogsink_username: {AUDIT_USER}\nlogsink_password: '{password}'",
            server.url()
        ))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn until(what: &str, check: impl Fn() -> bool) {
    assert!(
        wait_until(BOOT, || check().then_some(())).is_some(),
        "not in time: {what}"
    );
}

#[test]
fn a_boot_is_told_without_a_secret() {
    let machine = Machine::acquire();
    let server = AuditServer::start(Where::Machine(&machine));
    web(&machine, &server).serve(&machine);
    let log = machine.dirs().logs.join("audit.log.1.gz");
    fs::write(&log, gzip("who did what")).unwrap();
    let agent = run_until_ready(&machine);

    let user_data = server.wait_for("USER_DATA", BOOT);
    let yaml: Value = serde_yaml::from_slice(&user_data.data).unwrap();
    assert_eq!(yaml["application_id"], "app");
    assert_eq!(yaml["environment"]["PLAIN"], "MASKED");
    assert_eq!(yaml["environment"]["STAGE"], "MASKED");
    assert_eq!(yaml["health_check_path"], "/health");
    assert_eq!(yaml["logsink_password"], "MASKED");

    let record = server.wait_for("BOOT_RECORD", BOOT);
    let told = json(&record.text());
    assert_eq!(told["outcome"]["state"], "ready");
    assert_eq!(told["digest"], status(&machine)["container"]["digest"]);
    assert_eq!(told["config_hash"].as_str().unwrap().len(), 64);
    assert!(told["opt_outs"].is_array());
    let steps = told["steps"].as_array().unwrap();
    assert!(
        steps
            .iter()
            .any(|step| step["step"] == "image" && step["took_ms"].is_u64())
    );

    assert_eq!(server.wait_for("AUDIT_LOG", BOOT).data, gzip("who did what"));
    until("the file is removed", || !log.exists());

    let facts = &status(&machine)["facts"];
    for record in server.records() {
        assert_eq!(record.body["account_id"], facts["account_id"]);
        assert_eq!(record.body["region"], facts["region"]);
        assert_eq!(record.body["instance_id"], facts["instance_id"]);
        assert_eq!(
            record.body["instance_boot_time"],
            user_data.body["instance_boot_time"]
        );
        for secret in [CANARY, AUDIT_PASSWORD, REGISTRY_PASSWORD] {
            assert!(!record.text().contains(secret), "{secret} in {}", record.text());
        }
    }
    assert!(
        machine.leaks(AUDIT_PASSWORD).is_empty(),
        "{:#?}",
        machine.leaks(AUDIT_PASSWORD)
    );
    // What the configuration opens is told as it happens, too.
    drop(server.wait_for("RUNTIME_EVENT", BOOT));
    assert_eq!(server.records().len(), 4, "each once");
    drop(agent);
}

#[test]
fn user_data_that_is_wrong_is_told_before_the_agent_gives_up() {
    let machine = Machine::acquire();
    let server = AuditServer::start(Where::Machine(&machine));
    web(&machine, &server).line("memory: not-a-size").serve(&machine);
    let agent = run(&machine);
    assert_eq!(agent.wait_exit(BOOT), 78);
    let taken = server.taken("BOOT_RECORD");
    assert_eq!(taken.len(), 1, "{}", agent.output());
    let told = json(&taken[0].text());
    assert_eq!(told["outcome"]["state"], "failed");
    assert_eq!(told["outcome"]["exit_code"], 78);
    assert!(
        told["outcome"]["reason"].as_str().unwrap().contains("memory"),
        "{told:#}"
    );
    assert_eq!(server.taken("USER_DATA").len(), 1);
}

/// Nobody at the far end: the boot does not notice, and what waits outlives agents.
#[test]
fn no_boot_waits_for_the_audit_and_no_kill_loses_a_record() {
    let machine = Machine::acquire();
    let server = AuditServer::start(Where::Machine(&machine));
    server.answers(&[AuditAnswer::hang()]);
    web(&machine, &server).serve(&machine);
    let agent = run_until_ready(&machine);
    server.wait_for_requests(1, BOOT);
    until("the record waits", || waiting(&machine) == 1);
    agent.kill9();
    server.down();
    let agent = run_until_ready(&machine);
    agent.kill9();
    server.answers(&[AuditAnswer::status(500).times(1), AuditAnswer::lost().times(1)]);
    server.up();
    let agent = run_until_ready(&machine);
    drop(server.wait_for("BOOT_RECORD", BOOT));
    until("nothing waits", || waiting(&machine) == 0);
    // The one whose answer was lost is there twice, and nobody could know.
    assert_eq!(server.taken("USER_DATA").len(), 2);
    assert_eq!(server.taken("BOOT_RECORD").len(), 1);
    drop(agent);
}

/// What the kernel has written by now goes out with the machine, by its agent or without one.
#[test]
fn a_machine_that_is_powered_off_sends_its_live_log() {
    for by_an_agent in [true, false] {
        let machine = Machine::acquire();
        let server = AuditServer::start(Where::Machine(&machine));
        web(&machine, &server).serve(&machine);
        let agent = run_until_ready(&machine);
        drop(server.wait_for("BOOT_RECORD", BOOT));
        let logs = &machine.dirs().logs;
        fs::write(logs.join("audit.log"), "who did what\n").unwrap();
        if !by_an_agent {
            agent.kill9();
        }
        assert_eq!(server.taken("AUDIT_LOG").len(), 0);
        let syslog = machine.dirs().syslog.display().to_string();
        let args = ["drain", "--cause", "poweroff", "--timeout", "60s"];
        let output = machine
            .monopod(binary(), &args)
            .args(["--syslog-socket", &syslog])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        let sent = server.taken("AUDIT_LOG");
        assert_eq!(sent.len(), 1, "by an agent: {by_an_agent}\n{said}");
        let mut log = String::new();
        MultiGzDecoder::new(&sent[0].data[..])
            .read_to_string(&mut log)
            .unwrap();
        assert_eq!(log, "who did what\n");
    }
}

fn waiting(machine: &Machine) -> usize {
    let entries = fs::read_dir(machine.dirs().state.join("audit"));
    let names = entries.into_iter().flatten().flatten();
    names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("record-"))
        .count()
}

#[test]
fn a_login_that_is_refused_is_told_once_and_ends_nothing() {
    let machine = Machine::acquire();
    let server = AuditServer::start(Where::Machine(&machine));
    server.answers(&[AuditAnswer::status(401)]);
    web(&machine, &server).serve(&machine);
    let agent: Agent = run_until_ready(&machine);
    server.wait_for_requests(3, BOOT);
    let warnings = || {
        let status = status(&machine);
        let all = status["warnings"].as_array().unwrap().clone();
        all.iter()
            .filter(|one| one.to_string().contains("logsink_password"))
            .count()
    };
    until("each of them is told", || warnings() == 3);
    assert!(agent.running());
    assert_eq!(server.records().len(), 3, "given up, not asked again and again");
}
