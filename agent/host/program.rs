//! A program of the machine's, run to its end.

use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Between two looks: the programs that are run here take some ten milliseconds.
const LOOK: Duration = Duration::from_millis(5);
/// Of what it says.
const LONGEST: u64 = 16 << 10;

/// How it ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    /// With 0.
    pub(crate) success: bool,
    /// What it wrote to its standard error, on one line.
    pub(crate) words: String,
}

/// Runs it with an input, and ends it after `patience`. In the C locale: its words are read.
pub(crate) fn run(program: &Path, words: &[&str], input: &str, patience: Duration) -> io::Result<Ended> {
    let mut child = Command::new(program)
        .args(words)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        child.kill()?;
        child.wait()?;
        return Err(error);
    }
    let end = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            let text = format!("it did not end within {} s", patience.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        std::thread::sleep(LOOK);
    };
    let mut said = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(LONGEST).read_to_end(&mut said)?;
    }
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    Ok(Ended {
        success: status.success(),
        words: lines.join("; "),
    })
}
