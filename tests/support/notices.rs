//! What the metadata service says about a machine's end, and its tags: nothing (404) until a test says so.

use std::collections::BTreeMap;
use std::time::SystemTime;

use serde_json::json;

use crate::identity::rfc3339;
use crate::imds::Imds;
use crate::wait::lock;

/// The paths that come and go.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    target_state: Option<String>,
    spot: Option<(String, SystemTime)>,
    rebalance: Option<SystemTime>,
    tags: Option<BTreeMap<String, String>>,
}

impl Notices {
    /// The answer to a path below /latest/meta-data.
    pub(crate) fn get(&self, path: &str) -> Option<String> {
        match path {
            "autoscaling/target-lifecycle-state" => self.target_state.clone(),
            "spot/instance-action" => self
                .spot
                .as_ref()
                .map(|(action, at)| json!({"action": action, "time": rfc3339(*at)}).to_string()),
            "spot/termination-time" => self
                .spot
                .as_ref()
                .filter(|(action, _)| action == "terminate")
                .map(|(_, at)| rfc3339(*at)),
            "events/recommendations/rebalance" => self
                .rebalance
                .map(|at| json!({"noticeTime": rfc3339(at)}).to_string()),
            "tags/instance" | "tags/instance/" => {
                let keys: Vec<&str> = self.tags.as_ref()?.keys().map(String::as_str).collect();
                Some(keys.join("\n"))
            }
            _ => {
                let key = path.strip_prefix("tags/instance/")?.replace("%3A", ":");
                self.tags.as_ref()?.get(&key).cloned()
            }
        }
    }
}

impl Imds {
    /// What the group wants the machine to become (`InService`, `Warmed:Stopped`, `Terminated` ...); `None` outside of
    /// any.
    pub fn target_state(&self, state: Option<&str>) {
        lock(&self.state).notices.target_state = state.map(str::to_owned);
    }

    /// The machine is interrupted at this time: `terminate`, `stop` or `hibernate`.
    pub fn spot(&self, action: &str, at: SystemTime) {
        lock(&self.state).notices.spot = Some((action.to_owned(), at));
    }

    /// The machine is at an elevated risk of interruption since this time.
    pub fn rebalance(&self, at: SystemTime) {
        lock(&self.state).notices.rebalance = Some(at);
    }

    /// A tag of the instance; with the first one, tags are allowed in its metadata.
    pub fn tag(&self, key: &str, value: &str) {
        let tags = &mut lock(&self.state).notices.tags;
        tags.get_or_insert_default().insert(key.into(), value.into());
    }

    /// All notices are taken back, tags too.
    pub fn clear_notices(&self) {
        lock(&self.state).notices = Notices::default();
    }
}
