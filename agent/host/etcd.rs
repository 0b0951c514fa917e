//! etcd's v3 interface through its JSON gateway, which every etcd since 3.4 has on its clients' port.
//!
//! One attempt each. Keys and values travel as base64, 64-bit numbers as texts.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde_json::{Value, json};

use super::{Class, Classified, chain, web};

/// A call may take so long: with a pause, less than a third of the lease.
const CALL: Duration = Duration::from_secs(3);
/// The answers are short; who sends more is no etcd.
const MOST: usize = 64 << 10;

/// Why etcd did not do it.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// There is no client to ask with.
    #[error("cannot make a client for etcd at {endpoint}")]
    Client {
        /// Where.
        endpoint: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody answered.
    #[error("etcd at {endpoint} did not {action}: {why}")]
    Unreachable {
        /// Where.
        endpoint: String,
        /// What was asked.
        action: &'static str,
        /// Why, in words.
        why: String,
    },
    /// It said no.
    #[error("etcd at {endpoint} did not {action}: status {status}: {message}")]
    Answered {
        /// Where.
        endpoint: String,
        /// What was asked.
        action: &'static str,
        /// The answer's.
        status: u16,
        /// What it said.
        message: String,
    },
    /// Somebody else listens there.
    #[error("who answers at {endpoint} did not {action}: that is no etcd 3.4 or later")]
    Nonsense {
        /// Where.
        endpoint: String,
        /// What was asked.
        action: &'static str,
    },
}

impl Classified for EtcdError {
    fn class(&self) -> Class {
        match self {
            Self::Client { .. } => Class::Permanent,
            // A cluster that is upgraded, or loses its leader, answers all kinds of things.
            Self::Unreachable { .. } | Self::Answered { .. } | Self::Nonsense { .. } => Class::Transient,
        }
    }
}

/// What keeps a key alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease(String);

/// etcd at one address.
#[derive(Debug)]
pub struct Etcd {
    client: Client,
    endpoint: String,
}

impl Etcd {
    /// For `http://HOST:2379`; asks nobody yet.
    pub fn new(endpoint: &str) -> Result<Self, EtcdError> {
        let client = web::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(CALL)
            .build();
        Ok(Self {
            client: client.map_err(|source| EtcdError::Client {
                endpoint: endpoint.to_owned(),
                source,
            })?,
            endpoint: endpoint.to_owned(),
        })
    }

    /// A new lease, for so many seconds.
    pub async fn grant(&self, seconds: u32) -> Result<Lease, EtcdError> {
        const ACTION: &str = "grant a lease";
        let answer = self
            .call(ACTION, "/v3/lease/grant", &json!({ "TTL": seconds }))
            .await?;
        let id = answer.get("ID").and_then(Value::as_str);
        id.map(|id| Lease(id.to_owned()))
            .ok_or_else(|| self.nonsense(ACTION))
    }

    /// Writes a key that goes with the lease.
    pub async fn put(&self, key: &str, value: &str, lease: &Lease) -> Result<(), EtcdError> {
        let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
        let body = json!({ "key": key, "value": value, "lease": lease.0 });
        self.call("write the entry", "/v3/kv/put", &body).await.map(drop)
    }

    /// Begins the lease's time anew; whether it was still there.
    pub async fn keep_alive(&self, lease: &Lease) -> Result<bool, EtcdError> {
        const ACTION: &str = "renew the lease";
        let body = json!({ "ID": lease.0 });
        let answer = self.call(ACTION, "/v3/lease/keepalive", &body).await?;
        let result = answer.get("result").ok_or_else(|| self.nonsense(ACTION))?;
        // A lease that is over has no time, and a time of 0 is left out.
        Ok(result.get("TTL").is_some())
    }

    /// Ends the lease, and the key with it. One that is over already is as good.
    pub async fn revoke(&self, lease: &Lease) -> Result<(), EtcdError> {
        let body = json!({ "ID": lease.0 });
        match self.call("revoke the lease", "/v3/lease/revoke", &body).await {
            Err(EtcdError::Answered { status: 404, .. }) => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn call(&self, action: &'static str, path: &str, body: &Value) -> Result<Value, EtcdError> {
        let unreachable = |error: reqwest::Error| EtcdError::Unreachable {
            endpoint: self.endpoint.clone(),
            action,
            why: match error.is_timeout() {
                true => "no answer in time".to_owned(),
                false => chain(&error.without_url()),
            },
        };
        let url = format!("{}{path}", self.endpoint);
        let request = self.client.post(url).body(body.to_string());
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if bytes.len() + chunk.len() > MOST {
                return Err(self.nonsense(action));
            }
            bytes.extend_from_slice(&chunk);
        }
        let json = serde_json::from_slice::<Value>(&bytes).ok();
        if status.is_success() {
            return json.ok_or_else(|| self.nonsense(action));
        }
        let message = json.as_ref().and_then(|json| json.get("error")?.as_str());
        Err(EtcdError::Answered {
            endpoint: self.endpoint.clone(),
            action,
            status: status.as_u16(),
            message: message.unwrap_or("no message").to_owned(),
        })
    }

    fn nonsense(&self, action: &'static str) -> EtcdError {
        EtcdError::Nonsense {
            endpoint: self.endpoint.clone(),
            action,
        }
    }
}
