//! `monopod support-bundle`: what is in it, and what never is.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use flate2::read::GzDecoder;
use monopod_testrig::{Image, Machine, REGISTRY_PASSWORD, wait_until};
use serde_json::Value;

use crate::common::*;

const ENVIRONMENT: &str = "canary-of-the-environment-1";
const PLAIN: &str = "canary-in-clear-of-the-environment-2";
const FILE: &str = "canary-of-a-file-3";

/// Says its secrets, as applications do, and how long it has been up.
const TALKER: &str = r#"
echo "the environment says $SECRET, the file says $(/bin/busybox cat /run/secrets/db)"
echo "in base64: $(printf '%s' "$SECRET" | /bin/busybox base64)"
echo "an ordinary line"
while :; do sleep 1; done
"#;

fn boot(machine: &Machine) -> monopod_testrig::Agent {
    let (secret, file) = (
        machine.aws().put_parameter("env", ENVIRONMENT),
        machine.aws().put_parameter("file", FILE),
    );
    let image = machine.registry().push(&Image::new("talker", TALKER));
    UserData::of(machine, &image)
        .env(&[("SECRET", &secret), ("PLAIN", PLAIN)])
        .line(&format!("secrets: {{db: '{file}'}}"))
        .serve(machine);
    let agent = run_until_ready(machine);
    let log = machine.dirs().logs.join("application.log");
    let written = || {
        fs::read_to_string(&log)
            .ok()
            .filter(|text| text.contains("ordinary"))
    };
    assert!(wait_until(BOOT, written).is_some(), "the application has spoken");
    agent
}

fn bundle(machine: &Machine, more: &[&str]) -> (PathBuf, Vec<(String, String)>) {
    let path = machine.dirs().base.join("bundle.tar.gz");
    let mut args = vec!["support-bundle", "--output", path.to_str().unwrap()];
    args.extend(more);
    let output = machine.monopod(binary(), &args).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        path.display().to_string()
    );
    let members = members(&path);
    (path, members)
}

fn members(path: &Path) -> Vec<(String, String)> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path).unwrap()));
    let entries = archive.entries().unwrap();
    entries
        .map(|entry| {
            let mut entry = entry.unwrap();
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            (name.strip_prefix("monopod-support/").unwrap().to_owned(), text)
        })
        .collect()
}

fn member<'a>(members: &'a [(String, String)], name: &str) -> &'a str {
    let found = members.iter().find(|(one, _)| one == name);
    &found
        .unwrap_or_else(|| panic!("no {name} in {:?}", names(members)))
        .1
}

fn names(members: &[(String, String)]) -> Vec<&str> {
    members.iter().map(|(name, _)| name.as_str()).collect()
}

/// As it is, and what of its base64 is the same wherever it begins.
fn assert_absent(members: &[(String, String)], secret: &str) {
    for (name, text) in members {
        assert!(!text.contains(secret), "{secret} in {name}:\n{text}");
        for shift in 0..3 {
            let padded = format!("{}{secret}", "x".repeat(shift));
            let encoded = STANDARD_NO_PAD.encode(padded);
            let inner = encoded.get(4..encoded.len() - 4).unwrap();
            assert!(!text.contains(inner), "{secret} in base64 in {name}:\n{text}");
        }
    }
}

#[test]
fn it_has_what_a_maintainer_needs_and_no_secret() {
    let machine = Machine::acquire();
    let _agent = boot(&machine);
    let about = machine.dirs().configuration.join("image.json");
    fs::create_dir_all(&machine.dirs().configuration).unwrap();
    fs::write(&about, format!("{{\"name\": \"n\", \"note\": \"{FILE}\"}}")).unwrap();
    fs::write(
        machine.dirs().runtime.join("prepare.json"),
        format!("{{\"a\": \"{ENVIRONMENT}\"}}"),
    )
    .unwrap();
    let (path, members) = bundle(&machine, &["--with-application-log"]);
    assert_eq!(
        member(&members, "image.json"),
        r#"{"name": "n", "note": "[redacted]"}"#
    );
    assert_eq!(member(&members, "prepare.json"), r#"{"a": "[redacted]"}"#);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    for secret in [ENVIRONMENT, PLAIN, FILE, REGISTRY_PASSWORD] {
        assert_absent(&members, secret);
    }
    let log = member(&members, "application.log");
    assert!(
        log.contains("the environment says [redacted], the file says [redacted]"),
        "{log}"
    );
    assert!(log.contains("an ordinary line"));

    let status: Value = serde_json::from_str(member(&members, "status.json")).unwrap();
    assert_eq!(status["outcome"]["state"], "ready");
    let id = container_id(&machine);
    let container: Value = serde_json::from_str(member(
        &members,
        &format!("container/{}.json", id.get(..12).unwrap()),
    ))
    .unwrap();
    let env = container["Config"]["Env"].as_array().unwrap();
    assert!(
        env.contains(&"SECRET".into()) && env.contains(&"PLAIN".into()),
        "{env:?}"
    );
    let engine: Value = serde_json::from_str(member(&members, "engine.json")).unwrap();
    assert!(engine["ServerVersion"].is_string());
    assert!(member(&members, "versions.txt").starts_with("monopod "));
    assert!(member(&members, "machine.txt").contains("MemAvailable"));
    assert!(member(&members, "files.txt").contains("status.json"));
    assert!(names(&members).iter().any(|name| name.starts_with("cursors/")));

    let manifest: Value = serde_json::from_str(member(&members, "manifest.json")).unwrap();
    assert!(
        manifest["secrets_redacted"].as_u64().unwrap() >= 2,
        "{manifest:#}"
    );
    let rows = manifest["members"].as_array().unwrap();
    for (name, text) in members.iter().filter(|(name, _)| name != "manifest.json") {
        let row = rows.iter().find(|row| row["name"] == name.as_str()).unwrap();
        assert_eq!(row["bytes"], text.len());
    }

    // A second one does not write over it.
    let output = machine
        .monopod(binary(), &["support-bundle", "--output", path.to_str().unwrap()])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--output"));
}

#[test]
fn the_application_s_words_are_in_it_only_if_asked_for() {
    let machine = Machine::acquire();
    let _agent = boot(&machine);
    let (_, members) = bundle(&machine, &[]);
    assert!(!names(&members).contains(&"application.log"));
    assert!(members.iter().all(|(_, text)| !text.contains("an ordinary line")));
}

/// The engine hangs: the bundle is made all the same, says so, and leaves out what it can't redact.
#[test]
fn a_dead_engine_costs_its_own_parts() {
    let machine = Machine::acquire();
    let _agent = boot(&machine);
    machine.freeze_engine();
    let begun = Instant::now();
    let (_, members) = bundle(&machine, &["--with-application-log"]);
    machine.thaw_engine();
    assert!(begun.elapsed() < Duration::from_secs(90), "{:?}", begun.elapsed());
    let manifest: Value = serde_json::from_str(member(&members, "manifest.json")).unwrap();
    let missing: Vec<&str> = manifest["members"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["missing"].is_string())
        .filter_map(|row| row["name"].as_str())
        .collect();
    for name in ["engine.json", "container/", "application.log"] {
        assert!(missing.contains(&name), "{name}: {missing:?}");
    }
    assert!(manifest["secrets_redacted"].is_string());
    assert!(names(&members).contains(&"status.json"));
    for secret in [ENVIRONMENT, PLAIN, FILE, REGISTRY_PASSWORD] {
        assert_absent(&members, secret);
    }
}
