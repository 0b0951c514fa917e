//! What is noted of a drain, for an agent after this one: in the runtime directory, which lasts as long as this boot.
//!
//! Not in the hint: one of another version is of no use to it, and a newer agent must not start again what was stopped.

use std::collections::BTreeMap;

use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::lifecycle::drain::{Cause, HookPast};
use monopod_core::lifecycle::{DrainPhase, LifecyclePlan, TargetState};
use serde::{Deserialize, Serialize};

use crate::context::{Context, Stage};
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
    /// The group had put the machine back into its warm pool.
    #[serde(default)]
    pub(super) warmed: bool,
    /// Who leaves: a boot that was left where it was has no charge in the hint.
    #[serde(default)]
    pub(super) who: Option<Who>,
}

/// Who leaves, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Who {
    facts: InstanceFacts,
    plan: LifecyclePlan,
    /// Nobody waits for the boot's result.
    is_told: bool,
}

impl Who {
    /// As far as this agent knows.
    pub(super) fn known(context: &Context) -> Option<Self> {
        let life = context.life();
        Some(Self {
            facts: life.facts?,
            plan: life.plan,
            is_told: life.stage != Stage::Booting,
        })
    }

    /// For an agent that has not booted.
    pub(super) fn recall(&self, context: &Context) {
        context.reporter.identify(None, Some(&self.facts));
        context.learn_life(|life| {
            life.facts = Some(self.facts.clone());
            life.plan = self.plan.clone();
            if self.is_told {
                life.stage = Stage::Over;
            }
        });
    }
}

impl Note {
    pub(super) fn new(context: &Context, begun: u64) -> Self {
        Self {
            boot_id: context.boot_id().unwrap_or_default(),
            begun,
            causes: BTreeMap::new(),
            phase: None,
            hook: HookPast::Open,
            warmed: false,
            who: None,
        }
    }

    /// What the group wants, as far as it has to do with a warm pool; whether that is news. A machine that is back in
    /// service stays one that was there.
    pub(super) fn hear(&mut self, target: Option<&TargetState>) -> bool {
        let warmed = match target {
            Some(TargetState::Warmed) => true,
            Some(TargetState::Terminated) => false,
            Some(TargetState::InService | TargetState::Other(_)) | None => self.warmed,
        };
        std::mem::replace(&mut self.warmed, warmed) != warmed
    }

    /// Whether it has left for its warm pool and nothing else, and is to serve again.
    pub(super) fn is_woken(&self, target: Option<&TargetState>) -> bool {
        let pool_alone = self.causes.keys().eq([&Cause::Lifecycle]);
        let is_over = self.phase == Some(DrainPhase::Done);
        self.warmed && pool_alone && is_over && target == Some(&TargetState::InService)
    }

    /// The next agent of this boot boots.
    pub(super) fn remove(context: &Context) {
        let path = context.directories.runtime.join(FILE);
        if let Err(error) = std::fs::remove_file(&path) {
            let text = format!(
                "the next start takes this machine for one that leaves, remove {}: {error}",
                path.display()
            );
            context.reporter.tell(Event::Warning { text });
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

    /// Before what it says is done. Private: the plan may have a wait handle's URL, with which anybody can answer.
    pub(super) fn save(&self, context: &Context) {
        let json = serde_json::to_vec(self).unwrap_or_default();
        if let Err(error) = files::ensure_private_content(&context.directories.runtime.join(FILE), &json) {
            let text = format!(
                "an agent that is started again will not know of the drain, and start the container: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_machine_back_from_its_warm_pool_serves_again() {
        let warmed = TargetState::Warmed;
        let serve = TargetState::InService;
        let gone = TargetState::Terminated;
        for (causes, heard, phase, woken) in [
            (
                vec![Cause::Lifecycle],
                vec![&warmed, &serve],
                DrainPhase::Done,
                true,
            ),
            (
                vec![Cause::Lifecycle],
                vec![&warmed, &serve],
                DrainPhase::Hook,
                false,
            ),
            (vec![Cause::Lifecycle], vec![&serve], DrainPhase::Done, false),
            (vec![Cause::Lifecycle], vec![&warmed], DrainPhase::Done, false),
            (
                vec![Cause::Lifecycle],
                vec![&warmed, &gone, &serve],
                DrainPhase::Done,
                false,
            ),
            (
                vec![Cause::Lifecycle, Cause::Person],
                vec![&warmed, &serve],
                DrainPhase::Done,
                false,
            ),
            (
                vec![Cause::Person],
                vec![&warmed, &serve],
                DrainPhase::Done,
                false,
            ),
        ] {
            let mut note = Note {
                boot_id: String::new(),
                begun: 0,
                causes: causes.iter().map(|cause| (*cause, None)).collect(),
                phase: Some(phase),
                hook: HookPast::Over,
                warmed: false,
                who: None,
            };
            for target in &heard {
                note.hear(Some(target));
            }
            // As the next agent finds it.
            let json = serde_json::to_vec(&note).unwrap();
            let note: Note = serde_json::from_slice(&json).unwrap();
            let target = heard.last().copied();
            assert_eq!(note.is_woken(target), woken, "{causes:?} {heard:?} {phase}");
        }
    }
}
