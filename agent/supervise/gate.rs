//! The health gate: asks until the answer is right or the time is up, and says why it was not.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::reconcile::Phase;
use monopod_core::plan::{Gate, PROBE_INTERVAL, PROBE_TIMEOUT, StepId};
use monopod_core::supervise::State;
use monopod_core::text;
use tokio::time::{Instant, MissedTickBehavior};

use crate::boot::hint::Charge;
use crate::context::Context;
use crate::host::docker::Health;
use crate::host::probe::{Answer, Probe};
use crate::host::{chain, clock, docker};
use crate::logs::Shipper;

/// Lines of the application's own log in a failure's reason.
const TAIL: usize = 10;

/// Without any check, running for so long is enough.
const SETTLED: Duration = Duration::from_secs(3);

/// Characters of what somebody else wrote in one line of ours.
const LINE_LENGTH: usize = 300;

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
    /// The container ended for good first.
    Ended(String),
}

/// Asks every two seconds, the first time at once. A restarted agent gets the rest of the time, never all of it again.
pub(super) async fn run(context: &Context, charge: &Charge) -> Verdict {
    let begun = Instant::now();
    let deadline = deadline(context, charge, begun).await;
    let mut interval = PROBE_INTERVAL;
    let probe = match &charge.gate {
        Gate::Running => {
            interval = SETTLED / 6;
            None
        }
        Gate::Http { port, path, .. } => match Probe::new(*port, path, PROBE_TIMEOUT) {
            Ok(probe) => Some(probe),
            Err(error) => {
                return Verdict::TimeUp {
                    waited: Duration::ZERO,
                    last: format!("the probe could not be made: {}", chain(&error)),
                };
            }
        },
    };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    let mut last = "nothing was asked yet".to_owned();
    let asking = async {
        loop {
            ticks.tick().await;
            match ask(context, charge, probe.as_ref()).await {
                Ok(detail) => return detail,
                Err(why) => last = why,
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
        Ok(detail) => Verdict::Passed(detail),
        Err(_) => Verdict::TimeUp {
            waited: Duration::from_secs(begun.elapsed().as_secs()),
            last,
        },
    }
}

/// The gate's own time, longer where the image's HEALTHCHECK says that it needs longer, never beyond the boot budget,
/// and long enough for one probe.
async fn deadline(context: &Context, charge: &Charge, begun: Instant) -> Instant {
    let now = clock::now_millis();
    let at = |millis: u64| begun + Duration::from_millis(millis.saturating_sub(now));
    let own = match context.engine.status(&charge.container_id).await {
        Ok(Some(status)) if status.health.is_some() => status.health_grace,
        _ => Duration::ZERO,
    };
    let latest = at(charge.budget_end);
    at(charge.gate_deadline)
        .max((begun + own).min(latest))
        .max(begun + PROBE_TIMEOUT)
}

/// One look: the image's own check first, then ours.
async fn ask(context: &Context, charge: &Charge, probe: Option<&Probe>) -> Result<String, String> {
    let status = match context.engine.status(&charge.container_id).await {
        Ok(Some(status)) => status,
        Ok(None) => return Err("the container is gone".to_owned()),
        Err(error) => return Err(chain(&error)),
    };
    if status.phase != Phase::Running {
        return Err(describe(&status));
    }
    let image_says = match &status.health {
        None => "",
        Some(Health::Healthy) => " and the image's HEALTHCHECK says healthy",
        Some(Health::Starting) => return Err("the image's HEALTHCHECK says starting".to_owned()),
        Some(Health::Unhealthy(output)) => {
            let output = quoted(output, |text| context.reporter.redacted(text)).join(" | ");
            let output = text::shortened(&output, LINE_LENGTH);
            return Err(format!("the image's HEALTHCHECK says unhealthy: {output}"));
        }
    };
    match probe {
        // A process that dies at once runs for a moment too.
        None if status.health.is_none() && runs_for(&status) < SETTLED => {
            Err("it has just been started".to_owned())
        }
        None => Ok(format!("it runs{image_says}")),
        Some(probe) => match probe.ask().await {
            Answer::Healthy => Ok(format!("{} answers 200{image_says}", probe.url())),
            answer => Err(format!("{} answers: {answer}", probe.url())),
        },
    }
}

fn runs_for(status: &docker::ContainerStatus) -> Duration {
    Duration::from_millis(
        status
            .started_at
            .map_or(0, |at| clock::now_millis().saturating_sub(at)),
    )
}

fn describe(status: &docker::ContainerStatus) -> String {
    match status.phase {
        Phase::Running => "it runs".to_owned(),
        Phase::Paused => "it is paused".to_owned(),
        Phase::Created if status.error.is_empty() => "it was not started yet".to_owned(),
        Phase::Created => format!("it could not be started: {}", status.error),
        Phase::Exited | Phase::Dead => format!("it ended with {}", status.exit),
    }
}

/// What an application wrote, as lines that fit into ours. Redacted first, as a whole: a secret may
/// have several lines and control characters, and a part of one is not found.
fn quoted(text: &str, redacted: impl FnOnce(&str) -> String) -> Vec<String> {
    let text = redacted(text);
    text.trim_end()
        .lines()
        .map(|line| text::shortened(&text::printable(line), LINE_LENGTH))
        .collect()
}

/// Everything an operator needs at 3 a.m.: the last answer, the container's state, its last lines.
pub(super) async fn reason(context: &Context, charge: &Charge, verdict: &Verdict, state: &State) -> String {
    let what = match verdict {
        Verdict::Passed(detail) => detail.clone(),
        Verdict::TimeUp { waited, last } => {
            format!(
                "{} did not become healthy within {}: {last}",
                charge.application,
                text::duration(*waited)
            )
        }
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
    use monopod_core::redact::Redactor;
    use monopod_core::secret::Secret;

    use super::*;

    #[test]
    fn what_an_application_wrote_is_redacted_then_tidied_then_cut() {
        let mut redactor = Redactor::default();
        for value in ["hunter2-hunter2", "ab-1\ncd-2\nef-3", "tab\there-and-there"] {
            redactor.learn(&Secret::new(value.to_owned()));
        }
        let long = format!("{:.<290} hunter2-hunter2{}", "", "x".repeat(200_000));
        let text = format!("\x1b[31mred\0\rwiped\r\n{long}\nab-1\ncd-2\nef-3\n\ntab\there-and-there\n\n");
        let lines = quoted(&text, |text| redactor.redact(text).into_owned());
        let cut = format!("{:.<290} [redacted…", "");
        assert_eq!(lines, ["·[31mred··wiped", &cut, "[redacted]", "", "[redacted]"]);
    }

    #[test]
    fn nothing_written_is_no_line() {
        assert!(quoted("", str::to_owned).is_empty());
        assert!(quoted("\n\n", str::to_owned).is_empty());
    }
}
