//! Whether this machine may ask its group for another one in its place, and when it does: the brakes of
//! `on_unhealthy: replace`.
//!
//! The danger is a shared cause. When a database is gone, every machine of the group is sick at once, each sees itself,
//! and a group that is replaced helps nobody. So a machine looks at the others first, twice:
//!
//! ```text
//!        sick for a while           all brakes off           spread              still so
//! wanted ───────────────► look ─────────────────────► wait ─────────► look ────────────► mark, SetInstanceHealth
//!                          ▲  └─ held: told once a reason ─┐           │
//!                          └────────── later ──────────────┴───────────┘
//! ```
//!
//! What a look is worth depends on the load balancers. Where one of them calls this machine sick, too, and others well,
//! the others are well. Where nobody but this machine says that it is sick (no load balancer, or one that asks something
//! else), the others may all be as sick and not be seen: then the waits are longer, and every machine that is new since
//! this one wants to go doubles them, for whoever was replaced before was no help.
//!
//! Invariants
//! - Once an instance: whoever acts marks it before the call, and no mark is ever forgotten while the call may have
//!   been heard.
//! - An accepted call is no news: the group takes no notice within its grace period, and says so to nobody. Only a look
//!   that shows this machine unhealthy, or on its way out, settles it; until then it is asked again from time to time. That
//!   is no second replacement, for the call is about one instance.
//! - What is not known is no consent: a look that failed is made again later.
//! - A group of one can be replaced: there is nobody to look at, and `min_uptime` is all that slows it down.
//! - All times are parts of `min_uptime`; who shortens that shortens all of them.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Brakes;
use crate::retry::Backoff;
use crate::text;

/// How one member of the group stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// `InService`.
    InService,
    /// On its way in: `Pending`, `Pending:Wait`, `Pending:Proceed`.
    Coming,
    /// On its way out: `Terminating`, `Terminating:Wait`, `Detaching` and the like.
    Going,
    /// Somebody took it out: `Standby`, `Detached`, or it waits in the warm pool. It does not count.
    Away,
}

impl Phase {
    /// From the group's text. What AWS may add counts as on its way out: no consent.
    pub fn parse(text: &str) -> Self {
        match text {
            "InService" => Self::InService,
            "Standby" | "EnteringStandby" | "Detached" => Self::Away,
            pending if pending.starts_with("Pending") => Self::Coming,
            warmed if warmed.starts_with("Warmed") => Self::Away,
            _ => Self::Going,
        }
    }
}

/// One member of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its instance id.
    pub id: String,
    /// How it stands.
    pub phase: Phase,
    /// The group calls it healthy.
    pub healthy: bool,
    /// At least one load balancer sends it requests; `None` where there is no load balancer. One is enough: a standby
    /// is out of service behind the leader's endpoint, and well.
    pub served: Option<bool>,
}

impl Member {
    fn is_well(&self) -> bool {
        self.phase == Phase::InService && self.healthy && self.served != Some(false)
    }
}

/// The group, as one look shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// All of it, this machine as well.
    pub members: Vec<Member>,
    /// How many there should be.
    pub desired: u32,
}

/// What one look shows, and what is known without one.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// This instance.
    pub me: &'a str,
    /// Since the machine booted.
    pub uptime: Duration,
    /// This machine is sick at this moment, not on its way up.
    pub is_sick: bool,
    /// The group.
    pub group: &'a Group,
}

/// How well the others are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// A load balancer calls this machine sick, so its word on the others counts.
    Strong,
    /// Only this machine says so.
    Weak,
}

/// Why it does not ask now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It has just booted.
    Young {
        /// How old it has to be.
        min_uptime: Duration,
    },
    /// It may be about to recover.
    Healing,
    /// The group does not know this machine.
    NoMember,
    /// It is out of service as far as the group is concerned.
    NotInService,
    /// Somebody else is being replaced.
    Turn {
        /// Who.
        who: String,
    },
    /// The group has too few machines at the moment.
    Short {
        /// It has so many.
        has: usize,
        /// It should have so many.
        desired: u32,
    },
    /// Too many others are sick, so the cause is not this machine.
    Shared {
        /// So many.
        sick: usize,
        /// Of so many others.
        others: usize,
        /// More than so many percent.
        percent: u32,
    },
    /// It was shared until now, and others have recovered.
    Over {
        /// This machine gets so long to do the same.
        wait: Duration,
    },
    /// Others were replaced while it was sick, and it is no better for it.
    Replaced {
        /// So many.
        others: u32,
        /// It waits for so long after the last of them.
        wait: Duration,
    },
    /// It can't be known.
    Unknown {
        /// What was tried and why it failed.
        why: String,
    },
}

impl Held {
    /// The same reason, whatever its numbers: it is told once.
    pub fn is_like(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Young { min_uptime } => write!(
                f,
                "it has been up for less than {} (`replace.min_uptime`)",
                text::duration(*min_uptime)
            ),
            Self::Healing => f.write_str("it is just being started again"),
            Self::NoMember => f.write_str("its group does not list it, so nobody would replace it"),
            Self::NotInService => f.write_str("its group does not have it in service"),
            Self::Turn { who } => write!(f, "{who} is coming or going, and one at a time is enough"),
            Self::Short { has, desired } => {
                write!(
                    f,
                    "its group has {has} of {desired} machines, and one at a time is enough"
                )
            }
            Self::Shared {
                sick,
                others,
                percent,
            } => write!(
                f,
                "{sick} of {others} other machines are not well either, more than {percent} % (`replace.max_unhealthy_percent`), so the cause is not this machine"
            ),
            Self::Over { wait } => write!(
                f,
                "others have just recovered from the same, and it gets {} for that, too",
                text::duration(*wait)
            ),
            Self::Replaced { others, wait } => write!(
                f,
                "{} became another one meanwhile, which may have helped nobody; it waits for {}",
                text::count(u64::from(*others), "machine of its group"),
                text::duration(*wait)
            ),
            Self::Unknown { why } => write!(f, "how the others are is not known: {why}"),
        }
    }
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Look again when [`Asking::due`] says.
    Later(Option<Held>),
    /// Mark it, then ask the group, at once.
    Ask,
    /// The group has heard it already.
    Heard,
}

/// Looks that failed or were held: 15, 30, 60 ... 120 s with jitter.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(15),
    max: Duration::from_secs(120),
};

/// A group that took no notice is asked again after this, whatever `min_uptime` is: its grace period is minutes.
const ASK_AGAIN: Duration = Duration::from_secs(300);

/// One wish of being replaced; `now` is monotonic, `chance` in `0.0..1.0`.
#[derive(Clone, Debug)]
pub struct Asking {
    brakes: Brakes,
    due: Duration,
    /// The look before had nothing against it.
    first: bool,
    holds: u32,
    /// Who was in the group at the first look, and who came later.
    known: Option<BTreeSet<String>>,
    newcomers: u32,
    newcomer_at: Duration,
    /// When too many others were sick last.
    shared_at: Option<Duration>,
    /// When the group was asked last.
    asked_at: Option<Duration>,
}

impl Asking {
    /// Of a machine that has been sick since a time.
    pub fn new(brakes: Brakes, since: Duration, now: Duration) -> Self {
        let mut asking = Self {
            brakes,
            due: now,
            first: false,
            holds: 0,
            known: None,
            newcomers: 0,
            newcomer_at: now,
            shared_at: None,
            asked_at: None,
        };
        // Load balancers and the other agents need their time to notice, too.
        asking.due = now.max(since + asking.min_uptime() / 2);
        asking
    }

    /// When to look.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// The group was asked so long ago; whether it has taken notice is to be seen.
    pub fn asked(&mut self, ago: Duration, now: Duration) {
        let at = now.saturating_sub(ago);
        self.asked_at = Some(at);
        self.due = now.max(at + self.min_uptime() / 20);
    }

    /// Whether the group was asked before, and had taken no notice.
    pub fn was_asked(&self) -> bool {
        self.asked_at.is_some()
    }

    /// A look was not possible.
    pub fn unknown(&mut self, why: String, now: Duration, chance: f64) -> Next {
        self.hold(Held::Unknown { why }, now, chance)
    }

    /// A look.
    pub fn looked(&mut self, look: &Look<'_>, now: Duration, chance: f64) -> Next {
        self.meet(look, now);
        let me = look.group.members.iter().find(|member| member.id == look.me);
        let goes = |me: &Member| !me.healthy || (self.was_asked() && me.phase == Phase::Going);
        if me.is_some_and(goes) {
            return Next::Heard;
        }
        if let Some(again) = self
            .asked_at
            .map(|at| at + ASK_AGAIN)
            .filter(|again| now < *again)
        {
            self.due = again.min(now + self.min_uptime() / 20);
            return Next::Later(None);
        }
        match self.decide(look, me, now) {
            Err(held) => self.hold(held, now, chance),
            Ok(_) if self.first => Next::Ask,
            Ok(evidence) => {
                self.first = true;
                let within = match evidence {
                    Evidence::Strong => self.min_uptime() / 10,
                    Evidence::Weak => self.min_uptime() / 2,
                };
                self.due = now + within.mul_f64(chance.clamp(0.0, 1.0));
                Next::Later(None)
            }
        }
    }

    fn min_uptime(&self) -> Duration {
        Duration::from_secs(u64::from(self.brakes.min_uptime_seconds))
    }

    fn hold(&mut self, held: Held, now: Duration, chance: f64) -> Next {
        self.first = false;
        if matches!(held, Held::Shared { .. }) {
            self.shared_at = Some(now);
        }
        self.holds = self.holds.saturating_add(1);
        self.due = now + AGAIN.delay(self.holds, chance);
        Next::Later(Some(held))
    }

    /// Takes note of who is new.
    fn meet(&mut self, look: &Look<'_>, now: Duration) {
        let ids = look.group.members.iter().map(|member| member.id.clone());
        let Some(known) = &mut self.known else {
            self.known = Some(ids.collect());
            return;
        };
        for id in ids {
            if known.insert(id) {
                self.newcomers += 1;
                self.newcomer_at = now;
            }
        }
    }

    fn decide(&self, look: &Look<'_>, me: Option<&Member>, now: Duration) -> Result<Evidence, Held> {
        let min_uptime = self.min_uptime();
        if look.uptime < min_uptime {
            return Err(Held::Young { min_uptime });
        }
        if !look.is_sick {
            return Err(Held::Healing);
        }
        let me = me.ok_or(Held::NoMember)?;
        if me.phase != Phase::InService {
            return Err(Held::NotInService);
        }
        let others: Vec<&Member> = look
            .group
            .members
            .iter()
            .filter(|member| member.id != look.me && member.phase != Phase::Away)
            .collect();
        let sick = others.iter().filter(|other| !other.is_well()).count();
        let percent = self.brakes.max_unhealthy_percent;
        if sick.saturating_mul(100) > others.len().saturating_mul(percent as usize) {
            let others = others.len();
            return Err(Held::Shared {
                sick,
                others,
                percent,
            });
        }
        if self
            .shared_at
            .is_some_and(|at| now.saturating_sub(at) < min_uptime)
        {
            return Err(Held::Over { wait: min_uptime });
        }
        let moves = |other: &&&Member| other.phase != Phase::InService || !other.healthy;
        if let Some(other) = others.iter().find(moves) {
            let who = other.id.clone();
            return Err(Held::Turn { who });
        }
        let (has, desired) = (others.len() + 1, look.group.desired);
        if has < desired as usize {
            return Err(Held::Short { has, desired });
        }
        if me.served == Some(false) {
            return Ok(Evidence::Strong);
        }
        let wait = min_uptime
            .saturating_mul(3)
            .saturating_mul(1 << self.newcomers.saturating_sub(1).min(10));
        if self.newcomers > 0 && now.saturating_sub(self.newcomer_at) < wait {
            let others = self.newcomers;
            return Err(Held::Replaced { others, wait });
        }
        Ok(Evidence::Weak)
    }
}
