//! The group's hook: kept waiting by heartbeats, completed once.

use std::time::Duration;

use super::call::Call;
use super::{Action, Failure, HookPast, News};
use crate::retry;

/// The first heartbeat: most machines have left by then and send none.
const FIRST_BEAT: Duration = Duration::from_secs(10);

/// Between two of them. A hook waits an hour unless told, but may wait for no more than 30 s, which is the least AWS
/// allows. How long is not asked: that would be another permission, and a call costs nothing.
const BEAT: Duration = Duration::from_secs(20);

/// A group that drains its own load balancers says where the machine is to go before it begins to wait: "not waiting" is
/// believed after this.
const NOT_YET: Duration = Duration::from_secs(30);

/// Until it is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// A group that refuses so often (a missing permission) will not change its mind.
const REFUSALS: u32 = 3;

/// Where nothing sets an end: a hook has timed out by itself after an hour unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug)]
pub(super) struct Hook {
    state: State,
    call: Call,
    beat: Duration,
    /// Since when "not waiting" is the answer.
    idle_since: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody waits for it.
    Unwanted,
    /// The group waits.
    Wanted,
    /// It is being completed, until this time at most.
    Completing { until: Duration },
    /// Completed, or given up.
    Over,
}

impl Hook {
    pub(super) fn new(past: HookPast) -> Self {
        Self {
            state: match past {
                HookPast::Open => State::Unwanted,
                HookPast::Over => State::Over,
            },
            call: Call::new(retry::AWS),
            beat: Duration::ZERO,
            idle_since: None,
        }
    }

    /// The group waits from now on.
    pub(super) fn wanted(&mut self, now: Duration) {
        if self.state == State::Unwanted {
            self.state = State::Wanted;
            self.beat = now + FIRST_BEAT;
        }
    }

    /// Somebody waits for it.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Wanted | State::Completing { .. })
    }

    pub(super) fn past(&self) -> HookPast {
        match self.state {
            State::Unwanted | State::Wanted | State::Completing { .. } => HookPast::Open,
            State::Over => HookPast::Over,
        }
    }

    /// The machine can go: how long the group is asked at most.
    pub(super) fn complete(&mut self, end: Option<Duration>, now: Duration) -> Duration {
        let until = end.map_or(now + PATIENCE, |end| end.max(now + super::LEAST / 2));
        if self.state == State::Wanted {
            self.state = State::Completing { until };
        }
        until.saturating_sub(now)
    }

    /// An earlier end has become known.
    pub(super) fn hurry(&mut self, end: Duration, now: Duration) {
        if let State::Completing { until } = &mut self.state {
            *until = end.max(now + super::LEAST / 2).min(*until);
        }
    }

    pub(super) fn wake(&self) -> Option<Duration> {
        match self.state {
            State::Unwanted | State::Over => None,
            State::Wanted => Some(self.beat),
            State::Completing { until } => Some(until.min(self.call.wake()).min(self.beat)),
        }
    }

    pub(super) fn act(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if let State::Completing { until } = self.state {
            if now >= until {
                self.over(News::HookGivenUp, actions);
                return;
            }
            if self.call.begin(now) {
                actions.push(Action::CompleteHook);
            }
        }
        if self.is_open() && now >= self.beat {
            self.beat = now + BEAT;
            actions.push(Action::Heartbeat);
        }
    }

    pub(super) fn completed(&mut self, actions: &mut Vec<Action>) {
        if let State::Completing { .. } = self.state {
            self.over(News::HookCompleted, actions);
        }
    }

    pub(super) fn not_waiting(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if let State::Completing { .. } = self.state {
            let since = *self.idle_since.get_or_insert(now);
            if now >= since + NOT_YET {
                self.over(News::HookNotWaiting, actions);
            } else {
                self.call.again(now, ASK_AGAIN);
            }
        }
    }

    pub(super) fn failed(&mut self, failure: Failure, now: Duration, chance: f64, actions: &mut Vec<Action>) {
        match failure {
            Failure::Transient => self.call.failed(now, chance),
            Failure::Refused => self.call.refused(now, chance),
        }
        if matches!(self.state, State::Completing { .. }) && self.call.refusals() >= REFUSALS {
            self.over(News::HookGivenUp, actions);
        }
    }

    fn over(&mut self, news: News, actions: &mut Vec<Action>) {
        self.state = State::Over;
        actions.push(Action::Tell(news));
    }
}
