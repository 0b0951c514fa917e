//! How the application's own log files are rotated: by logrotate, as Taupage did it.
//!
//! Their writer keeps its file open and knows nothing of us, so a file is copied and truncated; renamed, it would be
//! written to for ever. Lines that are written between the two are lost, which is why an application does better to
//! write to its output.

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
    /// Whose rights it is done with: user and group; root where nobody knows who writes the files.
    pub owner: Option<(u32, u32)>,
}

impl CustomLogs {
    /// logrotate's configuration.
    pub fn file(&self) -> String {
        let Self {
            folder,
            size,
            interval,
            keep,
            owner,
        } = self;
        // The application owns the folder and everything in it: what root does there, it could have root do elsewhere.
        let su = owner
            .map(|(user, group)| format!("    su {user} {group}\n"))
            .unwrap_or_default();
        format!(
            "# Written by monopod at each boot from `customlog_logrotate_*` of the user data: changes here are lost.\n\
             {folder}/*.log {{\n{su}    {interval}\n    maxsize {size}\n    rotate {keep}\n    missingok\n    notifempty\n    \
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

/// User and group of the files a container writes, where its user is written in numbers. Without a group it is the
/// image's, so the files may be anybody's group.
pub(super) fn owner(user: Option<&str>) -> Option<(u32, u32)> {
    let (user, group) = user?.split_once(':')?;
    match (user.parse().ok()?, group.parse().ok()?) {
        (0, _) => None,
        owner => Some(owner),
    }
}
