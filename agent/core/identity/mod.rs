//! Who the container is to AWS: whether it reaches the metadata service, and whose credentials it is given.
//!
//! Keeping a container from the metadata service takes the instance's role away from it, and an application that lives
//! on that role stops working. So whoever is kept from it gets credentials from the agent instead, by the protocol that
//! every AWS SDK knows for containers: a URL in one variable, a token in a file that another variable names.
//!
//! | `aws_credentials` | metadata | the container gets |
//! |---|---|---|
//! | `instance` | open | nothing from us: its SDK asks the metadata service |
//! | `instance` | blocked | the instance role's credentials, from the agent |
//! | a role's ARN | blocked | that role's credentials, from the agent |
//! | `none` | blocked | none |
//!
//! A container without a network reaches nobody, so nothing is blocked and nothing is served.

mod arn;
pub mod counts;
pub mod protocol;
pub mod refresh;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Networking;
pub use arn::{NotARole, RoleArn};

/// Where the agent serves credentials: every SDK takes this address over plain http, and no other machine has it.
pub const ADDRESS: &str = "169.254.170.2:51680";
/// The path of the credentials there.
pub const PATH: &str = "/credentials";
/// The directory in which the container finds its token.
pub const TOKEN_DIRECTORY: &str = "/run/monopod-identity";
/// The token's file in it.
pub const TOKEN_FILE: &str = "token";

/// Variable: where an SDK asks for credentials.
pub const FULL_URI: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
/// Variable: the file with what it says when it asks.
pub const AUTHORIZATION_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
/// Variable: an SDK that asks the metadata service in vain would wait for it.
pub const METADATA_DISABLED: &str = "AWS_EC2_METADATA_DISABLED";
/// Variables: the region, which an SDK asks the metadata service for otherwise.
pub const REGIONS: [&str; 2] = ["AWS_REGION", "AWS_DEFAULT_REGION"];
/// Variables that every SDK looks at before it asks us.
pub const GO_BEFORE: [&str; 4] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_PROFILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
];

/// Whose credentials the container gets: `aws_credentials`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// The instance's own.
    #[default]
    Instance,
    /// Nobody's.
    None,
    /// This role's, which the instance's may assume.
    Role(RoleArn),
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("instance"),
            Self::None => f.write_str("none"),
            Self::Role(arn) => arn.fmt(f),
        }
    }
}

/// Whether the container reaches the metadata service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metadata {
    /// It does.
    #[default]
    Open,
    /// It is kept from it.
    Blocked,
    /// It has no network.
    Unreachable,
}

/// Whose credentials the agent serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Served {
    /// The instance's own.
    Instance,
    /// Those of a role it assumes.
    Role(RoleArn),
}

impl fmt::Display for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("the instance's role"),
            Self::Role(arn) => write!(f, "the role {arn}"),
        }
    }
}

/// What follows from the user data and the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// What was asked for.
    pub credentials: Credentials,
    /// Whether the metadata service is reached.
    pub metadata: Metadata,
}

/// Decides. A role or none at all would be worth nothing where the instance's credentials are one request away: either
/// closes the metadata service, whatever is said about it.
pub fn decide(
    credentials: &Credentials,
    instance_metadata: Option<bool>,
    policy_blocks: bool,
    networking: Networking,
) -> Identity {
    let asked = policy_blocks || instance_metadata == Some(false) || *credentials != Credentials::Instance;
    Identity {
        credentials: credentials.clone(),
        metadata: match (networking, asked) {
            (Networking::None, _) => Metadata::Unreachable,
            (_, true) => Metadata::Blocked,
            (_, false) => Metadata::Open,
        },
    }
}

impl Identity {
    /// Whether rules have to keep the container from the metadata service.
    pub fn blocks_metadata(&self) -> bool {
        self.metadata == Metadata::Blocked
    }

    /// Whose credentials the agent serves, if it serves any.
    pub fn served(&self) -> Option<Served> {
        match &self.credentials {
            _ if !self.blocks_metadata() => None,
            Credentials::Instance => Some(Served::Instance),
            Credentials::Role(arn) => Some(Served::Role(arn.clone())),
            Credentials::None => None,
        }
    }

    /// Variables of the container's that are known everywhere. The region is the machine's to tell.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if self.served().is_some() {
            all.push((FULL_URI, format!("http://{ADDRESS}{PATH}")));
            all.push((AUTHORIZATION_FILE, format!("{TOKEN_DIRECTORY}/{TOKEN_FILE}")));
        }
        if self.blocks_metadata() {
            all.push((METADATA_DISABLED, "true".to_owned()));
        }
        all
    }

    /// Whether a variable of this name is ours.
    pub fn sets(&self, name: &str) -> bool {
        self.variables().iter().any(|(one, _)| *one == name)
    }

    /// For people: where its credentials come from.
    pub fn text(&self) -> String {
        match (&self.metadata, self.served()) {
            (Metadata::Unreachable, _) => "none: it has no network to ask for them".to_owned(),
            (Metadata::Open, _) => "the instance's, from the metadata service".to_owned(),
            (Metadata::Blocked, None) => "none; kept from the metadata service".to_owned(),
            (Metadata::Blocked, Some(served)) => {
                format!("of {served}, from the agent at {ADDRESS}; kept from the metadata service")
            }
        }
    }
}
