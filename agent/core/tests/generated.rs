//! What is printed from the contract and committed: schemas for editors, the reference for people.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use monopod_core::config::contract::{reference, schema};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config-samples")
}

/// Compares, or writes with `UPDATE_EXPECT=1`.
fn is_committed(name: &str, wanted: &str) {
    let path = folder().join(name);
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, wanted).unwrap();
        return;
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    let first = there
        .lines()
        .zip(wanted.lines())
        .position(|(there, wanted)| there != wanted)
        .unwrap_or_else(|| there.lines().count().min(wanted.lines().count()));
    assert!(
        there == wanted,
        "config-samples/{name} is stale from line {} on: run `make golden`, look at the diff and commit it",
        first + 1
    );
}

fn pretty(value: &serde_json::Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap())
}

#[test]
fn the_schema_is_the_contract_s() {
    is_committed("schema.json", &pretty(&schema::schema()));
}

#[test]
fn the_policy_s_schema_is_the_contract_s() {
    is_committed("policy.schema.json", &pretty(&schema::policy()));
}

#[test]
fn the_reference_is_the_contract_s() {
    is_committed("REFERENCE.md", &reference::reference());
}

#[test]
fn the_schema_of_the_status_is_the_record_s() {
    is_committed("status.schema.json", &pretty(&monopod_core::record::schema()));
}
