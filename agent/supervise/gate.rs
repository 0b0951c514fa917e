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
    let mut told = (Instant::now(), String::new());
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
            if told.0.elapsed() >= context.reporter.progress_interval() {
                let text = progress(&last, &told.1, begun.elapsed());
                told = (Instant::now(), last.clone());
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

/// What was told the last time is not told in full again.
fn progress(last: &str, told: &str, after: Duration) -> String {
    let what = if last == told { "no change" } else { last };
    format!("{what}, after {}", text::duration(after))
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
        "{what}; container {}{}; the container is kept, look with `docker logs` and check the health_check_* keys; {said}",
        text::short_id(&charge.container_id),
        standing(&what, &now, state)
    )
}

/// What the container does and where it stands, as far as it was not said before: the engine's words are long.
fn standing(what: &str, now: &str, state: &State) -> String {
    let now = match what.contains(now) {
        true => String::new(),
        false => format!(": {now}"),
    };
    let is_known = |words: &str| what.contains(words) || now.contains(words);
    let state = match state {
        State::BackingOff { after } if is_known(after) => "waiting to start it again".to_owned(),
        State::Failed { reason } if is_known(reason) => "failed".to_owned(),
        state => state.to_string(),
    };
    format!("{now} ({state})")
}

#[cfg(test)]
mod tests {
    use monopod_core::config::Probe;

    use super::*;

    #[test]
    fn what_was_said_is_not_said_again() {
        let after = Duration::from_secs(12);
        assert_eq!(progress("it is paused", "", after), "it is paused, after 12 s");
        assert_eq!(
            progress("it is paused", "it is paused", after),
            "no change, after 12 s"
        );
        let waiting = |after: &str| State::BackingOff {
            after: after.to_owned(),
        };
        let failed = State::Failed {
            reason: "10 restarts in 10 min, last exit code 3".to_owned(),
        };
        for (what, now, state, said) in [
            (
                "no health: the engine could not start it: no",
                "the engine could not start it: no",
                waiting("the engine could not start it: no"),
                " (waiting to start it again)",
            ),
            (
                "no health: it was not started yet",
                "it ended with exit code 3",
                waiting("exit code 3"),
                ": it ended with exit code 3 (waiting to start it again)",
            ),
            (
                "no health: it was not started yet",
                "it runs",
                waiting("exit code 3"),
                ": it runs (waiting to start it again after exit code 3)",
            ),
            (
                "no health: the container failed: 10 restarts in 10 min, last exit code 3",
                "it ended with exit code 3",
                failed,
                ": it ended with exit code 3 (failed)",
            ),
            (
                "no health: it answers 500",
                "it runs",
                State::Running,
                ": it runs (running)",
            ),
        ] {
            assert_eq!(standing(what, now, &state), said, "{what}");
        }
    }

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
