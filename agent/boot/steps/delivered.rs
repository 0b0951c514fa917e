//! What the container needs from AWS, for the three ways it can come to run.
//!
//! - Created: everything, waited for inside the boot budget.
//! - Started again: what its files are made of, for its variables are the engine's. Files that still lie in memory are
//!   taken as they are, and nobody is asked.
//! - Taken over as it runs: the same, but one try is enough, whatever comes of it: it has its files open, and only its
//!   next start needs them.

use monopod_core::event::Event;
use monopod_core::plan::reconcile::{SpecHash, Then};
use monopod_core::plan::{Plan, SecretUse, Step, StepId};
use monopod_core::text;

use super::secrets::{Fetched, Fetcher, Patience};
use crate::boot::sets::{self, SetCharge};
use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::chain;
use crate::host::delivery::{Delivery, DeliveryError};

/// A container's files and sets, their values as far as they are known.
pub(in crate::boot) struct Delivered {
    pub(in crate::boot) files: Delivery,
    pub(in crate::boot) sets: Vec<SetCharge>,
}

impl Delivered {
    /// From what was fetched, else from what lies there.
    pub(in crate::boot) fn new(context: &Context, plan: &Plan, spec: &SpecHash, fetched: &Fetched) -> Self {
        let runtime = &context.directories.runtime;
        let value = |reference: &_| fetched.value(reference).cloned();
        let mut files = Delivery::new(runtime, spec, &plan.container.files, value);
        if !files.is_known() {
            files.recall();
        }
        for (name, secret) in files.secrets() {
            context.reporter.learn(&name, secret);
        }
        let sets = plan.sets.iter().map(|wanted| {
            let mut set = SetCharge::new(context, wanted, spec);
            match fetched.files(wanted) {
                Some(values) => set.fetched_now(values),
                None => drop(set.recall(context)),
            }
            set
        });
        Self {
            sets: sets.collect(),
            files,
        }
    }

    /// The directories they will lie in are as they have to be, before anything else is touched for them.
    pub(in crate::boot) fn ensure_layout(&self) -> Result<(), DeliveryError> {
        self.files.ensure_layout()?;
        self.sets.iter().try_for_each(|set| set.place.ensure_layout())
    }

    /// The container finds all that is known; nothing else lies there.
    pub(in crate::boot) fn ensure(&self, context: &Context, plan: &Plan) -> Result<(), DeliveryError> {
        sets::ensure_no_others(context, plan);
        self.files.ensure()?;
        self.sets.iter().try_for_each(|set| set.ensure().map(drop))
    }

    /// Whether every value is known.
    pub(in crate::boot) fn is_known(&self) -> bool {
        self.files.is_known() && self.sets.iter().all(|set| set.values.is_some())
    }
}

/// The step.
pub(in crate::boot) async fn run(
    context: &Context,
    plan: &Plan,
    then: &Then,
    step: &Step,
    fetcher: &Fetcher<'_>,
) -> Result<Fetched, BootError> {
    let Step::FetchSecrets { uses, .. } = step else {
        return Ok(Fetched::default());
    };
    timed(context, StepId::Secrets, step.to_string(), async {
        match then {
            Then::Create => everything(fetcher, uses).await,
            Then::Resume { digest, .. } | Then::Adopt { digest, .. }
                if Delivered::new(
                    context,
                    plan,
                    &SpecHash::new(&plan.intent, digest),
                    &Fetched::default(),
                )
                .is_known() =>
            {
                Ok((
                    Fetched::default(),
                    "the container's files are there, nobody was asked".to_owned(),
                ))
            }
            Then::Resume { .. } => everything(fetcher, uses).await,
            Then::Adopt { .. } => match fetcher.all(uses, Patience::Once).await {
                Ok(values) => Ok(done(values.len(), Fetched::new(values))),
                Err(error) => {
                    let text = format!(
                        "the running container keeps the files it has, but can't be started again yet: {}",
                        chain(&error)
                    );
                    context.reporter.tell(Event::Warning { text });
                    Ok((Fetched::default(), "not fetched".to_owned()))
                }
            },
        }
    })
    .await
}

async fn everything(fetcher: &Fetcher<'_>, uses: &[SecretUse]) -> Result<(Fetched, String), BootError> {
    let values = fetcher.all(uses, Patience::Budget).await?;
    Ok(done(uses.len(), Fetched::new(values)))
}

fn done(count: usize, fetched: Fetched) -> (Fetched, String) {
    let detail = match count {
        0 => "nothing to decrypt".to_owned(),
        count => format!("{} fetched", text::count(count as u64, "value")),
    };
    (fetched, detail)
}
