//! Objects of S3, by the SDK: included texts, credentials, and logs on their way out. With `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` it asks
//! elsewhere, by path where that is an address of numbers.
//!
//! An error says what S3 answered; what was asked for, and what for, is added by who asked.

mod put;

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::aws;

pub(crate) use put::Put;

/// S3's code for an object that is what we have already.
const NOT_MODIFIED: u16 = 304;

/// A client for one region.
#[derive(Debug)]
pub(crate) struct S3 {
    client: Client,
    region: String,
}

/// A client for each region, made when it is first asked for: those who write to one share connections and credentials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients(Arc<Mutex<BTreeMap<String, Arc<S3>>>>);

impl Clients {
    /// Asks nobody yet.
    pub(crate) async fn of(&self, region: &str) -> Arc<S3> {
        let mut clients = self.0.lock().await;
        if let Some(client) = clients.get(region) {
            return Arc::clone(client);
        }
        let client = Arc::new(S3::new(region).await);
        clients.insert(region.to_owned(), Arc::clone(&client));
        client
    }

    /// One region's, at an address of the test's own.
    #[cfg(test)]
    pub(crate) fn at(region: &str, endpoint: &str, access_key: &str) -> Self {
        let client = Arc::new(S3::at(region, endpoint, access_key));
        Self(Arc::new(Mutex::new(BTreeMap::from([(
            region.to_owned(),
            client,
        )]))))
    }
}

/// What an object is now.
#[derive(Debug)]
pub(super) enum Got {
    /// What had the tag that was asked with.
    Unchanged,
    /// All of it.
    Object(Object),
}

/// One object. Its bytes are wiped when dropped: they may be credentials.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// What to ask with the next time.
    pub(super) tag: Option<String>,
}

/// Why an object is not here.
#[derive(Debug)]
pub(crate) enum S3Error {
    /// Nobody answers, or there are no credentials to ask with (yet).
    Unreachable(Box<dyn std::error::Error + Send + Sync>),
    /// Overloaded, starting, or having a bad moment.
    Busy {
        /// A status, a code, and what it said.
        answer: String,
    },
    /// A limit that others share is spent.
    Throttled {
        /// A status, a code, and what it said.
        answer: String,
    },
    /// An answer that no retry changes.
    Refused {
        /// A status, a code, and what it said.
        answer: String,
        /// S3's code.
        code: String,
    },
    /// The bucket is in another region.
    Elsewhere {
        /// A status, a code, and what it said.
        answer: String,
        /// Where.
        region: String,
    },
    /// It is larger than was allowed.
    TooLarge,
}

impl S3 {
    /// Asks nobody yet.
    pub(super) async fn new(region: &str) -> Self {
        Self {
            client: Client::new(&aws::config(region).await),
            region: region.to_owned(),
        }
    }

    #[cfg(test)]
    fn at(region: &str, endpoint: &str, access_key: &str) -> Self {
        use aws_sdk_s3::config::{Builder, Credentials, Region, retry::RetryConfig};
        let config = Builder::new()
            .behavior_version_latest()
            .region(Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            .force_path_style(true)
            .retry_config(RetryConfig::disabled())
            .credentials_provider(Credentials::new(access_key, "secret", None, None, "test"))
            .build();
        Self {
            client: Client::from_conf(config),
            region: region.to_owned(),
        }
    }

    /// One call, and the whole body, unless the object still has this tag.
    pub(super) async fn get(
        &self,
        bucket: &str,
        key: &str,
        tag: Option<&str>,
        largest: usize,
    ) -> Result<Got, S3Error> {
        let call = self
            .client
            .get_object()
            .bucket(bucket)
            .key(key)
            .set_if_none_match(tag.map(str::to_owned));
        match call.send().await {
            Ok(answer) => whole(answer, largest).await.map(Got::Object),
            Err(SdkError::ServiceError(context))
                if tag.is_some() && context.raw().status().as_u16() == NOT_MODIFIED =>
            {
                Ok(Got::Unchanged)
            }
            Err(error) => Err(classify(error, &self.region)),
        }
    }
}

async fn whole(mut answer: GetObjectOutput, largest: usize) -> Result<Object, S3Error> {
    let announced = answer
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    if announced.is_some_and(|length| length > largest) {
        return Err(S3Error::TooLarge);
    }
    // Room for all of it at once: a vector that grows leaves copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(announced.unwrap_or(largest)));
    while let Some(chunk) = answer.body.next().await {
        let chunk = chunk.map_err(|source| S3Error::Unreachable(source.into()))?;
        if bytes.len() + chunk.len() > largest {
            return Err(S3Error::TooLarge);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Object {
        bytes,
        tag: mem::take(&mut answer.e_tag),
    })
}

fn classify<E>(error: SdkError<E, HttpResponse>, region: &str) -> S3Error
where
    E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let SdkError::ServiceError(context) = error else {
        return S3Error::Unreachable(error.into());
    };
    let status = context.raw().status().as_u16();
    let there = context
        .raw()
        .headers()
        .get("x-amz-bucket-region")
        .filter(|there| *there != region && is_region(there))
        .map(str::to_owned);
    let error = context.into_err();
    let code = error.code().unwrap_or("no error code").to_owned();
    let answer = format!("{status} {code}: {}", error.message().unwrap_or("no message"));
    if is_throttled(&code, status) {
        return S3Error::Throttled { answer };
    }
    if is_busy(&code, status) {
        return S3Error::Busy { answer };
    }
    match there {
        Some(region) => S3Error::Elsewhere { answer, region },
        None => S3Error::Refused { answer, code },
    }
}

/// It becomes part of a host's name.
fn is_region(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 32
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

/// What AWS calls throttling.
fn is_throttled(code: &str, status: u16) -> bool {
    matches!(
        code,
        "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded"
    ) || status == 429
}

/// What AWS calls its own faults, and what first boots see for seconds: a clock that is
/// not set yet, credentials that have not spread yet.
fn is_busy(code: &str, status: u16) -> bool {
    matches!(
        code,
        "RequestTimeout"
            | "RequestTimeTooSkewed"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "InvalidAccessKeyId"
            | "ExpiredToken"
            | "InvalidToken"
            | "SignatureDoesNotMatch"
    ) || status >= 500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_tried_again_and_a_refusal_is_not() {
        assert!(is_throttled("SlowDown", 503));
        assert!(is_throttled("ThrottlingException", 400));
        assert!(is_throttled("anything", 429));
        assert!(is_busy("anything", 500));
        for (code, status) in [
            ("AccessDenied", 403),
            ("NoSuchKey", 404),
            ("NoSuchBucket", 404),
            ("PermanentRedirect", 301),
            ("InvalidObjectState", 403),
        ] {
            assert!(!is_busy(code, status) && !is_throttled(code, status), "{code}");
        }
    }

    #[test]
    fn a_region_is_not_a_host_of_somebody() {
        assert!(is_region("eu-central-1"));
        for text in ["", "evil.example/#", "EU", &"a".repeat(33)] {
            assert!(!is_region(text), "{text}");
        }
    }
}
