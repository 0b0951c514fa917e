//! How a machine leaves: one state machine for every cause.
//!
//! ```text
//!  a cause ─► leave ──► stop ──► flush ──► hook ──► done
//!               │         │                 ▲        │
//!   deregister, │         │ stop signal,    └────────┘ a cause that brings the hook
//!   wait until  │         │ stop timeout,
//!   unused      │         │ SIGKILL
//! ```
//!
//! Causes may come at any moment, more than one, in any order: the earliest end counts, and what a cause adds (the
//! group's hook) is done once. Inputs in, actions out; `now` is monotonic, and nobody is asked for the time.
//!
//! Invariants
//! - The order is never changed. With too little time the wait for the load balancers is cut first, then the stop
//!   timeout is shortened; both are computed when a phase begins and when an earlier end becomes known.
//! - No answer is needed to come to the end: one that never comes, an error or nonsense costs time, of which every phase
//!   has a limit.
//! - The hook is completed once, and only where the group waits for it: after [`Answer::HookCompleted`] nothing asks again.
//! - After [`DrainPhase::Done`] nothing is done, but for a hook that a later cause brings.
//!
//! Deliberately absent: a way back. A machine that was told to go may have lost its place behind the load balancers, and
//! nothing says that it may stay.

mod call;
mod hook;
mod leave;
mod machine;
#[cfg(test)]
mod tests;
mod times;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{DrainPhase, DrainPlan, LifecyclePlan};
use crate::text;
pub use machine::Drain;
pub use times::{FLUSH, HOOK, KILL, LEAST};

/// Why a machine leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Its Auto Scaling group takes it out of service, and waits for its termination hook.
    Lifecycle,
    /// EC2 takes it back.
    Spot,
    /// EC2 says that it will probably take it back, and the user wants to leave then.
    Rebalance,
    /// It is being powered off.
    Poweroff,
    /// Somebody asked for it.
    Person,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lifecycle => "the Auto Scaling group takes this machine out of service",
            Self::Spot => "EC2 takes this spot instance back",
            Self::Rebalance => "EC2 recommends to leave this spot instance",
            Self::Poweroff => "the machine is powered off",
            Self::Person => "`monopod drain` was called",
        })
    }
}

/// Whether there is a hook to be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TerminationHook {
    /// The user named one.
    Named,
    /// There is none.
    Absent,
}

/// What the plan says about leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orders {
    /// How many load balancers the machine is behind; they are known by their number from 0.
    pub balancers: usize,
    /// Whether the group waits for a hook.
    pub hook: TerminationHook,
    /// What the container gets between its stop signal and SIGKILL.
    pub stop_timeout: Duration,
    /// For the whole drain, where no cause sets an earlier end.
    pub timeout: Duration,
}

impl From<&LifecyclePlan> for Orders {
    fn from(plan: &LifecyclePlan) -> Self {
        let DrainPlan {
            on_rebalance: _,
            timeout_seconds,
            stop_timeout_seconds,
        } = plan.drain;
        Self {
            balancers: plan.balancers.all.len(),
            hook: match plan.hooks.terminate {
                Some(_) => TerminationHook::Named,
                None => TerminationHook::Absent,
            },
            stop_timeout: Duration::from_secs(u64::from(stop_timeout_seconds)),
            timeout: Duration::from_secs(u64::from(timeout_seconds)),
        }
    }
}

/// What an earlier agent in this boot has noted of a drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Begun {
    /// How long ago it began.
    pub ago: Duration,
    /// Why, and at what monotonic time it has to be over at the latest, where something sets an end.
    pub causes: Vec<(Cause, Option<Duration>)>,
    /// How far it had come.
    pub phase: Option<DrainPhase>,
    /// The hook was completed, or given up.
    pub hook: HookPast,
}

/// What became of the hook in the time of an earlier agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HookPast {
    /// Nothing yet.
    #[default]
    Open,
    /// It is completed, or nobody waited for it, or it was given up: it is left alone.
    Over,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// There is a cause; with the monotonic time at which the machine is gone, where that is known.
    Cause(Cause, Option<Duration>),
    /// Somebody has answered.
    Answer(Answer),
    /// Time has passed.
    Tick,
}

/// What kept a call from working.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The next try may work.
    Transient,
    /// It was refused, and will be refused again.
    Refused,
}

/// Where a load balancer has this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Requests go to it, or may.
    Serving,
    /// It gets no new ones, and the old ones are waited for.
    Leaving,
    /// It is not known there.
    Absent,
}

/// What somebody answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Action::Deregister`].
    Deregistered(usize),
    /// To [`Action::Deregister`].
    NotDeregistered(usize, Failure),
    /// To [`Action::Look`].
    Seen(usize, Place),
    /// To [`Action::Look`].
    NotSeen(usize),
    /// The container does not run (any more): to [`Action::Stop`] and [`Action::Kill`], or because it has ended by itself.
    Stopped,
    /// To [`Action::Stop`] and [`Action::Kill`]: the engine would not, or is away.
    NotStopped,
    /// To [`Action::Flush`]: complete or not, it is over.
    Flushed,
    /// To [`Action::CompleteHook`].
    HookCompleted,
    /// To [`Action::CompleteHook`]: the group does not wait for it.
    HookNotWaiting,
    /// To [`Action::CompleteHook`].
    HookFailed(Failure),
}

/// What has to be done now. One that is asked for again replaces the earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Take the machine out of this load balancer.
    Deregister(usize),
    /// Ask this load balancer where it has the machine.
    Look(usize),
    /// Send the container its stop signal, and say when it has ended. Nothing may start it from now on.
    Stop,
    /// Send it SIGKILL, and say when it has ended.
    Kill,
    /// Bring out the lines that are in flight, until this time at most.
    Flush {
        /// Monotonic.
        until: Duration,
    },
    /// Ask the group for more time.
    Heartbeat,
    /// Tell the group that it can go on.
    CompleteHook,
    /// Say it to everybody.
    Tell(News),
}

/// What is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The machine leaves for this (one more) reason, and has so much time.
    Cause(Cause, Duration),
    /// A phase has begun, and lasts for so long at most.
    Phase(DrainPhase, Duration),
    /// A load balancer has let go of the machine.
    Left(usize),
    /// A load balancer does not let go of the machine, and is not waited for any more.
    NotLeft(usize),
    /// The container has had its time.
    Killing,
    /// The container may still run: the engine did not stop it in time.
    StillRuns,
    /// Lines are left behind.
    NotFlushed,
    /// The group was told.
    HookCompleted,
    /// The group did not wait (any more).
    HookNotWaiting,
    /// The group could not be told: it goes on by itself when its hook times out.
    HookGivenUp,
    /// It is over.
    Done,
}

impl News {
    /// As a line; `balancer` names one by its number.
    pub fn to_text(self, balancer: impl Fn(usize) -> String) -> String {
        match self {
            Self::Cause(cause, left) => format!("{cause}; it has {}", text::duration(left)),
            Self::Phase(DrainPhase::Leave, left) => {
                format!("out of the load balancers, for {} at most", text::duration(left))
            }
            Self::Phase(DrainPhase::Stop, left) => format!(
                "the container gets its stop signal, and SIGKILL after {}",
                text::duration(left)
            ),
            Self::Phase(DrainPhase::Flush, left) => {
                format!("the last lines go out, for {} at most", text::duration(left))
            }
            Self::Phase(DrainPhase::Hook, _) => "the termination hook is completed".to_owned(),
            Self::Phase(DrainPhase::Done, _) | Self::Done => "the machine can go".to_owned(),
            Self::Left(one) => format!("{} has no use for this machine any more", balancer(one)),
            Self::NotLeft(one) => format!(
                "{} still has this machine, and is not waited for any more",
                balancer(one)
            ),
            Self::Killing => "the container has had its time and gets SIGKILL".to_owned(),
            Self::StillRuns => {
                "the engine has not stopped the container in time, it may still run; going on without".to_owned()
            }
            Self::NotFlushed => "not every line was delivered in time; the rest lies in the engine's files".to_owned(),
            Self::HookCompleted => "the group was told that the machine can go".to_owned(),
            Self::HookNotWaiting => "the group does not wait for the machine".to_owned(),
            Self::HookGivenUp => {
                "the group could not be told that the machine can go: it goes on by itself when its hook times out"
                    .to_owned()
            }
        }
    }
}
