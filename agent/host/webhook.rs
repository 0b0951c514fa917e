//! A receiver of notices: one POST an attempt.
//!
//! Nothing is followed and nothing is tried twice here. The address may be a key in itself: no error names more of it than
//! its host.

use std::time::Duration;

use bytes::Bytes;
use monopod_core::secret::Secret;
use monopod_core::text;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url};

use super::web::{self, Silence};
use super::{Class, Classified};

/// From the first byte to the answer.
const CALL: Duration = Duration::from_secs(10);
/// What an answer says is quoted up to here.
const SAID: usize = 200;
/// Shorter parts of an address are words: `v1`.
const SHORT: usize = 4;
/// So much of a part is enough to know it by.
const KNOWN_BY: usize = 6;

/// Why the receiver does not have it.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// It cannot be asked at all.
    #[error("`events.{key}` cannot be used: {why}")]
    Unusable {
        /// Which key.
        key: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answered.
    #[error("no notice reached {host}: {why}{advice}")]
    NoAnswer {
        /// Who was asked.
        host: String,
        /// Why.
        why: String,
        /// What to do, with its semicolon.
        advice: &'static str,
    },
    /// It answered with something else than a yes.
    #[error("{host} takes no notice: {said}{advice}")]
    Answered {
        /// Who was asked.
        host: String,
        /// The status and what it said.
        said: String,
        /// What to do, with its semicolon.
        advice: &'static str,
        /// The status.
        status: u16,
    },
}

impl Classified for HookError {
    /// Only what is said about this one notice is final: whoever runs the receiver may mend everything else.
    fn class(&self) -> Class {
        match self {
            Self::Answered { status: 429, .. } => Class::Throttled,
            Self::Answered {
                status: 400 | 413 | 415 | 422,
                ..
            } => Class::Permanent,
            Self::Answered { .. } | Self::NoAnswer { .. } | Self::Unusable { .. } => Class::Transient,
        }
    }
}

impl HookError {
    /// Whether other headers may help.
    pub const fn is_about_login(&self) -> bool {
        matches!(
            self,
            Self::Answered {
                status: 401 | 403 | 407,
                ..
            }
        )
    }
}

/// An answer's words, unless they repeat the address, which may be a key. It is known by the beginnings of its parts: an
/// answer may be cut within one.
fn quoted(said: &[u8], url: &Url) -> String {
    let said = text::printable(&String::from_utf8_lossy(said)).to_string();
    let parts = url.path_segments().into_iter().flatten().chain(url.query());
    let repeats = parts
        .filter(|part| part.len() >= SHORT)
        .any(|part| said.contains(part.get(..KNOWN_BY).unwrap_or(part)));
    if repeats { String::new() } else { said }
}

/// The way there.
#[derive(Debug)]
pub struct Webhook {
    url: Secret,
    client: Option<(Client, Url)>,
}

impl Webhook {
    /// Nobody is asked yet.
    pub fn new(url: &str) -> Self {
        Self {
            url: Secret::new(url.to_owned()),
            client: None,
        }
    }

    /// Sends one; `Ok` is any 2xx.
    pub async fn post(&mut self, headers: &[(String, Secret)], body: Bytes) -> Result<(), HookError> {
        let (client, url) = self.client()?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let mut request = client
            .post(url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        for (name, value) in headers {
            let unusable = |why: &str| HookError::Unusable {
                key: format!("headers.{name}"),
                why: why.to_owned(),
            };
            let header = HeaderName::try_from(name).map_err(|_| unusable("this is no header"))?;
            let mut value = HeaderValue::from_str(value.expose())
                .map_err(|_| unusable("its value has characters that no header may have"))?;
            value.set_sensitive(true);
            request = request.header(header, value);
        }
        let answer = request.send().await;
        let answer = answer.map_err(|error| no_answer(&host, error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = text::shortened(quoted(&web::beginning(answer, SAID).await, &url).trim(), SAID);
        Err(HookError::Answered {
            host,
            said: format!("{status} {said}").trim_end().to_owned(),
            advice: advice(status),
            status: status.as_u16(),
        })
    }

    /// Made when it is first needed: it loads the system's certificates.
    fn client(&mut self) -> Result<(Client, Url), HookError> {
        if let Some(made) = &self.client {
            return Ok(made.clone());
        }
        let url = Url::parse(self.url.expose()).map_err(|error| HookError::Unusable {
            key: "webhook".to_owned(),
            why: error.to_string(),
        })?;
        let client = web::for_scheme(&url, web::single_calls(CALL))
            .build()
            .map_err(|error| no_answer(url.host_str().unwrap_or_default(), error))?;
        Ok(self.client.insert((client, url)).clone())
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        300..=399 => "; nothing is followed: write the address it names into `events.webhook`",
        401 | 403 | 407 => "; check `events.headers`",
        404 | 405 | 410 => "; is `events.webhook` its address?",
        _ => "",
    }
}

fn no_answer(host: &str, error: reqwest::Error) -> HookError {
    let silence = Silence::of(error, "; can the machine reach it?");
    HookError::NoAnswer {
        host: host.to_owned(),
        advice: silence.advice,
        why: silence.why_within(CALL),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{Server, reply};

    fn secrets() -> Vec<(String, Secret)> {
        vec![(
            "Authorization".to_owned(),
            Secret::new("canary-header".to_owned()),
        )]
    }

    #[tokio::test]
    async fn a_yes_is_any_2xx_and_nothing_is_followed() {
        let elsewhere = Server::saying(reply(200, "{}")).await;
        let away = reply(307, "").with("location", elsewhere.url.clone());
        let server = Server::saying(away).await;
        let refused = Webhook::new(&format!("{}/canary-path", server.url))
            .post(&secrets(), Bytes::from_static(b"{}"))
            .await
            .unwrap_err();
        assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("canary"), "{shown}");
        assert!(shown.contains("nothing is followed"), "{shown}");

        let server = Server::saying(reply(204, "")).await;
        let mut hook = Webhook::new(&server.url);
        hook.post(&secrets(), Bytes::from_static(b"{}")).await.unwrap();
        assert!(!format!("{hook:?}").contains("canary"));
    }

    #[tokio::test]
    async fn nobody_there_is_told_without_the_address() {
        let error = Webhook::new("http://127.0.0.1:1/canary-path")
            .post(&[], Bytes::new())
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert_eq!(error.class(), Class::Transient);
    }

    #[test]
    fn only_what_is_about_the_notice_is_final() {
        for (status, class) in [
            (400, Class::Permanent),
            (422, Class::Permanent),
            (401, Class::Transient),
            (404, Class::Transient),
            (429, Class::Throttled),
            (500, Class::Transient),
        ] {
            let error = HookError::Answered {
                host: String::new(),
                said: String::new(),
                advice: "",
                status,
            };
            assert_eq!(error.class(), class, "{status}");
        }
    }
}
