//! What the tests of this module share.

use std::path::{Path, PathBuf};
use std::process::Command;

const ALONE: &str = "MONOPOD_TEST_ALONE";

/// For what there is one of in a process (environment, panic hook, standard error): the command that
/// runs the calling test again in a process of its own; `None` in that process.
pub(super) fn alone(test: &str) -> Option<Command> {
    if std::env::var_os(ALONE).is_some() {
        return None;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .env_remove("JOURNAL_STREAM")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("RUST_BACKTRACE");
    Some(command)
}

/// A directory of its own, removed when dropped.
pub(super) struct TempDir(PathBuf);

impl TempDir {
    pub(super) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("monopod-report-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}
