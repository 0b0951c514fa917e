//! EventBridge: one signed POST a call, by the SDK's signer and its credentials.
//!
//! The SDK's client for it brings more code with it than the whole of this file is worth.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::provider::ProvideCredentials as _;
use reqwest::header::{DATE, HeaderValue};
use reqwest::redirect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::aws::{self, Answer, AwsError, SdkConfig};
use super::sigv4::{self, Unsigned};
use super::{Class, chain, clock, web};

/// The name in signatures and addresses.
const SERVICE: &str = "events";
const TARGET: &str = "AWSEvents.PutEvents";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// An answer has a hundred bytes for an entry.
const LARGEST_ANSWER: usize = 64 << 10;

/// EventBridge in one region.
#[derive(Debug)]
pub struct EventBus {
    config: SdkConfig,
    region: String,
    bus: String,
    url: String,
}

/// Why one entry was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether it may be taken later.
    pub class: Class,
    /// What EventBridge says.
    pub text: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: String,
}

#[derive(Deserialize)]
struct Put {
    #[serde(rename = "FailedEntryCount")]
    failed: u64,
    #[serde(rename = "Entries", default)]
    entries: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    error_code: Option<String>,
    error_message: Option<String>,
}

/// What came back.
struct Came {
    status: u16,
    date: Option<SystemTime>,
    body: Vec<u8>,
}

impl EventBus {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str, bus: &str) -> Self {
        let endpoint = sigv4::endpoint("AWS_ENDPOINT_URL_EVENTBRIDGE", SERVICE, region, |name| {
            std::env::var(name).ok()
        });
        Self {
            config: aws::config(region).await,
            region: region.to_owned(),
            bus: bus.to_owned(),
            url: format!("{}/", endpoint.trim_end_matches('/')),
        }
    }

    /// Puts these in one call; for each, why it was not taken, if it was not.
    pub async fn put(&self, entries: &[Value]) -> Result<Vec<Option<Refusal>>, AwsError> {
        let body = json!({ "Entries": entries }).to_string().into_bytes();
        let now = UNIX_EPOCH + Duration::from_millis(clock::now_millis());
        let mut came = self.send(&body, now).await?;
        if let (Err(failure), Some(time)) = (judged(&came, entries.len()), came.date)
            && aws::is_about_time(&failure.code, &failure.message)
        {
            came = self.send(&body, time).await?;
        }
        judged(&came, entries.len()).map_err(|Failure { code, message }| {
            let class = aws::class_of(&code, &message, came.status);
            self.error(Answer::Error { class, code, message })
        })
    }

    async fn send(&self, body: &[u8], time: SystemTime) -> Result<Came, AwsError> {
        let none = |why: Box<dyn std::error::Error + Send + Sync>| self.error(Answer::None(why));
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or_else(|| none("the SDK knows no source of credentials".into()))?;
        let credentials = tokio::time::timeout(aws::CALL_TIMEOUT, provider.provide_credentials())
            .await
            .map_err(|late| none(late.into()))?
            .map_err(|error| none(error.into()))?;
        let unsigned = Unsigned {
            method: "POST",
            url: &self.url,
            headers: &[("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)],
            body,
            service: SERVICE,
            region: &self.region,
        };
        let headers = sigv4::signed(&unsigned, &credentials, time).map_err(|why| none(why.into()))?;
        let client = web::builder()
            .timeout(aws::CALL_TIMEOUT)
            // The signature is for this address alone.
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .build();
        let client = client.map_err(|error| none(chain(&error).into()))?;
        let mut request = client.post(&self.url).body(body.to_vec());
        for (name, value) in &headers {
            let mut value = HeaderValue::from_str(value.expose()).map_err(|error| none(error.into()))?;
            value.set_sensitive(true);
            request = request.header(*name, value);
        }
        let unreachable = |error: reqwest::Error| none(error.without_url().into());
        let mut response = request.send().await.map_err(unreachable)?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(aws::server_time);
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                break;
            }
        }
        Ok(Came { status, date, body })
    }

    fn error(&self, answer: Answer) -> AwsError {
        let service = format!("EventBridge in {}", self.region);
        AwsError::from_answer(&service, &format!("the bus {}", self.bus), answer, advice)
    }
}

/// What became of each of so many entries. Only an answer that speaks of all of them is one.
fn judged(came: &Came, entries: usize) -> Result<Vec<Option<Refusal>>, Failure> {
    if !(200..300).contains(&came.status) {
        let mut failure: Failure = serde_json::from_slice(&came.body).unwrap_or_default();
        // `com.amazonaws.events#ThrottlingException`
        if let Some((_, code)) = failure.code.rsplit_once('#') {
            failure.code = code.to_owned();
        }
        return Err(failure);
    }
    let not_theirs = || Failure {
        // The class of what may be better the next time.
        code: "InternalFailure".to_owned(),
        message: "the answer is not EventBridge's".to_owned(),
    };
    let put: Put = serde_json::from_slice(&came.body).map_err(|_| not_theirs())?;
    if put.entries.len() != entries {
        return Err(not_theirs());
    }
    let refusals: Vec<Option<Refusal>> = put.entries.into_iter().map(refusal).collect();
    let failed = refusals.iter().flatten().count();
    // A count without an entry that says so: nobody knows which.
    if u64::try_from(failed).unwrap_or(u64::MAX) != put.failed {
        return Err(not_theirs());
    }
    Ok(refusals)
}

fn refusal(entry: Entry) -> Option<Refusal> {
    let code = entry.error_code?;
    let message = entry.error_message.unwrap_or_default();
    let class = match code.as_str() {
        "ThrottlingException" => Class::Throttled,
        "InternalException" | "InternalFailure" => Class::Transient,
        _ => Class::Permanent,
    };
    Some(Refusal {
        class,
        text: format!("EventBridge takes it not: {code}: {message}"),
    })
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            "; grant the instance profile's role events:PutEvents on the bus (`monopod plan --iam` prints the whole policy)"
        }
        "ResourceNotFoundException" => "; is there a bus of the name in `events.event_bus`?",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::aws::tests::config_for;
    use crate::host::testing::{Server, reply};

    async fn put(body: &str, status: u16) -> Result<Vec<Option<Refusal>>, AwsError> {
        let server = Server::saying(reply(status, body)).await;
        let bus = EventBus {
            config: config_for(&server.url, Duration::from_secs(5)).await,
            region: "eu-central-1".to_owned(),
            bus: "ops".to_owned(),
            url: format!("{}/", server.url),
        };
        bus.put(&[json!({}), json!({})]).await
    }

    #[tokio::test]
    async fn each_entry_has_its_own_answer() {
        let taken = r#"{"FailedEntryCount":0,"Entries":[{"EventId":"1"},{"EventId":"2"}]}"#;
        assert_eq!(put(taken, 200).await.unwrap(), [None, None]);
        let half = r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"ThrottlingException","ErrorMessage":"m"}]}"#;
        let answer = put(half, 200).await.unwrap();
        assert_eq!(answer[0], None);
        assert_eq!(answer[1].as_ref().unwrap().class, Class::Throttled);
    }

    #[tokio::test]
    async fn what_is_no_answer_of_theirs_is_no_yes() {
        for body in [
            "",
            "{}",
            "<html>",
            r#"{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}"#,
            r#"{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"EventId":"2"}]}"#,
        ] {
            assert!(put(body, 200).await.is_err(), "{body}");
        }
        let denied = r#"{"__type":"com.amazonaws.events#AccessDeniedException","Message":"no"}"#;
        let error = put(denied, 400).await.unwrap_err();
        assert!(error.to_string().contains("events:PutEvents"), "{error}");
    }
}
