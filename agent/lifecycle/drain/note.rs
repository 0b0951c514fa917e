//! What is noted of a drain, for an agent after this one: in the runtime directory, which lasts as long as this boot.
//!
//! Not in the hint: one of another version is of no use to it, and a newer agent must not start again what was stopped.

use std::collections::BTreeMap;

use monopod_core::event::Event;
use monopod_core::lifecycle::DrainPhase;
use monopod_core::lifecycle::drain::{Cause, HookPast};
use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::host::{chain, files};

const FILE: &str = "drain.json";

/// Times are milliseconds since the epoch: an agent's own clock ends with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    boot_id: String,
    /// When it began.
    pub(super) begun: u64,
    /// Why, and when it has to be over.
    pub(super) causes: BTreeMap<Cause, Option<u64>>,
    /// How far it is; `None`: nothing is done yet.
    #[serde(default)]
    pub(super) phase: Option<DrainPhase>,
    /// Whether the hook was seen to.
    #[serde(default)]
    pub(super) hook: HookPast,
}

impl Note {
    pub(super) fn new(context: &Context, begun: u64) -> Self {
        Self {
            boot_id: context.boot_id().unwrap_or_default(),
            begun,
            causes: BTreeMap::new(),
            phase: None,
            hook: HookPast::Open,
        }
    }

    /// That of this boot, if there is one.
    pub(super) fn load(context: &Context) -> Option<Self> {
        let path = context.directories.runtime.join(FILE);
        let note = match files::read(&path) {
            Ok(bytes) => serde_json::from_slice::<Self>(&bytes?).map_err(|error| error.to_string()),
            Err(error) => Err(chain(&error)),
        };
        match note {
            Ok(note) => context
                .boot_id()
                .is_ok_and(|boot_id| boot_id == note.boot_id)
                .then_some(note),
            Err(why) => {
                let text = format!(
                    "{} is of no use, so a drain that had begun is not gone on with: {why}",
                    path.display()
                );
                context.reporter.tell(Event::Warning { text });
                None
            }
        }
    }

    /// Before what it says is done.
    pub(super) fn save(&self, context: &Context) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = files::ensure_content(&context.directories.runtime.join(FILE), &json) {
            let text = format!(
                "an agent that is started again will not know of the drain, and start the container: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
        }
    }
}
