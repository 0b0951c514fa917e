//! Watching the container through an engine that may be restarted, killed or frozen under it.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::plan::reconcile::Phase;
use monopod_core::retry;
use monopod_core::supervise::{Cause, Exit};
use tokio::time::Instant;

use super::{cause, has_ended};
use crate::boot::hint::Charge;
use crate::boot::steps::prepare;
use crate::context::Context;
use crate::host::docker::{Engine, EngineError, Stopped};
use crate::host::{chain, clock};

/// The firewall's unit answers at once, or starts first. Rules that nobody asked for have less, and refuse no start.
const FIREWALL: Duration = Duration::from_secs(15);
/// A frozen engine does not end a wait: it is asked for the container this often beside it.
const LOOK: Duration = Duration::from_secs(30);
/// A wait that lasted so long was one: its end is no sign of an engine that refuses them all.
const LASTING: Duration = Duration::from_secs(1);

/// What watching ended with.
pub(super) enum Seen {
    /// It ended.
    Ended {
        /// How.
        exit: Exit,
        /// Through whom.
        cause: Cause,
    },
    /// The engine knows it no more.
    Vanished,
}

/// Returns when the container has ended or is gone, however often the engine goes away in between.
pub(super) async fn until_ended(context: &Context, id: &str) -> Seen {
    let mut outage = Outage::default();
    let mut paused = false;
    let mut refused = Refused::default();
    loop {
        let begun = Instant::now();
        let waited = tokio::select! {
            waited = context.engine.ended(id) => waited,
            () = tokio::time::sleep(LOOK) => Ok(()),
        };
        let pause = refused.pause(waited.is_err(), begun.elapsed(), clock::chance());
        // Other errors are about the container, and its status says it better.
        if let Some(error) = waited.as_ref().err().filter(|error| error.is_outage()) {
            outage.begins(context, error);
        }
        let status = match context.engine.status(id).await {
            Ok(status) => status,
            Err(error) => {
                outage.begins(context, &error);
                tokio::time::sleep(outage.wait()).await;
                continue;
            }
        };
        let was_away = outage.ends(context).await;
        match status {
            None => return Seen::Vanished,
            Some(status) if !has_ended(status.phase) => {
                if status.phase == Phase::Paused && !std::mem::replace(&mut paused, true) {
                    let text = "the container was paused by somebody else; `docker unpause` lets it go on"
                        .to_owned();
                    context.reporter.tell(Event::Warning { text });
                }
                paused &= status.phase == Phase::Paused;
                tokio::time::sleep(pause).await;
            }
            Some(status) => {
                let by_engine = was_away || (status.exit.code == 0 && is_leaving(&context.engine).await);
                return Seen::Ended {
                    exit: status.exit,
                    cause: cause(by_engine),
                };
            }
        }
    }
}

/// Waits that the engine failed though it says that the container runs: it is not asked again at once.
#[derive(Default)]
struct Refused(u32);

impl Refused {
    /// How long to leave it alone after a wait.
    fn pause(&mut self, failed: bool, lasted: Duration, chance: f64) -> Duration {
        if !failed || lasted >= LASTING {
            self.0 = 0;
        }
        if !failed {
            return Duration::ZERO;
        }
        self.0 = self.0.saturating_add(1);
        retry::LOCAL.delay(self.0, chance)
    }
}

/// What starting ended with.
pub(super) enum Start {
    /// It runs.
    Done,
    /// The engine refused; it may not the next time.
    Refused(String),
    /// The engine knows it no more.
    Vanished,
    /// Its files are gone, and only the user data has them.
    FilesGone,
}

/// Waits so long, or until the engine that refused a start has gone and is back: what it was refused for may be over.
pub(super) async fn wait_out(context: &Context, wait: Duration) {
    tokio::select! {
        () = tokio::time::sleep(wait) => {}
        () = context.engine.gone() => back(context).await,
    }
}

/// Returns when the engine has gone and is back.
pub(super) async fn renewed(context: &Context) {
    context.engine.gone().await;
    back(context).await;
}

async fn back(context: &Context) {
    let mut outage = Outage::default();
    while let Err(error) = context.engine.ping().await {
        outage.begins(context, &error);
        // Nothing ran whose lines it could have lost.
        outage.died = false;
        tokio::time::sleep(outage.wait()).await;
    }
    outage.ends(context).await;
}

/// Stops it to be started again, waiting for an engine that is away. What keeps it from stopping is told by the start.
/// Down before anybody told it to be means that it ended by itself; after an outage nobody knows, and it is started.
pub(super) async fn stop(context: &Context, id: &str) -> Stopped {
    let mut outage = Outage::default();
    loop {
        match context.engine.ensure_stopped(id).await {
            Err(error) if error.is_outage() => {
                outage.begins(context, &error);
                tokio::time::sleep(outage.wait()).await;
            }
            stopped => {
                let was_away = outage.ends(context).await;
                match stopped {
                    Ok(Stopped::Before) if !was_away => return Stopped::Before,
                    Ok(_) => {}
                    Err(error) => {
                        let text = format!(
                            "the container could not be stopped to be started anew: {}",
                            chain(&error)
                        );
                        context.reporter.tell(Event::Warning { text });
                    }
                }
                return Stopped::ByUs;
            }
        }
    }
}

/// Sends it a signal, waiting for an engine that is away.
pub(super) async fn signal(context: &Context, id: &str, signal: &str) {
    let mut failures = 0;
    let error = loop {
        match context.engine.signal(id, signal).await {
            Ok(()) => return,
            Err(error) if error.is_outage() => {
                failures += 1;
                tokio::time::sleep(retry::LOCAL.delay(failures, clock::chance())).await;
            }
            Err(error) => break error,
        }
    };
    let text = format!(
        "the container was not told that its files have changed; check `refresh.on_change`: {}",
        chain(&error)
    );
    context.reporter.tell(Event::Warning { text });
}

/// Starts it, waiting for an engine that is away.
pub(super) async fn start(context: &Context, charge: &Charge) -> Start {
    let id = charge.container_id.as_str();
    if !charge.files.is_known() {
        return Start::FilesGone;
    }
    if let Err(gone) = prepare::ensure_still_mounted(&charge.mounts) {
        return Start::Refused(chain(&gone));
    }
    if let Err(error) = context.ensure_firewall(Instant::now() + FIREWALL).await {
        return Start::Refused(chain(&error));
    }
    // Somebody may have tidied up the runtime directory since the last start.
    if let Err(error) = charge
        .files
        .ensure()
        .and_then(|()| context.identity.renew_token())
    {
        return Start::Refused(chain(&error));
    }
    let mut outage = Outage::default();
    loop {
        match context.engine.ensure_started(id).await {
            Ok(()) => {
                outage.ends(context).await;
                // The engine names the log file at the first start: a container that could not be started at once is
                // followed from here on.
                if let Ok(Some(status)) = context.engine.status(id).await {
                    context.ensure_followed(id, status.log_path.as_deref()).await;
                }
                return Start::Done;
            }
            Err(error) if error.is_outage() => {
                outage.begins(context, &error);
                tokio::time::sleep(outage.wait()).await;
            }
            Err(error) => {
                // A refusal of 404 may be about the container's command as well as about the container.
                let gone = matches!(context.engine.status(id).await, Ok(None));
                return if gone {
                    Start::Vanished
                } else {
                    Start::Refused(chain(&error))
                };
            }
        }
    }
}

/// An engine that shuts down closes its socket first and stops its containers then, while connections
/// it already has still answer: only a new one tells. Without this a clean exit would look like the
/// application's own, and the container would stay down after an engine restart.
async fn is_leaving(engine: &Engine) -> bool {
    match Engine::new(Some(engine.host())) {
        Ok(fresh) => fresh.ping().await.is_err_and(|error| error.is_outage()),
        Err(_) => false,
    }
}

/// Tells the begin and the end of an outage once each.
#[derive(Default)]
struct Outage {
    since: Option<Instant>,
    /// The connection broke, so the engine may have died with lines it had accepted.
    died: bool,
    failures: u32,
}

impl Outage {
    fn begins(&mut self, context: &Context, error: &EngineError) {
        self.failures += 1;
        self.died |= !matches!(error, EngineError::Silent { .. });
        if self.since.is_none() {
            self.since = Some(Instant::now());
            context.reporter.tell(Event::EngineLost { error: chain(error) });
        }
    }

    fn wait(&self) -> Duration {
        retry::LOCAL.delay(self.failures, clock::chance())
    }

    /// Whether there was one.
    async fn ends(&mut self, context: &Context) -> bool {
        let Some(since) = self.since.take() else {
            return false;
        };
        let away = since.elapsed();
        context.reporter.tell(Event::EngineBack { away });
        // A restarted engine leaves our table alone. Whoever restarted it may not have.
        if let Err(error) = context.ensure_firewall(Instant::now() + FIREWALL).await {
            let text = format!(
                "the firewall's rules were not looked at after the engine's return: {}",
                chain(&error)
            );
            context.reporter.tell(Event::Warning { text });
        }
        if std::mem::take(&mut self.died) {
            let reason = format!(
                "the engine was away for {} s; lines it had accepted from the application may be lost, how many is unknown",
                away.as_secs()
            );
            context.record_gap(&reason).await;
        }
        self.failures = 0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_that_fails_every_wait_is_asked_less_and_less_often() {
        let (mut refused, at_once) = (Refused::default(), Duration::ZERO);
        assert_eq!(refused.pause(false, at_once, 0.0), Duration::ZERO);
        let first = refused.pause(true, at_once, 0.0);
        assert_eq!(first, retry::LOCAL.delay(1, 0.0));
        for _ in 0..10 {
            refused.pause(true, at_once, 0.0);
        }
        assert_eq!(refused.pause(true, at_once, 0.0), retry::LOCAL.max / 2);
        assert_eq!(refused.pause(true, LASTING, 0.0), first, "that one was a wait");
        refused.pause(true, at_once, 0.0);
        refused.pause(false, at_once, 0.0);
        assert_eq!(
            refused.pause(true, at_once, 0.0),
            first,
            "the engine is well again"
        );
    }
}
