//! The daemon: boot, supervise, and boot again when the container vanished.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use monopod_core::event::Event;
use monopod_core::lifecycle::signal;
use monopod_core::retry::Backoff;
use tokio::signal::unix::{self, SignalKind};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::audit::Live;
use crate::boot::error::EXIT_TRANSIENT;
use crate::boot::hint::Charge;
use crate::boot::{self, BootError, Occasion};
use crate::context::{Context, Directories, LogTargets, Sources};
use crate::host::docker::Engine;
use crate::host::{Class, Classified as _, chain, clock, files};
use crate::lifecycle::drain::{self, Causes};
use crate::lifecycle::launch::{self, Afterwards};
use crate::lifecycle::{self, control, notices};
use crate::otlp;
use crate::report::output::Output;
use crate::report::{Reporter, SharedRedactor, notify};
use crate::supervise::{self, Begin, End};

/// Lines in flight get this long to leave when the agent stops; the rest is shipped by the next start.
const FLUSH: Duration = Duration::from_secs(10);

/// Whoever waits for the boot's result is told for at least so long.
const TELLING: Duration = Duration::from_secs(60);
/// How a boot failed gets this long to be told; what is not taken waits for the next start.
const TELL_AUDIT: Duration = Duration::from_secs(5);

/// The same as a trace, if anybody asks for one.
const TELL_OTLP: Duration = Duration::from_secs(5);

const STOPPED: &str = "the agent was stopped before the machine was up";
const LEFT: &str = "the machine leaves before it is up; see why it is drained";

/// Before a removed container is made again: 0.1 to 60 s.
const VANISHED: Backoff = Backoff {
    first: Duration::from_millis(100),
    max: Duration::from_secs(60),
};

/// `monopod status` holds the lock for the moment of a look: it is no other agent.
const LOCK_PATIENCE: Duration = Duration::from_millis(200);

/// Everything the command line says.
pub(super) struct Options {
    pub(super) directories: Directories,
    pub(super) sources: Sources,
    pub(super) log_targets: LogTargets,
    pub(super) redactor: SharedRedactor,
    pub(super) output: Output,
}

/// Runs until stopped or beaten; the exit code.
pub(super) fn run(options: Options) -> u8 {
    // One thread: the agent waits nearly all its life, and a second thread would cost more memory than it saves time.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("cannot start the asynchronous runtime: {error}");
            return EXIT_TRANSIENT;
        }
    };
    let code = runtime.block_on(daemon(options));
    // A blocking read that never ends must not hold up the exit.
    runtime.shutdown_timeout(Duration::from_millis(100));
    code
}

async fn daemon(options: Options) -> u8 {
    let Options {
        directories,
        sources,
        log_targets,
        redactor,
        output,
    } = options;
    // Through the same redaction as every other line.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    let prepared = prepare(&directories).await;
    let reporter = Reporter::new(&directories.runtime, Arc::clone(&redactor), output);
    let fail = |error: BootError| {
        let exit_code = error.exit_code();
        reporter.tell(Event::BootFailed {
            reason: chain(&error),
            exit_code,
        });
        exit_code
    };
    // Held to the end: two agents would be two restarters.
    let _lock = match prepared {
        Ok(lock) => lock,
        // Not told through the reporter: the status file is the other agent's.
        Err(error) => {
            tracing::error!(exit_code = error.exit_code(), "{}", chain(&error));
            return error.exit_code();
        }
    };
    let stop = match stop_on_signals() {
        Ok(stop) => stop,
        Err(error) => {
            tracing::error!("cannot listen for signals: {error}");
            return EXIT_TRANSIENT;
        }
    };
    let engine = match Engine::new(std::env::var("DOCKER_HOST").ok().as_deref()) {
        Ok(engine) => engine,
        Err(error) => return fail(error.into()),
    };
    let context = Context::new(engine, reporter.clone(), directories, sources, log_targets);
    let causes = Causes::default();
    drain::recall(&context, &causes);
    let outcome = AssertUnwindSafe(everything(&context, &stop, &causes))
        .catch_unwind()
        .await;
    let mut is_over = false;
    let code = match outcome.unwrap_or_else(|panic| Err(BootError::panicked(&*panic))) {
        Ok(()) => {
            launch::last_words(&context, STOPPED).await;
            reporter.tell(Event::Stopping);
            0
        }
        // The group wants it back, and a new agent begins with nothing.
        Err(error @ BootError::Woken) => {
            tracing::info!("{}", chain(&error));
            error.exit_code()
        }
        Err(error) => {
            let (reason, ends) = (chain(&error), ends_boot(&context, &error));
            let code = fail(error);
            is_over = ends;
            if ends {
                // Before whatever becomes of a machine whose boot failed.
                otlp::last_words(&context, Instant::now() + TELL_OTLP).await;
                // Whoever stops the agent meanwhile does not wait for as long as those who wait for the boot.
                tokio::select! {
                    () = launch::failed(&context, &reason, patience(&context), Afterwards::Act) => {}
                    () = stop.cancelled() => launch::last_words(&context, &reason).await,
                }
            }
            code
        }
    };
    if code != 0 {
        let deadline = Instant::now() + TELL_AUDIT;
        tokio::join!(
            context.flush_audit(deadline, Live::Stays),
            context.flush_events(deadline, is_over)
        );
    }
    context.stop_shipping(Instant::now() + FLUSH).await;
    code
}

/// Looks after the machine, and tells others how it is meanwhile.
async fn everything(context: &Context, stop: &CancellationToken, causes: &Causes) -> Result<(), BootError> {
    tokio::select! {
        outcome = look_after(context, stop, causes) => outcome,
        never = lifecycle::heartbeats(context) => match never {},
        never = lifecycle::registration(context) => match never {},
        never = lifecycle::metrics(context) => match never {},
        never = otlp::run(context) => match never {},
        never = lifecycle::relay(context) => match never {},
        never = notices::watch(context, causes) => match never {},
        never = control::serve(context, causes) => match never {},
        never = crate::notices::watch(context) => match never {},
    }
}

/// Whether nobody will try again in time.
fn ends_boot(context: &Context, error: &BootError) -> bool {
    let is_final = error.class() == Class::Permanent || matches!(error, BootError::BudgetSpent { .. });
    signal::ends_boot(is_final, clock::since_boot_millis(), context.life().awaited_until)
}

/// A failure that nobody hears of is waited out by those who wait for the boot: tell them as long as they do.
fn patience(context: &Context) -> Duration {
    let left = context
        .life()
        .awaited_until
        .saturating_sub(clock::since_boot_millis());
    Duration::from_millis(left).max(TELLING)
}

/// Until the agent is stopped; a container that vanished is made again. A boot is left where it is, and supervision ends
/// by itself: it may have stopped the container to start it anew.
async fn look_after(context: &Context, stop: &CancellationToken, causes: &Causes) -> Result<(), BootError> {
    let mut vanished = 0;
    let mut occasion = Occasion::Start;
    loop {
        let (charge, begin) = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            // A boot is left where it is, and one of a machine that leaves is not begun.
            () = causes.begun() => {
                // A machine that leaves before it is up has failed, and that has to be out before it is gone.
                let (left, ()) = tokio::join!(
                    drain::run(context, causes, stop, drain::Until::Stopped),
                    async {
                        tokio::select! {
                            () = launch::failed(context, LEFT, TELLING, Afterwards::TellOnly) => {}
                            () = stop.cancelled() => {}
                        }
                    }
                );
                return left;
            }
            booted = boot_watched(context, occasion) => booted?,
        };
        let since = Instant::now();
        match supervise::supervise(context, &charge, begin, stop, causes).await {
            End::Stopped => return Ok(()),
            End::Leaving => {}
            End::Vanished => {
                // Whoever removes it again and again is not raced.
                vanished = if since.elapsed() > VANISHED.max {
                    1
                } else {
                    vanished + 1
                };
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = causes.begun() => {}
                    () = tokio::time::sleep(VANISHED.delay(vanished, clock::chance())) => {}
                }
                occasion = Occasion::Vanished;
                context.reporter.tell(Event::Booting);
            }
        }
    }
}

/// A boot in the middle of the agent's life has a watchdog running already.
async fn boot_watched(context: &Context, occasion: Occasion) -> Result<(Charge, Begin), BootError> {
    let mut boot = std::pin::pin!(boot::boot(context, occasion));
    let Some(interval) = notify::watchdog_interval() else {
        return boot.await;
    };
    let mut ticks = tokio::time::interval(interval);
    loop {
        tokio::select! {
            outcome = &mut boot => return outcome,
            _ = ticks.tick() => notify::alive(),
        }
    }
}

async fn prepare(directories: &Directories) -> Result<files::Lock, BootError> {
    files::ensure_directory(&directories.runtime)?;
    files::ensure_directory(&directories.state)?;
    let path = directories.runtime.join(LOCK_FILE);
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match files::lock(&path) {
            Err(files::LockError::Held { .. }) if Instant::now() < deadline => {
                tokio::time::sleep(LOCK_PATIENCE / 10).await;
            }
            outcome => return Ok(outcome?),
        }
    }
}

/// In the runtime directory; held while an agent runs.
pub(super) const LOCK_FILE: &str = "lock";

fn stop_on_signals() -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut terminate = unix::signal(SignalKind::terminate())?;
    let mut interrupt = unix::signal(SignalKind::interrupt())?;
    let token = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_waits_for_all_that_is_done_at_a_stop() {
        let unit = include_str!("../../systemd/monopod.service");
        let limit = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec="));
        let limit = Duration::from_secs(limit.unwrap().parse().unwrap());
        let done = supervise::FINISH + launch::LAST_WORDS + FLUSH;
        assert!(limit >= done + Duration::from_secs(5), "{done:?}");
    }
}
