//! The boot as one trace: a root span from the agent's start to the boot's outcome, and a span for each step.
//!
//! Ids are derived from instance and boot, so that an agent which was started again, and does not know whether the first
//! one's trace was taken, sends the same trace and no second one.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{nanos, scope, text, whole};
use crate::audit::outcome_word;
use crate::record::{BootRecord, Outcome, StepRecord, StepState};

/// The root span.
const ROOT: &str = "monopod.boot";
/// SPAN_KIND_INTERNAL.
const INTERNAL: u8 = 1;
/// STATUS_CODE_OK.
const OK: u8 = 1;
/// STATUS_CODE_ERROR.
const ERROR: u8 = 2;

/// The body that tells how a boot went; `None` while it goes on. The record is redacted already.
pub fn body(record: &BootRecord, boot_id: &str, resource: &Value) -> Option<Value> {
    let end = ended(&record.outcome)?;
    let instance = record.facts.as_ref().map(|facts| facts.instance_id.as_str());
    let ids = Ids::new(instance.unwrap_or_default(), boot_id);
    let mut spans = vec![root(record, boot_id, &ids, end)];
    spans.extend(record.steps.iter().map(|step| child(record, step, &ids, end)));
    Some(json!({
        "resourceSpans": [{
            "resource": resource,
            "scopeSpans": [{ "scope": scope(&record.agent_version), "spans": spans }],
        }]
    }))
}

/// When the boot ended, if it has.
fn ended(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Ready { since }
        | Outcome::Completed { since }
        | Outcome::Degraded { since, .. }
        | Outcome::Failed { since, .. } => Some(*since),
        Outcome::Booting
        | Outcome::Stopped { .. }
        | Outcome::Warm { .. }
        | Outcome::Draining { .. }
        | Outcome::Drained { .. } => None,
    }
}

/// Those of a trace.
struct Ids {
    trace: [u8; 16],
}

impl Ids {
    fn new(instance: &str, boot_id: &str) -> Self {
        let mut trace = [0; 16];
        let hash = Sha256::digest(format!("{ROOT}\0{instance}\0{boot_id}"));
        for (to, from) in trace.iter_mut().zip(hash) {
            *to = from;
        }
        Self { trace }
    }

    fn trace(&self) -> String {
        hex(&self.trace)
    }

    /// Of the span with this name.
    fn span(&self, name: &str) -> String {
        let hash = Sha256::new()
            .chain_update(self.trace)
            .chain_update(name)
            .finalize();
        hex(hash.get(..8).unwrap_or_default())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn root(record: &BootRecord, boot_id: &str, ids: &Ids, end: u64) -> Value {
    let mut attributes = vec![
        text("monopod.boot.id", boot_id),
        text("monopod.boot.outcome", outcome_word(&record.outcome)),
    ];
    if let Some(application) = &record.application {
        attributes.push(text("monopod.application.id", &application.id));
        attributes.push(text("monopod.application.version", &application.version));
    }
    if let Some(facts) = &record.facts {
        attributes.push(text("host.id", &facts.instance_id));
    }
    let status = match &record.outcome {
        Outcome::Degraded { reason, .. } => error(reason),
        Outcome::Failed {
            reason, exit_code, ..
        } => {
            attributes.push(whole("process.exit.code", u64::from(*exit_code)));
            error(reason)
        }
        _ => json!({ "code": OK }),
    };
    let begin = record.agent_started_at;
    let mut span = span(ids, ROOT, begin, end.max(begin), &attributes);
    span.insert("status".to_owned(), status);
    Value::Object(span)
}

fn child(record: &BootRecord, step: &StepRecord, ids: &Ids, end: u64) -> Value {
    let state = match step.state {
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Skipped => "skipped",
        StepState::Failed => "failed",
    };
    let mut attributes = vec![
        text("monopod.step", step.step.name()),
        text("monopod.step.state", state),
        whole("monopod.step.retries", u64::from(step.retries)),
    ];
    if !step.detail.is_empty() {
        attributes.push(text("monopod.step.detail", &step.detail));
    }
    let begin = record.agent_started_at.saturating_add(step.started_ms);
    // One that goes on when the boot is over ends with it.
    let end = step
        .took_ms
        .map_or(end.max(begin), |took| begin.saturating_add(took));
    let name = format!("{ROOT}.{}", step.step.name());
    let mut span = span(ids, &name, begin, end, &attributes);
    span.insert("parentSpanId".to_owned(), ids.span(ROOT).into());
    if step.state == StepState::Failed {
        span.insert("status".to_owned(), error(&step.detail));
    }
    Value::Object(span)
}

fn span(ids: &Ids, name: &str, begin: u64, end: u64, attributes: &[Value]) -> Map<String, Value> {
    let mut span = Map::new();
    for (key, value) in [
        ("traceId", json!(ids.trace())),
        ("spanId", json!(ids.span(name))),
        ("name", json!(name)),
        ("kind", json!(INTERNAL)),
        ("startTimeUnixNano", json!(nanos(begin))),
        ("endTimeUnixNano", json!(nanos(end))),
        ("attributes", json!(attributes)),
    ] {
        span.insert(key.to_owned(), value);
    }
    span
}

fn error(reason: &str) -> Value {
    json!({ "code": ERROR, "message": reason })
}
