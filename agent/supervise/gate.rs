//! The health gate: asks until the answer is right or the time is up, and says why it was not.

use std::time::Duration;

use monopod_core::budget;
use monopod_core::event::Event;
use monopod_core::plan::{Gate, StepId};
use monopod_core::supervise::State;
use monopod_core::text;
use tokio::time::{Instant, MissedTickBehavior};

use super::look::{No, Question, SETTLED, describe, quoted};
use crate::boot::hint::Charge;
use crate::context::Context;
use crate::host::{chain, clock};
use crate::logs::Shipper;

/// Lines of the application's own log in a failure's reason.
const TAIL: usize = 10;

/// How the gate ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Healthy.
    Passed(String),
    /// The time is up.
    TimeUp {
        /// How long it was waited for.
        waited: Duration,
        /// The last answer, in words.
        last: String,
    },
    /// It can't become healthy.
    Hopeless(String),
    /// The container ended for good first.
    Ended(String),
}

/// Asks at the gate's interval, the first time at once, until enough answers in a row were good. A restarted agent gets the rest of the time, never all of it again.
pub(super) async fn run(context: &Context, charge: &Charge) -> Verdict {
    let begun = Instant::now();
    let deadline = deadline(context, charge, begun).await;
    let question = match Question::new(&charge.gate) {
        Ok(question) => question,
        Err(why) => return Verdict::Hopeless(why),
    };
    let mut ticks = tokio::time::interval(interval(&charge.gate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    let mut last = "nothing was asked yet".to_owned();
    let mut good = 0;
    let asking = async {
        loop {
            ticks.tick().await;
            match question.ask(context, charge).await {
                Ok(detail) => {
                    good += 1;
                    if good >= charge.gate.healthy_threshold {
                        return Verdict::Passed(in_a_row(detail, good));
                    }
                    last = format!(
                        "{}, of {} needed",
                        in_a_row(detail, good),
                        charge.gate.healthy_threshold
                    );
                }
                Err(No::Yet(why) | No::Unasked(why)) => (good, last) = (0, why),
                Err(No::Never(why)) => return Verdict::Hopeless(why),
            }
            if told.elapsed() >= context.reporter.progress_interval() {
                told = Instant::now();
                let text = format!("{last}, after {}", text::duration(begun.elapsed()));
                context.reporter.tell(Event::StepProgress {
                    step: StepId::Health,
                    text,
                });
            }
        }
    };
    match tokio::time::timeout_at(deadline, asking).await {
        Ok(verdict) => verdict,
        Err(_) => Verdict::TimeUp {
            waited: Duration::from_secs(begun.elapsed().as_secs()),
            last,
        },
    }
}

/// The gate's own time, longer where the image's HEALTHCHECK says that it needs longer, never beyond the boot budget,
/// and long enough for as many good answers as it needs.
async fn deadline(context: &Context, charge: &Charge, begun: Instant) -> Instant {
    let now = clock::since_boot_millis();
    let at = |millis: u64| begun + Duration::from_millis(millis.saturating_sub(now));
    let own = match context.engine.status(&charge.container_id).await {
        Ok(Some(status)) if status.health.is_some() => status.health_grace,
        _ => Duration::ZERO,
    };
    let latest = at(charge.budget_end);
    at(charge.gate_deadline)
        .max((begun + own).min(latest))
        .max(begun + least(&charge.gate))
}

fn interval(gate: &Gate) -> Duration {
    if gate.asks() { gate.interval() } else { SETTLED / 6 }
}

/// What an agent that was started when the gate's time was up gives it: enough to pass, where every answer is good. No
/// key may stretch that beyond what any start of the agent gets.
fn least(gate: &Gate) -> Duration {
    interval(gate)
        .saturating_mul(gate.healthy_threshold.saturating_sub(1))
        .saturating_add(gate.probe_timeout())
        .min(budget::LEAST)
}

fn in_a_row(detail: String, good: u32) -> String {
    match good {
        1 => detail,
        good => format!("{detail}, {good} times in a row"),
    }
}

/// Everything an operator needs at 3 a.m.: the last answer, the container's state, its last lines.
pub(super) async fn reason(context: &Context, charge: &Charge, verdict: &Verdict, state: &State) -> String {
    let what = match verdict {
        Verdict::Passed(detail) => detail.clone(),
        Verdict::TimeUp { waited, last } => {
            // Whoever set the gate's time has to know that it was not the one that counted.
            let budget = if charge.gate_deadline >= charge.budget_end {
                ", when the boot budget was spent"
            } else {
                ""
            };
            format!(
                "{} did not become healthy within {}{budget}: {last}",
                charge.application,
                text::duration(*waited)
            )
        }
        Verdict::Hopeless(why) => format!("{} can't become healthy: {why}", charge.application),
        Verdict::Ended(state) => format!(
            "{} did not become healthy: the container {state}",
            charge.application
        ),
    };
    let status = context.engine.status(&charge.container_id).await;
    let (now, log_path) = match &status {
        Ok(Some(status)) => (describe(status), status.log_path.clone()),
        Ok(None) => ("it is gone".to_owned(), None),
        Err(error) => (chain(error), None),
    };
    let lines = match log_path {
        Some(path) => Shipper::tail(&path, TAIL).await,
        None => Vec::new(),
    };
    let lines = quoted(&lines.join("\n"), |text| context.reporter.redacted(text));
    let said = if lines.is_empty() {
        "it logged nothing".to_owned()
    } else {
        format!("its last lines:\n  {}", lines.join("\n  "))
    };
    format!(
        "{what}; container {}: {now} ({state}); the container is kept, look with `docker logs` and check the health_check_* keys; {said}",
        text::short_id(&charge.container_id)
    )
}

#[cfg(test)]
mod tests {
    use monopod_core::config::Probe;

    use super::*;

    #[test]
    fn a_late_gate_can_still_be_passed_and_ends() {
        let gate = |threshold, interval, probe| Gate {
            probe: Probe::Exec {
                command: vec!["/check".to_owned()],
            },
            timeout_seconds: 60,
            interval_seconds: interval,
            probe_timeout_seconds: probe,
            healthy_threshold: threshold,
            ..Gate::RUNNING
        };
        for ((threshold, interval, probe), seconds) in [
            ((1, 10, 5), 5),
            ((5, 10, 5), 45),
            ((0, 10, 5), 5),
            ((10, 3600, 5), 120),
            ((1, 10, 3600), 120),
            ((u32::MAX, u32::MAX, u32::MAX), 120),
        ] {
            let least = least(&gate(threshold, interval, probe));
            assert_eq!(least.as_secs(), seconds, "{threshold} {interval} {probe}");
        }
        assert_eq!(least(&Gate::RUNNING), Duration::from_secs(5));
    }
}
