//! Where notices are pushed.

use serde::{Deserialize, Serialize};

use crate::config::Events;
use crate::logs::LogKey;

/// What the pusher has to know; no header's value is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsPlan {
    /// The whole address; may be a key in itself, so it is never shown.
    pub webhook: Option<String>,
    /// Sent with it: name, and where the value comes from.
    pub headers: Vec<(String, LogKey)>,
    /// Name or ARN.
    pub event_bus: Option<String>,
}

/// Under what a header's value is found in the user data.
pub fn header_key(name: &str) -> String {
    format!("events.headers.{name}")
}

impl EventsPlan {
    /// `None` where nothing is pushed.
    pub fn new(events: &Events) -> Option<Self> {
        if events.webhook.is_none() && events.event_bus.is_none() {
            return None;
        }
        let headers = events.headers.iter().filter(|_| events.webhook.is_some());
        Some(Self {
            webhook: events.webhook.clone(),
            headers: headers
                .map(|(name, source)| (name.clone(), LogKey::new(source, &header_key(name))))
                .collect(),
            event_bus: events.event_bus.clone(),
        })
    }

    /// What may be shown of the webhook's address: `https://hooks.example.org/...`.
    pub fn shown_webhook(&self) -> Option<String> {
        self.webhook.as_deref().map(shown)
    }

    /// The region that a bus is in, where its ARN says it.
    pub fn bus_region(&self) -> Option<&str> {
        let bus = self.event_bus.as_deref()?;
        bus.starts_with("arn:").then(|| bus.split(':').nth(3)).flatten()
    }
}

/// Scheme and host alone: the path of a webhook is often its key.
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "...".to_owned();
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}/...")
}
