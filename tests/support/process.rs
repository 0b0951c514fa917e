//! Processes that end when the test process ends, however it ends.
//!
//! The kernel's parent-death signal does it (`setpriv --pdeathsig`). It follows the *thread* that spawned, and a test's
//! thread ends with its test, so one thread spawns for all and lives as long as the process.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::{lock, wait_until};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Where tools are looked for: Debian's own, not what a developer has put before them.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// A command with a clean environment.
pub(crate) fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH);
    command
}

/// A command that is killed when the thread that starts it ends: see [`spawn_tied`].
pub(crate) fn tied(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = tool("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Starts a command from the thread that lives as long as this process.
pub(crate) fn spawn_tied(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::Builder::new()
            .name("rig-spawner".into())
            .spawn(move || {
                for (mut command, answer) in inbox {
                    // A requester that has gone away leaves a child nobody waits for; it still dies with us.
                    drop(answer.send(command.spawn()));
                }
            })
            .expect("rig: starting the spawner thread");
        Mutex::new(orders)
    });
    let (answer, result) = mpsc::channel();
    lock(spawner)
        .send((command, answer))
        .expect("rig: the spawner thread is gone");
    result.recv().expect("rig: the spawner thread is gone")
}

/// A server the rig runs: its process and its log.
#[derive(Debug)]
pub(crate) struct Part {
    name: &'static str,
    child: Mutex<Child>,
    log: PathBuf,
}

impl Part {
    /// Starts `command` with its output at the end of `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Self {
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|e| panic!("rig: {name}: opening its log {}: {e}", log.display()));
        let again = file.try_clone().expect("rig: duplicating a descriptor");
        command
            .stdin(std::process::Stdio::null())
            .stdout(file)
            .stderr(again);
        let shown = format!("{command:?}");
        let child = spawn_tied(command).unwrap_or_else(|e| panic!("rig: {name}: starting {shown}: {e}"));
        Self {
            name,
            child: Mutex::new(child),
            log: log.to_owned(),
        }
    }

    /// Waits until `probe` answers; panics, with the log, when the process ends or the time is up first.
    pub(crate) fn ready<T>(&self, within: Duration, mut probe: impl FnMut(&str) -> Option<T>) -> T {
        let mut ended = None;
        let answer = wait_until(within, || {
            if let Some(answer) = probe(&fs::read_to_string(&self.log).unwrap_or_default()) {
                return Some(Some(answer));
            }
            ended = lock(&self.child).try_wait().ok().flatten();
            ended.map(|_| None)
        });
        answer.flatten().unwrap_or_else(|| {
            let why = ended.map_or(format!("not ready after {within:?}"), |status| {
                format!("ended: {status}")
            });
            panic!("rig: {} {why}{}", self.name, self.tail())
        })
    }

    /// The pid, as the host sees it.
    pub(crate) fn pid(&self) -> u32 {
        lock(&self.child).id()
    }

    pub(crate) fn tail(&self) -> String {
        tail(self.name, &self.log)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for the end; `None` if it is still running after `within`.
    pub(crate) fn wait(&self, within: Duration) -> Option<ExitStatus> {
        wait_until(within, || lock(&self.child).try_wait().ok().flatten())
    }

    pub(crate) fn kill(&self) {
        let mut child = lock(&self.child);
        // Killing what has ended is no error worth a word.
        drop(child.kill());
        drop(child.wait());
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last lines of a log, as the end of a failure message.
pub(crate) fn tail(name: &str, log: &Path) -> String {
    let text = fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let mut out = format!("\n--- last lines of {name} ({})", log.display());
    for line in lines.iter().skip(lines.len().saturating_sub(25)) {
        write!(out, "\n    {line}").expect("writing to a string");
    }
    out
}

/// An exit as a shell reports it: the code, or 128 + signal.
pub(crate) fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).expect("rig: a pid fits in i32");
    // ESRCH: it has ended already.
    let _ = kill(Pid::from_raw(pid), signal);
}

/// What /proc says of a process: its parent, its state letter and its start time in ticks since boot.
pub(crate) struct Stat {
    pub(crate) parent: u32,
    pub(crate) state: char,
    pub(crate) started: u64,
}

pub(crate) fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in brackets and may hold anything: the fields start after the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        started: fields.get(19)?.parse().ok()?,
    })
}

/// Alive: there, and no zombie that nobody has waited for.
pub(crate) fn alive(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// Stopped, with all its threads.
pub(crate) fn stopped(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    threads.flatten().all(|thread| {
        let text = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // A thread that has ended since is no obstacle.
        text.rsplit_once(')')
            .is_none_or(|(_, fields)| fields.trim_start().starts_with('T'))
    })
}

/// The children of a process, from the whole process table: /proc/PID/task/TID/children is a kernel option.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|candidate| stat(*candidate).is_some_and(|stat| stat.parent == pid))
        .collect()
}
