//! The phases, one after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::call::Call;
use super::hook::Hook;
use super::leave::Leaving;
use super::times::{FLUSH, HOOK, KILL, LEAST, LONG_FLUSH, share};
use super::{Action, Answer, Begun, Cause, HookPast, Input, News, Orders, TerminationHook};
use crate::lifecycle::DrainPhase;
use crate::retry;

/// Between the end that a flush is given and the one it has: both look at a clock.
const SLACK: Duration = Duration::from_millis(500);

/// The machine that leaves; see the module.
#[derive(Clone, Debug)]
pub struct Drain {
    orders: Orders,
    /// With the times at which it is over.
    causes: BTreeMap<Cause, Option<Duration>>,
    /// When it has to be over where nothing sets an earlier end.
    soft_end: Duration,
    phase: Phase,
    balancers: Vec<Leaving>,
    stopped: bool,
    hook: Hook,
}

/// Times are monotonic, and the latest.
#[derive(Clone, Debug)]
enum Phase {
    Idle,
    Leave {
        until: Duration,
    },
    Stop {
        kill_at: Duration,
        until: Duration,
        /// The stop signal is sent again then; `None` while it is under way.
        again: Option<Duration>,
        failures: u32,
        killing: Option<Call>,
    },
    Flush {
        until: Duration,
    },
    Hook,
    Done,
}

impl Drain {
    /// Nobody has asked for anything yet.
    pub fn new(orders: Orders) -> Self {
        Self {
            orders,
            causes: BTreeMap::new(),
            soft_end: Duration::ZERO,
            phase: Phase::Idle,
            balancers: (0..orders.balancers).map(|_| Leaving::new()).collect(),
            stopped: false,
            hook: Hook::new(HookPast::Open),
        }
    }

    /// Goes on with what an earlier agent has begun: the phase it was in is begun again, those before it are over.
    pub fn resume(orders: Orders, begun: &Begun, now: Duration) -> (Self, Vec<Action>) {
        let mut drain = Self::new(orders);
        let mut actions = Vec::new();
        if begun.causes.is_empty() {
            return (drain, actions);
        }
        drain.hook = Hook::new(begun.hook);
        for (cause, end) in &begun.causes {
            drain.add(*cause, *end, now);
        }
        // The time in which nobody was there is not the container's fault: it gets what the phases take.
        let least = orders.timeout.min(drain.after_leave());
        drain.soft_end = now + orders.timeout.saturating_sub(begun.ago).max(least);
        for (cause, _) in &begun.causes {
            actions.push(Action::Tell(News::Cause(*cause, drain.left(now))));
        }
        drain.stopped = begun.phase >= Some(DrainPhase::Flush);
        match begun.phase {
            None | Some(DrainPhase::Leave) => drain.leave(now, &mut actions),
            Some(DrainPhase::Stop) => drain.stop(now, &mut actions),
            Some(DrainPhase::Flush) => drain.flush(now, &mut actions),
            Some(DrainPhase::Hook) => drain.complete(now, &mut actions),
            Some(DrainPhase::Done) => {
                drain.phase = Phase::Done;
                drain.reopen(now, &mut actions);
            }
        }
        drain.advance(now, &mut actions);
        (drain, actions)
    }

    /// How far it is; `None`: nobody has asked.
    pub fn phase(&self) -> Option<DrainPhase> {
        match self.phase {
            Phase::Idle => None,
            Phase::Leave { .. } => Some(DrainPhase::Leave),
            Phase::Stop { .. } => Some(DrainPhase::Stop),
            Phase::Flush { .. } => Some(DrainPhase::Flush),
            Phase::Hook => Some(DrainPhase::Hook),
            Phase::Done => Some(DrainPhase::Done),
        }
    }

    /// Why, with the times at which it is over.
    pub fn causes(&self) -> impl Iterator<Item = (Cause, Option<Duration>)> {
        self.causes.iter().map(|(cause, end)| (*cause, *end))
    }

    /// What became of the hook, for an agent after this one.
    pub fn hook(&self) -> HookPast {
        self.hook.past()
    }

    /// Whether the container does not run any more.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Takes one input at a time; `now` is monotonic, `chance` in `0.0..1.0` spreads what is tried again.
    pub fn on(&mut self, input: Input, now: Duration, chance: f64) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Cause(cause, end) => self.cause(cause, end, now, &mut actions),
            Input::Answer(answer) => self.answer(answer, now, chance, &mut actions),
            Input::Tick => {}
        }
        self.advance(now, &mut actions);
        actions
    }

    /// When [`Input::Tick`] is due, if nothing happens before.
    pub fn wake_at(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Idle | Phase::Done => return None,
            Phase::Leave { until } => self
                .balancers
                .iter()
                .filter_map(Leaving::wake)
                .chain([*until])
                .min(),
            Phase::Stop {
                kill_at,
                until,
                again,
                killing,
                failures: _,
            } => match killing {
                Some(call) => Some(call.wake().min(*until)),
                None => Some(again.map_or(*kill_at, |again| again.min(*kill_at)).min(*until)),
            },
            Phase::Flush { until } => Some(*until),
            Phase::Hook => None,
        };
        phase.into_iter().chain(self.hook.wake()).min()
    }

    fn cause(&mut self, cause: Cause, end: Option<Duration>, now: Duration, actions: &mut Vec<Action>) {
        let begins = self.causes.is_empty();
        if !self.add(cause, end, now) {
            return;
        }
        if begins {
            self.soft_end = now + self.orders.timeout;
        }
        actions.push(Action::Tell(News::Cause(cause, self.left(now))));
        match self.phase {
            Phase::Idle => self.leave(now, actions),
            Phase::Leave { .. } | Phase::Stop { .. } | Phase::Flush { .. } | Phase::Hook => self.hurry(now),
            Phase::Done => self.reopen(now, actions),
        }
    }

    /// Whether that changes anything.
    fn add(&mut self, cause: Cause, end: Option<Duration>, now: Duration) -> bool {
        let end = end.map(|end| end.max(now + LEAST));
        let known = self.causes.get(&cause).copied();
        let earliest = match (known.flatten(), end) {
            (Some(known), Some(end)) => Some(known.min(end)),
            (known, end) => known.or(end),
        };
        self.causes.insert(cause, earliest);
        if cause == Cause::Lifecycle && self.orders.hook == TerminationHook::Named {
            self.hook.wanted(now);
        }
        known != Some(earliest)
    }

    /// What the earliest cause allows; `None` where none sets an end.
    fn hard_end(&self) -> Option<Duration> {
        self.causes.values().flatten().min().copied()
    }

    fn left(&self, now: Duration) -> Duration {
        let end = self
            .hard_end()
            .map_or(self.soft_end, |end| end.min(self.soft_end));
        end.saturating_sub(now)
    }

    fn hook_time(&self) -> Duration {
        if self.hook.is_open() { HOOK } else { Duration::ZERO }
    }

    /// What comes after the load balancers.
    fn after_leave(&self) -> Duration {
        self.orders.stop_timeout + self.after_stop()
    }

    /// What comes after the stop timeout.
    fn after_stop(&self) -> Duration {
        KILL + FLUSH + self.hook_time()
    }

    fn leave_until(&self, now: Duration) -> Duration {
        now + self.left(now).saturating_sub(self.after_leave())
    }

    fn kill_at(&self, now: Duration) -> Duration {
        now + self
            .orders
            .stop_timeout
            .min(share(self.left(now), self.after_stop()))
    }

    fn stop_until(&self, kill_at: Duration) -> Duration {
        kill_at + share(self.left(kill_at), FLUSH + self.hook_time())
    }

    fn flush_until(&self, now: Duration) -> Duration {
        now + share(self.left(now), self.hook_time()).clamp(2 * SLACK, LONG_FLUSH)
    }

    /// An earlier end, or one more thing to do: nobody gets more time than before.
    fn hurry(&mut self, now: Duration) {
        let (leave, kill, flush) = (self.leave_until(now), self.kill_at(now), self.flush_until(now));
        let stop = self.stop_until(kill);
        match &mut self.phase {
            Phase::Idle | Phase::Done => {}
            Phase::Leave { until } => *until = leave.min(*until),
            Phase::Stop { kill_at, until, .. } => {
                *kill_at = kill.min(*kill_at);
                *until = stop.min(*until);
            }
            Phase::Flush { until } => *until = flush.min(*until),
            Phase::Hook => {
                if let Some(end) = self.hard_end() {
                    self.hook.hurry(end, now);
                }
            }
        }
    }

    fn answer(&mut self, answer: Answer, now: Duration, chance: f64, actions: &mut Vec<Action>) {
        let leaving = matches!(self.phase, Phase::Leave { .. });
        match answer {
            Answer::Deregistered(at) => {
                if let Some(one) = self.balancers.get_mut(at) {
                    one.deregistered();
                }
            }
            Answer::NotDeregistered(at, failure) => {
                if let Some(one) = self.balancers.get_mut(at) {
                    one.not_deregistered(failure, now, chance);
                }
            }
            Answer::Seen(at, place) => {
                if let Some(one) = self.balancers.get_mut(at).filter(|_| leaving) {
                    one.seen(at, place, now, chance, actions);
                }
            }
            Answer::NotSeen(at) => {
                if let Some(one) = self.balancers.get_mut(at) {
                    one.not_seen(now, chance);
                }
            }
            Answer::Stopped => self.stopped = true,
            Answer::NotStopped => {
                if let Phase::Stop {
                    again,
                    failures,
                    killing,
                    ..
                } = &mut self.phase
                {
                    match killing {
                        Some(call) => call.failed(now, chance),
                        None if again.is_none() => {
                            *failures += 1;
                            *again = Some(now + retry::LOCAL.delay(*failures, chance));
                        }
                        None => {}
                    }
                }
            }
            Answer::Flushed => {
                if let Phase::Flush { .. } = self.phase {
                    self.complete(now, actions);
                }
            }
            Answer::HookCompleted => self.hook.completed(actions),
            Answer::HookNotWaiting => self.hook.not_waiting(now, actions),
            Answer::HookFailed(failure) => self.hook.failed(failure, now, chance, actions),
        }
    }

    /// Goes as far as it can.
    fn advance(&mut self, now: Duration, actions: &mut Vec<Action>) {
        loop {
            let before = self.phase();
            if !matches!(self.phase, Phase::Idle | Phase::Done) {
                self.hook.act(now, actions);
            }
            match self.phase {
                Phase::Idle | Phase::Done => {}
                Phase::Leave { until } => self.go_on_leaving(until, now, actions),
                Phase::Stop { .. } => self.go_on_stopping(now, actions),
                Phase::Flush { until } if now >= until => {
                    actions.push(Action::Tell(News::NotFlushed));
                    self.complete(now, actions);
                }
                Phase::Flush { .. } => {}
                Phase::Hook if self.hook.is_open() => {}
                Phase::Hook => self.done(actions),
            }
            if self.phase() == before {
                return;
            }
        }
    }

    fn leave(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let until = self.leave_until(now);
        self.phase = Phase::Leave { until };
        let most = if self.balancers.is_empty() { now } else { until };
        actions.push(Action::Tell(News::Phase(DrainPhase::Leave, most - now)));
        // However little time there is, each is asked once.
        for (at, one) in self.balancers.iter_mut().enumerate() {
            one.act(at, now, actions);
        }
    }

    fn go_on_leaving(&mut self, until: Duration, now: Duration, actions: &mut Vec<Action>) {
        if now < until {
            for (at, one) in self.balancers.iter_mut().enumerate() {
                one.act(at, now, actions);
            }
        }
        let waits = |one: &&Leaving| !one.is_over(self.stopped);
        if now < until && self.balancers.iter().any(|one| waits(&one)) {
            return;
        }
        for (at, one) in self.balancers.iter().enumerate() {
            if waits(&one) {
                actions.push(Action::Tell(News::NotLeft(at)));
            }
        }
        self.stop(now, actions);
    }

    fn stop(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let kill_at = self.kill_at(now);
        self.phase = Phase::Stop {
            kill_at,
            until: self.stop_until(kill_at),
            again: None,
            failures: 0,
            killing: None,
        };
        actions.push(Action::Tell(News::Phase(DrainPhase::Stop, kill_at - now)));
        // One that has ended by itself is seen to all the same: somebody may have started it again.
        self.stopped = false;
        actions.push(Action::Stop);
    }

    fn go_on_stopping(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let Phase::Stop {
            kill_at,
            until,
            again,
            failures: _,
            killing,
        } = &mut self.phase
        else {
            return;
        };
        if self.stopped {
            self.flush(now, actions);
            return;
        }
        if now >= *until {
            actions.push(Action::Tell(News::StillRuns));
            self.flush(now, actions);
            return;
        }
        if now >= *kill_at {
            let call = killing.get_or_insert_with(|| {
                actions.push(Action::Tell(News::Killing));
                Call::new(retry::LOCAL)
            });
            if call.begin(now) {
                actions.push(Action::Kill);
            }
        } else if again.is_some_and(|again| now >= again) {
            *again = None;
            actions.push(Action::Stop);
        }
    }

    fn flush(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let until = self.flush_until(now);
        self.phase = Phase::Flush { until };
        actions.push(Action::Tell(News::Phase(DrainPhase::Flush, until - now)));
        actions.push(Action::Flush { until: until - SLACK });
    }

    fn complete(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if !self.hook.is_open() {
            self.done(actions);
            return;
        }
        self.phase = Phase::Hook;
        let left = self.hook.complete(self.hard_end(), now);
        actions.push(Action::Tell(News::Phase(DrainPhase::Hook, left)));
    }

    fn done(&mut self, actions: &mut Vec<Action>) {
        self.phase = Phase::Done;
        actions.push(Action::Tell(News::Done));
    }

    /// All is over, but for a hook that has come since.
    fn reopen(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.hook.is_open() {
            self.complete(now, actions);
        }
    }
}
