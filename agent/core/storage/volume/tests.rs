use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

const HERE: &str = "i-0123456789abcdef0";
const THERE: &str = "i-0fedcba9876543210";

fn facts() -> InstanceFacts {
    InstanceFacts {
        instance_id: HERE.to_owned(),
        region: "eu-central-1".to_owned(),
        availability_zone: "eu-central-1a".to_owned(),
        account_id: "123456789012".to_owned(),
        image_id: None,
        instance_type: None,
        local_ipv4: Some(Ipv4Addr::new(172, 31, 1, 1)),
        public_ipv4: None,
        pending_time: None,
    }
}

fn volume(id: &str) -> Volume {
    Volume {
        id: id.to_owned(),
        zone: "eu-central-1a".to_owned(),
        state: VolumeState::Available,
        attachments: Vec::new(),
        tags: vec![("Name".to_owned(), "data".to_owned())],
        size_gib: 8,
    }
}

fn attached(id: &str, instance: &str, device: &str, state: &str) -> Volume {
    Volume {
        state: VolumeState::InUse,
        attachments: vec![Attachment {
            instance_id: instance.to_owned(),
            device: device.to_owned(),
            state: state.to_owned(),
        }],
        ..volume(id)
    }
}

fn for_sdf(volumes: &[Volume]) -> Choice {
    let wanted = Wanted {
        device: "/dev/sdf",
        others: &[],
        taken: &[],
    };
    choose(volumes, wanted, &facts())
}

fn ours(id: &str) -> Choice {
    Choice::Ours { id: id.to_owned() }
}

#[test]
fn the_lowest_id_that_is_available_here() {
    let mut elsewhere = volume("vol-0");
    elsewhere.zone = "eu-central-1b".to_owned();
    let volumes = [
        volume("vol-3"),
        elsewhere,
        attached("vol-1", THERE, "/dev/sdf", "attached"),
        volume("vol-2"),
    ];
    assert_eq!(
        for_sdf(&volumes),
        Choice::Attach {
            id: "vol-2".to_owned(),
            passed_over: vec!["vol-3".to_owned()]
        }
    );
}

#[test]
fn what_is_attached_here_stays_the_same_device_at_every_boot() {
    let both = [
        attached("vol-1", HERE, "/dev/sdg", "attached"),
        attached("vol-2", HERE, "/dev/xvdf", "attaching"),
        volume("vol-0"),
    ];
    assert_eq!(for_sdf(&both), ours("vol-2"));
    let devices = ["/dev/sdf", "/dev/sdg"].map(str::to_owned);
    let only_other = &both[..1];
    let wanted = |others, taken| Wanted {
        device: "/dev/sdf",
        others,
        taken,
    };
    // The other device's, though it is asked for first.
    assert!(matches!(
        choose(only_other, wanted(&devices[1..], &[]), &facts()),
        Choice::Wait { .. }
    ));
    // Nobody else's: it was attached under another name.
    assert_eq!(choose(only_other, wanted(&[], &[]), &facts()), ours("vol-1"));
    let taken = ["vol-1".to_owned()];
    assert!(matches!(
        choose(only_other, wanted(&[], &taken), &facts()),
        Choice::Wait { .. }
    ));
}

#[test]
fn who_holds_it_is_said() {
    let why = |volumes: &[Volume]| match for_sdf(volumes) {
        Choice::Wait { why } => why,
        choice => panic!("{choice:?}"),
    };
    assert_eq!(why(&[]), "no volume in eu-central-1a has this Name tag");
    assert_eq!(
        why(&[attached("vol-1", THERE, "/dev/sdf", "detaching")]),
        format!("vol-1 is detaching from {THERE}")
    );
    assert_eq!(
        why(&[attached("vol-1", THERE, "/dev/sdf", "busy")]),
        format!("vol-1 is detaching from {THERE}")
    );
    // It leaves this machine: nothing to build on.
    assert_eq!(
        why(&[attached("vol-1", HERE, "/dev/sdf", "detaching")]),
        format!("vol-1 is detaching from {HERE}")
    );
    let mut creating = volume("vol-2");
    creating.state = VolumeState::Other("creating".to_owned());
    let mut elsewhere = volume("vol-3");
    elsewhere.zone = "eu-central-1b".to_owned();
    assert_eq!(
        why(&[elsewhere, creating]),
        "vol-2 is creating, vol-3 is in eu-central-1b"
    );
}

#[test]
fn addresses_in_a_name() {
    let name = |template| name_tag(template, &facts());
    let with = |text: &str| Ok(text.to_owned());
    assert_eq!(name("data-${local_ipv4}"), with("data-172.31.1.1"));
    assert_eq!(name("data-$local_ipv4-x"), with("data-172.31.1.1-x"));
    assert_eq!(name("plain"), with("plain"));
    assert_eq!(
        name("${other} $x $local_ipv4x ${ $"),
        with("${other} $x $local_ipv4x ${ $")
    );
    assert_eq!(name("$${local_ipv4}"), with("${local_ipv4}"));
    let missing = name("data-${public_ipv4}").unwrap_err();
    assert!(missing.to_string().contains("${public_ipv4}"), "{missing}");
}

#[test]
fn an_order_to_erase_is_taken_by_the_letter() {
    let tagged = |key: &str, value: &str| Volume {
        tags: vec![(key.to_owned(), value.to_owned())],
        ..volume("vol-1")
    };
    assert!(tagged(ERASE_TAG, "True").erase_tag());
    for value in ["true", "TRUE", "yes", "1", "", " True"] {
        let volume = tagged(ERASE_TAG, value);
        assert!(!volume.erase_tag() && volume.erase_tag_is_no_order(), "{value}");
    }
    let none = tagged("taupage:erase-on-boot", "True");
    assert!(!none.erase_tag() && !none.erase_tag_is_no_order());
}

fn any_volume() -> impl Strategy<Value = Volume> {
    (
        0u8..6,
        prop::sample::select(vec!["eu-central-1a", "eu-central-1b"]),
        prop::sample::select(vec!["available", "in-use", "creating", "error"]),
        prop::collection::vec(
            (
                prop::sample::select(vec![HERE, THERE]),
                prop::sample::select(vec!["/dev/sdf", "/dev/xvdf", "/dev/sdg"]),
                prop::sample::select(vec!["attaching", "attached", "detaching", "busy"]),
            ),
            0..2,
        ),
    )
        .prop_map(|(id, zone, state, attachments)| Volume {
            id: format!("vol-{id}"),
            zone: zone.to_owned(),
            state: match state {
                "available" => VolumeState::Available,
                "in-use" => VolumeState::InUse,
                word => VolumeState::Other(word.to_owned()),
            },
            attachments: attachments
                .into_iter()
                .map(|(instance, device, state)| Attachment {
                    instance_id: instance.to_owned(),
                    device: device.to_owned(),
                    state: state.to_owned(),
                })
                .collect(),
            ..volume("")
        })
}

proptest! {
    #[test]
    fn nothing_is_taken_from_another_machine(volumes in prop::collection::vec(any_volume(), 0..6)) {
        match for_sdf(&volumes) {
            Choice::Ours { id } => {
                let is_here = |volume: &Volume| volume.attachments.iter().any(|one| one.instance_id == HERE);
                prop_assert!(volumes.iter().any(|volume| volume.id == id && is_here(volume)));
            }
            Choice::Attach { id, passed_over } => {
                let free = |id: &String| volumes.iter().any(|volume| {
                    volume.id == *id && volume.state == VolumeState::Available && volume.zone == "eu-central-1a"
                });
                prop_assert!(free(&id) && passed_over.iter().all(free));
                prop_assert!(passed_over.iter().all(|other| *other >= id));
            }
            Choice::Wait { why } => prop_assert!(!why.is_empty()),
        }
    }
}
