//! Follows the engine's own events, through an engine that comes and goes.
//!
//! The engine remembers its last 256 events for whoever asks for what was since: what happened between two connections is
//! told as well, as far as it does. Containers are looked for besides.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::StreamExt as _;
use monopod_core::notice::bursts::{Bursts, Key};
use monopod_core::notice::engine::{Meaning, Memory, Seen, fingerprint};
use monopod_core::notice::{Notice, What};
use monopod_core::retry;
use monopod_core::text;
use tokio::time::{Instant, sleep_until};

use super::known::Told;
use super::tell;
use crate::context::Context;
use crate::host::clock::{self, Monotonic};
use crate::host::docker::Engine;

/// An engine that is away longer has said so to the supervisor; a shorter break is told by what it brought.
const BRIEF: Duration = Duration::from_secs(1);
/// A stream that was there for so long has worked.
const LASTED: Duration = Duration::from_secs(10);

/// As long as the agent lives.
pub(super) async fn follow(context: &Context) -> Infallible {
    let mut following = Following {
        context,
        alive: clock::now_millis(),
        clock: Monotonic::start(),
        memory: Memory::default(),
        bursts: Bursts::default(),
        since: context.known.engine_since(),
    };
    following.memory.checks = context.known.get().checks.clone();
    let mut failures = 0_u32;
    let mut away: Option<(Instant, u64)> = None;
    loop {
        if failures > 0 {
            tokio::time::sleep(retry::LOCAL.delay(failures, clock::chance())).await;
        }
        // Nobody is asked for events who does not answer a ping: that call would wait for an engine that is frozen.
        if context.engine.ping().await.is_err() {
            failures = failures.saturating_add(1);
            continue;
        }
        following.back(away.take()).await;
        let began = Instant::now();
        following.events().await;
        // A stream that ends as soon as it begins is no engine that was away.
        failures = match began.elapsed() > LASTED {
            true => 1,
            false => failures.saturating_add(1),
        };
        away = Some((Instant::now(), clock::now_millis()));
    }
}

struct Following<'a> {
    context: &'a Context,
    /// When this agent's own deeds began to be noted.
    alive: u64,
    clock: Monotonic,
    memory: Memory,
    bursts: Bursts,
    /// From when on events are wanted, in nanoseconds.
    since: u64,
}

impl Following<'_> {
    /// The engine answers: what is not ours there, and what nobody saw.
    async fn back(&mut self, away: Option<(Instant, u64)>) {
        if let Ok(foreign) = self.context.engine.foreign().await {
            // What is gone needs no room.
            let there: BTreeSet<&String> = foreign.iter().map(|one| &one.id).collect();
            let is_gone = |id: &String| !there.contains(id);
            if self.context.known.get().containers.iter().any(is_gone) {
                let note = |told: &mut Told| told.containers.retain(|id| there.contains(id));
                self.context.known.note(note);
            }
            for one in foreign {
                // Those that are made from now on come as events.
                if one.created > self.since / 1_000_000
                    || self.context.known.get().containers.contains(&one.id)
                {
                    continue;
                }
                let what = What::ContainerNotOurs {
                    container: text::short_id(&one.id).to_owned(),
                    name: one.name,
                    image: one.image,
                    did: "found",
                    times: 1,
                };
                let id = format!("e-found-{}", one.id);
                tell(self.context, Notice::new(id, clock::now_millis(), what));
                self.context.known.note(|told| {
                    told.containers.insert(one.id);
                });
                tokio::task::yield_now().await;
            }
        }
        if let Some((since, at)) = away.filter(|(since, _)| since.elapsed() >= BRIEF) {
            let text = format!(
                "the engine's events were not to be had for {}: containers that came meanwhile are told, commands that were run in ours may not be",
                text::duration(since.elapsed())
            );
            tell(
                self.context,
                Notice::new(format!("e-{at}-unseen"), at, What::Unseen { text }),
            );
        }
    }

    /// Until the stream ends.
    async fn events(&mut self) {
        let context = self.context;
        let Ok(stream) = context.engine.events(self.since) else {
            return;
        };
        let mut stream = std::pin::pin!(stream);
        loop {
            let due = self.bursts.due();
            let wait = due.map(|due| Instant::now() + due.saturating_sub(self.clock.now()));
            tokio::select! {
                event = stream.next() => match event {
                    Some(Ok(seen)) => self.heard(seen).await,
                    Some(Err(error)) => {
                        tracing::debug!(%error, "the engine's events have ended");
                        return;
                    }
                    None => return,
                },
                () = async { match wait { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => {
                    for notice in self.bursts.over(self.clock.now()) {
                        self.tell(notice);
                    }
                }
            }
        }
    }

    async fn heard(&mut self, seen: Seen) {
        self.since = self.since.max(seen.nanos.saturating_add(1));
        let (meaning, own_command) = {
            let own = self.context.engine.own();
            let own_command = seen
                .command()
                .filter(|command| own.has_run(command))
                .map(fingerprint);
            (self.memory.judge(&seen, &own, self.alive), own_command)
        };
        if let Some(check) = own_command {
            self.learn(check);
        }
        match meaning {
            Meaning::Nothing => {}
            Meaning::Tell(key, notice) => self.take(key, notice, &seen),
            Meaning::UnlessEngineLeaves(key, notice) => {
                if !is_leaving(&self.context.engine).await {
                    self.take(key, notice, &seen);
                }
            }
            Meaning::UnlessHealthCheck(key, notice) => {
                let check = self.context.engine.health_command(&seen.id).await.ok().flatten();
                match check.as_deref().map(fingerprint) {
                    Some(check) if seen.command().map(fingerprint).as_ref() == Some(&check) => {
                        self.learn(check)
                    }
                    _ => self.take(key, notice, &seen),
                }
            }
        }
    }

    /// A restarted agent hears of it again, and does not know yet whose it was.
    fn learn(&mut self, check: String) {
        if self.memory.checks.insert(check.clone()) {
            self.context.known.note(|told| {
                told.checks.insert(check);
            });
        }
    }

    fn take(&mut self, key: Key, notice: Notice, seen: &Seen) {
        if matches!(notice.what, What::ContainerNotOurs { .. })
            && !self.context.known.get().containers.contains(&seen.id)
        {
            self.context.known.note(|told| {
                told.containers.insert(seen.id.clone());
            });
        }
        if let Some(notice) = self.bursts.take(key, notice, self.clock.now()) {
            self.tell(notice);
        }
    }

    /// What is told is not told again by the next agent.
    fn tell(&self, notice: Notice) {
        tell(self.context, notice);
        // What is held is told later: an agent that is killed before has to hear of it again.
        if self.bursts.due().is_none() {
            self.context.known.note(|told| told.engine = Some(self.since));
        }
    }
}

/// An engine that shuts down closes its socket first and stops its containers then: only a new connection tells.
async fn is_leaving(engine: &Engine) -> bool {
    match Engine::new(Some(engine.host())) {
        Ok(fresh) => fresh.ping().await.is_err_and(|error| error.is_outage()),
        Err(_) => false,
    }
}
