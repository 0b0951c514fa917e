//! The owner of the table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::firewall::{Denied, Order, Resolved, refresh, ruleset};
use monopod_core::retry::Backoff;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::names::Names;
use super::{ServeError, nft, refusal};
use crate::host::{Class, Classified as _, chain, clock, files};

/// The order of this boot.
const FILE: &str = "order.json";
/// Rules that could not be loaded are tried again: 1, 2, 4 ... 30 s. Nobody else does: the agent asks at starts alone.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(30),
};

/// The rules are not as they have to be, and that could not be mended so far.
#[derive(Default)]
struct Trouble {
    failures: u32,
    again: Option<Instant>,
}

impl Trouble {
    /// Whether it is news.
    fn grows(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.again = Some(now + AGAIN.delay(self.failures, 1.0));
        self.failures == 1
    }

    /// How often it did not work, if there was any.
    fn ends(&mut self) -> Option<u32> {
        let failures = std::mem::take(self).failures;
        (failures > 0).then_some(failures)
    }
}

/// What is loaded, and what it has to be.
pub(super) struct Keeper {
    file: PathBuf,
    order: Option<Order>,
    names: Names,
    /// The addresses in the table.
    shown: Resolved,
    /// The table as it was after it was loaded; `None` where it is not.
    listing: Option<String>,
    trouble: Trouble,
    /// Of tables that are gone.
    counted: Denied,
    /// Seconds since the epoch.
    since: u64,
}

impl Keeper {
    pub(super) fn new(directory: &Path) -> Result<Self, ServeError> {
        files::ensure_directory(directory)?;
        Ok(Self {
            file: directory.join(FILE),
            order: None,
            names: Names::default(),
            shown: Resolved::new(),
            listing: None,
            trouble: Trouble::default(),
            counted: Denied::default(),
            since: clock::now_seconds(),
        })
    }

    /// A unit that is started anew has what it had, and goes on to try where that cannot be loaded yet.
    pub(super) async fn recall(&mut self) -> Result<(), ServeError> {
        let Some(bytes) = files::read(&self.file)? else {
            return Ok(());
        };
        match serde_json::from_slice::<Order>(&bytes) {
            Ok(order) => {
                self.order = Some(order.clone());
                if let Err(error) = self.apply(order).await {
                    self.failed(&error);
                }
                Ok(())
            }
            Err(error) => {
                tracing::warn!(
                    "the order in {} is of no use, ignoring: {error}",
                    self.file.display()
                );
                Ok(())
            }
        }
    }

    pub(super) fn has_order(&self) -> bool {
        self.order.is_some()
    }

    pub(super) fn has_names(&self) -> bool {
        self.order
            .as_ref()
            .is_some_and(|order| !order.plan.names().is_empty())
    }

    /// When rules that could not be loaded are tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.trouble.again
    }

    fn failed(&mut self, error: &ServeError) {
        if self.trouble.grows(Instant::now()) {
            tracing::error!(
                "the rules are not as they have to be, and are tried again until they are: {}",
                chain(error)
            );
        } else {
            tracing::debug!(
                "the rules are not as they have to be, trying again: {}",
                chain(error)
            );
        }
    }

    fn worked(&mut self) {
        if let Some(failures) = self.trouble.ends() {
            tracing::warn!("the rules are as they have to be again, after {failures} failures");
        }
    }

    pub(super) fn next_refresh(&self) -> Instant {
        self.names.next()
    }

    /// Does what it is asked.
    pub(super) async fn answer(&mut self, question: &Value) -> Value {
        let answer = match question.get("op").and_then(Value::as_str) {
            Some("apply") => match order(question) {
                Ok(order) => self.ensure(order).await,
                Err(error) => return refusal(&format!("the order cannot be read: {error}"), true),
            },
            Some("counters") => self.count().await,
            Some("show") => self.show().await,
            Some("forget") => self.forget().await,
            _ => return refusal("nobody knows this question", true),
        };
        answer.unwrap_or_else(|error| {
            tracing::error!("{}", chain(&error));
            refusal(&chain(&error), error.class() == Class::Permanent)
        })
    }

    /// What is loaded already is left alone.
    async fn ensure(&mut self, order: Order) -> Result<Value, ServeError> {
        let same = self.order.as_ref() == Some(&order);
        if !same || self.trouble.again.is_some() || !self.is_intact().await? {
            self.apply(order).await?;
        }
        self.applied()
    }

    fn applied(&self) -> Result<Value, ServeError> {
        let Some(order) = &self.order else {
            return Ok(json!({ "applied": null }));
        };
        let text = ruleset(&order.plan, &order.surroundings, &self.shown, &Denied::default())?;
        let sum: String = Sha256::digest(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let names = order.plan.names();
        let unresolved: Vec<&str> = names
            .into_iter()
            .filter(|name| {
                self.shown
                    .get(*name)
                    .is_none_or(std::collections::BTreeSet::is_empty)
            })
            .collect();
        Ok(json!({ "applied": sum, "unresolved": unresolved }))
    }

    /// Loads the rules, whatever is there.
    async fn apply(&mut self, order: Order) -> Result<(), ServeError> {
        // What cannot be is said before anything is done.
        ruleset(&order.plan, &order.surroundings, &self.shown, &Denied::default())?;
        self.names.ask(&order.plan.names()).await;
        self.load(&order).await?;
        nft::ensure_endpoint(order.plan.credentials_endpoint).await?;
        let text = serde_json::to_vec(&order).unwrap_or_default();
        files::ensure_private_content(&self.file, &text)?;
        tracing::info!("rules are loaded: {}", order.plan);
        self.order = Some(order);
        self.worked();
        Ok(())
    }

    async fn load(&mut self, order: &Order) -> Result<(), ServeError> {
        self.remember_counters().await?;
        let resolved = self.names.resolved();
        let text = ruleset(&order.plan, &order.surroundings, &resolved, &self.counted)?;
        nft::load(&text).await?;
        self.shown = resolved;
        self.listing = nft::listing().await?;
        Ok(())
    }

    /// Counters go on from here, should the table go. One that went unseen took what it had counted since.
    async fn remember_counters(&mut self) -> Result<(), ServeError> {
        let now = nft::counters().await?;
        for (kind, packets) in now.each() {
            if let Some(figure) = self.counted.of(kind) {
                *figure = packets.max(*figure);
            }
        }
        Ok(())
    }

    async fn is_intact(&self) -> Result<bool, ServeError> {
        Ok(self.listing.is_some() && nft::listing().await? == self.listing)
    }

    /// Somebody changed our table, perhaps us; or it could not be loaded before.
    pub(super) async fn look(&mut self) {
        let Some(order) = self.order.clone() else { return };
        // What failed may be what comes after the table.
        let behind = self.trouble.again.is_some();
        let looked = async {
            let intact = self.is_intact().await?;
            if intact && !behind {
                return Ok(false);
            }
            if !intact {
                self.load(&order).await?;
            }
            nft::ensure_endpoint(order.plan.credentials_endpoint).await?;
            Ok::<_, ServeError>(true)
        };
        match looked.await {
            Ok(true) if behind => self.worked(),
            Ok(true) => tracing::warn!(
                "somebody changed or removed the table inet {}; the rules are loaded again",
                monopod_core::firewall::TABLE
            ),
            Ok(false) => {}
            Err(error) => self.failed(&error),
        }
    }

    /// Asks for the names again; a table whose addresses are the same is left alone.
    pub(super) async fn refresh(&mut self) {
        let Some(order) = self.order.clone() else { return };
        self.names.ask(&order.plan.names()).await;
        // Into a table that is not ours as a whole no addresses are put: it is loaded with them.
        if self.trouble.again.is_some() {
            return self.look().await;
        }
        let resolved = self.names.resolved();
        if resolved == self.shown {
            return;
        }
        let changed = async {
            nft::load(&refresh(&order.plan, &resolved)).await?;
            self.shown = resolved;
            self.listing = nft::listing().await?;
            Ok::<_, ServeError>(())
        };
        if let Err(error) = changed.await {
            tracing::error!("new addresses were not let through: {}", chain(&error));
            self.look().await;
        }
    }

    async fn count(&mut self) -> Result<Value, ServeError> {
        self.remember_counters().await?;
        Ok(json!({ "denied": self.counted, "since": self.since }))
    }

    async fn show(&mut self) -> Result<Value, ServeError> {
        self.remember_counters().await?;
        let intact = self.is_intact().await?;
        Ok(json!({
            "order": self.order,
            "resolved": self.shown,
            "denied": self.counted,
            "since": self.since,
            "loaded": intact,
        }))
    }

    async fn forget(&mut self) -> Result<Value, ServeError> {
        nft::forget().await?;
        nft::ensure_endpoint(false).await?;
        files::ensure_gone(&self.file)?;
        self.order = None;
        self.listing = None;
        self.trouble = Trouble::default();
        self.names = Names::default();
        self.shown = Resolved::new();
        tracing::info!("the rules are taken away, as asked");
        Ok(json!({ "forgotten": true }))
    }
}

fn order(question: &Value) -> Result<Order, serde_json::Error> {
    serde_json::from_value(question.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_loaded_is_tried_again_until_it_is() {
        let mut trouble = Trouble::default();
        assert_eq!(trouble.ends(), None);
        let now = Instant::now();
        let (news, waits): (Vec<bool>, Vec<u64>) = (0..7)
            .map(|_| {
                let news = trouble.grows(now);
                (news, trouble.again.map_or(0, |again| (again - now).as_secs()))
            })
            .unzip();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        assert_eq!(news, [true, false, false, false, false, false, false]);
        assert_eq!(trouble.ends(), Some(7));
        assert_eq!(trouble.again, None);
        assert!(trouble.grows(now), "the next trouble is news again");
    }

    /// An order that nobody could keep stands for a machine that refuses: nothing is run for it.
    #[tokio::test]
    async fn an_order_that_cannot_be_kept_yet_is_not_forgotten() {
        let directory = std::env::temp_dir().join(format!("monopod-keeper-{}", std::process::id()));
        let mut keeper = Keeper::new(&directory).unwrap();
        let order = json!({
            "plan": {"networking": "host", "metadata_blocked": true, "ports": [], "egress": null, "credentials_endpoint": false},
            "surroundings": {"bridge": "docker0", "cgroup2": false, "resolvers": [], "slice": "application.slice"},
        });
        files::ensure_private_content(&directory.join(FILE), order.to_string().as_bytes()).unwrap();
        keeper.recall().await.unwrap();
        assert!(keeper.has_order());
        assert!(keeper.next_try().is_some());
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
