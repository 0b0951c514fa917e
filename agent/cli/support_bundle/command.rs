//! Programs of the machine's, as far as they are there: each has a few seconds, and its output an end.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use monopod_core::text;

const PATIENCE: Duration = Duration::from_secs(15);
/// What comes after it is not read. The journal's newest lines are asked for first.
const MOST: u64 = 16 << 20;

/// What it prints to its standard output.
pub(super) fn output(program: &str, args: &[String]) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let stdout = child.stdout.take();
    let (done, finished) = mpsc::channel();
    // It ends with the program, which is killed below at the latest.
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = stdout.map_or(Ok(0), |stdout| stdout.take(MOST).read_to_end(&mut bytes));
        let _nobody_waits = done.send(read.map(|_| bytes)).is_err();
    });
    let read = finished.recv_timeout(PATIENCE);
    // Where its output has ended it is about to; where it hangs nothing else helps.
    let _gone = child.kill().is_err();
    let _reaped = child.wait().is_err();
    match read {
        Ok(Ok(bytes)) if !bytes.is_empty() => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Ok(Ok(_)) => Err(format!("{program} says nothing")),
        Ok(Err(error)) => Err(format!("cannot read what {program} says: {error}")),
        Err(_) => Err(format!(
            "{program} did not end within {}",
            text::duration(PATIENCE)
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn run(script: &str) -> Result<String, String> {
        output("sh", &["-c".to_owned(), script.to_owned()])
    }

    #[test]
    fn what_hangs_is_left() {
        assert_eq!(run("echo one; echo two >&2").unwrap(), "one\n");
        assert_eq!(run("exit 1").unwrap_err(), "sh says nothing");
        assert!(
            output("no-such-program", &[])
                .unwrap_err()
                .starts_with("cannot run no-such-program")
        );
        let begun = Instant::now();
        assert!(run("exec sleep 60").unwrap_err().contains("did not end"));
        assert!(begun.elapsed() < 2 * PATIENCE);
    }
}
