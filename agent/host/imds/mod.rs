//! The instance metadata service, version 2 only.
//!
//! Never falls back to version 1 and never invents a fact. It may come up after us, so waiting for
//! it has no limit of its own; what it says is read as bytes, because user data need not be text.

mod notices;

use std::time::Duration;

use monopod_core::facts::InstanceFacts;
use monopod_core::secret::Secret;
use monopod_core::text;
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::{Class, Classified};

pub use notices::SignedDocument;

/// Where every EC2 instance finds it.
const DEFAULT_ENDPOINT: &str = "http://169.254.169.254";
/// The AWS SDKs' own variable for another place.
pub const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

const TOKEN_TTL: &str = "21600";
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A bit more than what EC2 carries, as a limit against something else answering.
const LARGEST_ANSWER: usize = 1 << 20;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ImdsError {
    /// Nobody answers, or not in time.
    #[error("no answer from the instance metadata service at {url}")]
    Unreachable {
        /// What was asked.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// It answers 5xx, 429 or 401: busy, starting, or the token was not accepted.
    #[error("the instance metadata service answered {status} for {url}")]
    Busy {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// It knows no tokens.
    #[error(
        "the instance metadata service at {url} answered {status} to a request for a token: it does not speak version 2, and monopod never uses version 1"
    )]
    NoVersion2 {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// It is switched off.
    #[error(
        "the instance metadata service refuses this machine ({url} answered 403): enable it with `aws ec2 modify-instance-metadata-options --http-endpoint enabled`"
    )]
    SwitchedOff {
        /// What was asked.
        url: String,
    },
    /// An answer that no retry explains.
    #[error("the instance metadata service answered {status} for {url}, which monopod needs")]
    Missing {
        /// What was asked.
        url: String,
        /// The answer.
        status: StatusCode,
    },
    /// The answer is not what it should be.
    #[error("the instance metadata service answered {url} with something else: {what}")]
    Malformed {
        /// What was asked.
        url: String,
        /// What is wrong.
        what: String,
    },
    /// The endpoint in the environment is none.
    #[error("cannot use the metadata endpoint {endpoint}: {what}")]
    Endpoint {
        /// As it stands in the environment.
        endpoint: String,
        /// What is wrong.
        what: String,
    },
}

impl Classified for ImdsError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => Class::Transient,
            Self::NoVersion2 { .. }
            | Self::SwitchedOff { .. }
            | Self::Missing { .. }
            | Self::Malformed { .. }
            | Self::Endpoint { .. } => Class::Permanent,
        }
    }
}

/// What was read there.
#[derive(Debug)]
pub struct Identity {
    /// Who we are.
    pub facts: InstanceFacts,
    /// `None`: the instance was launched without user data.
    pub user_data: Option<Vec<u8>>,
}

/// A session with the service.
#[derive(Debug)]
pub struct Imds {
    client: Client,
    endpoint: String,
    /// The token of what is asked again and again.
    kept: Mutex<Option<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    region: String,
    instance_id: String,
    availability_zone: String,
    image_id: Option<String>,
    instance_type: Option<String>,
    private_ip: Option<std::net::Ipv4Addr>,
    pending_time: Option<String>,
}

impl Imds {
    /// For an endpoint, or the usual one.
    pub fn new(endpoint: Option<&str>) -> Result<Self, ImdsError> {
        let endpoint = endpoint
            .unwrap_or(DEFAULT_ENDPOINT)
            .trim_end_matches('/')
            .to_owned();
        let refused = |what: String| ImdsError::Endpoint {
            endpoint: endpoint.clone(),
            what,
        };
        let url = reqwest::Url::parse(&endpoint).map_err(|error| refused(error.to_string()))?;
        if url.scheme() != "http" {
            return Err(refused("it is not a http:// address".to_owned()));
        }
        // No proxy, no redirect: the service is on the link, whoever else answers is not it.
        let client = Client::builder()
            .no_proxy()
            // Plain http: the certificates would only cost memory.
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_TIMEOUT)
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| refused(super::chain(&error)))?;
        Ok(Self {
            client,
            endpoint,
            kept: Mutex::new(None),
        })
    }

    /// Reads everything monopod needs, under one token.
    pub async fn identity(&self) -> Result<Identity, ImdsError> {
        let token = self.token().await?;
        let path = "/latest/dynamic/instance-identity/document";
        let body = self.required(&token, path).await?;
        let malformed = |what: String| ImdsError::Malformed {
            url: format!("{}{path}", self.endpoint),
            what,
        };
        let document: Document =
            serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))?;
        let public_ipv4 = match self.get(&token, "/latest/meta-data/public-ipv4").await? {
            None => None,
            Some(body) => std::str::from_utf8(&body)
                .ok()
                .and_then(|text| text.trim().parse().ok()),
        };
        let user_data = self.get(&token, "/latest/user-data").await?;
        let pending_time = match document.pending_time.as_deref() {
            None => None,
            Some(time) => Some(
                text::parse_timestamp_millis(time)
                    .ok_or_else(|| malformed(format!("pendingTime is {time:?}")))?
                    / 1000,
            ),
        };
        let facts = InstanceFacts {
            instance_id: document.instance_id,
            region: document.region,
            availability_zone: document.availability_zone,
            account_id: document.account_id,
            image_id: document.image_id,
            instance_type: document.instance_type,
            local_ipv4: document.private_ip,
            public_ipv4,
            pending_time,
        };
        Ok(Identity { facts, user_data })
    }

    /// The instance's identity document with EC2's signature, as it stands there. It proves to others who we are, so it is
    /// kept like a password.
    pub async fn pkcs7(&self) -> Result<Secret, ImdsError> {
        let token = self.token().await?;
        let path = "/latest/dynamic/instance-identity/pkcs7";
        let body = self.required(&token, path).await?;
        String::from_utf8(body)
            .map(Secret::new)
            .map_err(|_| ImdsError::Malformed {
                url: format!("{}{path}", self.endpoint),
                what: "it is no text".to_owned(),
            })
    }

    async fn token(&self) -> Result<String, ImdsError> {
        let url = format!("{}/latest/api/token", self.endpoint);
        let request = self
            .client
            .request(Method::PUT, &url)
            .header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_TTL);
        let response = request.send().await.map_err(|source| unreachable(&url, source))?;
        let status = response.status();
        match status {
            StatusCode::OK => {
                let token = response
                    .text()
                    .await
                    .map_err(|source| unreachable(&url, source))?;
                if token.is_empty() || token.contains(|c: char| !c.is_ascii_graphic()) {
                    return Err(ImdsError::Malformed {
                        url,
                        what: "the token is not one".to_owned(),
                    });
                }
                Ok(token)
            }
            StatusCode::FORBIDDEN => Err(ImdsError::SwitchedOff { url }),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                Err(ImdsError::NoVersion2 { url, status })
            }
            status => Err(unexpected(url, status)),
        }
    }

    async fn required(&self, token: &str, path: &str) -> Result<Vec<u8>, ImdsError> {
        // Every instance has it, so one without is not ready yet.
        let missing = || ImdsError::Busy {
            url: format!("{}{path}", self.endpoint),
            status: StatusCode::NOT_FOUND,
        };
        self.get(token, path).await?.ok_or_else(missing)
    }

    /// `None` for 404.
    async fn get(&self, token: &str, path: &str) -> Result<Option<Vec<u8>>, ImdsError> {
        let url = format!("{}{path}", self.endpoint);
        let request = self.client.get(&url).header("x-aws-ec2-metadata-token", token);
        let mut response = request.send().await.map_err(|source| unreachable(&url, source))?;
        match response.status() {
            StatusCode::OK => {
                let mut body = Vec::new();
                while let Some(chunk) = response
                    .chunk()
                    .await
                    .map_err(|source| unreachable(&url, source))?
                {
                    body.extend_from_slice(&chunk);
                    if body.len() > LARGEST_ANSWER {
                        return Err(ImdsError::Malformed {
                            url,
                            what: format!("it is over {LARGEST_ANSWER} bytes"),
                        });
                    }
                }
                Ok(Some(body))
            }
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(unexpected(url, status)),
        }
    }
}

/// The crate's own text would repeat the address.
fn unreachable(url: &str, source: reqwest::Error) -> ImdsError {
    ImdsError::Unreachable {
        url: url.to_owned(),
        source: source.without_url(),
    }
}

fn unexpected(url: String, status: StatusCode) -> ImdsError {
    let transient = status.is_server_error()
        || matches!(
            status,
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
        );
    if transient {
        ImdsError::Busy { url, status }
    } else {
        ImdsError::Missing { url, status }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_retry_can_mend_is_transient() {
        let url = || "http://127.0.0.1/latest/user-data".to_owned();
        for (status, class) in [
            (500, Class::Transient),
            (503, Class::Transient),
            (429, Class::Transient),
            (401, Class::Transient),
            (400, Class::Permanent),
            (301, Class::Permanent),
        ] {
            assert_eq!(
                unexpected(url(), StatusCode::from_u16(status).unwrap()).class(),
                class,
                "{status}"
            );
        }
    }

    #[test]
    fn an_endpoint_that_is_none_is_named() {
        for endpoint in ["nonsense", "https://169.254.169.254"] {
            let error = Imds::new(Some(endpoint)).unwrap_err();
            assert!(error.to_string().contains(endpoint), "{error}");
            assert_eq!(error.class(), Class::Permanent);
        }
    }
}
