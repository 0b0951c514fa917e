//! People who come in from outside, by a real ssh and the machine's own sshd.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::RealMachine;
use crate::process::{exit_code, spawn_tied, tied, tool};
use crate::wait::{lock, wait_until};

/// The machine, as EC2's DHCP has it.
const ADDRESS: &str = "10.0.0.7";

impl RealMachine {
    /// Makes a key pair: the private half is this file, the public one is beside it with `.pub`.
    pub fn make_key(&self, private: &Path) -> String {
        let made = tool("ssh-keygen")
            .args([
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-C",
                "somebody@example.org",
                "-f",
            ])
            .arg(private)
            .status();
        assert!(
            made.is_ok_and(|status| status.success()),
            "rig: ssh-keygen {}",
            private.display()
        );
        let public = private.with_extension("pub");
        std::fs::read_to_string(&public).unwrap_or_else(|e| panic!("rig: {}: {e}", public.display()))
    }

    /// ssh to the machine, from another one.
    fn ssh(&self, mut command: Command, key: &Path, user: &str, options: &[&str], what: &[&str]) -> Command {
        command
            .arg(format!("--net=/proc/{}/ns/net", self.sandbox.init()))
            .args(["--", "ssh", "-F", "/dev/null", "-i"])
            .arg(key)
            .args([
                "-oBatchMode=yes",
                "-oIdentitiesOnly=yes",
                "-oConnectTimeout=20",
                "-oStrictHostKeyChecking=no",
                "-oUserKnownHostsFile=/dev/null",
                // Without its word on the host's key, which is a new one.
                "-oLogLevel=ERROR",
            ])
            .args(options)
            .arg(format!("{user}@{ADDRESS}"))
            .args(what);
        command
    }

    /// One command by ssh, as sshd is sent it.
    #[must_use]
    pub fn ssh_once(&self, key: &Path, user: &str, options: &[&str], what: &[&str]) -> Output {
        let mut command = self.ssh(tool("nsenter"), key, user, options, what);
        command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|e| panic!("rig: ssh {user}: {e}"))
    }

    /// Somebody sits down at a terminal.
    #[must_use]
    pub fn ssh_session(&self, key: &Path, user: &str) -> Session {
        let mut command = self.ssh(tied("nsenter"), key, user, &["-tt", "-oLogLevel=INFO"], &[]);
        command
            .env("TERM", "dumb")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = spawn_tied(command).unwrap_or_else(|e| panic!("rig: ssh {user}: {e}"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let readers = vec![
            reader(child.stdout.take(), &seen),
            reader(child.stderr.take(), &seen),
        ];
        Session {
            keyboard: child.stdin.take(),
            child,
            seen,
            readers,
        }
    }
}

fn reader(from: Option<impl Read + Send + 'static>, to: &Arc<Mutex<Vec<u8>>>) -> JoinHandle<()> {
    let mut from = from.expect("rig: it is piped");
    let to = Arc::clone(to);
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            lock(&to).extend_from_slice(&chunk[..read]);
        }
    })
}

/// A terminal, and what stands on it.
#[derive(Debug)]
pub struct Session {
    child: Child,
    keyboard: Option<ChildStdin>,
    seen: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
}

impl Session {
    /// What stands there.
    #[must_use]
    pub fn screen(&self) -> String {
        super::look::plain(&lock(&self.seen))
    }

    /// Waits until this stands there.
    pub fn wait_for(&self, text: &str, within: Duration) {
        let seen = wait_until(within, || self.screen().contains(text).then_some(()));
        assert!(
            seen.is_some(),
            "rig: no {text:?} on the screen:\n{}",
            self.screen()
        );
    }

    /// Types a line.
    pub fn enter(&mut self, line: &str) {
        let keyboard = self.keyboard.as_mut().expect("rig: nobody has hung up");
        writeln!(keyboard, "{line}")
            .and_then(|()| keyboard.flush())
            .unwrap_or_else(|e| panic!("rig: typing {line:?}: {e}\n{}", self.screen()));
    }

    /// Types a line and waits for the prompt behind it.
    pub fn run(&mut self, line: &str, within: Duration) {
        let before = self.screen().len();
        self.enter(line);
        let prompted = wait_until(within, || {
            let screen = self.screen();
            let new = screen.get(before..).unwrap_or_default();
            (new.contains(line) && new.ends_with("$ ")).then_some(())
        });
        assert!(prompted.is_some(), "rig: {line:?} has no end:\n{}", self.screen());
    }

    /// Waits until the other side has hung up: ssh's exit code.
    pub fn wait_end(&mut self, within: Duration) -> i32 {
        let ended = wait_until(within, || self.child.try_wait().ok().flatten());
        let ended = ended.unwrap_or_else(|| panic!("rig: the session goes on:\n{}", self.screen()));
        for reader in self.readers.drain(..) {
            drop(reader.join());
        }
        exit_code(ended)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
