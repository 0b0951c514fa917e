//! A running agent: its output as it comes, its signals, its exit.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::process::{exit_code, send, spawn_tied};
use crate::wait::{Journal, lock, wait_until};

/// Which of its two outputs a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// One line of output.
#[derive(Clone, Debug)]
pub struct Line {
    /// Where it came from.
    pub stream: Stream,
    /// Its text, without the end of line.
    pub text: String,
    /// When it was read.
    pub at: Instant,
}

/// A process of the program under test. Killed when dropped; when the test is failing its last lines are printed.
pub struct Agent {
    shared: Arc<Shared>,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

pub(crate) struct Shared {
    shown: String,
    pid: u32,
    child: Mutex<Child>,
    lines: Journal<Line>,
}

impl Shared {
    pub(crate) fn output(&self) -> String {
        self.lines
            .entries()
            .iter()
            .map(|line| format!("{}\n", line.text))
            .collect()
    }

    /// Kills it, if it is still running, and waits for its end.
    pub(crate) fn end(&self) {
        let mut child = lock(&self.child);
        drop(child.kill());
        drop(child.wait());
    }
}

impl Agent {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let mut child = spawn_tied(command).unwrap_or_else(|e| panic!("rig: starting {shown}: {e}"));
        let lines = Journal::default();
        let out = child.stdout.take().expect("rig: its output is a pipe");
        let err = child.stderr.take().expect("rig: its output is a pipe");
        let readers = vec![
            read(out, Stream::Out, lines.clone()),
            read(err, Stream::Err, lines.clone()),
        ];
        let shared = Shared {
            shown,
            pid: child.id(),
            child: Mutex::new(child),
            lines,
        };
        Self {
            shared: Arc::new(shared),
            readers: Mutex::new(readers),
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Its pid, as the host sees it: the program's own, for what is put around it replaces itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.shared.pid
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        // Under the lock: once waited for, the pid may be another's.
        let mut child = lock(&self.shared.child);
        if matches!(child.try_wait(), Ok(None)) {
            send(self.shared.pid, signal);
        }
    }

    /// Kills it with SIGKILL and waits for its end.
    pub fn kill9(&self) {
        self.shared.end();
    }

    /// Has not ended yet.
    #[must_use]
    pub fn running(&self) -> bool {
        self.code().is_none()
    }

    fn code(&self) -> Option<i32> {
        let status = lock(&self.shared.child)
            .try_wait()
            .unwrap_or_else(|e| panic!("rig: waiting for the agent: {e}"));
        status.map(exit_code)
    }

    /// Waits for its end and gives its exit code, 128 + N if signal N killed it. Its output is complete then.
    pub fn wait_exit(&self, within: Duration) -> i32 {
        let code = wait_until(within, || self.code()).unwrap_or_else(|| {
            panic!(
                "rig: {} is still running after {within:?}{}",
                self.shared.shown,
                self.tail()
            )
        });
        self.finish_reading();
        code
    }

    /// Waits for a line of output that contains this.
    pub fn wait_for_line(&self, part: &str, within: Duration) -> Line {
        self.wait_for_nth_line(part, 1, within)
    }

    /// Waits for the `nth` (from 1) line of output that contains this.
    pub fn wait_for_nth_line(&self, part: &str, nth: usize, within: Duration) -> Line {
        let found = self.shared.lines.wait_for(within, |lines| {
            lines
                .iter()
                .filter(|line| line.text.contains(part))
                .nth(nth - 1)
                .cloned()
        });
        found.unwrap_or_else(|| {
            let state = self
                .code()
                .map_or("is running".to_owned(), |code| format!("has ended with {code}"));
            panic!(
                "rig: no line with {part:?} (number {nth}) within {within:?}; the agent {state}{}",
                self.tail()
            )
        })
    }

    /// The lines as they come.
    #[must_use]
    pub fn lines(&self) -> &Journal<Line> {
        &self.shared.lines
    }

    /// Everything it has printed so far, both outputs together.
    #[must_use]
    pub fn output(&self) -> String {
        self.shared.output()
    }

    /// What it has printed to one of its outputs so far.
    #[must_use]
    pub fn output_of(&self, stream: Stream) -> String {
        let lines = self.shared.lines.entries();
        lines
            .iter()
            .filter(|line| line.stream == stream)
            .map(|line| format!("{}\n", line.text))
            .collect()
    }

    /// Reads to the end of its output, which comes with its own end, unless something it has started holds it open.
    fn finish_reading(&self) {
        let readers = lock(&self.readers);
        let finished = || readers.iter().all(JoinHandle::is_finished).then_some(());
        if wait_until(Duration::from_secs(2), finished).is_none() {
            eprintln!("rig: the agent has ended and something it has started still holds its output");
        }
    }

    fn tail(&self) -> String {
        let lines = self.shared.lines.entries();
        let mut out = "\n--- last lines of the agent".to_owned();
        for line in lines.iter().skip(lines.len().saturating_sub(40)) {
            write!(out, "\n    {}", line.text).expect("writing to a string");
        }
        out
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if thread::panicking() {
            // Where a test has failed, this is what one wants to see next.
            eprintln!("{}", self.tail());
        }
        self.shared.end();
        self.finish_reading();
    }
}

fn read(pipe: impl Read + Send + 'static, stream: Stream, lines: Journal<Line>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut buffer = Vec::new();
        while reader.read_until(b'\n', &mut buffer).is_ok_and(|count| count > 0) {
            let text = String::from_utf8_lossy(&buffer)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            lines.push(Line {
                stream,
                text,
                at: Instant::now(),
            });
            buffer.clear();
        }
    })
}
