//! Says when there may be a new file of the audit log. Only renames and files that are closed after writing wake us, not
//! every line that is written to `/var/log`.

use std::path::Path;
use std::time::Duration;

use crate::host::changes::Changes;

/// Rotation makes a file an hour; this is for file systems that inotify does not see.
const TICK: Duration = Duration::from_secs(15 * 60);
/// Without inotify.
const TICK_ALONE: Duration = Duration::from_secs(2 * 60);

/// The directory.
#[derive(Debug)]
pub(super) struct Watch(Changes);

impl Watch {
    pub(super) fn new(directory: &Path) -> Self {
        Self(Changes::of(directory, TICK_ALONE))
    }

    /// Returns when it is time to look.
    pub(super) async fn changed(&self) {
        let ours = |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(b"audit.log");
        self.0.next(TICK, ours).await;
    }
}
