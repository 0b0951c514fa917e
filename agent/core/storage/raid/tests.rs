use proptest::prelude::*;

use super::*;

const A: &str = "aaaaaaaa:aaaaaaaa:aaaaaaaa:aaaaaaaa";
const B: &str = "bbbbbbbb:bbbbbbbb:bbbbbbbb:bbbbbbbb";

fn raid(level: RaidLevel, members: usize) -> Raid {
    Raid {
        device: "/dev/md/data".to_owned(),
        level,
        members: (0..members).map(path).collect(),
    }
}

fn path(number: usize) -> String {
    format!("/dev/nvme{}n1", number + 1)
}

fn blanks(number: usize) -> Vec<Member> {
    (0..number)
        .map(|number| Member {
            path: path(number),
            content: Content::Blank,
            array: None,
        })
        .collect()
}

fn superblock(uuid: &str, level: &str, devices: u32) -> ArrayMember {
    ArrayMember {
        array_uuid: uuid.to_owned(),
        level: level.to_owned(),
        devices,
        name: Some("other-host:old-name".to_owned()),
    }
}

fn join(member: &mut Member, array: ArrayMember) {
    member.content = Content::Other {
        what: vec!["a RAID member".to_owned()],
    };
    member.array = Some(array);
}

fn array_of(number: usize, level: &str) -> Vec<Member> {
    let mut members = blanks(number);
    for member in &mut members {
        join(member, superblock(A, level, number as u32));
    }
    members
}

fn running(members: &[usize], degraded: bool) -> Active {
    Active {
        path: "/dev/md127".to_owned(),
        uuid: "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa".to_owned(),
        members: members.iter().copied().map(path).collect(),
        degraded,
    }
}

#[test]
fn an_array_is_made_of_blank_devices() {
    let raid = raid(RaidLevel::Raid1, 2);
    assert_eq!(decide_raid(&raid, &blanks(2), &[]), RaidAction::Create);
    for content in [
        Content::Filesystem {
            kind: "ext4".to_owned(),
            uuid: None,
        },
        Content::Other { what: Vec::new() },
        Content::Other {
            what: vec!["a RAID member".to_owned()],
        },
    ] {
        let mut members = blanks(2);
        members[1].content = content.clone();
        match decide_raid(&raid, &members, &[]) {
            RaidAction::Refuse(RaidRefusal::Data { path: which, .. }) => assert_eq!(which, path(1)),
            action => panic!("{content:?}: {action:?}"),
        }
    }
}

#[test]
fn an_array_that_exists_is_used_whatever_its_name() {
    let raid = raid(RaidLevel::Raid0, 2);
    assert_eq!(
        decide_raid(&raid, &array_of(2, "raid0"), &[]),
        RaidAction::Assemble {
            uuid: A.to_owned(),
            members: vec![path(0), path(1)],
            degraded: false
        }
    );
    assert_eq!(
        decide_raid(&raid, &array_of(2, "raid0"), &[running(&[1, 0], false)]),
        RaidAction::Use {
            path: "/dev/md127".to_owned(),
            degraded: false
        }
    );
}

#[test]
fn what_is_missing_counts_by_the_level() {
    let start = |level: RaidLevel, devices: usize, missing: usize| {
        let mut members = array_of(devices, level.mdadm());
        for member in members.iter_mut().take(missing) {
            (member.content, member.array) = (Content::Blank, None);
        }
        match decide_raid(&raid(level, devices), &members, &[]) {
            RaidAction::Assemble {
                degraded, members, ..
            } => {
                assert_eq!(members.len(), devices - missing);
                assert!(degraded);
                true
            }
            RaidAction::Refuse(RaidRefusal::Missing { .. }) => false,
            action => panic!("{action:?}"),
        }
    };
    assert!(!start(RaidLevel::Raid0, 2, 1));
    assert!(start(RaidLevel::Raid1, 2, 1));
    assert!(start(RaidLevel::Raid1, 3, 2));
    assert!(start(RaidLevel::Raid5, 3, 1));
    assert!(!start(RaidLevel::Raid5, 3, 2));
    assert!(start(RaidLevel::Raid10, 4, 2));
    assert!(!start(RaidLevel::Raid10, 4, 3));
}

#[test]
fn what_does_not_fit_together_is_left_alone() {
    let refusal =
        |raid: &Raid, members: &[Member], active: &[Active]| match decide_raid(raid, members, active) {
            RaidAction::Refuse(refusal) => refusal,
            action => panic!("{action:?}"),
        };
    let two = raid(RaidLevel::Raid1, 2);
    let mut mixed = array_of(2, "raid1");
    join(&mut mixed[1], superblock(B, "raid1", 2));
    assert!(matches!(refusal(&two, &mixed, &[]), RaidRefusal::Mixed { .. }));
    assert!(matches!(
        refusal(&two, &array_of(2, "raid0"), &[]),
        RaidRefusal::Level { .. }
    ));
    assert!(matches!(
        refusal(&two, &array_of(2, "raid0"), &[running(&[0, 1], false)]),
        RaidRefusal::Level { .. }
    ));
    let mut of_three = array_of(2, "raid1");
    for member in &mut of_three {
        join(member, superblock(A, "raid1", 3));
    }
    assert!(matches!(
        refusal(&two, &of_three, &[]),
        RaidRefusal::Count { has: 3, named: 2, .. }
    ));
    // Whole without the third: the file means another array.
    let three = raid(RaidLevel::Raid1, 3);
    let mut whole = array_of(2, "raid1");
    whole.push(blanks(3).remove(2));
    assert!(matches!(
        refusal(&three, &whole, &[]),
        RaidRefusal::Count { has: 2, named: 3, .. }
    ));
    assert!(matches!(
        refusal(&three, &whole, &[running(&[0, 1], false)]),
        RaidRefusal::Count { has: 2, named: 3, .. }
    ));
    assert!(matches!(
        refusal(&two, &array_of(2, "raid1"), &[running(&[0, 1, 5], false)]),
        RaidRefusal::Foreign { .. }
    ));
    // Somebody's data beside an array that misses a device.
    let mut beside = array_of(2, "raid1");
    (beside[1].array, beside[1].content) = (
        None,
        Content::Filesystem {
            kind: "xfs".to_owned(),
            uuid: None,
        },
    );
    assert!(matches!(refusal(&two, &beside, &[]), RaidRefusal::Data { .. }));
    assert!(matches!(
        refusal(&two, &beside, &[running(&[0], true)]),
        RaidRefusal::Data { .. }
    ));
    assert!(matches!(
        refusal(&two, &blanks(1), &[]),
        RaidRefusal::TooFew { found: 1 }
    ));
}

#[test]
fn a_running_array_may_miss_a_device() {
    let mut members = array_of(2, "raid1");
    (members[1].array, members[1].content) = (None, Content::Blank);
    assert_eq!(
        decide_raid(&raid(RaidLevel::Raid1, 2), &members, &[running(&[0], true)]),
        RaidAction::Use {
            path: "/dev/md127".to_owned(),
            degraded: true
        }
    );
}

#[test]
fn a_spare_is_part_of_its_array() {
    let mut members = array_of(3, "raid1");
    for member in &mut members {
        join(member, superblock(A, "raid1", 2));
    }
    assert!(matches!(
        decide_raid(&raid(RaidLevel::Raid1, 3), &members, &[]),
        RaidAction::Assemble { degraded: false, .. }
    ));
}

fn member() -> impl Strategy<Value = (Content, Option<ArrayMember>)> {
    let content = prop_oneof![
        3 => Just(Content::Blank),
        1 => Just(Content::Filesystem { kind: "ext4".to_owned(), uuid: None }),
        2 => Just(Content::Other { what: vec!["a RAID member".to_owned()] }),
        1 => Just(Content::Other { what: Vec::new() }),
    ];
    let array = prop_oneof![
        2 => Just(None),
        1 => (
            prop::sample::select(vec![A, B]),
            prop::sample::select(vec!["raid0", "raid1", "raid5", "raid10", "raid6"]),
            0u32..5,
        )
            .prop_map(|(uuid, level, devices)| Some(superblock(uuid, level, devices))),
    ];
    (content, array)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_array_is_never_made_over_anything(
        level in prop::sample::select(vec![RaidLevel::Raid0, RaidLevel::Raid1, RaidLevel::Raid5, RaidLevel::Raid10]),
        members in prop::collection::vec(member(), 0..5),
        active in prop::collection::vec((prop::collection::vec(0usize..6, 1..4), any::<bool>()), 0..3),
    ) {
        let members: Vec<Member> = members
            .into_iter()
            .enumerate()
            .map(|(number, (content, array))| Member { path: path(number), content, array })
            .collect();
        let active: Vec<Active> = active
            .iter()
            .enumerate()
            .map(|(number, (members, degraded))| Active {
                path: format!("/dev/md{number}"),
                ..running(members, *degraded)
            })
            .collect();
        let named = |path: &String| members.iter().any(|member| member.path == *path);
        match decide_raid(&raid(level, members.len()), &members, &active) {
            RaidAction::Create => {
                prop_assert!(members.len() >= 2);
                prop_assert!(members.iter().all(|member| member.content == Content::Blank && member.array.is_none()));
                prop_assert!(!active.iter().any(|array| array.members.iter().any(named)));
            }
            RaidAction::Assemble { uuid, members: of, .. } => {
                prop_assert!(!of.is_empty());
                for path in &of {
                    let member = members.iter().find(|member| member.path == *path).unwrap();
                    prop_assert_eq!(&member.array.as_ref().unwrap().array_uuid, &uuid);
                }
                let left = members.iter().filter(|member| !of.contains(&member.path));
                prop_assert!(left.into_iter().all(|member| member.content == Content::Blank));
            }
            RaidAction::Use { path, .. } => {
                let array = active.iter().find(|array| array.path == path).unwrap();
                prop_assert!(array.members.iter().all(named));
            }
            RaidAction::Refuse(_) => {}
        }
    }
}
