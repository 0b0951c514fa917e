//! Requests to Scalyr.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::host::Class;
use crate::host::web::{is_distrusted, nameless};
use crate::logs::sinks::SendError;

/// Names another place than Scalyr's own, such as a relay in one's own network: `https://logs.example.org`.
pub(super) const ENDPOINT_VARIABLE: &str = "MONOPOD_SCALYR_ENDPOINT";
const CONNECT: Duration = Duration::from_secs(10);
/// As long as the original's agent waits: a whole body gets through at 17 KB a second.
const CALL: Duration = Duration::from_secs(60);
/// An answer is a few words; what is longer is none.
const ANSWER_MOST: usize = 64 * 1024;

/// Scalyr's own place: that of the original for Europe, and where Scalyr's own agent sends to unless told.
pub(super) fn endpoint_of(region: &str) -> String {
    match region {
        "us" => "https://agent.scalyr.com".to_owned(),
        region => format!("https://upload.{region}.scalyr.com"),
    }
}

/// The way to Scalyr.
#[derive(Debug)]
pub(super) struct Transport {
    /// None if there is no such address.
    url: Option<Url>,
    patience: Duration,
    client: Option<Client>,
}

impl Transport {
    pub(super) fn new(endpoint: &str) -> Self {
        Self {
            url: address(endpoint),
            patience: CALL,
            client: None,
        }
    }

    /// With another end of its patience.
    #[cfg(test)]
    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where it leads, for people.
    pub(super) fn place(&self) -> &str {
        self.url.as_ref().and_then(Url::host_str).unwrap_or("nowhere")
    }

    /// Sends one request. The status and the first bytes of the answer.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<(u16, Vec<u8>), SendError> {
        let Some(url) = self.url.clone() else {
            return Err(SendError {
                class: Class::Permanent,
                text: format!(
                    "cannot send to Scalyr: {ENDPOINT_VARIABLE} or scalyr_region names no address to send a key \
                     to; an endpoint is https://HOST, or http:// on this machine alone, without path and login"
                ),
            });
        };
        let request = self
            .client(&url)
            .map_err(|error| failed(&url, error))?
            .post(url.clone())
            .timeout(self.patience)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let mut answer = request.send().await.map_err(|error| failed(&url, error))?;
        let status = answer.status().as_u16();
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&url, error))? {
            if bytes.len() + chunk.len() > ANSWER_MOST {
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }

    /// Made when it's first needed: it loads the system's certificates.
    fn client(&mut self, url: &Url) -> reqwest::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .referer(false)
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            // A far end may end a connection that rests, without a word that gets here.
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("monopod/", env!("CARGO_PKG_VERSION")));
        let builder = match url.scheme() {
            "http" => builder.no_proxy().tls_certs_only([]),
            _ if is_loopback(url) => builder.no_proxy(),
            _ => builder,
        };
        let client = builder.build()?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

/// An address that a key may be sent to.
fn address(endpoint: &str) -> Option<Url> {
    let url = Url::parse(endpoint).ok()?;
    let plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !plain || !safe {
        return None;
    }
    url.join("/addEvents").ok()
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// There was no answer.
fn failed(url: &Url, error: reqwest::Error) -> SendError {
    let (timed_out, builder) = (error.is_timeout(), error.is_builder());
    let text = nameless(&error.without_url());
    let (class, advice) = if is_distrusted(&text) {
        let advice = "; add its authority to the machine's certificates, or name them in SSL_CERT_FILE";
        (Class::Permanent, advice)
    } else if builder {
        (Class::Permanent, "; is the package ca-certificates installed?")
    } else {
        (
            Class::Transient,
            "; can the machine reach it, or a proxy that does?",
        )
    };
    let text = match (timed_out, text.as_str()) {
        (true, "") => "no answer in time".to_owned(),
        (true, text) => format!("no answer in time: {text}"),
        (false, text) => text.to_owned(),
    };
    let host = url.host_str().unwrap_or_default();
    SendError {
        class,
        text: format!("cannot send to Scalyr at {host}: {text}{advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_in_clear_to_this_machine_only() {
        for (endpoint, expected) in [
            (
                endpoint_of("eu").as_str(),
                Some("https://upload.eu.scalyr.com/addEvents"),
            ),
            (
                endpoint_of("us").as_str(),
                Some("https://agent.scalyr.com/addEvents"),
            ),
            (
                "https://relay.example.org:8443/",
                Some("https://relay.example.org:8443/addEvents"),
            ),
            ("http://127.0.0.1:1", Some("http://127.0.0.1:1/addEvents")),
            ("http://relay.example.org", None),
            ("https://a:b@relay.example.org", None),
            ("https://relay.example.org/path", None),
            (endpoint_of("eu/x?").as_str(), None),
            ("relay.example.org", None),
            ("", None),
        ] {
            assert_eq!(
                address(endpoint).as_ref().map(Url::as_str),
                expected,
                "{endpoint}"
            );
        }
    }
}
