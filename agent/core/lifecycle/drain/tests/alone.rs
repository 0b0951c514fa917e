//! The machine alone, one story at a time.

use std::time::Duration;

use super::super::{
    Action, Answer, Begun, Cause, Drain, Failure, HookPast, Input, News, Orders, Place, TerminationHook,
};
use super::seconds;
use super::world::{Fate, kind, run};
use crate::lifecycle::DrainPhase;

fn orders(balancers: usize) -> Orders {
    Orders {
        balancers,
        hook: TerminationHook::Named,
        stop_timeout: seconds(10),
        timeout: seconds(600),
    }
}

/// All but what is told.
fn deeds(actions: &[(Duration, Action)]) -> Vec<(u64, Action)> {
    let done = actions
        .iter()
        .filter(|(_, action)| !matches!(action, Action::Tell(_)));
    done.map(|(at, action)| (at.as_secs(), action.clone())).collect()
}

#[test]
fn a_machine_leaves_in_order() {
    let mut setting = kind(orders(1));
    setting.causes = vec![(Duration::ZERO, Cause::Lifecycle, None)];
    let trace = run(&setting);
    let deeds = deeds(&trace.actions);
    let looks = vec![
        (0, Action::Look(0)),
        (3, Action::Look(0)),
        (6, Action::Look(0)),
        (9, Action::Look(0)),
    ];
    let mut expected = vec![(0, Action::Deregister(0))];
    expected.extend(looks);
    expected.push((9, Action::Stop));
    assert_eq!(deeds[..expected.len()], expected);
    let rest: Vec<&Action> = deeds[expected.len()..].iter().map(|(_, action)| action).collect();
    assert!(
        matches!(
            rest[..],
            [Action::Heartbeat, Action::Flush { .. }, Action::CompleteHook]
        ),
        "{rest:?}"
    );
    assert_eq!((trace.completed, trace.done.len()), (1, 1));
}

#[test]
fn two_minutes_are_shared_out() {
    let mut setting = kind(orders(1));
    setting.lets_go = seconds(300);
    setting.ends = None;
    setting.causes = vec![
        (Duration::ZERO, Cause::Spot, Some(seconds(120))),
        (Duration::ZERO, Cause::Lifecycle, None),
    ];
    let trace = run(&setting);
    let at = |wanted: &Action| {
        let found = trace.actions.iter().find(|(_, action)| action == wanted);
        found.map(|(at, _)| at.as_secs())
    };
    // 120 - 10 (stop timeout) - 2 (kill) - 10 (flush) - 10 (hook)
    assert_eq!(at(&Action::Stop), Some(88));
    assert_eq!(at(&Action::Kill), Some(98));
    assert_eq!(at(&Action::Tell(News::NotLeft(0))), Some(88));
    assert_eq!(trace.completed, 1);
}

#[test]
fn too_little_time_cuts_the_stop_timeout_next() {
    let mut setting = kind(Orders {
        stop_timeout: seconds(60),
        ..orders(2)
    });
    setting.ends = None;
    setting.causes = vec![(Duration::ZERO, Cause::Poweroff, Some(seconds(30)))];
    let trace = run(&setting);
    let deeds = deeds(&trace.actions);
    let [first, second, stop, kill, flush] = &deeds[..] else {
        panic!("{deeds:?}");
    };
    assert_eq!(
        (first, second),
        (&(0, Action::Deregister(0)), &(0, Action::Deregister(1)))
    );
    assert_eq!((stop, kill), (&(0, Action::Stop), &(18, Action::Kill)));
    assert!(matches!(flush, (18, Action::Flush { .. })));
}

#[test]
fn a_cause_that_comes_late_completes_its_hook() {
    for late in [1, 12, 400] {
        let mut setting = kind(orders(0));
        setting.causes = vec![
            (Duration::ZERO, Cause::Person, None),
            (seconds(late), Cause::Lifecycle, None),
        ];
        let trace = run(&setting);
        assert_eq!(trace.completed, 1, "after {late} s");
        let stops = trace
            .actions
            .iter()
            .filter(|(_, action)| *action == Action::Stop)
            .count();
        assert_eq!(stops, 1);
    }
}

#[test]
fn a_balancer_that_refuses_is_looked_at_and_then_left() {
    let mut setting = kind(orders(1));
    setting.balancers = vec![(Duration::ZERO, Fate::Refused); 3];
    setting.balancers.extend([(Duration::ZERO, Fate::Works); 9]);
    setting.causes = vec![(Duration::ZERO, Cause::Person, None)];
    let trace = run(&setting);
    let stop = trace
        .actions
        .iter()
        .find(|(_, action)| *action == Action::Stop)
        .unwrap()
        .0;
    assert!(stop < seconds(30), "{stop:?}");
    assert!(
        trace
            .actions
            .iter()
            .any(|(_, action)| *action == Action::Tell(News::NotLeft(0)))
    );
}

#[test]
fn a_group_that_refuses_does_not_hold_it_up() {
    let mut setting = kind(orders(0));
    setting.group = vec![(Duration::ZERO, Fate::Refused)];
    setting.causes = vec![(Duration::ZERO, Cause::Lifecycle, None)];
    let trace = run(&setting);
    assert!(trace.done[0] < seconds(10), "{:?}", trace.done);
    assert!(
        trace
            .actions
            .iter()
            .any(|(_, action)| *action == Action::Tell(News::HookGivenUp))
    );
}

#[test]
fn a_group_that_does_not_wait_yet_is_asked_again() {
    let mut setting = kind(orders(0));
    setting.group_begins = seconds(20);
    setting.causes = vec![(Duration::ZERO, Cause::Lifecycle, None)];
    assert_eq!(run(&setting).completed, 1);
    setting.group_begins = seconds(2000);
    let trace = run(&setting);
    assert_eq!(trace.completed, 0);
    assert!(
        trace
            .actions
            .iter()
            .any(|(_, action)| *action == Action::Tell(News::HookNotWaiting))
    );
    assert!(trace.done[0] < seconds(40), "{:?}", trace.done);
}

#[test]
fn an_engine_that_is_away_is_asked_again() {
    let mut setting = kind(orders(0));
    setting.engine = vec![(Duration::ZERO, Fate::Fails); 8];
    setting.engine.push((Duration::ZERO, Fate::Works));
    setting.causes = vec![(Duration::ZERO, Cause::Person, None)];
    let trace = run(&setting);
    assert!(trace.ended.is_some());
    let stops = trace
        .actions
        .iter()
        .filter(|(_, action)| *action == Action::Stop)
        .count();
    assert_eq!(stops, 9);
    assert!(!trace.actions.iter().any(|(_, action)| *action == Action::Kill));
}

#[test]
fn a_container_that_has_ended_is_not_waited_for() {
    let mut drain = Drain::new(orders(1));
    drain.on(Input::Cause(Cause::Person, None), Duration::ZERO, 0.5);
    assert_eq!(drain.on(Input::Answer(Answer::Stopped), seconds(1), 0.5), []);
    let actions = drain.on(Input::Answer(Answer::Deregistered(0)), seconds(2), 0.5);
    assert!(actions.contains(&Action::Stop), "{actions:?}");
    assert!(!drain.is_stopped(), "it is looked at once more");
    drain.on(Input::Answer(Answer::Stopped), seconds(2), 0.5);
    assert_eq!(drain.phase(), Some(DrainPhase::Flush));
}

#[test]
fn another_agent_goes_on_where_the_last_one_was() {
    let at = seconds(3);
    let begun = |phase, hook| Begun {
        ago: seconds(1000),
        causes: vec![(Cause::Lifecycle, None)],
        phase: Some(phase),
        hook,
    };
    let resume = |phase, hook| Drain::resume(orders(1), &begun(phase, hook), at);
    let does = |actions: &[Action], wanted: &Action| actions.contains(wanted);
    let (drain, actions) = resume(DrainPhase::Leave, HookPast::Open);
    assert!(does(&actions, &Action::Deregister(0)), "{actions:?}");
    // The time is up, but not for the container.
    assert!(does(&actions, &Action::Stop), "{actions:?}");
    assert_eq!(drain.wake_at(), Some(at + seconds(10)));
    let (_, actions) = resume(DrainPhase::Stop, HookPast::Open);
    assert!(does(&actions, &Action::Stop) && !does(&actions, &Action::Deregister(0)));
    let (_, actions) = resume(DrainPhase::Hook, HookPast::Open);
    assert!(does(&actions, &Action::CompleteHook) && !does(&actions, &Action::Stop));
    let (drain, actions) = resume(DrainPhase::Done, HookPast::Over);
    assert_eq!((drain.phase(), drain.wake_at()), (Some(DrainPhase::Done), None));
    assert!(
        actions
            .iter()
            .all(|action| matches!(action, Action::Tell(News::Cause(..))))
    );
    let (drain, actions) = Drain::resume(orders(1), &Begun::default(), at);
    assert_eq!((drain.phase(), actions), (None, vec![]));
}

#[test]
fn answers_without_a_question_are_ignored() {
    let mut drain = Drain::new(orders(1));
    for answer in [
        Answer::Stopped,
        Answer::Flushed,
        Answer::HookCompleted,
        Answer::Seen(7, Place::Absent),
        Answer::NotDeregistered(0, Failure::Refused),
    ] {
        assert_eq!(drain.on(Input::Answer(answer), seconds(1), 0.5), [], "{answer:?}");
    }
    assert_eq!((drain.phase(), drain.wake_at()), (None, None));
}

#[test]
fn news_are_sentences() {
    let name = |at: usize| format!("the load balancer {at}");
    let text = |news: News| news.to_text(name);
    assert_eq!(
        text(News::Cause(Cause::Spot, seconds(120))),
        "EC2 takes this spot instance back; it has 2 min"
    );
    assert_eq!(
        text(News::Left(3)),
        "the load balancer 3 has no use for this machine any more"
    );
    assert_eq!(
        text(News::Phase(DrainPhase::Stop, seconds(10))),
        "the container gets its stop signal, and SIGKILL after 10 s"
    );
}
