//! Whose doing an engine's event is.

use std::collections::BTreeMap;

use crate::notice::engine::{Deed, Meaning, Memory, Own, Seen, fingerprint};
use crate::plan::container::NAME;
use crate::plan::reconcile::LABEL_SPEC;

fn ours(action: &str, millis: u64) -> Seen {
    let attributes = [
        (NAME, "name"),
        ("spec", LABEL_SPEC),
        ("registry.example.org/a:1", "image"),
    ];
    Seen {
        action: action.to_owned(),
        id: "0123456789abcdef".to_owned(),
        nanos: millis * 1_000_000,
        attributes: attributes
            .map(|(value, name)| (name.to_owned(), value.to_owned()))
            .into(),
    }
}

fn others(action: &str, millis: u64) -> Seen {
    let attributes = [("name", "shady"), ("image", "busybox")];
    Seen {
        attributes: attributes
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        id: "fedcba9876543210".to_owned(),
        ..ours(action, millis)
    }
}

/// What somebody hears of it.
fn told(meaning: Meaning) -> Option<String> {
    match meaning {
        Meaning::Nothing => None,
        Meaning::Tell(_, notice)
        | Meaning::UnlessEngineLeaves(_, notice)
        | Meaning::UnlessHealthCheck(_, notice) => Some(notice.text()),
    }
}

#[test]
fn what_we_do_is_no_news_and_what_somebody_else_does_is() {
    let (mut own, mut memory) = (Own::default(), Memory::default());
    let created = own.begins(Deed::Create, "", 1_000);
    assert_eq!(memory.judge(&ours("create", 1_200), &own, 0), Meaning::Nothing);
    own.ends(created, false, 1_300);
    assert_eq!(memory.judge(&ours("start", 1_400), &own, 0), Meaning::Nothing);
    let kill = own.begins(Deed::Kill, "0123456789abcdef", 10_000);
    own.ends(kill, false, 10_050);
    let mut event = ours("kill", 10_020);
    event.attributes.insert("signal".into(), "15".into());
    assert_eq!(memory.judge(&event, &own, 0), Meaning::Nothing);
    // The same once more, much later, was somebody else.
    event.nanos = 20_000 * 1_000_000;
    assert_eq!(
        told(memory.judge(&event, &own, 0)).unwrap(),
        "somebody else sent SIGTERM to the container 0123456789ab"
    );
    let removed = own.begins(Deed::Remove, "0123456789abcdef", 30_000);
    assert_eq!(memory.judge(&ours("destroy", 30_001), &own, 0), Meaning::Nothing);
    own.ends(removed, true, 30_002);
    assert_eq!(
        memory.judge(&ours("destroy", 140_000), &own, 0),
        Meaning::Nothing,
        "late"
    );
}

#[test]
fn a_container_with_our_name_and_label_that_we_did_not_make_is_told() {
    let (own, mut memory) = (Own::default(), Memory::default());
    assert!(told(memory.judge(&ours("create", 5_000), &own, 1_000)).is_some());
    assert_eq!(
        memory.judge(&ours("create", 500), &own, 1_000),
        Meaning::Nothing,
        "an earlier agent's"
    );
    let text = told(memory.judge(&others("create", 5_000), &own, 1_000)).unwrap();
    assert_eq!(
        text,
        "a container that is not ours was created on this machine's engine: shady (fedcba987654) of busybox"
    );
    for action in ["kill", "exec_create: sh", "destroy", "pause"] {
        assert_eq!(
            memory.judge(&others(action, 5_000), &own, 0),
            Meaning::Nothing,
            "{action}"
        );
    }
}

#[test]
fn a_stop_is_told_once_and_a_removal_after_it() {
    let (own, mut memory) = (Own::default(), Memory::default());
    let mut kill = ours("kill", 1_000);
    kill.attributes.insert("signal".into(), "15".into());
    let Meaning::UnlessEngineLeaves(..) = memory.judge(&kill, &own, 0) else {
        panic!("an engine that shuts down kills as well");
    };
    kill.attributes.insert("signal".into(), "9".into());
    assert_eq!(
        memory.judge(&kill, &own, 0),
        Meaning::Nothing,
        "docker stop's second signal"
    );
    assert!(
        told(memory.judge(&ours("destroy", 12_000), &own, 0))
            .unwrap()
            .contains("removed")
    );
    assert_eq!(memory.judge(&ours("destroy", 12_001), &own, 0), Meaning::Nothing);
    // Started again by us, it may be stopped again.
    assert_eq!(memory.judge(&ours("start", 13_000), &own, 0), Meaning::Nothing);
    assert!(
        told(memory.judge(&ours("pause", 14_000), &own, 0))
            .unwrap()
            .contains("paused")
    );
    assert_eq!(
        memory.judge(&kill, &own, 2_000),
        Meaning::Nothing,
        "before this agent"
    );
}

#[test]
fn a_command_is_told_by_its_program_alone() {
    let (mut own, memory) = (Own::default(), &mut Memory::default());
    own.runs(&["/check".into(), "-v".into(), "a b".into()]);
    own.runs(&["true".into()]);
    memory.checks.insert(fingerprint("/bin/sh -c curl localhost "));
    for no_news in [
        "exec_create: /check -v a b",
        "exec_create: true ",
        "exec_create: /bin/sh -c curl localhost",
        "exec_start: sh",
        "exec_die",
    ] {
        assert_eq!(
            memory.judge(&ours(no_news, 1), &own, 0),
            Meaning::Nothing,
            "{no_news}"
        );
    }
    for (command, program) in [
        ("/usr/bin/mysql -phunter2", "mysql"),
        ("sh -c export A=hunter2", "sh"),
        ("A=hunter2 sh", "A"),
        ("/bin/", "/bin/"),
        ("", ""),
    ] {
        let text = told(memory.judge(&ours(&format!("exec_create: {command}"), 1), &own, 0)).unwrap();
        assert!(text.contains(&format!("ran `{program}` in")), "{command}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn attributes_decide_whose_a_container_is() {
    let copy = Seen {
        attributes: BTreeMap::from([("name".into(), "copy".into()), (LABEL_SPEC.into(), "x".into())]),
        ..ours("start", 1)
    };
    assert!(ours("start", 1).is_ours() && !copy.is_ours() && !others("start", 1).is_ours());
}
