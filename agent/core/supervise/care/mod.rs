//! What follows from a container that is not well: `on_unhealthy`.
//!
//! ```text
//!                 ignore             told, degraded
//! unhealthy ────► restart            stopped and started, three times in half an hour; then left running, degraded
//!                 replace            the same, and when that is spent the group is asked for another machine
//!
//!                 ignore             stays failed
//! failed ───────► restart            tried again every ten minutes
//! (exits)         replace            the same, and the group is asked at once
//! ```
//!
//! Invariants
//! - `restart: never` is never restarted, for probes neither; nor is the group asked for one that ended, as that was all
//!   it was to do.
//! - Nothing follows while the gate is open or after it failed: the container is then kept for inspection.
//! - Each turn is told once, that it is well also after each start, which readiness waits for; what made the machine degraded ends with a good row of answers, or, where nothing is
//!   asked, with a good while of running.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::health::{Health, Hysteresis, Thresholds};
use super::restart::Gentle;
use crate::config::RestartPolicy;
use crate::lifecycle::{OnUnhealthy, Shutdown};
use crate::text;

/// One that failed by its exits is tried again so often.
const TRY_AGAIN: Duration = Duration::from_secs(600);
/// A restart that could not be begun is tried again so soon.
const NOT_NOW: Duration = Duration::from_secs(60);

/// What the user said.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who it is, for texts.
    pub name: String,
    /// What follows.
    pub on_unhealthy: OnUnhealthy,
    /// What follows from exits.
    pub restart: RestartPolicy,
    /// Whether the machine goes with its container.
    pub shutdown: Shutdown,
    /// How answers are counted.
    pub thresholds: Thresholds,
    /// Where nothing is asked, one that was started again and ran for so long is well.
    pub steady: Duration,
}

/// What has to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The answers say something else.
    Tell {
        /// What they say now.
        healthy: bool,
        /// The last one, and what follows.
        text: String,
    },
    /// They say the same as before, and something else follows.
    Warn {
        /// One sentence.
        text: String,
    },
    /// The machine is degraded.
    Degraded {
        /// Why, and what to do.
        reason: String,
    },
    /// What made it degraded is over.
    Recovered {
        /// One sentence.
        text: String,
    },
    /// Another try is planned.
    Planned {
        /// In so long.
        wait: Duration,
    },
    /// Stop the container, start it again.
    Restart,
    /// Start the failed container once more.
    TryAgain,
}

/// The group has to be asked for another machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Since when it has not been well, monotonic.
    pub since: Duration,
    /// Why.
    pub reason: String,
}

/// How far the machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// The gate asks.
    Gate,
    /// All of it.
    Acts,
    /// The gate failed: the answers are told, and nothing follows.
    Watches,
}

/// The machine. `now` is monotonic, `chance` in `0.0..1.0` spreads the waits.
#[derive(Clone, Debug)]
pub struct Care {
    rules: Rules,
    mode: Mode,
    health: Hysteresis,
    /// Somebody can be asked: a health check or the image's own.
    asked: bool,
    up: bool,
    failed: bool,
    degraded: bool,
    told: Option<bool>,
    budget: Gentle,
    restart_at: Option<Duration>,
    /// That restart was granted by the budget.
    granted: bool,
    try_at: Option<Duration>,
    steady_at: Option<Duration>,
    sick_since: Option<Duration>,
    want: Option<String>,
}

impl Care {
    /// Before the gate.
    pub fn new(rules: Rules, now: Duration) -> Self {
        Self {
            health: Hysteresis::new(rules.thresholds, now),
            rules,
            mode: Mode::Gate,
            asked: false,
            up: false,
            failed: false,
            degraded: false,
            told: None,
            budget: Gentle::default(),
            restart_at: None,
            granted: false,
            try_at: None,
            steady_at: None,
            sick_since: None,
            want: None,
        }
    }

    /// The gate is over, and how; `answer` is what it heard, `None` where it was passed by an earlier agent.
    pub fn gate_over(&mut self, passed: bool, answer: Option<&str>) -> Vec<Deed> {
        self.mode = if passed { Mode::Acts } else { Mode::Watches };
        let Some(text) = answer.filter(|_| passed && self.asked) else {
            return Vec::new();
        };
        self.health.found_healthy();
        self.well(text)
    }

    /// Whether somebody can be asked.
    pub fn can_be_asked(&mut self, asked: bool) {
        self.asked = asked;
    }

    /// Whether to ask now.
    pub fn asks(&self) -> bool {
        self.asked && self.up && matches!(self.mode, Mode::Acts | Mode::Watches)
    }

    /// The container was started, or found running.
    pub fn started(&mut self, now: Duration) {
        self.forget_plans();
        (self.up, self.failed) = (true, false);
        self.health.started(now);
        // That it was well says nothing of this run: it is told again.
        self.told = self.told.filter(|healthy| !healthy);
        if self.degraded && !self.asked {
            self.steady_at = Some(now + self.rules.steady);
        }
    }

    /// It is down, or on its way there.
    pub fn down(&mut self) {
        self.forget_plans();
        self.up = false;
    }

    /// It has done what it was to do.
    pub fn completed(&mut self) {
        self.down();
        (self.sick_since, self.want) = (None, None);
    }

    /// [`Deed::Restart`] could not be done: it goes on as it is.
    pub fn left_running(&mut self, now: Duration) {
        self.up = true;
        self.restart_at = Some(now + NOT_NOW);
    }

    /// It failed by its exits; `may_try_again` says that its policy is not against another try.
    pub fn failed(&mut self, reason: &str, may_try_again: bool, now: Duration) -> Vec<Deed> {
        self.down();
        self.failed = true;
        if self.mode != Mode::Acts {
            return Vec::new();
        }
        self.degraded = true;
        let since = *self.sick_since.get_or_insert(now);
        let name = &self.rules.name;
        let on_exit = self.rules.shutdown == Shutdown::OnExit;
        if !may_try_again || on_exit || self.rules.on_unhealthy == OnUnhealthy::Ignore {
            let reason = format!(
                "the container of {name} failed and is not started again: {reason}; it is kept for inspection (`docker logs`, `docker inspect`), restart the agent to try again"
            );
            return vec![Deed::Degraded { reason }];
        }
        if self.rules.on_unhealthy == OnUnhealthy::Replace {
            self.want = Some(format!("the container of {name} failed: {reason}"));
        }
        self.try_at = Some(now + TRY_AGAIN);
        let for_long = now.saturating_sub(since);
        let so_far = if for_long < TRY_AGAIN {
            String::new()
        } else {
            format!(", for {} now", text::duration(for_long))
        };
        let reason = format!(
            "the container of {name} failed{so_far}: {reason}; it is tried again every {}, look with `docker logs` and `docker inspect` what is wrong",
            text::duration(TRY_AGAIN)
        );
        vec![Deed::Degraded { reason }, Deed::Planned { wait: TRY_AGAIN }]
    }

    /// One more answer.
    pub fn answered(&mut self, good: bool, answer: &str, now: Duration, chance: f64) -> Vec<Deed> {
        if !self.asks() {
            return Vec::new();
        }
        match self.health.answered(good, now) {
            Some(Health::Healthy) => self.well(answer),
            Some(Health::Unhealthy) => self.unwell(answer, now, chance),
            Some(Health::Unknown) | None => Vec::new(),
        }
    }

    /// When something is due by itself.
    pub fn wake(&self) -> Option<Duration> {
        [self.restart_at, self.try_at, self.steady_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Something may be due.
    pub fn tick(&mut self, now: Duration, chance: f64) -> Vec<Deed> {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        let mut deeds = Vec::new();
        if due(self.restart_at) {
            self.restart_at = None;
            match self.granted {
                true => deeds.push(Deed::Restart),
                false => match self.budget.ask(now, chance) {
                    Ok(_) => deeds.push(Deed::Restart),
                    Err(wait) => self.restart_at = Some(now + wait),
                },
            }
            self.granted = false;
            self.up = self.restart_at.is_some();
        }
        if due(self.try_at) {
            self.try_at = None;
            deeds.push(Deed::TryAgain);
        }
        if due(self.steady_at) {
            self.steady_at = None;
            let ran = format!("it has run for {}", text::duration(self.rules.steady));
            deeds.extend(self.well(&ran));
        }
        deeds
    }

    /// What the group is to be asked for.
    pub fn want(&self) -> Option<Want> {
        let since = self.sick_since?;
        let reason = self.want.clone()?;
        Some(Want { since, reason })
    }

    /// Not well at this moment: not on its way up, either.
    pub fn is_sick(&self) -> bool {
        self.failed || (self.up && self.health.health() == Health::Unhealthy)
    }

    /// What the answers say.
    pub fn health(&self) -> Health {
        self.health.health()
    }

    fn forget_plans(&mut self) {
        if std::mem::take(&mut self.granted) && self.restart_at.is_some() {
            self.budget.take_back();
        }
        (self.restart_at, self.try_at, self.steady_at) = (None, None, None);
    }

    fn well(&mut self, answer: &str) -> Vec<Deed> {
        self.forget_plans();
        (self.sick_since, self.want) = (None, None);
        let name = &self.rules.name;
        let mut deeds = Vec::new();
        if self.asked && self.told != Some(true) {
            self.told = Some(true);
            let text = format!("{name} is healthy: {answer}");
            deeds.push(Deed::Tell { healthy: true, text });
        }
        if std::mem::take(&mut self.degraded) {
            let text = format!("{name} is well again: {answer}");
            deeds.push(Deed::Recovered { text });
        }
        deeds
    }

    fn unwell(&mut self, answer: &str, now: Duration, chance: f64) -> Vec<Deed> {
        self.sick_since.get_or_insert(now);
        let what = format!("{} is not healthy: {answer}", self.rules.name);
        let again = self.told.replace(false) == Some(false);
        let tell = |text: String| {
            if again {
                Deed::Warn { text }
            } else {
                Deed::Tell { healthy: false, text }
            }
        };
        if self.mode != Mode::Acts {
            return vec![tell(what)];
        }
        if self.rules.on_unhealthy == OnUnhealthy::Ignore {
            let reason = format!("{what}; nothing is done about it, as `on_unhealthy` is ignore");
            return self.degrade(tell(what), reason);
        }
        if self.rules.restart == RestartPolicy::Never {
            let reason = format!("{what}; it is not restarted, as `restart` is never");
            self.wants(&what);
            return self.degrade(tell(what), reason);
        }
        match self.budget.ask(now, chance) {
            Ok(wait) => {
                (self.restart_at, self.granted) = (Some(now + wait), true);
                let wait = text::duration(wait);
                vec![tell(format!("{what}; the container is restarted in {wait}"))]
            }
            Err(wait) => {
                (self.restart_at, self.granted) = (Some(now + wait), false);
                self.wants(&what);
                let reason = format!(
                    "{what}; {} in {} did not help, so it is left running, and restarted again in {} unless it is well by then",
                    text::count(Gentle::MOST as u64, "restart"),
                    text::duration(Gentle::WINDOW),
                    text::duration(wait)
                );
                self.degrade(tell(what), reason)
            }
        }
    }

    fn wants(&mut self, why: &str) {
        if self.rules.on_unhealthy == OnUnhealthy::Replace {
            self.want = Some(why.to_owned());
        }
    }

    fn degrade(&mut self, tell: Deed, reason: String) -> Vec<Deed> {
        self.degraded = true;
        // The reason says all of it: no second line for the same answer.
        match tell {
            Deed::Warn { .. } => vec![Deed::Degraded { reason }],
            tell => vec![tell, Deed::Degraded { reason }],
        }
    }
}
