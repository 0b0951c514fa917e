//! Looking after the container's health: asks, lets `monopod_core` decide, and says what has to be done.
//!
//! What is asked of the engine is the supervisor's to do; what is asked of the group goes through [`Replacing`].

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, OptionFuture};
use monopod_core::lifecycle::Shutdown;
use monopod_core::supervise::care::{Care, Deed, Rules};
use monopod_core::supervise::health::Thresholds;
use tokio::time::Instant;

use super::probes::{Answer, Probes};
use super::replacing::Replacing;
use crate::boot::hint::Charge;
use crate::context::Context;
use crate::host::clock::{self, Monotonic};

/// All of it.
pub(super) struct Wellness<'a> {
    context: &'a Context,
    charge: &'a Charge,
    clock: Monotonic,
    care: Care,
    probes: Probes<'a>,
    replacing: Replacing<'a>,
    /// Whether the image brings a check of its own is being asked.
    looking: Option<LocalBoxFuture<'a, bool>>,
}

impl<'a> Wellness<'a> {
    pub(super) fn new(context: &'a Context, charge: &'a Charge, clock: Monotonic) -> Self {
        let life = &charge.lifecycle;
        let rules = Rules {
            name: charge.application.to_string(),
            on_unhealthy: life.on_unhealthy,
            restart: charge.restart,
            shutdown: life.shutdown,
            thresholds: Thresholds::new(&charge.gate),
            steady: Duration::from_secs(u64::from(charge.gate.start_period_seconds)),
        };
        let mut care = Care::new(rules, clock.now());
        care.can_be_asked(charge.gate.asks());
        Self {
            context,
            charge,
            clock,
            care,
            probes: Probes::new(context, charge),
            replacing: Replacing::new(context, charge, clock),
            looking: None,
        }
    }

    /// The gate is over; `answer` is what it heard, `None` where an earlier agent has heard it.
    pub(super) fn gate_over(&mut self, passed: bool, answer: Option<&str>) -> Vec<Deed> {
        match answer {
            Some(_) => self.probes.put_off(),
            None => self.probes.forget(),
        }
        if !self.charge.gate.asks() {
            self.looking = Some(Box::pin(has_a_check(self.context, self.charge)));
        }
        self.care.gate_over(passed, answer)
    }

    /// The container runs.
    pub(super) fn started(&mut self) {
        self.care.started(self.clock.now());
        self.probes.put_off();
    }

    /// It is down, or on its way.
    pub(super) fn down(&mut self) {
        self.care.down();
        self.probes.forget();
    }

    /// It is done.
    pub(super) fn completed(&mut self) {
        self.care.completed();
        self.probes.forget();
    }

    /// It failed by its exits.
    pub(super) fn failed(&mut self, reason: &str, may_try_again: bool) -> Vec<Deed> {
        self.probes.forget();
        self.care.failed(reason, may_try_again, self.clock.now())
    }

    /// A restart could not be begun.
    pub(super) fn left_running(&mut self) {
        self.care.left_running(self.clock.now());
    }

    /// Whether the machine goes with a container that has ended so.
    pub(super) fn shuts_down(&self, completed: bool) -> bool {
        match self.charge.lifecycle.shutdown {
            Shutdown::Never => false,
            Shutdown::OnSuccess => completed,
            Shutdown::OnExit => true,
        }
    }

    /// What has to be done next. Left in between, it goes on where it was.
    pub(super) async fn next(&mut self) -> Vec<Deed> {
        let due = self.care.wake().map(|at| self.instant(at));
        let (asks, want, is_sick) = (self.care.asks(), self.care.want(), self.care.is_sick());
        tokio::select! {
            Some(()) = OptionFuture::from(due.map(tokio::time::sleep_until)) => {
                self.care.tick(self.clock.now(), clock::chance())
            }
            Some(has) = OptionFuture::from(self.looking.as_mut()) => {
                self.looking = None;
                self.care.can_be_asked(has);
                Vec::new()
            }
            answer = self.probes.next(), if asks => match answer {
                Answer::Known(Ok(text)) => self.care.answered(true, &text, self.clock.now(), clock::chance()),
                Answer::Known(Err(text)) => self.care.answered(false, &text, self.clock.now(), clock::chance()),
                Answer::Unknown => Vec::new(),
            },
            () = self.replacing.next(want, is_sick) => Vec::new(),
        }
    }

    fn instant(&self, at: Duration) -> Instant {
        Instant::now() + at.saturating_sub(self.clock.now())
    }
}

/// Whether the image has a HEALTHCHECK; an engine that is away is asked until it knows.
async fn has_a_check(context: &Context, charge: &Charge) -> bool {
    loop {
        match context.engine.status(&charge.container_id).await {
            Ok(status) => return status.is_some_and(|status| status.health.is_some()),
            Err(_) => tokio::time::sleep(charge.gate.probe_timeout()).await,
        }
    }
}
