//! What the sinks have in common that POST over HTTP: a connection that is kept for a while, and a short answer.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

use super::SendError;
use crate::host::web::{self, Silence};

const CONNECT: Duration = Duration::from_secs(10);
/// An answer is a few words; what is longer is none.
const ANSWER_MOST: usize = 64 * 1024;

/// Who sends.
#[derive(Debug)]
pub(super) struct Http {
    patience: Duration,
    direct: bool,
    client: Option<Client>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<String>,
    /// Its first bytes.
    pub(super) body: Vec<u8>,
}

impl Http {
    /// The patience is from the first byte to the answer.
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            patience,
            direct: false,
            client: None,
        }
    }

    /// Past any proxy, whatever the scheme.
    pub(super) fn direct(self) -> Self {
        Self { direct: true, ..self }
    }

    /// With another end of its patience.
    pub(super) fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A request with a body of JSON. The client is made with the first one: it loads the system's certificates.
    pub(super) fn post(&mut self, url: &Url) -> reqwest::Result<RequestBuilder> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.new_client(url)?,
        };
        let request = client.post(url.clone());
        self.client = Some(client);
        Ok(request
            .timeout(self.patience)
            .header(CONTENT_TYPE, "application/json"))
    }

    fn new_client(&self, url: &Url) -> reqwest::Result<Client> {
        let builder = web::builder()
            // A receiver that has moved gets no key by somebody else's word.
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            // A far end may end a connection that rests, without a word that gets here.
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1)
            .tcp_keepalive(Duration::from_secs(30));
        let builder = web::for_scheme(url, builder);
        match self.direct {
            true => builder.no_proxy().build(),
            false => builder.build(),
        }
    }
}

/// Sends one request.
pub(super) async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let mut answer = request.send().await?;
    let status = answer.status().as_u16();
    let after = answer.headers().get(RETRY_AFTER);
    let retry_after = after.and_then(|text| text.to_str().ok()).map(str::to_owned);
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        if body.len() + chunk.len() > ANSWER_MOST {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        retry_after,
        body,
    })
}

/// There was no answer.
pub(super) fn failed(place: &str, error: reqwest::Error) -> SendError {
    let silence = Silence::of(error, "; can the machine reach it, or a proxy that does?");
    let (class, advice) = (silence.class, silence.advice);
    SendError {
        class,
        text: format!("cannot send to {place}: {}{advice}", silence.why()),
    }
}
