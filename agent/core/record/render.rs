//! The record as a person reads it: what runs first, then how the boot went, to scale.

use std::fmt::Write as _;
use std::time::Duration;

use super::{BootRecord, ContainerRecord, Outcome, SetRecord, StepRecord, StepState};
use crate::text;

/// Whether the agent that wrote the record still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// It holds its lock.
    Running,
    /// It does not.
    Gone,
}

/// The record as a person reads it; `now` in milliseconds since the epoch.
pub fn to_text(record: &BootRecord, agent: Agent, now: u64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ok = write_text(&mut out, record, agent, now).is_ok();
    out
}

fn write_text(out: &mut String, record: &BootRecord, agent: Agent, now: u64) -> std::fmt::Result {
    let ago = |then: u64| text::duration(Duration::from_millis(now.saturating_sub(then)));
    let application = record
        .application
        .as_ref()
        .map_or_else(|| "no application yet".to_owned(), ToString::to_string);
    writeln!(out, "{application}: {}", outcome_text(&record.outcome, &ago))?;
    if agent == Agent::Gone {
        writeln!(
            out,
            "  The agent (pid {}) is not running; this is what it wrote {} ago.",
            record.agent_pid,
            ago(record.written_at)
        )?;
    }
    if let Some(facts) = &record.facts {
        writeln!(
            out,
            "  instance   {} in {}, account {}",
            facts.instance_id, facts.availability_zone, facts.account_id
        )?;
    }
    writeln!(
        out,
        "  agent      monopod {}, pid {}, for {}",
        record.agent_version,
        record.agent_pid,
        ago(record.agent_started_at)
    )?;
    if let Some(container) = &record.container {
        write_container(out, container, &ago)?;
    }
    if let Some(trust) = &record.trust {
        writeln!(out, "  verified   {trust}")?;
    }
    write_timeline(out, &record.steps)?;
    write_sets(out, &record.secrets, &ago)?;
    if let Some(rows) = record.logs.as_array() {
        writeln!(out, "\nLogs")?;
        for row in rows {
            writeln!(out, "  {}", sink_text(row))?;
        }
    }
    if !record.warnings.is_empty() {
        writeln!(out, "\nWarnings")?;
        for warning in &record.warnings {
            writeln!(out, "  {warning}")?;
        }
    }
    Ok(())
}

fn outcome_text(outcome: &Outcome, ago: &dyn Fn(u64) -> String) -> String {
    match outcome {
        Outcome::Booting => "booting".to_owned(),
        Outcome::Ready { since } => format!("ready for {}", ago(*since)),
        Outcome::Completed { since } => format!("completed {} ago", ago(*since)),
        Outcome::Degraded { since, reason } => format!("DEGRADED for {}: {reason}", ago(*since)),
        Outcome::Failed {
            since,
            reason,
            exit_code,
        } => format!("FAILED {} ago (exit {exit_code}): {reason}", ago(*since)),
        Outcome::Warm { since } => format!("waiting in a warm pool for {}", ago(*since)),
        Outcome::Draining { since, phase, reason } => {
            format!("draining for {} ({phase}): {reason}", ago(*since))
        }
        Outcome::Drained { since, reason } => format!("drained {} ago: {reason}", ago(*since)),
        Outcome::Stopped { since } => format!(
            "agent stopped {} ago, the container was left as it was",
            ago(*since)
        ),
    }
}

fn write_container(
    out: &mut String,
    container: &ContainerRecord,
    ago: &dyn Fn(u64) -> String,
) -> std::fmt::Result {
    let since = container
        .started_at
        .map_or_else(String::new, |at| format!(", started {} ago", ago(at)));
    let adopted = if container.adopted { ", adopted" } else { "" };
    writeln!(
        out,
        "  container  {} {}{since}{adopted}, {}",
        text::short_id(&container.id),
        container.state.text(),
        text::count(container.restarts, "restart")
    )?;
    writeln!(out, "  image      {} ({})", container.image, container.digest)?;
    if let Some(exit) = &container.last_exit {
        let when = container
            .last_exit_at
            .map_or_else(String::new, |at| format!(", {} ago", ago(at)));
        writeln!(out, "  last end   {exit}{when}")?;
    }
    Ok(())
}

/// What each set is made of and how fresh it is.
fn write_sets(out: &mut String, sets: &[SetRecord], ago: &dyn Fn(u64) -> String) -> std::fmt::Result {
    if sets.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nSecrets")?;
    for set in sets {
        let files: Vec<String> = set
            .files
            .iter()
            .map(|file| format!("{} from {}", file.name, file.source))
            .collect();
        writeln!(out, "  {:<18} {}", set.set.target(), files.join(", "))?;
        let when = |what: &str, at: Option<u64>| match at {
            Some(at) => format!("{what} {} ago", ago(at)),
            None => format!("not {what} yet"),
        };
        write!(
            out,
            "  {:<18} {}, {}",
            "",
            when("delivered", set.delivered_at),
            when("fetched", set.fetched_at)
        )?;
        if let Some(since) = set.stale_since {
            let how = if set.unhealthy {
                "UNHEALTHY, stale"
            } else {
                "STALE"
            };
            write!(out, ", {how} for {}", ago(since))?;
        }
        match &set.last_error {
            Some(error) => writeln!(out, ": {error}")?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// A bar a step, to scale, so that the step that ate the time stands out.
fn write_timeline(out: &mut String, steps: &[StepRecord]) -> std::fmt::Result {
    const WIDTH: u64 = 30;
    let end = |step: &StepRecord| step.started_ms + step.took_ms.unwrap_or_default();
    let total = steps.iter().map(end).max().unwrap_or_default().max(1);
    writeln!(
        out,
        "\nBoot, {} in all",
        text::duration(Duration::from_millis(total))
    )?;
    for step in steps {
        let from = (step.started_ms * WIDTH / total).min(WIDTH - 1);
        let length = (step.took_ms.unwrap_or_default() * WIDTH)
            .div_ceil(total)
            .clamp(1, WIDTH - from);
        let (mark, fill) = match step.state {
            StepState::Done => ("ok", "█"),
            StepState::Failed => ("FAILED", "█"),
            StepState::Running => ("…", "░"),
            StepState::Skipped => ("skipped", ""),
        };
        let bar = format!(
            "{}{}",
            " ".repeat(usize::try_from(from).unwrap_or(0)),
            fill.repeat(usize::try_from(length).unwrap_or(0))
        );
        let took = step
            .took_ms
            .map_or_else(String::new, |ms| text::duration(Duration::from_millis(ms)));
        let retries = if step.retries > 0 {
            format!(" ({} retried)", step.retries)
        } else {
            String::new()
        };
        let width = usize::try_from(WIDTH).unwrap_or(0);
        writeln!(
            out,
            "  {:<10} {bar:<width$} {took:>10}  {mark:<7} {}{retries}",
            step.step, step.detail
        )?;
    }
    Ok(())
}

fn sink_text(row: &serde_json::Value) -> String {
    let text = |key: &str| {
        row.get(key)
            .and_then(serde_json::Value::as_str)
            .unwrap_or("?")
            .to_owned()
    };
    let number = |key: &str| {
        row.get(key)
            .and_then(serde_json::Value::as_u64)
            .unwrap_or_default()
    };
    let lost = match (
        number("lost"),
        row.get("lost_exact").and_then(serde_json::Value::as_bool),
    ) {
        (0, Some(true)) => "0 lost".to_owned(),
        (lost, Some(true)) => format!("{lost} lost"),
        (lost, _) => format!("at least {lost} lost"),
    };
    let excluded = match number("excluded") {
        0 => String::new(),
        lines => format!(", {lines} left out"),
    };
    let state = row.get("state");
    let of_state = |key: &str| {
        state
            .and_then(|state| state.get(key)?.as_str())
            .unwrap_or_default()
    };
    let trouble = match of_state("kind") {
        "retrying" => format!("\n{:<18} RETRYING: {}", "", of_state("error")),
        "refused" => format!("\n{:<18} REFUSED: {}", "", of_state("error")),
        _ => String::new(),
    };
    let target = row.get("target").and_then(serde_json::Value::as_str);
    let from = row
        .get("origin")
        .or_else(|| row.get("stream"))
        .and_then(serde_json::Value::as_str);
    format!(
        "{:<16} {} to {}, {}: {} delivered, {lost}{excluded}, {} behind{trouble}",
        text("name"),
        from.unwrap_or("?"),
        target.unwrap_or("?"),
        text("guarantee"),
        text::count(number("delivered"), "line"),
        text::bytes(number("behind_bytes"))
    )
}
