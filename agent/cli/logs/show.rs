//! `monopod logs`: reads, prints, and with `-f` waits for more.
//!
//! Files are read and lines written on a thread that may block; the runtime's own waits for signals, so that Ctrl-C
//! ends a command whose reader has stopped reading.

use std::io;
use std::path::{Path, PathBuf};

use monopod_core::logs::Gap;
use monopod_core::text;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::print::Printer;
use super::{Failure, LogsArgs, newest_log};
use crate::logs::read::{Reading, Step, Waiter, Wanted, folder};

/// What is read and where it goes.
#[derive(Debug)]
struct Session {
    path: PathBuf,
    /// Where a newer container's log is looked for; none when the person named the file.
    state: Option<PathBuf>,
    reading: Reading,
    /// What a newer container's log is asked for.
    later: Wanted,
    printer: Printer,
    /// Files may have come, gone or been renamed.
    look: bool,
}

/// Shows the log until its end, or with `-f` until it is stopped.
pub(super) async fn show(args: &LogsArgs) -> Result<(), Failure> {
    let mut stop = Stop::new().map_err(Failure::Runtime)?;
    // Watched before anything is read, so that nothing goes unnoticed in between.
    let mut waiter = args.follow.then(Waiter::new);
    let path = match &args.file {
        Some(path) => path.clone(),
        None => newest_log(&args.state_directory)?,
    };
    if let Some(waiter) = &waiter {
        waiter.watch(&folder(&path));
    }
    let mut session = Session::open(args, path)?;
    loop {
        let (back, result) = tokio::select! {
            done = tokio::task::spawn_blocking(move || {
                let result = session.read_on();
                (session, result)
            }) => done.map_err(|error| Failure::Runtime(io::Error::other(error)))?,
            () = stop.asked() => return Ok(()),
        };
        session = back;
        let moved = match result {
            Ok(moved) => moved,
            // The reader has what it wanted (`| head`).
            Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(failure) => return Err(failure),
        };
        let Some(waiter) = &mut waiter else {
            session.tell_garbage();
            return Ok(());
        };
        if moved {
            waiter.watch(&folder(&session.path));
            continue;
        }
        if let (false, Some(state)) = (session.path.exists(), &session.state) {
            // The next container is known when a cursor names it.
            waiter.watch(state);
        }
        session.look = tokio::select! {
            names = waiter.changed() => names,
            () = stop.asked() => return Ok(()),
        };
    }
}

impl Session {
    fn open(args: &LogsArgs, path: PathBuf) -> Result<Self, Failure> {
        let wanted = args.wanted();
        let reading = open(&path, &wanted, args.follow)?;
        Ok(Self {
            state: args.file.is_none().then(|| args.state_directory.clone()),
            reading: reading.ok_or_else(|| Failure::Gone { path: path.clone() })?,
            path,
            later: Wanted { last: None, ..wanted },
            printer: Printer::new(args.json, args.timestamps),
            look: false,
        })
    }

    /// Prints what there is. True if a newer container's log was taken up, which has not been read yet.
    fn read_on(&mut self) -> Result<bool, Failure> {
        if self.look {
            self.reading
                .look(tell)
                .map_err(|error| Failure::reading(&self.path, error))?;
        }
        // Asked before the end is read: what the older container wrote last is in its file by then.
        let newer = if self.look { self.newer() } else { None };
        self.drain()?;
        let is_last = newer.is_some() || !self.reading.is_followed();
        if is_last {
            let (reading, printer) = (&mut self.reading, &mut self.printer);
            reading
                .finish(|line| printer.line(&line))
                .map_err(Failure::Write)?;
        }
        self.printer.flush().map_err(Failure::Write)?;
        let Some((path, reading)) = newer else {
            return Ok(false);
        };
        self.tell_garbage();
        (self.path, self.reading) = (path, reading);
        Ok(true)
    }

    fn drain(&mut self) -> Result<(), Failure> {
        loop {
            let (mut unwritten, printer) = (None, &mut self.printer);
            let step = self.reading.step(
                |line| {
                    printer.line(&line).map_err(|error| {
                        let kind = error.kind();
                        unwritten = Some(error);
                        io::Error::from(kind)
                    })
                },
                tell,
            );
            if let Some(error) = unwritten {
                return Err(Failure::Write(error));
            }
            if step.map_err(|error| Failure::reading(&self.path, error))? == Step::End {
                return Ok(());
            }
        }
    }

    /// The log of a container that came after this one, once it is there.
    fn newer(&self) -> Option<(PathBuf, Reading)> {
        // No cursor, or none that can be read now: the next look will tell.
        let path = newest_log(self.state.as_deref()?)
            .ok()
            .filter(|path| *path != self.path)?;
        let reading = open(&path, &self.later, true).ok().flatten()?;
        Some((path, reading))
    }

    fn tell_garbage(&self) {
        let garbage = self.reading.garbage();
        if garbage > 0 {
            tracing::warn!(
                "{} of the log could not be read, leaving them out",
                text::count(garbage, "record")
            );
        }
    }
}

fn open(path: &Path, wanted: &Wanted, followed: bool) -> Result<Option<Reading>, Failure> {
    Reading::open(path, wanted, followed).map_err(|error| Failure::reading(path, error))
}

fn tell(gap: &Gap) {
    let marker = gap.marker();
    tracing::warn!(
        "not shown: {}",
        marker.strip_prefix("monopod: ").unwrap_or(&marker)
    );
}

/// What ends the command.
pub(super) struct Stop {
    interrupt: Signal,
    terminate: Signal,
    /// Standard output, if it can be waited for.
    output: Option<AsyncFd<io::Stdout>>,
}

impl Stop {
    #[allow(
        deprecated,
        reason = "its successor is an unsafe function: it asks that the descriptor stays the same and open, and \
                  standard output does"
    )]
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            output: AsyncFd::with_interest(io::stdout(), Interest::ERROR).ok(),
        })
    }

    /// Ctrl-C, a signal, or nobody reads any more. May be dropped at any time.
    pub(super) async fn asked(&mut self) {
        let unread = async {
            match &self.output {
                // Nothing clears it: a pipe whose reader has gone stays so.
                Some(output) => output.ready(Interest::ERROR).await.map(|_| ()),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            Ok(()) = unread => {}
        }
    }
}
