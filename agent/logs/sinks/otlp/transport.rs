//! Requests to a receiver of OTLP: of lines here, of metrics and traces by whoever asks.

use std::time::Duration;

use bytes::Bytes;
use monopod_core::otlp::answer::{Verdict, judge};
use monopod_core::otlp::{OtlpTarget, Signal};
use monopod_core::secret::Secret;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

use crate::host::Class;
use crate::host::web::{is_distrusted, nameless};
use crate::logs::keys::Keys;
use crate::logs::sinks::SendError;

const CONNECT: Duration = Duration::from_secs(10);
/// From the first byte to the answer: half a megabyte gets through at 17 KB a second.
const CALL: Duration = Duration::from_secs(30);
/// An answer is a few words; what is longer is none.
const ANSWER_MOST: usize = 64 * 1024;

/// The way to a receiver.
#[derive(Debug)]
pub(crate) struct Transport {
    target: OtlpTarget,
    signal: Signal,
    keys: Keys,
    /// Those of every request, once they are fetched.
    headers: Option<Vec<(String, Secret)>>,
    client: Option<Client>,
    patience: Duration,
}

impl Transport {
    /// Nobody is asked yet.
    pub(crate) fn new(target: &OtlpTarget, signal: Signal, keys: Keys) -> Self {
        Self {
            target: target.clone(),
            signal,
            keys,
            headers: None,
            client: None,
            patience: CALL,
        }
    }

    /// With another end of its patience.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Where it leads, for people.
    pub(crate) fn place(&self) -> String {
        self.target.url(self.signal)
    }

    /// Sends one body, which is JSON in gzip. An error means that there was no answer, or no header to send.
    pub(crate) async fn post(&mut self, body: Bytes) -> Result<Verdict, SendError> {
        let place = self.place();
        let url = Url::parse(&place).map_err(|error| SendError {
            class: Class::Permanent,
            text: format!("cannot send to {place}: `otlp.endpoint` is no address: {error}"),
        })?;
        let headers = self.headers().await?;
        let client = self.client(&url).map_err(|error| failed(&url, error))?;
        let request = client
            .post(url.clone())
            .timeout(self.patience)
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .body(body);
        let request = with_headers(request, &headers)?;
        let mut answer = request.send().await.map_err(|error| failed(&url, error))?;
        let status = answer.status().as_u16();
        let after = answer.headers().get(RETRY_AFTER);
        let after = after.and_then(|text| text.to_str().ok()).map(str::to_owned);
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&url, error))? {
            if bytes.len() + chunk.len() > ANSWER_MOST {
                break;
            }
            bytes.extend_from_slice(&chunk);
        }
        let bytes = without(bytes, &headers);
        let verdict = judge(status, after.as_deref(), &bytes);
        if matches!(verdict, Verdict::Denied { login: true, .. }) {
            self.headers = None;
        }
        Ok(verdict)
    }

    /// Fetched when the first request leaves.
    async fn headers(&mut self) -> Result<Vec<(String, Secret)>, SendError> {
        if let Some(headers) = &self.headers {
            return Ok(headers.clone());
        }
        let mut headers = Vec::new();
        for (name, key) in &self.target.headers {
            headers.push((name.clone(), self.keys.get(key).await?));
        }
        self.headers = Some(headers.clone());
        Ok(headers)
    }

    /// Made when it's first needed: it loads the system's certificates.
    fn client(&mut self, url: &Url) -> reqwest::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let builder = Client::builder()
            .referer(false)
            // A receiver that has moved gets no key by somebody else's word.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .tcp_keepalive(Duration::from_secs(30))
            .user_agent(concat!("monopod/", env!("CARGO_PKG_VERSION")));
        let builder = match url.scheme() {
            "http" => builder.no_proxy().tls_certs_only([]),
            _ => builder,
        };
        let client = builder.build()?;
        self.client = Some(client.clone());
        Ok(client)
    }
}

fn with_headers(
    mut request: RequestBuilder,
    headers: &[(String, Secret)],
) -> Result<RequestBuilder, SendError> {
    for (name, value) in headers {
        let header = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = HeaderValue::from_str(value.expose()).ok();
        let (Some(header), Some(mut value)) = (header, value) else {
            return Err(SendError {
                class: Class::Permanent,
                text: format!(
                    "cannot send the header {name} by OTLP: its value has characters that no header may have; \
                     write printable ASCII characters on one line, it is fetched again"
                ),
            });
        };
        value.set_sensitive(true);
        request = request.header(header, value);
    }
    Ok(request)
}

/// An answer may repeat what it was asked with.
fn without(bytes: Vec<u8>, headers: &[(String, Secret)]) -> Vec<u8> {
    if headers.is_empty() {
        return bytes;
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    for (_, value) in headers {
        // `Bearer KEY`: the word alone is no secret.
        let parts = value.expose().split_whitespace().filter(|part| part.len() >= 8);
        for part in parts {
            text = text.replace(part, "<secret>");
        }
    }
    text.into_bytes()
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
    SendError {
        class,
        text: format!("cannot send to {url}: {text}{advice}"),
    }
}
