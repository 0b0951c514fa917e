//! What can go wrong when log shipping is set up.
//!
//! Once a sink runs it never returns an error: it retries for as long as the spool lasts and says so in its
//! status. So these are the errors of `start` and `follow` only.

use std::io;
use std::path::PathBuf;

/// Log shipping could not be started, or could not follow a container.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogsError {
    /// The directory of the cursors can't be made or used.
    #[error("cannot use {} as the directory of the log cursors", path.display())]
    StateDir {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Another shipper, most likely of another agent, holds the cursors.
    #[error("another process ships logs with the cursors in {}", path.display())]
    Busy {
        /// The directory of the cursors.
        path: PathBuf,
    },
    /// The path of a log file has no directory or no name.
    #[error("{} is not the path of a container's log file", path.display())]
    LogPath {
        /// What was given.
        path: PathBuf,
    },
    /// The directory of a container's log can't be watched.
    #[error("cannot watch {}, the directory of a container's log", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A pattern can't be used. The user data was checked, so a release before this one left it.
    #[error("a pattern for log lines can't be used")]
    Pattern(#[source] monopod_core::logs::PatternError),
    /// The template of application.log can't be used. The user data was checked, so a release before this one left it.
    #[error("the template of application.log can't be used: {0}")]
    Template(String),
    /// The shipper's tasks have ended: it was stopped, or the runtime is shutting down.
    #[error("log shipping has stopped")]
    Stopped,
    /// A sink's task takes no orders.
    #[error("a log sink is busy and takes no orders")]
    Stuck,
}

/// Whether trying again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The cause can go away by itself.
    Transient,
    /// Somebody has to change something first.
    Permanent,
}

impl LogsError {
    /// Tells errors worth another try from those that are not.
    pub fn retry(&self) -> Retry {
        match self {
            Self::StateDir { source, .. } | Self::Watch { source, .. } => io_retry(source),
            Self::Busy { .. } | Self::Stuck => Retry::Transient,
            Self::LogPath { .. } | Self::Pattern(_) | Self::Template(_) | Self::Stopped => Retry::Permanent,
        }
    }
}

/// The same question for a bare I/O error: rights and file system layout don't mend themselves.
pub(crate) fn io_retry(error: &io::Error) -> Retry {
    use io::ErrorKind::{InvalidInput, IsADirectory, NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem | NotADirectory | IsADirectory | InvalidInput => {
            Retry::Permanent
        }
        // A missing directory can still be made, and ErrorKind can't be matched exhaustively.
        _ => Retry::Transient,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_transient_from_permanent() {
        let watch = |kind: io::ErrorKind| LogsError::Watch {
            path: "/x".into(),
            source: kind.into(),
        };
        assert_eq!(watch(io::ErrorKind::NotFound).retry(), Retry::Transient);
        assert_eq!(watch(io::ErrorKind::PermissionDenied).retry(), Retry::Permanent);
        assert_eq!(LogsError::Busy { path: "/x".into() }.retry(), Retry::Transient);
        assert_eq!(LogsError::Stuck.retry(), Retry::Transient);
        assert_eq!(LogsError::Stopped.retry(), Retry::Permanent);
    }

    #[test]
    fn says_what_and_where_and_leaves_why_to_the_source() {
        let error = LogsError::Watch {
            path: "/x/y".into(),
            source: io::Error::from_raw_os_error(28),
        };
        assert_eq!(
            error.to_string(),
            "cannot watch /x/y, the directory of a container's log"
        );
    }
}
