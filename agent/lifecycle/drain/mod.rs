//! Leaving: what `monopod_core::lifecycle::drain` decides, carried out.
//!
//! ```text
//! notices (IMDS) ─┐
//! control socket ─┼─► Causes ─► run ─► load balancers, engine, shipper, group
//! drain.json ─────┘               └──► events, drain.json, whoever follows
//! ```
//!
//! Design: supervision and boot end when there is a cause, and this takes their place on the same task: still one writer to
//! the engine, and nobody who would start the container again. Once begun it goes on in every agent of this boot.
//!
//! Invariants
//! - How far it is is noted before it is done.
//! - Nothing is started any more: the engine's client refuses it from the stop on, and an agent that finds the note of this
//!   boot does not boot.
//! - The agent's own end (SIGTERM) leaves everything as it is; the next agent goes on.

mod causes;
mod deeds;
mod note;
mod targets;

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::OptionFuture;
use futures_util::stream::FuturesUnordered;
use monopod_core::event::Event;
use monopod_core::lifecycle::drain::{Action, Begun, Cause, Drain, Input, News, Orders};
use monopod_core::lifecycle::{DrainPhase, LifecyclePlan, TargetState};
use monopod_core::plan::container::NAME;
use tokio::time::{Instant, Interval};
use tokio_util::sync::CancellationToken;

use crate::boot::{self, BootError, hint};
use crate::context::{Context, Stage};
use crate::host::clock::{self, Monotonic};
use crate::report::notify;
pub use causes::{Causes, Heard};
use deeds::Deed;
use note::{Note, Who};
pub(crate) use targets::ensure_registered_again;

/// Counters in the status file are at most this old.
const REFRESH: Duration = Duration::from_secs(10);

/// What an earlier agent of this boot has begun is a cause for this one, too.
pub fn recall(context: &Context, causes: &Causes) {
    if let Some(note) = Note::load(context) {
        for (cause, end) in note.causes {
            causes.add(cause, end);
        }
    }
}

/// Whether the drain goes on for further causes when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The agent's end: the hook may come yet.
    Stopped,
    /// It is over.
    Done,
}

/// Leaves, for the causes there are and come. Returns when the agent is stopped, or where it is told to, when it is over.
/// [`BootError::Woken`] ends an agent whose machine is to serve again: the next one begins anew.
pub async fn run(
    context: &Context,
    causes: &Causes,
    stop: &CancellationToken,
    until: Until,
) -> Result<(), BootError> {
    if context.life().facts.is_none() && boot::recall(context).await.is_none() {
        // It was killed before there was anything to look after.
        if let Some(who) = Note::load(context).and_then(|note| note.who) {
            who.recall(context);
        }
    }
    let mut draining = Draining::new(context, causes);
    let mut heard = causes.subscribe();
    // Not borrowed while the drain tells something itself: that would wait for the borrow to end.
    let known = heard.borrow_and_update().clone();
    draining.resume(&known);
    let mut watchdog = notify::watchdog_interval().map(tokio::time::interval);
    let mut refresh = Box::pin(context.logs_refreshed(REFRESH));
    loop {
        if until == Until::Done && draining.machine.phase() == Some(DrainPhase::Done) {
            return Ok(());
        }
        if until == Until::Stopped && draining.note.is_woken(draining.target.as_ref()) {
            return Err(begin_anew(context).await);
        }
        let wake = draining.machine.wake_at().map(|at| draining.instant(at));
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            Ok(()) = heard.changed() => {
                let now = heard.borrow_and_update().clone();
                draining.hear(&now);
            }
            Some(answer) = draining.deeds.next() => {
                if let Some(answer) = answer {
                    draining.give(Input::Answer(answer));
                }
            }
            Some(()) = OptionFuture::from(wake.map(tokio::time::sleep_until)) => draining.give(Input::Tick),
            Some(_) = OptionFuture::from(watchdog.as_mut().map(Interval::tick)) => notify::alive(),
            () = &mut refresh => refresh.set(context.logs_refreshed(REFRESH)),
        }
    }
}

/// Before its removal its lines have gone out, or their loss is recorded.
const LINES: Duration = Duration::from_secs(10);

/// What was left is forgotten, so that the next agent boots as if the machine had. The container goes: one that ended well
/// in this boot counts as done where it is no service, and would not be started again.
async fn begin_anew(context: &Context) -> BootError {
    let observed = match context.engine.observe().await {
        Ok(observed) => observed,
        // Whatever class the engine's error is of: systemd is to start the agent again, which comes here again.
        Err(error) => return BootError::StartOver(error),
    };
    let known = deeds::known(context);
    for one in observed
        .iter()
        .filter(|one| deeds::is_ours(one, known.as_deref()))
    {
        context.ensure_drained(&one.id, LINES).await;
        if let Err(error) = context.engine.ensure_removed(&one.id).await {
            return BootError::StartOver(error);
        }
    }
    if let Some(facts) = context.life().facts {
        hint::begin_anew(context, &facts.instance_id);
    }
    // The last: whoever is killed before it finds a drain that is over, and comes here again.
    Note::remove(context);
    context.learn_life(|life| life.stage = Stage::Over);
    BootError::Woken
}

struct Draining<'a> {
    context: &'a Context,
    causes: &'a Causes,
    clock: Monotonic,
    origin: Instant,
    plan: LifecyclePlan,
    machine: Drain,
    note: Note,
    target: Option<TargetState>,
    deeds: FuturesUnordered<Deed<'a>>,
}

impl<'a> Draining<'a> {
    fn new(context: &'a Context, causes: &'a Causes) -> Self {
        let plan = context.life().plan;
        Self {
            context,
            causes,
            clock: Monotonic::start(),
            origin: Instant::now(),
            machine: Drain::new(Orders::from(&plan)),
            plan,
            note: Note::load(context).unwrap_or_else(|| Note::new(context, clock::now_millis())),
            target: None,
            deeds: FuturesUnordered::new(),
        }
    }

    fn instant(&self, at: Duration) -> Instant {
        self.origin + at
    }

    /// An end on the wall's clock, once: what that clock does afterwards changes nothing.
    fn end(&self, at: Option<u64>) -> Option<Duration> {
        let left = |at: u64| Duration::from_millis(at.saturating_sub(clock::now_millis()));
        at.map(|at| self.clock.now() + left(at))
    }

    /// Goes on where an agent before has stopped, or begins.
    fn resume(&mut self, heard: &Heard) {
        if self.note.causes.is_empty() {
            self.hear(heard);
            return;
        }
        let ago = Duration::from_millis(clock::now_millis().saturating_sub(self.note.begun));
        let noted = self.note.causes.iter();
        let begun = Begun {
            ago,
            causes: noted.map(|(cause, end)| (*cause, self.end(*end))).collect(),
            phase: self.note.phase,
            hook: self.note.hook,
        };
        let orders = Orders::from(&self.plan);
        let (machine, actions) = Drain::resume(orders, &begun, self.clock.now());
        self.machine = machine;
        self.act(actions);
        if self.machine.phase() == Some(DrainPhase::Done) {
            self.over();
        }
        self.hear(heard);
    }

    fn hear(&mut self, heard: &Heard) {
        self.target.clone_from(&heard.target);
        if self.note.hear(heard.target.as_ref()) && !self.note.causes.is_empty() {
            self.note.save(self.context);
        }
        for (cause, end) in &heard.causes {
            if self.note.causes.get(cause) != Some(end) {
                self.note.causes.insert(*cause, *end);
                let end = self.end(*end);
                self.give(Input::Cause(*cause, end));
            }
        }
    }

    fn give(&mut self, input: Input) {
        let actions = self.machine.on(input, self.clock.now(), clock::chance());
        self.act(actions);
    }

    /// What is to be done is noted, then begun.
    fn act(&mut self, actions: Vec<Action>) {
        let mut noted = self.note.clone();
        noted.phase = self.machine.phase();
        noted.hook = self.machine.hook();
        noted.who = Who::known(self.context).or(noted.who);
        let causes_are_new = actions
            .iter()
            .any(|action| matches!(action, Action::Tell(News::Cause(..))));
        if noted != self.note || causes_are_new {
            self.note = noted;
            self.note.save(self.context);
        }
        let context = self.context;
        for action in actions {
            self.deeds.push(match action {
                Action::Tell(news) => {
                    self.tell(news);
                    continue;
                }
                Action::Deregister(at) => deeds::deregister(context, at),
                Action::Look(at) => deeds::look(context, at),
                Action::Stop => deeds::stop(context),
                Action::Kill => deeds::kill(context),
                Action::Flush { until } => {
                    let live = deeds::live_audit(self.note.causes.keys().copied());
                    deeds::flush(context, until.saturating_sub(self.clock.now()), live)
                }
                Action::Heartbeat => deeds::heartbeat(context),
                Action::CompleteHook => deeds::complete(context),
            });
        }
    }

    fn tell(&self, news: News) {
        let balancer = |at: usize| {
            let balancer = self.plan.balancers.all.get(at);
            balancer.map_or_else(String::new, ToString::to_string)
        };
        let text = news.to_text(balancer);
        let phase = self.machine.phase().unwrap_or(DrainPhase::Leave);
        match news {
            News::Done => return self.over(),
            News::Phase(phase, _) => self.context.reporter.tell(Event::Draining {
                phase,
                text: text.clone(),
            }),
            News::StillRuns | News::NotLeft(_) | News::NotFlushed | News::HookGivenUp => {
                self.context.reporter.tell(Event::Warning { text: text.clone() });
            }
            News::Cause(..) | News::Left(_) | News::Killing | News::HookCompleted | News::HookNotWaiting => {
                self.context.reporter.tell(Event::Draining {
                    phase,
                    text: text.clone(),
                })
            }
        }
        if phase != DrainPhase::Done {
            self.causes.set_drained(false);
        }
        self.causes.tell(format!("{phase}: {text}"));
    }

    fn over(&self) {
        let text = if self.machine.is_stopped() {
            "the container is stopped, and the machine can go"
        } else {
            "the container may still run, but the machine can go"
        };
        self.context.reporter.tell(Event::Drained {
            text: text.to_owned(),
        });
        self.causes.tell(text.to_owned());
        self.causes.set_drained(true);
    }
}

/// What became of a drain without an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Nothing of ours was ever here in this boot.
    Nothing,
    /// It is over.
    Drained,
}

/// Leaves where no agent runs: for what the last one left behind, or what the engine has of ours.
pub async fn alone(context: &Context, causes: &Causes, cause: Cause, end: Option<u64>) -> Alone {
    recall(context, causes);
    let known =
        boot::recall(context).await.is_some() || Note::load(context).is_some_and(|note| note.who.is_some());
    let has_ours = context
        .engine
        .observe()
        .await
        .is_ok_and(|observed| observed.iter().any(|one| one.spec.is_some() && one.name == NAME));
    if !known && !has_ours {
        return Alone::Nothing;
    }
    causes.add(cause, end);
    // Nobody waits here for what comes after it.
    let _over = run(context, causes, &CancellationToken::new(), Until::Done).await;
    Alone::Drained
}
