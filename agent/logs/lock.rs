//! One shipper at a time. Two with the same cursors would write every line twice and tear the file.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use tokio::time::Instant;

use super::error::LogsError;

/// The one before may be ending: its last write is a matter of milliseconds, or of a slow disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Held by every task, and by every write on its way, until the last is done. The kernel lets go when we're killed.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, never used")] Flock<File>);

impl Lock {
    pub(crate) async fn take(directory: &Path) -> Result<Self, LogsError> {
        let failed = |source: io::Error| LogsError::StateDir {
            path: directory.to_owned(),
            source,
        };
        let mut file = File::create(directory.join("lock")).map_err(failed)?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(Self(lock)),
                Err((back, Errno::EWOULDBLOCK)) if Instant::now() < deadline => file = back,
                Err((_, Errno::EWOULDBLOCK)) => {
                    return Err(LogsError::Busy {
                        path: directory.to_owned(),
                    });
                }
                Err((_, errno)) => return Err(failed(errno.into())),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
