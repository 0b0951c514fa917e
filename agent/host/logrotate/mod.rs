//! logrotate's configuration for the application's own log files.

use std::path::Path;

use monopod_core::machine::logrotate::CustomLogs;

use super::files::{self, FileError};

/// Read by logrotate, which the machine's image runs every hour.
const PATH: &str = "etc/logrotate.d/monopod-custom";

/// Ends with logrotate as the plan has it below `root`: a file for keys that are gone goes, too.
pub fn ensure_rotation(root: &Path, logs: Option<&CustomLogs>) -> Result<(), FileError> {
    let path = root.join(PATH);
    let before = files::read(&path)?;
    match logs.map(CustomLogs::file) {
        None if before.is_none() => Ok(()),
        None => files::ensure_gone(&path),
        Some(text) if before.as_deref() == Some(text.as_bytes()) => Ok(()),
        Some(text) => files::ensure_content(&path, text.as_bytes()),
    }
}

#[cfg(test)]
mod tests;
