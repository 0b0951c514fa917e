//! systemd: READY=1, STATUS=, WATCHDOG=1, STOPPING=1.

use std::sync::PoisonError;

use monopod_core::event::Event;
use monopod_core::text::{duration, shortened};
use sd_notify::NotifyState;

use super::SharedRedactor;

/// `systemctl status` shows one line.
const STATUS_LENGTH: usize = 300;

pub(super) fn send(event: &Event, redactor: &SharedRedactor) {
    let status = match event {
        Event::StepStarted { step, does } => format!("{step}: {does}"),
        Event::StepProgress { step, text } => format!("{step}: {text}"),
        Event::Retrying {
            step, error, wait, ..
        } => format!("{step}: {error}; trying again in {}", duration(*wait)),
        Event::StepFailed { step, error, .. } => format!("{step} failed: {error}"),
        Event::ContainerEnded { exit } => format!("the container ended: {exit}"),
        Event::RestartPlanned { wait, restart } => {
            format!("restart {restart} of the container in {}", duration(*wait))
        }
        Event::Restarted { restarts } => format!("running, restarted {restarts} times"),
        Event::Completed { exit } => format!("completed: {exit}"),
        Event::EngineLost { error } => format!("the engine does not answer: {error}"),
        Event::EngineBack { .. } => "the engine answers again".to_owned(),
        Event::Booting => "making the container again".to_owned(),
        Event::Ready { text } => text.clone(),
        Event::Degraded { reason } => format!("DEGRADED: {reason}"),
        Event::BootFailed { reason, .. } => format!("FAILED: {reason}"),
        Event::Stopping => "stopping; the container keeps running".to_owned(),
        Event::StepDone { .. } | Event::StepSkipped { .. } | Event::Warning { .. } | Event::Container(_) => {
            return;
        }
    };
    let status = redactor
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .redact(&status)
        .replace('\n', " | ");
    let status = shortened(&status, STATUS_LENGTH);
    let status = NotifyState::Status(&status);
    let sent = match event {
        Event::Ready { .. } => sd_notify::notify(&[NotifyState::Ready, status]),
        Event::Stopping => sd_notify::notify(&[NotifyState::Stopping, status]),
        _ => sd_notify::notify(&[status]),
    };
    if let Err(error) = sent {
        tracing::warn!("systemd was not told, ignoring: {error}");
    }
}

/// How often [`alive`] has to be called; `None` without a watchdog.
pub(crate) fn watchdog_interval() -> Option<std::time::Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

/// The supervisor's loop has come round.
pub(crate) fn alive() {
    if let Err(error) = sd_notify::notify(&[NotifyState::Watchdog]) {
        tracing::warn!("the watchdog was not fed, ignoring: {error}");
    }
}
