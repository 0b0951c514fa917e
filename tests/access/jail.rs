//! A machine for logins: namespaces of its own for files, processes and network, with a real sshd, PAM and name service.
//!
//! The machine's own files stay as they are: /run is a tmpfs of the jail's, and what differs below /etc is bound over it. The root
//! is read-only, and what is not is full.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::common::{SOON, binary};

/// Asked again as often, until the deadline.
const AGAIN: Duration = Duration::from_millis(20);

/// What the jail's first process does. `$1` is the program, `$2` a folder with what is bound over /etc.
const SETUP: &str = r#"
set -e
mount --make-rprivate /
for name in passwd group shadow nsswitch.conf; do mount --bind "$2/$name" /etc/$name; done
mount --bind "$2/pam" /etc/pam.d/sshd
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/jail /run/etc
cp "$2"/policy.yaml /run/etc/
ip link set lo up
for name in alice granter; do ssh-keygen -q -t ed25519 -N '' -C 'somebody@"somewhere' -f /run/jail/$name; done
ssh-keygen -q -t ed25519 -N '' -f /run/jail/host
cp /run/jail/granter.pub /run/jail/granting-service.pub
cat >/run/jail/sshd_config <<END
Port 2222
ListenAddress 127.0.0.1
HostKey /run/jail/host
PidFile none
UsePAM yes
StrictModes yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
LogLevel VERBOSE
AuthorizedKeysFile /run/monopod-access/%u
Match User granting-service
    AuthorizedKeysFile /run/jail/granting-service.pub
    ForceCommand $1 access forced-command
    PermitTTY no
    DisableForwarding yes
END
# Nothing is writable but tmpfs.
mount -o remount,bind,ro /
echo ready
# A shell takes care of orphans, as the first process has to.
sleep infinity & wait $!
"#;

/// The jail, with sshd in it; gone when it is dropped.
pub(super) struct Jail {
    inner: Child,
    sshd: Option<Child>,
    unit: Option<Child>,
    folder: PathBuf,
}

impl Jail {
    /// With this policy.
    pub(super) fn new(name: &str, policy: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("monopod-jail-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        write_etc(&folder, policy);
        let mut inner = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "bash",
                "-c",
                SETUP,
                "jail",
            ])
            .arg(binary())
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut said = BufReader::new(inner.stdout.take().unwrap());
        said.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the jail was not made");
        let mut jail = Self {
            inner,
            sshd: None,
            unit: None,
            folder,
        };
        let log = fs::File::create(jail.folder.join("sshd.log")).unwrap();
        let sshd = jail
            .command("/usr/sbin/sshd", &["-D", "-e", "-f", "/run/jail/sshd_config"])
            .stderr(log)
            .spawn()
            .unwrap();
        jail.sshd = Some(sshd);
        jail.wait("sshd listens", || {
            jail.run("bash", &["-c", ": </dev/tcp/127.0.0.1/2222"])
                .status
                .success()
        });
        jail
    }

    /// The pid of the jail's first process, as the host sees it.
    fn first(&self) -> String {
        let path = format!("/proc/{0}/task/{0}/children", self.inner.id());
        fs::read_to_string(path).unwrap().trim().to_owned()
    }

    /// A program in the jail.
    pub(super) fn command(&self, program: &str, args: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command
            .args([
                "--target",
                &self.first(),
                "--mount",
                "--net",
                "--pid",
                "--wd=/",
                "--",
            ])
            .arg(program)
            .args(args)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(super) fn run(&self, program: &str, args: &[&str]) -> Output {
        self.command(program, args).output().unwrap()
    }

    /// A shell's line in the jail, as root.
    pub(super) fn shell(&self, line: &str) -> String {
        let output = self.run("bash", &["-c", line]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// `monopod access ...` in the jail, as root.
    pub(super) fn access(&self, args: &[&str]) -> Output {
        let mut all = vec!["access"];
        all.extend(args);
        self.run(binary().to_str().unwrap(), &all)
    }

    /// Lets alice in.
    pub(super) fn grant(&self, time: &str) -> Output {
        let key = "/run/jail/alice.pub";
        self.access(&[
            "grant", "alice", "--for", time, "--reason", "a look", "--key", key,
        ])
    }

    /// The unit, as systemd starts it but for its socket.
    pub(super) fn serve(&mut self) {
        assert!(self.unit.is_none(), "it runs");
        // What is left of the last one would be taken for this one's.
        self.shell("rm -f /run/monopod-access.sock");
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("unit.log"))
            .unwrap();
        // Behind the last number comes the first: `UID`.
        self.shell(
            "mkdir -p /run/numbers; test -e /run/numbers/last-uid || echo 60999 > /run/numbers/last-uid",
        );
        let args = [
            "access",
            "serve",
            "--configuration-directory",
            "/run/etc",
            "--state-directory",
            "/run/numbers",
        ];
        let unit = self
            .command(binary().to_str().unwrap(), &args)
            .stderr(log)
            .spawn();
        self.unit = Some(unit.unwrap());
        self.wait("the unit listens", || {
            self.shell("test -S /run/monopod-access.sock && echo yes") == "yes\n"
        });
        self.shell(
            "chgrp monopod-access-service /run/monopod-access.sock && chmod 660 /run/monopod-access.sock",
        );
    }

    /// The unit's end, by its pid in the jail.
    pub(super) fn kill_unit(&mut self) {
        let mut unit = self.unit.take().expect("it runs");
        self.shell("kill -9 $(cat /run/monopod-access/serve.lock)");
        unit.wait().unwrap();
    }

    /// What the unit said.
    pub(super) fn unit_log(&self) -> String {
        fs::read_to_string(self.folder.join("unit.log")).unwrap_or_default()
    }

    pub(super) fn sshd_log(&self) -> String {
        fs::read_to_string(self.folder.join("sshd.log")).unwrap_or_default()
    }

    /// ssh to the jail's sshd with one of its keys.
    pub(super) fn ssh(&self, user: &str, key: &str, command: &str) -> Command {
        let (identity, target) = (format!("/run/jail/{key}"), format!("{user}@127.0.0.1"));
        let mut args = vec![
            "-F",
            "none",
            "-p",
            "2222",
            "-i",
            &identity,
            "-o",
            "IdentitiesOnly=yes",
        ];
        args.extend(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
        args.extend(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        args.push(&target);
        if !command.is_empty() {
            args.extend(["--", command]);
        }
        self.command("ssh", &args)
    }

    /// A session of alice's that is open: it has said `here`.
    pub(super) fn session(&self, command: &str) -> Session {
        let line = format!("echo here; {command}");
        let mut child = self.ssh("alice", "alice", &line).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "here\n", "{}", self.sshd_log());
        Session { child }
    }

    /// The lines of the record.
    pub(super) fn records(&self) -> Vec<Value> {
        let text = self.shell("cat /run/monopod-access/record.jsonl");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// What the record says of a user, word by word.
    pub(super) fn story(&self, user: &str) -> Vec<String> {
        let records = self.records().into_iter();
        records
            .filter(|record| record["user"] == user)
            .map(|record| record["what"].as_str().unwrap().to_owned())
            .collect()
    }

    /// How many processes run as somebody.
    pub(super) fn processes(&self, uid: u32) -> usize {
        self.shell(&format!("ps -o pid= -U {uid}")).lines().count()
    }

    /// Whether nothing is left of alice: account, key, home, records of the user, state.
    pub(super) fn is_gone(&self, user: &str) -> bool {
        let line = format!(
            "getent passwd {user}; getent group {user}; ls -d /run/monopod-access/{user} /run/monopod-access/home/{user} \
             /run/monopod-access/state/{user}.json /run/userdb/*{user}* 2>/dev/null"
        );
        self.shell(&line).is_empty()
    }

    /// Waits for something, with a deadline; what was said so far stands in the failure.
    pub(super) fn wait(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + SOON;
        while !holds() {
            assert!(
                Instant::now() < end,
                "{what}: not so in time; the unit said:\n{}\nsshd said:\n{}",
                self.unit_log(),
                self.sshd_log()
            );
            pause();
        }
    }

    /// A service of keys on the jail's own address, with alice's key.
    pub(super) fn key_service(&self) -> Child {
        self.shell(
            "for name in alice daemon; do mkdir -p /run/jail/www/public-keys/$name; \
             cp /run/jail/alice.pub /run/jail/www/public-keys/$name/sshkey.pub; done",
        );
        let args = [
            "-m",
            "http.server",
            "--bind",
            "127.0.0.1",
            "--directory",
            "/run/jail/www",
            "9000",
        ];
        let child = self.command("/usr/bin/python3", &args).spawn().unwrap();
        self.wait("the key service listens", || {
            self.run("bash", &["-c", ": </dev/tcp/127.0.0.1/9000"])
                .status
                .success()
        });
        child
    }
}

impl Drop for Jail {
    fn drop(&mut self) {
        // Its first process takes all others along.
        let _ended = self.inner.kill().is_ok() && self.inner.wait().is_ok();
        for child in [&mut self.sshd, &mut self.unit].into_iter().flatten() {
            let _ended = child.wait().is_ok();
        }
        let _gone = fs::remove_dir_all(&self.folder).is_ok();
    }
}

/// An open session.
pub(super) struct Session {
    child: Child,
}

impl Session {
    /// Waits for its end; how long that took.
    pub(super) fn ended(mut self) -> Duration {
        let begin = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begin.elapsed() < SOON, "the session goes on");
            pause();
        }
        begin.elapsed()
    }

    pub(super) fn is_open(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a condition is asked again, until its deadline"
)]
fn pause() {
    std::thread::sleep(AGAIN);
}

/// The machine's users and two of ours, PAM with our line, and a policy.
fn write_etc(folder: &Path, policy: &str) {
    let own = |name: &str| fs::read_to_string(Path::new("/etc").join(name)).unwrap();
    let write = |name: &str, text: String| {
        let mut file = fs::File::create(folder.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let service = "granting-service";
    write(
        "passwd",
        format!("{}{service}:x:977:977::/nonexistent:/bin/bash\n", own("passwd")),
    );
    write("shadow", format!("{}{service}:*:19000::::::\n", own("shadow")));
    write(
        "group",
        format!(
            "{}{service}:x:977:\nmonopod-access-service:x:978:{service}\nmonopod-guest:x:979:\nmonopod-admin:x:980:\n",
            own("group")
        ),
    );
    write(
        "nsswitch.conf",
        "passwd: files systemd\ngroup: files systemd\nshadow: files systemd\n".into(),
    );
    let session = format!(
        "session optional pam_exec.so quiet {} access session\n",
        binary().display()
    );
    write(
        "pam",
        format!("{}{session}", fs::read_to_string("/etc/pam.d/sshd").unwrap()),
    );
    write("policy.yaml", policy.to_owned());
}

/// All that a program said.
pub(super) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// All that a child says until its end.
pub(super) fn output_of(mut child: Child) -> String {
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}
