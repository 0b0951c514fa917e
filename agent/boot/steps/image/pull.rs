//! One pull: watched, told about, and given up when it stands still and something better can be done.

use std::cell::RefCell;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::image::progress::Progress;
use monopod_core::image::space::Layer;
use monopod_core::image::stall::{self, Pull, Verdict};
use monopod_core::plan::StepId;
use monopod_core::text;
use tokio::time::Instant;

use super::ImageError;
use crate::context::Context;
use crate::host::docker::{Credentials, LayerProgress};

/// How often a pull that stands still and is not given up is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Loads an image by its digest; says what it came to. `layers` are those it may lack, where that is known.
pub(super) async fn pull(
    context: &Context,
    reference: &str,
    login: Option<&Credentials>,
    layers: &[Layer],
    deadline: Instant,
) -> Result<String, ImageError> {
    let watch = RefCell::new(Watch::new(context, layers));
    let pull = context
        .engine
        .pull(reference, login, |seen| watch.borrow_mut().hear(&seen));
    tokio::select! {
        result = pull => result?,
        stalled = standing_still(context, deadline, &watch) => {
            return Err(ImageError::Stalled {
                image: reference.to_owned(),
                silent: stalled.silent,
                loaded: stalled.loaded,
                total: stalled.total,
            });
        }
    }
    Ok(watch.into_inner().summary())
}

/// Ends when the pull is not worth waiting for any longer.
async fn standing_still(context: &Context, deadline: Instant, watch: &RefCell<Watch<'_>>) -> Pull {
    let mut told = false;
    loop {
        let pull = watch.borrow().pull(deadline);
        let wait = match stall::judge(pull) {
            Verdict::Cancel | Verdict::GiveUp => return pull,
            Verdict::Moves { look_again } => {
                told = false;
                look_again
            }
            Verdict::Wait => {
                if !told {
                    told = true;
                    context.reporter.tell(Event::StepProgress {
                        step: StepId::Image,
                        text: waiting_text(pull),
                    });
                }
                LOOK
            }
        };
        tokio::time::sleep(wait).await;
    }
}

fn waiting_text(pull: Pull) -> String {
    let why = if pull.all_loaded {
        "everything is loaded, so the disk is slow"
    } else {
        "a new one would not be done in the time left, so this one is waited for"
    };
    format!(
        "the pull has stood still for {}; {why}",
        text::duration(pull.silent)
    )
}

/// What is known about a pull while it runs.
struct Watch<'a> {
    context: &'a Context,
    /// As far as they are known.
    layers: &'a [Layer],
    progress: Progress,
    begun: Instant,
    told: Instant,
    /// When the engine last said something.
    moved: Instant,
}

impl<'a> Watch<'a> {
    fn new(context: &'a Context, layers: &'a [Layer]) -> Self {
        let now = Instant::now();
        Self {
            context,
            layers,
            progress: Progress::default(),
            begun: now,
            told: now,
            moved: now,
        }
    }

    /// The engine speaks when bytes come, when a layer is a step further, and every second until it tries again.
    fn hear(&mut self, seen: &LayerProgress) {
        self.moved = Instant::now();
        self.progress
            .see(&seen.layer, &seen.status, seen.current, seen.total);
        let reporter = &self.context.reporter;
        if self.told.elapsed() >= reporter.progress_interval() {
            self.told = self.moved;
            reporter.tell_with_bars(
                Event::StepProgress {
                    step: StepId::Image,
                    text: self.progress.line(self.begun.elapsed()),
                },
                |rows| self.progress.bars(rows),
            );
        }
    }

    fn pull(&self, deadline: Instant) -> Pull {
        let now = Instant::now();
        Pull {
            active: self.moved - self.begun,
            silent: now - self.moved,
            loaded: self.progress.loaded(),
            total: self.progress.total_of(self.layers),
            all_loaded: self.progress.all_loaded(),
            left: deadline.checked_duration_since(now),
        }
    }

    fn summary(&self) -> String {
        self.progress.summary(self.begun.elapsed())
    }
}
