//! `monopod status`: what runs here, since when, and how the boot went.

use std::path::Path;

use monopod_core::record::{self, Agent, BootRecord};

use super::run::LOCK_FILE;
use super::{pretty, print};
use crate::host::{chain, clock, files};
use crate::report::STATUS_FILE;

const EXIT_NOTHING: u8 = 1;

/// Shows the boot record.
pub(super) fn status(runtime: &Path, json: bool) -> u8 {
    let path = runtime.join(STATUS_FILE);
    let bytes = match files::read(&path) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            tracing::error!(
                "no agent has run here since the machine booted ({} is not there); see `systemctl status monopod`",
                path.display()
            );
            return EXIT_NOTHING;
        }
        Err(error) => {
            tracing::error!("{}", chain(&error));
            return EXIT_NOTHING;
        }
    };
    let record: BootRecord = match serde_json::from_slice(&bytes) {
        Ok(record) => record,
        Err(error) => {
            tracing::error!(
                "{} is not a boot record this monopod can read: {error}",
                path.display()
            );
            return EXIT_NOTHING;
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
    if json {
        let mut value = serde_json::to_value(&record).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.insert("agent_running".to_owned(), (agent == Agent::Running).into());
        }
        print(&pretty(&value));
    } else {
        print(&record::to_text(&record, agent, clock::now_millis()));
    }
    0
}
