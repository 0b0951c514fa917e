//! Notices: what somebody should hear of as it happens, as values with one stable form as JSON.
//!
//! ```json
//! {"version":1,"id":"e-1785312000123456789-exec","time":"2026-07-29T08:00:00Z","kind":"exec","security":true,
//!  "text":"somebody ran `sh` in the container","account_id":"123456789012","region":"eu-central-1",
//!  "instance_id":"i-0123456789abcdef0","image_id":"ami-0123456789abcdef0","application_id":"my-app",
//!  "application_version":"1.0","details":{"container":"0123456789ab","program":"sh","times":1}}
//! ```
//!
//! The same object is a webhook's body and the `Detail` of an event in EventBridge (source `monopod`, detail type
//! `monopod KIND`). Fields are added and never change their meaning; `version` changes if one ever has to. `details`
//! depends on the kind. Delivery is at least once: who counts keeps the `id`.
//!
//! It knows no clock, file or network. The kinds are in `what`, how each is told in `words`; what an engine's event means is decided in [`engine`], what a burst comes to in
//! [`bursts`], what the access record says in [`access`], and what has changed in the configuration in [`files`].

pub mod access;
pub mod boot;
pub mod bursts;
pub mod engine;
pub mod files;
mod plan;
#[cfg(test)]
mod tests;
mod what;
mod words;

use serde_json::{Map, Value, json};

use crate::facts::InstanceFacts;
use crate::plan::Application;
use crate::text;

pub use plan::{EventsPlan, header_key, shown};
#[cfg(test)]
pub(crate) use what::every_kind;
pub use what::{Access, Boot, What};

/// Changes when a field changes its meaning.
pub const VERSION: u32 = 1;

/// What EventBridge shows as the sender.
pub const SOURCE: &str = "monopod";

/// Longer texts are cut: EventBridge takes 256 KB for all of a call, and a webhook's reader a screen.
const LONGEST: usize = 2000;
/// Names and paths are cut here.
const LONGEST_NAME: usize = 300;
/// More opened keys than there are in the contract.
const MOST_KEYS: usize = 100;

/// One thing that somebody should hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The same for the same happening, however often it is told.
    pub id: String,
    /// When, in milliseconds since the epoch.
    pub at: u64,
    /// What.
    pub what: What,
}

/// Which machine tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// What the machine says about itself.
    pub facts: Option<InstanceFacts>,
    /// Who runs on it.
    pub application: Option<Application>,
}

impl Notice {
    /// As it is known: nothing is cut before the redactor has seen it.
    pub const fn new(id: String, at: u64, what: What) -> Self {
        Self { id, at, what }
    }

    /// With every text on one line and not too long, whoever wrote it. Only what is redacted is cut: a part of a secret
    /// is not found.
    fn fitted(&self) -> What {
        let mut what = self.what.clone();
        let longest = match &what {
            What::Boot(_) | What::Verdict { .. } | What::Unseen { .. } => LONGEST,
            _ => LONGEST_NAME,
        };
        if let What::OptOut { keys } = &mut what {
            keys.truncate(MOST_KEYS);
        }
        what.each_text(&mut |text| *text = text::shortened(&text::printable(text), longest));
        what
    }

    /// Changes every text in it.
    pub fn each_text(&mut self, mut change: impl FnMut(&mut String)) {
        let Self { id, at: _, what } = self;
        change(id);
        what.each_text(&mut change);
    }

    /// One sentence.
    pub fn text(&self) -> String {
        self.fitted().text()
    }

    /// As it is sent; fields that are not known are null.
    pub fn to_json(&self, origin: &Origin) -> Value {
        let what = self.fitted();
        let facts = origin.facts.as_ref();
        let application = origin.application.as_ref();
        let mut all = Map::new();
        let mut put = |key: &str, value: Value| {
            all.insert(key.to_owned(), value);
        };
        put("version", VERSION.into());
        put("id", json!(self.id));
        put("time", text::timestamp(self.at / 1000).into());
        put("kind", what.kind().into());
        put("security", what.is_security().into());
        put("text", what.text().into());
        put("account_id", json!(facts.map(|facts| &facts.account_id)));
        put("region", json!(facts.map(|facts| &facts.region)));
        put("instance_id", json!(facts.map(|facts| &facts.instance_id)));
        put("image_id", json!(facts.and_then(|facts| facts.image_id.as_ref())));
        put("application_id", json!(application.map(|one| &one.id)));
        put("application_version", json!(application.map(|one| &one.version)));
        put("details", what.details());
        Value::Object(all)
    }
}

/// The entry of one notice in a call of EventBridge.
pub fn entry(bus: &str, notice: &Value) -> Value {
    let text = |key: &str| notice.get(key).and_then(Value::as_str).unwrap_or_default();
    json!({
        "Source": SOURCE,
        "DetailType": format!("monopod {}", text("kind")),
        "Detail": notice.to_string(),
        "EventBusName": bus,
        "Time": text::parse_timestamp_millis(text("time")).unwrap_or_default() / 1000,
        "Resources": [],
    })
}
