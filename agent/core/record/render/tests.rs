use super::super::sample::{BEGUN, LATER, full};
use super::super::{StepRecord, StepState};
use super::*;
use crate::event::Event;
use crate::lifecycle::DrainPhase;
use crate::plan::StepId;

fn shown(record: &BootRecord) -> String {
    to_text(record, Agent::Running, LATER + 60_000)
}

#[test]
fn everything_that_matters_is_there() {
    let shown = shown(&full());
    for part in [
        "shop 1.2: ready for 1 min\n",
        "instance   i-1 in eu-central-1a, account 123456789012",
        "container  0123456789ab running",
        "(sha256:feed)",
        "health     healthy for 1 min: status 200",
        "identity   arn:aws:iam::123456789012:role/shop, good for 59 min; served 7",
        ", refused 1, failed 2\n    error    STS did not answer",
        "verified   signature by team.pub",
        "opened     root",
        "config     cafecafecafe\n",
        "Boot, 1 min in all: ",
        "image 8 s; 1 retry",
        "1970-01-01T00:17:40Z  after exit code 137, out of memory (limit 64 MiB), 1 min ago",
        "1970-01-01T00:17:40Z  UNHEALTHY: status 500",
        "STALE for 1 min 30 s: AWS is away",
        "at least 3 lost, 2 left out, 4 KiB behind",
        "RETRYING: slow down",
        "look at this",
    ] {
        assert!(shown.contains(part), "{part:?} is missing in\n{shown}");
    }
}

#[test]
fn no_control_character_comes_out() {
    let mut record = full();
    let nasty = "red \u{1b}[31m\r\u{7}\u{9b}2J\u{7f}\nnext";
    record.warnings = vec![nasty.to_owned()];
    record.apply(
        &Event::Degraded {
            reason: nasty.to_owned(),
        },
        LATER,
    );
    for text in [
        shown(&record),
        to_json(&record, Agent::Running),
        to_line(&record, Agent::Running, LATER),
        headline(&record, Agent::Running),
    ] {
        assert!(text.contains("red "), "{text}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    assert!(!to_line(&record, Agent::Running, LATER).contains('\n'));
    assert!(!headline(&record, Agent::Running).contains('\n'));
    let json: serde_json::Value = serde_json::from_str(&to_json(&record, Agent::Running)).unwrap();
    assert_eq!(json["warnings"][0], nasty, "programs get what was said");
}

#[test]
fn a_line_says_who_how_since_when_and_what_to_do() {
    let mut record = full();
    let line = |record: &BootRecord, agent| to_line(record, agent, LATER + 60_000);
    assert_eq!(line(&record, Agent::Running), "shop 1.2: ready for 1 min");
    assert_eq!(
        line(&record, Agent::Gone),
        "shop 1.2: AGENT GONE for 1 min: the agent is not running; nobody looks after the container; see `monopod status`"
    );
    record.outcome = Outcome::Booting;
    record.application = None;
    assert_eq!(
        line(&record, Agent::Running),
        "no application yet: booting: the boot has begun; `monopod status --watch` follows it"
    );
    record.outcome = Outcome::Draining {
        since: LATER,
        phase: DrainPhase::Stop,
        reason: "a spot interruption".to_owned(),
    };
    assert_eq!(
        line(&record, Agent::Running),
        "no application yet: draining for 1 min: it is leaving (stop): a spot interruption; see `monopod status`"
    );
}

#[test]
fn a_headline_changes_with_the_machine_and_not_with_time() {
    let mut record = full();
    let before = headline(&record, Agent::Running);
    record.written_at += 1_000;
    record.logs = serde_json::Value::Null;
    assert_eq!(headline(&record, Agent::Running), before);
    record.apply(
        &Event::RestartPlanned {
            wait: Duration::ZERO,
            restart: 2,
        },
        LATER,
    );
    assert_ne!(headline(&record, Agent::Running), before);
    assert_ne!(headline(&record, Agent::Gone), before);
}

/// The bar of a step: where it begins and how long it is.
fn bar(shown: &str, step: &str) -> (usize, usize) {
    let (_, boot) = shown.split_once("\nBoot").unwrap();
    let line = boot
        .lines()
        .find(|line| line.starts_with(&format!("  {step:<10} ")))
        .unwrap_or_else(|| panic!("no {step} in\n{shown}"));
    let bar: Vec<char> = line.chars().skip(13).take(30).collect();
    let from = bar.iter().take_while(|c| **c == ' ').count();
    (from, bar.iter().filter(|c| **c != ' ').count())
}

#[test]
fn the_timeline_is_to_scale_wherever_in_the_agent_s_life_the_boot_was() {
    let mut record = full();
    record.steps.retain(|step| step.step != StepId::Ready);
    // 100 + 200 + 8000 + 300 + 3000 ms.
    let first = shown(&record);
    assert!(
        first.contains("Boot, 11.6 s in all: image 8 s, health 3 s; 1 retry\n"),
        "{first}"
    );
    assert_eq!(bar(&first, "engine"), (0, 1));
    assert_eq!(bar(&first, "image"), (0, 21));
    assert_eq!(bar(&first, "health"), (22, 8));
    for step in &mut record.steps {
        step.started_ms += 1_000_000_000;
    }
    let later = shown(&record);
    for step in ["engine", "image", "health"] {
        assert_eq!(bar(&later, step), bar(&first, step));
    }
}

#[test]
fn a_step_that_goes_on_grows_until_the_agent_s_last_word() {
    let mut record = BootRecord::new("0.1.0", 1, BEGUN);
    record.steps = vec![StepRecord {
        step: StepId::Balancer,
        state: StepState::Running,
        started_ms: 1_000,
        took_ms: None,
        retries: 0,
        detail: "wait".to_owned(),
    }];
    record.written_at = BEGUN + 3_000;
    let running = to_text(&record, Agent::Running, BEGUN + 61_000);
    assert!(
        running.contains("Boot, 1 min in all: balancer 1 min\n"),
        "{running}"
    );
    let gone = to_text(&record, Agent::Gone, BEGUN + 61_000);
    assert!(gone.contains("Boot, 2 s in all: balancer 2 s\n"), "{gone}");
}

#[test]
fn a_machine_that_is_up_and_not_well_says_so_at_the_top() {
    let mut record = full();
    record.apply(
        &Event::Health {
            healthy: false,
            text: "status 503".to_owned(),
        },
        LATER,
    );
    let shown = shown(&record);
    assert!(
        shown.contains("\n  NOT WELL   not healthy: status 503\n"),
        "{shown}"
    );
}
