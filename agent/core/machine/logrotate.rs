//! How the application's own log files are rotated: by logrotate, as Taupage did it.
//!
//! Their writer keeps its file open and knows nothing of us, so a file is copied and truncated; renamed, it would be
//! written to for ever. Lines that are written between the two are lost, which is why an application does better to
//! write to its output.
//!
//! It is done as root, without logrotate's `su`: that takes names, which a container's user has none of on the machine, and
//! the files' group is the image's choice. logrotate follows no link in place of a file, and there is none above the folder
//! that an application could put there.

use std::fmt;

use serde::Serialize;

use crate::text;

/// logrotate's part of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CustomLogs {
    /// Whose `*.log` they are.
    pub folder: &'static str,
    /// Bytes after which one is put aside.
    pub size: u64,
    /// `hourly`, `daily`, `weekly`, `monthly`, `yearly`.
    pub interval: String,
    /// Old files kept of each.
    pub keep: usize,
}

impl CustomLogs {
    /// logrotate's configuration.
    pub fn file(&self) -> String {
        let Self {
            folder,
            size,
            interval,
            keep,
        } = self;
        format!(
            "# Written by monopod at each boot from `customlog_logrotate_*` of the user data: changes here are lost.\n\
             {folder}/*.log {{\n    {interval}\n    maxsize {size}\n    rotate {keep}\n    missingok\n    notifempty\n    \
             copytruncate\n    compress\n    delaycompress\n}}\n"
        )
    }
}

impl fmt::Display for CustomLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/*.log: {}, and from {} on; {} kept, compressed",
            self.folder,
            self.interval,
            text::bytes(self.size),
            text::count(self.keep as u64, "old file")
        )
    }
}
