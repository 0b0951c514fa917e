//! How a boot ended, and what its configuration opens, out of the record.

use super::{Boot, Notice, What};
use crate::audit::{is_told, outcome_word};
use crate::record::{BootRecord, Outcome};
use crate::trace::Level;

/// What only the plan says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Which boot of the machine.
    pub boot_id: String,
    /// `deployment_id`.
    pub deployment_id: Option<String>,
}

/// The word by which an outcome is told once a boot; `None` while it is still to come.
pub fn told_as(record: &BootRecord) -> Option<&'static str> {
    is_told(&record.outcome).then(|| outcome_word(&record.outcome))
}

/// The result as the record has it; `None` while it is still to come.
pub fn result(record: &BootRecord, beside: &Beside) -> Option<Notice> {
    let outcome = told_as(record)?;
    let (since, reason) = match &record.outcome {
        Outcome::Ready { since } | Outcome::Completed { since } => (*since, None),
        Outcome::Degraded { since, reason } | Outcome::Failed { since, reason, .. } => {
            (*since, Some(reason.clone()))
        }
        _ => return None,
    };
    let container = record.container.as_ref();
    let boot = Boot {
        outcome: outcome.to_owned(),
        reason,
        seconds: since.saturating_sub(record.agent_started_at) / 1000,
        boot_id: beside.boot_id.clone(),
        image: container.map(|container| container.image.clone()),
        digest: container.map(|container| container.digest.clone()),
        deployment_id: beside.deployment_id.clone(),
        commit: record.trace.as_ref().and_then(|trace| trace.commit.clone()),
        agent_version: record.agent_version.clone(),
    };
    let id = format!("b-{}-{outcome}", beside.boot_id);
    Some(Notice::new(id, since, What::Boot(Box::new(boot))))
}

/// What is open in this boot; `None` where nothing is.
pub fn opened(record: &BootRecord, boot_id: &str, now: u64) -> Option<Notice> {
    let keys = record.opt_outs.clone();
    let id = format!("o-{boot_id}");
    (!keys.is_empty()).then(|| Notice::new(id, now, What::OptOut { keys }))
}

/// A notice for each verdict that has a consequence.
pub fn judged(record: &BootRecord, boot_id: &str, now: u64) -> Vec<Notice> {
    record
        .verdicts
        .iter()
        .filter(|verdict| verdict.level != Level::Ignore)
        .map(|verdict| {
            let name = verdict.name.word();
            let what = What::Verdict {
                name: name.to_owned(),
                severity: verdict.level.word().to_owned(),
                text: verdict.found.clone(),
            };
            Notice::new(format!("v-{boot_id}-{name}"), now, what)
        })
        .collect()
}
