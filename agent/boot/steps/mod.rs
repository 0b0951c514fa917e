//! The steps, a file each. A step is retried by [`until_it_works`] while its error is transient and
//! the budget lasts.

pub(crate) mod config;
pub(super) mod container;
pub(super) mod delivered;
pub(super) mod engine;
pub(crate) mod facts;
pub(crate) mod firewall;
mod holes;
pub(super) mod image;
mod include;
mod login;
pub(crate) mod prepare;
pub(crate) mod secrets;
mod trust;

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::retry::{Backoff, THROTTLED};
use tokio::time::Instant;

use super::BootError;
use crate::context::Context;
use crate::host::{Class, Classified, chain, clock};

/// The same complaint again is told this often at most.
const REPEAT: Duration = Duration::from_secs(10);

/// How a failing operation ended.
pub(crate) enum GaveUp<E> {
    /// It can't be mended by trying again.
    Permanent(E),
    /// The deadline passed.
    TimeUp(E),
}

impl<E: std::error::Error + Send + Sync + 'static> GaveUp<E> {
    /// As what ends the boot.
    pub(super) fn into_boot_error(self, step: StepId, permanent: impl FnOnce(E) -> BootError) -> BootError {
        match self {
            Self::Permanent(error) => permanent(error),
            Self::TimeUp(error) => BootError::BudgetSpent {
                step,
                last: Box::new(error),
            },
        }
    }
}

/// The refusals of a shared limit, in a row.
#[derive(Clone, Copy)]
struct Throttled {
    refusals: u32,
    since: Instant,
}

/// Tries until it works, is refused for good, or the deadline has passed (`None`: there is none). A limit that other
/// machines share has a schedule of its own, whatever the `backoff`.
pub(crate) async fn until_it_works<T, E: Classified>(
    context: &Context,
    step: StepId,
    backoff: Backoff,
    deadline: Option<Instant>,
    mut operation: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T, GaveUp<E>> {
    let mut failures = 0;
    let mut throttled: Option<Throttled> = None;
    let mut told: Option<(Instant, String)> = None;
    loop {
        let error = match operation().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        failures += 1;
        let now = Instant::now();
        let wait = match error.class() {
            Class::Permanent => return Err(GaveUp::Permanent(error)),
            Class::Transient => {
                throttled = None;
                let wait = backoff.delay(failures, clock::chance());
                deadline
                    .is_none_or(|deadline| now + wait < deadline)
                    .then_some(wait)
            }
            Class::Throttled => {
                let so_far = throttled.get_or_insert(Throttled {
                    refusals: 0,
                    since: now,
                });
                so_far.refusals += 1;
                let left = deadline.map(|deadline| deadline.saturating_duration_since(now));
                THROTTLED.delay(so_far.refusals, now - so_far.since, left, clock::chance())
            }
        };
        let Some(wait) = wait else {
            return Err(GaveUp::TimeUp(error));
        };
        let text = chain(&error);
        let news = told
            .as_ref()
            .is_none_or(|(at, before)| *before != text || now - *at >= REPEAT);
        if news {
            told = Some((now, text.clone()));
        }
        context.reporter.tell(Event::Retrying {
            step,
            error: text,
            failures,
            wait,
            news,
        });
        tokio::time::sleep(wait).await;
    }
}
