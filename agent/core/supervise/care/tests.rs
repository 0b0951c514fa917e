use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn rules(on_unhealthy: OnUnhealthy) -> Rules {
    Rules {
        name: "app 1".to_owned(),
        on_unhealthy,
        restart: RestartPolicy::OnFailure,
        shutdown: Shutdown::Never,
        thresholds: Thresholds {
            healthy: 1,
            unhealthy: 3,
            start_period: SECOND * 20,
        },
        steady: MINUTE,
    }
}

fn up(rules: Rules) -> Care {
    let mut care = Care::new(rules, Duration::ZERO);
    care.can_be_asked(true);
    care.started(Duration::ZERO);
    assert!(!care.asks(), "the gate asks");
    let deeds = care.gate_over(true, Some("200"));
    assert_eq!(kinds(&deeds), ["healthy"]);
    assert!(care.asks());
    care
}

fn kinds(deeds: &[Deed]) -> Vec<&'static str> {
    deeds
        .iter()
        .map(|deed| match deed {
            Deed::Tell { healthy: true, .. } => "healthy",
            Deed::Tell { healthy: false, .. } => "unhealthy",
            Deed::Warn { .. } => "warn",
            Deed::Degraded { .. } => "degraded",
            Deed::Recovered { .. } => "recovered",
            Deed::Planned { .. } => "planned",
            Deed::Restart => "restart",
            Deed::TryAgain => "try again",
        })
        .collect()
}

/// Asks every ten seconds until a time, does what is to be done, and says what that was.
fn run(care: &mut Care, now: &mut Duration, until: Duration, good: bool) -> Vec<&'static str> {
    let mut all = Vec::new();
    while *now < until {
        *now += SECOND;
        let mut deeds = care.tick(*now, 1.0);
        if now.as_secs().is_multiple_of(10) && care.asks() {
            deeds.extend(care.answered(good, "status 500", *now, 1.0));
        }
        if deeds.contains(&Deed::Restart) {
            assert!(!care.asks(), "it is going down");
            care.started(*now);
        }
        all.extend(kinds(&deeds));
    }
    all
}

#[test]
fn it_is_restarted_three_times_then_left_then_restarted_when_the_window_has_passed() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Restart)), Duration::ZERO);
    let deeds = run(&mut care, &mut now, MINUTE * 15, false);
    let expected = [
        "unhealthy",
        "restart",
        "warn",
        "restart",
        "warn",
        "restart",
        "degraded",
    ];
    assert_eq!(deeds, expected);
    assert!(care.is_sick() && care.want().is_none());
    assert!(care.asks(), "it is left running, and asked");
    assert_eq!(run(&mut care, &mut now, MINUTE * 40, false)[..1], ["restart"]);
    let deeds = run(&mut care, &mut now, MINUTE * 41, true);
    assert_eq!(deeds, ["healthy", "recovered"]);
    assert_eq!((care.wake(), care.is_sick()), (None, false));
}

#[test]
fn one_good_answer_calls_a_restart_off_and_costs_nothing() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Restart)), Duration::ZERO);
    for _ in 0..20 {
        for n in 0..3 {
            care.answered(false, "no", now + SECOND * n, 1.0);
        }
        assert!(care.wake().is_some());
        let deeds = care.answered(true, "200", now + SECOND * 4, 1.0);
        assert_eq!(kinds(&deeds), ["healthy"]);
        assert_eq!(care.wake(), None);
        now += SECOND * 10;
    }
}

/// Readiness waits for it.
#[test]
fn after_each_start_it_is_told_once_that_it_is_well() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Restart)), Duration::ZERO);
    for minute in 1..4 {
        care.down();
        care.started(now);
        assert_eq!(run(&mut care, &mut now, MINUTE * minute, true), ["healthy"]);
    }
    // One that was not well has been told so already.
    let deeds = run(&mut care, &mut now, MINUTE * 5, false);
    assert_eq!(
        deeds.iter().filter(|deed| **deed == "unhealthy").count(),
        1,
        "{deeds:?}"
    );
}

#[test]
fn ignored_is_told_and_nothing_is_done() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Ignore)), Duration::ZERO);
    assert_eq!(
        run(&mut care, &mut now, MINUTE * 60, false),
        ["unhealthy", "degraded"]
    );
    assert_eq!(
        run(&mut care, &mut now, MINUTE * 90, true),
        ["healthy", "recovered"]
    );
    let deeds = care.failed("exit code 1", true, now);
    assert_eq!(kinds(&deeds), ["degraded"]);
    assert_eq!(care.wake(), None, "it stays failed");
}

#[test]
fn never_is_never_restarted_and_may_be_replaced() {
    let never = Rules {
        restart: RestartPolicy::Never,
        ..rules(OnUnhealthy::Restart)
    };
    let (mut care, mut now) = (up(never.clone()), Duration::ZERO);
    assert_eq!(
        run(&mut care, &mut now, MINUTE * 60, false),
        ["unhealthy", "degraded"]
    );
    assert_eq!(care.want(), None);
    let mut care = up(Rules {
        on_unhealthy: OnUnhealthy::Replace,
        ..never
    });
    let mut now = Duration::ZERO;
    run(&mut care, &mut now, MINUTE, false);
    assert!(care.want().is_some());
    care.answered(true, "200", now, 0.5);
    assert_eq!(care.want(), None);
    assert_eq!(kinds(&care.failed("exit code 1", false, now)), ["degraded"]);
    assert_eq!(care.want(), None, "it has ended, and that was all");
}

#[test]
fn replace_wants_another_machine_when_restarts_did_not_help() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Replace)), Duration::ZERO);
    run(&mut care, &mut now, MINUTE, false);
    assert_eq!(care.want(), None, "restarts may help");
    run(&mut care, &mut now, MINUTE * 10, false);
    let want = care.want().unwrap();
    assert_eq!(want.since, SECOND * 30, "since the first turn");
    assert!(want.reason.contains("status 500"), "{want:?}");
    run(&mut care, &mut now, MINUTE * 11, true);
    assert_eq!(care.want(), None);
}

#[test]
fn a_failed_one_is_tried_every_ten_minutes_and_told_each_time() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Replace)), Duration::ZERO);
    for n in 0..5 {
        let deeds = care.failed("10 restarts in 10 min, last exit code 1", true, now);
        assert_eq!(kinds(&deeds), ["degraded", "planned"]);
        assert!(!care.asks() && care.is_sick());
        assert_eq!(care.want().unwrap().since, Duration::ZERO, "{n}");
        now = care.wake().unwrap();
        assert_eq!(now, MINUTE * 10 * (n + 1));
        assert_eq!(care.tick(now, 0.5), [Deed::TryAgain]);
        care.started(now);
        assert!(!care.is_sick());
    }
    assert_eq!(
        run(&mut care, &mut now, MINUTE * 51, true),
        ["healthy", "recovered"]
    );
}

#[test]
fn where_nothing_is_asked_running_for_a_while_is_well() {
    let mut care = Care::new(rules(OnUnhealthy::Restart), Duration::ZERO);
    care.started(Duration::ZERO);
    assert!(care.gate_over(true, Some("it runs")).is_empty());
    care.failed("no", true, MINUTE);
    care.tick(MINUTE * 11, 0.5);
    care.started(MINUTE * 11);
    assert_eq!(care.wake(), Some(MINUTE * 12));
    assert_eq!(kinds(&care.tick(MINUTE * 12, 0.5)), ["recovered"]);
    assert_eq!(care.wake(), None, "and nobody is woken any more");
}

#[test]
fn on_exit_leaves_it_failed_for_the_machine_goes() {
    let mut care = up(Rules {
        shutdown: Shutdown::OnExit,
        ..rules(OnUnhealthy::Replace)
    });
    assert_eq!(kinds(&care.failed("no", true, MINUTE)), ["degraded"]);
    assert_eq!((care.wake(), care.want()), (None, None));
}

#[test]
fn after_a_failed_gate_it_is_told_and_nothing_follows() {
    let mut care = Care::new(rules(OnUnhealthy::Replace), Duration::ZERO);
    care.can_be_asked(true);
    care.started(Duration::ZERO);
    assert!(care.gate_over(false, None).is_empty());
    let mut now = MINUTE;
    assert_eq!(run(&mut care, &mut now, MINUTE * 60, false), ["unhealthy"]);
    assert_eq!(run(&mut care, &mut now, MINUTE * 61, true), ["healthy"]);
    assert!(care.failed("no", true, now).is_empty());
    assert_eq!((care.wake(), care.want()), (None, None));
}

#[test]
fn a_restart_that_can_t_be_done_is_tried_again() {
    let (mut care, mut now) = (up(rules(OnUnhealthy::Restart)), Duration::ZERO);
    while care.wake().is_none() {
        now += SECOND;
        care.answered(false, "no", now, 0.0);
    }
    now = care.wake().unwrap();
    assert_eq!(care.tick(now, 0.0), [Deed::Restart]);
    care.left_running(now);
    assert!(care.asks());
    assert_eq!(care.wake(), Some(now + MINUTE));
}

proptest! {
    /// Whatever the answers: at most three restarts in any half hour, none of a container that is down, and no
    /// wish of a replacement unless that is what is wanted.
    #[test]
    fn the_budget_holds(answers in proptest::collection::vec((any::<bool>(), 1..40u64, 0..6u8), 0..400), chance in 0.0..1.0) {
        let mut care = up(rules(OnUnhealthy::Restart));
        let (mut now, mut restarts) = (Duration::ZERO, Vec::<Duration>::new());
        for (good, gap, what) in answers {
            now += Duration::from_secs(gap);
            let was_up = care.up;
            let mut deeds = care.tick(now, chance);
            match what {
                0 => care.down(),
                1 => care.started(now),
                _ => deeds.extend(care.answered(good, "text", now, chance)),
            }
            if deeds.contains(&Deed::Restart) {
                prop_assert!(was_up);
                restarts.push(now);
                care.started(now);
            }
            prop_assert!(care.want().is_none());
            // A restart is granted when it is decided, up to a minute before it is done.
            let recent = restarts.iter().filter(|at| now.saturating_sub(**at) < Gentle::WINDOW - MINUTE * 2);
            prop_assert!(recent.count() <= Gentle::MOST);
        }
    }
}
