//! What the metadata service says about the machine's end, as causes to leave.
//!
//! It is asked every five seconds, as AWS advises: of a spot instance's two minutes none is to be lost, and the service
//! limits how often it is asked. One that is away is no news by itself.

use std::convert::Infallible;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::lifecycle::drain::Cause;
use monopod_core::lifecycle::{Notices, TargetState};
use monopod_core::retry::Backoff;
use monopod_core::text;
use tokio::time::Instant;

use super::drain::Causes;
use crate::context::{Context, Stage};
use crate::host::imds::{Imds, ImdsError};
use crate::host::{chain, clock};

/// Between two questions.
const ASK: Duration = Duration::from_secs(5);

/// After questions without an answer: 5, 10, 20, 30 s.
const AWAY: Backoff = Backoff {
    first: ASK,
    max: Duration::from_secs(30),
};

/// What a spot instance gets. No notice comes earlier, so one that says more is read from a clock that is wrong.
const SPOT: Duration = Duration::from_secs(120);

/// A shorter outage is not worth a word.
const OUTAGE: Duration = Duration::from_secs(60);

/// Asks as long as the agent lives. Where facts come from a file there is nobody to ask.
pub(crate) async fn watch(context: &Context, causes: &Causes) -> Infallible {
    let imds = match context.imds() {
        Ok(Some(imds)) if context.sources.facts.is_none() => imds,
        Ok(_) => return std::future::pending().await,
        Err(error) => {
            let text = format!("notices of the machine's end are not read: {}", chain(&error));
            context.reporter.tell(Event::Warning { text });
            return std::future::pending().await;
        }
    };
    let mut watching = Watching::default();
    loop {
        let wait = watching.look(context, causes, &imds).await;
        tokio::time::sleep(wait).await;
    }
}

#[derive(Default)]
struct Watching {
    failures: u32,
    away_since: Option<Instant>,
    told_away: bool,
    told: Notices,
    /// The end of a spot instance, as it was believed when it was first seen.
    spot_end: Option<u64>,
}

impl Watching {
    /// Once; how long to wait until the next time.
    async fn look(&mut self, context: &Context, causes: &Causes, imds: &Imds) -> Duration {
        match imds.notices(&self.told).await {
            Ok((notices, None)) => {
                self.failures = 0;
                self.away_since = None;
                self.told_away = false;
                self.heard(context, causes, notices);
                ASK
            }
            // The others are asked as often as ever.
            Ok((notices, Some(error))) => {
                self.heard(context, causes, notices);
                let _longer = self.not_heard(context, &error);
                ASK
            }
            Err(error) => self.not_heard(context, &error),
        }
    }

    fn not_heard(&mut self, context: &Context, error: &ImdsError) -> Duration {
        self.failures += 1;
        let since = *self.away_since.get_or_insert_with(Instant::now);
        if since.elapsed() > OUTAGE && !std::mem::replace(&mut self.told_away, true) {
            let text = format!(
                "a notice that this machine has to go would not be seen, asking again: {}",
                chain(error)
            );
            context.reporter.tell(Event::Warning { text });
        }
        AWAY.delay(self.failures, clock::chance())
    }

    fn heard(&mut self, context: &Context, causes: &Causes, mut notices: Notices) {
        self.believe(&mut notices, clock::now_millis());
        causes.set_target(notices.target.clone());
        let life = context.life();
        for (cause, end) in causes_of(&notices, life.stage, life.plan.drain.on_rebalance) {
            causes.add(cause, end);
        }
        for text in news(&self.told, &notices, life.plan.drain.on_rebalance) {
            context.reporter.tell(Event::Warning { text });
        }
        self.told = notices;
    }
}

impl Watching {
    /// Once: what a clock that is set later makes of the same end changes nothing.
    fn believe(&mut self, notices: &mut Notices, now: u64) {
        match &mut notices.spot {
            Some((_, at)) => *at = *self.spot_end.get_or_insert_with(|| believed(*at, now)),
            None => self.spot_end = None,
        }
    }
}

/// The end of a spot instance by this machine's clock: at most two minutes away, and where it is already over, the clock
/// being wrong, two minutes from now. No time at all would cost the container its stop signal.
fn believed(at: u64, now: u64) -> u64 {
    let latest = now.saturating_add(u64::try_from(SPOT.as_millis()).unwrap_or(u64::MAX));
    if at <= now { latest } else { at.min(latest) }
}

/// Why the machine has to leave, with the times at which it is gone.
fn causes_of(notices: &Notices, stage: Stage, on_rebalance: bool) -> Vec<(Cause, Option<u64>)> {
    let mut causes = Vec::new();
    match &notices.target {
        Some(TargetState::Terminated) => causes.push((Cause::Lifecycle, None)),
        // Back to the warm pool; one that comes from there has not served yet.
        Some(TargetState::Warmed) if stage == Stage::Over => causes.push((Cause::Lifecycle, None)),
        Some(TargetState::Warmed | TargetState::InService | TargetState::Other(_)) | None => {}
    }
    if let Some((action, at)) = &notices.spot
        && action != HIBERNATE
    {
        causes.push((Cause::Spot, Some(*at)));
    }
    if notices.rebalance.is_some() && on_rebalance {
        causes.push((Cause::Rebalance, None));
    }
    causes
}

/// A machine that hibernates wakes with its memory as it was: a container that was stopped would stay down.
const HIBERNATE: &str = "hibernate";

/// What is told though nothing is done.
fn news(before: &Notices, now: &Notices, on_rebalance: bool) -> Vec<String> {
    let mut news = Vec::new();
    if now.rebalance.is_some() && before.rebalance != now.rebalance && !on_rebalance {
        news.push(
            "EC2 recommends to leave this spot instance, it is at a higher risk of an interruption; `on_rebalance: drain` would leave now"
                .to_owned(),
        );
    }
    if let Some((action, at)) = &now.spot
        && action == HIBERNATE
        && before.spot != now.spot
    {
        let left = Duration::from_millis(at.saturating_sub(clock::now_millis()));
        news.push(format!(
            "EC2 hibernates this spot instance in {}; the container goes on when it wakes",
            text::duration(left)
        ));
    }
    news
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(state: TargetState) -> Notices {
        Notices {
            target: Some(state),
            ..Notices::default()
        }
    }

    #[test]
    fn only_what_ends_a_machine_is_a_cause() {
        let lifecycle = vec![(Cause::Lifecycle, None)];
        for (state, stage, causes) in [
            (TargetState::Terminated, Stage::Booting, lifecycle.clone()),
            (TargetState::Terminated, Stage::Over, lifecycle.clone()),
            (TargetState::Warmed, Stage::Over, lifecycle),
            (TargetState::Warmed, Stage::Warm, vec![]),
            (TargetState::Warmed, Stage::Booting, vec![]),
            (TargetState::InService, Stage::Over, vec![]),
            (TargetState::Other("Standby".to_owned()), Stage::Over, vec![]),
            (TargetState::Other("Detached".to_owned()), Stage::Over, vec![]),
        ] {
            let notices = target(state);
            assert_eq!(causes_of(&notices, stage, true), causes, "{notices:?} {stage:?}");
        }
        for (action, causes) in [
            ("terminate", vec![(Cause::Spot, Some(7))]),
            ("stop", vec![(Cause::Spot, Some(7))]),
            ("hibernate", vec![]),
        ] {
            let notices = Notices {
                spot: Some((action.to_owned(), 7)),
                ..Notices::default()
            };
            assert_eq!(causes_of(&notices, Stage::Over, false), causes, "{action}");
        }
    }

    #[test]
    fn the_end_of_a_spot_instance_is_believed_once_and_within_reason() {
        let now = 10_000_000;
        for (at, end) in [
            (now + 90_000, now + 90_000),
            (now + 3_600_000, now + 120_000),
            (now, now + 120_000),
            (7, now + 120_000),
        ] {
            let mut watching = Watching::default();
            let notices = |at| Notices {
                spot: Some(("terminate".to_owned(), at)),
                ..Notices::default()
            };
            for later in [0, 5_000, 3_600_000] {
                let mut seen = notices(at);
                watching.believe(&mut seen, now + later);
                assert_eq!(seen, notices(end), "{at} {later}");
            }
            // The notice is gone: the next is another one.
            watching.believe(&mut Notices::default(), now);
            let mut seen = notices(now + 90_000);
            watching.believe(&mut seen, now + 60_000);
            assert_eq!(seen, notices(now + 90_000));
        }
    }

    #[test]
    fn a_rebalance_is_a_cause_or_a_word() {
        let notices = Notices {
            rebalance: Some(7),
            ..Notices::default()
        };
        assert_eq!(causes_of(&notices, Stage::Over, true), [(Cause::Rebalance, None)]);
        assert_eq!(causes_of(&notices, Stage::Over, false), []);
        assert_eq!(news(&Notices::default(), &notices, false).len(), 1);
        assert_eq!(news(&Notices::default(), &notices, true).len(), 0);
        assert_eq!(news(&notices, &notices, false).len(), 0, "it is told once");
    }
}
