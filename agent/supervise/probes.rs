//! The health check's question, asked again and again once the machine is up.
//!
//! Invariants
//! - One question at a time, and each has an end: one that hangs delays the next one, it never joins it.
//! - Who has nothing to ask is not woken.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use super::look::{No, Question};
use crate::boot::hint::Charge;
use crate::context::Context;

/// An engine that hangs has deadlines of its own; this ends what has none.
const ENGINE: Duration = Duration::from_secs(60);

/// What one question brought.
pub(super) enum Answer {
    /// Well, or not, in words.
    Known(Result<String, String>),
    /// Nobody knows.
    Unknown,
}

/// The asking.
pub(super) struct Probes<'a> {
    context: &'a Context,
    charge: &'a Charge,
    /// Made once: an HTTP client is not cheap.
    question: Option<Rc<Question>>,
    asking: Option<LocalBoxFuture<'a, Answer>>,
    next: Instant,
}

impl<'a> Probes<'a> {
    pub(super) fn new(context: &'a Context, charge: &'a Charge) -> Self {
        Self {
            context,
            charge,
            // One that can't be made has kept the gate from passing, and says so there.
            question: Question::new(&charge.gate).ok().map(Rc::new),
            asking: None,
            next: Instant::now(),
        }
    }

    /// The next question comes an interval from now: somebody has just asked, or it was just started.
    pub(super) fn put_off(&mut self) {
        self.asking = None;
        self.next = Instant::now() + self.interval();
    }

    /// No answer is of interest any more.
    pub(super) fn forget(&mut self) {
        self.asking = None;
    }

    /// The next answer. Left in between, it goes on where it was.
    pub(super) async fn next(&mut self) -> Answer {
        if self.asking.is_none() {
            tokio::time::sleep_until(self.next).await;
            self.next = Instant::now() + self.interval();
        }
        let Some(question) = self.question.clone() else {
            return std::future::pending().await;
        };
        let (context, charge) = (self.context, self.charge);
        let asking = self
            .asking
            .get_or_insert_with(|| Box::pin(ask(context, charge, question)));
        let answer = asking.await;
        self.asking = None;
        answer
    }

    fn interval(&self) -> Duration {
        Duration::from_secs(u64::from(self.charge.gate.watch_interval_seconds.max(1)))
    }
}

async fn ask(context: &Context, charge: &Charge, question: Rc<Question>) -> Answer {
    let patience = charge.gate.probe_timeout() + ENGINE;
    let begun = Instant::now();
    let answer = match tokio::time::timeout(patience, question.ask(context, charge)).await {
        Ok(Ok(detail)) => Ok(detail),
        Ok(Err(No::Yet(why) | No::Never(why))) => Err(why),
        Ok(Err(No::Unasked(why))) => {
            tracing::debug!("a probe was not possible: {why}");
            return Answer::Unknown;
        }
        Err(_) => return Answer::Unknown,
    };
    let figures = context.reporter.probe_figures();
    figures.answered(answer.is_ok(), begun.elapsed());
    Answer::Known(answer)
}
