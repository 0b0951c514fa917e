//! The running container's life as a state machine: inputs in, actions out, no clock and no engine.
//!
//! ```text
//!            Started                    Exited, policy says no      ┌───────────┐
//! ┌────────┐ ───────► ┌─────────┐ ────────────────────────────────► │ Completed │
//! │Starting│          │ Running │                                   └───────────┘
//! └────────┘ ◄──┐     └─────────┘ ──┐ Exited, policy says again
//!      │        │                   ▼
//!      │        │ BackoffOver ┌────────────┐   budget spent         ┌────────┐
//!      │        └──────────── │ BackingOff │ ◄──────────────┬─────► │ Failed │
//!      │                      └────────────┘                │       └────────┘
//!      └────── StartFailed ─────────┴────────────────────────
//! ```
//!
//! Invariants
//! - Only [`Action::Start`] and [`Action::Restart`] start anything, and always the same container again.
//! - A restart because files have changed ([`Input::Renew`]) counts against no budget and asks no policy.
//! - `Completed` and `Failed` are final and never silent: each announces itself once. Only [`Input::TryAgain`] leads
//!   out of `Failed`, for one start, where the policy has not said never.
//! - An exit seen only after the engine was away is the engine's doing, not the application's: it
//!   never counts as completed, or a daemon restart would leave the machine with no container.

pub mod care;
pub mod health;
pub mod refresh;
pub mod restart;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::RestartPolicy;
use crate::text;
use restart::{Budget, Decision};

/// How the container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// As the engine reports it; 128 + n for signal n.
    pub code: i64,
    /// The kernel killed it for its memory limit.
    pub out_of_memory: bool,
    /// The limit it ran into, in bytes, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<u64>,
}

impl Exit {
    /// The signal that ended it, by the shell's convention.
    pub fn signal(&self) -> Option<&'static str> {
        Some(match self.code {
            129 => "SIGHUP",
            130 => "SIGINT",
            131 => "SIGQUIT",
            132 => "SIGILL",
            134 => "SIGABRT",
            135 => "SIGBUS",
            136 => "SIGFPE",
            137 => "SIGKILL",
            139 => "SIGSEGV",
            141 => "SIGPIPE",
            143 => "SIGTERM",
            _ => return None,
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {}", self.code)?;
        if self.out_of_memory {
            f.write_str(", out of memory")?;
            if let Some(limit) = self.memory_limit {
                write!(f, " (limit {})", text::bytes(limit))?;
            }
        } else if let Some(signal) = self.signal() {
            write!(f, ", {signal}")?;
        }
        Ok(())
    }
}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The application, or somebody who killed it.
    Own,
    /// The engine was stopped or died, and took the container with it.
    Engine,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It runs (started by us, or found running).
    Started,
    /// The engine refused to start it.
    StartFailed {
        /// What the engine said.
        error: String,
    },
    /// It ended.
    Exited {
        /// How.
        exit: Exit,
        /// Through whom.
        cause: Cause,
    },
    /// The wait asked for by [`Action::Wait`] is over.
    BackoffOver,
    /// It is to begin anew, with changed files or because its probes fail: no exit of its own, whatever the policy.
    Renew,
    /// It has failed, and is to be started once more.
    TryAgain,
}

/// What has to be done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start the container again.
    Start,
    /// Stop the container as its stop signal and timeout say, then start it again.
    Restart,
    /// Send [`Input::BackoffOver`] after this time.
    Wait(Duration),
}

/// Where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    /// A start was asked for.
    Starting,
    /// It runs.
    Running,
    /// It ended and will be started again.
    BackingOff {
        /// Why.
        after: String,
    },
    /// It ended with 0 and that was all.
    Completed {
        /// How.
        exit: Exit,
    },
    /// It ended too often, or failed where no restart is wanted.
    Failed {
        /// The last reason, and why there is no other try.
        reason: String,
    },
}

impl State {
    /// Nothing will happen any more by itself.
    pub const fn is_final(&self) -> bool {
        match self {
            Self::Completed { .. } | Self::Failed { .. } => true,
            Self::Starting | Self::Running | Self::BackingOff { .. } => false,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Starting => f.write_str("starting"),
            Self::Running => f.write_str("running"),
            Self::BackingOff { after } => write!(f, "waiting to start it again after {after}"),
            Self::Completed { exit } => write!(f, "completed ({exit})"),
            Self::Failed { reason } => write!(f, "failed: {reason}"),
        }
    }
}

/// The machine itself.
#[derive(Clone, Debug)]
pub struct Supervisor {
    policy: RestartPolicy,
    budget: Budget,
    state: State,
    restarts: u64,
    /// The restart that [`Input::Renew`] asked for has not begun anything yet.
    renewing: bool,
    last_exit: Option<Exit>,
}

impl Supervisor {
    /// A container that is about to be started, or was found.
    pub fn new(policy: RestartPolicy, budget: Budget) -> Self {
        Self {
            policy,
            budget,
            state: State::Starting,
            restarts: 0,
            renewing: false,
            last_exit: None,
        }
    }

    /// Where it stands.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How often it was started again by this agent.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// It failed because the budget is spent, so that another try makes sense.
    pub fn may_try_again(&self) -> bool {
        self.policy != RestartPolicy::Never && matches!(self.state, State::Failed { .. })
    }

    /// How it ended last.
    pub fn last_exit(&self) -> Option<&Exit> {
        self.last_exit.as_ref()
    }

    /// Takes one input at a time; `now` is monotonic, `chance` in `0.0..1.0` spreads the waits.
    pub fn on(&mut self, input: Input, now: Duration, chance: f64) -> Option<Action> {
        if self.state.is_final() && !(input == Input::TryAgain && self.may_try_again()) {
            return None;
        }
        let was_renewing = std::mem::replace(&mut self.renewing, input == Input::Renew);
        match input {
            Input::Started => {
                self.budget.started(now);
                self.state = State::Running;
                None
            }
            Input::StartFailed { error } => self.again(error, now, chance),
            Input::Exited { exit, cause } => {
                self.last_exit = Some(exit.clone());
                // It ended by itself before anybody could stop it: that is no restart.
                self.restarts -= u64::from(was_renewing);
                let again = match (self.policy, cause) {
                    (RestartPolicy::Never, _) => false,
                    (RestartPolicy::Always, _) | (RestartPolicy::OnFailure, Cause::Engine) => true,
                    (RestartPolicy::OnFailure, Cause::Own) => exit.code != 0,
                };
                if again {
                    return self.again(exit.to_string(), now, chance);
                }
                self.state = match exit.code {
                    0 => State::Completed { exit },
                    _ => State::Failed {
                        reason: format!("{exit}, and `restart` is never"),
                    },
                };
                None
            }
            Input::BackoffOver => {
                self.restarts += 1;
                self.state = State::Starting;
                Some(Action::Start)
            }
            Input::TryAgain if self.may_try_again() => {
                self.budget.try_again();
                self.restarts += 1;
                self.state = State::Starting;
                Some(Action::Start)
            }
            // It has not failed.
            Input::TryAgain => None,
            // One that is down reads the new files when it is started.
            Input::Renew if matches!(self.state, State::BackingOff { .. }) => {
                self.renewing = false;
                None
            }
            // One that was asked for before it had done anything is the same.
            Input::Renew if was_renewing => Some(Action::Restart),
            Input::Renew => {
                self.restarts += 1;
                self.state = State::Starting;
                Some(Action::Restart)
            }
        }
    }

    fn again(&mut self, after: String, now: Duration, chance: f64) -> Option<Action> {
        match self.budget.ended(now, chance) {
            Decision::After(wait) => {
                self.state = State::BackingOff { after };
                Some(Action::Wait(wait))
            }
            Decision::Spent { restarts, window } => {
                let reason = format!(
                    "{} in {}, last {after}",
                    text::count(u64::from(restarts), "restart"),
                    text::duration(window)
                );
                self.state = State::Failed { reason };
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn exit(code: i64) -> Exit {
        Exit {
            code,
            out_of_memory: false,
            memory_limit: None,
        }
    }

    fn exited(code: i64, cause: Cause) -> Input {
        Input::Exited {
            exit: exit(code),
            cause,
        }
    }

    fn running(policy: RestartPolicy) -> Supervisor {
        let mut machine = Supervisor::new(policy, Budget::default());
        assert_eq!(machine.on(Input::Started, SECOND, 1.0), None);
        machine
    }

    #[test]
    fn a_failure_is_restarted_after_a_wait() {
        let mut machine = running(RestartPolicy::OnFailure);
        assert_eq!(
            machine.on(exited(3, Cause::Own), SECOND * 2, 1.0),
            Some(Action::Wait(SECOND))
        );
        assert_eq!(
            machine.on(Input::BackoffOver, SECOND * 3, 1.0),
            Some(Action::Start)
        );
        assert_eq!(machine.state(), &State::Starting);
        assert_eq!(machine.restarts(), 1);
    }

    #[test]
    fn the_policy_decides_about_an_exit() {
        use RestartPolicy::{Always, Never, OnFailure};
        for (policy, code, cause, again) in [
            (OnFailure, 0, Cause::Own, false),
            (OnFailure, 1, Cause::Own, true),
            (OnFailure, 0, Cause::Engine, true),
            (Always, 0, Cause::Own, true),
            (Never, 1, Cause::Own, false),
            (Never, 137, Cause::Engine, false),
        ] {
            let mut machine = running(policy);
            let action = machine.on(exited(code, cause), SECOND * 2, 1.0);
            assert_eq!(action.is_some(), again, "{policy:?} {code} {cause:?}");
            assert_eq!(machine.state().is_final(), !again);
        }
    }

    #[test]
    fn a_spent_budget_says_so() {
        let mut machine = running(RestartPolicy::Always);
        let mut now = SECOND;
        for _ in 0..100 {
            match machine.on(exited(1, Cause::Own), now, 0.0) {
                Some(Action::Wait(wait)) => {
                    now += wait;
                    machine.on(Input::BackoffOver, now, 0.0);
                    machine.on(Input::Started, now, 0.0);
                }
                _ => break,
            }
        }
        assert_eq!(
            machine.state().to_string(),
            "failed: 10 restarts in 10 min, last exit code 1"
        );
        assert_eq!(machine.on(Input::BackoffOver, now, 0.0), None, "failed is final");
    }

    #[test]
    fn a_failed_one_is_tried_once_more_unless_the_policy_is_never() {
        let mut machine = running(RestartPolicy::OnFailure);
        assert_eq!(machine.on(Input::TryAgain, SECOND, 0.0), None, "it runs");
        while !machine.state().is_final() {
            machine.on(exited(1, Cause::Own), SECOND * 2, 0.0);
        }
        let (later, restarts) = (SECOND * 700, machine.restarts());
        assert_eq!(machine.on(Input::TryAgain, later, 0.0), Some(Action::Start));
        assert_eq!(machine.state(), &State::Starting);
        assert_eq!(machine.restarts(), restarts + 1);
        machine.on(Input::Started, later, 0.0);
        assert_eq!(machine.on(exited(1, Cause::Own), later + SECOND, 0.0), None);
        assert!(machine.state().is_final(), "one try is one");
        let mut never = running(RestartPolicy::Never);
        never.on(exited(1, Cause::Own), SECOND, 0.0);
        assert_eq!(never.on(Input::TryAgain, later, 0.0), None);
        let mut done = running(RestartPolicy::OnFailure);
        done.on(exited(0, Cause::Own), SECOND, 0.0);
        assert_eq!(done.on(Input::TryAgain, later, 0.0), None);
    }

    #[test]
    fn a_renewed_container_is_no_failure() {
        let mut machine = running(RestartPolicy::Never);
        for n in 1..100 {
            assert_eq!(machine.on(Input::Renew, SECOND * n, 0.5), Some(Action::Restart));
            assert_eq!(machine.state(), &State::Starting);
            assert_eq!(machine.on(Input::Started, SECOND * n, 0.5), None);
        }
        assert_eq!((machine.restarts(), machine.state()), (99, &State::Running));
        let mut off = running(RestartPolicy::Always);
        off.on(exited(1, Cause::Own), SECOND, 0.5);
        assert_eq!(
            off.on(Input::Renew, SECOND, 0.5),
            None,
            "it is started soon anyway"
        );
        machine.on(exited(0, Cause::Own), SECOND * 100, 0.5);
        assert_eq!(machine.on(Input::Renew, SECOND * 101, 0.5), None, "done is done");
    }

    #[test]
    fn one_that_ended_before_it_could_be_stopped_is_judged() {
        use RestartPolicy::{Never, OnFailure};
        for (policy, code, waits) in [(OnFailure, 0, false), (OnFailure, 1, true), (Never, 1, false)] {
            let mut machine = running(policy);
            for _ in 0..2 {
                assert_eq!(machine.on(Input::Renew, SECOND, 0.5), Some(Action::Restart));
            }
            let action = machine.on(exited(code, Cause::Own), SECOND * 2, 1.0);
            assert_eq!(action, waits.then_some(Action::Wait(SECOND)), "{policy:?} {code}");
            assert_eq!(machine.state().is_final(), !waits);
            assert_eq!(machine.restarts(), 0, "nothing was started");
        }
    }

    #[test]
    fn an_exit_explains_itself() {
        assert_eq!(exit(0).to_string(), "exit code 0");
        assert_eq!(exit(143).to_string(), "exit code 143, SIGTERM");
        let oom = Exit {
            code: 137,
            out_of_memory: true,
            memory_limit: Some(64 << 20),
        };
        assert_eq!(oom.to_string(), "exit code 137, out of memory (limit 64 MiB)");
    }

    proptest! {
        /// Whatever happens, nothing is started while it runs, and the end is final.
        #[test]
        fn no_start_while_running(inputs in proptest::collection::vec((0..4u8, 0..3i64, 0..900u64), 0..60)) {
            let mut machine = Supervisor::new(RestartPolicy::OnFailure, Budget::default());
            let mut now = Duration::ZERO;
            for (kind, code, gap) in inputs {
                now += Duration::from_secs(gap);
                let before = machine.state().clone();
                let input = match kind {
                    0 => Input::Started,
                    1 => Input::StartFailed { error: "no".into() },
                    2 => exited(code, Cause::Own),
                    _ if matches!(before, State::BackingOff { .. }) => Input::BackoffOver,
                    _ => continue,
                };
                let action = machine.on(input, now, 0.5);
                if before.is_final() {
                    prop_assert_eq!(&before, machine.state());
                }
                if action == Some(Action::Start) {
                    let was_backing_off = matches!(before, State::BackingOff { .. });
                    prop_assert!(was_backing_off);
                }
            }
        }
    }
}
