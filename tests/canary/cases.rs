//! What is done to a machine full of canaries: everything in its life but refusals, and values that change.

use monopod_testrig::Image;
use nix::sys::signal::Signal;

use super::Case;
use super::boot::Boot;
use crate::common::*;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "a good life",
        share: 130,
        kept: 0,
        play: a_good_life,
    },
    Case {
        name: "never healthy",
        share: 110,
        kept: 0,
        play: never_healthy,
    },
    Case {
        name: "a crash loop",
        share: 110,
        kept: 0,
        play: a_crash_loop,
    },
    Case {
        name: "a check that says it",
        share: 100,
        kept: 0,
        play: a_check_that_says_it,
    },
    Case {
        name: "no such program",
        share: 100,
        kept: 0,
        play: no_such_program,
    },
    Case {
        name: "a container the engine does not make",
        share: 100,
        kept: 0,
        play: not_made,
    },
];

/// Prints every canary: as it is, quoted by the shell, as JSON, in base64 of 76 columns; then does what it is told.
const PARROT: &str = r#"
one() {
    printf '%s is %s\n' "$1" "$2"
    printf %s "$2" | /bin/busybox base64
    printf %s "$2" | /bin/busybox awk -v q='"' '{ gsub(/\\/, "\\\\"); gsub(q, "\\" q); printf "%s%s", (NR > 1 ? "\\n" : "{" q "v" q ":" q), $0 } END { print q "}" }'
}
say() {
    for name in $(/bin/busybox env | sed -n 's/^\(C[0-9][0-9][0-9][0-9]\)=.*/\1/p'); do
        eval "one $name \"\$$name\""
    done
    for file in /run/secrets/* /etc/canary/* /meta/credentials/*; do
        [ ! -f "$file" ] || one "$file" "$(cat "$file")"
    done
    # The fields of a document, one by one.
    for file in /meta/credentials/*; do
        [ ! -f "$file" ] || sed -n 's/^ *"[^"]*": "\(.*\)",*$/it says \1/p' "$file"
    done
    echo "parrot done"
}
say
case "$THEN" in
fail) echo "parrot fails" >&2; say >&2; exit 3 ;;
esac
trap 'exit 0' TERM
sleep 1000000 &
wait $!
"#;

pub(crate) fn parrot(boot: &Boot<'_>) -> String {
    boot.machine.registry().push(&Image::new("parrot", PARROT))
}

pub(crate) fn login(boot: &Boot<'_>) -> String {
    boot.machine.registry().dockercfg().to_string()
}

pub(crate) fn serve(boot: &Boot<'_>, more: &str) {
    let text = boot.user_data(&parrot(boot), &login(boot));
    // More variables may follow.
    boot.serve(&format!("{text}{more}\n"));
}

/// The lines are in application.log, or the search of it would be none.
pub(crate) fn wait_for_lines(boot: &Boot<'_>, part: &str) {
    let path = boot.machine.dirs().logs.join("application.log");
    let read = || {
        std::fs::read_to_string(&path)
            .ok()
            .filter(|text| text.contains(part))
    };
    let text = monopod_testrig::wait_until(BOOT, read).expect("its lines are shipped");
    assert!(text.contains(monopod_core::redact::MARK));
    // Looked at now and then: a search at every line of thousands would hold up who takes them.
    let heard = || {
        boot.machine
            .syslog()
            .lines()
            .iter()
            .any(|line| line.contains(part))
            .then_some(())
    };
    monopod_testrig::wait_until(BOOT, heard).expect("syslog has them too");
}

/// READY, a stop, another start, a kill and one more start.
fn a_good_life(boot: &Boot<'_>) {
    serve(boot, "");
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
    boot.delivered_inside(|canary| canary.value.clone());
    wait_for_lines(boot, "parrot done");
    boot.look();
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    let agent = boot.run();
    agent.wait_for_line("taken over", BOOT);
    boot.look();
    agent.kill9();
    // Without its hint it reads everything anew, and adopts.
    std::fs::remove_file(boot.machine.dirs().runtime.join("hint.json")).unwrap();
    let agent = boot.run();
    agent.wait_for_line("runs already", BOOT);
}

/// The gate's reason quotes its last lines.
fn never_healthy(boot: &Boot<'_>) {
    serve(
        boot,
        "ports: {8080: 8080}\nhealth_check_path: /health\nhealth_check_timeout_seconds: 10",
    );
    let agent = boot.run();
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(
        error.contains(monopod_core::redact::MARK),
        "it quotes nothing: {error}"
    );
    boot.delivered();
    wait_for_lines(boot, "parrot done");
}

/// Every end is told, and its last lines with the end of them all.
fn a_crash_loop(boot: &Boot<'_>) {
    serve(boot, "  THEN: fail");
    let agent = boot.run();
    agent.wait_for_line("the container ended", BOOT);
    agent.wait_for_nth_line("the container ended", 2, BOOT);
    boot.delivered();
    wait_for_lines(boot, "parrot fails");
    boot.look();
    agent.signal(Signal::SIGTERM);
    agent.wait_exit(SOON);
}

/// The last line of a check is its reason.
fn a_check_that_says_it(boot: &Boot<'_>) {
    let check = r#"for f in /run/secrets/C* /etc/canary/C*; do printf %s "$(cat "$f")"; done; for n in $(/bin/busybox env | sed -n "s/^\(C[0-9]*\)=.*/\1/p"); do eval "printf %s \"\$$n\""; done; exit 1"#;
    let lines = format!(
        "health_check_type: exec\nhealth_check_command: [/bin/sh, -c, {}]\nhealth_check_timeout_seconds: 8",
        serde_json::to_string(check).unwrap()
    );
    serve(boot, &lines);
    let agent = boot.run();
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(
        error.contains(monopod_core::redact::MARK),
        "it quotes nothing: {error}"
    );
    boot.delivered();
}

/// The engine quotes the program's name, in its own way of escaping, and that is a canary.
fn no_such_program(boot: &Boot<'_>) {
    let quoted = boot
        .canaries
        .iter()
        .find(|canary| canary.is_variable() && canary.value.contains('"') && canary.value.len() < 200);
    let program = serde_json::to_string(&quoted.unwrap().value).unwrap();
    // The user data has it in clear here: plans show that, so none is made.
    let text = boot.user_data(&parrot(boot), &login(boot));
    let path = boot.machine.dirs().base.parent().unwrap().join("in-clear.yaml");
    std::fs::write(&path, format!("{text}\nentrypoint: [{program}]\n")).unwrap();
    let agent = run_with(
        boot.machine,
        &["--log-level", "debug", "--user-data", &path.display().to_string()],
    );
    agent.wait_for_line(" ERROR ", BOOT);
    std::fs::remove_file(&path).unwrap();
    let error = error_line(&agent);
    assert!(
        error.contains(monopod_core::redact::MARK),
        "it quotes nothing: {error}"
    );
    boot.delivered();
}

/// More processors than there are: the engine refuses what it was sent, and nothing is made of what lies ready.
fn not_made(boot: &Boot<'_>) {
    serve(boot, "cpus: 1000");
    let agent = boot.run();
    assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
    assert!(boot.machine.containers().is_empty());
    boot.all_fetched(boot.fetches());
}
