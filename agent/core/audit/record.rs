//! The boot record as it is sent.

use serde_json::{Value, json};

use super::AuditOrders;
use crate::record::{BootRecord, Outcome};

/// Whether this is an end that is told: the boot is over, well or not.
pub const fn is_told(outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Ready { .. }
        | Outcome::Completed { .. }
        | Outcome::Degraded { .. }
        | Outcome::Failed { .. } => true,
        // Not over, or no end of a boot.
        Outcome::Booting
        | Outcome::Stopped { .. }
        | Outcome::Warm { .. }
        | Outcome::Draining { .. }
        | Outcome::Drained { .. } => false,
    }
}

/// As it stands in the record.
pub const fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Booting => "booting",
        Outcome::Ready { .. } => "ready",
        Outcome::Completed { .. } => "completed",
        Outcome::Degraded { .. } => "degraded",
        Outcome::Failed { .. } => "failed",
        Outcome::Stopped { .. } => "stopped",
        Outcome::Warm { .. } => "warm",
        Outcome::Draining { .. } => "draining",
        Outcome::Drained { .. } => "drained",
    }
}

/// The record and what else was decided: the hash of the configuration, and what it opens. Log shipping's figures change
/// with every line and are left out.
pub fn boot_record(record: &BootRecord, orders: &AuditOrders, boot_id: &str) -> Value {
    let mut value = json!(record);
    if let Some(map) = value.as_object_mut() {
        map.remove("logs");
        map.insert("boot_id".to_owned(), boot_id.into());
        map.insert("config_hash".to_owned(), json!(orders.config_hash));
        map.insert("opt_outs".to_owned(), json!(orders.opt_outs));
        let digest = record.container.as_ref().map(|container| &container.digest);
        map.insert("digest".to_owned(), json!(digest));
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::AuditPlan;
    use crate::event::Event;

    #[test]
    fn the_record_says_what_was_decided_and_how_it_ended() {
        let mut record = BootRecord::new("0.1.0", 1, 1_000);
        assert!(!is_told(&record.outcome));
        record.apply(
            &Event::BootFailed {
                reason: "no engine".into(),
                exit_code: 75,
            },
            2_000,
        );
        record.logs = json!([{"lines": 1}]);
        let orders = AuditOrders {
            plan: AuditPlan {
                url: "https://logs.example.org".into(),
                username: None,
                password: None,
            },
            config_hash: Some("0a".into()),
            opt_outs: vec!["root".into()],
        };
        let value = boot_record(&record, &orders, "1f0c");
        assert!(is_told(&record.outcome));
        assert_eq!(outcome_word(&record.outcome), "failed");
        assert_eq!(value["outcome"]["state"], "failed");
        assert_eq!(value["outcome"]["reason"], "no engine");
        assert_eq!(
            (&value["config_hash"], &value["opt_outs"][0]),
            (&json!("0a"), &json!("root"))
        );
        assert_eq!(value["boot_id"], "1f0c");
        assert!(value.get("logs").is_none() && value["digest"].is_null());
    }

    #[test]
    fn words_are_the_records_own() {
        for outcome in [
            Outcome::Booting,
            Outcome::Ready { since: 1 },
            Outcome::Completed { since: 1 },
            Outcome::Stopped { since: 1 },
            Outcome::Warm { since: 1 },
        ] {
            assert_eq!(json!(outcome)["state"], outcome_word(&outcome));
        }
    }
}
