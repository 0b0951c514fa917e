//! What the engine has. It may still be starting.

use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::{Observed, Phase};
use monopod_core::{retry, text};
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::{BootError, timed};
use crate::context::Context;

pub(in crate::boot) async fn run(context: &Context, deadline: Instant) -> Result<Vec<Observed>, BootError> {
    let does = format!("ask the engine at {} what it has", context.engine.host());
    timed(context, StepId::Engine, does, async {
        let observed = until_it_works(
            context,
            StepId::Engine,
            retry::LOCAL,
            Some(deadline),
            async || context.engine.observe().await,
        )
        .await
        .map_err(|gave_up| gave_up.into_boot_error(StepId::Engine, BootError::Engine))?;
        let detail = found_text(&observed);
        Ok((observed, detail))
    })
    .await
}

/// `1 container (0123456789ab running)`.
fn found_text(observed: &[Observed]) -> String {
    if observed.is_empty() {
        return "no container of ours".to_owned();
    }
    let each: Vec<String> = observed
        .iter()
        .map(|one| format!("{} {}", text::short_id(&one.id), phase_text(one.phase)))
        .collect();
    format!(
        "{} ({})",
        text::count(observed.len() as u64, "container"),
        each.join(", ")
    )
}

/// How a container found on the engine is described.
fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Created => "created, never started",
        Phase::Running => "running",
        Phase::Paused => "paused",
        Phase::Exited => "ended",
        Phase::Dead => "dead",
    }
}
