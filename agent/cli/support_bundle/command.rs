//! Programs of the machine's, as far as they are there: each has a few seconds, and its output an end.

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use monopod_core::text;

const PATIENCE: Duration = Duration::from_secs(15);
/// Of more than this the end is kept: the journal's newest lines come last.
const MOST: usize = 16 << 20;

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
        let read = stdout.map_or(Ok(Vec::new()), |stdout| tail(stdout, MOST));
        let _nobody_waits = done.send(read).is_err();
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

/// The last lines of all that comes, so many bytes at most. The line that would be cut is left out whole: in half of it
/// the redactor does not find half a secret.
fn tail(mut from: impl Read, most: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut is_cut = false;
    // Twice as much is held before the older half goes, so that each byte is moved once.
    let step = most as u64;
    while from.by_ref().take(step).read_to_end(&mut bytes)? > 0 {
        let over = bytes.len().saturating_sub(most);
        if over > 0 {
            let cuts_a_line = over.checked_sub(1).and_then(|at| bytes.get(at)) != Some(&b'\n');
            bytes.drain(..over);
            is_cut = cuts_a_line;
        }
    }
    if is_cut {
        let whole = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |at| at + 1);
        bytes.drain(..whole);
    }
    Ok(bytes)
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

    #[test]
    fn of_too_much_the_end_is_kept_in_whole_lines() {
        let all = b"one\ntwo\nthree\nfour\n";
        for (most, kept) in [
            (100, "one\ntwo\nthree\nfour\n"),
            (19, "one\ntwo\nthree\nfour\n"),
            (18, "two\nthree\nfour\n"),
            (15, "two\nthree\nfour\n"),
            (14, "three\nfour\n"),
            (5, "four\n"),
        ] {
            let tail = tail(&all[..], most).unwrap();
            assert_eq!(String::from_utf8(tail).unwrap(), kept, "{most}");
        }
        assert_eq!(tail(&b"endless, without a line's end"[..], 7).unwrap(), b"");
        let long = run("seq 3000000").unwrap();
        assert!(
            long.len() <= MOST && long.ends_with("\n3000000\n"),
            "{}",
            long.len()
        );
        let first = long.lines().next().unwrap().parse::<u32>().unwrap();
        assert_eq!(long.lines().count() as u32, 3_000_001 - first);
    }
}
