//! `validate`, `plan` and `status` as a person and a program use them; every sample in `config-samples/`.
//!
//! The expected texts lie in `tests/golden/`; `UPDATE_EXPECT=1 cargo test --test it commands` writes them anew.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use expect_test::expect_file;

use crate::common::{binary, repository};

/// Mistakes that are warnings, because Taupage took them in silence.
const WARNINGS: &[&str] = &[
    "duplicate-key.yaml",
    "key-of-docker-compose.yaml",
    "key-typo-in-a-map.yaml",
    "key-typo.yaml",
    "volumes-of-2015.yaml",
    "sysfs-path.yaml",
];

/// The YAML files of a folder, by name.
fn yaml_files(folder: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(repository(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    all.sort();
    all
}

fn samples() -> Vec<PathBuf> {
    let all = yaml_files("config-samples");
    assert!(all.len() >= 10, "files to start from: {all:?}");
    all
}

/// In the samples' folder, so that messages name files and not places, and without files of this machine's own.
fn monopod(args: &[&str]) -> Output {
    Command::new(binary())
        .args(args)
        .env("CONFIGURATION_DIRECTORY", "/nonexistent")
        .current_dir(repository("config-samples"))
        .output()
        .unwrap()
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn every_sample_can_be_used_or_says_why_not() {
    for path in samples() {
        let output = monopod(&["validate", name(&path)]);
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            path.display(),
            stdout(&output)
        );
        let golden = repository("tests/golden").join(format!("{}.validate.txt", name(&path)));
        expect_file![golden].assert_eq(&stdout(&output));
    }
}

#[test]
fn every_sample_has_its_plan() {
    for path in samples() {
        let plan = monopod(&["plan", name(&path)]);
        assert_eq!(plan.status.code(), Some(0), "{}", stdout(&plan));
        let golden = repository("tests/golden").join(format!("{}.plan.txt", name(&path)));
        expect_file![golden].assert_eq(&stdout(&plan));

        let json = monopod(&["plan", "--json", name(&path)]);
        assert_eq!(json.status.code(), Some(0));
        let parsed: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert!(parsed["steps"].as_array().unwrap().len() >= 4);
        let golden = repository("tests/golden").join(format!("{}.plan.json", name(&path)));
        expect_file![golden].assert_eq(&stdout(&json));
    }
}

#[test]
fn every_mistake_has_its_report() {
    let mistakes = yaml_files("config-samples/invalid");
    assert!(mistakes.len() >= 30, "one file a mistake: {mistakes:?}");
    for path in &mistakes {
        let file = format!("invalid/{}", name(path));
        let output = monopod(&["validate", &file]);
        let is_warning = WARNINGS.contains(&name(path));
        let expected = if is_warning { (0, 1) } else { (78, 78) };
        let strict = monopod(&["validate", "--strict", &file]);
        assert_eq!(
            (output.status.code(), strict.status.code()),
            (Some(expected.0), Some(expected.1)),
            "{file}: {}",
            stdout(&output)
        );
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let golden = repository("tests/golden/invalid").join(format!("{stem}.txt"));
        expect_file![golden].assert_eq(&stdout(&output));
    }
    // A report of a mistake that is no more would be read as one that is.
    for golden in std::fs::read_dir(repository("tests/golden/invalid")).unwrap() {
        let golden = golden.unwrap().path();
        assert!(
            mistakes.iter().any(|path| path.file_stem() == golden.file_stem()),
            "{} has no file in config-samples/invalid",
            golden.display()
        );
    }
}

#[test]
fn the_plan_on_an_image_says_what_comes_from_it() {
    let on_the_image =
        |command: &str, file: &str| monopod(&[command, "--configuration-directory", "image", file]);
    let plan = on_the_image("plan", "web.yaml");
    assert_eq!(plan.status.code(), Some(0), "{}", stdout(&plan));
    expect_file![repository("tests/golden/image.plan.txt")].assert_eq(&stdout(&plan));
    // What the image allows is the image's to say: a file from elsewhere is refused, with the rule's line.
    let refused = on_the_image("validate", "ecr.yaml");
    assert_eq!(refused.status.code(), Some(78));
    expect_file![repository("tests/golden/image.validate.txt")].assert_eq(&stdout(&refused));
}

#[test]
fn a_plan_shows_no_ciphertext_and_no_password() {
    let plan =
        stdout(&monopod(&["plan", "secrets.yaml"])) + &stdout(&monopod(&["plan", "--json", "secrets.yaml"]));
    assert!(plan.contains("<kms "));
    // An ARN of KMS begins alike.
    assert!(!plan.contains("aws:kms:AQ"), "{plan}");
}

#[test]
fn a_plan_for_a_machine_names_it() {
    let mut command = Command::new(binary());
    let facts = std::env::temp_dir().join(format!("monopod-facts-{}.json", std::process::id()));
    std::fs::write(&facts, r#"{"instance_id": "i-1", "region": "eu-west-1", "availability_zone": "eu-west-1b", "account_id": "1"}"#).unwrap();
    let output = command
        .args(["plan", "web.yaml", "--facts"])
        .arg(&facts)
        .current_dir(repository("config-samples"))
        .output()
        .unwrap();
    std::fs::remove_file(&facts).unwrap();
    assert!(
        stdout(&output).contains("on i-1 (eu-west-1, account 1)"),
        "{}",
        stdout(&output)
    );
}

/// Gives user data on standard input.
fn validate(text: &str, more: &[&str]) -> Output {
    let mut child = Command::new(binary())
        .args(["validate", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_exit_code_tells_errors_from_warnings() {
    let good = "#taupage-ami-config\napplication_id: app\napplication_version: \"1\"\nruntime: Docker\nsource: registry.example.org/team/app:1\n";
    let typo = format!("{good}hostnam: x\n");
    let bad = good.replace("app:1", "app:latest");
    for (text, more, code) in [
        (good, &[][..], 0),
        (good, &["--strict"], 0),
        (&typo, &[], 0),
        (&typo, &["--strict"], 1),
        (&bad, &[], 78),
        (&bad, &["--strict"], 78),
    ] {
        let output = validate(text, more);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{more:?} {text}\n{}",
            stdout(&output)
        );
    }
}

#[test]
fn a_template_has_a_verdict_for_each_user_data_and_one_for_all() {
    for file in [
        "cloudformation.yaml",
        "cloudformation.json",
        "terraform/user-data.tftpl",
    ] {
        let output = monopod(&["validate", "--strict", &format!("templates/{file}")]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", stdout(&output));
        assert_eq!(stdout(&output).lines().count(), 2, "{file}: {}", stdout(&output));
    }
    let text = std::fs::read_to_string(repository("config-samples/templates/cloudformation.yaml")).unwrap();
    let output = validate(&text.replace("80: 8080", "80: 80800"), &[]);
    assert_eq!(output.status.code(), Some(78));
    let shown = stdout(&output);
    let line = text.lines().position(|line| line.contains("80: 8080")).unwrap() + 1;
    assert!(
        shown.contains(&format!("--> standard input:{line}:19")),
        "{shown}"
    );
    assert!(shown.contains("Resources.AppServerTemplate.Properties.LaunchTemplateData.UserData cannot be used: 1 error, 0 warnings"), "{shown}");
    assert!(
        shown.ends_with("standard input, a CloudFormation template, cannot be used: 1 error, 0 warnings\n"),
        "{shown}"
    );
}

#[test]
fn a_missing_file_is_said() {
    let output = monopod(&["validate", "no-such-file.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no file no-such-file.yaml"));
}

#[test]
fn wrong_usage_exits_2() {
    assert_eq!(monopod(&["validate"]).status.code(), Some(2));
    assert_eq!(monopod(&["dance"]).status.code(), Some(2));
}

#[test]
fn no_status_where_nothing_ran() {
    let output = monopod(&["status", "--runtime-directory", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no agent has run here"));
    let line = monopod(&["status", "--line", "--runtime-directory", "/nonexistent"]);
    assert_eq!(line.status.code(), Some(1));
    assert_eq!(
        stdout(&line),
        "monopod: no agent has run here since the machine booted; see `systemctl status monopod`\n"
    );
    let both = monopod(&[
        "status",
        "--line",
        "--json",
        "--runtime-directory",
        "/nonexistent",
    ]);
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn the_help_is_the_reference() {
    let output = monopod(&["--help"]);
    expect_file![repository("tests/golden/help.txt")].assert_eq(&stdout(&output));
    let output = monopod(&["encrypt", "--help"]);
    expect_file![repository("tests/golden/encrypt.help.txt")].assert_eq(&stdout(&output));
}

/// A file of the test's own.
fn file(name: &str, text: &str) -> own_files::File {
    own_files::File::new(name, text)
}

/// Files of a test, gone with it.
mod own_files {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    pub(super) struct File(PathBuf);

    impl File {
        pub(super) fn new(name: &str, text: &str) -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let folder =
                std::env::temp_dir().join(format!("monopod-commands-{}-{number}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            Self(path)
        }

        pub(super) fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }

        pub(super) fn folder(&self) -> &Path {
            self.0.parent().unwrap()
        }
    }

    impl Drop for File {
        fn drop(&mut self) {
            drop(std::fs::remove_dir_all(self.folder()));
        }
    }
}

const START: &str = "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n";

#[test]
fn problems_for_programs_and_for_github() {
    let bad = file(
        "app.yaml",
        &format!("{START}networking: brigde\nheath_check_path: /x\n"),
    );
    let output = monopod(&["validate", "--format", "json", bad.path()]);
    assert_eq!(output.status.code(), Some(78));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let report = &json["files"][0];
    assert_eq!((&report["errors"], &report["warnings"]), (&1.into(), &1.into()));
    let problem = &report["problems"][0];
    for (key, value) in [
        ("severity", serde_json::Value::from("error")),
        ("code", "MP0303".into()),
        ("file", bad.path().into()),
        ("line", 5.into()),
        ("column", 13.into()),
        ("key", "networking".into()),
        ("suggestion", "bridge".into()),
    ] {
        assert_eq!(problem[key], value, "{key}: {problem}");
    }
    let output = monopod(&["validate", "--format", "github", bad.path()]);
    let lines = stdout(&output);
    let wanted = format!(
        "::error file={},line=5,col=13,title=MP0303::`networking` has to be `bridge`, `host` or `none`; did you mean `bridge`?\n",
        bad.path()
    );
    assert!(
        lines.starts_with(&wanted) && lines.contains("\n::warning file="),
        "{lines}"
    );
}

#[test]
fn several_files_are_checked_and_the_worst_counts() {
    let (good, bad) = (
        file("good.yaml", START),
        file("bad.yaml", "#taupage-ami-config\na: 1\n"),
    );
    let output = monopod(&["validate", good.path(), bad.path()]);
    assert_eq!(output.status.code(), Some(78));
    let text = stdout(&output);
    assert!(
        text.contains("good.yaml can be used") && text.contains("bad.yaml cannot be used"),
        "{text}"
    );
    assert_eq!(
        monopod(&["validate", good.path(), good.path()]).status.code(),
        Some(0)
    );
    assert_eq!(
        monopod(&["validate", good.path(), "/nonexistent"]).status.code(),
        Some(78)
    );
}

#[test]
fn a_person_checks_against_the_image_s_own_files() {
    let policy = file("policy.yaml", "allow: {root: false}\n");
    let user_data = file("app.yaml", &format!("{START}root: true\n"));
    let folder = policy.folder().to_str().unwrap().to_owned();
    let output = monopod(&["validate", "--configuration-directory", &folder, user_data.path()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(78));
    assert!(
        text.contains("policy.yaml:1:9") && text.contains("the rule `allow.root`"),
        "{text}"
    );
    std::fs::write(policy.folder().join("policy.yaml"), "{}\n").unwrap();
    std::fs::write(policy.folder().join("defaults.yaml"), "hostname: image\n").unwrap();
    let output = monopod(&["plan", "--configuration-directory", &folder, user_data.path()]);
    let text = stdout(&output);
    assert!(
        text.contains("Set by the machine's image") && text.contains("defaults.yaml:1"),
        "{text}"
    );
}

#[test]
fn the_image_s_policy_is_held_against_templates_too() {
    let policy = file("policy.yaml", "allow: {root: false}\nlocked: [hostname]\n");
    std::fs::write(
        policy.folder().join("defaults.yaml"),
        "hostname: image\nxray_enabled: true\n",
    )
    .unwrap();
    let folder = policy.folder().to_str().unwrap().to_owned();
    let lines = START.replace('\n', "\n          ");
    let template = file(
        "stack.yaml",
        &format!(
            "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64: |\n          {lines}root: true\n          hostname: mine\n"
        ),
    );
    let output = monopod(&["validate", "--configuration-directory", &folder, template.path()]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(78));
    for wanted in [
        "stack.yaml:11:17",
        "stack.yaml:12:11",
        "policy.yaml:1:9",
        "policy.yaml:2:10",
        "defaults.yaml:2:1",
        "root: true",
    ] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
}

#[test]
fn two_plans_are_compared() {
    let (old, new) = (
        file("old.yaml", &format!("{START}ports: {{80: 80}}\n")),
        file(
            "new.yaml",
            &format!("{START}ports: {{80: 81}}\nrestart: always\n"),
        ),
    );
    let output = monopod(&["plan", "--diff", old.path(), new.path()]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        stdout(&output),
        "- container.ports[80 -> 80/tcp]: yes\n+ container.ports[80 -> 81/tcp]: yes\n- restart: on-failure\n+ restart: always\n\
         The container is replaced: a machine started again with the new file removes the old one first.\n"
    );
    let output = monopod(&["plan", "--diff", "--json", old.path(), new.path()]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["replaces_container"], true);
    assert_eq!(json["changes"].as_array().unwrap().len(), 3);
    assert_eq!(
        monopod(&["plan", "--diff", old.path(), old.path()]).status.code(),
        Some(0)
    );
    assert_eq!(monopod(&["plan", "--diff", old.path()]).status.code(), Some(2));
    assert_eq!(monopod(&["plan", old.path(), new.path()]).status.code(), Some(2));
    let output = monopod(&["plan", "templates/cloudformation.yaml"]);
    assert_eq!(output.status.code(), Some(78));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("is a CloudFormation template, which has no plan"),
        "{said}"
    );
}

#[test]
fn the_least_policy_can_be_pasted() {
    let output = monopod(&["plan", "--iam", "secrets.yaml"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["Version"], "2012-10-17");
    assert_eq!(json["Statement"][0]["Action"], "kms:Decrypt");
    let output = monopod(&["plan", "--iam", "web.yaml"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["Statement"], serde_json::json!([]));
}

#[test]
fn what_is_known_is_explained() {
    let output = monopod(&["explain", "memory"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("512m"), "{}", stdout(&output));
    assert!(stdout(&monopod(&["explain", "MP0310"])).contains("SNAPSHOT"));
    let all = stdout(&monopod(&["explain"]));
    assert!(
        all.contains("capabilities_add") && all.contains("MP0101"),
        "{all}"
    );
    let output = monopod(&["explain", "memry"]);
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("memory"), "{error}");
}

#[test]
fn the_schemas_are_the_committed_ones() {
    for (args, committed) in [
        (&["schema"][..], "config-samples/schema.json"),
        (&["schema", "--policy"][..], "config-samples/policy.schema.json"),
        (&["schema", "--status"][..], "config-samples/status.schema.json"),
    ] {
        let wanted = std::fs::read_to_string(repository(committed)).unwrap();
        assert_eq!(stdout(&monopod(args)), wanted, "{committed}: run `make golden`");
    }
}
