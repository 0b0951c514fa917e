//! The one task that looks after the running container.
//!
//! ```text
//!           ┌─► watch (engine: wait, inspect) ─┐
//! container ┤                                  ├─► state machine (pure) ─► start / wait
//!           ├─► gate (probe) ──────────────────┤            │
//!           ├─► wellness (probes, the group) ──┤            │
//!           └─► refresh (AWS, tmpfs) ──────────┘            │
//!                                                           └─► events ─► reporters
//! ```
//!
//! Design: all engine writes after the boot happen here. The decisions are those of
//! `monopod_core::supervise`; this file carries inputs in and actions out. Engine calls are futures
//! beside the loop, but for the one look that explains a failed gate, which has a deadline: the
//! watchdog is fed exactly while the loop comes round.
//!
//! Invariants
//! - The container is never stopped by the agent's own end (SIGTERM, crash): only `drain` will. A restart for new files
//!   that has begun goes on to its start.
//! - READY is told once, after the gate; after an adoption whose gate was passed, at once.
//! - A container is told of new secret files by this task alone, after they are in place.
//! - A container that vanished (somebody removed it) ends this task, and the boot makes a new one.

mod ending;
mod fetch;
mod follow;
mod gate;
mod look;
mod probes;
mod refresh;
mod replacing;
mod watch;
mod wellness;

use std::time::Duration;

use futures_util::future::{LocalBoxFuture, OptionFuture};
use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::plan::reconcile::Phase;
use monopod_core::plan::sets::SetName;
use monopod_core::supervise::refresh::Reaction;
use monopod_core::supervise::restart::Budget;
use monopod_core::supervise::{Action, Cause, Input, State, Supervisor};
use monopod_core::text;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::boot::hint::{self, Charge};
use crate::context::Context;
use crate::host::chain;
use crate::host::clock::{self, Monotonic};
use crate::host::docker::Stopped;
use crate::lifecycle::drain::Causes;
use crate::lifecycle::launch::{self, Afterwards, NotUp};
use crate::report::notify;
use gate::Verdict;
use look::{No, Question};
use refresh::{News, Refreshing};
use watch::{Seen, Start};
use wellness::Wellness;

/// Counters in the status file are at most this old.
const REFRESH: Duration = Duration::from_secs(10);

/// A restart for new files gets so long when the agent is told to stop: with the lines in flight, less than the unit's
/// TimeoutStopSec.
pub(crate) const FINISH: Duration = Duration::from_secs(12);

/// Those who wait for the boot's result are told for at least so long, however late it is.
const TELLING: Duration = Duration::from_secs(60);

/// How the container was handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// It runs.
    Running,
    /// It exists and has ended.
    Ended,
    /// It exists, and the engine could not start it (yet).
    NotStarted {
        /// What the engine said.
        error: String,
    },
}

/// Why supervision ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The agent was asked to stop.
    Stopped,
    /// The container is gone, or what it takes to start it: boot again.
    Vanished,
    /// There is a cause to leave.
    Leaving,
}

/// What the engine side of the loop is doing; one thing at a time.
enum Doing {
    Watched(Seen),
    Started(Start),
    WaitedOut,
    /// The engine that refused the last start was started again.
    EngineRenewed,
}

/// Looks after the container until the agent is stopped or the container is gone.
pub async fn supervise(
    context: &Context,
    charge: &Charge,
    begin: Begin,
    stop: &CancellationToken,
    causes: &Causes,
) -> End {
    let mut supervision = Supervision::new(context, charge);
    let untold = supervision.refreshing.untold();
    let mut doing: Option<LocalBoxFuture<'_, Doing>> = supervision.begin(begin);
    let mut gate: Option<LocalBoxFuture<'_, Verdict>> = supervision.open_gate();
    let mut launch: Option<LocalBoxFuture<'_, Launched>> = supervision.go_on();
    for name in untold {
        // The agent before may have stopped it for that already: how it ends now is no word of its own.
        doing = supervision.changed(name, Judged::No).or(doing);
    }
    context.refresh_logs().await;
    let mut refresh = Box::pin(context.logs_refreshed(REFRESH));
    let mut watchdog = notify::watchdog_interval().map(tokio::time::interval);
    if let Some(ticker) = &mut watchdog {
        ticker.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => {
                if let Some(restart) = doing.take().filter(|_| supervision.renewing) {
                    supervision.finish(restart).await;
                }
                return End::Stopped;
            }
            // The drain looks after it from here: whatever was being done is left where it is, and nothing is started.
            () = causes.begun() => return End::Leaving,
            Some(outcome) = OptionFuture::from(doing.as_mut()) => {
                let outcome = match outcome {
                    Doing::Watched(Seen::Vanished) | Doing::Started(Start::Vanished) => {
                        context.reporter.tell(Event::Warning { text: "the container was removed by somebody else".to_owned() });
                        return End::Vanished;
                    }
                    Doing::Started(Start::FilesGone) => {
                        context.reporter.tell(Event::Warning { text: "the container's files are needed to start it again; reading the user data".to_owned() });
                        return End::Vanished;
                    }
                    outcome => outcome,
                };
                doing = supervision.take(outcome);
                if supervision.machine.state().is_final() && gate.take().is_some() {
                    supervision.gate_over(Verdict::Ended(supervision.machine.state().to_string())).await;
                    launch = supervision.go_on();
                }
                if let Some(not_up) = supervision.fell_back() {
                    launch = supervision.launched(Launched::NotUp(not_up));
                }
            }
            Some(verdict) = OptionFuture::from(gate.as_mut()) => {
                gate = None;
                supervision.gate_over(verdict).await;
                launch = supervision.go_on();
            }
            Some(launched) = OptionFuture::from(launch.as_mut()) => {
                launch = supervision.launched(launched);
            }
            news = supervision.refreshing.next() => {
                if let Some(other) = supervision.hear(news) {
                    doing = Some(other);
                }
            }
            Some(()) = OptionFuture::from(supervision.signalling.as_mut()) => supervision.signalled(),
            deeds = supervision.wellness.next() => {
                if let Some(other) = supervision.follow(deeds) {
                    doing = Some(other);
                }
            }
            Some(()) = OptionFuture::from(supervision.ending.as_mut()) => supervision.ending = None,
            Some(_) = OptionFuture::from(watchdog.as_mut().map(Interval::tick)) => notify::alive(),
            () = &mut refresh => refresh.set(context.logs_refreshed(REFRESH)),
        }
    }
}

/// Whether an end that is found when it is stopped for new files is the container's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Judged {
    Yes,
    No,
}

/// What became of a machine after its local gate.
enum Launched {
    Up,
    NotUp(NotUp),
    /// The boot failed, and all who waited know.
    Told,
}

/// What the local gate has left to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ahead {
    /// It is still open, or everything is done.
    Nothing,
    Launch,
    Fail(String),
}

struct Supervision<'a> {
    context: &'a Context,
    charge: &'a Charge,
    machine: Supervisor,
    clock: Monotonic,
    gate_begun: Instant,
    gate_open: bool,
    ahead: Ahead,
    /// It passed its local gate, and is not up yet.
    launching: bool,
    /// Degraded by the container, which says more than its secrets could.
    degraded: bool,
    refreshing: Refreshing<'a>,
    wellness: Wellness<'a>,
    /// What the local gate heard last.
    heard: Option<String>,
    /// The boot is over, and all who waited for its result know.
    settled: bool,
    /// The machine goes with its container.
    ending: Option<LocalBoxFuture<'a, ()>>,
    /// It is being stopped, or is down, to be started with new files.
    renewing: bool,
    /// The container is being told of these.
    signalling: Option<LocalBoxFuture<'a, ()>>,
    signalled: Vec<SetName>,
    /// Why the engine refused the last start, once it is told.
    refused: Option<String>,
}

impl<'a> Supervision<'a> {
    fn new(context: &'a Context, charge: &'a Charge) -> Self {
        let machine = Supervisor::new(charge.restart, Budget::default());
        let clock = Monotonic::start();
        Self {
            context,
            charge,
            machine,
            clock,
            gate_begun: Instant::now(),
            gate_open: !charge.gate_passed,
            ahead: Ahead::Nothing,
            launching: false,
            degraded: false,
            refreshing: Refreshing::new(context, charge, clock),
            wellness: Wellness::new(context, charge, clock),
            heard: None,
            settled: false,
            ending: None,
            renewing: false,
            signalling: None,
            signalled: Vec::new(),
            refused: None,
        }
    }

    fn begin(&mut self, begin: Begin) -> Option<LocalBoxFuture<'a, Doing>> {
        match begin {
            Begin::Running => self.take(Doing::Started(Start::Done)),
            Begin::NotStarted { error } => self.take(Doing::Started(Start::Refused(error))),
            Begin::Ended => Some(self.watch()),
        }
    }

    /// The engine is asked again only when it was ended already: nobody but us starts it.
    fn watch(&self) -> LocalBoxFuture<'a, Doing> {
        let (context, id) = (self.context, self.charge.container_id.as_str());
        Box::pin(async move { Doing::Watched(watch::until_ended(context, id).await) })
    }

    /// One outcome in, the next thing to do out.
    fn take(&mut self, outcome: Doing) -> Option<LocalBoxFuture<'a, Doing>> {
        let reporter = &self.context.reporter;
        self.renewing = false;
        let input = match outcome {
            Doing::Watched(Seen::Ended { exit, cause }) => {
                reporter.tell(Event::ContainerEnded { exit: exit.clone() });
                self.wellness.down();
                Input::Exited { exit, cause }
            }
            Doing::Watched(Seen::Vanished) | Doing::Started(Start::Vanished | Start::FilesGone) => {
                return None;
            }
            Doing::Started(Start::Done) => {
                // It has read them, whatever it was to be told.
                if self.machine.restarts() > 0 {
                    self.refreshing.told(&SetName::ALL);
                }
                self.wellness.started();
                self.refused = None;
                Input::Started
            }
            Doing::Started(Start::Refused(error)) => {
                let text = match self.refused.as_ref() == Some(&error) {
                    true => "the container could not be started, for the same reason as before".to_owned(),
                    false => format!("the container could not be started: {error}"),
                };
                reporter.tell(Event::Warning { text });
                self.refused = Some(error.clone());
                Input::StartFailed { error }
            }
            Doing::WaitedOut => Input::BackoffOver,
            Doing::EngineRenewed => Input::TryAgain,
        };
        if input == Input::Started && self.machine.restarts() > 0 {
            reporter.tell(Event::Restarted {
                restarts: self.machine.restarts(),
            });
        }
        let restart = self.machine.restarts() + 1;
        match self.machine.on(input, self.clock.now(), clock::chance()) {
            Some(Action::Wait(wait)) => {
                reporter.tell(Event::RestartPlanned { wait, restart });
                let (context, refused) = (self.context, self.refused.is_some());
                Some(Box::pin(async move {
                    match refused {
                        true => watch::wait_out(context, wait).await,
                        false => tokio::time::sleep(wait).await,
                    }
                    Doing::WaitedOut
                }))
            }
            Some(Action::Start) => Some(self.start()),
            Some(Action::Restart) => Some(self.restart(false)),
            None => match self.machine.state() {
                State::Running => Some(self.watch()),
                State::Completed { exit } => {
                    reporter.tell(Event::Completed { exit: exit.clone() });
                    self.wellness.completed();
                    self.end();
                    None
                }
                State::Failed { reason } => {
                    let deeds = self.wellness.failed(reason, self.machine.may_try_again());
                    let next = self.follow(deeds);
                    self.end();
                    next.or_else(|| self.await_other_engine())
                }
                State::Starting | State::BackingOff { .. } => None,
            },
        }
    }

    /// One that failed because the engine refused to start it is started once more when the engine was: what it is told to
    /// do about that has to help.
    fn await_other_engine(&self) -> Option<LocalBoxFuture<'a, Doing>> {
        let context = self.context;
        (self.refused.is_some() && self.machine.may_try_again()).then(|| {
            let renewed: LocalBoxFuture<'a, Doing> = Box::pin(async move {
                watch::renewed(context).await;
                Doing::EngineRenewed
            });
            renewed
        })
    }

    /// The sets are seen to at once, not when the engine has time: a newer one must not be put back.
    fn start(&self) -> LocalBoxFuture<'a, Doing> {
        let (context, charge) = (self.context, self.charge);
        let kept_from = match self.refreshing.ensure() {
            Ok(true) => None,
            Ok(false) => Some(Start::FilesGone),
            // Somebody may have tidied up the runtime directory, and it is full now.
            Err(error) => Some(Start::Refused(chain(&error))),
        };
        Box::pin(async move {
            Doing::Started(match kept_from {
                Some(outcome) => outcome,
                None => watch::start(context, charge).await,
            })
        })
    }

    /// One that `ran` and is found down has ended by itself meanwhile: that is seen, and judged as any end is.
    fn restart(&self, ran: bool) -> LocalBoxFuture<'a, Doing> {
        let (context, id, start) = (self.context, self.charge.container_id.as_str(), self.start());
        Box::pin(async move {
            match watch::stop(context, id).await {
                Stopped::Before if ran => Doing::Watched(watch::until_ended(context, id).await),
                Stopped::Before | Stopped::ByUs => start.await,
            }
        })
    }

    /// What is known before a stop to keep the start after it from working.
    fn keeps_from_starting(&self) -> Option<String> {
        match self.refreshing.ensure() {
            Ok(true) if self.charge.files.is_known() => {
                self.charge.files.ensure().err().map(|error| chain(&error))
            }
            Ok(_) => Some("its files are gone, and only the user data has them".to_owned()),
            Err(error) => Some(chain(&error)),
        }
    }

    /// The agent has to end, and the container must not stay down for that.
    async fn finish(&mut self, restart: LocalBoxFuture<'a, Doing>) {
        match tokio::time::timeout(FINISH, restart).await {
            // What would follow is the next agent's.
            Ok(outcome) => drop(self.take(outcome)),
            Err(_) => {
                let text = format!(
                    "the container is still stopping after {} s, to be started anew; the agent's next start starts it",
                    FINISH.as_secs()
                );
                self.context.reporter.tell(Event::Warning { text });
            }
        }
    }

    /// What the sets of secret files bring; the next thing to do if it is another now.
    fn hear(&mut self, news: News) -> Option<LocalBoxFuture<'a, Doing>> {
        let reporter = &self.context.reporter;
        match news {
            News::Changed(name) => return self.changed(name, Judged::Yes),
            // The gate and the container's end say more; what the gate does not say is told after it.
            News::Unhealthy(_) | News::Recovered if self.gate_open || self.degraded => {}
            News::Unhealthy(reason) => reporter.tell(Event::Degraded { reason }),
            News::Recovered => {
                let text = format!("{} runs, and its secrets are fresh", self.charge.application);
                reporter.tell(Event::Recovered { text });
                self.tell_completed();
            }
        }
        None
    }

    /// Tells the container that it has other files now.
    fn changed(&mut self, name: SetName, judged: Judged) -> Option<LocalBoxFuture<'a, Doing>> {
        let set = self.refreshing.of(name)?;
        match Reaction::new(&set.wanted.on_change, self.machine.state()) {
            Reaction::Nothing => {
                self.refreshing.told(&[name]);
                None
            }
            Reaction::Signal(signal) => {
                let (context, id) = (self.context, self.charge.container_id.as_str());
                self.signalled.push(name);
                self.signalling = Some(Box::pin(async move { watch::signal(context, id, &signal).await }));
                None
            }
            Reaction::Restart => {
                let ran = *self.machine.state() == State::Running;
                if let Some(why) = self.keeps_from_starting().filter(|_| ran) {
                    let text = format!(
                        "the container is not restarted for its new files, as it could not be started again: {why}; it goes on, and the agent's next start tries again"
                    );
                    self.context.reporter.tell(Event::Warning { text });
                    return None;
                }
                let action = self.machine.on(Input::Renew, self.clock.now(), clock::chance());
                self.renewing |= action == Some(Action::Restart);
                if self.renewing {
                    self.wellness.down();
                }
                (action == Some(Action::Restart)).then(|| self.restart(ran && judged == Judged::Yes))
            }
        }
    }

    fn signalled(&mut self) {
        self.signalling = None;
        let names = std::mem::take(&mut self.signalled);
        self.refreshing.told(&names);
    }

    fn open_gate(&mut self) -> Option<LocalBoxFuture<'a, Verdict>> {
        let reporter = &self.context.reporter;
        if self.charge.gate_passed {
            reporter.tell(Event::StepSkipped {
                step: StepId::Health,
                why: "passed earlier in this boot".to_owned(),
            });
            match self.charge.launched {
                true => {
                    // Nothing was heard that could follow.
                    self.wellness.gate_over(true, None);
                    self.settled = true;
                    self.ready();
                }
                false => self.ahead = Ahead::Launch,
            }
            return None;
        }
        self.gate_begun = Instant::now();
        reporter.tell(Event::StepStarted {
            step: StepId::Health,
            does: format!("wait until {}", self.charge.gate),
        });
        Some(Box::pin(gate::run(self.context, self.charge)))
    }

    async fn gate_over(&mut self, verdict: Verdict) {
        self.gate_open = false;
        let took = self.gate_begun.elapsed();
        let reporter = &self.context.reporter;
        match verdict {
            Verdict::Passed(detail) => {
                self.heard = Some(detail.clone());
                reporter.tell(Event::StepDone {
                    step: StepId::Health,
                    detail,
                    took,
                });
                hint::save_gate_passed(self.context, self.charge);
                self.ahead = Ahead::Launch;
            }
            Verdict::Ended(state) if self.is_batch_done() => {
                // A job that was done before anybody asked for its health is a job done.
                let detail = format!("nothing to wait for, the container {state}");
                reporter.tell(Event::StepDone {
                    step: StepId::Health,
                    detail,
                    took,
                });
                self.ahead = Ahead::Launch;
            }
            Verdict::Ended(_) | Verdict::Hopeless(_) | Verdict::TimeUp { .. } => {
                let reason = gate::reason(self.context, self.charge, &verdict, self.machine.state()).await;
                reporter.tell(Event::StepFailed {
                    step: StepId::Health,
                    error: reason.clone(),
                    took,
                });
                self.degraded = true;
                reporter.tell(Event::Degraded {
                    reason: reason.clone(),
                });
                self.wellness.gate_over(false, Some(""));
                self.ahead = Ahead::Fail(reason);
            }
        }
    }

    /// What comes after the local gate: the group, the load balancers and the stack, or telling all of them that it failed.
    fn go_on(&mut self) -> Option<LocalBoxFuture<'a, Launched>> {
        let (context, charge) = (self.context, self.charge);
        self.launching = self.ahead == Ahead::Launch;
        match std::mem::replace(&mut self.ahead, Ahead::Nothing) {
            Ahead::Nothing => None,
            Ahead::Launch => Some(Box::pin(async move {
                let question = match Question::new(&charge.gate) {
                    Ok(question) => question,
                    Err(reason) => return Launched::NotUp(NotUp { reason }),
                };
                let local = async || match question.ask(context, charge).await {
                    Ok(_) => Ok(()),
                    Err(No::Yet(why) | No::Never(why) | No::Unasked(why)) => Err(why),
                };
                match launch::run(context, local).await {
                    Ok(()) => Launched::Up,
                    Err(not_up) => Launched::NotUp(not_up),
                }
            })),
            Ahead::Fail(reason) => Some(Box::pin(async move {
                let patience = Duration::from_millis(
                    context
                        .life()
                        .awaited_until
                        .saturating_sub(clock::since_boot_millis()),
                );
                let patience = patience.max(TELLING);
                launch::failed(context, &reason, patience, Afterwards::Act).await;
                Launched::Told
            })),
        }
    }

    /// A container that failed for good is not waited for by a load balancer.
    fn fell_back(&self) -> Option<NotUp> {
        match self.machine.state() {
            State::Failed { reason } if self.launching => Some(NotUp {
                reason: format!("the container failed meanwhile: {reason}"),
            }),
            _ => None,
        }
    }

    /// The machine is up, or its failure has to be told.
    fn launched(&mut self, launched: Launched) -> Option<LocalBoxFuture<'a, Launched>> {
        self.launching = false;
        match launched {
            Launched::Up => {
                hint::save_launched(self.context, self.charge);
                let deeds = self.wellness.gate_over(true, self.heard.as_deref());
                // All it can be is the word that it is healthy.
                self.follow(deeds);
                self.settled = true;
                self.ready();
                self.end();
                None
            }
            Launched::Told => {
                self.settled = true;
                self.end();
                None
            }
            Launched::NotUp(NotUp { reason }) => {
                self.degraded = true;
                let reason = format!(
                    "{} runs, but the machine is not up: {reason}",
                    self.charge.application
                );
                self.context.reporter.tell(Event::Degraded {
                    reason: reason.clone(),
                });
                self.wellness.gate_over(false, Some(""));
                self.ahead = Ahead::Fail(reason);
                self.go_on()
            }
        }
    }

    fn is_batch_done(&self) -> bool {
        !self.charge.gate.asks()
            && matches!(self.machine.state(), State::Completed { exit } if exit.code == 0)
    }

    fn ready(&self) {
        let reporter = &self.context.reporter;
        let text = format!(
            "{} runs as {} ({})",
            self.charge.application,
            text::short_id(&self.charge.container_id),
            self.charge.image
        );
        reporter.tell(Event::Ready { text });
        self.tell_completed();
        if let Some(reason) = self.refreshing.unhealthy() {
            reporter.tell(Event::Degraded { reason });
        }
    }

    /// A job that has ended keeps its outcome in the record: told again after what changes it.
    fn tell_completed(&self) {
        if let State::Completed { exit } = self.machine.state() {
            self.context
                .reporter
                .tell(Event::Completed { exit: exit.clone() });
        }
    }
}

/// Whether a phase is an end that the engine reports.
fn has_ended(phase: Phase) -> bool {
    match phase {
        Phase::Exited | Phase::Dead | Phase::Created => true,
        Phase::Running | Phase::Paused => false,
    }
}

/// An exit that came with an outage was the engine's doing.
fn cause(outage: bool) -> Cause {
    if outage { Cause::Engine } else { Cause::Own }
}
