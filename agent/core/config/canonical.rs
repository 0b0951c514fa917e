//! What the user asked for, as one deterministic value to hash.
//!
//! Only what was written is in it, never a default of ours: a new default must not replace a running
//! container. Secrets are in it as references (a KMS ciphertext), registry logins not at all:
//! rotating a registry's password leaves the container alone. The health check and the restart
//! policy are ours to carry out and don't change the container either.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::model::{Config, EnvValue, PortMapping};

impl Config {
    /// A description of the container the user wrote, without secrets, the same for the same intent.
    ///
    /// Order in the file plays no part. Maps are filled in sorted order, so the text of the value is
    /// deterministic whatever map type `serde_json` was built with.
    pub fn canonical(&self) -> Value {
        let mut keys: BTreeMap<&str, Value> = BTreeMap::new();
        keys.insert("application_id", json!(self.application_id));
        keys.insert("application_version", json!(self.application_version));
        keys.insert("source", json!(self.source.canonical()));
        let mut put = |key, value: Option<Value>| {
            if let Some(value) = value {
                keys.insert(key, value);
            }
        };
        put("ports", self.ports.as_deref().map(ports));
        put("environment", self.environment.as_deref().map(environment));
        put("capabilities_add", self.capabilities_add.as_deref().map(sorted));
        put("capabilities_drop", self.capabilities_drop.as_deref().map(sorted));
        put("root", self.root.map(Value::from));
        put("privileged", self.privileged.map(Value::from));
        put("read_only", self.read_only.map(Value::from));
        put("hostname", self.hostname.as_deref().map(Value::from));
        put(
            "networking",
            self.networking.map(|networking| json!(networking.to_string())),
        );
        put("shm_size", self.shm_size.map(Value::from));
        keys.into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }
}

fn ports(ports: &[PortMapping]) -> Value {
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    let text = |port: &PortMapping| {
        let ip = port.host_ip.map(|ip| format!("{ip} ")).unwrap_or_default();
        format!("{ip}{}:{}/{}", port.host, port.container, port.protocol)
    };
    ports.iter().map(text).collect()
}

/// A plain value is a string and a KMS value a map, so that neither can pass for the other.
fn environment(variables: &[(String, EnvValue)]) -> Value {
    let variables: BTreeMap<&str, Value> = variables
        .iter()
        .map(|(name, value)| match value {
            EnvValue::Plain(text) => (name.as_str(), json!(text)),
            EnvValue::Kms(ciphertext) => (
                name.as_str(),
                json!({"kms": STANDARD.encode(ciphertext.as_bytes())}),
            ),
        })
        .collect();
    variables
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

fn sorted(names: &[String]) -> Value {
    let mut names = names.to_vec();
    names.sort_unstable();
    json!(names)
}
