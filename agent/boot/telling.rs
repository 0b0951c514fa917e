//! Events that several parts of a boot tell.

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::Reconciliation;
use monopod_core::text;
use tokio::time::Instant;

use super::BootError;
use crate::context::Context;
use crate::host::chain;

/// Tells when a step begins, how it ends and how long it took.
pub(super) async fn timed<T>(
    context: &Context,
    step: StepId,
    does: String,
    work: impl Future<Output = Result<(T, String), BootError>>,
) -> Result<T, BootError> {
    let begun = Instant::now();
    context.reporter.tell(Event::StepStarted { step, does });
    match work.await {
        Ok((value, detail)) => {
            context.reporter.tell(Event::StepDone {
                step,
                detail,
                took: begun.elapsed(),
            });
            Ok(value)
        }
        Err(error) => {
            context.reporter.tell(Event::StepFailed {
                step,
                error: chain(&error),
                took: begun.elapsed(),
            });
            Err(error)
        }
    }
}

pub(super) fn tell_left_alone(context: &Context, reconciliation: &Reconciliation) {
    for id in &reconciliation.left_alone {
        let text = format!(
            "the container {} has our label under another name: somebody's copy, left alone; remove it when it is not needed",
            text::short_id(id)
        );
        context.reporter.tell(Event::Warning { text });
    }
}
