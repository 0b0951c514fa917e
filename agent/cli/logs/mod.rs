//! `monopod logs`: the container's log for a person, and with `--verify` the proof of what each sink was given.
//!
//! Both read the files the sinks read, and write nothing: they work with the agent and the engine down. Who may not read the
//! engine's files is shown application.log.

mod copy;
mod print;
mod show;
mod verify;
mod when;

pub(super) use when::parse as moment;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use monopod_core::logs::Stream;

use crate::boot::error::{EXIT_PERMANENT, EXIT_TRANSIENT};
use crate::host::chain;
use crate::logs::prove::{self, CursorSeen};
use crate::logs::read::Wanted;

const EXIT_NOTHING: u8 = 1;

/// Options of `monopod logs`.
#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on with new lines, across rotations and containers, until Ctrl-C
    #[arg(short, long)]
    follow: bool,
    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u64>,
    /// Only lines not older than this: `90s`, `10m`, `1h30m`, `2d`, or a time like 2026-11-21T04:16:55Z
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<u64>,
    /// Only lines not newer than this
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<u64>,
    /// Only this stream
    #[arg(long, value_enum)]
    stream: Option<Of>,
    /// With the time the engine took each line
    #[arg(short, long)]
    timestamps: bool,
    /// For programs: an object a line with `time`, `stream` and `text`
    #[arg(long)]
    json: bool,
    /// Read this log instead: the newest file of a container, `.../<id>-json.log`
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    /// Compare what each sink was given with the files, and list what is lost
    #[arg(
        long,
        conflicts_with_all = ["follow", "lines", "since", "until", "stream", "timestamps", "file"]
    )]
    verify: bool,
    /// Where the agent keeps the cursors
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/monopod",
        env = "STATE_DIRECTORY"
    )]
    state_directory: PathBuf,
    /// Where the agent keeps its status
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/run/monopod",
        env = "RUNTIME_DIRECTORY"
    )]
    runtime_directory: PathBuf,
    /// Where application.log is, which is shown to who may not read the engine's files
    #[arg(long, value_name = "DIR", default_value = "/var/log", env = "LOGS_DIRECTORY")]
    logs_directory: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Of {
    /// Standard output
    Stdout,
    /// Standard error
    Stderr,
}

impl LogsArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            stream: self.stream.map(|stream| match stream {
                Of::Stdout => Stream::Stdout,
                Of::Stderr => Stream::Stderr,
            }),
            since: self.since,
            until: self.until,
            last: self.lines,
        }
    }
}

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(
        "no container's log is known here: {} holds no cursor; `monopod status` shows how far the boot came, and --file reads a log by its path",
        directory.display()
    )]
    NoCursor { directory: PathBuf },
    #[error(
        "there is no log {}: the container was removed, or --file names another file",
        path.display()
    )]
    Gone { path: PathBuf },
    #[error("{} may not be read by this user; use root: sudo monopod logs", path.display())]
    Denied { path: PathBuf },
    #[error(
        "{} may not be read by this user, and {}, which is shown instead, does not tell times and streams apart: leave {option} out, or use root",
        path.display(), copy.display()
    )]
    OnlyText {
        path: PathBuf,
        copy: PathBuf,
        option: &'static str,
    },
    #[error(
        "{} may not be read by this user, and there is no {}: the application's log is not written to it, or nothing was; use root: sudo monopod logs",
        path.display(), copy.display()
    )]
    NoCopy { path: PathBuf, copy: PathBuf },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write to standard output")]
    Write(#[source] io::Error),
    #[error("cannot start the asynchronous runtime")]
    Runtime(#[source] io::Error),
}

impl Failure {
    fn reading(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Read { path, source },
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::NoCursor { .. }
            | Self::Gone { .. }
            | Self::NoCopy { .. }
            | Self::Read { .. }
            | Self::Write(_) => EXIT_NOTHING,
            Self::Denied { .. } | Self::OnlyText { .. } => EXIT_PERMANENT,
            Self::Runtime(_) => EXIT_TRANSIENT,
        }
    }
}

/// Shows the log, or proves it.
pub(super) fn logs(args: &LogsArgs) -> u8 {
    let ended = if args.verify {
        verify::verify(args)
    } else {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Failure::Runtime)
            .and_then(|runtime| {
                let ended = runtime.block_on(show(args));
                // Whoever was reading may hold up a write for ever.
                runtime.shutdown_timeout(Duration::ZERO);
                ended.map(|()| 0)
            })
    };
    ended.unwrap_or_else(|failure| {
        tracing::error!("{}", chain(&failure));
        failure.exit_code()
    })
}

async fn show(args: &LogsArgs) -> Result<(), Failure> {
    match show::show(args).await {
        Err(Failure::Denied { path }) if args.file.is_none() => copy::show(args, path).await,
        ended => ended,
    }
}

/// The cursors that are there; none is a failure.
fn cursors(directory: &Path) -> Result<Vec<CursorSeen>, Failure> {
    let nothing = || Failure::NoCursor {
        directory: directory.to_owned(),
    };
    match prove::cursors(directory) {
        Ok(cursors) if cursors.is_empty() => Err(nothing()),
        Ok(cursors) => Ok(cursors),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(nothing()),
        Err(error) => Err(Failure::reading(directory, error)),
    }
}

/// The log of the newest container.
fn newest_log(directory: &Path) -> Result<PathBuf, Failure> {
    prove::container_log(&cursors(directory)?).ok_or_else(|| Failure::NoCursor {
        directory: directory.to_owned(),
    })
}
