//! The addresses that names stand for, and how long each stays open.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use monopod_core::firewall::{KEEP_SECONDS, MOST_ADDRESSES, REFRESH_SECONDS, Resolved};
use tokio::time::{Instant, timeout_at};

/// A name server that does not answer holds up no rules for longer.
const ANSWER: Duration = Duration::from_secs(5);

/// What answers had, and until when it counts.
#[derive(Default)]
pub(super) struct Names {
    all: BTreeMap<String, BTreeMap<IpAddr, Instant>>,
    next: Option<Instant>,
}

impl Names {
    /// Asks for these, all at the same time; whatever was known of others goes.
    pub(super) async fn ask(&mut self, names: &BTreeSet<&str>) {
        self.all.retain(|name, _| names.contains(name.as_str()));
        let deadline = Instant::now() + ANSWER;
        let questions = names.iter().map(|name| async move {
            // Port 0 plays no part: the machine's own resolver wants one.
            let asked = timeout_at(deadline, tokio::net::lookup_host((*name, 0)));
            match asked.await {
                Ok(Ok(found)) => Ok((*name, found.map(|one| one.ip().to_canonical()).collect())),
                Ok(Err(error)) => Err((*name, error.to_string())),
                Err(_) => Err((*name, format!("no answer within {} s", ANSWER.as_secs()))),
            }
        });
        for answer in futures_util::future::join_all(questions).await {
            match answer {
                Ok((name, found)) => self.learn(name, found, Instant::now()),
                Err((name, why)) => tracing::warn!("no address was found for {name}: {why}"),
            }
        }
        self.forget(Instant::now());
        self.next = Some(Instant::now() + Duration::from_secs(REFRESH_SECONDS));
    }

    fn learn(&mut self, name: &str, found: Vec<IpAddr>, now: Instant) {
        let kept = self.all.entry(name.to_owned()).or_default();
        for address in found {
            if kept.len() < MOST_ADDRESSES || kept.contains_key(&address) {
                kept.insert(address, now + Duration::from_secs(KEEP_SECONDS));
            }
        }
    }

    fn forget(&mut self, now: Instant) {
        for kept in self.all.values_mut() {
            kept.retain(|_, until| *until > now);
        }
    }

    /// What counts now.
    pub(super) fn resolved(&self) -> Resolved {
        self.all
            .iter()
            .map(|(name, kept)| (name.clone(), kept.keys().copied().collect()))
            .collect()
    }

    /// When they are due again.
    pub(super) fn next(&self) -> Instant {
        self.next.unwrap_or_else(Instant::now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_stays_for_a_while_after_the_last_answer_that_had_it() {
        let (mut names, begin) = (Names::default(), Instant::now());
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        names.learn("a", vec![address(1)], begin);
        names.learn("a", vec![address(2)], begin + Duration::from_secs(30));
        names.forget(begin + Duration::from_secs(KEEP_SECONDS + 1));
        assert_eq!(
            names.resolved(),
            Resolved::from([("a".to_owned(), BTreeSet::from([address(2)]))])
        );
        names.forget(begin + Duration::from_secs(KEEP_SECONDS + 31));
        assert_eq!(names.resolved()["a"], BTreeSet::new());
    }

    #[tokio::test]
    async fn names_of_the_machine_itself_are_found_and_others_go() {
        let mut names = Names::default();
        names.learn("gone", vec![IpAddr::from([192, 0, 2, 1])], Instant::now());
        names.ask(&BTreeSet::from(["localhost"])).await;
        let resolved = names.resolved();
        assert!(
            resolved["localhost"].contains(&IpAddr::from([127, 0, 0, 1])),
            "{resolved:?}"
        );
        assert!(!resolved.contains_key("gone"));
        assert!(names.next() > Instant::now() + Duration::from_secs(REFRESH_SECONDS - 5));
    }
}
