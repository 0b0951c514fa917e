//! The record as people and programs read it: in full, as one line, and as JSON.
//!
//! Invariant: no control character comes out, whatever engines, services and applications said: a terminal would obey it.

mod logs;
mod timeline;

use std::fmt::Write as _;
use std::time::Duration;

use super::{BootRecord, ContainerRecord, HealthRecord, Outcome, SetRecord};
use crate::text;
use crate::trace::Trace;

/// Whether the agent that wrote the record still runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// It holds its lock.
    Running,
    /// It does not.
    Gone,
}

/// Turns of health that are shown; the JSON has all.
const TURNS: usize = 5;

/// The record as a person reads it; `now` in milliseconds since the epoch.
pub fn to_text(record: &BootRecord, agent: Agent, now: u64) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ok = write_text(&mut out, record, agent, now).is_ok();
    out.chars()
        .map(|c| if c.is_control() && c != '\n' { '·' } else { c })
        .collect()
}

/// The record as programs read it: see [`super::schema`].
pub fn to_json(record: &BootRecord, agent: Agent) -> String {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    if let Some(map) = value.as_object_mut() {
        let standing = record.standing(agent);
        map.insert("agent_running".to_owned(), (agent == Agent::Running).into());
        map.insert("healthy".to_owned(), standing.healthy.into());
        map.insert("ready".to_owned(), standing.ready.into());
        map.insert("reason".to_owned(), standing.reason.into());
    }
    let json = serde_json::to_string_pretty(&value).unwrap_or_default();
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            // JSON leaves DEL and the C1 controls as they are. They can only stand in texts, where this is the same.
            '\u{7f}'..='\u{9f}' => _ = write!(out, "\\u{:04x}", u32::from(c)),
            c => out.push(c),
        }
    }
    out.push('\n');
    out
}

/// What is shown at a login: who, how, since when, and where to look when it is not well.
pub fn to_line(record: &BootRecord, agent: Agent, now: u64) -> String {
    let standing = record.standing(agent);
    let ago = |then: u64| text::duration(Duration::from_millis(now.saturating_sub(then)));
    let line = if standing.healthy {
        format!("{}: {}", application(record), outcome_text(&record.outcome, &ago))
    } else {
        let since = since(&record.outcome).map_or_else(String::new, |since| format!(" for {}", ago(since)));
        let to_do = match record.outcome {
            Outcome::Booting if agent == Agent::Running => "`monopod status --watch` follows it",
            _ => "see `monopod status`",
        };
        format!(
            "{}: {}{since}: {}; {to_do}",
            application(record),
            word(&record.outcome, agent),
            text::shortened(&standing.reason, REASON)
        )
    };
    text::printable(&line.replace('\n', " | "))
}

/// More is for `monopod status`.
const REASON: usize = 240;

/// The same without a record.
pub fn unknown_line() -> &'static str {
    "monopod: no agent has run here since the machine booted; see `systemctl status monopod`"
}

/// What changes when something changes, and does not when only time goes by.
pub fn headline(record: &BootRecord, agent: Agent) -> String {
    let line = format!(
        "{}: {}: {}",
        application(record),
        word(&record.outcome, agent),
        record.standing(agent).reason
    );
    text::printable(&line.replace('\n', " | "))
}

fn application(record: &BootRecord) -> String {
    record
        .application
        .as_ref()
        .map_or_else(|| "no application yet".to_owned(), ToString::to_string)
}

fn write_text(out: &mut String, record: &BootRecord, agent: Agent, now: u64) -> std::fmt::Result {
    let ago = |then: u64| text::duration(Duration::from_millis(now.saturating_sub(then)));
    let outcome = outcome_text(&record.outcome, &ago);
    writeln!(out, "{}: {}", application(record), indented(&outcome))?;
    if agent == Agent::Gone {
        writeln!(
            out,
            "  The agent (pid {}) is not running; this is what it wrote {} ago.",
            record.agent_pid,
            ago(record.written_at)
        )?;
    }
    if let (Outcome::Ready { .. } | Outcome::Completed { .. }, standing) =
        (&record.outcome, record.standing(agent))
        && !standing.healthy
    {
        writeln!(out, "  NOT WELL   {}", indented(&standing.reason))?;
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
    if let Some(health) = &record.health {
        let how = match (health.heard, health.healthy) {
            (true, true) => "healthy",
            (true, false) => "UNHEALTHY",
            (false, true) => "not asked since the restart, before it healthy",
            (false, false) => "not asked since the restart, before it UNHEALTHY",
        };
        let text = indented(&health.text);
        writeln!(out, "  health     {how} for {}: {text}", ago(health.since))?;
    }
    if let Some(trust) = &record.trust {
        writeln!(out, "  verified   {trust}")?;
    }
    if let Some(trace) = &record.trace {
        write_trace(out, trace)?;
    }
    if !record.opt_outs.is_empty() {
        writeln!(out, "  opened     {}", record.opt_outs.join(", "))?;
    }
    if let Some(hash) = &record.config_hash {
        writeln!(out, "  config     {}", text::short_id(hash))?;
    }
    if !record.verdicts.is_empty() {
        writeln!(out, "\nVerdicts")?;
        for verdict in &record.verdicts {
            writeln!(out, "  {:<5} {verdict}", verdict.level.word())?;
        }
    }
    timeline::write(out, record, agent, now)?;
    write_history(out, record, &ago)?;
    write_sets(out, &record.secrets, &ago)?;
    logs::write(out, &record.logs)?;
    if !record.warnings.is_empty() {
        writeln!(out, "\nWarnings")?;
        for warning in &record.warnings {
            writeln!(out, "  {}", indented(warning))?;
        }
    }
    Ok(())
}

/// Where it comes from, as far as that is known.
fn write_trace(out: &mut String, trace: &Trace) -> std::fmt::Result {
    let commit = trace.commit.as_deref().unwrap_or("no commit known");
    let from = trace
        .source_url
        .as_ref()
        .map_or_else(String::new, |url| format!(" of {url}"));
    let built = trace
        .image_created
        .map_or_else(String::new, |at| format!(", built {}", text::timestamp(at)));
    writeln!(out, "  from       {commit}{from}{built}")?;
    if let Some(id) = &trace.ami_id {
        let version = trace
            .ami_version()
            .map_or_else(String::new, |version| format!(" ({version})"));
        writeln!(out, "  machine    {id}{version}")?;
    }
    if let Some(id) = &trace.deployment_id {
        writeln!(out, "  deployment {id}")?;
    }
    Ok(())
}

/// What has several lines stays one thing.
fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// One word, in capitals where somebody has to look.
fn word(outcome: &Outcome, agent: Agent) -> &'static str {
    match (outcome, agent) {
        (Outcome::Stopped { .. }, _) => "agent stopped",
        (Outcome::Failed { .. }, _) => "FAILED",
        (Outcome::Drained { .. }, _) => "drained",
        (_, Agent::Gone) => "AGENT GONE",
        (Outcome::Booting, Agent::Running) => "booting",
        (Outcome::Ready { .. }, Agent::Running) => "up",
        (Outcome::Completed { .. }, Agent::Running) => "completed",
        (Outcome::Degraded { .. }, Agent::Running) => "DEGRADED",
        (Outcome::Warm { .. }, Agent::Running) => "warm",
        (Outcome::Draining { .. }, Agent::Running) => "draining",
    }
}

fn since(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Booting => None,
        Outcome::Ready { since }
        | Outcome::Completed { since }
        | Outcome::Degraded { since, .. }
        | Outcome::Failed { since, .. }
        | Outcome::Stopped { since }
        | Outcome::Warm { since }
        | Outcome::Draining { since, .. }
        | Outcome::Drained { since, .. } => Some(*since),
    }
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

/// Each restart with its reason, and the last turns of health: what led to where the machine is.
fn write_history(out: &mut String, record: &BootRecord, ago: &dyn Fn(u64) -> String) -> std::fmt::Result {
    let restarted = record
        .container
        .as_ref()
        .map_or(&[][..], |container| &container.restarted);
    if !restarted.is_empty() {
        writeln!(out, "\nRestarts")?;
    }
    for restart in restarted {
        let after = restart.after.as_ref().map_or_else(
            || "stopped by the agent, for new files or a failed probe".to_owned(),
            |exit| format!("after {exit}"),
        );
        let at = text::timestamp(restart.at / 1000);
        writeln!(out, "  {at}  {after}, {} ago", ago(restart.at))?;
    }
    let turns = record
        .health
        .as_ref()
        .map_or(&[][..], |HealthRecord { history, .. }| history);
    if turns.len() > 1 {
        writeln!(out, "\nHealth")?;
        for turn in turns.iter().skip(turns.len().saturating_sub(TURNS)) {
            let how = if turn.healthy { "healthy" } else { "UNHEALTHY" };
            let at = text::timestamp(turn.at / 1000);
            writeln!(out, "  {at}  {how}: {}", indented(&turn.text))?;
        }
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

#[cfg(test)]
mod tests;
