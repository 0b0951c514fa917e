//! Standard error, in the form its reader wants: clean lines with a priority for a journal, coloured
//! lines and a moving progress line on a terminal, plain timed lines anywhere else.
//!
//! Invariant: every byte passes the redactor, whatever crate logged it.

use std::ffi::OsStr;
use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::text;
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;

use super::SharedRedactor;
use crate::host::clock;

/// Who reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Journal,
    Terminal,
    File,
}

/// Standard error.
#[derive(Clone)]
pub struct Output {
    reader: Reader,
    redactor: SharedRedactor,
    /// So many lines of progress stand on the terminal and have to be wiped before the next one.
    unfinished: Arc<AtomicUsize>,
}

impl Output {
    /// Finds out who reads.
    pub fn new(redactor: SharedRedactor) -> Self {
        let reader = if is_journal(std::env::var_os("JOURNAL_STREAM").as_deref()) {
            Reader::Journal
        } else if io::stderr().is_terminal() {
            Reader::Terminal
        } else {
            Reader::File
        };
        Self {
            reader,
            redactor,
            unfinished: Arc::default(),
        }
    }

    /// Sends what this program logs (and no other crate's chatter, which could quote requests) to it,
    /// and what a panic says, which would go past the redactor.
    pub fn install(&self, level: Level) {
        let targets = tracing_subscriber::filter::Targets::new()
            .with_target("monopod", level)
            .with_target("monopod_core", level)
            .with_default(Level::ERROR);
        let layer = tracing_subscriber::fmt::layer()
            .event_format(Lines(self.reader))
            .with_writer(self.clone());
        let subscriber = tracing_subscriber::registry().with(targets).with(layer);
        // A second call in one process (tests of the library) keeps the first.
        let _first_stays = tracing::subscriber::set_global_default(subscriber).is_ok();
        std::panic::set_hook(Box::new(|panic| {
            let said = panic.payload_as_str().unwrap_or("no message");
            match panic.location() {
                Some(at) => tracing::error!("a bug in monopod, it panicked at {at}: {said}"),
                None => tracing::error!("a bug in monopod, it panicked: {said}"),
            }
        }));
    }

    pub(super) fn progress_interval(&self) -> Duration {
        match self.reader {
            Reader::Terminal => Duration::from_millis(200),
            Reader::Journal | Reader::File => Duration::from_secs(5),
        }
    }

    /// On a terminal the steps' progress moves in place, with bars below it; says whether it was shown.
    pub(super) fn progress(&self, event: &Event, bars: impl FnOnce(usize) -> Vec<String>) -> bool {
        let Some(lines) = self.progress_lines(event, bars) else {
            return false;
        };
        let before = self.unfinished.swap(lines.len(), Ordering::Relaxed);
        let block = format!("{}{}", wiped(before), lines.join("\n"));
        let mut stderr = io::stderr().lock();
        let _gone_terminal = stderr
            .write_all(block.as_bytes())
            .and_then(|()| stderr.flush())
            .is_ok();
        true
    }

    fn progress_lines(&self, event: &Event, bars: impl FnOnce(usize) -> Vec<String>) -> Option<Vec<String>> {
        let (Reader::Terminal, Event::StepProgress { step, text }) = (self.reader, event) else {
            return None;
        };
        let redactor = self.redactor.read().unwrap_or_else(PoisonError::into_inner);
        let line = |before: &str, text: &str| {
            // Cut last: a part of a secret is not found. A line that wraps could not be wiped.
            let text = text::printable(&redactor.redact(text));
            format!(
                "{before}{}",
                text::shortened(&text, WIDTH.saturating_sub(before.len() + 1))
            )
        };
        let first = line(&format!("  {step:<10} "), text);
        let bars = bars(BARS);
        Some(
            [first]
                .into_iter()
                .chain(bars.iter().map(|bar| line("    ", bar)))
                .collect(),
        )
    }
}

/// What a terminal is at least wide.
const WIDTH: usize = 80;
/// More would scroll a small one.
const BARS: usize = 10;

/// What wipes this many lines, from the end of the last to the beginning of the first.
fn wiped(lines: usize) -> String {
    match lines {
        0 => String::new(),
        lines => format!("\r\x1b[K{}", "\x1b[1A\x1b[K".repeat(lines - 1)),
    }
}

/// systemd.exec(5): `JOURNAL_STREAM` names the device and inode of the stream it made; whoever was
/// started with another standard error has merely inherited the variable.
fn is_journal(stream: Option<&OsStr>) -> bool {
    let Some((device, inode)) = stream
        .and_then(OsStr::to_str)
        .and_then(|stream| stream.split_once(':'))
    else {
        return false;
    };
    let Ok(stderr) = std::fs::metadata("/proc/self/fd/2") else {
        return false;
    };
    device.parse() == Ok(stderr.dev()) && inode.parse() == Ok(stderr.ino())
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Redacting<'a>;

    fn make_writer(&'a self) -> Self::Writer {
        Redacting(self)
    }
}

/// Writes whole lines, redacted.
pub struct Redacting<'a>(&'a Output);

impl io::Write for Redacting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let redactor = self.0.redactor.read().unwrap_or_else(PoisonError::into_inner);
        let mut stderr = io::stderr().lock();
        let unfinished = self.0.unfinished.swap(0, Ordering::Relaxed);
        stderr.write_all(wiped(unfinished).as_bytes())?;
        stderr.write_all(redactor.redact(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// One event, one line.
struct Lines(Reader);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = *event.metadata().level();
        match self.0 {
            // sd-daemon(3): the journal takes the priority from the prefix, and its own time.
            Reader::Journal => write!(out, "<{}>", priority(level))?,
            Reader::Terminal => {
                let colour = match level {
                    Level::ERROR => "\x1b[1;31m",
                    Level::WARN => "\x1b[33m",
                    _ => "\x1b[0m",
                };
                write!(out, "{colour}")?;
            }
            Reader::File => write!(out, "{} {level:<5} ", text::timestamp(clock::now_millis() / 1000))?,
        }
        if let Some(step) = &fields.step {
            write!(
                out,
                "{}",
                if self.0 == Reader::Terminal {
                    format!("  {step:<10} ")
                } else {
                    format!("{step}: ")
                }
            )?;
        }
        // A journal line is a line: what engines and applications say may be several.
        let message = fields.message.trim_end();
        match self.0 {
            Reader::Journal | Reader::File => write!(out, "{}", message.replace('\n', " | "))?,
            Reader::Terminal => write!(out, "{message}\x1b[0m")?,
        }
        writeln!(out, "{}", fields.rest)
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

/// The message, the step, and the rest as `key=value`.
#[derive(Default)]
struct Fields {
    message: String,
    step: Option<String>,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "step" => self.step = Some(value.to_owned()),
            "message" => value.clone_into(&mut self.message),
            // Writing to a String cannot fail.
            name => _ = write!(self.rest, " {name}={value}"),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => _ = write!(self.rest, " {name}={value:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use monopod_core::plan::StepId;
    use monopod_core::secret::Secret;

    use super::*;
    use crate::report::testing::{TempDir, alone};

    fn knowing(value: &str) -> SharedRedactor {
        let redactor = SharedRedactor::default();
        redactor.write().unwrap().learn(&Secret::new(value.to_owned()));
        redactor
    }

    #[test]
    fn a_journal_is_believed_when_it_is_standard_error() {
        const EXPECTED: &str = "MONOPOD_TEST_EXPECTED";
        let name = "report::output::tests::a_journal_is_believed_when_it_is_standard_error";
        if alone(name).is_none() {
            let reader = Output::new(SharedRedactor::default()).reader;
            assert_eq!(format!("{reader:?}"), std::env::var(EXPECTED).unwrap());
            return;
        }
        let directory = TempDir::new("stream");
        let path = directory.path().join("stderr");
        let file = File::create(&path).unwrap();
        let (device, inode) = (file.metadata().unwrap().dev(), file.metadata().unwrap().ino());
        for (stream, expected) in [
            (format!("{device}:{inode}"), "Journal"),
            (format!("{device}:{}", inode + 1), "File"),
            (format!("{}:{inode}", device + 1), "File"),
            ("1".to_owned(), "File"),
            (":".to_owned(), "File"),
        ] {
            let mut again = alone(name).unwrap();
            again
                .env("JOURNAL_STREAM", &stream)
                .env(EXPECTED, expected)
                .stderr(file.try_clone().unwrap());
            let run = again.output().unwrap();
            assert!(
                run.status.success(),
                "{stream}: {}",
                std::fs::read_to_string(&path).unwrap()
            );
        }
    }

    #[test]
    fn a_panic_is_told_and_redacted() {
        if let Some(mut again) = alone("report::output::tests::a_panic_is_told_and_redacted") {
            let run = again.output().unwrap();
            let told = String::from_utf8_lossy(&run.stderr);
            assert!(!run.status.success());
            for word in [
                "ERROR",
                "panicked at agent/report/output.rs:",
                "it held [redacted] | and more\n",
            ] {
                assert!(told.contains(word), "{word} is missing in {told}");
            }
            assert!(
                !told.contains("hunter2") && !told.contains("RUST_BACKTRACE"),
                "{told}"
            );
            return;
        }
        Output::new(knowing("hunter2-hunter2")).install(Level::INFO);
        panic!("it held {}\nand more", "hunter2-hunter2");
    }

    fn on_a_terminal(text: &str, bars: &[&str]) -> Vec<String> {
        let output = Output {
            reader: Reader::Terminal,
            redactor: knowing("hunter2-hunter2"),
            unfinished: Arc::default(),
        };
        let event = Event::StepProgress {
            step: StepId::Image,
            text: text.to_owned(),
        };
        let bars = bars.iter().map(|bar| (*bar).to_owned()).collect();
        output.progress_lines(&event, |_| bars).unwrap()
    }

    #[test]
    fn progress_is_redacted_before_it_is_cut() {
        let text = format!("{:.<56} hunter2-hunter2", "\x1b[2J");
        let lines = on_a_terminal(&text, &[&format!("{:.<66} hunter2-hunter2", "")]);
        assert_eq!(lines[0], format!("  image      {:.<56} [redacted…", "·[2J"));
        assert_eq!(lines[1], format!("    {:.<66} [redacte…", ""));
        // The mark of the cut counts too: a line as wide as the terminal would wrap on some.
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn as_many_lines_are_wiped_as_were_drawn() {
        assert_eq!(wiped(0), "");
        assert_eq!(wiped(1), "\r\x1b[K");
        assert_eq!(wiped(3), "\r\x1b[K\x1b[1A\x1b[K\x1b[1A\x1b[K");
    }
}
