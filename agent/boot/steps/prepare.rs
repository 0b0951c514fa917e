//! Waits for disks and settings, which `monopod prepare` sees to in a unit of its own.

use std::path::Path;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::preparation::{FILE, Follows, Prepared, follows};
use tokio::time::Instant;

use crate::boot::{BootError, timed};
use crate::context::Context;
use crate::host::block;
use crate::host::changes::Changes;
use crate::host::{Class, Classified, files};

/// inotify says when the note changes; this is for where there is none.
const TICK: Duration = Duration::from_secs(1);

/// Why the machine is not prepared.
#[derive(Debug, thiserror::Error)]
pub enum Unprepared {
    /// Prepare's own words. They are final.
    #[error("{reason}; then `systemctl restart monopod-prepare && systemctl restart monopod`")]
    Failed {
        /// What was tried, on what, why it failed, and what to do.
        reason: String,
    },
    /// The time is up.
    #[error("the machine is not prepared yet: {doing}")]
    Late {
        /// What it is at, or why it failed last.
        doing: String,
    },
    /// A file system went after it was mounted.
    #[error(
        "nothing is mounted at {places}, so the container is not started: it would write to the machine's own disk; `systemctl restart monopod-prepare` mounts it"
    )]
    Gone {
        /// On the machine.
        places: String,
    },
}

impl Classified for Unprepared {
    fn class(&self) -> Class {
        match self {
            Self::Failed { .. } => Class::Permanent,
            Self::Late { .. } | Self::Gone { .. } => Class::Transient,
        }
    }
}

pub(in crate::boot) async fn run(context: &Context, deadline: Instant) -> Result<(), BootError> {
    let does = "wait for the machine's disks and settings".to_owned();
    timed(context, StepId::Prepare, does, async {
        let prepared = wait(context, deadline).await?;
        for text in &prepared.warnings {
            context.reporter.tell(Event::Warning { text: text.clone() });
        }
        let detail = match prepared.done.as_slice() {
            [] => "nothing had to be done".to_owned(),
            done => done.join("; "),
        };
        Ok(((), detail))
    })
    .await
}

async fn wait(context: &Context, deadline: Instant) -> Result<Prepared, BootError> {
    let boot_id = context.boot_id()?;
    let changes = Changes::of(&context.directories.runtime, TICK);
    let mut told = String::new();
    loop {
        let read = read(&context.directories.runtime);
        let doing = match (follows(read.as_ref(), &boot_id), read) {
            (Follows::Go, Some(prepared)) => return Ok(prepared),
            (
                Follows::End {
                    reason,
                    permanent: true,
                },
                _,
            ) => {
                return Err(BootError::Unprepared(Unprepared::Failed { reason }));
            }
            // systemd starts it again, and the budget is the same.
            (
                Follows::End {
                    reason,
                    permanent: false,
                },
                _,
            ) => reason,
            (Follows::Wait(doing), _) => doing,
            (Follows::Go, None) => String::new(),
        };
        if doing != told {
            told.clone_from(&doing);
            let text = doing.clone();
            context.reporter.tell(Event::StepProgress {
                step: StepId::Prepare,
                text,
            });
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(BootError::BudgetSpent {
                step: StepId::Prepare,
                last: Box::new(Unprepared::Late { doing }),
            });
        }
        changes.next(TICK.min(left), |name| name == FILE).await;
    }
}

/// One that can't be read is as good as none: it is written again at the next change.
fn read(runtime: &Path) -> Option<Prepared> {
    let bytes = files::read(&runtime.join(FILE)).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// Before a start of the container: where it has volumes something is mounted. The directory below would take its data otherwise.
pub(crate) fn ensure_still_mounted(places: &[String]) -> Result<(), Unprepared> {
    if places.is_empty() {
        return Ok(());
    }
    // Where that can't be seen, it is not so.
    let mounted = block::mounted_places().unwrap_or_default();
    let gone: Vec<&str> = places
        .iter()
        .filter(|place| !mounted.contains(*place))
        .map(String::as_str)
        .collect();
    match gone.as_slice() {
        [] => Ok(()),
        places => Err(Unprepared::Gone {
            places: places.join(" and "),
        }),
    }
}
