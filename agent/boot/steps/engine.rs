//! What the engine has. It may still be starting.

use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::Observed;
use monopod_core::retry;
use tokio::time::Instant;

use super::until_it_works;
use crate::boot::{BootError, found_text, timed};
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
