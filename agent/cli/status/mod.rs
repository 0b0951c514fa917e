//! `monopod status`: what runs here, since when, and how the boot went. The exit code says whether it is well.

mod watch;

use std::path::Path;

use monopod_core::record::{self, Agent, BootRecord};

use super::print;
use super::run::LOCK_FILE;
use crate::host::{chain, clock, files};
use crate::report::STATUS_FILE;

/// Not healthy, or nothing to show.
const EXIT_NOT_HEALTHY: u8 = 1;

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Show {
    /// In full, for a person.
    Text,
    /// For programs.
    Json,
    /// At a login.
    Line,
    /// Again and again.
    Watch,
}

/// What there is to show.
enum Seen {
    /// A record, and whether its agent runs.
    Record(Box<BootRecord>, Agent),
    /// No agent has run here in this boot of the machine.
    Nothing,
    /// Why it is not known.
    Unreadable(String),
}

/// Shows the boot record.
pub(super) fn status(runtime: &Path, show: Show) -> u8 {
    if show == Show::Watch {
        return watch::watch(runtime);
    }
    match look(runtime) {
        Seen::Record(record, agent) => {
            let now = clock::now_millis();
            match show {
                Show::Json => print(&record::to_json(&record, agent)),
                Show::Line => print(&format!("{}\n", record::to_line(&record, agent, now))),
                Show::Text | Show::Watch => print(&record::to_text(&record, agent, now)),
            }
            if record.standing(agent).healthy {
                0
            } else {
                EXIT_NOT_HEALTHY
            }
        }
        Seen::Nothing => {
            if show == Show::Line {
                print(&format!("{}\n", record::unknown_line()));
            } else {
                tracing::error!(
                    "no agent has run here since the machine booted ({} is not there); see `systemctl status monopod`",
                    runtime.join(STATUS_FILE).display()
                );
            }
            EXIT_NOT_HEALTHY
        }
        Seen::Unreadable(why) => {
            if show == Show::Line {
                print(&format!("monopod: {why}\n"));
            } else {
                tracing::error!("{why}");
            }
            EXIT_NOT_HEALTHY
        }
    }
}

fn look(runtime: &Path) -> Seen {
    let path = runtime.join(STATUS_FILE);
    let bytes = match files::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Seen::Nothing,
        Err(error) => return Seen::Unreadable(chain(&error)),
    };
    let record: BootRecord = match serde_json::from_slice(&bytes) {
        Ok(record) => record,
        Err(error) => {
            return Seen::Unreadable(format!(
                "{} is not a boot record this monopod can read: {error}",
                path.display()
            ));
        }
    };
    let agent = match files::is_locked(&runtime.join(LOCK_FILE)) {
        Ok(true) => Agent::Running,
        Ok(false) => Agent::Gone,
        Err(error) => {
            tracing::warn!("whether the agent runs is not known: {}", chain(&error));
            Agent::Gone
        }
    };
    Seen::Record(Box::new(record), agent)
}
