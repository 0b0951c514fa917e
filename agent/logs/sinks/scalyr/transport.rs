//! Requests to Scalyr.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::Url;

use crate::host::Class;
use crate::logs::sinks::SendError;
use crate::logs::sinks::http::{self, Http};

/// Names another place than Scalyr's own, such as a relay in one's own network: `https://logs.example.org`.
pub(super) const ENDPOINT_VARIABLE: &str = "MONOPOD_SCALYR_ENDPOINT";
/// As long as the original's agent waits: a whole body gets through at 17 KB a second.
const CALL: Duration = Duration::from_secs(60);

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
    http: Http,
}

impl Transport {
    pub(super) fn new(endpoint: &str) -> Self {
        let (url, http) = (address(endpoint), Http::new(CALL));
        let http = match &url {
            Some(url) if is_loopback(url) => http.direct(),
            _ => http,
        };
        Self { url, http }
    }

    /// With another end of its patience.
    #[cfg(test)]
    pub(super) fn patience(mut self, patience: Duration) -> Self {
        self.http = self.http.patience(patience);
        self
    }

    /// Where it leads, for people.
    pub(super) fn place(&self) -> &str {
        self.url.as_ref().and_then(Url::host_str).unwrap_or("nowhere")
    }

    /// Sends one request. The status and the first bytes of the answer.
    pub(super) async fn post(&mut self, body: Bytes) -> Result<(u16, Vec<u8>), SendError> {
        let Some(url) = &self.url else {
            return Err(SendError {
                class: Class::Permanent,
                text: format!(
                    "cannot send to Scalyr: {ENDPOINT_VARIABLE} or scalyr_region names no address to send a key \
                     to; an endpoint is https://HOST, or http:// on this machine alone, without path and login"
                ),
            });
        };
        let failed = |error| {
            let host = url.host_str().unwrap_or_default();
            http::failed(&format!("Scalyr at {host}"), error)
        };
        let request = self.http.post(url).map_err(failed)?.body(body);
        let answer = http::answer(request).await.map_err(failed)?;
        Ok((answer.status, answer.body))
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
