//! Requests to a receiver of OTLP: of lines here, of metrics and traces by whoever asks.

use std::time::Duration;

use bytes::Bytes;
use monopod_core::otlp::answer::{Verdict, judge};
use monopod_core::otlp::{OtlpTarget, Signal};
use monopod_core::secret::Secret;
use reqwest::header::{CONTENT_ENCODING, HeaderName, HeaderValue};
use reqwest::{RequestBuilder, Url};

use crate::host::Class;
use crate::logs::keys::Keys;
use crate::logs::sinks::SendError;
use crate::logs::sinks::http::{Http, answer, failed};

/// From the first byte to the answer: half a megabyte gets through at 17 KB a second.
const CALL: Duration = Duration::from_secs(30);

/// The way to a receiver.
#[derive(Debug)]
pub(crate) struct Transport {
    target: OtlpTarget,
    signal: Signal,
    keys: Keys,
    /// Those of every request, once they are fetched.
    headers: Option<Vec<(String, Secret)>>,
    http: Http,
}

impl Transport {
    /// Nobody is asked yet.
    pub(crate) fn new(target: &OtlpTarget, signal: Signal, keys: Keys) -> Self {
        Self {
            target: target.clone(),
            signal,
            keys,
            headers: None,
            http: Http::new(CALL),
        }
    }

    /// With another end of its patience.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.http = self.http.patience(patience);
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
        let failed = |error| failed(url.as_str(), error);
        let request = self.http.post(&url).map_err(failed)?;
        let request = request.header(CONTENT_ENCODING, "gzip").body(body);
        let answer = answer(with_headers(request, &headers)?).await.map_err(failed)?;
        let said = without(answer.body, &headers);
        let verdict = judge(answer.status, answer.retry_after.as_deref(), &said);
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
