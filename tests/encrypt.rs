//! `monopod encrypt`: values from standard input and in files, what KMS refuses, and the value in nobody's hands.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use monopod_testrig::{AwsFault, Machine};
use serde_json::json;

use crate::common::*;

const CANARY: &str = "canary-never-to-be-seen";
const REGION: &str = "eu-central-1";

/// A machine whose KMS has the key `alias/my-app`.
fn machine() -> Machine {
    let machine = Machine::acquire();
    machine.aws().alias(REGION, "alias/my-app");
    machine
}

/// The command, as a person runs it who is logged in.
fn command(machine: &Machine, args: &[&str]) -> Command {
    let mut all = vec!["encrypt"];
    all.extend(args);
    let mut command = machine.monopod(binary(), &all);
    command
        .env("AWS_REGION", REGION)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it prints, with this on standard input; the value is never shown.
fn fed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    // Who refuses its arguments does not read.
    let _refused = child.stdin.take().unwrap().write_all(input).is_err();
    let output = child.wait_with_output().unwrap();
    for stream in [&output.stdout, &output.stderr] {
        assert!(!String::from_utf8_lossy(stream).contains(CANARY), "{output:?}");
    }
    output
}

fn encrypt(machine: &Machine, args: &[&str], input: &str) -> Output {
    fed(command(machine, args), input.as_bytes())
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The one line on standard output.
fn value(output: &Output) -> String {
    assert_eq!(code(output), 0, "{}", said(output));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n') && line.starts_with("aws:kms:"), "{text}");
    line.to_owned()
}

fn decrypted(machine: &Machine, value: &str, context: &serde_json::Value) -> Option<String> {
    let ciphertext = value.strip_prefix("aws:kms:").unwrap();
    let (ciphertext, _) = ciphertext.split_once('?').unwrap_or((ciphertext, ""));
    let bytes = machine.aws().decrypt_in(REGION, ciphertext, context)?;
    Some(String::from_utf8(bytes).unwrap())
}

fn calls(machine: &Machine, op: &str) -> usize {
    machine.aws().calls().iter().filter(|call| call.op == op).count()
}

#[test]
fn a_value_from_standard_input_is_what_the_container_gets() {
    let machine = machine();
    let output = encrypt(&machine, &["--key-id", "alias/my-app"], &format!("{CANARY}\n"));
    let value = value(&output);
    UserData::new(&machine, "web")
        .web()
        .env(&[("SECRET", &value)])
        .serve(&machine);
    let _agent = run_until_ready(&machine);
    let container = the_container(&machine);
    let env = container["Config"]["Env"].as_array().unwrap();
    assert!(env.contains(&format!("SECRET={CANARY}").into()), "{env:?}");
}

#[test]
fn one_newline_is_cut_unless_it_is_wanted() {
    let machine = machine();
    for (input, more, expected) in [
        ("a\n\n", None, "a\n"),
        ("a", None, "a"),
        ("a\n", Some("--keep-newline"), "a\n"),
    ] {
        let mut args = vec!["--key-id", "my-app"];
        args.extend(more);
        let value = value(&encrypt(&machine, &args, input));
        assert_eq!(decrypted(&machine, &value, &json!({})).as_deref(), Some(expected));
    }
}

#[test]
fn the_region_is_the_one_the_sdk_finds() {
    let machine = machine();
    let mut on_an_instance = command(&machine, &["--key-id", "my-app"]);
    on_an_instance
        .env_remove("AWS_REGION")
        .env_remove("AWS_EC2_METADATA_DISABLED");
    assert!(decrypted(&machine, &value(&fed(on_an_instance, b"x")), &json!({})).is_some());

    let mut nowhere = command(&machine, &["--key-id", "my-app"]);
    nowhere.env_remove("AWS_REGION");
    let output = fed(nowhere, CANARY.as_bytes());
    assert_eq!(code(&output), 78);
    let text = said(&output);
    assert!(text.contains("--region") && text.contains("AWS_REGION"), "{text}");

    machine.aws().alias("us-east-1", "alias/elsewhere");
    let output = encrypt(&machine, &["--key-id", "elsewhere", "--region", "us-east-1"], "x");
    assert_eq!(code(&output), 0, "{}", said(&output));
}

#[test]
fn the_context_is_bound_and_carried() {
    let machine = machine();
    let context = [
        "--encryption-context",
        "app=my app",
        "--encryption-context",
        "team=a&b",
    ];
    let args = [&["--key-id", "my-app"][..], &context].concat();
    let value = value(&encrypt(&machine, &args, CANARY));
    assert!(
        value.ends_with("?context.app=my%20app&context.team=a%26b"),
        "{value}"
    );
    let bound = json!({"app": "my app", "team": "a&b"});
    assert_eq!(decrypted(&machine, &value, &bound).as_deref(), Some(CANARY));
    assert_eq!(decrypted(&machine, &value, &json!({})), None);
    let output = encrypt(
        &machine,
        &["--key-id", "my-app", "--encryption-context", "app"],
        CANARY,
    );
    assert_eq!(code(&output), 2);
}

#[test]
fn what_cannot_be_a_value_is_wrong_usage() {
    let machine = machine();
    let large = format!("{CANARY}{}", "x".repeat(4097 - CANARY.len()));
    let nul = format!("{CANARY}\0");
    for (input, word) in [
        ("", "standard input"),
        ("\n", "standard input"),
        (large.as_str(), "Secrets Manager"),
        (nul.as_str(), "NUL"),
    ] {
        let output = encrypt(&machine, &["--key-id", "my-app"], input);
        assert_eq!(code(&output), 2, "{}", said(&output));
        assert!(said(&output).contains(word), "{}", said(&output));
        assert!(output.stdout.is_empty());
    }
    let output = fed(command(&machine, &["--key-id", "my-app"]), b"\xff\xfe");
    assert_eq!(code(&output), 2);
    assert!(said(&output).contains("UTF-8"), "{}", said(&output));
    // A value is no argument, and is not repeated.
    let output = encrypt(&machine, &["--key-id", "my-app", CANARY], "");
    assert_eq!(code(&output), 2, "{}", said(&output));
    for wrong in ["", "my app", "alias/"] {
        let output = encrypt(&machine, &["--key-id", wrong], CANARY);
        assert_eq!(code(&output), 2, "{}", said(&output));
        assert!(said(&output).contains("alias/my-app"), "{}", said(&output));
    }
    assert_eq!(calls(&machine, "Encrypt"), 0);
    let largest = "x".repeat(4096);
    let output = encrypt(&machine, &["--key-id", "my-app"], &format!("{largest}\n"));
    assert_eq!(decrypted(&machine, &value(&output), &json!({})), Some(largest));
}

#[test]
fn a_refusal_is_final_and_says_what_to_grant() {
    let machine = machine();
    machine
        .aws()
        .faults(&[AwsFault::error("Encrypt", "AccessDeniedException").message("no policy allows it")]);
    let output = encrypt(&machine, &["--key-id", "my-app"], CANARY);
    assert_eq!(code(&output), 78);
    assert!(
        said(&output).contains("refused to encrypt with alias/my-app: AccessDeniedException: no policy allows it; grant yourself kms:Encrypt"),
        "{}",
        said(&output)
    );
    assert_eq!(calls(&machine, "Encrypt"), 1, "not tried again");

    let mut logged_out = command(&machine, &["--key-id", "my-app"]);
    logged_out
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let output = fed(logged_out, CANARY.as_bytes());
    assert_eq!(code(&output), 78);
    assert!(said(&output).contains("AWS_PROFILE"), "{}", said(&output));
}

#[test]
fn an_unknown_alias_has_a_neighbour() {
    let machine = machine();
    let ask = |key_id: &str| {
        let output = encrypt(&machine, &["--key-id", key_id], CANARY);
        assert_eq!(code(&output), 78);
        said(&output)
    };
    let text = ask("my-ap");
    assert!(
        text.contains("KMS in eu-central-1 has no key alias/my-ap; did you mean alias/my-app?"),
        "{text}"
    );
    let text = ask("quite-another");
    assert!(
        text.contains("alias/my-app") && text.contains("--region"),
        "{text}"
    );
    machine
        .aws()
        .faults(&[AwsFault::error("ListAliases", "AccessDeniedException")]);
    assert!(ask("my-ap").contains("grant kms:ListAliases"));
    let text = ask("1234abcd-12ab-34cd-56ef-1234567890ab");
    assert!(text.contains("has no key 1234abcd"), "{text}");
}

#[test]
fn throttling_and_bad_moments_are_waited_out() {
    let machine = machine();
    machine.aws().faults(&[
        AwsFault::error("Encrypt", "ThrottlingException").times(1),
        AwsFault::error("Encrypt", "KMSInternalException")
            .status(500)
            .times(1),
    ]);
    let output = encrypt(&machine, &["--key-id", "my-app"], CANARY);
    assert_eq!(
        decrypted(&machine, &value(&output), &json!({})).as_deref(),
        Some(CANARY)
    );
    let text = said(&output);
    assert!(
        text.contains("ThrottlingException") && text.contains("KMSInternalException"),
        "{text}"
    );
    assert_eq!(calls(&machine, "Encrypt"), 3);
}

/// Every refusal as people read it.
#[test]
fn refusals_read_like_this() {
    let machine = machine();
    let mut all = String::new();
    let mut tell = |what: &str, output: &Output| {
        let said = said(output);
        let lines = said.lines().map(|line| {
            line.split_once(" ERROR ")
                .map_or(line, |(_, text)| text)
                .replace(&machine.dirs().base.display().to_string(), "...")
        });
        let lines: Vec<String> = lines.collect();
        all.push_str(&format!("# {what}: {}\n{}\n\n", code(output), lines.join("\n")));
    };
    let plain = |key_id: &str| encrypt(&machine, &["--key-id", key_id], CANARY);
    tell("no name of a key", &plain("my app"));
    tell(
        "a value as an argument",
        &encrypt(&machine, &["--key-id", "my-app", CANARY], ""),
    );
    tell(
        "nothing on standard input",
        &encrypt(&machine, &["--key-id", "my-app"], "\n"),
    );
    tell(
        "too much on standard input",
        &encrypt(&machine, &["--key-id", "my-app"], &CANARY.repeat(200)),
    );
    tell("an alias that is not there", &plain("my-ap"));
    for code in [
        "AccessDeniedException",
        "DisabledException",
        "ExpiredTokenException",
    ] {
        machine
            .aws()
            .faults(&[AwsFault::error("Encrypt", code).message("as AWS says it")]);
        tell(code, &plain("my-app"));
    }
    machine.aws().faults(&[]);
    let path = machine.dirs().base.join("app.yaml");
    let name = path.to_str().unwrap();
    let text = "#taupage-ami-config\napplication_id: my-app\napplication_version: '1'\nsource: registry.example.org/a:1\n\
                environment: {A: &x one, B: *x, C: !!str 1, D: , LIST: [1]}\n";
    fs::write(&path, text).unwrap();
    for key in [
        "environment.AA",
        "enviroment.A",
        "environment",
        "environment.LIST",
        "environment.A",
        "environment.B",
        "environment.C",
        "environment.D",
        "application_id",
    ] {
        let output = encrypt(&machine, &["--key-id", "my-app", "--file", name, key], "");
        tell(key, &output);
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    expect_test::expect_file![repository("tests/golden/encrypt.refusals.txt")].assert_eq(&all);
}

/// A file of user data, in CRLF and with everything that has to stay.
fn file(machine: &Machine) -> (PathBuf, String) {
    let text = format!(
        "#taupage-ami-config\n# ours\napplication_id:   my-app\nenvironment:\n  PLAIN: {CANARY}-1  # rotate in May\n  \
         'QUOTED': '{CANARY}-2'\n  OTHER: x\n  DONE: aws:kms:AQICAHhFeGFtcGxl\n  KEY: |\n    {CANARY}\n    two lines\n\n\
         dockercfg: {{\"https://registry.example.org\": {{auth: {CANARY}-3, email: x}}}}\n# end"
    )
    .replace('\n', "\r\n");
    let path = machine.dirs().base.join("user-data.yaml");
    fs::write(&path, &text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    (path, text)
}

/// The text between two others.
fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text
        .split_once(start)
        .unwrap_or_else(|| panic!("{start} in {text}"));
    rest.split_once(end)
        .unwrap_or_else(|| panic!("{end} in {rest}"))
        .0
}

#[test]
fn values_of_a_file_are_encrypted_in_place() {
    let machine = machine();
    let (path, before) = file(&machine);
    let keys = [
        "environment.PLAIN",
        "environment.QUOTED",
        "environment.KEY",
        "environment.DONE",
        "dockercfg.https://registry.example.org.auth",
    ];
    let args = [
        &["--key-id", "my-app", "--file", path.to_str().unwrap()][..],
        &keys,
    ]
    .concat();
    let output = encrypt(&machine, &args, "");
    assert_eq!(code(&output), 0, "{}", said(&output));
    assert!(output.stdout.is_empty());
    assert!(
        said(&output).contains("`environment.DONE` in") && said(&output).contains("left alone"),
        "{}",
        said(&output)
    );
    let after = fs::read_to_string(&path).unwrap();
    let mut expected = before;
    for (start, end, old, new) in [
        (
            "PLAIN: \"",
            "\"  # rotate",
            format!("{CANARY}-1"),
            format!("{CANARY}-1"),
        ),
        ("'QUOTED': '", "'", format!("{CANARY}-2"), format!("{CANARY}-2")),
        (
            "KEY: \"",
            "\"\r\n",
            format!("|\r\n    {CANARY}\r\n    two lines"),
            format!("{CANARY}\ntwo lines\n"),
        ),
        ("auth: \"", "\"", format!("{CANARY}-3"), format!("{CANARY}-3")),
    ] {
        let value = between(&after, start, end);
        assert_eq!(
            decrypted(&machine, value, &json!({})).as_deref(),
            Some(new.as_str())
        );
        let quote = if start.ends_with('"') { "\"" } else { "" };
        expected = expected.replace(&old, &format!("{quote}{value}{quote}"));
    }
    assert_eq!(after, expected, "the rest is as it was");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
    assert_only(&path);

    let output = encrypt(&machine, &args, "");
    assert_eq!(code(&output), 0, "a second time there is nothing to do");
    assert_eq!(fs::read_to_string(&path).unwrap(), after);
}

/// No temporary file beside it.
fn assert_only(path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    for entry in fs::read_dir(path.parent().unwrap()).unwrap().flatten() {
        let other = entry.file_name().into_string().unwrap();
        assert!(other == name || !other.starts_with(name), "{other}");
    }
}

#[test]
fn a_file_gets_a_value_from_standard_input() {
    let machine = machine();
    let (path, before) = file(&machine);
    let args = |key: &'static str| {
        let path = path.to_str().unwrap().to_owned();
        move |machine: &Machine, input: &str| {
            encrypt(
                machine,
                &["--key-id", "my-app", "--stdin", "--file", &path, key],
                input,
            )
        }
    };
    let output = args("environment.DONE")(&machine, CANARY);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let after = fs::read_to_string(&path).unwrap();
    let rotated = between(&after, "DONE: \"", "\"");
    assert_eq!(decrypted(&machine, rotated, &json!({})).as_deref(), Some(CANARY));
    assert_eq!(
        after,
        before.replace("aws:kms:AQICAHhFeGFtcGxl", &format!("\"{rotated}\""))
    );
    let output = args("environment.NEW")(&machine, CANARY);
    assert_eq!(code(&output), 0, "{}", said(&output));
    let after = fs::read_to_string(&path).unwrap();
    let new = between(&after, "\r\n  NEW: \"", "\"\r\n  PLAIN: ");
    assert_eq!(decrypted(&machine, new, &json!({})).as_deref(), Some(CANARY));

    let output = args("enviroment.NEW")(&machine, CANARY);
    assert_eq!(code(&output), 2);
    assert!(
        said(&output).contains("did you mean `environment.NEW`?"),
        "{}",
        said(&output)
    );
    let path = path.to_str().unwrap();
    let output = encrypt(
        &machine,
        &["--key-id", "my-app", "--stdin", "--file", path, "a", "b"],
        CANARY,
    );
    assert_eq!(code(&output), 2);
    assert_eq!(fs::read_to_string(path).unwrap(), after);
}

#[test]
fn values_of_a_file_are_bound_to_its_context() {
    let machine = machine();
    let path = machine.dirs().base.join("app.yaml");
    let name = path.to_str().unwrap();
    let text = format!("encryption_context: {{app: my-app}}\nenvironment:\n  A: {CANARY}\n");
    let (own, other) = (json!({"app": "my-app"}), json!({"app": "other"}));
    fs::write(&path, &text).unwrap();
    let args = ["--key-id", "my-app", "--file", name, "environment.A"];
    let output = encrypt(&machine, &args, "");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let after = fs::read_to_string(&path).unwrap();
    let value = between(&after, "A: \"", "\"");
    assert!(!value.contains('?'), "the file says it: {value}");
    assert_eq!(decrypted(&machine, value, &own).as_deref(), Some(CANARY));
    assert_eq!(decrypted(&machine, value, &json!({})), None);

    fs::write(&path, &text).unwrap();
    let args = [&args[..], &["--encryption-context", "app=other"]].concat();
    let output = encrypt(&machine, &args, "");
    assert_eq!(code(&output), 0, "{}", said(&output));
    let after = fs::read_to_string(&path).unwrap();
    let value = between(&after, "A: \"", "\"");
    assert!(value.ends_with("?context.app=other"), "{value}");
    assert_eq!(decrypted(&machine, value, &other).as_deref(), Some(CANARY));
}

#[test]
fn a_file_is_left_as_it_was_when_anything_fails() {
    let machine = machine();
    let (path, before) = file(&machine);
    let name = path.to_str().unwrap();
    let run = |keys: &[&str]| {
        encrypt(
            &machine,
            &[&["--key-id", "my-app", "--file", name][..], keys].concat(),
            "",
        )
    };
    // The first value is encrypted, the second one refused.
    machine.aws().faults(&[
        AwsFault::slow("Encrypt", std::time::Duration::ZERO).times(1),
        AwsFault::error("Encrypt", "AccessDeniedException"),
    ]);
    let output = run(&["environment.PLAIN", "environment.QUOTED"]);
    assert_eq!(code(&output), 78);
    assert!(
        said(&output).contains("environment.QUOTED was not encrypted")
            && said(&output).contains("left as it was"),
        "{}",
        said(&output)
    );
    assert_eq!(calls(&machine, "Encrypt"), 2);
    for (key, expected, word) in [
        ("environment.PLAN", 2, "did you mean `environment.PLAIN`?"),
        ("environment", 2, "a map with the keys PLAIN"),
        ("nonsense", 2, "no key `nonsense`"),
    ] {
        let output = run(&["environment.PLAIN", key]);
        assert_eq!(code(&output), expected);
        assert!(said(&output).contains(word), "{}", said(&output));
    }
    assert_eq!(
        calls(&machine, "Encrypt"),
        2,
        "a slip is found before anything is asked"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    assert_only(&path);

    fs::write(&path, format!("a: \"{CANARY}\n")).unwrap();
    let output = run(&["a"]);
    assert_eq!(code(&output), 78);
    fs::write(&path, format!("a: &x {CANARY}\nb: *x\n")).unwrap();
    assert!(said(&run(&["a"])).contains("anchor"));
    fs::remove_file(&path).unwrap();
    assert_eq!(code(&run(&["a"])), 78);
}

#[test]
fn a_terminal_is_asked_and_shows_nothing() {
    let machine = machine();
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut keyboard = fs::File::from(terminal.master);
    let mut command = command(&machine, &["--key-id", "my-app"]);
    let mut child = command.stdin(Stdio::from(terminal.slave)).spawn().unwrap();
    drop(command);
    let mut stderr = child.stderr.take().unwrap();
    let mut prompt = Vec::new();
    let mut byte = [0];
    while !prompt.ends_with(b"): ") {
        stderr.read_exact(&mut byte).unwrap();
        prompt.push(byte[0]);
    }
    // A slip, taken back.
    keyboard
        .write_all(format!("{CANARY}\u{fc}\u{7f}\rpasted behind it\r").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        decrypted(&machine, &value(&output), &json!({})).as_deref(),
        Some(CANARY)
    );
    let mut shown = Vec::new();
    // The other side is gone: what it wrote is there, then an error.
    let _hung_up = keyboard.read_to_end(&mut shown).is_err();
    assert!(
        !String::from_utf8_lossy(&shown).contains("canary"),
        "{}",
        String::from_utf8_lossy(&shown)
    );
}
