//! Values that change, lie on the disk encrypted, or come from mint's bucket.

use std::fs;

use monopod_testrig::{Agent, AwsFault, wait_until};
use serde_json::{Value, json};

use super::boot::Boot;
use super::cases::{login, serve, wait_for_lines};
use super::sources::{self, Way};
use super::{Canary, Case};
use crate::common::*;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "credentials",
        share: 20,
        kept: 12,
        play: credentials,
    },
    Case {
        name: "values that change",
        share: 60,
        kept: 40,
        play: values_that_change,
    },
    Case {
        name: "a copy on the disk",
        share: 120,
        kept: 4,
        play: a_copy_on_the_disk,
    },
];

/// Until the container has this as one of its files.
fn wait_for_values(boot: &Boot<'_>, name: &str, value: &str) {
    let path = format!("/run/secrets/{name}");
    let there = || {
        let output = boot
            .machine
            .docker(&["exec", CONTAINER, "/bin/busybox", "cat", &path]);
        (output.stdout == value.as_bytes()).then_some(())
    };
    wait_until(BOOT, there).expect("the container has the new value");
}

/// Until status says this of a set.
fn wait_for_set(boot: &Boot<'_>, name: &str, wanted: impl Fn(&Value) -> bool) {
    let stands = || {
        let shown = status(boot.machine)["secrets"].as_array()?.clone();
        shown.into_iter().find(|set| set["set"] == name && wanted(set))
    };
    wait_until(BOOT, stands).unwrap_or_else(|| panic!("{:#}", status(boot.machine)));
}

/// Old values and new ones, both known; then refusals that quote both, and a set that cannot be read any more.
fn values_that_change(boot: &Boot<'_>) {
    serve(boot, "refresh: {interval: 1s, on_change: restart, max_age: 4s}");
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
    wait_for_lines(boot, "parrot done");
    boot.look();
    let changing: Vec<&Canary> = boot
        .canaries
        .iter()
        .filter(|canary| sources::can_change(canary))
        .collect();
    let (last, kept) = boot.kept.split_last().unwrap();
    let rounds: Vec<&[Canary]> = kept.chunks(changing.len()).collect();
    assert!(rounds.len() >= 2);
    for (number, round) in rounds.iter().enumerate() {
        // No fetch comes in between, and whoever asks meanwhile is told what it has.
        let quoted = format!("slower, {} and {}", changing[0].value, changing[1].value);
        boot.machine.aws().faults(
            &["GetParameter", "GetSecretValue"]
                .map(|op| AwsFault::error(op, "ThrottlingException").message(&quoted)),
        );
        for (canary, new) in changing.iter().zip(round.iter()) {
            sources::replace(boot.machine, canary, &new.value);
        }
        boot.machine.aws().faults(&[]);
        wait_for_values(boot, &changing[0].name, &round[0].value);
        agent.wait_for_nth_line("the container was started again", number + 1, BOOT);
        let after = |canary: &Canary| {
            let at = changing.iter().position(|one| one.name == canary.name);
            let new = at.and_then(|at| rounds[..=number].iter().rev().find_map(|round| round.get(at)));
            new.map_or_else(|| canary.value.clone(), |new| new.value.clone())
        };
        boot.delivered_inside(after);
        round.iter().for_each(|canary| boot.has_reached(canary));
        wait_for_runs(boot, number + 2);
        boot.look();
    }
    let known = [&changing[0].value, &rounds[0][1].value, &rounds[1][0].value];
    refusals_that_quote(boot, &agent, known);
    // What comes next is no document: it is not learnt, and not quoted.
    let keyed = boot
        .canaries
        .iter()
        .find(|canary| canary.source.unwrap().name == "Secrets Manager, key, file");
    drop(boot.machine.aws().put_secret(&keyed.unwrap().name, &last.value));
    wait_for_set(boot, "secrets", |set| {
        let error = set["last_error"].as_str().unwrap_or_default();
        error.contains("is no JSON document")
    });
    boot.has_reached(last);
}

/// The parrot has said everything so often.
fn wait_for_runs(boot: &Boot<'_>, times: usize) {
    let path = boot.machine.dirs().logs.join("application.log");
    let said = || {
        let text = fs::read_to_string(&path).ok()?;
        (text.matches("parrot done").count() >= times).then_some(())
    };
    wait_until(BOOT, said).expect("its lines are shipped");
}

fn refusals_that_quote(boot: &Boot<'_>, agent: &Agent, [old, new, newer]: [&String; 3]) {
    let message = format!("the old {old}, and the new {new} or {newer}");
    boot.machine
        .aws()
        .faults(&[AwsFault::error("GetSecretValue", "AccessDeniedException").message(&message)]);
    let quotes = |set: &Value| {
        let error = set["last_error"].as_str().unwrap_or_default();
        error.contains("AccessDeniedException: the old [redacted]")
    };
    wait_for_set(boot, "secrets", quotes);
    boot.look();
    // Too old by now: said once more, with the error.
    agent.wait_for_line(" ERROR ", BOOT);
    boot.look();
    boot.machine.aws().faults(&[]);
    wait_for_set(boot, "secrets", |set| set["stale_since"].is_null());
}

/// Nothing is printed here, so that nothing at all may be on the disk.
fn a_copy_on_the_disk(boot: &Boot<'_>) {
    let [user, password, id, key] = boot.kept else {
        panic!("four are kept back")
    };
    let documents = put_credentials(boot, [user, password, id, key]);
    let image = boot.machine.registry().image("sleeper");
    let bucket = boot.machine.aws().bucket();
    boot.serve(&format!(
        "{}keep_secrets: true\nrefresh: {{interval: 5m}}\nmint_bucket: {bucket}\n",
        boot.user_data(&image, &login(boot))
    ));
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
    boot.delivered_inside(|canary| canary.value.clone());
    credentials_inside(boot, &documents);
    boot.look();
    drop(agent);
    boot.machine.reboot();
    boot.machine.notify().clear();
    boot.machine.aws().line().down();
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    agent.wait_for_line("the encrypted copy of secrets from", SOON);
    boot.delivered();
    boot.delivered_inside(|canary| canary.value.clone());
    credentials_inside(boot, &documents);
    boot.kept.iter().for_each(|canary| boot.has_reached(canary));
    let of_files: usize = boot
        .canaries
        .iter()
        .filter(|canary| canary.source.unwrap().way != Way::Variable)
        .map(|canary| canary.value.len())
        .sum();
    let sealed = fs::read_dir(boot.machine.dirs().state.join("sealed"))
        .unwrap()
        .flatten();
    let sizes: u64 = sealed.map(|entry| entry.metadata().unwrap().len()).sum();
    assert!(sizes > of_files as u64, "{sizes} bytes cannot hold {of_files}");
}

/// Both documents, one field a line; what the container finds then.
fn put_credentials(boot: &Boot<'_>, [user, password, id, key]: [&Canary; 4]) -> [(&'static str, String); 2] {
    let documents = [
        (
            "user.json",
            json!({"application_username": user.value, "application_password": password.value}),
        ),
        (
            "client.json",
            json!({"client_id": id.value, "client_secret": key.value}),
        ),
    ];
    documents.map(|(name, document)| {
        let text = serde_json::to_string_pretty(&document).unwrap();
        drop(boot.machine.aws().put_object(&format!("app/{name}"), &text));
        (name, text)
    })
}

fn credentials_inside(boot: &Boot<'_>, documents: &[(&str, String)]) {
    for (name, text) in documents {
        let path = format!("/meta/credentials/{name}");
        let there = boot
            .machine
            .docker_ok(&["exec", CONTAINER, "/bin/busybox", "cat", &path]);
        assert!(there == text.trim_end(), "{name} is not what was meant");
    }
}

/// An object that is no JSON, at the first boot and later; documents whose fields are printed; new ones.
fn credentials(boot: &Boot<'_>) {
    let [torn, late, third, fourth, rest @ ..] = boot.kept else {
        panic!("twelve are kept back")
    };
    let put = |name: &str, text: String| drop(boot.machine.aws().put_object(&format!("app/{name}"), text));
    let torn_text = |canary: &Canary| format!("{{\"application_password\": {}", json!(canary.value));
    let (first, rest) = rest.split_at(4);
    let first: [&Canary; 4] = std::array::from_fn(|at| &first[at]);
    let bucket = boot.machine.aws().bucket();
    serve(boot, &format!("keep_secrets: true\nmint_bucket: {bucket}"));
    drop(put_credentials(boot, first));
    for (canary, text) in [
        (torn, torn_text(torn)),
        (third, format!("it is {}", third.value)),
        (fourth, format!("{{}} {}", fourth.value)),
    ] {
        put("user.json", text);
        boot.refused(&["app/user.json is not JSON at line"]);
        assert!(boot.machine.containers().is_empty());
        boot.has_reached(canary);
    }
    let documents = put_credentials(boot, first);
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
    credentials_inside(boot, &documents);
    first.iter().for_each(|canary| boot.has_reached(canary));
    wait_for_lines(boot, "it says ");
    wait_for_lines(boot, "parrot done");
    drop(agent);
    // From the copy, then one that is torn, and at last the next ones.
    boot.machine.reboot();
    boot.machine.aws().line().down();
    let agent = boot.run();
    agent.wait_for_line("the encrypted copy of credentials from", BOOT);
    put("user.json", torn_text(late));
    boot.machine.aws().line().up();
    wait_for_set(boot, "credentials", |set| {
        set["last_error"]
            .as_str()
            .unwrap_or_default()
            .contains("app/user.json is not JSON")
    });
    boot.has_reached(late);
    boot.look();
    credentials_inside(boot, &documents);
    let next: [&Canary; 4] = std::array::from_fn(|at| &rest[at]);
    let documents = put_credentials(boot, next);
    wait_for_set(boot, "credentials", |set| set["stale_since"].is_null());
    credentials_inside(boot, &documents);
    next.iter().for_each(|canary| boot.has_reached(canary));
    // Read and printed by the next run of it.
    let runs = fs::read_to_string(boot.machine.dirs().logs.join("application.log")).unwrap();
    let runs = runs.matches("parrot done").count();
    boot.machine.docker_ok(&["kill", CONTAINER]);
    wait_for_runs(boot, runs + 1);
}
