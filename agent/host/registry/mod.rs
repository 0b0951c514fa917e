//! A registry, by the distribution API, read only: manifests and small blobs.
//!
//! The engine pulls images itself. This is for what has to be known beside that: how large the layers are and what they
//! run on, what the registry says about an image's readiness, and the signatures that lie beside it.
//!
//! Invariants
//! - A login goes to the registry it belongs to, and to the token server which that registry names; over TLS only,
//!   unless it is this machine. It is dropped as soon as a redirect leaves the registry's scheme, host or port.
//! - Nobody sends us from https to http, nor from elsewhere to this machine.
//! - What is asked for by digest has that digest, or is not given out.
//! - No answer is read beyond its limit, nor waited for beyond [`Options::patience`].
//!
//! Deliberately absent: pushing, layers, client certificates. Proxies are those of the environment (`HTTPS_PROXY`,
//! `NO_PROXY`), never for this machine itself; the engine has settings of its own for them.

mod certificates;
mod challenge;
mod clients;
mod credentials;
mod error;
mod login;
mod manifest;
mod route;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use monopod_core::text;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::web;
use clients::Clients;
pub use credentials::Credentials;
pub use error::{RegistryError, Subject};
use login::Logins;
use manifest::NoManifest;
pub use manifest::{
    Content, DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Manifest, OCI_INDEX, OCI_MANIFEST, Platform,
    TrustHeaders,
};

/// Where the engine looks for registries' certificates.
pub const CERTIFICATES: &str = "/etc/docker/certs.d";
/// Registries take no larger ones.
const LARGEST_MANIFEST: usize = 4 << 20;
/// Of a refusal, as much as people read.
const LARGEST_REFUSAL: usize = 4 << 10;
const REDIRECTS: usize = 5;

/// How registries are asked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of certificates: `FOLDER/HOST[:PORT]/*.crt` are trusted for that registry, beside the system's.
    pub certificates: PathBuf,
    /// For one answer, all of it.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            certificates: PathBuf::from(CERTIFICATES),
            patience: Duration::from_secs(30),
        }
    }
}

/// One registry, asked with one login or none. Asks nobody before it is used; keeps tokens and connections.
#[derive(Debug)]
pub struct Registry {
    name: String,
    base: Url,
    clients: Clients,
    logins: Logins,
}

impl Registry {
    /// For a registry as image references name it. A login for another one is not used.
    pub fn new(host: &str, login: Option<&Credentials>, options: &Options) -> Result<Self, RegistryError> {
        let refused = || RegistryError::Host {
            registry: host.to_owned(),
        };
        // Before the name becomes a part of a path.
        route::base(host, false).ok_or_else(refused)?;
        let certificates = certificates::load(&options.certificates, host)?;
        Ok(Self {
            name: host.to_owned(),
            base: route::base(host, !certificates.is_empty()).ok_or_else(refused)?,
            clients: Clients::new(options.patience, certificates),
            logins: Logins::new(login.filter(|login| login.registry == host).cloned()),
        })
    }

    /// The name it was made for.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A manifest, by tag or digest.
    pub async fn manifest(&self, repository: &str, reference: &str) -> Result<Manifest, RegistryError> {
        let what = Subject::Manifest {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
        let answer = self
            .get(&["manifests", reference], &what, &manifest::ACCEPT.join(", "))
            .await?;
        // All of them: whoever says yes and no has not said yes.
        let header = |name: &str| -> Vec<String> {
            let values = answer.headers().get_all(name).iter();
            values
                .map(|value| text::printable(&String::from_utf8_lossy(value.as_bytes())))
                .collect()
        };
        let media_type = header(CONTENT_TYPE.as_str()).into_iter().next();
        let trust = if self.is_home(answer.url()) {
            TrustHeaders {
                production_ready: header("x-production-ready-taupage"),
                trusted: header("x-trusted"),
                reason: header("x-production-ready-reason"),
            }
        } else {
            // Whoever keeps the bytes for the registry has no say in that.
            TrustHeaders::default()
        };
        let bytes = self.body(answer, &what, LARGEST_MANIFEST).await?;
        // A tag has no colon.
        let digest = digest_as(reference, &bytes);
        if reference.contains(':') {
            self.compare(&what, reference, &digest)?;
        }
        let (media_type, content) =
            manifest::parse(media_type.as_deref(), &bytes).map_err(|reason| match reason {
                NoManifest::Schema1 => RegistryError::Schema1 {
                    registry: self.name.clone(),
                    what: Box::new(what.clone()),
                },
                NoManifest::Other(why) => self.nonsense(&what, &why),
            })?;
        Ok(Manifest {
            digest,
            media_type,
            bytes,
            trust,
            content,
        })
    }

    /// A blob of at most `limit` bytes.
    pub async fn blob(&self, repository: &str, digest: &str, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let what = Subject::Blob {
            repository: repository.to_owned(),
            digest: digest.to_owned(),
        };
        let answer = self.get(&["blobs", digest], &what, "*/*").await?;
        let bytes = self.body(answer, &what, limit).await?;
        self.compare(&what, digest, &digest_as(digest, &bytes))?;
        Ok(bytes)
    }

    fn compare(&self, what: &Subject, expected: &str, got: &str) -> Result<(), RegistryError> {
        if expected == got {
            return Ok(());
        }
        Err(RegistryError::DigestMismatch {
            registry: self.name.clone(),
            what: Box::new(what.clone()),
            expected: expected.to_owned(),
            got: got.to_owned(),
        })
    }

    /// Asks, and once more when the registry wants to know who asks.
    async fn get(&self, path: &[&str], what: &Subject, accept: &str) -> Result<Response, RegistryError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(what.repository().split('/'))
                .extend(path);
        }
        let mut login = self.logins.known(what.repository());
        let mut asked_again = false;
        loop {
            let answer = self.follow(url.clone(), login.as_ref(), accept, what).await?;
            let at_home = self.is_home(answer.url());
            match answer.status() {
                StatusCode::OK => return Ok(answer),
                // Only the registry itself may ask for its login.
                StatusCode::UNAUTHORIZED if at_home && !asked_again => {
                    asked_again = true;
                    login = Some(self.log_in(&answer, login.as_ref(), what).await?);
                }
                _ => return Err(self.refusal(answer, what, None).await),
            }
        }
    }

    /// One question, with the redirects it leads to.
    async fn follow(
        &self,
        url: Url,
        login: Option<&HeaderValue>,
        accept: &str,
        what: &Subject,
    ) -> Result<Response, RegistryError> {
        let mut login = login;
        let mut url = url;
        for _ in 0..=REDIRECTS {
            let mut request = self.client(&url)?.get(url.clone()).header(ACCEPT, accept);
            if let Some(login) = login {
                request = request.header(AUTHORIZATION, login);
            }
            let answer = request
                .send()
                .await
                .map_err(|error| self.unreachable(&url, what, error))?;
            let redirects = matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            let Some(location) = answer.headers().get(LOCATION).filter(|_| redirects) else {
                return Ok(answer);
            };
            let next = location
                .to_str()
                .ok()
                .and_then(|location| url.join(location).ok());
            let next = next.ok_or_else(|| self.nonsense(what, "it sends us on to what is no address"))?;
            route::may_lead(&url, &next).map_err(|why| self.misled(&next, what, why))?;
            if next.origin() != url.origin() {
                // For good: who sends us away and back again has seen where we go.
                login = None;
            }
            url = next;
        }
        Err(self.nonsense(what, "it sends us on more than five times"))
    }

    fn client(&self, url: &Url) -> Result<&Client, RegistryError> {
        self.clients.of(url).map_err(|error| RegistryError::Setup {
            registry: self.name.clone(),
            why: web::nameless(&error),
        })
    }

    async fn body(
        &self,
        mut answer: Response,
        what: &Subject,
        limit: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let too_large = || RegistryError::TooLarge {
            registry: self.name.clone(),
            what: Box::new(what.clone()),
            limit,
        };
        let url = answer.url().clone();
        let mut body = Vec::new();
        while let Some(chunk) = answer
            .chunk()
            .await
            .map_err(|error| self.unreachable(&url, what, error))?
        {
            if body.len() + chunk.len() > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What an answer means that is none; `by` is the token server, when it was that one.
    async fn refusal(&self, answer: Response, what: &Subject, by: Option<String>) -> RegistryError {
        let (registry, what) = (self.name.clone(), Box::new(what.clone()));
        let login = self.logins.origin();
        let status = answer.status();
        let seconds = seconds(answer.headers());
        let at_home = self.is_home(answer.url()) || by.is_some();
        let said = said(answer).await;
        match status {
            StatusCode::UNAUTHORIZED if at_home => RegistryError::Unauthorized {
                registry,
                what,
                login,
                by,
            },
            StatusCode::FORBIDDEN if at_home => RegistryError::Forbidden {
                registry,
                what,
                login,
                said,
            },
            StatusCode::NOT_FOUND if by.is_none() => RegistryError::NotFound { registry, what },
            StatusCode::TOO_MANY_REQUESTS => RegistryError::RateLimited {
                registry,
                what,
                seconds,
            },
            status if web::is_busy(status) => RegistryError::Busy {
                registry,
                what,
                status: status.as_u16(),
                said,
            },
            status => RegistryError::Refused {
                registry,
                what,
                status: status.as_u16(),
                said,
            },
        }
    }

    fn unreachable(&self, url: &Url, what: &Subject, error: reqwest::Error) -> RegistryError {
        let why = web::nameless(&error.without_url());
        let (registry, host, what) = (self.name.clone(), self.shown(url), Box::new(what.clone()));
        let advice = if web::is_distrusted(&why) {
            format!(
                "put the certificate of its authority into {CERTIFICATES}/{registry}/ca.crt, where the engine looks for it too, or into the system's"
            )
        } else if web::is_not_tls(&why) {
            "what answers there speaks no TLS: plain http is spoken to this machine itself only".to_owned()
        } else {
            return RegistryError::Unreachable {
                registry,
                host,
                what,
                why,
            };
        };
        RegistryError::Tls {
            registry,
            host,
            what,
            why,
            advice,
        }
    }

    /// The registry under its own name, others under theirs.
    fn shown(&self, url: &Url) -> String {
        if self.is_home(url) {
            self.name.clone()
        } else {
            route::name(url)
        }
    }

    fn is_home(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }

    fn misled(&self, to: &Url, what: &Subject, why: &'static str) -> RegistryError {
        RegistryError::Unsafe {
            registry: self.name.clone(),
            what: Box::new(what.clone()),
            to: format!("{}://{}", to.scheme(), route::name(to)),
            why,
        }
    }

    fn nonsense(&self, what: &Subject, why: &str) -> RegistryError {
        RegistryError::Protocol {
            registry: self.name.clone(),
            what: Box::new(what.clone()),
            why: why.to_owned(),
        }
    }
}

/// The digest of these bytes, by the algorithm of another one; by SHA-256 where that is none.
fn digest_as(other: &str, bytes: &[u8]) -> String {
    let (name, hash) = match other.split_once(':') {
        Some(("sha384", _)) => ("sha384", Sha384::digest(bytes).to_vec()),
        Some(("sha512", _)) => ("sha512", Sha512::digest(bytes).to_vec()),
        Some(_) | None => ("sha256", Sha256::digest(bytes).to_vec()),
    };
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}:{digits}")
}

fn seconds(headers: &HeaderMap) -> Option<u64> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

/// The codes of a refusal, `DENIED: requested access to the resource is denied`; nothing when it has none.
async fn said(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > LARGEST_REFUSAL {
            return String::new();
        }
    }
    let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let Some(first) = parsed.pointer("/errors/0") else {
        return String::new();
    };
    let field = |name: &str| {
        first
            .get(name)
            .and_then(|value| value.as_str())
            .unwrap_or_default()
    };
    let both = format!("{}: {}", field("code"), field("message"));
    text::printable(&text::shortened(both.trim_matches([':', ' ']), 200))
}
