mod engine;

use std::time::Duration;

use serde_json::json;

use super::access::{Position, news};
use super::boot::{Beside, judged, opened, result};
use super::bursts::{Bursts, Key, WINDOW};
use super::files::{Hashes, MOST, changes, notices};
use super::*;
use crate::event::{ContainerSeen, Event};
use crate::record::BootRecord;
use crate::trace::{Level, Trace, Verdict, VerdictName};

fn origin() -> Origin {
    Origin {
        facts: serde_json::from_value(json!({
            "instance_id": "i-0123456789abcdef0",
            "region": "eu-central-1",
            "availability_zone": "eu-central-1a",
            "account_id": "123456789012",
            "image_id": "ami-0123456789abcdef0",
        }))
        .unwrap(),
        application: Some(Application {
            id: "my-app".into(),
            version: "1.0".into(),
        }),
    }
}

#[test]
fn the_form_is_stable() {
    let what = What::Exec {
        container: "0123456789ab".into(),
        program: "sh".into(),
        times: 1,
    };
    let notice = Notice::new("e-1-exec".into(), 1_785_312_000_123, what);
    let json = notice.to_json(&origin());
    assert_eq!(
        json,
        json!({
            "version": 1,
            "id": "e-1-exec",
            "time": "2026-07-29T08:00:00Z",
            "kind": "exec",
            "security": true,
            "text": "somebody ran `sh` in the container 0123456789ab",
            "account_id": "123456789012",
            "region": "eu-central-1",
            "instance_id": "i-0123456789abcdef0",
            "image_id": "ami-0123456789abcdef0",
            "application_id": "my-app",
            "application_version": "1.0",
            "details": { "container": "0123456789ab", "program": "sh", "times": 1 },
        })
    );
    let entry = entry("ops", &json);
    assert_eq!(
        (
            &entry["Source"],
            &entry["DetailType"],
            &entry["EventBusName"],
            &entry["Time"]
        ),
        (
            &json!("monopod"),
            &json!("monopod exec"),
            &json!("ops"),
            &json!(1_785_312_000)
        )
    );
    assert_eq!(entry["Detail"].as_str().unwrap(), json.to_string());
}

#[test]
fn every_kind_has_its_word_and_says_something() {
    let kinds: Vec<&str> = every_kind("x").map(|what| what.kind()).collect();
    assert_eq!(kinds, What::KINDS);
    for what in every_kind("x") {
        let notice = Notice::new("id".into(), 0, what);
        let json = notice.to_json(&Origin::default());
        assert!(json["text"].as_str().unwrap().contains('x'), "{json}");
        assert!(json["account_id"].is_null() && json["details"].is_object());
        assert_eq!(notice.what.is_security(), notice.what.kind() != "boot");
    }
}

#[test]
fn no_text_is_long_or_breaks_a_line() {
    let long = "a\n\u{1b}[31m".repeat(100_000);
    for what in every_kind(&long) {
        let notice = Notice::new("id".into(), 0, what);
        let json = notice.to_json(&Origin::default()).to_string();
        assert!(json.len() < 40_000, "{}", json.len());
        assert!(
            !json.contains("\\u001b") && !json.contains("\\n"),
            "{}",
            notice.what.kind()
        );
    }
}

fn exec(number: u64) -> Notice {
    let what = What::Exec {
        container: "0".into(),
        program: "sh".into(),
        times: 1,
    };
    Notice::new(format!("e-{number}"), number, what)
}

#[test]
fn a_burst_is_told_at_its_begin_and_at_its_end() {
    let mut bursts = Bursts::default();
    let key = || Key::new("exec", "sh");
    assert_eq!(bursts.take(key(), exec(1), Duration::ZERO), Some(exec(1)));
    assert_eq!(bursts.due(), None, "nobody wakes up for a single one");
    for number in 2..100 {
        assert_eq!(bursts.take(key(), exec(number), Duration::from_secs(1)), None);
    }
    assert_eq!(bursts.due(), Some(WINDOW));
    assert_eq!(bursts.over(WINDOW - Duration::from_secs(1)), []);
    let told = bursts.over(WINDOW);
    let What::Exec { times, .. } = told[0].what else {
        panic!("{told:?}")
    };
    assert_eq!((told.len(), times, told[0].id.as_str()), (1, 98, "e-99"));
    assert_eq!(bursts.take(key(), exec(100), WINDOW), None, "it goes on");
    assert_eq!(bursts.over(WINDOW * 2).len(), 1);
    assert_eq!(bursts.take(key(), exec(101), WINDOW * 9), Some(exec(101)));
}

#[test]
fn what_follows_about_the_same_thing_is_no_news_and_kinds_are_bounded() {
    let mut bursts = Bursts::default();
    let key = |id: &str| Key::new("container-not-ours", "busybox").about(id);
    assert!(bursts.take(key("a"), exec(1), Duration::ZERO).is_some());
    assert!(bursts.take(key("a"), exec(2), Duration::ZERO).is_none());
    assert_eq!(bursts.due(), None);
    let told = (0..10_000)
        .filter_map(|n| bursts.take(Key::new("exec", &n.to_string()), exec(n), Duration::ZERO))
        .count();
    assert!(told <= 65, "{told}");
    assert_eq!(bursts.rest().len(), 1);
}

fn line(seq: u64) -> String {
    format!(
        "{}\n",
        json!({"at": 1_785_312_000_000_u64, "what": "granted", "user": "alice", "role": "guest", "reason": "look", "by": "root",
               "from": null, "until": 1_785_315_600_000_u64, "detail": null, "boot_id": "b1", "seq": seq})
    )
}

#[test]
fn a_record_is_told_once_over_rotation_and_restarts() {
    let (old, new) = (line(1) + &line(2), line(3) + "{\"torn");
    let (all, position, broken) = news(&[&old, &new], &Position::default());
    assert_eq!((all.len(), broken), (3, 0));
    assert_eq!(all[0].id, "a-b1-1");
    assert_eq!(all[0].text(), "alice may log in as guest by root: look");
    assert_eq!(
        all[0].to_json(&Origin::default())["details"]["until"],
        "2026-07-29T09:00:00Z"
    );
    assert_eq!(position.seq, 3);
    // Rotated meanwhile.
    let rotated = line(1) + &line(2) + &line(3);
    let (more, later, _) = news(&[&rotated, &line(4)], &position);
    assert_eq!((more.len(), later.seq), (1, 4));
    assert_eq!(news(&[&rotated, &line(4)], &later).0, []);
    // Another boot counts anew.
    let next = line(1).replace("b1", "b2");
    assert_eq!(news(&[&line(4), &next], &later).0.len(), 1);
}

#[test]
fn what_is_no_line_of_the_record_is_counted() {
    let (all, position, broken) = news(&["nonsense\n{}\n[1]\n\n"], &Position::default());
    assert_eq!((all.len(), position, broken), (0, Position::default(), 3));
}

#[test]
fn files_are_told_by_their_paths() {
    let of = |all: &[(&str, &str)]| -> Hashes {
        all.iter()
            .map(|(path, hash)| ((*path).to_owned(), (*hash).to_owned()))
            .collect()
    };
    let before = of(&[("/a", "1"), ("/b", "1"), ("/c", "1")]);
    let now = of(&[("/a", "1"), ("/b", "2"), ("/d", "1")]);
    let found = changes(&before, &now);
    assert_eq!(
        found,
        [("/b", "changed"), ("/c", "gone"), ("/d", "new")].map(|(path, how)| (path.to_owned(), how))
    );
    let told = notices(&found, "boot", 7);
    assert_eq!(told[0].text(), "/b has changed since the machine booted");
    assert_eq!(told[0].id, "f-boot-7-b");
    let many: Hashes = (0..100).map(|n| (format!("/{n}"), "1".to_owned())).collect();
    let told = notices(&changes(&Hashes::new(), &many), "boot", 7);
    assert_eq!(told.len(), MOST + 1);
    assert!(told[MOST].text().starts_with("80 more files"));
}

#[test]
fn a_boot_is_told_when_it_is_over() {
    let mut record = BootRecord::new("0.1.0", 1, 1_000);
    record.opt_outs = vec!["root".into()];
    let beside = Beside {
        boot_id: "b1".into(),
        deployment_id: Some("d-1".into()),
    };
    record.trace = Some(Trace {
        commit: Some("c0ffee".into()),
        ..Trace::default()
    });
    assert_eq!(result(&record, &beside), None);
    record.apply(
        &Event::Container(ContainerSeen {
            id: "0".into(),
            image: "registry.example.org/a:1".into(),
            digest: "sha256:1".into(),
            started_at: None,
            adopted: false,
        }),
        5_000,
    );
    record.apply(&Event::Ready { text: String::new() }, 13_900);
    let notice = result(&record, &beside).unwrap();
    assert_eq!((notice.id.as_str(), notice.at), ("b-b1-ready", 13_900));
    assert_eq!(
        notice.to_json(&Origin::default())["details"],
        json!({
            "outcome": "ready", "reason": null, "seconds": 12, "boot_id": "b1", "image": "registry.example.org/a:1",
            "digest": "sha256:1", "deployment_id": "d-1", "commit": "c0ffee", "agent_version": "0.1.0",
        })
    );
    record.apply(
        &Event::BootFailed {
            reason: "no engine".into(),
            exit_code: 78,
        },
        14_000,
    );
    let failed = result(&record, &beside).unwrap();
    assert_eq!(failed.text(), "the machine is failed after 13 s: no engine");
    assert_eq!(
        opened(&record, "b1", 1).unwrap().text(),
        "the configuration opens: root"
    );
    record.opt_outs.clear();
    assert_eq!(opened(&record, "b1", 1), None);
}

#[test]
fn a_webhook_is_shown_by_its_host() {
    for (url, expected) in [
        (
            "https://h.example.org/secret?token=secret",
            "https://h.example.org/...",
        ),
        ("http://127.0.0.1:80", "http://127.0.0.1:80/..."),
        ("https://u:secret@h.example.org", "https://h.example.org/..."),
        ("secret", "..."),
    ] {
        assert_eq!(plan::shown(url), expected);
    }
}

#[test]
fn a_verdict_without_a_consequence_is_told_to_nobody() {
    let mut record = BootRecord::new("0.1.0", 1, 1_000);
    let verdict = |level| Verdict {
        name: VerdictName::ScmSourceJsonMissing,
        level,
        found: "nothing".into(),
        rule: None,
    };
    record.verdicts = vec![verdict(Level::Ignore)];
    assert_eq!(judged(&record, "b1", 7), []);
    record.verdicts = vec![verdict(Level::Warn)];
    let told = judged(&record, "b1", 7);
    assert_eq!(told[0].id, "v-b1-SCM_SOURCE_JSON_MISSING");
    assert_eq!(told[0].text(), "SCM_SOURCE_JSON_MISSING (warn): nothing");
}
