//! systemd: READY=1, STATUS=, WATCHDOG=1, STOPPING=1.
//!
//! Invariant: READY=1 that could not be sent is owed, and goes with whatever is sent next (with a
//! watchdog, its next beat): a unit that never hears it would be starting for ever. Everything else
//! that is lost is made good by the next event.

use std::sync::atomic::{AtomicBool, Ordering};

use monopod_core::event::Event;
use monopod_core::text::{duration, shortened};
use sd_notify::NotifyState;

/// READY=1 has to be sent. One, because a process has one service manager.
static READY_OWED: AtomicBool = AtomicBool::new(false);

/// `systemctl status` shows one line.
const STATUS_LENGTH: usize = 300;

/// The event is redacted already.
pub(super) fn send(event: &Event) {
    let status = match event {
        Event::StepStarted { step, does } => format!("{step}: {does}"),
        Event::StepProgress { step, text } => format!("{step}: {text}"),
        Event::Retrying {
            step,
            error,
            wait,
            news: true,
            ..
        } => format!("{step}: {error}; trying again in {}", duration(*wait)),
        Event::StepFailed { step, error, .. } => format!("{step} failed: {error}"),
        Event::ContainerEnded { exit } => format!("the container ended: {exit}"),
        Event::RestartPlanned { wait, restart } => {
            format!("restart {restart} of the container in {}", duration(*wait))
        }
        Event::Restarted { restarts } => format!("running, restarted {restarts} times"),
        Event::Completed { exit } => format!("completed: {exit}"),
        Event::Recovered { text }
        | Event::Drained { text }
        | Event::Warm { text }
        | Event::Health { healthy: _, text } => text.clone(),
        Event::Draining { phase, text } => format!("draining, {phase}: {text}"),
        Event::EngineLost { error } => format!("the engine does not answer: {error}"),
        Event::EngineBack { .. } => "the engine answers again".to_owned(),
        Event::Booting => "making the container again".to_owned(),
        Event::Ready { text } => text.clone(),
        Event::Degraded { reason } => format!("DEGRADED: {reason}"),
        Event::BootFailed { reason, .. } => format!("FAILED: {reason}"),
        Event::Stopping => "stopping; the container keeps running".to_owned(),
        Event::Retrying { news: false, .. }
        | Event::StepDone { .. }
        | Event::StepSkipped { .. }
        | Event::Warning { .. }
        | Event::Container(_)
        | Event::ImageTrusted { .. }
        | Event::Traced { .. }
        | Event::Notice(_)
        | Event::FileSet { .. } => {
            return;
        }
    };
    let status = shortened(&status.replace('\n', " | "), STATUS_LENGTH);
    let status = NotifyState::Status(&status);
    match event {
        Event::Ready { .. } => {
            READY_OWED.store(true, Ordering::Relaxed);
            notify(&[status]);
        }
        Event::Stopping => {
            READY_OWED.store(false, Ordering::Relaxed);
            notify(&[NotifyState::Stopping, status]);
        }
        _ => notify(&[status]),
    }
}

/// How often [`alive`] has to be called; `None` without a watchdog.
pub(crate) fn watchdog_interval() -> Option<std::time::Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 3)
}

/// The supervisor's loop has come round.
pub(crate) fn alive() {
    notify(&[NotifyState::Watchdog]);
}

/// Sends these, after READY=1 if that is owed.
fn notify(states: &[NotifyState<'_>]) {
    let owed = READY_OWED.load(Ordering::Relaxed);
    let ready = owed.then_some(NotifyState::Ready);
    let all: Vec<NotifyState<'_>> = ready.into_iter().chain(states.iter().cloned()).collect();
    match sd_notify::notify(&all) {
        Ok(()) if owed => READY_OWED.store(false, Ordering::Relaxed),
        Ok(()) => {}
        Err(error) if owed => {
            tracing::warn!("systemd was not told that the machine is up, trying again: {error}")
        }
        Err(error) => tracing::warn!("systemd was not told, ignoring: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    use super::*;
    use crate::report::testing::{TempDir, alone};

    #[test]
    fn ready_is_owed_until_it_is_sent() {
        let directory = TempDir::new("owed");
        if let Some(mut again) = alone("report::notify::tests::ready_is_owed_until_it_is_sent") {
            let run = again
                .env("NOTIFY_SOCKET", directory.path().join("late"))
                .output()
                .unwrap();
            assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
            return;
        }
        let socket = std::env::var_os("NOTIFY_SOCKET").unwrap();
        send(&Event::Ready {
            text: "up".to_owned(),
        });
        alive();
        let systemd = UnixDatagram::bind(socket).unwrap();
        systemd.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let heard = || {
            let mut message = [0; 4096];
            let length = systemd.recv(&mut message).unwrap();
            String::from_utf8_lossy(&message[..length]).into_owned()
        };
        alive();
        assert_eq!(heard(), "READY=1\nWATCHDOG=1\n");
        alive();
        assert_eq!(heard(), "WATCHDOG=1\n");
        send(&Event::Ready {
            text: "up".to_owned(),
        });
        assert_eq!(heard(), "READY=1\nSTATUS=up\n");
        send(&Event::Stopping);
        assert!(heard().starts_with("STOPPING=1\nSTATUS="));
    }
}
