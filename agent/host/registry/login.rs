//! Saying who asks: user and password, or a token from the server that the registry names.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_core::secret::Secret;
use reqwest::header::{HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Response, StatusCode, Url};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::{Credentials, Registry, RegistryError, Subject, route};

/// Tokens hold what they allow, and grow with it.
const LARGEST_TOKEN: usize = 64 << 10;
/// What a token is good for when its server does not say (as the token protocol has it).
const TOKEN_LIFE: Duration = Duration::from_secs(60);
/// Whatever its server says.
const LONGEST_LIFE: Duration = Duration::from_secs(12 * 3600);
/// A token is not used for the last part of its life: it has to arrive, and clocks differ.
const TOKEN_REST: Duration = Duration::from_secs(10);

/// The login, and what it was good for so far.
#[derive(Debug)]
pub(super) struct Logins {
    credentials: Option<Credentials>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// It takes user and password itself.
    basic: bool,
    /// By repository.
    tokens: BTreeMap<String, (Secret, Instant)>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default, deserialize_with = "secret")]
    token: Option<Secret>,
    #[serde(default, deserialize_with = "secret")]
    access_token: Option<Secret>,
    expires_in: Option<u64>,
}

fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.map(Secret::new).filter(|secret| !secret.expose().is_empty()))
}

impl Logins {
    pub(super) fn new(credentials: Option<Credentials>) -> Self {
        Self {
            credentials,
            known: Mutex::default(),
        }
    }

    /// For messages.
    pub(super) fn origin(&self) -> Option<String> {
        self.credentials
            .as_ref()
            .map(|credentials| credentials.origin.clone())
    }

    /// What the registry took before.
    pub(super) fn known(&self, repository: &str) -> Option<HeaderValue> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, until)) = known.tokens.get(repository)
            && Instant::now() < *until
        {
            return header("Bearer", token.expose());
        }
        if known.basic { self.basic() } else { None }
    }

    fn basic(&self) -> Option<HeaderValue> {
        let credentials = self.credentials.as_ref()?;
        let both = Secret::new(format!("{}:{}", credentials.user, credentials.password.expose()));
        let encoded = Secret::new(STANDARD.encode(both.expose()));
        header("Basic", encoded.expose())
    }

    fn remember(&self, change: impl FnOnce(&mut Known)) {
        change(&mut self.known.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

fn header(scheme: &str, value: &str) -> Option<HeaderValue> {
    let text = Secret::new(format!("{scheme} {value}"));
    let mut header = HeaderValue::from_str(text.expose()).ok()?;
    header.set_sensitive(true);
    Some(header)
}

impl Registry {
    /// What to answer to the registry's 401, after `tried`.
    pub(super) async fn log_in(
        &self,
        answer: &Response,
        tried: Option<&HeaderValue>,
        what: &Subject,
    ) -> Result<HeaderValue, RegistryError> {
        let values = answer.headers().get_all(WWW_AUTHENTICATE);
        let challenges = challenge::parse(values.iter().filter_map(|value| value.to_str().ok()));
        let refused = || RegistryError::Unauthorized {
            registry: self.name.clone(),
            what: Box::new(what.clone()),
            login: self.logins.origin(),
            by: None,
        };
        match challenges.into_iter().next() {
            Some(Challenge::Bearer { realm, service }) => self.token(&realm, service.as_deref(), what).await,
            Some(Challenge::Basic) => {
                let basic = self.logins.basic().ok_or_else(refused)?;
                if tried == Some(&basic) {
                    return Err(refused());
                }
                self.logins.remember(|known| known.basic = true);
                Ok(basic)
            }
            None => Err(refused()),
        }
    }

    /// A token for reading one repository. The registry may ask for more in its challenge; nobody here needs more.
    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        what: &Subject,
    ) -> Result<HeaderValue, RegistryError> {
        let mut url = Url::parse(realm)
            .map_err(|_| self.nonsense(what, "the token server it names (realm) is no address"))?;
        route::may_lead(&self.base, &url).map_err(|why| self.misled(&url, what, why))?;
        {
            let mut query = url.query_pairs_mut();
            if let Some(service) = service {
                query.append_pair("service", service);
            }
            query.append_pair("scope", &format!("repository:{}:pull", what.repository()));
        }
        let server = route::name(&url);
        let asked = Instant::now();
        let basic = self.logins.basic();
        let answer = self.follow(url, basic.as_ref(), "application/json", what).await?;
        if answer.status() != StatusCode::OK {
            return Err(self.refusal(answer, what, Some(server)).await);
        }
        let body = self.body(answer, what, LARGEST_TOKEN).await?;
        let nonsense = || self.nonsense(what, "its token server answers with something else than a token");
        let body = Secret::new(String::from_utf8(body).map_err(|_| nonsense())?);
        let token: Token = serde_json::from_str(body.expose()).map_err(|_| nonsense())?;
        let value = token
            .token
            .or(token.access_token)
            .ok_or_else(|| self.nonsense(what, "its token server answers without a token"))?;
        let header = header("Bearer", value.expose())
            .ok_or_else(|| self.nonsense(what, "its token server answers with a token that is none"))?;
        let life = token
            .expires_in
            .map_or(TOKEN_LIFE, Duration::from_secs)
            .min(LONGEST_LIFE);
        let until = asked + life.saturating_sub(TOKEN_REST);
        self.logins.remember(|known| {
            known.tokens.insert(what.repository().to_owned(), (value, until));
        });
        Ok(header)
    }
}
