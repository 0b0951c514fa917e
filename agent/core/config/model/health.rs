//! When the machine counts as up.

use serde::{Deserialize, Serialize};

/// What is asked of a new container, how often and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// The question.
    pub probe: Probe,
    /// Seconds until the gate gives up.
    pub timeout_seconds: u32,
    /// Seconds between two probes.
    pub interval_seconds: u32,
    /// Seconds one probe may take.
    pub probe_timeout_seconds: u32,
    /// Answers in a row that make it healthy.
    pub healthy_threshold: u32,
    /// Failures in a row that make it unhealthy, once the machine is up.
    pub unhealthy_threshold: u32,
    /// Seconds between two probes once the machine is up.
    pub watch_interval_seconds: u32,
    /// Seconds after a start in which failures don't count.
    pub start_period_seconds: u32,
}

/// One way to ask whether the application is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Nothing is asked: running is enough, unless the image brings a HEALTHCHECK of its own.
    Running,
    /// `GET http://127.0.0.1:port/path` answers as it should.
    Http {
        /// On the machine.
        port: u16,
        /// Starts with `/`.
        path: String,
        /// The answers that are healthy; 200 when empty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        statuses: Vec<u16>,
        /// Headers of the request.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        headers: Vec<(String, String)>,
    },
    /// The port takes a connection at the container's own address: a published port always does.
    Tcp {
        /// In the container.
        port: u16,
    },
    /// The command ends with 0 inside the container.
    Exec {
        /// The program and its arguments; no shell.
        command: Vec<String>,
    },
}
