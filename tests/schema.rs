//! The JSON Schema of the user data, in the hands of a validator that isn't ours.
//!
//! The committed `config-samples/schema.json` is what `monopod schema` prints (`make golden` writes it anew), and what
//! people's editors use. check-jsonschema runs without any network: a schema that needs one is no use to them.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use expect_test::expect_file;
use serde_json::Value;

use crate::common::{binary, repository, tool};

const SCHEMA: &str = "config-samples/schema.json";

/// Samples that give a key twice, as Taupage's users do: YAML 1.2 forbids it, so an editor reads no further.
const GIVEN_TWICE: &[&str] = &["taupage-legacy.yaml"];

/// What a run of check-jsonschema came to.
#[derive(Debug)]
struct Verdict {
    accepted: bool,
    /// What is wrong by the schema.
    errors: Vec<Value>,
    /// What couldn't even be read.
    unread: Vec<Value>,
}

fn check_jsonschema(args: &[&str], input: &[u8]) -> Verdict {
    let output = fed(
        Command::new("unshare")
            .args(["--net", "--"])
            .arg(tool("check-jsonschema"))
            .args(["--output-format", "json"])
            .args(args),
        input,
    );
    let told: Value = serde_json::from_slice(&output.1)
        .unwrap_or_else(|error| panic!("{args:?}: {error}: {}", String::from_utf8_lossy(&output.1)));
    let list = |name: &str| told[name].as_array().cloned().unwrap_or_default();
    Verdict {
        accepted: output.0,
        errors: list("errors"),
        unread: list("parse_errors"),
    }
}

/// Gives a program its standard input; whether it succeeded, and what it printed.
fn fed(command: &mut Command, input: &[u8]) -> (bool, Vec<u8>) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.success(), output.stdout)
}

fn against_the_schema(file: &str, input: &[u8]) -> Verdict {
    let schema = repository(SCHEMA).display().to_string();
    check_jsonschema(&["--schemafile", &schema, file], input)
}

/// The file as Taupage read it, and as we do: YAML 1.1, the last of two keys counts.
fn as_taupage_read(path: &Path) -> Vec<u8> {
    let script =
        "import json, sys, yaml; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout, default=str)";
    let (read, json) = fed(
        Command::new(tool("python")).args(["-c", script]),
        &std::fs::read(path).unwrap(),
    );
    assert!(read, "{}: PyYAML can't read it", path.display());
    json
}

fn files(folder: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(repository(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    all.sort();
    assert!(!all.is_empty(), "{folder} has files");
    all
}

#[test]
fn it_is_the_committed_one() {
    let output = Command::new(binary()).arg("schema").output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    expect_file![repository(SCHEMA)].assert_eq(&String::from_utf8(output.stdout).unwrap());
}

#[test]
fn it_is_a_schema_by_its_own_meta_schema() {
    let path = repository(SCHEMA);
    let schema: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    // The meta-schema is the one the schema names: without a name, or with another, this would prove nothing.
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let verdict = check_jsonschema(&["--check-metaschema", &path.display().to_string()], b"");
    assert!(verdict.accepted, "{verdict:#?}");
}

#[test]
fn it_accepts_every_sample() {
    for path in files("config-samples") {
        let verdict = against_the_schema("-", &as_taupage_read(&path));
        assert!(verdict.accepted, "{}: {verdict:#?}", path.display());

        let verdict = against_the_schema(&path.display().to_string(), b"");
        let name = path.file_name().unwrap().to_str().unwrap();
        if GIVEN_TWICE.contains(&name) {
            assert!(
                verdict.unread.len() == 1 && verdict.errors.is_empty(),
                "{name}: {verdict:#?}"
            );
        } else {
            assert!(verdict.accepted, "{name}: {verdict:#?}");
        }
    }
}

#[test]
fn it_rejects_the_invalid_samples_that_a_schema_can() {
    let mut rejected = 0;
    for path in files("config-samples/invalid") {
        // As bytes: some are no text at all.
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        match text.lines().nth(1).unwrap_or_default().trim_end() {
            "# schema: rejects" => {
                let verdict = against_the_schema(&path.display().to_string(), b"");
                // Rejected for what it says, not for being unreadable.
                assert!(
                    !verdict.accepted && verdict.unread.is_empty() && !verdict.errors.is_empty(),
                    "{}: {verdict:#?}",
                    path.display()
                );
                rejected += 1;
            }
            "# schema: cannot tell" => {}
            other => panic!(
                "{}: the second line says `# schema: rejects` or `# schema: cannot tell`, not {other:?}",
                path.display()
            ),
        }
    }
    assert!(rejected > 0, "there are some that a schema can reject");
}
