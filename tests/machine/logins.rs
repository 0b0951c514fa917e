//! Logins for a time, by a real ssh and the image's own sshd, PAM, name service and sudo.

use std::path::PathBuf;
use std::time::Instant;

use monopod_testrig::{RealMachine, Session, wait_until};

use super::*;

const PASSWORD: &str = "canary-database-password";
/// What a guest may read below /run/monopod; one more is a decision.
const GUESTS_FILES: [&str; 3] = ["status.json", "prepare.json", "poweroff"];

/// A machine that is up, with a secret in it, and somebody with a key.
struct Scene {
    machine: RealMachine,
    key: PathBuf,
    _keys: Directory,
}

/// Goes with its test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

impl Scene {
    fn new(set_up: impl FnOnce(&RealMachine, &str)) -> Self {
        let machine = RealMachine::new();
        let keys = std::env::temp_dir().join(format!("monopod-logins-{}", machine.imds().instance_id()));
        std::fs::create_dir_all(&keys).unwrap();
        let keys = Directory(keys);
        let key = keys.0.join("id");
        let public = machine.make_key(&key);
        machine.write("/root/alice.pub", &public);
        set_up(&machine, &public);
        let secret = machine.aws().encrypt(PASSWORD);
        let reference = machine.aws().put_parameter("db", PASSWORD);
        user_data(&machine, "web")
            .web()
            .line(&format!("secrets: {{db: '{reference}'}}"))
            .env(&[("DB_PASSWORD", &secret)])
            .give(&machine);
        machine.boot();
        machine.wait_ready(BOOT);
        Self {
            machine,
            key,
            _keys: keys,
        }
    }

    fn grant(&self, user: &str, time: &str) -> String {
        self.machine.run_ok(&[
            "monopod",
            "access",
            "grant",
            user,
            "--for",
            time,
            "--reason",
            "orders are late",
            "--key",
            "/root/alice.pub",
        ])
    }

    /// One command as this user, from outside: its exit code, and both of its outputs.
    fn ssh(&self, user: &str, what: &[&str]) -> (Option<i32>, String) {
        let output = self.machine.ssh_once(&self.key, user, &[], what);
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output.status.code(), said)
    }

    /// Somebody at a terminal, with a prompt that is short.
    fn session(&self, user: &str) -> Session {
        let mut session = self.machine.ssh_session(&self.key, user);
        session.wait_for("$ ", SOON);
        session.run("PS1='$ '", SOON);
        session
    }

    /// The record of logins: what happened to a user, in order.
    fn record(&self, user: &str) -> Vec<Value> {
        let path = self.machine.live("/run/monopod-access/record.jsonl");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let all = text.lines().map(|line| serde_json::from_str(line).unwrap());
        all.filter(|line: &Value| line["user"] == user).collect()
    }

    fn happened(&self, user: &str) -> Vec<String> {
        let word = |line: &Value| line["what"].as_str().unwrap().to_owned();
        self.record(user).iter().map(word).collect()
    }

    /// That nothing of a user is left.
    fn assert_gone(&self, user: &str, uid: &str) {
        wait_for("end in the record", SOON, || {
            self.happened(user)
                .iter()
                .any(|what| what == "ended")
                .then_some(())
        });
        let machine = &self.machine;
        assert!(!machine.run(&["getent", "passwd", user]).status.success());
        assert!(!machine.run(&["pgrep", "--uid", uid]).status.success());
        for place in ["/run/monopod-access", "/run/monopod-access/home", "/run/userdb"] {
            let left = machine.run_ok(&["find", place, "-name", &format!("{user}*")]);
            assert_eq!(left, "", "{place}");
        }
        let (code, said) = self.ssh(user, &["true"]);
        assert_eq!(code, Some(255), "{said}");
    }
}

/// The middle of a session is where this one ends.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
#[expect(clippy::too_many_lines, reason = "one story, from its beginning to its end")]
fn a_guest_looks_around_and_is_sent_away_in_the_middle() {
    let scene = Scene::new(|_, _| {});
    let machine = &scene.machine;
    // Nobody is in yet, and nothing runs for it.
    assert_eq!(machine.unit("monopod-access.service", "ActiveState"), "inactive");
    let (code, said) = scene.ssh("alice", &["true"]);
    assert_eq!(code, Some(255), "{said}");
    let refused = machine.run(&[
        "monopod",
        "access",
        "grant",
        "bob",
        "--role",
        "admin",
        "--reason",
        "root",
        "--key",
        "/root/alice.pub",
    ]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{said}");
    assert!(said.contains("allow.admin_access"), "{said}");

    println!("# monopod access grant alice --for 45s --reason 'orders are late' --key /root/alice.pub");
    let granted = Instant::now();
    println!("{}", scene.grant("alice", "45s"));
    let mut session = scene.session("alice");
    let uid = machine.run_ok(&["id", "--user", "alice"]);
    for line in [
        "id",
        "monopod status",
        "monopod logs -n 2",
        "monopod logs --since 5m -n 1",
        "journalctl -n 1 -u monopod -o cat",
        "ls -l /run/monopod",
        "docker ps",
        "sudo -n true",
        "monopod access list",
        "ls /run/monopod/secrets /var/lib/monopod",
        "grep -rl canary /run /var/log 2>/dev/null",
        "(setsid sleep 1000 &) ; sleep 0.2",
    ] {
        session.run(line, SOON);
    }
    session.enter("while sleep 1; do date +%T; done");
    let code = session.wait_end(Duration::from_secs(60));
    let after = granted.elapsed();
    let screen = session.screen();
    println!(
        "{screen}\n[ssh ended with {code}, {:.1} s after the grant]",
        after.as_secs_f64()
    );
    assert_eq!(code, 255);
    assert!(
        (Duration::from_secs(44)..Duration::from_secs(55)).contains(&after),
        "{after:?}"
    );
    scene.assert_gone("alice", &uid);
    for line in scene.record("alice") {
        println!("{line}");
    }
    println!("{}", machine.journal("monopod-access.service"));

    for part in [
        // The message of the day, the groups, the status.
        "This login ends by itself at ",
        "(monopod-guest)",
        "healthy",
        "web line ",
        "leave --since out",
        "permission denied while trying to connect to the Docker daemon",
        "sudo: a password is required",
        "ls: cannot open directory '/run/monopod/secrets': Permission denied",
        "ls: cannot open directory '/var/lib/monopod': Permission denied",
    ] {
        assert!(screen.contains(part), "no {part:?}:\n{screen}");
    }
    assert!(!screen.contains(PASSWORD), "{screen}");
    let after_grep = screen.split_once("2>/dev/null\n").unwrap().1;
    assert!(
        after_grep.starts_with("$ "),
        "a file with the secret: {after_grep}"
    );

    assert_eq!(scene.happened("bob"), ["refused"]);
    let happened = scene.happened("alice");
    assert_eq!(happened.first().map(String::as_str), Some("granted"));
    assert!(happened.contains(&"login".to_owned()), "{happened:?}");
    assert!(happened.contains(&"ended".to_owned()), "{happened:?}");
    let login = scene
        .record("alice")
        .into_iter()
        .find(|line| line["what"] == "login");
    assert_eq!(login.unwrap()["from"], "10.0.0.1");
}

/// What the agent's group may read is a list, and no secret is on it.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn what_the_guests_group_may_read_holds_no_secret() {
    let scene = Scene::new(|_, _| {});
    let machine = &scene.machine;
    let listed = machine.run_ok(&["find", "/run/monopod", "-printf", "%m %u %g %y %P\\n"]);
    println!("{listed}");
    for line in listed.lines() {
        let fields: Vec<&str> = line.splitn(5, ' ').collect();
        let [mode, user, group, kind, path] = fields[..] else {
            panic!("{line}")
        };
        let mode = u32::from_str_radix(mode, 8).unwrap();
        assert_eq!(user, "root", "{line}");
        // A link has no modes of its own.
        if kind != "l" {
            assert_eq!(mode & 0o007, 0, "everybody may use it: {line}");
            assert_eq!(mode & 0o020, 0, "its group may write it: {line}");
        }
        let below = ["files", "secrets", "credentials", "identity"]
            .iter()
            .any(|place| path == *place || path.starts_with(&format!("{place}/")));
        if below {
            assert_eq!(group, "application", "{line}");
        } else if mode & 0o040 != 0 && kind == "f" {
            assert!(GUESTS_FILES.contains(&path), "a guest may read it: {line}");
        }
    }
    assert!(listed.contains("750 root monopod-guest d \n"), "{listed}");
    let names = ["/var/lib/monopod", "/var/log/application.log"];
    let modes = names.map(|path| machine.run_ok(&["stat", "--format=%a %U", path]));
    assert_eq!(modes, ["700 root", "640 root"]);
    // As a guest would: all of it, by its groups.
    let found = machine.run(&[
        "setpriv",
        "--reuid=60999",
        "--regid=60999",
        "--groups=monopod-guest,adm",
        "grep",
        "-rl",
        PASSWORD,
        "/run",
        "/var/log",
        "/var/lib/monopod",
        "/etc",
    ]);
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found, "");
}

/// Whoever holds the logins is stopped, and killed, and they end in time all the same.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_login_ends_in_time_whatever_becomes_of_the_daemon() {
    let scene = Scene::new(|_, _| {});
    let machine = &scene.machine;
    let granted = Instant::now();
    scene.grant("alice", "30s");
    let mut session = scene.session("alice");
    let uid = machine.run_ok(&["id", "--user", "alice"]);
    let pid = || machine.unit("monopod-access.service", "MainPID");
    for order in [
        &["systemctl", "kill", "--signal=KILL", "monopod-access.service"][..],
        &["systemctl", "stop", "monopod-access.service"],
    ] {
        let before = pid();
        machine.run_ok(order);
        wait_for("another daemon", SOON, || {
            let now = pid();
            (now != before && now != "0").then_some(())
        });
    }
    assert_eq!(session.wait_end(Duration::from_secs(60)), 255);
    let after = granted.elapsed();
    assert!(
        (Duration::from_secs(29)..Duration::from_secs(40)).contains(&after),
        "{after:?}"
    );
    scene.assert_gone("alice", &uid);
    // With nobody to send away it goes, and nothing starts it again.
    machine.wait_unit("monopod-access.service", "inactive", Duration::from_secs(90));
}

/// A login waits for its record no longer than for a moment, and is let in without one.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
fn a_login_does_not_wait_for_its_record() {
    let scene = Scene::new(|machine, _| {
        machine.write("/root/hangs", "#!/bin/sh\nexec sleep 1000\n");
        let program = machine.file("/root/hangs");
        std::fs::set_permissions(program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    });
    let machine = &scene.machine;
    scene.grant("alice", "10m");
    assert_eq!(scene.ssh("alice", &["echo", "in"]), (Some(0), "in\n".to_owned()));
    for (program, within) in [("/root/hangs", 20), ("/bin/false", 10)] {
        machine.run_ok(&["mount", "--bind", program, "/usr/bin/monopod"]);
        let began = Instant::now();
        let came_in = scene.ssh("alice", &["echo", "in"]);
        let took = began.elapsed();
        machine.run_ok(&["umount", "/usr/bin/monopod"]);
        assert_eq!(came_in, (Some(0), "in\n".to_owned()), "{program}");
        assert!(took < Duration::from_secs(within), "{program}: {took:?}");
        println!("{program}: {took:?}");
    }
    machine.run_ok(&["monopod", "access", "revoke", "alice"]);
}

/// The original's way in: a service logs in, and says who may.
#[test]
#[ignore = "needs `make image`: run `make boot-test`"]
#[expect(clippy::too_many_lines, reason = "one story, from its beginning to its end")]
fn a_service_elsewhere_lets_people_in_and_nothing_else() {
    let scene = Scene::new(|machine, public| {
        // The same key for both: what a service may is said by the user it comes as.
        machine.write("/etc/monopod/granting-service.pub", public);
        machine.write("/srv/keys/public-keys/alice/sshkey.pub", public);
        machine.write(
            "/etc/monopod/policy.yaml",
            "access: {key_service: 'http://127.0.0.1:8099', default_duration: 10m}\nallow: {admin_access: true}\n",
        );
    });
    let machine = &scene.machine;
    let mut keys = machine
        .long_command(&[
            "busybox",
            "httpd",
            "-f",
            "-p",
            "127.0.0.1:8099",
            "-h",
            "/srv/keys",
        ])
        .spawn()
        .unwrap();
    let answers = || {
        machine.run(&[
            "curl",
            "--silent",
            "--fail",
            "http://127.0.0.1:8099/public-keys/alice/sshkey.pub",
        ])
    };
    wait_for("a key service", SOON, || answers().status.success().then_some(()));
    for line in [
        "id",
        "grant-ssh-access alice; id",
        "grant-ssh-access $(id)",
        "grant-ssh-access root",
        "",
    ] {
        let (code, said) = scene.ssh("granting-service", &[line]);
        assert!(code != Some(0) && !said.contains("uid="), "{line:?}: {said}");
    }
    let other = scene
        .machine
        .ssh_once(&scene.key, "granting-service", &["-W", "127.0.0.1:8080"], &[]);
    assert!(!other.status.success(), "{other:?}");
    let (code, said) = scene.ssh("granting-service", &["grant-ssh-access", "alice"]);
    assert_eq!(code, Some(0), "{said}");
    let mut session = scene.session("alice");
    let uid = machine.run_ok(&["id", "--user", "alice"]);
    // The policy would allow an admin; a service makes guests.
    let (code, said) = scene.ssh("alice", &["sudo", "-n", "true"]);
    assert_ne!(code, Some(0), "{said}");
    let (code, said) = scene.ssh("granting-service", &["revoke-ssh-access", "alice"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(session.wait_end(SOON), 255);
    scene.assert_gone("alice", &uid);
    keys.kill().unwrap();
    keys.wait().unwrap();

    // And by root: an admin becomes root, for a time.
    machine.run_ok(&[
        "monopod",
        "access",
        "grant",
        "carol",
        "--role",
        "admin",
        "--for",
        "5m",
        "--reason",
        "the disk",
        "--key",
        "/root/alice.pub",
    ]);
    assert_eq!(
        scene.ssh("carol", &["sudo", "-n", "id", "-u"]),
        (Some(0), "0\n".to_owned())
    );
    let uid = machine.run_ok(&["id", "--user", "carol"]);
    let mut session = scene.session("carol");
    session.enter("sudo -n sleep 1000");
    let sleeps = wait_until(SOON, || {
        machine
            .run(&["pgrep", "-xf", "sleep 1000"])
            .status
            .success()
            .then_some(())
    });
    assert!(sleeps.is_some());
    machine.run_ok(&["monopod", "access", "revoke", "carol"]);
    assert_eq!(session.wait_end(SOON), 255);
    scene.assert_gone("carol", &uid);
    // What it ran as root is gone, too.
    assert!(!machine.run(&["pgrep", "-xf", "sleep 1000"]).status.success());
}
