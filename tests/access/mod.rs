//! Logins that end by themselves: a real sshd, real logins, and everything that may go wrong with them.

mod jail;

use std::time::Duration;

use jail::{Jail, output_of, said};
use serde_json::Value;

use crate::common::{binary, repository};

/// The first number there is.
const UID: u32 = 60_706;

#[test]
fn a_login_ends_in_the_middle_of_a_session() {
    let mut jail = Jail::new("ends", "{}\n");
    jail.serve();
    let refused = jail.ssh("alice", "alice", "true").output().unwrap();
    assert!(!refused.status.success(), "there is no such user yet");
    let granted = jail.grant("4s");
    assert_eq!(granted.status.code(), Some(0), "{}", said(&granted));
    assert!(
        said(&granted).contains("alice may log in as guest for 4 s, until"),
        "{}",
        said(&granted)
    );
    let who = jail
        .ssh("alice", "alice", "id; pwd; sudo -n true || echo no root")
        .output()
        .unwrap();
    let who = said(&who);
    assert!(who.contains("uid=60706(alice) gid=60706(alice)"), "{who}");
    assert!(who.contains("(adm)") && who.contains("(monopod-guest)"), "{who}");
    assert!(!who.contains("docker") && !who.contains("admin"), "{who}");
    assert!(
        who.contains("/run/monopod-access/home/alice") && who.contains("no root"),
        "{who}"
    );
    // Three ways to outlive a session.
    let mut session = jail.session(
        "nohup sleep 1000 >/dev/null 2>&1 & setsid sleep 1001 >/dev/null 2>&1 & (trap '' HUP TERM INT; sleep 1002) & \
         touch /tmp/full /var/tmp/full 2>/dev/null; echo x > ~/mine; sleep 1003",
    );
    assert!(session.is_open());
    jail.wait("they run", || jail.processes(UID) >= 4);
    assert!(session.ended() < Duration::from_secs(10));
    jail.wait("nothing of alice is left", || {
        jail.is_gone("alice") && jail.processes(UID) == 0
    });
    let refused = jail.ssh("alice", "alice", "true").output().unwrap();
    assert_eq!(refused.status.code(), Some(255), "{}", said(&refused));
    jail.wait("the record tells it", || {
        jail.story("alice").last().is_some_and(|last| last == "ended")
    });
    let story = jail.story("alice");
    assert_eq!(
        story,
        ["granted", "login", "logout", "login", "logout", "ended"],
        "{:#?}\n{}",
        jail.records(),
        jail.sshd_log()
    );
    let records = jail.records();
    let ended = records.last().unwrap();
    assert_eq!(ended["detail"], "its time was up; who was there was sent away");
    let granted = records.iter().find(|record| record["what"] == "granted").unwrap();
    assert_eq!(
        (&granted["reason"], &granted["role"], &granted["by"]),
        (
            &Value::from("a look"),
            &Value::from("guest"),
            &Value::from("root")
        )
    );
    // A grant ends at its time, not before, and not much later.
    let lasted = ended["at"].as_u64().unwrap() - granted["at"].as_u64().unwrap();
    assert!((4000..9000).contains(&lasted), "{lasted} ms");
}

#[test]
fn revoking_ends_it_now_and_tells_when_nobody_is_left() {
    let mut jail = Jail::new("revoke", "{}\n");
    jail.serve();
    assert!(jail.grant("1h").status.success());
    let list = said(&jail.access(&["list"]));
    assert!(
        list.starts_with("alice  guest  ") && list.contains("by root  reason: a look"),
        "{list}"
    );
    let json: Value = serde_json::from_slice(&jail.access(&["list", "--json"]).stdout).unwrap();
    assert_eq!(
        (&json[0]["user"], &json[0]["uid"]),
        (&Value::from("alice"), &Value::from(UID))
    );
    let session = jail.session("sleep 1000");
    let revoked = jail.access(&["revoke", "alice"]);
    assert_eq!(revoked.status.code(), Some(0), "{}", said(&revoked));
    assert!(jail.is_gone("alice") && jail.processes(UID) == 0);
    session.ended();
    let nothing = jail.access(&["revoke", "alice"]);
    assert_eq!(nothing.status.code(), Some(1), "{}", said(&nothing));
    assert!(said(&jail.access(&["list"])).contains("nobody may log in"));
    let again = jail.grant("1h");
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    assert!(
        jail.ssh("alice", "alice", "true")
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn a_unit_that_is_killed_goes_on_with_the_time_that_is_left() {
    let mut jail = Jail::new("killed", "{}\n");
    jail.serve();
    assert!(jail.grant("1h").status.success());
    let until = |jail: &Jail| {
        let state = jail.shell("cat /run/monopod-access/state/alice.json");
        serde_json::from_str::<Value>(&state).unwrap()["until_ms"]
            .as_u64()
            .unwrap()
    };
    let before = until(&jail);
    jail.kill_unit();
    assert!(
        jail.ssh("alice", "alice", "true")
            .output()
            .unwrap()
            .status
            .success(),
        "nobody needs the unit to log in"
    );
    jail.serve();
    assert_eq!(until(&jail), before);
    assert_eq!(
        jail.story("alice")
            .iter()
            .filter(|what| *what == "granted")
            .count(),
        1
    );
    // What was lost meanwhile is there again.
    jail.kill_unit();
    jail.shell("rm -f /run/monopod-access/alice /run/userdb/*");
    jail.serve();
    jail.wait("alice may log in again", || {
        jail.ssh("alice", "alice", "true")
            .output()
            .unwrap()
            .status
            .success()
    });
    assert!(jail.access(&["revoke", "alice"]).status.success());
    // Its time goes by while nobody is there to end it.
    assert!(jail.grant("2s").status.success());
    let session = jail.session("sleep 1000");
    jail.kill_unit();
    let end = until(&jail);
    jail.wait("its time is over", || {
        let up = jail.shell("cut -d. -f1 /proc/uptime");
        up.trim().parse::<u64>().unwrap() * 1000 > end
    });
    jail.serve();
    session.ended();
    jail.wait("nothing is left", || {
        jail.is_gone("alice") && jail.processes(UID) == 0
    });
    // In the middle of an end, too.
    assert!(jail.grant("1h").status.success());
    let session = jail.session("sleep 1000");
    jail.kill_unit();
    jail.shell(
        "cd /run/monopod-access/state && sed -i 's/\"phase\":\"live\"/\"phase\":{\"ending\":{\"why\":\"revoked\",\"by\":\"root\"}}/' alice.json",
    );
    jail.serve();
    session.ended();
    jail.wait("nothing is left", || jail.is_gone("alice"));
    // Whoever takes the state away has not taken the login.
    assert!(jail.grant("1h").status.success());
    let session = jail.session("sleep 1000");
    jail.kill_unit();
    jail.shell("echo '{}' > /run/monopod-access/state/alice.json");
    jail.serve();
    session.ended();
    assert!(
        !jail
            .ssh("alice", "alice", "true")
            .output()
            .unwrap()
            .status
            .success()
    );
}

#[test]
fn a_full_disk_and_a_read_only_root_change_nothing() {
    let mut jail = Jail::new("full", "{}\n");
    // What else is writable is as full as it gets.
    let full = jail.shell(
        "for place in /var/tmp /var/log /dev/shm; do mount -t tmpfs -o size=4k tmpfs $place; cat /dev/zero > $place/full 2>/dev/null; done; \
         touch /etc/x /var/lib/x 2>/dev/null || echo read-only",
    );
    assert_eq!(full, "read-only\n");
    jail.serve();
    assert!(jail.grant("1h").status.success());
    let session = jail.session("sleep 1000");
    assert!(jail.access(&["revoke", "alice"]).status.success());
    session.ended();
    assert!(jail.is_gone("alice"));
}

#[test]
fn who_and_what_is_refused() {
    let mut jail = Jail::new("refused", "access: {max_duration: 1h}\n");
    jail.serve();
    jail.shell(
        "echo 'command=\"id\" ssh-ed25519 AAAA' > /run/jail/bad.pub; echo ssh-dss AAAA > /run/jail/dss.pub",
    );
    let key = "/run/jail/alice.pub";
    for (args, code, words) in [
        (vec!["root", "--key", key], 78, "nobody is let in as root"),
        (
            vec!["daemon", "--key", key],
            78,
            "is a user or a group of this machine",
        ),
        (
            vec!["adm", "--key", key],
            78,
            "is a user or a group of this machine",
        ),
        (vec!["state", "--key", key], 78, "a name of our own"),
        (vec!["../alice", "--key", key], 2, "begins with a small letter"),
        (vec!["alice;id", "--key", key], 2, "begins with a small letter"),
        (
            vec!["alice", "--key", key, "--for", "2h"],
            78,
            "allows 1 h at most",
        ),
        (
            vec!["alice", "--key", key, "--for", "0s"],
            2,
            "a number with a unit",
        ),
        (
            vec!["alice", "--key", key, "--role", "admin"],
            78,
            "allows no admin",
        ),
        (
            vec!["alice", "--key", key, "--remote-host", "a;id"],
            2,
            "a host is an address",
        ),
        (vec!["alice", "--key", "/run/jail/bad.pub"], 78, "without options"),
        (
            vec!["alice", "--key", "/run/jail/dss.pub"],
            78,
            "begins with its type",
        ),
        (vec!["alice", "--key", "/dev/zero"], 78, "longer than 16384 bytes"),
        (vec!["alice"], 78, "there is no key"),
    ] {
        let mut all = vec!["grant"];
        all.extend(&args);
        all.extend(["--reason", "a look"]);
        let output = jail.access(&all);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", said(&output));
        // clap breaks its lines where they end.
        let text = said(&output).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{args:?}: {text}");
        assert!(jail.is_gone("alice"), "{args:?}");
    }
    let blank = jail.access(&["grant", "alice", "--key", key, "--reason", " "]);
    assert_eq!(blank.status.code(), Some(78), "{}", said(&blank));
    assert!(jail.records().iter().all(|record| record["what"] == "refused"));
    // A policy that cannot be read lets nobody in.
    jail.shell("echo 'access: {max_duratio: 1h}' > /run/etc/policy.yaml");
    let output = jail.grant("5s");
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("so nobody is let in"), "{}", said(&output));
    // Nobody else is answered, whatever the socket's mode.
    jail.shell("chmod 666 /run/monopod-access.sock; echo 'access: {}' > /run/etc/policy.yaml");
    let program = binary().display();
    let line = format!(
        "setpriv --reuid 65534 --clear-groups {program} access grant alice --reason x --key {key} 2>&1; echo $?"
    );
    let output = jail.shell(&line);
    assert!(
        output.ends_with("78\n") && output.contains("only root and the user granting-service"),
        "{output}"
    );
    assert!(jail.is_gone("alice"));
}

#[test]
fn the_granting_service_lets_in_and_takes_back() {
    let mut jail = Jail::new(
        "service",
        "access: {key_service: 'http://127.0.0.1:9000', default_duration: 10m}\n",
    );
    let mut keys = jail.key_service();
    jail.serve();
    let service = |line: &str| jail.ssh("granting-service", "granter", line).output().unwrap();
    let granted = service("grant-ssh-access --remote-host= alice");
    assert_eq!(
        granted.status.code(),
        Some(0),
        "{}{}",
        said(&granted),
        jail.sshd_log()
    );
    assert!(
        said(&granted).contains("alice may log in as guest for 10 min"),
        "{}",
        said(&granted)
    );
    assert!(
        jail.ssh("alice", "alice", "true")
            .output()
            .unwrap()
            .status
            .success()
    );
    let kept = service("revoke-ssh-access alice --keep-local");
    assert_eq!(kept.status.code(), Some(0), "{}", said(&kept));
    assert!(!jail.is_gone("alice"));
    for _ in 0..2 {
        let revoked = service("revoke-ssh-access alice");
        assert_eq!(revoked.status.code(), Some(0), "{}", said(&revoked));
        assert!(jail.is_gone("alice"));
    }
    for (line, words) in [
        ("", "no command was sent"),
        ("id", "nothing else"),
        ("grant-ssh-access alice; id", "begins with a small letter"),
        ("grant-ssh-access alice bob", "takes one name"),
        ("grant-ssh-access root", "nobody is let in as root"),
        ("grant-ssh-access daemon", "is a user or a group of this machine"),
        ("grant-ssh-access nobody-knows", "has no key"),
        (
            "grant-ssh-access alice --remote-host $(id)",
            "a host is an address",
        ),
    ] {
        let refused = service(line);
        assert_eq!(refused.status.code(), Some(1), "{line}: {}", said(&refused));
        assert!(said(&refused).contains(words), "{line}: {}", said(&refused));
        assert!(jail.is_gone("alice"), "{line}");
    }
    let records = jail.records();
    let granted = records.iter().find(|record| record["what"] == "granted").unwrap();
    assert_eq!(
        (&granted["by"], &granted["from"]),
        (&Value::from("granting-service"), &Value::from("127.0.0.1"))
    );
    // A service that says something else than a key.
    jail.shell("echo 'command=\"id\" ssh-ed25519 AAAA' > /run/jail/www/public-keys/alice/sshkey.pub");
    let refused = service("grant-ssh-access alice");
    assert_eq!(refused.status.code(), Some(1));
    assert!(said(&refused).contains("is no key"), "{}", said(&refused));
    keys.kill().unwrap();
    keys.wait().unwrap();
}

#[test]
fn a_grant_may_lead_on_to_one_host() {
    let mut jail = Jail::new("onward", "{}\n");
    jail.serve();
    let key = "/run/jail/alice.pub";
    let args = [
        "grant",
        "alice",
        "--reason",
        "x",
        "--key",
        key,
        "--remote-host",
        "127.0.0.7",
    ];
    let granted = jail.access(&args);
    assert!(said(&granted).contains("reach 127.0.0.7"), "{}", said(&granted));
    let line = jail.shell("cat /run/monopod-access/alice");
    assert!(
        line.contains("restrict,pty,port-forwarding,permitopen=\"127.0.0.7:22\""),
        "{line}"
    );
    // Something else than an sshd is there, so that it is seen which way is open.
    let args = [
        "-c",
        "import socket\ns=socket.create_server(('127.0.0.7',22))\nwhile 1: s.accept()[0].sendall(b'onward')",
    ];
    let mut far = jail.command("/usr/bin/python3", &args).spawn().unwrap();
    let open = |place: &str| {
        let mut ssh = jail.ssh("alice", "alice", "");
        ssh.args(["-W", place]);
        output_of(ssh.spawn().unwrap())
    };
    jail.wait("the way is open", || open("127.0.0.7:22") == "onward");
    assert_eq!(open("127.0.0.1:2222"), "");
    far.kill().unwrap();
    far.wait().unwrap();
}

#[test]
fn lines_that_are_no_command() {
    let mut jail = Jail::new("fuzz", "access: {key_service: 'http://127.0.0.1:9000'}\n");
    let mut keys = jail.key_service();
    jail.serve();
    let (program, script) = (binary().display().to_string(), repository("tests/access/fuzz.py"));
    let line = format!(
        "setpriv --reuid 977 --regid 977 --groups 978 /usr/bin/python3 {} {program} 500 2>&1",
        script.display()
    );
    let output = jail.shell(&line);
    assert_eq!(output, "500 0\n");
    assert!(jail.is_gone("alice"));
    let left = jail.shell(
        "ls /run/jail/executed /run/monopod-access/state /run/userdb /run/monopod-access/home 2>/dev/null",
    );
    assert!(
        !left.contains("executed") && !left.contains(".json") && !left.contains(".user"),
        "{left}"
    );
    assert!(jail.records().iter().all(|record| record["what"] == "refused"));
    let counted = jail.records().last().unwrap()["seq"].as_u64().unwrap();
    assert_eq!(counted, 500, "each is in the record");
    keys.kill().unwrap();
    keys.wait().unwrap();
}
