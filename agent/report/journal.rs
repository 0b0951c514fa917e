//! Events as lines: one plain sentence and structured fields.
//!
//! ERROR: an operator must act. WARN: no data lost, look soon. INFO: a step of the boot, or a change.

use monopod_core::event::Event;
use monopod_core::text::{duration, short_id};
use tracing::{debug, error, info, warn};

pub(super) fn write(event: &Event) {
    match event {
        Event::StepStarted { step, does } => info!(step = step.name(), "{does}"),
        Event::StepProgress { step, text } => info!(step = step.name(), "{text}"),
        Event::Retrying { news: false, .. } => {}
        Event::Retrying {
            step,
            error,
            failures,
            wait,
            news: true,
        } => {
            warn!(
                step = step.name(),
                failures,
                "{error}; trying again in {}",
                duration(*wait)
            );
        }
        Event::StepDone { step, detail, took } => {
            info!(step = step.name(), "done in {}: {detail}", duration(*took))
        }
        Event::StepSkipped { step, why } => info!(step = step.name(), "skipped: {why}"),
        Event::StepFailed { step, took, .. } => {
            // The reason is in the one ERROR line that ends the boot.
            debug!(step = step.name(), "failed after {}", duration(*took));
        }
        Event::Warning { text } => warn!("{text}"),
        Event::ImageTrusted { what } => info!("verified: {what}"),
        Event::Traced { trace, verdicts } => info!(
            digest = trace.digest,
            ami = trace.ami_id,
            verdicts = verdicts.len(),
            "built from {}{}",
            trace.commit.as_deref().unwrap_or("no commit that is known"),
            trace
                .source_url
                .as_ref()
                .map_or_else(String::new, |url| format!(" of {url}"))
        ),
        Event::Container(seen) => {
            let how = if seen.adopted { "adopted" } else { "made" };
            info!(
                container = short_id(&seen.id),
                digest = seen.digest,
                "{how} the container of {}",
                seen.image
            );
        }
        Event::ContainerEnded { exit } => warn!("the container ended: {exit}"),
        Event::RestartPlanned { wait, restart } => {
            info!(restart, "starting the container again in {}", duration(*wait));
        }
        Event::Restarted { restarts } => info!(restarts, "the container was started again"),
        Event::Completed { exit } => info!("the container completed: {exit}"),
        Event::FileSet { news, .. } if news.is_empty() => {}
        Event::FileSet { set, news } => info!(set = set.set.word(), "{news}"),
        Event::Recovered { text } | Event::Drained { text } | Event::Warm { text } => info!("{text}"),
        Event::Health { healthy: true, text } => info!("{text}"),
        Event::Health { healthy: false, text } => warn!("{text}"),
        Event::Draining { phase, text } => info!(%phase, "draining: {text}"),
        Event::EngineLost { error } => {
            warn!("the engine stopped answering; the container may still run: {error}")
        }
        Event::EngineBack { away } => info!("the engine answers again after {}", duration(*away)),
        Event::Booting => info!("making the container again"),
        Event::Ready { text } => info!("ready: {text}"),
        Event::Degraded { reason } => error!("{reason}"),
        Event::BootFailed { reason, exit_code } => error!(exit_code, "{reason}"),
        // The boot's end and what it opens stand in the journal already.
        Event::Notice(notice) if !notice.what.is_warning() => {
            debug!(kind = notice.what.kind(), "{}", notice.text());
        }
        Event::Notice(notice) => warn!(kind = notice.what.kind(), "{}", notice.text()),
        Event::Stopping => info!("stopping; the container keeps running"),
    }
}
