//! The ways user data arrives: packed, in parts, or as the name of a text that is elsewhere.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{Agent, AwsFault, Https, Machine};

use crate::common::*;

const CANARY: &str = "canary-never-to-be-seen";

/// What a program makes of its standard input.
fn piped(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

fn gzip(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    piped("gzip", &["-9"], bytes.as_ref())
}

fn hash(bytes: impl AsRef<[u8]>) -> String {
    let line = piped("sha256sum", &[], bytes.as_ref());
    String::from_utf8(line)
        .unwrap()
        .split(' ')
        .next()
        .unwrap()
        .to_owned()
}

/// A text that only a large one would be: over what EC2 carries.
fn large(machine: &Machine) -> String {
    let text = UserData::new(machine, "web").web().env(&[("INCLUDED", CANARY)]);
    format!("{}{}", text.text(), "# a long story\n".repeat(2000))
}

fn include(machine: &Machine, place: &str, hash: &str) {
    machine.set_user_data(&format!("#include {place} sha256:{hash}\n"));
}

fn environment_is_that_of_the_text(machine: &Machine) {
    let container = the_container(machine);
    let environment = container["Config"]["Env"].to_string();
    assert!(environment.contains(CANARY), "{environment}");
}

/// The line of the config step's end.
fn config_line(agent: &Agent) -> String {
    let output = agent.output();
    output
        .lines()
        .find(|line| line.contains("config") && line.contains("opened:"))
        .unwrap_or_else(|| panic!("no end of the config step in\n{output}"))
        .to_owned()
}

#[test]
fn boots_from_gzip_from_base64_and_from_both() {
    let machine = Machine::acquire();
    let text = UserData::new(&machine, "web").web().env(&[("INCLUDED", CANARY)]);
    let gzipped = gzip(text.text());
    for bytes in [
        gzipped.clone(),
        STANDARD.encode(text.text()).into_bytes(),
        STANDARD.encode(&gzipped).into_bytes(),
    ] {
        machine.imds().set_user_data(bytes);
        let agent = run_until_ready(&machine);
        environment_is_that_of_the_text(&machine);
        agent.kill9();
        machine.reboot();
    }
}

#[test]
fn boots_from_mime_and_warns_of_what_it_ignores() {
    let machine = Machine::acquire();
    let text = UserData::new(&machine, "web").web().env(&[("INCLUDED", CANARY)]);
    let message = format!(
        "Content-Type: multipart/mixed; boundary=\"===1==\"\nMIME-Version: 1.0\n\n--===1==\n\
         Content-Type: text/x-shellscript\n\n#!/bin/sh\necho script-canary\n--===1==\n\
         Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n{}\n--===1==--\n",
        STANDARD.encode(gzip(text.text()))
    );
    machine.set_user_data(&message);
    let agent = run_until_ready(&machine);
    environment_is_that_of_the_text(&machine);
    let output = agent.output();
    let warning = output.lines().find(|line| line.contains("MP0011")).unwrap();
    assert!(
        warning.contains(" WARN ") && warning.contains("part 1 ") && warning.contains("text/x-shellscript"),
        "{warning}"
    );
    assert!(!output.contains("script-canary"));
}

#[test]
fn broken_gzip_is_final_and_says_where() {
    let machine = Machine::acquire();
    let mut bytes = gzip(UserData::new(&machine, "web").text());
    bytes.truncate(bytes.len() - 20);
    machine.imds().set_user_data(&bytes);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(
        error.contains(&format!("cut off after {} bytes", bytes.len())),
        "{error}"
    );
    assert!(machine.containers().is_empty());
}

#[test]
fn an_included_text_comes_from_s3_and_then_from_the_disk() {
    let machine = Machine::acquire();
    let text = large(&machine);
    let place = machine.aws().put_object("team/app.yaml", &text);
    include(&machine, &place, &hash(&text));
    let agent = run_until_ready(&machine);
    environment_is_that_of_the_text(&machine);
    let line = config_line(&agent);
    assert!(line.contains(&format!("fetched from {place}")), "{line}");
    assert!(
        line.contains("0 warnings"),
        "a large text is what it is for: {line}"
    );
    let kept = machine.dirs().state.join("include").join(hash(&text));
    assert_eq!(fs::read(&kept).unwrap(), text.as_bytes());
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    let id = container_id(&machine);

    agent.kill9();
    machine.aws().line().down();
    machine.reboot();
    let agent = run_until_ready(&machine);
    let line = config_line(&agent);
    assert!(line.contains(&format!("kept from {place}")), "{line}");
    assert_eq!(container_id(&machine), id, "the same text is the same container");

    // What lies there is read only if it is what the pin says.
    agent.kill9();
    fs::write(&kept, "#taupage-ami-config\n").unwrap();
    machine.aws().line().up();
    machine.reboot();
    let agent = run_until_ready(&machine);
    assert!(config_line(&agent).contains("fetched from"));
    assert_eq!(fs::read(&kept).unwrap(), text.as_bytes());
}

#[test]
fn another_text_than_the_pinned_one_is_final() {
    let machine = Machine::acquire();
    let place = machine
        .aws()
        .put_object("app.yaml", format!("#taupage-ami-config\n# {CANARY}\n"));
    let (expected, got) = (hash("x"), hash(format!("#taupage-ami-config\n# {CANARY}\n")));
    include(&machine, &place, &expected);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    for word in [&place, &expected, &got] {
        assert!(error.contains(word.as_str()), "{word} is missing in {error}");
    }
    assert!(machine.containers().is_empty());
    assert!(!machine.dirs().state.join("include").exists());
    assert!(!everything_told(&machine, &agent).contains(CANARY));
}

#[test]
fn s3_throttling_is_waited_out() {
    let machine = Machine::acquire();
    let text = large(&machine);
    let place = machine.aws().put_object("app.yaml", &text);
    include(&machine, &place, &hash(&text));
    let operation = format!("GET /{}/app.yaml", machine.aws().bucket());
    machine
        .aws()
        .faults(&[AwsFault::error(&operation, "SlowDown").status(503).times(3)]);
    let agent = run_until_ready(&machine);
    let calls = machine.aws().calls();
    assert_eq!(
        calls.iter().filter(|call| call.op == operation).count(),
        4,
        "{calls:?}"
    );
    assert!(agent.output().contains("SlowDown"), "{}", agent.output());
}

#[test]
fn s3_refusing_is_final_and_says_what_to_grant() {
    let machine = Machine::acquire();
    let place = machine.aws().put_object("app.yaml", "x");
    let operation = format!("GET /{}/app.yaml", machine.aws().bucket());
    machine
        .aws()
        .faults(&[AwsFault::error(&operation, "AccessDenied").status(403)]);
    include(&machine, &place, &hash("x"));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(
        error.contains("403 AccessDenied") && error.contains("s3:GetObject"),
        "{error}"
    );

    machine.aws().faults(&[]);
    include(
        &machine,
        &format!("s3://{}/nowhere", machine.aws().bucket()),
        &hash("x"),
    );
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("NoSuchKey"), "{}", agent.output());
}

#[test]
fn an_included_text_comes_over_https() {
    let machine = Machine::acquire();
    let server = Https::start(&machine);
    let packed = gzip(large(&machine));
    let url = server.put("app.yaml.gz", &packed);
    include(
        &machine,
        &format!("{url}?Signature={CANARY}-signature"),
        &hash(&packed),
    );
    let start = |authority: bool| {
        let mut command = machine.monopod(binary(), &["run", "--syslog-socket", "none"]);
        if authority {
            command.env("SSL_CERT_FILE", server.authority());
        }
        machine.spawn_command(command)
    };
    // Nobody vouches for the server.
    let agent = start(false);
    assert_eq!(agent.wait_exit(BOOT), 78);
    assert!(
        error_line(&agent).contains("invalid peer certificate"),
        "{}",
        agent.output()
    );

    let agent = start(true);
    wait_ready(&machine, &agent);
    environment_is_that_of_the_text(&machine);
    assert!(config_line(&agent).contains(&format!("fetched from {url}?...")));
    assert!(!everything_told(&machine, &agent).contains(&format!("{CANARY}-signature")));

    agent.kill9();
    machine.docker_ok(&["rm", "-f", CONTAINER]);
    include(&machine, &url.replace("app.yaml", "nowhere"), &hash("x"));
    let agent = start(true);
    assert_eq!(agent.wait_exit(BOOT), 78);
    assert!(error_line(&agent).contains("404 Not Found"), "{}", agent.output());
}

#[test]
fn a_text_that_is_not_included_any_more_is_forgotten() {
    let machine = Machine::acquire();
    let text = large(&machine);
    include(
        &machine,
        &machine.aws().put_object("app.yaml", &text),
        &hash(&text),
    );
    run_until_ready(&machine).kill9();
    let kept = || {
        fs::read_dir(machine.dirs().state.join("include"))
            .unwrap()
            .count()
    };
    assert_eq!(kept(), 1);
    UserData::new(&machine, "sleeper").serve(&machine);
    machine.reboot();
    let _agent = run_until_ready(&machine);
    assert_eq!(kept(), 0);
}

#[test]
fn a_redirect_tells_nobody_an_address() {
    let machine = Machine::acquire();
    let server = Https::start(&machine);
    let text = large(&machine);
    let url = server.put("app.yaml", text.as_bytes());
    let signature = format!("?X-Amz-Signature={CANARY}-signature");
    let start = |name: &str, to: &str| {
        let from = server.put(&format!("{name}.redirect"), format!("{to}{signature}").as_bytes());
        let from = from.replace(".redirect", "");
        include(&machine, &format!("{from}{signature}"), &hash(&text));
        let mut command = machine.monopod(binary(), &["run", "--syslog-socket", "none"]);
        command.env("SSL_CERT_FILE", server.authority());
        machine.spawn_command(command)
    };
    for (name, to, why) in [
        ("plain", "http://127.0.0.1/x", "it leads somewhere else"),
        ("round", "https://127.0.0.1:8443/round", "it leads somewhere else"),
    ] {
        let agent = start(name, to);
        assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
        assert!(error_line(&agent).contains(why), "{}", agent.output());
        let told = everything_told(&machine, &agent);
        assert!(!told.contains(&format!("{CANARY}-signature")), "{told}");
    }
    // The server refuses a referer, which would be the address with its signature.
    let agent = start("moved", &url);
    wait_ready(&machine, &agent);
    let told = everything_told(&machine, &agent);
    assert!(!told.contains(&format!("{CANARY}-signature")), "{told}");
}

#[test]
fn an_include_without_a_pin_or_of_an_include_is_final() {
    let machine = Machine::acquire();
    machine.set_user_data("#include\nhttps://127.0.0.1:8443/app.yaml\n");
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(
        error.contains("MP0012") && error.contains("sha256:HEX"),
        "{error}"
    );

    let again = format!("#include s3://bucket/key sha256:{}\n", hash("x"));
    let place = machine.aws().put_object("again", &again);
    include(&machine, &place, &hash(&again));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(
        error_line(&agent).contains("an #include itself"),
        "{}",
        agent.output()
    );
}
