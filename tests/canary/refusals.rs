//! Refusals while values are known: by the stores, by a registry, of a value itself. None of them may quote one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{Answer, AwsFault, FRONT_PORT, Front, GuardedRegistry, wait_until};
use serde_json::json;

use super::boot::Boot;
use super::cases::{login, parrot, serve, wait_for_lines};
use super::sources::{key_of_secret, parameter};
use super::{Canary, Case};
use crate::common::*;

pub(crate) const CASES: &[Case] = &[
    Case {
        name: "stores that refuse",
        share: 90,
        kept: 0,
        play: stores_that_refuse,
    },
    Case {
        name: "values that cannot be used",
        share: 10,
        kept: 10,
        play: values_that_cannot_be_used,
    },
    Case {
        name: "a registry that refuses",
        share: 10,
        kept: 10,
        play: a_registry_that_refuses,
    },
    Case {
        name: "a registry that lets in",
        share: 10,
        kept: 10,
        play: a_registry_that_lets_in,
    },
    Case {
        name: "an image that may not run",
        share: 60,
        kept: 0,
        play: an_image_that_may_not_run,
    },
];

/// Some values were fetched when one was refused, in words that quote them.
fn stores_that_refuse(boot: &Boot<'_>) {
    serve(boot, "");
    // The one that is quoted comes from another store, and is here before the answer.
    let of = |name: &str| {
        boot.canaries
            .iter()
            .find(|canary| canary.source.unwrap().name == name)
    };
    for (op, quoted) in [
        ("GetParameter", of("KMS")),
        ("GetSecretValue", of("KMS")),
        ("Decrypt", of("SSM")),
    ] {
        let message = format!("not allowed: {}", quoted.unwrap().value);
        boot.machine
            .aws()
            .faults(&[AwsFault::error(op, "AccessDeniedException")
                .times(1)
                .message(&message)
                .after(Duration::from_secs(1))]);
        let before = boot.fetches();
        boot.refused(&["AccessDeniedException", op, monopod_core::redact::MARK]);
        assert!(boot.fetches() > before + 8);
        assert!(boot.machine.containers().is_empty());
    }
    let throttled = |op| AwsFault::error(op, "ThrottlingException").times(1);
    boot.machine
        .aws()
        .faults(&["Decrypt", "GetParameter", "GetSecretValue"].map(throttled));
    // And then it works.
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
    wait_for_lines(boot, "parrot done");
    assert!(agent.output().contains("ThrottlingException"));
}

/// Why there is no key to pick.
const NO_JSON: &str = "is no JSON document";

/// A reference, the canary in what it refers to, and what has to be said.
type Wrong<'a> = (String, Option<&'a Canary>, &'static str);

/// What is fetched and is not what was meant; and what is not there at all.
fn wrong_values<'a>(boot: &Boot<'a>) -> [Wrong<'a>; 13] {
    let aws = boot.machine.aws();
    let bytes =
        |canary: &Canary, more: &[u8]| [canary.value.as_bytes(), more, canary.value.as_bytes()].concat();
    let [
        text,
        utf8,
        scalar,
        nul,
        array,
        document,
        pointer,
        trailing,
        parameter_text,
        file,
    ] = boot.kept
    else {
        panic!("ten are kept back");
    };
    let name = |canary: &Canary| canary.name.clone();
    let secret = |canary: &Canary, text: &str| aws.put_secret(&name(canary), text).0;
    [
        (aws.encrypt(bytes(utf8, b"\xff")), Some(utf8), "UTF-8"),
        (
            aws.put_parameter(&name(nul), &String::from_utf8(bytes(nul, b"\0")).unwrap()),
            Some(nul),
            "NUL byte",
        ),
        (
            secret(text, &format!("it is {}", text.value)) + "?key=password",
            Some(text),
            NO_JSON,
        ),
        (
            secret(scalar, &json!(scalar.value).to_string()) + "?key=password",
            Some(scalar),
            NO_JSON,
        ),
        (
            secret(array, &json!([array.value]).to_string()) + "?key=password",
            Some(array),
            NO_JSON,
        ),
        (
            secret(document, &json!({"pass": document.value}).to_string()) + "?key=password",
            Some(document),
            "has no key `password`",
        ),
        (
            secret(pointer, &json!({"a": {"b": pointer.value}}).to_string()) + "?key=/a/c",
            Some(pointer),
            "has no key `/a/c`",
        ),
        (
            secret(trailing, &(json!({"password": trailing.value}).to_string() + "}")) + "?key=password",
            Some(trailing),
            NO_JSON,
        ),
        (
            aws.put_parameter(&name(parameter_text), &format!("it is {}", parameter_text.value))
                + "?key=password",
            Some(parameter_text),
            NO_JSON,
        ),
        (
            aws.encrypt(format!("it {}", file.value)) + "?key=password",
            Some(file),
            NO_JSON,
        ),
        ("aws:ssm:/not/there".to_owned(), None, "ParameterNotFound"),
        (
            "aws:secretsmanager:not/there".to_owned(),
            None,
            "ResourceNotFoundException",
        ),
        (
            "aws:kms:Z2FyYmFnZSBnYXJiYWdlIGdhcmJhZ2U=".to_owned(),
            None,
            "InvalidCiphertextException",
        ),
    ]
}

/// Each of them is refused without a word of it.
fn values_that_cannot_be_used(boot: &Boot<'_>) {
    let wrong = wrong_values(boot);
    let good = boot.user_data(&parrot(boot), &login(boot));
    for (number, (reference, canary, words)) in wrong.iter().enumerate() {
        // A variable, a secret, a text, in turn.
        let text = match number % 3 {
            0 => format!("{good}  WRONG: {reference:?}\n"),
            1 => good.replace("\nsecrets:\n", &format!("\nsecrets:\n  wrong: {reference:?}\n")),
            _ => good.replace("\nfiles:\n", &format!("\nfiles:\n  /etc/wrong: {reference:?}\n")),
        };
        assert!(text.len() > good.len());
        boot.serve(&text);
        let before = boot.fetches();
        boot.refused(&[words]);
        assert!(boot.fetches() > before);
        assert!(boot.machine.containers().is_empty());
        canary.iter().for_each(|canary| boot.has_reached(canary));
    }
    boot.serve(&good);
    let agent = boot.run();
    wait_ready(boot.machine, &agent);
    boot.delivered();
}

/// Logins by each kind of reference, and in clear: what stands in `dockercfg`, and what the registry gets of it.
fn logins(boot: &Boot<'_>) -> Vec<(String, String)> {
    let aws = boot.machine.aws();
    let pairs: Vec<(&Canary, &Canary, String)> = boot
        .kept
        .chunks(2)
        .map(|pair| (&pair[1], &pair[0], format!("{}:{}", pair[1].value, pair[0].value)))
        .collect();
    let [
        (_, _, by_kms),
        (_, _, by_parameter),
        (_, _, by_key),
        (user, password, by_name),
        (_, _, clear),
    ] = &pairs[..]
    else {
        panic!("five logins are kept back");
    };
    let auth = |login: &str| STANDARD.encode(login);
    let keyed = Canary {
        value: auth(by_key),
        ..(*user).clone()
    };
    let named = Canary {
        name: format!("{}-password", password.name),
        ..(*password).clone()
    };
    let entries = [
        (json!({"auth": aws.encrypt(auth(by_kms)), "email": "x"}), by_kms),
        (
            json!({"auth": aws.put_parameter("auth", &auth(by_parameter))}),
            by_parameter,
        ),
        (json!({"auth": key_of_secret(boot.machine, &keyed)}), by_key),
        (
            json!({"username": parameter(boot.machine, user), "password": key_of_secret(boot.machine, &named)}),
            by_name,
        ),
        (json!({"auth": auth(clear)}), clear),
    ];
    entries
        .into_iter()
        .map(|(entry, login)| (entry.to_string(), login.clone()))
        .collect()
}

/// One boot with this login; what lay there before is gone.
fn log_in(boot: &Boot<'_>, registry: &GuardedRegistry, entry: &str) -> monopod_testrig::Agent {
    let image = registry.image(&parrot(boot));
    let text = boot.user_data(&image, &format!("{{{:?}: {entry}}}", registry.host()));
    // Not a file: it would be one with a password in it.
    boot.machine.set_user_data(&text);
    run_with(boot.machine, &["--log-level", "debug"])
}

/// It was asked with this login.
fn was_asked(boot: &Boot<'_>, registry: &GuardedRegistry, login: &str) {
    let header = format!("Basic {}", STANDARD.encode(login));
    let asked = registry.asked();
    assert!(
        asked
            .iter()
            .any(|asked| asked.authorization.as_deref() == Some(&header)),
        "{asked:#?}"
    );
    let used = boot
        .kept
        .iter()
        .filter(|canary| login.starts_with(&canary.value) || login.ends_with(&canary.value));
    used.for_each(|canary| boot.has_reached(canary));
}

fn a_registry_that_refuses(boot: &Boot<'_>) {
    let registry = GuardedRegistry::with_gate(boot.machine, &["somebody:else"]);
    for (entry, login) in logins(boot) {
        let agent = log_in(boot, &registry, &entry);
        assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
        assert!(error_line(&agent).contains("dockercfg"), "{}", agent.output());
        was_asked(boot, &registry, &login);
        boot.look();
    }
    assert!(boot.machine.containers().is_empty());
    // The pull gave up beside them, or after them.
    assert!(boot.fetches() >= boot.canaries.len());
    boot.canaries.iter().for_each(|canary| boot.has_reached(canary));
}

fn a_registry_that_lets_in(boot: &Boot<'_>) {
    let logins = logins(boot);
    let all: Vec<&str> = logins.iter().map(|(_, login)| login.as_str()).collect();
    let registry = GuardedRegistry::with_gate(boot.machine, &all);
    for (entry, login) in &logins {
        boot.machine.notify().clear();
        let agent = log_in(boot, &registry, entry);
        wait_ready(boot.machine, &agent);
        was_asked(boot, &registry, login);
        boot.delivered();
        boot.look();
        agent.kill9();
        boot.machine.docker_ok(&["rm", "-f", CONTAINER]);
        let images = boot.machine.docker_ok(&["image", "ls", "-q"]);
        images
            .lines()
            .for_each(|image| drop(boot.machine.docker(&["image", "rm", "-f", image])));
        std::fs::remove_dir_all(&boot.machine.dirs().runtime).unwrap();
    }
    std::fs::create_dir_all(&boot.machine.dirs().runtime).unwrap();
}

/// The registry's reason quotes what it should not know; every value is here by then.
fn an_image_that_may_not_run(boot: &Boot<'_>) {
    let directory = &boot.machine.dirs().configuration;
    std::fs::write(
        directory.join("policy.yaml"),
        "images:\n  - {match: '**', require: header}\n",
    )
    .unwrap();
    let quoted: Vec<&str> = boot
        .canaries
        .iter()
        .filter(|canary| canary.is_plain())
        .map(|canary| canary.value.as_str())
        .take(3)
        .collect();
    let reason = format!("it was built with {}", quoted.join(" and "));
    assert_eq!(quoted.len(), 3);
    let fetched = Arc::new(AtomicBool::new(false));
    let known = Arc::clone(&fetched);
    let _front = Front::start(boot.machine, move |line| {
        if !line.contains("/manifests/sha256:") {
            return Answer::Pass(Vec::new());
        }
        wait_until(SOON, || known.load(Ordering::SeqCst).then_some(()));
        Answer::Pass(vec![
            ("X-Production-Ready-Taupage", "false".to_owned()),
            ("X-Production-Ready-Reason", reason.clone()),
        ])
    });
    let to_front = |text: String| text.replacen("127.0.0.1:5000", &format!("127.0.0.1:{FRONT_PORT}"), 1);
    boot.serve(&boot.user_data(&to_front(parrot(boot)), &to_front(login(boot))));
    let agent = boot.run();
    agent.wait_for_line("values fetched", BOOT);
    fetched.store(true, Ordering::SeqCst);
    assert_eq!(agent.wait_exit(BOOT), 78, "{}", agent.output());
    let error = error_line(&agent);
    let mark = monopod_core::redact::MARK;
    assert!(
        error.contains(&format!("built with {mark} and {mark} and {mark}")),
        "{error}"
    );
    boot.all_fetched(boot.fetches());
    assert!(boot.machine.containers().is_empty());
}
