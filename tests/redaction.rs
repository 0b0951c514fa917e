//! What the application prints of its secrets, and what a dump of the agent would show.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{Image, Machine, wait_until};

use crate::common::*;

const SECRET: &str = "canary \"of\" the app's/own";

/// Prints its secret as it is, in JSON, in base64 of 76 columns, and at the place where the engine cuts a line.
const LEAKY: &str = r#"
echo "plain: $SECRET"
printf '{"dsn":"%s"}\n' "$(printf %s "$SECRET" | sed 's/"/\\"/g')"
printf '%s' "$LONG" | /bin/busybox base64
printf '%16374s%s\n' cut: "$SECRET"
echo "leaky done"
trap 'exit 0' TERM
sleep 1000000 &
wait $!
"#;

fn long_secret() -> String {
    (0..20)
        .map(|number| format!("number {number} of many words; "))
        .collect()
}

fn serve(machine: &Machine, line: &str) {
    let image = machine.registry().push(&Image::new("leaky-lines", LEAKY));
    UserData::of(machine, &image)
        .line(line)
        .env(&[
            ("SECRET", &machine.aws().encrypt(SECRET)),
            ("LONG", &machine.aws().encrypt(long_secret())),
        ])
        .serve(machine);
}

/// The application's lines in the file, once the last one is there.
fn application_log(machine: &Machine) -> String {
    let path = machine.dirs().logs.join("application.log");
    let read = || {
        fs::read_to_string(&path)
            .ok()
            .filter(|text| text.contains("leaky done"))
    };
    wait_until(BOOT, read).expect("its last line is shipped")
}

#[test]
fn shipped_lines_have_no_secrets_where_that_is_asked_for() {
    let machine = Machine::acquire();
    serve(&machine, "redact_secrets: true");
    let _agent = run_until_ready(&machine);
    let text = application_log(&machine);
    let expected = ["plain: [redacted]", "{\"dsn\":\"[redacted]\"}"];
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), expected);
    assert!(
        text.lines()
            .any(|line| line.len() == 16_374 + 10 && line.ends_with("cut:[redacted]")),
        "{text}"
    );
    assert!(machine.leaks(SECRET).is_empty(), "{:#?}", machine.leaks(SECRET));
    let encoded = STANDARD.encode(long_secret());
    for column in encoded.as_bytes().chunks(76).take(6) {
        let column = std::str::from_utf8(column).unwrap();
        assert!(!text.contains(column), "{column} is in {text}");
    }
    machine.syslog().wait_for("plain: [redacted]", SOON);
    machine.syslog().wait_for("leaky done", SOON);
    assert!(!machine.syslog().lines().join("\n").contains("canary"));
}

/// The lines of an agent that only takes over are the same.
#[test]
fn an_agent_that_takes_over_goes_on_redacting() {
    let machine = Machine::acquire();
    serve(&machine, "redact_secrets: true");
    let agent = run(&machine);
    agent.wait_for_line("container: ", BOOT);
    agent.wait_for_line("health: wait until", BOOT);
    agent.kill9();
    fs::remove_file(machine.dirs().logs.join("application.log")).ok();
    fs::remove_dir_all(&machine.dirs().state).unwrap();
    fs::create_dir(&machine.dirs().state).unwrap();
    let agent = run(&machine);
    agent.wait_for_line("taken over from an earlier start", BOOT);
    let text = application_log(&machine);
    assert!(text.starts_with("plain: [redacted]\n"), "{text}");
    assert!(machine.leaks(SECRET).is_empty());
}

#[test]
fn shipped_lines_are_the_application_s_own_business_otherwise() {
    let machine = Machine::acquire();
    serve(&machine, "redact_secrets: false");
    let _agent = run_until_ready(&machine);
    let text = application_log(&machine);
    assert!(text.starts_with(&format!("plain: {SECRET}\n")), "{text}");
}

#[test]
fn the_daemon_leaves_no_core() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web").web().serve(&machine);
    let agent = run_until_ready(&machine);
    let limits = fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(),
        ["0", "0"]
    );
}

/// What a process that may be dumped has in /proc belongs to its user, and its memory can be read by it: as root's it
/// would look the same either way.
#[test]
fn a_command_s_memory_is_nobody_s() {
    const NOBODY: u32 = 65_534;
    let directory = std::env::temp_dir().join(format!("monopod-dumpable-{}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    // The kernel makes a program that can't be read undumpable by itself: it has to be where nobody can.
    let program = directory.join("monopod");
    fs::copy(binary(), &program).unwrap();
    let mut child = Command::new(&program)
        .args(["validate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .uid(NOBODY)
        .gid(NOBODY)
        .spawn()
        .unwrap();
    // Between fork and exec it is still the test's program, and its number is changed already, which hides its memory too.
    let program_runs = || fs::read_link(format!("/proc/{}/exe", child.id())).is_ok_and(|exe| exe == program);
    wait_until(SOON, || program_runs().then_some(())).expect("the program runs");
    let environment = format!("/proc/{}/environ", child.id());
    let owner = wait_until(SOON, || {
        let owner = fs::metadata(&environment).ok()?.uid();
        (owner == 0).then_some(owner)
    });
    // It is the program, and waits for its input.
    let running = program_runs();
    child.kill().unwrap();
    child.wait().unwrap();
    fs::remove_dir_all(&directory).unwrap();
    assert!(running);
    assert_eq!(owner, Some(0));
}
