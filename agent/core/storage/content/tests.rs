//! The rule above all, held for every combination there is and for contents nobody thought of.

use proptest::prelude::*;

use super::*;

const OURS: &str = "0f0e0d0c-0b0a-8908-8706-050403020100";
const WANTED: [Filesystem; 4] = [
    Filesystem::Ext4,
    Filesystem::Ext3,
    Filesystem::Ext2,
    Filesystem::Xfs,
];
const ORDERS: [Orders; 4] = [
    Orders::Erase,
    Orders::Never,
    Orders::Tag { set: false },
    Orders::Tag { set: true },
];
const KINDS: [&str; 9] = ["ext4", "ext3", "ext2", "xfs", "tmpfs", "btrfs", "vfat", "jbd", ""];

fn file_system(kind: &str, uuid: Option<&str>) -> Content {
    Content::Filesystem {
        kind: kind.to_owned(),
        uuid: uuid.map(str::to_owned),
    }
}

fn other(what: &[&str]) -> Content {
    Content::Other {
        what: what.iter().map(|&word| word.to_owned()).collect(),
    }
}

/// Everything a device is known to carry, and what nobody knows.
fn contents() -> Vec<Content> {
    let mut all = vec![Content::Blank];
    for kind in KINDS {
        all.extend(
            [None, Some("8d9c0b0a-0000-4000-8000-000000000000"), Some(OURS)]
                .map(|uuid| file_system(kind, uuid)),
        );
    }
    all.extend(
        [
            &["a LUKS container"][..],
            &["an LVM physical volume"],
            &["a GPT partition table", "a protective MBR"],
            &["a DOS partition table"],
            &["a RAID member"],
            &["swap"],
            &["ext4", "xfs"],
            &["bytes of no known format"],
            &[],
        ]
        .map(other),
    );
    all
}

fn every() -> impl Iterator<Item = (Content, Orders, Filesystem, bool)> {
    contents().into_iter().flat_map(|content| {
        ORDERS.into_iter().flat_map(move |orders| {
            let content = content.clone();
            WANTED.into_iter().flat_map(move |wanted| {
                let content = content.clone();
                [false, true]
                    .into_iter()
                    .map(move |read_only| (content.clone(), orders, wanted, read_only))
            })
        })
    })
}

fn writes(action: &Action) -> bool {
    match action {
        Action::Format { .. } | Action::RemoveTagThenFormat { .. } => true,
        Action::Use { .. } | Action::Refuse(_) => false,
    }
}

/// What has to hold whatever comes in.
fn hold(content: &Content, orders: Orders, wanted: Filesystem, read_only: bool) {
    let action = decide(content, orders, wanted, read_only, OURS);
    let about = format!("{content:?} {orders:?} {wanted} read-only {read_only}: {action:?}");
    let ordered = matches!(orders, Orders::Erase | Orders::Tag { set: true });
    assert!(
        !writes(&action) || *content == Content::Blank || ordered,
        "written without an order: {about}"
    );
    assert!(!writes(&action) || !read_only, "read-only, and written: {about}");
    assert!(
        !writes(&action) || orders != Orders::Never,
        "forbidden, and written: {about}"
    );
    match &action {
        Action::Format { uuid, .. } => {
            assert_ne!(
                orders,
                Orders::Tag { set: true },
                "the tag stays and erases again: {about}"
            );
            assert_eq!(
                uuid.as_deref(),
                (orders == Orders::Erase).then_some(OURS),
                "what an ordered erasure is told by: {about}"
            );
        }
        Action::RemoveTagThenFormat { .. } => assert_eq!(orders, Orders::Tag { set: true }, "{about}"),
        Action::Use { filesystem } => match content {
            Content::Filesystem { kind, .. } => assert_eq!(kind, filesystem.word(), "{about}"),
            Content::Blank | Content::Other { .. } => panic!("nothing to mount: {about}"),
        },
        Action::Refuse(refusal) => assert!(refusal.to_string().contains(": "), "what to do? {about}"),
    }
}

#[test]
fn nothing_that_carries_anything_is_written_without_an_order() {
    let mut seen = 0;
    for (content, orders, wanted, read_only) in every() {
        hold(&content, orders, wanted, read_only);
        seen += 1;
    }
    assert_eq!(seen, (1 + 27 + 9) * 4 * 4 * 2);
}

#[test]
fn an_ordered_erasure_is_one_erasure() {
    for (content, orders, wanted, read_only) in every() {
        if orders != Orders::Erase {
            continue;
        }
        let Action::Format { uuid, .. } = decide(&content, orders, wanted, read_only, OURS) else {
            continue;
        };
        // The machine boots again, and finds what it made.
        let made = file_system(wanted.word(), uuid.as_deref());
        assert_eq!(
            decide(&made, orders, wanted, read_only, OURS),
            Action::Use { filesystem: wanted },
            "{content:?} {wanted}"
        );
        let upper = file_system(wanted.word(), Some(&OURS.to_uppercase()));
        assert!(
            !writes(&decide(&upper, orders, wanted, read_only, OURS)),
            "{wanted}"
        );
        // Another instance has another mark, and erases once of its own.
        let elsewhere = erased_uuid("i-0fedcba9876543210", "vol-1");
        assert!(
            writes(&decide(&made, orders, wanted, false, &elsewhere)),
            "{wanted}"
        );
    }
}

#[test]
fn the_table() {
    let carried = [
        Content::Blank,
        file_system("ext4", Some(OURS)),
        file_system("ext4", None),
        file_system("xfs", None),
        other(&["a DOS partition table"]),
    ];
    let word = |content: &Content, orders, read_only| match decide(
        content,
        orders,
        Filesystem::Ext4,
        read_only,
        OURS,
    ) {
        Action::Format { .. } => "format",
        Action::RemoveTagThenFormat { .. } => "untag",
        Action::Use { .. } => "use",
        Action::Refuse(_) => "refuse",
    };
    let rows = |read_only: bool| {
        carried
            .each_ref()
            .map(|content| ORDERS.map(|orders| word(content, orders, read_only)))
    };
    assert_eq!(
        rows(false),
        [
            // true, false, left out, tag
            ["format", "refuse", "format", "untag"],
            ["use", "use", "use", "untag"],
            ["format", "use", "use", "untag"],
            ["format", "refuse", "refuse", "untag"],
            ["format", "refuse", "refuse", "untag"],
        ]
    );
    assert_eq!(
        rows(true),
        [
            ["refuse", "refuse", "refuse", "refuse"],
            ["use", "use", "use", "refuse"],
            ["refuse", "use", "use", "refuse"],
            ["refuse", "refuse", "refuse", "refuse"],
            ["refuse", "refuse", "refuse", "refuse"],
        ]
    );
}

#[test]
fn one_ext_is_mounted_for_another_as_what_it_is() {
    let found_for = |kind: &str, wanted| match decide(
        &file_system(kind, None),
        Orders::Tag { set: false },
        wanted,
        false,
        OURS,
    ) {
        Action::Use { filesystem } => Some(filesystem),
        Action::Refuse(Refusal::WrongKind { .. }) => None,
        action => panic!("{action:?}"),
    };
    assert_eq!(found_for("ext3", Filesystem::Ext4), Some(Filesystem::Ext3));
    assert_eq!(found_for("ext4", Filesystem::Ext2), Some(Filesystem::Ext4));
    assert_eq!(found_for("xfs", Filesystem::Xfs), Some(Filesystem::Xfs));
    assert_eq!(found_for("xfs", Filesystem::Ext4), None);
    assert_eq!(found_for("ext4", Filesystem::Xfs), None);
    assert_eq!(found_for("btrfs", Filesystem::Ext4), None);
    assert_eq!(found_for("tmpfs", Filesystem::Ext4), None);
}

#[test]
fn a_tmpfs_has_no_device() {
    for orders in ORDERS {
        assert_eq!(
            decide(&Content::Blank, orders, Filesystem::Tmpfs, false, OURS),
            Action::Refuse(Refusal::Memory)
        );
    }
}

#[test]
fn the_mark_of_an_erasure_is_this_instances_and_this_disks() {
    let mark = erased_uuid("i-0123456789abcdef0", "vol-0a");
    assert_eq!(mark, erased_uuid("i-0123456789abcdef0", "vol-0a"));
    // Another program has to come to the same one after an update: it never changes.
    assert_eq!(mark, "fdd3a871-009c-8ab6-af61-ff2bfd595762");
    assert_ne!(mark, erased_uuid("i-0123456789abcdef0", "vol-0b"));
    assert_ne!(mark, erased_uuid("i-0123456789abcdef1", "vol-0a"));
    assert_ne!(erased_uuid("i-1", "2vol"), erased_uuid("i-12", "vol"), "one text");
    let groups: Vec<&str> = mark.split('-').collect();
    assert_eq!(
        groups.iter().map(|group| group.len()).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12]
    );
    assert!(groups[2].starts_with('8'), "the version, {mark}");
    assert!(
        matches!(groups[3].as_bytes()[0], b'8' | b'9' | b'a' | b'b'),
        "the variant, {mark}"
    );
}

#[test]
fn a_refusal_says_what_is_there() {
    let text = |content: &Content, orders, read_only| match decide(
        content,
        orders,
        Filesystem::Ext4,
        read_only,
        OURS,
    ) {
        Action::Refuse(refusal) => refusal.to_string(),
        action => panic!("{action:?}"),
    };
    let luks = other(&["a LUKS container", "a GPT partition table"]);
    assert!(
        text(&luks, Orders::Tag { set: false }, false)
            .starts_with("it carries a LUKS container and a GPT partition table, which cannot be mounted")
    );
    assert!(text(&luks, Orders::Tag { set: true }, true).contains("Taupage:erase-on-boot"));
    assert!(text(&Content::Blank, Orders::Never, false).contains("erase_on_boot: false"));
    assert!(
        text(&file_system("xfs", Some(OURS)), Orders::Erase, false)
            .starts_with("it was erased for this instance already, as xfs"),
    );
}

fn content() -> impl Strategy<Value = Content> {
    let kind = prop_oneof![
        prop::sample::select(KINDS.to_vec()).prop_map(str::to_owned),
        "[a-zA-Z0-9_]{0,12}",
    ];
    let uuid = prop_oneof![
        Just(None),
        Just(Some(OURS.to_owned())),
        Just(Some(OURS.to_uppercase())),
        "[0-9a-f-]{0,40}".prop_map(Some),
    ];
    prop_oneof![
        1 => Just(Content::Blank),
        4 => (kind, uuid).prop_map(|(kind, uuid)| Content::Filesystem { kind, uuid }),
        4 => prop::collection::vec(".{0,20}", 0..4).prop_map(|what| Content::Other { what }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_is_written_without_an_order_whatever_it_is(
        content in content(),
        orders in prop::sample::select(ORDERS.to_vec()),
        wanted in prop::sample::select(WANTED.to_vec()),
        read_only: bool,
    ) {
        hold(&content, orders, wanted, read_only);
    }
}
