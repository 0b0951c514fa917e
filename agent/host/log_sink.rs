//! The receiver of audit records: one POST an attempt.
//!
//! Nothing is followed and nothing is tried twice here. What is sent may hold what the machine's users did, so it goes
//! over TLS, or to this machine itself without a proxy.

use std::time::Duration;

use bytes::Bytes;
use monopod_core::audit::Answer;
use monopod_core::secret::Secret;
use monopod_core::text;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Url};

use super::web::{self, Silence};
use super::{Class, Classified};

/// From the first byte to the answer: ten megabytes get through at 180 KB a second.
const CALL: Duration = Duration::from_secs(60);
/// What an answer says is quoted up to here.
const SAID: usize = 200;

/// Why the receiver does not have it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// It is no address.
    #[error("the address in `instance_logs_url` cannot be used: {why}")]
    Address {
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answered.
    #[error("no audit record reached {host}: {why}{advice}")]
    NoAnswer {
        /// Who was asked.
        host: String,
        /// Why.
        why: String,
        /// What to do, with its semicolon.
        advice: &'static str,
        /// Whether that is the same at every try.
        class: Class,
    },
    /// It has a bad moment.
    #[error("{host} does not take audit records now: {said}")]
    Busy {
        /// Who was asked.
        host: String,
        /// The status and what it said.
        said: String,
        /// What kind of moment.
        class: Class,
    },
    /// It does not know us.
    #[error(
        "{host} takes no audit record from this machine: {said}; check `logsink_username` and `logsink_password`"
    )]
    Unknown {
        /// Who was asked.
        host: String,
        /// The status and what it said.
        said: String,
    },
    /// It will not take this one.
    #[error("{host} refuses the {what}: {said}, where 201 is expected; is `instance_logs_url` its address?")]
    Refused {
        /// Who was asked.
        host: String,
        /// What was sent.
        what: String,
        /// The status and what it said.
        said: String,
    },
}

impl Classified for SinkError {
    fn class(&self) -> Class {
        match self {
            Self::NoAnswer { class, .. } | Self::Busy { class, .. } => *class,
            Self::Address { .. } | Self::Unknown { .. } | Self::Refused { .. } => Class::Permanent,
        }
    }
}

impl SinkError {
    /// Whether another password may help.
    pub const fn is_about_login(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// The way there.
#[derive(Debug)]
pub struct LogSink {
    url: String,
    client: Option<(Client, Url)>,
}

impl LogSink {
    /// Nobody is asked yet.
    pub fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            client: None,
        }
    }

    /// Sends one body; `Ok` is 201. `what` names it in errors.
    pub async fn post(
        &mut self,
        login: Option<(&str, Option<&Secret>)>,
        body: Bytes,
        what: &str,
    ) -> Result<(), SinkError> {
        let (client, url) = self.client()?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let request = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let answer = with_login(request, login)
            .send()
            .await
            .map_err(|error| no_answer(&host, error))?;
        let status = answer.status();
        let verdict = Answer::of(status.as_u16());
        if verdict == Answer::Accepted {
            return Ok(());
        }
        let said = web::beginning(answer, SAID).await;
        let said = text::one_line(text::printable(&String::from_utf8_lossy(&said)).trim(), SAID);
        let said = format!("{status} {said}").trim_end().to_owned();
        Err(match verdict {
            Answer::Accepted | Answer::Busy => SinkError::Busy {
                host,
                said,
                class: match status.as_u16() {
                    429 => Class::Throttled,
                    _ => Class::Transient,
                },
            },
            Answer::Unknown => SinkError::Unknown { host, said },
            Answer::Refused => SinkError::Refused {
                host,
                what: what.to_owned(),
                said,
            },
        })
    }

    /// Made when it is first needed: it loads the system's certificates.
    fn client(&mut self) -> Result<(Client, Url), SinkError> {
        if let Some(made) = &self.client {
            return Ok(made.clone());
        }
        let url = Url::parse(&self.url).map_err(|error| SinkError::Address {
            why: error.to_string(),
        })?;
        let client = web::for_scheme(&url, web::single_calls(CALL))
            .build()
            .map_err(|error| no_answer(url.host_str().unwrap_or_default(), error))?;
        let made = self.client.insert((client, url));
        Ok(made.clone())
    }
}

fn with_login(request: RequestBuilder, login: Option<(&str, Option<&Secret>)>) -> RequestBuilder {
    match login {
        None => request,
        Some((user, password)) => request.basic_auth(user, Some(password.map_or("", Secret::expose))),
    }
}

fn no_answer(host: &str, error: reqwest::Error) -> SinkError {
    let silence = Silence::of(error, "; can the machine reach it?");
    SinkError::NoAnswer {
        host: host.to_owned(),
        advice: silence.advice,
        class: silence.class,
        why: silence.why_within(CALL),
    }
}
