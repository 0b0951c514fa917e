//! The owner of the table.

use std::path::{Path, PathBuf};

use monopod_core::firewall::{Denied, Order, Resolved, refresh, ruleset};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::names::Names;
use super::{ServeError, nft, refusal};
use crate::host::{Class, Classified as _, chain, clock, files};

/// The order of this boot.
const FILE: &str = "order.json";

/// What is loaded, and what it has to be.
pub(super) struct Keeper {
    file: PathBuf,
    order: Option<Order>,
    names: Names,
    /// The addresses in the table.
    shown: Resolved,
    /// The table as it was after it was loaded; `None` where it is not.
    listing: Option<String>,
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
            counted: Denied::default(),
            since: clock::now_seconds(),
        })
    }

    /// A unit that is started anew has what it had.
    pub(super) async fn recall(&mut self) -> Result<(), ServeError> {
        let Some(bytes) = files::read(&self.file)? else {
            return Ok(());
        };
        match serde_json::from_slice(&bytes) {
            Ok(order) => self.apply(order).await.map(drop),
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
        if !same || !self.is_intact().await? {
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

    /// Somebody changed our table, perhaps us.
    pub(super) async fn look(&mut self) {
        let Some(order) = self.order.clone() else { return };
        let looked = async {
            if self.is_intact().await? {
                return Ok(false);
            }
            self.load(&order).await?;
            nft::ensure_endpoint(order.plan.credentials_endpoint).await?;
            Ok::<_, ServeError>(true)
        };
        match looked.await {
            Ok(true) => tracing::warn!(
                "somebody changed or removed the table inet {}; the rules are loaded again",
                monopod_core::firewall::TABLE
            ),
            Ok(false) => {}
            Err(error) => {
                tracing::error!("the rules are not as they have to be: {}", chain(&error));
            }
        }
    }

    /// Asks for the names again; a table whose addresses are the same is left alone.
    pub(super) async fn refresh(&mut self) {
        let Some(order) = self.order.clone() else { return };
        self.names.ask(&order.plan.names()).await;
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
        self.names = Names::default();
        self.shown = Resolved::new();
        tracing::info!("the rules are taken away, as asked");
        Ok(json!({ "forgotten": true }))
    }
}

fn order(question: &Value) -> Result<Order, serde_json::Error> {
    serde_json::from_value(question.clone())
}
