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
use monopod_core::facts::InstanceFacts;
use monopod_core::plan::Plan;
use monopod_core::preparation::State;
use tokio::time::Instant;

use crate::boot::steps::{config, facts};
use crate::boot::{self, hint};
use crate::context::Context;
use crate::host::{Class, Classified as _, chain, files};
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
    pub(crate) facts: &'a InstanceFacts,
    pub(crate) note: &'a Note<'a>,
    /// The end of the boot budget, which the agent counts the same way.
    pub(crate) deadline: Instant,
}

/// Prepares the machine, and notes how that ended.
pub async fn prepare(context: &Context) -> Result<(), PrepareError> {
    let note = Note::begin(context, &files::boot_id()?);
    let tell = |event| context.reporter.tell(event);
    let orders = match read_orders(context, &note).await {
        Ok(orders) => orders,
        Err(error) => {
            end(context, note, Err(&error))?;
            return Err(error);
        }
    };
    // Nobody waits for the users, and they wait for no disk.
    let users = settings::ensure_users(&orders.plan.machine, Path::new(ROOT), USERS, tell);
    let rest = async {
        let outcome = carry_out(context, &note, &orders).await;
        end(context, note, outcome.as_ref().map(|&()| ()))?;
        outcome
    };
    tokio::join!(users, rest).1
}

fn end(context: &Context, note: Note<'_>, outcome: Result<(), &PrepareError>) -> Result<(), PrepareError> {
    let state = match outcome {
        Ok(()) => State::Done,
        Err(error) => State::Failed {
            reason: context.reporter.redacted(&chain(error)),
            permanent: error.class() == Class::Permanent,
        },
    };
    note.end(state).map_err(PrepareError::Untold)
}

/// For whom, and until when.
struct Orders {
    facts: InstanceFacts,
    plan: Plan,
    deadline: Instant,
}

async fn read_orders(context: &Context, note: &Note<'_>) -> Result<Orders, PrepareError> {
    let first_start = note.first_start();
    let facts = facts::run(context).await.map_err(PrepareError::Orders)?;
    let first_boot = hint::is_first_boot(context, &facts.facts.instance_id);
    let launched = facts
        .facts
        .pending_time
        .filter(|_| first_boot)
        .map(boot::launched);
    let left = |total: Duration| Instant::now() + boot::time_left(total, first_start, launched);

    let read = config::read(context, &facts, left(budget::DEFAULT)).await;
    let plan = read
        .map_err(|unusable| PrepareError::Orders(unusable.error))?
        .plan;
    if !plan.refused.is_empty() {
        return Err(PrepareError::Refused);
    }
    Ok(Orders {
        deadline: left(plan.budget),
        facts: facts.facts,
        plan,
    })
}

async fn carry_out(context: &Context, note: &Note<'_>, orders: &Orders) -> Result<(), PrepareError> {
    let plan = &orders.plan;
    let tell = |event| match event {
        Event::Warning { text } => note.warn(&text),
        event => context.reporter.tell(event),
    };
    settings::ensure_settings(&plan.machine, Path::new(ROOT), tell).await?;
    if plan.storage.is_empty() {
        return Ok(());
    }
    let mut job = Job {
        context,
        plan,
        facts: &orders.facts,
        note,
        deadline: orders.deadline,
    };
    if !plan.storage.ebs.is_empty() && warm::is_wanted(context, job.deadline).await {
        note.doing("in a warm pool: the volumes are another machine's until the group wants this one");
        warm::until_it_serves(context).await;
        // Waiting there costs nobody's patience: the budget begins when the machine is wanted.
        job.deadline = Instant::now() + plan.budget;
    }
    ensure_storage(&job).await
}

async fn ensure_storage(job: &Job<'_>) -> Result<(), PrepareError> {
    let attached = volumes::ensure_attached(job).await?;
    let arrays = arrays::ensure_assembled(job, &attached).await?;
    mounts::ensure_all(job, &attached, &arrays).await
}
