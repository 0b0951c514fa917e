//! `monopod drain`: asks the agent to leave and follows it; without an agent it does so itself.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use monopod_core::lifecycle::drain::Cause;
use monopod_core::text;

use super::print;
use super::run::{LOCK_FILE, Options};
use crate::boot::error::EXIT_TRANSIENT;
use crate::context::Context;
use crate::host::docker::Engine;
use crate::host::{chain, clock, files};
use crate::lifecycle::control::{Request, SOCKET, Said};
use crate::lifecycle::drain::{self, Alone, Causes};
use crate::report::Reporter;

const EXIT_NOTHING: u8 = 1;

/// An agent that has just started makes its socket in a moment.
const AGAIN: Duration = Duration::from_millis(200);

/// Of a machine that is powered off, the drain is over so long before the command's own time: what it comes to at its very
/// end is still heard.
const WORD: Duration = Duration::from_secs(2);

/// Lines in flight, when all else is over.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Why {
    /// Somebody wants it
    Person,
    /// The machine is being powered off: everything has to be over within the timeout
    Poweroff,
}

#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    /// How long to wait, like 90s or 5m; with `--cause poweroff` also how long the drain may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub(super) timeout: Duration,
    /// Why
    #[arg(long, value_enum, default_value_t = Why::Person)]
    pub(super) cause: Why,
}

fn duration(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u32 = number
        .parse()
        .map_err(|_| "write a number and a unit, like 90s or 5m".to_owned())?;
    let seconds: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err("write s, m or h behind the number".to_owned()),
    };
    Ok(Duration::from_secs(u64::from(count) * seconds))
}

/// How asking the agent ended.
enum Asked {
    Drained,
    Refused(String),
    /// Nobody is there, or went away.
    Nobody,
    /// The time is up; what was told last.
    TooLate(String),
}

/// Runs until the machine can go, or the time is up.
pub(super) fn drain(args: &DrainArgs, options: Options) -> u8 {
    let deadline = Instant::now() + args.timeout;
    let runtime = options.directories.runtime.clone();
    let (cause, end) = match args.cause {
        Why::Person => (Cause::Person, None),
        Why::Poweroff => (
            Cause::Poweroff,
            Some(deadline.checked_sub(WORD).unwrap_or(deadline)),
        ),
    };
    let mut last = String::new();
    loop {
        match ask(&runtime.join(SOCKET), cause, end, deadline, &mut last) {
            Asked::Drained => return 0,
            Asked::Refused(why) => {
                tracing::error!("the agent refuses: {why}");
                return EXIT_NOTHING;
            }
            Asked::TooLate(last) => return too_late(args.timeout, &last),
            Asked::Nobody => {}
        }
        match files::lock(&runtime.join(LOCK_FILE)) {
            Ok(_held) => return alone(options, cause, end, args.timeout, deadline),
            Err(files::LockError::Held { .. }) if Instant::now() < deadline => wait(),
            Err(files::LockError::Held { .. }) => return too_late(args.timeout, &last),
            Err(error) if !runtime.exists() => {
                tracing::debug!("{}", chain(&error));
                return nothing();
            }
            Err(error) => {
                tracing::error!("{}", chain(&error));
                return EXIT_TRANSIENT;
            }
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command that waits for an agent that starts has nothing else to do"
)]
fn wait() {
    std::thread::sleep(AGAIN);
}

fn nothing() -> u8 {
    tracing::error!("nothing of monopod's has run here since the machine booted: there is nothing to drain");
    EXIT_NOTHING
}

fn too_late(timeout: Duration, last: &str) -> u8 {
    let far = if last.is_empty() {
        "nothing was told yet"
    } else {
        last
    };
    tracing::error!(
        "the machine has not left within {}; it goes on leaving, and this was told last: {far}",
        text::duration(timeout)
    );
    EXIT_TRANSIENT
}

fn ask(path: &Path, cause: Cause, end: Option<Instant>, deadline: Instant, last: &mut String) -> Asked {
    let Ok(mut stream) = UnixStream::connect(path) else {
        return Asked::Nobody;
    };
    let within = end.map(|end| end.saturating_duration_since(Instant::now()));
    let request = Request {
        drain: cause,
        within_ms: within.and_then(|within| u64::try_from(within.as_millis()).ok()),
    };
    let mut line = serde_json::to_vec(&request).unwrap_or_default();
    line.push(b'\n');
    if stream.write_all(&line).is_err() {
        return Asked::Nobody;
    }
    let Ok(reading) = stream.try_clone() else {
        return Asked::Nobody;
    };
    let mut reader = BufReader::new(reading);
    let mut line = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || stream.set_read_timeout(Some(left)).is_err() {
            return Asked::TooLate(std::mem::take(last));
        }
        match reader.read_line(&mut line) {
            Ok(0) => return Asked::Nobody,
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) =>
            {
                continue;
            }
            Err(_) => return Asked::Nobody,
        }
        match serde_json::from_str::<Said>(&line) {
            Ok(Said::Line(text)) => {
                print(&format!("{text}\n"));
                *last = text;
            }
            Ok(Said::Drained) => return Asked::Drained,
            Ok(Said::Refused(why)) => return Asked::Refused(why),
            Err(_) => return Asked::Refused("it does not speak this command's language".to_owned()),
        }
        line.clear();
    }
}

/// The lock is held: no agent begins meanwhile.
fn alone(options: Options, cause: Cause, end: Option<Instant>, timeout: Duration, deadline: Instant) -> u8 {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the asynchronous runtime: {error}");
            return EXIT_TRANSIENT;
        }
    };
    let engine = match Engine::new(std::env::var("DOCKER_HOST").ok().as_deref()) {
        Ok(engine) => engine,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return EXIT_TRANSIENT;
        }
    };
    let Options {
        directories,
        sources,
        log_targets,
        redactor,
        output,
    } = options;
    let reporter = Reporter::new(&directories.runtime, Arc::clone(&redactor), output);
    let context = Context::new(engine, reporter, directories, sources, log_targets);
    let causes = Causes::default();
    let left = |end: Instant| u64::try_from(end.saturating_duration_since(Instant::now()).as_millis());
    let end = end.and_then(|end| Some(clock::now_millis() + left(end).ok()?));
    let code = runtime.block_on(async {
        let deadline = tokio::time::Instant::from_std(deadline);
        let outcome = tokio::time::timeout_at(deadline, drain::alone(&context, &causes, cause, end)).await;
        let code = match outcome {
            Ok(Alone::Drained) => 0,
            Ok(Alone::Nothing) => nothing(),
            Err(_) => {
                let last = causes.subscribe().borrow().lines.last().cloned();
                too_late(timeout, &last.unwrap_or_default())
            }
        };
        context.stop_shipping(tokio::time::Instant::now() + FLUSH).await;
        code
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("2h", 7200), ("7", 7)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "m", "5 m", "-1s", "5d", "1m30s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
