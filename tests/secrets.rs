//! KMS busy, refusing, and misused; and the value in nobody's hands.

use std::time::Duration;

use monopod_testrig::{AwsFault, Image, Machine};

use crate::common::*;

const CANARY: &str = "canary-never-to-be-seen";

#[test]
fn throttling_is_retried_after_a_wait_of_its_own() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[("SECRET", &machine.aws().encrypt(CANARY))])
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "ThrottlingException").times(1)]);
    let agent = run_until_ready(&machine);
    assert_eq!(machine.aws().decrypt_calls(), 2);
    assert!(agent.output().contains("ThrottlingException"));
}

#[test]
fn a_bad_moment_of_kms_is_retried_soon() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[("SECRET", &machine.aws().encrypt(CANARY))])
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "KMSInternalException")
            .status(500)
            .times(3)]);
    let agent = run_until_ready(&machine);
    assert_eq!(machine.aws().decrypt_calls(), 4);
    assert!(agent.output().contains("KMSInternalException"));
}

#[test]
fn a_refusal_is_final_and_says_what_to_grant() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[("DB_PASSWORD", &machine.aws().encrypt(CANARY))])
        .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("Decrypt", "AccessDeniedException")
            .message("no identity-based policy allows kms:Decrypt")]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    for word in [
        "environment.DB_PASSWORD",
        "AccessDeniedException",
        "grant",
        "kms:Decrypt",
    ] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    assert_eq!(machine.aws().decrypt_calls(), 1, "not tried again");
    assert!(machine.containers().is_empty());
    assert!(!everything_told(&machine, &agent).contains(CANARY));
}

#[test]
fn garbage_under_the_right_prefix_is_kms_to_refuse() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[("SECRET", "aws:kms:Z2FyYmFnZSBnYXJiYWdlIGdhcmJhZ2U=")])
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    assert!(error_line(&agent).contains("InvalidCiphertextException"));
}

#[test]
fn what_is_not_base64_is_found_before_anything_is_asked() {
    let machine = Machine::acquire();
    UserData::new(&machine, "web")
        .web()
        .env(&[("SECRET", "aws:kms:this is not base64!")])
        .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(error.contains("SECRET") && error.contains("base64"), "{error}");
    assert_eq!(machine.aws().decrypt_calls(), 0);
}

#[test]
fn each_value_is_decrypted_once_and_four_at_a_time() {
    let machine = Machine::acquire();
    let same = machine.aws().encrypt(CANARY);
    let others: Vec<String> = (0..11)
        .map(|n| machine.aws().encrypt(format!("{CANARY}-{n}")))
        .collect();
    let mut pairs = vec![
        ("SAME_A".to_owned(), same.as_str()),
        ("SAME_B".to_owned(), same.as_str()),
    ];
    pairs.extend(
        others
            .iter()
            .enumerate()
            .map(|(n, value)| (format!("SECRET_{n}"), value.as_str())),
    );
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    UserData::new(&machine, "web").web().env(&pairs).serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::slow("Decrypt", Duration::from_millis(100))]);
    let _agent = run_until_ready(&machine);
    assert_eq!(machine.aws().decrypt_calls(), 12);
    assert_eq!(machine.aws().max_concurrent_decrypts(), 4);
}

#[test]
fn the_registry_password_may_be_a_kms_value() {
    let machine = Machine::acquire();
    let config = machine.registry().dockercfg();
    let (registry, auth) = config.as_object().unwrap().iter().next().unwrap();
    let auth = machine.aws().encrypt(auth["auth"].as_str().unwrap());
    let image = machine.registry().image("web");
    machine.set_user_data(&format!(
        "#taupage-ami-config\napplication_id: app\napplication_version: \"1\"\nsource: {image}\nports: {{8080: 8080}}\n\
         health_check_path: /health\ndockercfg:\n  \"{registry}\": {{auth: \"{auth}\", email: x}}\n"
    ));
    let agent = run_until_ready(&machine);
    assert!(!everything_told(&machine, &agent).contains(monopod_testrig::REGISTRY_PASSWORD));
}

#[test]
fn an_engine_that_quotes_a_secret_is_redacted() {
    // A secret that is a part of the image's name too: the registry and the engine repeat it in their refusal.
    let machine = Machine::acquire();
    UserData::of(&machine, &format!("127.0.0.1:5000/test/{CANARY}:1"))
        .env(&[("SECRET", &machine.aws().encrypt(CANARY))])
        .serve(&machine);
    machine.registry().line().delay(Duration::from_secs(2));
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78);
    let error = error_line(&agent);
    assert!(
        error.contains("127.0.0.1:5000/test/[redacted]") && !error.contains(CANARY),
        "{error}"
    );
    assert!(!status(&machine)["outcome"].to_string().contains(CANARY));
}

/// An adopting agent asks no KMS, and still must not quote a secret that the application printed.
#[test]
fn an_agent_that_adopts_knows_what_to_redact() {
    let machine = Machine::acquire();
    let leaky = Image::new(
        "leaky",
        "echo \"connecting with $SECRET\"; while :; do sleep 1; done",
    );
    let image = machine.registry().push(&leaky);
    UserData::of(&machine, &image)
        .web()
        .line("health_check_timeout_seconds: 8")
        .env(&[("SECRET", &machine.aws().encrypt(CANARY))])
        .serve(&machine);
    let killed = run(&machine);
    killed.wait_for_line("health: wait until", BOOT);
    killed.kill9();
    let agent = run(&machine);
    agent.wait_for_line(" ERROR ", BOOT);
    let error = error_line(&agent);
    assert!(error.contains("connecting with [redacted]"), "{error}");
    assert!(!everything_told(&machine, &agent).contains(CANARY));
}
