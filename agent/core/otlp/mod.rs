//! OTLP, the pure half: what is asked for, and bodies in the protocol's JSON form.
//!
//! Design: JSON rather than protobuf. Every receiver has to take both, and a JSON body needs no generated code and no crate
//! that is not in the tree; gzip makes up for its length. By the protocol's JSON mapping names are in lowerCamelCase,
//! whole numbers of 64 bits are strings, ids are hexadecimal, and an enumeration is its number.
//!
//! Invariants
//! - No header's value is here: [`OtlpTarget`] names where each comes from.
//! - What can't be told is left out: no body has a made-up zero or an empty text for what is not known.

pub mod answer;
pub mod exposition;
pub mod logs;
pub mod metrics;
pub mod resource;
#[cfg(test)]
mod tests;
pub mod trace;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::{Config, Otlp};
use crate::logs::LogKey;

/// Seconds between two pushes of metrics, unless `otlp.interval` says otherwise.
pub const INTERVAL_SECONDS: u32 = 60;

/// The instrumentation scope of everything we send.
const SCOPE: &str = "monopod";

/// One of the protocol's three kinds of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Log records.
    Logs,
    /// Metrics.
    Metrics,
    /// Spans.
    Traces,
}

impl Signal {
    /// One word, as the protocol's paths and the user data have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Logs => "logs",
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }
}

/// Where to, and as whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtlpTarget {
    /// What stands before `/v1/logs`, without a slash at its end.
    pub endpoint: String,
    /// Headers of every request, by name: where the value of each comes from.
    pub headers: Vec<(String, LogKey)>,
}

impl OtlpTarget {
    fn new(otlp: &Otlp) -> Self {
        let headers = otlp
            .headers
            .iter()
            .map(|header| (header.name.clone(), LogKey::new(&header.source, &header.key)));
        Self {
            endpoint: otlp.endpoint.trim_end_matches('/').to_owned(),
            headers: headers.collect(),
        }
    }

    /// The address for one kind of data.
    pub fn url(&self, signal: Signal) -> String {
        format!("{}/v1/{}", self.endpoint, signal.word())
    }

    /// The headers for a text, and where each comes from.
    pub fn header_texts(&self) -> Vec<String> {
        let text = |(name, key): &(String, LogKey)| crate::plan::key_text(key, &format!("the header {name}"));
        self.headers.iter().map(text).collect()
    }
}

/// What is sent besides lines, which are a route of the log plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtlpPlan {
    /// Where to.
    pub target: OtlpTarget,
    /// Seconds between two pushes of metrics; `None` where there are none.
    pub metrics_seconds: Option<u32>,
    /// Whether the boot is told as a trace.
    pub traces: bool,
}

impl OtlpPlan {
    /// `None` where nobody asks.
    pub fn new(otlp: Option<&Otlp>) -> Option<Self> {
        let otlp = otlp?;
        Some(Self {
            target: OtlpTarget::new(otlp),
            metrics_seconds: otlp
                .metrics
                .then(|| otlp.interval_seconds.unwrap_or(INTERVAL_SECONDS)),
            traces: otlp.traces,
        })
    }

    /// For people: one row each.
    pub fn rows(&self) -> Vec<(&'static str, String)> {
        let row = |signal: Signal, what: &str| {
            let mut text = format!("{what} to {}", self.target.url(signal));
            for header in self.target.header_texts() {
                text.push_str(", ");
                text.push_str(&header);
            }
            text
        };
        let metrics = self.metrics_seconds.map(|seconds| {
            let what = format!("what /metrics serves, every {seconds} s,");
            ("metrics by OTLP", row(Signal::Metrics, &what))
        });
        let traces = self.traces.then(|| {
            (
                "trace by OTLP",
                row(Signal::Traces, "the boot as one trace, once,"),
            )
        });
        metrics.into_iter().chain(traces).collect()
    }

    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "endpoint": self.target.endpoint,
            "headers": self.target.header_texts(),
            "metrics_interval_seconds": self.metrics_seconds,
            "traces": self.traces,
        })
    }
}

/// Where lines go, if they go by OTLP.
pub fn of_logs(config: &Config) -> Option<OtlpTarget> {
    config.otlp().filter(|otlp| otlp.logs).map(OtlpTarget::new)
}

/// An attribute with a text.
fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": value } })
}

/// An attribute with a whole number.
fn whole(key: &str, value: u64) -> Value {
    json!({ "key": key, "value": { "intValue": value.to_string() } })
}

/// Nanoseconds as the protocol wants them.
fn nanos(millis: u64) -> String {
    u128::from(millis).saturating_mul(1_000_000).to_string()
}

/// Who says so: this agent, by its version.
fn scope(version: &str) -> Value {
    json!({ "name": SCOPE, "version": version })
}
