//! Asking the group for another machine in this one's place: looks at the others, marks, calls.
//!
//! Whether and when is decided in `monopod_core::lifecycle::replace`.
//!
//! Invariants
//! - The mark is on the disk before the call, and settles it when a look shows that the group has heard: an agent that is
//!   killed in between finds it, looks, and asks again only where the group has not, some minutes after the last time.
//! - A call that was begun is ended, even if the container gets well meanwhile.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use monopod_core::event::Event;
use monopod_core::lifecycle::replace::{Asking, Group, Held, Look, Member, Next, Phase};
use monopod_core::supervise::care::Want;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::boot::hint::Charge;
use crate::context::Context;
use crate::host::autoscaling::AutoScaling;
use crate::host::balancers::{BalancerClients, Service};
use crate::host::clock::{self, Monotonic};
use crate::host::imds::{ENDPOINT_VARIABLE, Imds};
use crate::host::{chain, files};

/// Under the state directory.
const MARK: &str = "replacement.json";
/// All questions of one look.
const LOOK: Duration = Duration::from_secs(60);

/// The mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Whose it is: a disk may be another instance's later.
    instance_id: String,
    /// When it was asked last, in milliseconds since the epoch.
    at: u64,
    /// The group calls the machine unhealthy, or lets it go.
    heard: bool,
}

enum Did {
    Looked(Result<Group, String>),
    Called(Result<(), String>),
}

/// One machine's wish to be replaced.
pub(super) struct Replacing<'a> {
    context: &'a Context,
    charge: &'a Charge,
    clock: Monotonic,
    asking: Option<Asking>,
    doing: Option<LocalBoxFuture<'a, Did>>,
    /// [`Self::doing`] is the call.
    calls: bool,
    /// Why not, as it was told last.
    told: Option<Held>,
    /// The group has heard, and is not asked again.
    heard: bool,
}

impl<'a> Replacing<'a> {
    pub(super) fn new(context: &'a Context, charge: &'a Charge, clock: Monotonic) -> Self {
        Self {
            context,
            charge,
            clock,
            asking: None,
            doing: None,
            calls: false,
            told: None,
            heard: false,
        }
    }

    /// Returns when something was done. Left in between, it goes on where it was.
    pub(super) async fn next(&mut self, want: Option<Want>, is_sick: bool) {
        let Some(want) = want.filter(|_| !self.heard) else {
            // Well again: the next time is another one. A call is not taken back.
            if !self.calls {
                (self.asking, self.doing, self.told) = (None, None, None);
                return std::future::pending().await;
            }
            if let Some(doing) = &mut self.doing {
                let did = doing.await;
                self.done(did, None, is_sick);
            }
            return;
        };
        if self.asking.is_none() {
            let mark = self.mark();
            if mark.as_ref().is_some_and(|mark| mark.heard) {
                self.heard = true;
                let text = format!(
                    "{}; the group has heard before that this machine is to be replaced, and is not asked twice",
                    want.reason
                );
                self.context.reporter.tell(Event::Warning { text });
                return;
            }
            let brakes = self.charge.lifecycle.brakes;
            let now = self.clock.now();
            let asking = self.asking.insert(Asking::new(brakes, want.since, now));
            if let Some(mark) = mark {
                let ago = clock::now_millis().saturating_sub(mark.at);
                asking.asked(Duration::from_millis(ago), now);
            }
        }
        if self.doing.is_none() {
            let due = self.asking.as_ref().map_or(Duration::ZERO, Asking::due);
            let wait = due.saturating_sub(self.clock.now());
            tokio::time::sleep_until(Instant::now() + wait).await;
            self.doing = Some(Box::pin(look(self.charge)));
        }
        if let Some(doing) = &mut self.doing {
            let did = doing.await;
            self.done(did, Some(&want), is_sick);
        }
    }

    fn done(&mut self, did: Did, want: Option<&Want>, is_sick: bool) {
        self.doing = None;
        self.calls = false;
        let (now, chance) = (self.clock.now(), clock::chance());
        let Some(asking) = &mut self.asking else {
            return;
        };
        let reason = want.map_or_else(String::new, |want| format!("{}; ", want.reason));
        let next = match did {
            Did::Called(Ok(())) => {
                // Whether it takes notice is seen later: within its grace period it does not, and says nothing.
                let again = if asking.was_asked() { " again" } else { "" };
                asking.asked(Duration::ZERO, now);
                let reason = format!(
                    "{reason}the group was asked{again} for another machine in the place of this one"
                );
                self.context.reporter.tell(Event::Degraded { reason });
                return;
            }
            Did::Called(Err(why)) | Did::Looked(Err(why)) => asking.unknown(why, now, chance),
            Did::Looked(Ok(group)) => {
                let look = Look {
                    me: &self.charge.facts.instance_id,
                    uptime: uptime(self.charge),
                    is_sick: is_sick && want.is_some(),
                    group: &group,
                };
                asking.looked(&look, now, chance)
            }
        };
        match next {
            Next::Later(None) => {}
            Next::Later(Some(held)) => self.tell(held),
            Next::Heard => {
                self.note(true);
                self.heard = true;
                let reason = format!("{reason}the group calls this machine unhealthy and replaces it");
                self.context.reporter.tell(Event::Degraded { reason });
            }
            Next::Ask => {
                if self.note(false) {
                    self.calls = true;
                    self.doing = Some(Box::pin(call(self.charge)));
                }
            }
        }
    }

    fn tell(&mut self, held: Held) {
        if !self.told.as_ref().is_some_and(|told| told.is_like(&held)) {
            let text = format!("the group is not asked for another machine now: {held}");
            self.context.reporter.tell(Event::Warning { text });
        }
        self.told = Some(held);
    }

    fn mark(&self) -> Option<Mark> {
        let bytes = files::read(&self.context.directories.state.join(MARK)).ok()??;
        let mark: Mark = serde_json::from_slice(&bytes).ok()?;
        (mark.instance_id == self.charge.facts.instance_id).then_some(mark)
    }

    /// Whether it is on the disk: without it nothing is asked, or it might be asked twice.
    fn note(&mut self, heard: bool) -> bool {
        let mark = Mark {
            instance_id: self.charge.facts.instance_id.clone(),
            at: clock::now_millis(),
            heard,
        };
        let path = self.context.directories.state.join(MARK);
        let json = serde_json::to_vec(&mark).unwrap_or_default();
        match files::ensure_durable_content(&path, &json) {
            Ok(()) => true,
            Err(error) => {
                let (why, now) = (chain(&error), self.clock.now());
                if let Some(Next::Later(Some(held))) = self
                    .asking
                    .as_mut()
                    .filter(|_| !heard)
                    .map(|asking| asking.unknown(why, now, clock::chance()))
                {
                    self.tell(held);
                }
                false
            }
        }
    }
}

/// The lesser of what the kernel says, which no clock changes, and the age of the instance.
fn uptime(charge: &Charge) -> Duration {
    let booted = std::fs::read_to_string("/proc/uptime")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .map_or(Duration::ZERO, Duration::from_secs_f64);
    let launched = charge
        .facts
        .pending_time
        .map(|at| Duration::from_secs(clock::now_seconds().saturating_sub(at)));
    launched.map_or(booted, |launched| booted.min(launched))
}

async fn call(charge: &Charge) -> Did {
    let group = AutoScaling::new(&charge.facts.region).await;
    let called = group.set_unhealthy(&charge.facts.instance_id).await;
    Did::Called(called.map_err(|error| chain(&error)))
}

async fn look(charge: &Charge) -> Did {
    let looked = tokio::time::timeout(LOOK, group(charge)).await;
    Did::Looked(
        looked.unwrap_or_else(|_| Err("the group and its load balancers did not answer in time".to_owned())),
    )
}

/// The group, with what load balancers say of its members: those of the group, and those the user named.
async fn group(charge: &Charge) -> Result<Group, String> {
    let region = &charge.facts.region;
    let scaling = AutoScaling::new(region).await;
    let Some(name) = group_name(charge, &scaling).await? else {
        return Ok(Group::default());
    };
    let Some(found) = scaling.group(&name).await.map_err(|error| chain(&error))? else {
        return Ok(Group::default());
    };
    let clients = BalancerClients::new(region).await;
    let mut balancers = found.balancers;
    balancers.extend(charge.lifecycle.balancers.all.iter().cloned());
    balancers.sort();
    balancers.dedup();
    let mut served: Option<BTreeMap<String, bool>> = None;
    for balancer in &balancers {
        let everyone = clients.everyone(balancer).await.map_err(|error| chain(&error))?;
        // Targets that are known by their addresses can't be told apart here: nothing is known of who has only those.
        if everyone.iter().any(|(id, _)| id.parse::<IpAddr>().is_ok()) {
            continue;
        }
        let all = served.get_or_insert_default();
        for (id, service) in everyone {
            *all.entry(id).or_default() |= service == Service::Healthy;
        }
    }
    let members = found.members.into_iter().map(|member| Member {
        served: served
            .as_ref()
            .map(|all| all.get(&member.id).copied().unwrap_or_default()),
        phase: Phase::parse(&member.state),
        healthy: member.healthy,
        id: member.id,
    });
    Ok(Group {
        members: members.collect(),
        desired: found.desired,
    })
}

/// As the user names it, as the instance's tags do, or as Auto Scaling says.
async fn group_name(charge: &Charge, scaling: &AutoScaling) -> Result<Option<String>, String> {
    if let Some(name) = &charge.lifecycle.hooks.group {
        return Ok(Some(name.clone()));
    }
    let imds = Imds::new(std::env::var(ENDPOINT_VARIABLE).ok().as_deref());
    if let Ok(imds) = imds
        && let Ok(Some(name)) = imds.group_tag().await
    {
        return Ok(Some(name));
    }
    let asked = scaling.group_of(&charge.facts.instance_id).await;
    asked.map_err(|error| chain(&error))
}
