use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn member(n: usize, phase: Phase, healthy: bool, served: Option<bool>) -> Member {
    Member {
        id: format!("i-{n}"),
        phase,
        healthy,
        served,
    }
}

/// This machine is `i-0`; a load balancer calls it sick.
fn group(size: usize) -> Group {
    let mut members: Vec<Member> = (0..size)
        .map(|n| member(n, Phase::InService, true, Some(true)))
        .collect();
    members[0].served = Some(false);
    Group {
        desired: u32::try_from(size).unwrap(),
        members,
    }
}

fn look(group: &Group) -> Look<'_> {
    Look {
        me: "i-0",
        uptime: MINUTE * 60,
        is_sick: true,
        group,
    }
}

fn asking() -> Asking {
    Asking::new(Brakes::default(), Duration::ZERO, MINUTE * 60)
}

/// What holds it, at the first look.
fn held(look: &Look<'_>) -> Option<Held> {
    match asking().looked(look, MINUTE * 60, 0.5) {
        Next::Later(held) => held,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_look_comes_when_others_had_the_time_to_notice() {
    let brakes = Brakes::default();
    assert_eq!(Asking::new(brakes, MINUTE, MINUTE * 2).due(), MINUTE * 6);
    assert_eq!(Asking::new(brakes, MINUTE, MINUTE * 20).due(), MINUTE * 20);
}

#[test]
fn one_sick_machine_of_twenty_looks_twice_and_asks() {
    let group = group(20);
    let mut asking = asking();
    let now = MINUTE * 60;
    assert_eq!(asking.looked(&look(&group), now, 0.5), Next::Later(None));
    assert_eq!(asking.due(), now + SECOND * 30, "spread over a minute");
    assert_eq!(asking.looked(&look(&group), asking.due(), 0.5), Next::Ask);
}

/// An accepted call may have changed nothing: it is looked at, and asked again where that is so.
#[test]
fn a_group_that_takes_no_notice_is_asked_again() {
    let mut group = group(20);
    let mut asking = asking();
    let now = MINUTE * 60;
    asking.looked(&look(&group), now, 0.0);
    assert_eq!(asking.looked(&look(&group), now, 0.5), Next::Ask);
    assert!(!asking.was_asked());
    for round in 0..3 {
        let now = now + MINUTE * 5 * round;
        asking.asked(Duration::ZERO, now);
        assert!(asking.was_asked());
        assert_eq!(asking.due(), now + SECOND * 30);
        while asking.due() < now + MINUTE * 5 {
            let due = asking.due();
            assert_eq!(asking.looked(&look(&group), due, 0.5), Next::Later(None));
            assert!(asking.due() > due);
        }
        assert_eq!(asking.due(), now + MINUTE * 5);
        assert_eq!(asking.looked(&look(&group), asking.due(), 0.5), Next::Ask);
    }
    // The brakes hold the second call as they hold the first.
    group.members[3].phase = Phase::Going;
    let next = asking.looked(&look(&group), now + MINUTE * 20, 0.5);
    assert!(matches!(next, Next::Later(Some(Held::Turn { .. }))), "{next:?}");
    // It goes: that is settled, whatever its health.
    group.members[3].phase = Phase::InService;
    group.members[0].phase = Phase::Going;
    assert_eq!(asking.looked(&look(&group), now + MINUTE * 21, 0.5), Next::Heard);
    // Nobody asked for that.
    assert_eq!(held(&look(&group)), Some(Held::NotInService));
}

#[test]
fn what_an_earlier_agent_asked_counts() {
    let group = group(20);
    let mut asking = asking();
    let now = MINUTE * 60;
    asking.asked(MINUTE * 2, now);
    assert_eq!(asking.due(), now, "whether it was heard is to be seen at once");
    assert_eq!(asking.looked(&look(&group), now, 0.5), Next::Later(None));
    let later = now + MINUTE * 3;
    assert_eq!(asking.looked(&look(&group), later, 0.5), Next::Later(None));
    assert_eq!(asking.looked(&look(&group), asking.due(), 0.5), Next::Ask);
}

#[test]
fn the_second_look_counts_as_much_as_the_first() {
    let mut group = group(20);
    let mut asking = asking();
    assert_eq!(asking.looked(&look(&group), MINUTE * 60, 0.5), Next::Later(None));
    for n in 1..5 {
        group.members[n].served = Some(false);
    }
    let next = asking.looked(&look(&group), MINUTE * 61, 0.5);
    assert!(
        matches!(
            &next,
            Next::Later(Some(Held::Shared {
                sick: 4,
                others: 19,
                ..
            }))
        ),
        "{next:?}"
    );
    group
        .members
        .iter_mut()
        .skip(1)
        .for_each(|one| one.served = Some(true));
    // The others are well again: this one gets its time for that.
    let over = Next::Later(Some(Held::Over { wait: MINUTE * 10 }));
    assert_eq!(asking.looked(&look(&group), MINUTE * 62, 0.5), over);
    assert_eq!(asking.looked(&look(&group), MINUTE * 70, 0.5), over);
    assert_eq!(
        asking.looked(&look(&group), MINUTE * 71, 0.5),
        Next::Later(None),
        "it begins anew"
    );
}

#[test]
fn every_brake_holds() {
    let well = group(20);
    let young = Look {
        uptime: MINUTE * 9,
        ..look(&well)
    };
    assert_eq!(
        held(&young),
        Some(Held::Young {
            min_uptime: MINUTE * 10
        })
    );
    let healing = Look {
        is_sick: false,
        ..look(&well)
    };
    assert_eq!(held(&healing), Some(Held::Healing));
    let stranger = Look {
        me: "i-77",
        ..look(&well)
    };
    assert_eq!(held(&stranger), Some(Held::NoMember));
    let with = |change: &dyn Fn(&mut Group)| {
        let mut group = group(20);
        change(&mut group);
        held(&look(&group))
    };
    assert_eq!(
        with(&|group| group.members[0].phase = Phase::Away),
        Some(Held::NotInService)
    );
    assert_eq!(with(&|group| group.members[3].served = Some(false)), None);
    let turn = Some(Held::Turn {
        who: "i-3".to_owned(),
    });
    assert_eq!(with(&|group| group.members[3].phase = Phase::Coming), turn);
    assert_eq!(with(&|group| group.members[3].phase = Phase::Going), turn);
    assert_eq!(with(&|group| group.members[3].healthy = false), turn);
    let short = Some(Held::Short { has: 19, desired: 20 });
    assert_eq!(with(&|group| drop(group.members.pop())), short);
    // Who was taken out by somebody is no sign of anything.
    assert_eq!(
        with(&|group| {
            group.members[3].phase = Phase::Away;
            group.members[3].healthy = false;
            group.desired = 19;
        }),
        None
    );
}

#[test]
fn small_groups() {
    assert_eq!(held(&look(&group(1))), None, "a group of one can be replaced");
    assert_eq!(held(&look(&group(2))), None);
    let mut both = group(2);
    both.members[1].served = Some(false);
    assert!(matches!(held(&look(&both)), Some(Held::Shared { .. })));
    both.members.clear();
    assert_eq!(
        held(&look(&both)),
        Some(Held::NoMember),
        "an empty answer is no consent"
    );
}

#[test]
fn what_is_not_known_is_no_consent_and_is_asked_again() {
    let group = group(20);
    let mut asking = asking();
    let now = MINUTE * 60;
    asking.looked(&look(&group), now, 0.5);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let next = asking.unknown("throttled".to_owned(), now, 1.0);
        assert!(matches!(next, Next::Later(Some(Held::Unknown { .. }))));
        waits.push((asking.due() - now).as_secs());
    }
    assert_eq!(waits, [15, 30, 60, 120, 120]);
    assert_eq!(
        asking.looked(&look(&group), now, 0.5),
        Next::Later(None),
        "both looks are needed"
    );
}

#[test]
fn who_is_called_unhealthy_by_the_group_has_been_heard() {
    let mut group = group(3);
    group.members[0].healthy = false;
    assert_eq!(asking().looked(&look(&group), MINUTE * 60, 0.5), Next::Heard);
}

/// Without anybody else's word each one that is replaced makes the others wait longer.
#[test]
fn newcomers_hold_back_who_has_only_its_own_word() {
    for served in [None, Some(true)] {
        let mut group = group(20);
        group.members.iter_mut().for_each(|one| one.served = served);
        let mut asking = asking();
        let now = MINUTE * 60;
        assert_eq!(asking.looked(&look(&group), now, 1.0), Next::Later(None));
        assert_eq!(asking.due(), now + MINUTE * 5, "a longer spread");
        for (newcomers, minutes) in [(1, 30), (2, 60), (3, 120)] {
            group.members[5].id = format!("i-new-{newcomers}");
            let came = MINUTE * 1000 * newcomers;
            let next = asking.looked(&look(&group), came, 0.5);
            assert_eq!(
                next,
                Next::Later(Some(Held::Replaced {
                    others: newcomers,
                    wait: MINUTE * minutes
                }))
            );
            let later = came + MINUTE * minutes;
            assert!(matches!(
                asking.looked(&look(&group), later - SECOND, 0.5),
                Next::Later(Some(_))
            ));
            assert_eq!(asking.looked(&look(&group), later, 0.5), Next::Later(None));
        }
    }
    let mut group = group(20);
    let mut asking = asking();
    asking.looked(&look(&group), MINUTE * 60, 1.0);
    group.members[5].id = "i-new".to_owned();
    assert_eq!(asking.looked(&look(&group), MINUTE * 61, 1.0), Next::Ask);
}

/// The leader's endpoint has one machine in service, the replicas' has the others: each is well behind one of two.
#[test]
fn a_standby_is_not_sick() {
    let endpoints = |me: usize, leader: usize, replicas: &[usize]| {
        let members = (0..3)
            .map(|n| {
                let served = [n == leader, replicas.contains(&n)].into_iter().any(|one| one);
                member((n + 3 - me) % 3, Phase::InService, true, Some(served))
            })
            .collect();
        Group { members, desired: 3 }
    };
    // Machine 2 is sick; 0 leads, 1 is a replica.
    assert_eq!(held(&look(&endpoints(2, 0, &[1]))), None);
    // The replica's endpoint fails for everybody: two of three are sick.
    assert!(matches!(
        held(&look(&endpoints(2, 0, &[]))),
        Some(Held::Shared {
            sick: 1,
            others: 2,
            ..
        })
    ));
}

#[test]
fn phases_are_read() {
    for (text, phase) in [
        ("InService", Phase::InService),
        ("Pending:Wait", Phase::Coming),
        ("Terminating:Wait", Phase::Going),
        ("Standby", Phase::Away),
        ("Warmed:Stopped", Phase::Away),
        ("Quarantined", Phase::Going),
    ] {
        assert_eq!(Phase::parse(text), phase, "{text}");
    }
}
