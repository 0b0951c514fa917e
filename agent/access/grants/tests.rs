use std::fs;

use monopod_core::access::UIDS;

use super::*;

fn places(name: &str) -> Places {
    let root = std::env::temp_dir().join(format!("monopod-grants-{name}-{}", std::process::id()));
    Places {
        socket: root.join("socket"),
        directory: root.join("run"),
        userdb: root.join("userdb"),
        configuration: root.join("etc"),
        numbers: root.clone(),
    }
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn record(places: &Places) -> String {
    fs::read_to_string(places.directory.join("record.jsonl")).unwrap_or_default()
}

#[test]
fn who_has_no_grant_that_can_be_read_has_no_login_left() {
    let places = places("lost");
    let run = &places.directory;
    for name in ["state", "home/alice/deep"] {
        fs::create_dir_all(run.join(name)).unwrap();
    }
    for name in ["state/alice.json", "state/numbers", "alice", "bob", "serve.lock"] {
        fs::write(run.join(name), "garbled").unwrap();
    }
    let grants = Grants::load(places.clone(), "boot".to_owned()).unwrap();
    for name in ["state/alice.json", "home/alice", "alice", "bob"] {
        assert!(!run.join(name).exists(), "{name}");
    }
    assert!(run.join("serve.lock").exists() && run.join("home").exists());
    assert!(grants.grants.is_empty());
    let record = record(&places);
    assert!(
        record.contains("failed") && record.contains("alice") && !record.contains("bob"),
        "{record}"
    );
    fs::remove_dir_all(places.numbers).unwrap();
}

#[test]
fn a_number_that_could_not_be_written_is_nobodys() {
    let places = places("numbers");
    let mut grants = Grants::load(places.clone(), "boot".to_owned()).unwrap();
    let path = places.directory.join("state/numbers");
    fs::create_dir_all(path.join("in the way")).unwrap();
    let zoe = user("zoe-of-nowhere");
    assert!(matches!(grants.number(&zoe), Err(GrantError::File(_))));
    assert!(grants.numbers.given.is_empty());
    fs::remove_dir_all(&path).unwrap();
    let uid = grants.number(&zoe).unwrap();
    assert_eq!(grants.number(&zoe).unwrap(), uid);
    assert!(path.exists());
    // A thread of its own writes the other one.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !places.numbers.join("last-uid").exists() {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    fs::remove_dir_all(places.numbers).unwrap();
}

#[test]
fn a_home_that_stays_keeps_no_end_waiting_for_ever() {
    let places = places("home");
    let mut grants = Grants::load(places.clone(), "boot".to_owned()).unwrap();
    let zoe = user("zoe");
    let grant = Grant {
        user: zoe.clone(),
        uid: *UIDS.end(),
        role: Role::Guest,
        reason: String::new(),
        by: String::new(),
        from: None,
        remote_host: None,
        keys: Vec::new(),
        boot_id: "boot".to_owned(),
        from_ms: 0,
        until_ms: 0,
        recorded: true,
        phase: Phase::Ending {
            why: Why::Expired,
            by: None,
        },
    };
    grants.keep(grant).unwrap();
    // No directory is made of it, and none removed.
    fs::write(places.directory.join("home/zoe"), "").unwrap();
    assert_eq!(grants.go_on(&zoe, 0), Some(50));
    assert_eq!(grants.go_on(&zoe, 400), Some(450));
    assert_eq!(grants.go_on(&zoe, 10_300), Some(11_300), "not so often any more");
    assert_eq!(record(&places), "");
    assert_eq!(grants.go_on(&zoe, 10_500), None);
    assert!(!grants.has(&zoe));
    let record = record(&places);
    let whats = record.lines().map(|line| line.contains("\"failed\""));
    assert_eq!(whats.collect::<Vec<_>>(), [true, false], "{record}");
    fs::remove_dir_all(places.numbers).unwrap();
}
