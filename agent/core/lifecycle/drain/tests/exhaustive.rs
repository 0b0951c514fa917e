//! Every order of a few causes, answers and ticks.

use std::time::Duration;

use super::super::{Action, Answer, Cause, Drain, Failure, Input, News, Orders, Place, TerminationHook};
use super::seconds;
use crate::lifecycle::DrainPhase;

/// How often each may happen on one way.
#[derive(Clone)]
struct Left {
    causes: Vec<(Cause, Option<Duration>)>,
    failures: u32,
    ticks: u32,
}

#[derive(Clone)]
struct Way {
    drain: Drain,
    now: Duration,
    asked: Vec<Action>,
    stage: u8,
    completed: bool,
    lifecycle: bool,
    done: u32,
}

fn works(action: &Action) -> Option<Answer> {
    Some(match action {
        Action::Deregister(at) => Answer::Deregistered(*at),
        Action::Look(at) => Answer::Seen(*at, Place::Absent),
        Action::Stop | Action::Kill => Answer::Stopped,
        Action::Flush { .. } => Answer::Flushed,
        Action::CompleteHook => Answer::HookCompleted,
        Action::Heartbeat | Action::Tell(_) => return None,
    })
}

fn fails(action: &Action) -> Option<Answer> {
    Some(match action {
        Action::Deregister(at) => Answer::NotDeregistered(*at, Failure::Transient),
        Action::Look(at) => Answer::NotSeen(*at),
        Action::Stop | Action::Kill => Answer::NotStopped,
        Action::CompleteHook => Answer::HookFailed(Failure::Transient),
        Action::Flush { .. } | Action::Heartbeat | Action::Tell(_) => return None,
    })
}

fn stage(action: &Action) -> u8 {
    match action {
        Action::Deregister(_) | Action::Look(_) => 0,
        Action::Stop | Action::Kill => 1,
        Action::Flush { .. } => 2,
        Action::CompleteHook => 3,
        Action::Heartbeat | Action::Tell(_) => u8::MAX,
    }
}

impl Way {
    fn give(&self, input: Input) -> Self {
        let mut way = self.clone();
        if let Input::Cause(Cause::Lifecycle, _) = input {
            way.lifecycle = true;
        }
        if input == Input::Answer(Answer::HookCompleted) {
            way.completed = true;
        }
        for action in way.drain.on(input, way.now, 0.5) {
            if action == Action::Tell(News::Done) {
                way.done += 1;
            }
            let stage = stage(&action);
            if stage < u8::MAX {
                assert!(stage >= way.stage, "{action:?} after stage {}", way.stage);
                way.stage = stage;
                assert!(
                    stage < 3 || (way.lifecycle && !way.completed),
                    "the hook is not to be completed"
                );
                way.asked.retain(|one| works(one) != works(&action));
                way.asked.push(action);
            }
        }
        way
    }

    /// Nobody answers any more.
    fn to_the_end(&self, causes: &[(Cause, Option<Duration>)]) {
        let mut way = self.clone();
        for (cause, end) in causes {
            way = way.give(Input::Cause(*cause, *end));
        }
        for _ in 0..2000 {
            let Some(wake) = way.drain.wake_at() else { break };
            way.now = way.now.max(wake);
            way = way.give(Input::Tick);
        }
        assert_eq!(way.drain.phase(), Some(DrainPhase::Done));
        assert!((1..=2).contains(&way.done));
    }
}

fn every_way(way: &Way, left: &Left, ways: &mut u64) {
    *ways += 1;
    for (at, (cause, end)) in left.causes.iter().enumerate() {
        let mut fewer = left.clone();
        fewer.causes.remove(at);
        every_way(&way.give(Input::Cause(*cause, *end)), &fewer, ways);
    }
    for (at, action) in way.asked.iter().enumerate() {
        let mut without = way.clone();
        without.asked.remove(at);
        if let Some(answer) = works(action) {
            every_way(&without.give(Input::Answer(answer)), left, ways);
        }
        if let Some(answer) = fails(action).filter(|_| left.failures > 0) {
            let fewer = Left {
                failures: left.failures - 1,
                ..left.clone()
            };
            every_way(&without.give(Input::Answer(answer)), &fewer, ways);
        }
    }
    if let Some(wake) = way.drain.wake_at().filter(|_| left.ticks > 0) {
        let mut later = way.clone();
        later.now = later.now.max(wake);
        let fewer = Left {
            ticks: left.ticks - 1,
            ..left.clone()
        };
        every_way(&later.give(Input::Tick), &fewer, ways);
    }
    if way.drain.phase() == Some(DrainPhase::Done) && left.causes.is_empty() {
        assert_eq!(way.lifecycle, way.completed || way.drain.wake_at().is_none());
    }
    way.to_the_end(&left.causes);
}

#[test]
fn every_order_of_two_causes_and_all_answers() {
    let mut ways = 0;
    for balancers in 0..2 {
        let way = Way {
            drain: Drain::new(Orders {
                balancers,
                hook: TerminationHook::Named,
                stop_timeout: seconds(10),
                timeout: seconds(600),
            }),
            now: Duration::ZERO,
            asked: Vec::new(),
            stage: 0,
            completed: false,
            lifecycle: false,
            done: 0,
        };
        let left = Left {
            causes: vec![(Cause::Lifecycle, None), (Cause::Spot, Some(seconds(120)))],
            failures: 2,
            ticks: 3,
        };
        every_way(&way, &left, &mut ways);
    }
    assert!(ways > 10_000, "{ways} ways only");
}
