//! The health probes that need no engine: one GET to a published port, one connection to any.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, StatusCode};
use tokio::net::TcpStream;

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Healthy,
    /// Another status.
    Status(u16),
    /// None at all.
    Nothing(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy => f.write_str("200"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Nothing(why) => f.write_str(why),
        }
    }
}

/// Asks as a load balancer would: no redirects, no proxy, no reuse of connections.
#[derive(Debug)]
pub struct Http {
    client: Client,
    url: String,
}

impl Http {
    /// For a published port and a path that begins with a slash.
    pub fn new(port: u16, path: &str, timeout: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .timeout(timeout)
            .build()?;
        Ok(Self {
            client,
            url: format!("http://127.0.0.1:{port}{path}"),
        })
    }

    /// What is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One try.
    pub async fn ask(&self) -> Answer {
        match self.client.get(&self.url).send().await {
            Ok(response) if response.status() == StatusCode::OK => Answer::Healthy,
            Ok(response) => Answer::Status(response.status().as_u16()),
            Err(error) if error.is_timeout() => Answer::Nothing("no answer in time".to_owned()),
            Err(error) => Answer::Nothing(innermost(&error)),
        }
    }
}

/// Whether somebody takes a connection there; why not, in words.
pub async fn connects(to: SocketAddr, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// "Connection refused" says more than the three layers around it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
