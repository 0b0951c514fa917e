//! Everything the machine needs before its container starts, and that takes privileges the agent does not have: disks, kernel
//! settings, sshd, the image's users. `monopod prepare` does it, once a boot, in a unit of its own.
//!
//! Design: it reads facts and user data as the agent does, makes the same plan, and does its part of it. How far it is and how it
//! ended stands in a note ([`Note`]) that the agent waits for; the agent alone tells others, so this ends with an exit code and a line in the
//! journal. Every step may be done again, after a kill at any point and at every boot: what is there is found, not remembered.
//!
//! Invariants
//! - A device that shows any sign of data is not written without the user's order: `monopod_core::storage::content::decide` says
//!   what happens, and `host::block` looks again before it writes.
//! - Nothing here mounts. File systems are .mount units that systemd starts, because a sandboxed unit's own mounts are seen by nobody.
//! - Its own state lies in a directory of its own: the agent runs at the same time.
//!
//! Deliberately absent: telling CloudFormation or the group, waiting for the engine, and undoing anything.

mod arrays;
mod devices;
mod error;
mod mounts;
mod note;
mod owed;
pub(crate) mod settings;
mod volumes;

use std::path::Path;
use std::time::Duration;

use monopod_core::budget;
use monopod_core::event::Event;
use monopod_core::machine::MachinePlan;
use monopod_core::plan::Plan;
use monopod_core::preparation::State;
use tokio::time::Instant;

use crate::boot::steps::{config, facts};
use crate::boot::{self, hint};
use crate::context::Context;
use crate::host::{Class, Classified as _, chain, clock, files};
use crate::lifecycle::warm;
pub use error::PrepareError;
pub(crate) use note::Note;

/// Settings are files of the machine.
const ROOT: &str = "/";
/// cloud-init makes the image's users in the first seconds of a boot.
const USERS: Duration = Duration::from_secs(120);

/// One run: what is done, for whom, and until when.
pub(crate) struct Job<'a> {
    pub(crate) context: &'a Context,
    pub(crate) plan: &'a Plan,
    pub(crate) facts: &'a monopod_core::facts::InstanceFacts,
    pub(crate) note: &'a Note<'a>,
    /// The end of the boot budget, which the agent counts the same way.
    pub(crate) deadline: Instant,
}

/// Prepares the machine, and notes how that ended.
pub async fn prepare(context: &Context) -> Result<(), PrepareError> {
    let note = Note::begin(context, &files::boot_id()?);
    let outcome = everything(context, &note).await;
    note.end(match &outcome {
        Ok(_) => State::Done,
        Err(error) => State::Failed {
            reason: context.reporter.redacted(&chain(error)),
            permanent: error.class() == Class::Permanent,
        },
    });
    let machine = outcome?;
    // Nobody waits for this.
    let tell = |event| context.reporter.tell(event);
    settings::ensure_users(&machine, Path::new(ROOT), USERS, tell).await;
    Ok(())
}

async fn everything(context: &Context, note: &Note<'_>) -> Result<MachinePlan, PrepareError> {
    let first_start = clock::since_boot_millis();
    let identity = facts::run(context).await.map_err(PrepareError::Orders)?;
    let first_boot = hint::is_first_boot(context, &identity.facts.instance_id);
    let launched = identity
        .facts
        .pending_time
        .filter(|_| first_boot)
        .map(boot::launched);
    let left = |total: Duration| Instant::now() + boot::time_left(total, first_start, launched);

    let read = config::read(context, &identity, left(budget::DEFAULT)).await;
    let plan = read
        .map_err(|unusable| PrepareError::Orders(unusable.error))?
        .plan;
    if !plan.refused.is_empty() {
        return Err(PrepareError::Refused);
    }
    let job = Job {
        context,
        plan: &plan,
        facts: &identity.facts,
        note,
        deadline: left(plan.budget),
    };
    let tell = |event| match event {
        Event::Warning { text } => note.warn(&text),
        event => context.reporter.tell(event),
    };
    settings::ensure_settings(&plan.machine, Path::new(ROOT), tell).await?;
    if plan.storage.is_empty() {
        return Ok(plan.machine);
    }
    if !plan.storage.ebs.is_empty() && warm::is_wanted(context, job.deadline).await {
        note.doing("in a warm pool: the volumes are another machine's until the group wants this one");
        warm::until_it_serves(context).await;
        // Waiting there costs nobody's patience: the budget begins when the machine is wanted.
        let job = Job {
            deadline: Instant::now() + plan.budget,
            ..job
        };
        ensure_storage(&job).await?;
    } else {
        ensure_storage(&job).await?;
    }
    Ok(plan.machine)
}

async fn ensure_storage(job: &Job<'_>) -> Result<(), PrepareError> {
    let attached = volumes::ensure_attached(job).await?;
    let arrays = arrays::ensure_assembled(job, &attached).await?;
    mounts::ensure_all(job, &attached, &arrays).await
}
