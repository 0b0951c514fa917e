//! The boot as a picture: a bar a step, to scale, so that the step that ate the time stands out.

use std::fmt::Write as _;
use std::time::Duration;

use super::super::{BootRecord, StepRecord, StepState};
use super::Agent;
use crate::text;

const WIDTH: u64 = 30;

/// Steps that took less than this share of the boot are no answer to where the time went.
const SHARE: u64 = 10;

pub(super) fn write(out: &mut String, record: &BootRecord, agent: Agent, now: u64) -> std::fmt::Result {
    // A step of an agent that is gone went on until its last word.
    let at = match agent {
        Agent::Running => now,
        Agent::Gone => record.written_at,
    };
    let at = at.saturating_sub(record.agent_started_at);
    let origin = record.steps.iter().map(|step| step.started_ms).min();
    let origin = origin.unwrap_or_default();
    let took = |step: &StepRecord| match step.state {
        StepState::Running => at.saturating_sub(step.started_ms),
        StepState::Done | StepState::Failed | StepState::Skipped => step.took_ms.unwrap_or_default(),
    };
    let end = |step: &StepRecord| step.started_ms + took(step);
    let total = record.steps.iter().map(end).max().unwrap_or_default();
    let total = total.saturating_sub(origin).max(1);
    let all = text::duration(Duration::from_millis(total));
    writeln!(
        out,
        "\nBoot, {all} in all{}",
        where_it_went(&record.steps, total, &took)
    )?;
    for step in &record.steps {
        let from = ((step.started_ms - origin) * WIDTH / total).min(WIDTH - 1);
        let length = (took(step) * WIDTH).div_ceil(total).clamp(1, WIDTH - from);
        let (mark, fill) = match step.state {
            StepState::Done => ("ok", "█"),
            StepState::Failed => ("FAILED", "█"),
            StepState::Running => ("…", "░"),
            StepState::Skipped => ("skipped", ""),
        };
        let repeat = |what: &str, times: u64| what.repeat(usize::try_from(times).unwrap_or(0));
        let bar = format!("{}{}", repeat(" ", from), repeat(fill, length));
        let time = match step.state {
            StepState::Skipped => String::new(),
            StepState::Running | StepState::Done | StepState::Failed => {
                text::duration(Duration::from_millis(took(step)))
            }
        };
        let retries = match step.retries {
            0 => String::new(),
            retries => format!(" ({retries} retried)"),
        };
        let width = usize::try_from(WIDTH).unwrap_or(0);
        writeln!(
            out,
            "  {:<10} {bar:<width$} {time:>10}  {mark:<7} {}{retries}",
            step.step,
            super::indented(&step.detail)
        )?;
    }
    Ok(())
}

/// `: image 8 s, health 3 s; 1 retry`.
fn where_it_went(steps: &[StepRecord], total: u64, took: &dyn Fn(&StepRecord) -> u64) -> String {
    let mut long: Vec<&StepRecord> = steps
        .iter()
        .filter(|step| took(step) * 100 >= total * SHARE)
        .collect();
    long.sort_by_key(|step| std::cmp::Reverse(took(step)));
    let long: Vec<String> = long
        .iter()
        .map(|step| {
            format!(
                "{} {}",
                step.step,
                text::duration(Duration::from_millis(took(step)))
            )
        })
        .collect();
    let retries: u64 = steps.iter().map(|step| u64::from(step.retries)).sum();
    let retries = match retries {
        0 => String::new(),
        1 => "; 1 retry".to_owned(),
        retries => format!("; {retries} retries"),
    };
    match long.as_slice() {
        [] => retries,
        long => format!(": {}{retries}", long.join(", ")),
    }
}
