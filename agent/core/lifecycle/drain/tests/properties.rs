//! What holds in every world.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::super::{
    Action, Answer, Cause, Drain, FLUSH, Failure, HOOK, Input, KILL, LEAST, News, Orders, Place,
    TerminationHook,
};
use super::seconds;
use super::world::{Fate, Setting, Trace, run};
use crate::lifecycle::DrainPhase;

/// Nothing of ours is more punctual.
const MARGIN: Duration = Duration::from_secs(1);

fn millis(most: u64) -> impl Strategy<Value = Duration> {
    (0..=most).prop_map(Duration::from_millis)
}

fn orders() -> impl Strategy<Value = Orders> {
    (0..4usize, any::<bool>(), millis(90_000), millis(700_000)).prop_map(|(balancers, hook, stop, all)| {
        Orders {
            balancers,
            hook: if hook {
                TerminationHook::Named
            } else {
                TerminationHook::Absent
            },
            stop_timeout: stop,
            timeout: all + seconds(5),
        }
    })
}

fn cause() -> impl Strategy<Value = Cause> {
    prop_oneof![
        Just(Cause::Lifecycle),
        Just(Cause::Lifecycle),
        Just(Cause::Spot),
        Just(Cause::Rebalance),
        Just(Cause::Poweroff),
        Just(Cause::Person),
    ]
}

fn causes() -> impl Strategy<Value = Vec<(Duration, Cause, Option<Duration>)>> {
    let at = prop_oneof![
        millis(200_000),
        millis(3_000),
        (0..20u64).prop_map(|n| seconds(n * 5))
    ];
    vec((at, cause(), option::of(millis(300_000))), 1..5)
}

fn fates() -> impl Strategy<Value = Vec<(Duration, Fate)>> {
    let fate = prop_oneof![
        4 => Just(Fate::Works),
        2 => Just(Fate::Fails),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Lost),
        1 => Just(Fate::Never),
    ];
    let delay = prop_oneof![3 => millis(2_000), 1 => millis(40_000)];
    vec((delay, fate), 1..6)
}

/// Nobody answers as one would like.
fn any_world() -> impl Strategy<Value = Setting> {
    let shipper = (
        millis(60_000),
        prop_oneof![3 => Just(Fate::Works), 1 => Just(Fate::Never)],
    );
    let container = (
        millis(400_000),
        option::of(millis(120_000)),
        option::weighted(0.2, millis(100_000)),
    );
    let crash = option::weighted(0.4, (millis(200_000), millis(60_000)));
    (
        orders(),
        causes(),
        (fates(), fates(), shipper, fates()),
        container,
        millis(25_000),
        crash,
    )
        .prop_map(
            |(orders, causes, (balancers, engine, shipper, group), (lets_go, ends, dies), begins, crash)| {
                Setting {
                    orders,
                    causes,
                    balancers,
                    engine,
                    shipper,
                    group,
                    lets_go,
                    ends,
                    dies,
                    group_begins: begins,
                    crash,
                }
            },
        )
}

/// Stages of the way out, by what is done.
fn stage(action: &Action) -> Option<u8> {
    match action {
        Action::Deregister(_) | Action::Look(_) => Some(0),
        Action::Stop | Action::Kill => Some(1),
        Action::Flush { .. } => Some(2),
        Action::CompleteHook => Some(3),
        Action::Heartbeat | Action::Tell(_) => None,
    }
}

/// The earliest end the agent knew of at a time.
fn hard_end(trace: &Trace, at: Duration) -> Option<Duration> {
    let known = trace.heard.iter().filter(|(heard, _, _)| *heard <= at);
    known.filter_map(|(_, _, end)| *end).min()
}

fn begun(trace: &Trace) -> Duration {
    trace.heard.iter().map(|(at, _, _)| *at).min().unwrap()
}

/// The latest end of a drain, but for its hook.
fn end(setting: &Setting, trace: &Trace, at: Duration) -> Duration {
    let soft = begun(trace) + setting.orders.timeout;
    // An agent that comes back gives the container what the phases take.
    let again = trace.resumed.map(|at| {
        at + setting
            .orders
            .timeout
            .min(setting.orders.stop_timeout + KILL + FLUSH + HOOK)
    });
    let soft = again.map_or(soft, |again| again.max(soft));
    hard_end(trace, at).map_or(soft, |hard| hard.min(soft))
}

fn is_called_for(setting: &Setting, trace: &Trace) -> bool {
    let named = setting.orders.hook == TerminationHook::Named;
    named && trace.heard.iter().any(|(_, cause, _)| *cause == Cause::Lifecycle)
}

fn first(trace: &Trace, wanted: &Action) -> Option<Duration> {
    trace
        .actions
        .iter()
        .find(|(_, action)| action == wanted)
        .map(|(at, _)| *at)
}

fn order_is_kept(setting: &Setting, trace: &Trace) {
    let stages: Vec<u8> = trace
        .actions
        .iter()
        .filter_map(|(_, action)| stage(action))
        .collect();
    assert!(stages.is_sorted(), "{:?}", trace.actions);
    let stop = first(trace, &Action::Stop).expect("it is stopped");
    for at in 0..setting.orders.balancers {
        let asked = first(trace, &Action::Deregister(at)).expect("each is asked");
        assert!(asked <= stop);
    }
    let flushes = trace
        .actions
        .iter()
        .filter(|(_, action)| matches!(action, Action::Flush { .. }));
    assert!(flushes.count() <= 1 + usize::from(trace.resumed.is_some()));
}

/// Nobody is hurried without need.
fn time_is_given(setting: &Setting, trace: &Trace) {
    if trace.resumed.is_some() {
        return;
    }
    let stop = first(trace, &Action::Stop).unwrap();
    let hook = if is_called_for(setting, trace) {
        HOOK
    } else {
        Duration::ZERO
    };
    let rest = KILL + FLUSH + hook;
    let told = |news| first(trace, &Action::Tell(news)).is_some();
    let waited_for = |at: &usize| trace.left.get(at).is_none_or(|left| *left > stop);
    let by_itself = trace.ended.is_some_and(|ended| ended <= stop);
    let refuses = setting.balancers.iter().any(|(_, fate)| *fate == Fate::Refused);
    if (0..setting.orders.balancers).any(|at| waited_for(&at)) && !by_itself && !refuses {
        assert!(
            stop + setting.orders.stop_timeout + rest >= end(setting, trace, stop),
            "the load balancers had more time: {:?}",
            trace.actions
        );
        assert!((0..setting.orders.balancers).any(|at| told(News::NotLeft(at))));
    }
    if let Some(kill) = first(trace, &Action::Kill) {
        assert!(
            kill >= stop + setting.orders.stop_timeout || kill + rest >= end(setting, trace, kill),
            "the container had more time: {:?}",
            trace.actions
        );
    }
}

fn ends_in_time(setting: &Setting, trace: &Trace) {
    let done = *trace.done.first().expect("every drain ends");
    let mut latest = end(setting, trace, done) + MARGIN;
    if is_called_for(setting, trace) {
        // Only AWS can hold it up, and only where nothing sets an end.
        latest = hard_end(trace, done).map_or(latest + seconds(3600), |hard| {
            hard + MARGIN.max(LEAST / 2) + MARGIN
        });
    }
    // Who learns of an end that is nearly there gets the least.
    let last = trace
        .heard
        .iter()
        .map(|(at, _, _)| *at + LEAST + LEAST)
        .max()
        .unwrap();
    let latest = latest.max(trace.resumed.map_or(last, |at| last.max(at + LEAST + LEAST)));
    assert!(
        done <= latest,
        "{done:?} is after {latest:?}: {:?}",
        trace.actions
    );
}

fn nothing_after_the_end(setting: &Setting, trace: &Trace) {
    assert!(
        trace.done.len() <= 2 + usize::from(trace.resumed.is_some()),
        "{:?}",
        trace.done
    );
    let mut over = false;
    let mut reopened = 0;
    for (at, action) in &trace.actions {
        match action {
            Action::Tell(News::Done) => over = true,
            Action::Tell(News::Cause(..)) => {}
            Action::Tell(News::Phase(DrainPhase::Hook, _)) if over => {
                assert!(is_called_for(setting, trace));
                let lifecycle = trace
                    .heard
                    .iter()
                    .find(|(_, cause, _)| *cause == Cause::Lifecycle);
                assert!(lifecycle.is_some_and(|(heard, _, _)| heard == at) || trace.resumed.is_some());
                over = false;
                reopened += 1;
            }
            other => assert!(!over, "{other:?} at {at:?} after the end"),
        }
    }
    assert!(reopened <= 1 + usize::from(trace.resumed.is_some()));
    if let Some(answered) = trace.answered_complete {
        let later = trace
            .actions
            .iter()
            .filter(|(at, action)| *at > answered && *action == Action::CompleteHook);
        assert_eq!(later.count(), 0, "the hook was completed at {answered:?}");
    }
}

fn beats_while_the_group_waits(setting: &Setting, trace: &Trace) {
    let beats: Vec<Duration> = trace
        .actions
        .iter()
        .filter(|(_, action)| *action == Action::Heartbeat)
        .map(|(at, _)| *at)
        .collect();
    if !is_called_for(setting, trace) {
        assert!(beats.is_empty());
        return;
    }
    if trace.resumed.is_some() || trace.done.len() > 1 {
        return;
    }
    let heard =
        |(at, cause, _): &(Duration, Cause, Option<Duration>)| (*cause == Cause::Lifecycle).then_some(*at);
    let from = trace.heard.iter().find_map(heard).unwrap();
    let mut last = from;
    for at in beats
        .into_iter()
        .chain(trace.done.first().copied().filter(|done| *done > from))
    {
        assert!(at - last <= seconds(20), "no heartbeat from {last:?} to {at:?}");
        last = at;
    }
}

fn check(setting: &Setting) -> Trace {
    let trace = run(setting);
    if trace.heard.is_empty() {
        assert!(trace.actions.is_empty());
        return trace;
    }
    order_is_kept(setting, &trace);
    time_is_given(setting, &trace);
    ends_in_time(setting, &trace);
    nothing_after_the_end(setting, &trace);
    beats_while_the_group_waits(setting, &trace);
    assert!(trace.completed <= 1);
    if !is_called_for(setting, &trace) {
        assert_eq!(first(&trace, &Action::CompleteHook), None);
    }
    trace
}

fn ok(delay: Duration) -> (Duration, Fate) {
    (delay, Fate::Works)
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        (0..5usize).prop_map(Answer::Deregistered),
        (0..5usize).prop_map(|at| Answer::NotDeregistered(at, Failure::Refused)),
        (0..5usize).prop_map(|at| Answer::Seen(at, Place::Absent)),
        (0..5usize).prop_map(|at| Answer::Seen(at, Place::Serving)),
        (0..5usize).prop_map(Answer::NotSeen),
        Just(Answer::Stopped),
        Just(Answer::NotStopped),
        Just(Answer::Flushed),
        Just(Answer::HookCompleted),
        Just(Answer::HookNotWaiting),
        Just(Answer::HookFailed(Failure::Transient)),
        Just(Answer::HookFailed(Failure::Refused)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Whatever the world does.
    #[test]
    fn order_and_time_are_kept(setting in any_world()) {
        check(&setting);
    }

    /// With an engine that does as it is told, the container is down well before the machine is gone.
    #[test]
    fn the_container_is_down_in_time(mut setting in any_world(), delay in millis(500)) {
        setting.engine = vec![ok(delay)];
        setting.crash = None;
        let trace = check(&setting);
        let ended = trace.ended.expect("it is stopped");
        if let Some(end) = hard_end(&trace, ended) {
            let begun = begun(&trace);
            prop_assert!(ended <= begun || ended + MARGIN <= end, "{:?} of {:?}: {:?}", ended, end, trace.actions);
        }
    }

    /// A group that answers is told once.
    #[test]
    fn the_hook_is_completed_once(mut setting in any_world(), delays in vec(millis(2_000), 1..4)) {
        setting.group = delays.into_iter().map(ok).collect();
        setting.orders.hook = TerminationHook::Named;
        if setting.causes.iter().any(|(_, _, end)| end.is_some()) {
            setting.group_begins = Duration::ZERO;
        }
        let trace = check(&setting);
        let called = trace.heard.iter().any(|(_, cause, _)| *cause == Cause::Lifecycle);
        prop_assert_eq!(trace.completed, u32::from(called), "{:?}", trace.actions);
    }

    /// A group that answers now and then, where nothing sets an end.
    #[test]
    fn the_hook_is_completed_in_the_end(mut setting in any_world(), failures in 0..30usize, delay in millis(14_000)) {
        setting.group = vec![(delay, Fate::Fails); failures];
        setting.group.push(ok(delay));
        setting.orders.hook = TerminationHook::Named;
        setting.causes = vec![(Duration::ZERO, Cause::Lifecycle, None)];
        prop_assert_eq!(check(&setting).completed, 1);
    }

    /// A cause that is told again changes nothing.
    #[test]
    fn a_cause_repeated_is_no_other(setting in any_world(), again in vec((any::<prop::sample::Index>(), millis(400_000)), 1..6)) {
        let once = run(&setting);
        let mut more = setting.clone();
        for (which, later) in again {
            let (at, cause, end) = *which.get(&setting.causes);
            more.causes.push((at + later, cause, end.map(|end| end.saturating_sub(later))));
        }
        prop_assert_eq!(run(&more).actions, once.actions);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Answers to nothing, of anybody, at any time.
    #[test]
    fn nonsense_ends_too(
        orders in orders(),
        causes in causes(),
        answers in vec((millis(10_000), answer()), 0..200),
    ) {
        let mut drain = Drain::new(orders);
        let (mut now, mut said) = (Duration::ZERO, Vec::new());
        for (_, cause, end) in &causes {
            said.extend(drain.on(Input::Cause(*cause, end.map(|end| now + end)), now, 0.5));
        }
        for (gap, answer) in answers {
            while let Some(wake) = drain.wake_at().filter(|wake| *wake <= now + gap) {
                now = now.max(wake);
                said.extend(drain.on(Input::Tick, now, 0.5));
            }
            now += gap;
            said.extend(drain.on(Input::Answer(answer), now, 0.5));
        }
        while let Some(wake) = drain.wake_at() {
            prop_assert!(wake >= now);
            now = wake;
            said.extend(drain.on(Input::Tick, now, 0.5));
        }
        prop_assert_eq!(drain.phase(), Some(DrainPhase::Done));
        prop_assert_eq!(said.last(), Some(&Action::Tell(News::Done)));
        prop_assert!(said.iter().filter_map(stage).is_sorted());
        prop_assert!(said.contains(&Action::Stop));
    }
}
