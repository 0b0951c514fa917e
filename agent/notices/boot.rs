//! How the boot ended, what it opens, and what was judged of its image, once each.

use monopod_core::notice::boot::{Beside, judged, opened, result, told_as};

use super::tell;
use crate::context::Context;
use crate::host::clock;

/// Tells it whenever the outcome is another one.
pub(super) async fn follow(context: &Context) {
    let mut outcomes = context.reporter.outcomes();
    loop {
        note_boot(context);
        if outcomes.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Tells it now, if there is something to tell: for an agent that ends.
pub fn note_boot(context: &Context) {
    let record = context.reporter.snapshot();
    let Some(word) = told_as(&record) else { return };
    let (boot_id, is_told, opt_outs_told, verdicts_told) = {
        let told = context.known.get();
        (
            told.boot_id.clone(),
            told.outcomes.contains(word),
            told.opt_outs,
            told.verdicts.clone(),
        )
    };
    for notice in judged(&record, &boot_id, clock::now_millis()) {
        let id = notice.id.clone();
        if !verdicts_told.contains(&id) {
            tell(context, notice);
            context.known.note(|told| {
                told.verdicts.insert(id);
            });
        }
    }
    if !opt_outs_told && let Some(notice) = opened(&record, &boot_id, clock::now_millis()) {
        tell(context, notice);
        context.known.note(|told| told.opt_outs = true);
    }
    if is_told {
        return;
    }
    let beside = Beside {
        boot_id,
        deployment_id: context.life().deployment_id,
    };
    if let Some(notice) = result(&record, &beside) {
        tell(context, notice);
        context.known.note(|told| {
            told.outcomes.insert(word.to_owned());
        });
    }
}
