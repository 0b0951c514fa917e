//! Out of the load balancers: deregistered, then looked at until each has no use for the machine.

use std::time::Duration;

use super::call::Call;
use super::{Action, Failure, News, Place};
use crate::retry;

/// Between two looks: a target takes up to five minutes to be let go, so this is soon enough, and cheap.
const LOOK: Duration = Duration::from_secs(3);

/// One that refuses so often to let go will not.
const REFUSALS: u32 = 3;

/// One load balancer.
#[derive(Clone, Debug)]
pub(super) struct Leaving {
    state: State,
    call: Call,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is asked to let go.
    Asked,
    /// It has agreed, or would not be asked; it is looked at.
    Watched { agreed: bool },
    /// It has let go.
    Left,
    /// It won't.
    Stays,
}

impl Leaving {
    pub(super) fn new() -> Self {
        Self {
            state: State::Asked,
            call: Call::new(retry::AWS),
        }
    }

    /// Nothing is waited for. Nobody is served by a container that has ended: that it is out of the list is enough then.
    pub(super) fn is_over(&self, stopped: bool) -> bool {
        match self.state {
            State::Asked => false,
            State::Watched { .. } => stopped,
            State::Left | State::Stays => true,
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        (!self.is_over(false)).then(|| self.call.wake())
    }

    pub(super) fn act(&mut self, at: usize, now: Duration, actions: &mut Vec<Action>) {
        let action = match self.state {
            State::Asked => Action::Deregister(at),
            State::Watched { .. } => Action::Look(at),
            State::Left | State::Stays => return,
        };
        if self.call.begin(now) {
            actions.push(action);
        }
    }

    pub(super) fn deregistered(&mut self) {
        if self.state == State::Asked {
            self.state = State::Watched { agreed: true };
            self.call = Call::new(retry::AWS);
        }
    }

    pub(super) fn not_deregistered(&mut self, failure: Failure, now: Duration, chance: f64) {
        if self.state != State::Asked {
            return;
        }
        match failure {
            Failure::Transient => self.call.failed(now, chance),
            Failure::Refused => self.call.refused(now, chance),
        }
        // The group takes the machine out as well, so it is looked at.
        if self.call.refusals() >= REFUSALS {
            self.state = State::Watched { agreed: false };
            self.call = Call::new(retry::AWS);
        }
    }

    pub(super) fn seen(
        &mut self,
        at: usize,
        place: Place,
        now: Duration,
        chance: f64,
        actions: &mut Vec<Action>,
    ) {
        let State::Watched { agreed } = self.state else {
            return;
        };
        match place {
            Place::Absent => {
                self.state = State::Left;
                actions.push(Action::Tell(News::Left(at)));
            }
            Place::Serving if !agreed => {
                self.call.refused(now, chance);
                if self.call.refusals() >= REFUSALS {
                    self.state = State::Stays;
                    actions.push(Action::Tell(News::NotLeft(at)));
                }
            }
            Place::Serving | Place::Leaving => self.call.again(now, LOOK),
        }
    }

    pub(super) fn not_seen(&mut self, now: Duration, chance: f64) {
        if matches!(self.state, State::Watched { .. }) {
            self.call.failed(now, chance);
        }
    }
}
