//! The rules in words: rows of a plan, and what `monopod firewall show` says.

use std::fmt;

use serde_json::{Value, json};

use super::{ENDPOINT, ENDPOINT_PORT, FirewallPlan};
use crate::config::Networking;

impl FirewallPlan {
    /// One row each.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![("comes in", self.incoming_text())];
        if self.networking == Networking::None {
            return rows;
        }
        rows.push(("goes out", self.outgoing_text()));
        rows.push((
            "metadata service",
            match self.metadata_blocked {
                true => "cannot be reached".to_owned(),
                false => "can be reached".to_owned(),
            },
        ));
        if self.credentials_endpoint {
            rows.push((
                "credentials",
                format!("from {ENDPOINT}:{ENDPOINT_PORT} of the machine"),
            ));
        }
        if self.networking == Networking::Host && self.is_asked() {
            let text = "by its control group, which has to be of version 2; rights over the network (NET_ADMIN, privileged) can take the rules away";
            rows.push(("told apart", text.to_owned()));
        }
        rows
    }

    fn incoming_text(&self) -> String {
        match self.networking {
            Networking::None => "nothing: the container has no network".to_owned(),
            Networking::Host => {
                "everything that the container listens for on the machine's network".to_owned()
            }
            Networking::Bridge if self.ports.is_empty() => "nothing from other machines".to_owned(),
            Networking::Bridge => {
                let ports = self
                    .ports
                    .iter()
                    .map(|(protocol, port)| format!("{protocol} {port}"));
                format!(
                    "{}; nothing else from other machines",
                    ports.collect::<Vec<_>>().join(", ")
                )
            }
        }
    }

    fn outgoing_text(&self) -> String {
        match self.egress.as_deref() {
            None => "everything".to_owned(),
            Some([]) => "questions to the name servers alone".to_owned(),
            Some(rules) => {
                let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
                format!(
                    "to {}, and questions to the name servers; nothing else",
                    rules.join("; to ")
                )
            }
        }
    }

    /// For programs. The ports are the container's, which has them already.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "egress": self.egress.as_ref().map(|rules| rules.iter().map(ToString::to_string).collect::<Vec<_>>()),
            "metadata_blocked": self.metadata_blocked,
            "credentials_endpoint": self.credentials_endpoint,
        })
    }
}

/// As a step.
impl fmt::Display for FirewallPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match (self.networking, &self.egress, self.metadata_blocked) {
            (Networking::Bridge, None, false) => "let only declared ports in",
            (Networking::Bridge, None, true) => {
                "let only declared ports in, and nothing out to the metadata service"
            }
            (Networking::Bridge, Some(_), _) => "let only declared ports in, and only `egress` out",
            (_, Some(_), _) => "let only `egress` out",
            (_, None, true) => "let nothing out to the metadata service",
            (_, None, false) if self.credentials_endpoint => {
                "keep the address of the credentials to the machine"
            }
            (_, None, false) => "keep the metadata service from people who are let in",
        };
        f.write_str(what)
    }
}
