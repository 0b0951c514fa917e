//! Carrying out what follows from the container's health.

use futures_util::future::LocalBoxFuture;
use monopod_core::event::Event;
use monopod_core::supervise::care::Deed;
use monopod_core::supervise::{Action, Input, State};

use super::{Doing, Supervision, ending};
use crate::host::clock;

impl<'a> Supervision<'a> {
    /// Each deed in its order; the next thing to do if it is another now.
    pub(super) fn follow(&mut self, deeds: Vec<Deed>) -> Option<LocalBoxFuture<'a, Doing>> {
        let reporter = &self.context.reporter;
        let mut doing = None;
        for deed in deeds {
            match deed {
                Deed::Tell { healthy, text } => reporter.tell(Event::Health { healthy, text }),
                Deed::Warn { text } => reporter.tell(Event::Warning { text }),
                Deed::Degraded { reason } => {
                    self.degraded = true;
                    reporter.tell(Event::Degraded { reason });
                }
                Deed::Recovered { text } => {
                    self.degraded = false;
                    match self.refreshing.unhealthy() {
                        Some(reason) => reporter.tell(Event::Degraded { reason }),
                        None => reporter.tell(Event::Recovered { text }),
                    }
                }
                Deed::Planned { wait } => {
                    let restart = self.machine.restarts() + 1;
                    reporter.tell(Event::RestartPlanned { wait, restart });
                }
                Deed::Restart => doing = self.restart_unwell().or(doing),
                Deed::TryAgain => {
                    let action = self
                        .machine
                        .on(Input::TryAgain, self.clock.now(), clock::chance());
                    if action == Some(Action::Start) {
                        doing = Some(self.start());
                    }
                }
            }
        }
        doing
    }

    /// One that is just going down or up for another reason is left to that.
    fn restart_unwell(&mut self) -> Option<LocalBoxFuture<'a, Doing>> {
        if *self.machine.state() != State::Running {
            return None;
        }
        if let Some(why) = self.keeps_from_starting() {
            let text = format!(
                "the container is not restarted though it is not healthy, as it could not be started again: {why}; it goes on, and it is tried again"
            );
            self.context.reporter.tell(Event::Warning { text });
            self.wellness.left_running();
            return None;
        }
        let action = self.machine.on(Input::Renew, self.clock.now(), clock::chance());
        let restarts = action == Some(Action::Restart);
        self.renewing |= restarts;
        self.wellness.down();
        restarts.then(|| self.restart(true))
    }

    /// Begins to power the machine off where its user wants that after such an end, once the boot's result is told.
    pub(super) fn end(&mut self) {
        let completed = match self.machine.state() {
            State::Completed { .. } => true,
            State::Failed { .. } => false,
            State::Starting | State::Running | State::BackingOff { .. } => return,
        };
        if !self.settled || self.ending.is_some() || !self.wellness.shuts_down(completed) {
            return;
        }
        let why = format!(
            "the container of {} {}",
            self.charge.application,
            self.machine.state()
        );
        self.ending = Some(Box::pin(ending::run(self.context, why)));
    }
}
