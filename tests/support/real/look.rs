//! What a real machine does, seen from outside: its console, its journal, its units, its engine.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;

use super::RealMachine;
use crate::http::{self, Response};
use crate::process::{tied, tool};
use crate::wait::{lock, pause, wait_until};

const CALL: Duration = Duration::from_secs(20);

impl RealMachine {
    fn init(&self) -> u32 {
        lock(&self.guest)
            .as_ref()
            .unwrap_or_else(|| panic!("rig: {} is off", self.name))
            .init()
    }

    /// A file as its programs see it, /run, /dev and volumes too, while it is on.
    #[must_use]
    pub fn live(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.init())).join(path.trim_start_matches('/'))
    }

    /// A command inside the machine, for root.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        self.enter(tool("nsenter"), args)
    }

    /// The same for one that runs on: it ends with the test process.
    #[must_use]
    pub fn long_command(&self, args: &[&str]) -> Command {
        self.enter(tied("nsenter"), args)
    }

    fn enter(&self, mut command: Command, args: &[&str]) -> Command {
        command
            .arg(format!("--target={}", self.init()))
            .args([
                "--mount", "--uts", "--ipc", "--net", "--pid", "--time", "--cgroup", "--",
            ])
            .args(args);
        command
    }

    /// Runs a command inside, whatever becomes of it.
    #[must_use]
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args)
            .output()
            .unwrap_or_else(|e| panic!("rig: running {args:?} in a machine: {e}"))
    }

    /// Runs a command inside that must succeed: its standard output.
    pub fn run_ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(
            output.status.success(),
            "rig: {args:?} in a machine: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// What stands on the serial console since this boot began, without colours.
    #[must_use]
    pub fn console(&self) -> String {
        let boot = self.boots.load(std::sync::atomic::Ordering::SeqCst);
        self.console_of(boot.saturating_sub(1))
    }

    /// What stood there in one boot; the first is 0.
    #[must_use]
    pub fn console_of(&self, boot: u64) -> String {
        let path = self.dir.join(format!("console-{boot}.log"));
        plain(&fs::read(path).unwrap_or_default())
    }

    pub(super) fn console_tail(&self) -> String {
        let text = self.console();
        let lines: Vec<&str> = text.lines().collect();
        let last = lines.get(lines.len().saturating_sub(150)..).unwrap_or_default();
        format!("\n--- last lines of the console\n{}", last.join("\n"))
    }

    /// Waits for a text on the console of this boot.
    pub fn wait_console(&self, text: &str, within: Duration) {
        self.wait_console_for(&[text], within);
    }

    /// Waits until systemd has been told READY by the agent.
    pub fn wait_ready(&self, within: Duration) {
        self.wait_unit("monopod.service", "active", within);
    }

    /// Waits until a unit is in this state; one that has failed for good stays so.
    pub fn wait_unit(&self, unit: &str, state: &str, within: Duration) {
        let mut now = String::new();
        let seen = wait_until(within, || {
            // Asked by a program in the machine, which costs it something.
            pause(Duration::from_millis(200));
            now = self.unit(unit, "ActiveState");
            (now == state || now == "failed" || !self.is_on()).then_some(())
        });
        assert!(
            seen.is_some() && now == state,
            "rig: {unit} is {now}, not {state}, after {:?}",
            self.uptime()
        );
    }

    /// Waits for the first of these texts.
    pub fn wait_console_for<'a>(&self, texts: &[&'a str], within: Duration) -> &'a str {
        let seen = wait_until(within, || {
            pause(Duration::from_millis(50));
            let on = self.is_on();
            let console = self.console();
            let seen = texts.iter().find(|text| console.contains(**text)).copied();
            (seen.is_some() || !on).then_some(seen)
        });
        seen.flatten().unwrap_or_else(|| {
            panic!("rig: none of {texts:?} on the console within {within:?}, or until it was off")
        })
    }

    /// What the journal has of a unit in this boot.
    #[must_use]
    pub fn journal(&self, unit: &str) -> String {
        self.run_ok(&[
            "journalctl",
            "--boot",
            "--no-pager",
            "--output=short-monotonic",
            "--unit",
            unit,
        ])
    }

    /// A property of a unit: `ActiveState`, `SubState`, `Result`, `NRestarts`.
    #[must_use]
    pub fn unit(&self, unit: &str, property: &str) -> String {
        // Empty while systemd does not listen yet.
        let output = self.run(&["systemctl", "show", "--value", "--property", property, unit]);
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// `monopod status --json`.
    #[must_use]
    pub fn status(&self) -> Value {
        let output = self.run(&["monopod", "status", "--json"]);
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("rig: status: {e}: {}", String::from_utf8_lossy(&output.stderr)))
    }

    fn engine(&self, path: &str) -> io::Result<Response> {
        let stream = UnixStream::connect(self.live("/run/docker.sock"))?;
        stream.set_read_timeout(Some(CALL))?;
        http::call(stream, "GET", path, &[], &[])
    }

    /// All containers, running or not, as the engine lists them.
    #[must_use]
    pub fn containers(&self) -> Vec<Value> {
        let answer = self
            .engine("/containers/json?all=1")
            .unwrap_or_else(|e| panic!("rig: asking a machine's engine: {e}{}", self.story()));
        serde_json::from_slice(&answer.body).expect("rig: the engine answers with a list")
    }

    /// What the engine knows of a container; None if there is none.
    #[must_use]
    pub fn inspect(&self, name: &str) -> Option<Value> {
        let answer = self.engine(&format!("/containers/{name}/json")).ok()?;
        (answer.status == 200)
            .then(|| serde_json::from_slice(&answer.body).expect("rig: the engine answers with JSON"))
    }

    /// One GET from inside the machine's network.
    pub fn http_get(&self, port: u16, path: &str) -> io::Result<Response> {
        let network = lock(&self.guest)
            .as_ref()
            .map(|guest| std::sync::Arc::clone(&guest.network))
            .ok_or_else(|| io::Error::other("the machine is off"))?;
        let stream = network.enter(|| TcpStream::connect((Ipv4Addr::LOCALHOST, port)))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        http::call(stream, "GET", path, &[], &[])
    }

    /// How long ago it was switched on.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        lock(&self.guest)
            .as_ref()
            .map_or(Duration::ZERO, |guest| guest.began.elapsed())
    }

    /// The console, and the agent's journal while there is one: for a failure's message.
    #[must_use]
    pub fn story(&self) -> String {
        let mut story = self.console_tail();
        if self.is_on() {
            for args in [
                &["systemctl", "--no-pager", "--failed", "list-units"][..],
                &["systemctl", "--no-pager", "list-jobs"],
                &[
                    "journalctl",
                    "--boot",
                    "--no-pager",
                    "--lines=80",
                    "--unit=monopod*",
                ],
            ] {
                let output = self.run(args);
                write!(
                    story,
                    "\n--- {}\n{}",
                    args.join(" "),
                    String::from_utf8_lossy(&output.stdout)
                )
                .expect("writing to a string");
            }
        }
        story
    }
}

/// Without the sequences that colour and move.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\u{1b}' => {
                // CSI ... letter; anything else is one character more.
                if chars.next() == Some('[') {
                    for next in chars.by_ref() {
                        if next.is_ascii_alphabetic() {
                            break;
                        }
                    }
                }
            }
            '\r' => {}
            other => out.push(other),
        }
    }
    out
}
