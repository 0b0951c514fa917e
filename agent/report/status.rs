//! The boot record as it may lie on the disk: without the secrets known by now.
//!
//! Texts of events were redacted when they were told; this catches what was told before the secret
//! was known, and what came by other ways (facts, the shipper's rows).
//!
//! Invariant: only texts change. Keys, names of steps and states, and addresses stay, even where a
//! secret is spelled the same: `monopod status` could not read the record any more, and the words
//! are ours.

use std::borrow::Cow;

use monopod_core::facts::InstanceFacts;
use monopod_core::plan::Application;
use monopod_core::record::{BootRecord, ContainerRecord, HealthRecord, Outcome, StepRecord};
use monopod_core::redact::Redactor;

/// Borrowed as long as no secret is known.
pub(super) fn redacted<'a>(record: &'a BootRecord, redactor: &Redactor) -> Cow<'a, BootRecord> {
    if redactor.is_empty() {
        return Cow::Borrowed(record);
    }
    let mut record = record.clone();
    each_text(&mut record, |text| redactor.redact_in(text));
    // Nobody's type: the shipper's rows are shown as they are.
    redactor.redact_json(&mut record.logs);
    Cow::Owned(record)
}

/// Each field is named here, so that a new one has to say whether it holds a text.
#[expect(
    clippy::too_many_lines,
    reason = "a field each, in one place: cut in two, one could be named in none"
)]
fn each_text(record: &mut BootRecord, mut change: impl FnMut(&mut String)) {
    let BootRecord {
        schema: _,
        agent_version: _,
        agent_pid: _,
        agent_started_at: _,
        written_at: _,
        application,
        facts,
        outcome,
        steps,
        container,
        health,
        secrets,
        identity,
        trust,
        trace,
        verdicts,
        opt_outs,
        config_hash: _,
        logs: _,
        warnings,
    } = record;
    if let Some(Application { id, version }) = application {
        change(id);
        change(version);
    }
    if let Some(facts) = facts {
        each_text_of_facts(facts, &mut change);
    }
    each_text_of_outcome(outcome, &mut change);
    for StepRecord {
        step: _,
        state: _,
        started_ms: _,
        took_ms: _,
        retries: _,
        detail,
    } in steps
    {
        change(detail);
    }
    if let Some(trace) = trace {
        trace.each_text(&mut change);
    }
    for verdict in verdicts {
        verdict.each_text(&mut change);
    }
    if let Some(identity) = identity {
        let texts = [&mut identity.role, &mut identity.last_error];
        texts.into_iter().flatten().for_each(&mut change);
    }
    if let Some(trust) = trust {
        change(trust);
    }
    if let Some(container) = container {
        let ContainerRecord {
            id,
            image,
            digest,
            started_at: _,
            state: _,
            adopted: _,
            restarts: _,
            restarted: _,
            last_exit: _,
            last_exit_at: _,
        } = container;
        [id, image, digest].into_iter().for_each(&mut change);
    }
    if let Some(HealthRecord {
        healthy: _,
        heard: _,
        since: _,
        text,
        history,
    }) = health
    {
        change(text);
        history.iter_mut().for_each(|turn| change(&mut turn.text));
    }
    for set in secrets {
        set.each_text(&mut change);
    }
    opt_outs.iter_mut().for_each(&mut change);
    warnings.iter_mut().for_each(change);
}

fn each_text_of_outcome(outcome: &mut Outcome, change: impl FnOnce(&mut String)) {
    match outcome {
        Outcome::Degraded { since: _, reason }
        | Outcome::Failed {
            since: _,
            reason,
            exit_code: _,
        }
        | Outcome::Draining {
            since: _,
            phase: _,
            reason,
        }
        | Outcome::Drained { since: _, reason } => change(reason),
        Outcome::Booting
        | Outcome::Ready { since: _ }
        | Outcome::Completed { since: _ }
        | Outcome::Warm { since: _ }
        | Outcome::Stopped { since: _ } => {}
    }
}

fn each_text_of_facts(facts: &mut InstanceFacts, change: impl FnMut(&mut String)) {
    let InstanceFacts {
        instance_id,
        region,
        availability_zone,
        account_id,
        image_id,
        instance_type,
        local_ipv4: _,
        public_ipv4: _,
        pending_time: _,
    } = facts;
    let present = [instance_id, region, availability_zone, account_id];
    present
        .into_iter()
        .chain(image_id)
        .chain(instance_type)
        .for_each(change);
}
