//! Waiting for more of a log.

use std::path::Path;

use tokio::sync::watch;

use super::super::watcher::{Changes, Watcher};

/// Tells when there may be something to read.
#[derive(Debug)]
pub struct Waiter {
    watcher: Watcher,
    changes: watch::Receiver<Changes>,
    names: u64,
}

impl Waiter {
    /// Watches until it is dropped.
    pub fn new() -> Self {
        let (changed, changes) = watch::channel(Changes::default());
        let watcher = Watcher::new();
        tokio::spawn(watcher.clone().run(changed));
        Self {
            watcher,
            changes,
            names: 0,
        }
    }

    /// This directory too. One that isn't there is looked at now and then.
    pub fn watch(&self, directory: &Path) {
        if let Err(error) = self.watcher.watch(directory) {
            tracing::debug!(%error, directory = %directory.display(), "A directory can't be watched, looking now and then");
        }
    }

    /// Waits; true if files may have come, gone or been renamed. May be dropped at any time without missing one.
    pub async fn changed(&mut self) -> bool {
        if self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        let names = self.changes.borrow_and_update().names;
        std::mem::replace(&mut self.names, names) != names
    }
}

impl Default for Waiter {
    fn default() -> Self {
        Self::new()
    }
}
