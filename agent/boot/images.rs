//! What this instance knows about images before the plan runs.

use monopod_core::plan::Plan;
use monopod_core::plan::reconcile::{self, Phase, Reconciliation, Removal, Then};

use super::hint::Charge;
use super::steps;
use super::steps::image::Store;

/// What this instance knows about images before the plan runs.
pub(super) struct Images<'a> {
    pub(super) store: Store<'a>,
    made: Vec<(String, String)>,
    ended: Vec<Removal>,
}

impl<'a> Images<'a> {
    pub(super) fn new(
        plan: &Plan,
        hint: Option<&Charge>,
        observed: &[reconcile::Observed],
        reconciliation: &Reconciliation,
        store: Store<'a>,
    ) -> Self {
        Self {
            store,
            made: steps::image::made(&plan.container.image, hint, observed),
            ended: ended(reconciliation, observed),
        }
    }

    /// A container that stays says what its reference is, should it be removed before the next boot.
    pub(super) fn note(&self, plan: &Plan, then: &Then) {
        match then {
            Then::Adopt { digest, .. } | Then::Resume { digest, .. }
                if plan.container.image.digest().is_none() =>
            {
                self.store.resolve(&plan.container.image.canonical(), digest);
            }
            Then::Adopt { .. } | Then::Resume { .. } | Then::Create => {}
        }
    }

    pub(super) fn known(&self) -> steps::image::Known<'_> {
        steps::image::Known {
            store: &self.store,
            made: &self.made,
            ended: &self.ended,
        }
    }
}

/// Those of the containers which have to go that do nothing any more.
fn ended(reconciliation: &Reconciliation, observed: &[reconcile::Observed]) -> Vec<Removal> {
    let has_ended = |id: &str| {
        observed.iter().any(|one| match one.phase {
            Phase::Created | Phase::Exited | Phase::Dead => one.id == id,
            Phase::Running | Phase::Paused => false,
        })
    };
    let remove = reconciliation.remove.iter();
    remove.filter(|removal| has_ended(&removal.id)).cloned().collect()
}
