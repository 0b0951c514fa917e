//! Where the machine stands: the boot, its steps, the secrets' age, the way out.

use super::text::{Exposition, Kind, seconds};
use crate::lifecycle::DrainPhase;
use crate::record::{Agent, BootRecord, Outcome, SetRecord, StepRecord, StepState};
use crate::trace::Trace;

/// Each of them is a series, so that a query can name a state that no machine is in.
const STATES: [&str; 9] = [
    "booting",
    "ready",
    "completed",
    "degraded",
    "failed",
    "stopped",
    "warm",
    "draining",
    "drained",
];

const PHASES: [DrainPhase; 5] = [
    DrainPhase::Leave,
    DrainPhase::Stop,
    DrainPhase::Flush,
    DrainPhase::Hook,
    DrainPhase::Done,
];

pub(super) fn write(out: &mut Exposition, record: &BootRecord, agent: Agent) {
    write_build(out, record);
    if let Some(application) = &record.application {
        out.metric("monopod_application_info", Kind::Gauge, "Who runs here.")
            .sample(
                &[("id", &application.id), ("version", &application.version)],
                true,
            );
    }
    let standing = record.standing(agent);
    let (state, since) = state(&record.outcome);
    let help = "Whether the machine counts as up: it has booted, and nothing has taken that back.";
    out.single("monopod_up", Kind::Gauge, help, Some(state == "ready"));
    let help = "Whether it may be given work: the container runs, the gate is passed, and it is not leaving.";
    out.single("monopod_ready", Kind::Gauge, help, Some(standing.ready));
    let help = "Whether nothing is wrong: it serves, has done its job, or waits in a warm pool.";
    out.single("monopod_healthy", Kind::Gauge, help, Some(standing.healthy));
    let mut outcome = out.metric(
        "monopod_outcome",
        Kind::Gauge,
        "Where the machine stands: 1 for the state it is in.",
    );
    for one in STATES {
        outcome.sample(&[("state", one)], one == state);
    }
    let help = "Since when it stands there.";
    out.single(
        "monopod_outcome_since_timestamp_seconds",
        Kind::Gauge,
        help,
        since.map(seconds),
    );
    write_drain(out, &record.outcome);
    write_steps(out, &record.steps);
    write_sets(out, &record.secrets);
}

/// One series a machine: what changes in it changes with the container. What is not known is empty, so that a query can
/// join by every label at any time.
fn write_build(out: &mut Exposition, record: &BootRecord) {
    let help = "What runs here: the agent, the application and where both come from.";
    let trace = record.trace.as_ref();
    let of = |pick: fn(&Trace) -> Option<&str>| trace.and_then(pick).unwrap_or_default();
    let application = record.application.as_ref();
    out.metric("monopod_build_info", Kind::Gauge, help).sample(
        &[
            ("version", &record.agent_version),
            ("application_id", application.map_or("", |one| &one.id)),
            ("application_version", application.map_or("", |one| &one.version)),
            ("deployment_id", of(|trace| trace.deployment_id.as_deref())),
            ("commit", of(|trace| trace.commit.as_deref())),
            ("digest", of(|trace| trace.digest.as_deref())),
            ("ami", of(|trace| trace.ami_id.as_deref())),
            ("ami_version", of(Trace::ami_version)),
        ],
        true,
    );
    let help = "A key that opens what is closed by default.";
    let mut metric = out.metric("monopod_opt_out", Kind::Gauge, help);
    for key in &record.opt_outs {
        metric.sample(&[("key", key)], true);
    }
    let help = "What follows from where the image comes from, but for what the policy ignores.";
    let mut metric = out.metric("monopod_verdict", Kind::Gauge, help);
    for verdict in &record.verdicts {
        metric.sample(
            &[("name", verdict.name.word()), ("level", verdict.level.word())],
            true,
        );
    }
}

fn state(outcome: &Outcome) -> (&'static str, Option<u64>) {
    match outcome {
        Outcome::Booting => ("booting", None),
        Outcome::Ready { since } => ("ready", Some(*since)),
        Outcome::Completed { since } => ("completed", Some(*since)),
        Outcome::Degraded { since, .. } => ("degraded", Some(*since)),
        Outcome::Failed { since, .. } => ("failed", Some(*since)),
        Outcome::Stopped { since } => ("stopped", Some(*since)),
        Outcome::Warm { since } => ("warm", Some(*since)),
        Outcome::Draining { since, .. } => ("draining", Some(*since)),
        Outcome::Drained { since, .. } => ("drained", Some(*since)),
    }
}

fn write_drain(out: &mut Exposition, outcome: &Outcome) {
    let at = match outcome {
        Outcome::Draining { phase, .. } => Some(*phase),
        Outcome::Drained { .. } => Some(DrainPhase::Done),
        Outcome::Booting
        | Outcome::Ready { .. }
        | Outcome::Completed { .. }
        | Outcome::Degraded { .. }
        | Outcome::Failed { .. }
        | Outcome::Stopped { .. }
        | Outcome::Warm { .. } => None,
    };
    let mut metric = out.metric(
        "monopod_drain_phase",
        Kind::Gauge,
        "How far a machine that leaves has come: 1 for the phase it is in, 0 for all while it stays.",
    );
    for phase in PHASES {
        metric.sample(&[("phase", &phase.to_string())], at == Some(phase));
    }
}

fn write_steps(out: &mut Exposition, steps: &[StepRecord]) {
    let mut metric = out.metric(
        "monopod_boot_step_duration_seconds",
        Kind::Gauge,
        "How long each step of the last boot took; left out while it goes on.",
    );
    for step in steps {
        if let Some(took) = step.took_ms {
            metric.sample(&[("step", step.step.name())], seconds(took));
        }
    }
    let mut metric = out.metric(
        "monopod_boot_step_retries_total",
        Kind::Counter,
        "How often something that a step of the last boot needs was tried again.",
    );
    for step in steps {
        metric.sample(&[("step", step.step.name())], step.retries);
    }
    let mut metric = out.metric(
        "monopod_boot_step_failed",
        Kind::Gauge,
        "Whether a step of the last boot failed for good.",
    );
    for step in steps {
        metric.sample(&[("step", step.step.name())], step.state == StepState::Failed);
    }
    let begin = steps.iter().map(|step| step.started_ms).min();
    let end = steps
        .iter()
        .filter_map(|step| Some(step.started_ms + step.took_ms?))
        .max();
    if let (Some(begin), Some(end)) = (begin, end) {
        let help = "How long the last boot took, as far as it is.";
        let took = seconds(end.saturating_sub(begin));
        out.single("monopod_boot_duration_seconds", Kind::Gauge, help, Some(took));
    }
}

fn write_sets(out: &mut Exposition, sets: &[SetRecord]) {
    let word = |set: &SetRecord| set.set.word();
    let mut metric = out.metric(
        "monopod_secrets_fetched_timestamp_seconds",
        Kind::Gauge,
        "When the files were fetched last, new or not.",
    );
    for set in sets {
        if let Some(at) = set.fetched_at {
            metric.sample(&[("set", word(set))], seconds(at));
        }
    }
    let mut metric = out.metric(
        "monopod_secrets_delivered_timestamp_seconds",
        Kind::Gauge,
        "When the container got the files it has now.",
    );
    for set in sets {
        if let Some(at) = set.delivered_at {
            metric.sample(&[("set", word(set))], seconds(at));
        }
    }
    let mut metric = out.metric(
        "monopod_secrets_stale",
        Kind::Gauge,
        "Whether fetching the files does not work now.",
    );
    for set in sets {
        metric.sample(&[("set", word(set))], set.stale_since.is_some());
    }
    let mut metric = out.metric(
        "monopod_secrets_expired",
        Kind::Gauge,
        "Whether they are older than `max_age` allows.",
    );
    for set in sets {
        metric.sample(&[("set", word(set))], set.unhealthy);
    }
}
