//! EventBridge: one signed POST a call, by the SDK's signer and its credentials.
//!
//! The SDK's client for it brings more code with it than the whole of this file is worth.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Class;
use super::aws::{Answer, AwsError};
use super::sigv4::{Service, not_theirs};

const TARGET: &str = "AWSEvents.PutEvents";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// EventBridge in one region.
#[derive(Debug)]
pub struct EventBus {
    service: Service,
    bus: String,
}

/// Why one entry was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Whether it may be taken later.
    pub class: Class,
    /// What EventBridge says.
    pub text: String,
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

impl EventBus {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str, bus: &str) -> Self {
        Self {
            service: Service::new("events", "AWS_ENDPOINT_URL_EVENTBRIDGE", region).await,
            bus: bus.to_owned(),
        }
    }

    /// Puts these in one call; for each, why it was not taken, if it was not.
    pub async fn put(&self, entries: &[Value]) -> Result<Vec<Option<Refusal>>, AwsError> {
        let body = json!({ "Entries": entries });
        let answer = self.service.post_json(CONTENT_TYPE, TARGET, &body).await;
        answer
            .and_then(|body| judged(&body, entries.len()).ok_or_else(|| not_theirs("EventBridge")))
            .map_err(|answer| self.error(answer))
    }

    fn error(&self, answer: Answer) -> AwsError {
        let service = format!("EventBridge in {}", self.service.region);
        AwsError::from_answer(&service, &format!("the bus {}", self.bus), answer, advice)
    }
}

/// What became of each of so many entries. Only an answer that speaks of all of them is one.
fn judged(body: &[u8], entries: usize) -> Option<Vec<Option<Refusal>>> {
    let put: Put = serde_json::from_slice(body).ok()?;
    let speaks_of_all = put.entries.len() == entries;
    let refusals: Vec<Option<Refusal>> = put.entries.into_iter().map(refusal).collect();
    let failed = refusals.iter().flatten().count();
    // A count without an entry that says so: nobody knows which.
    let adds_up = u64::try_from(failed).ok() == Some(put.failed);
    (speaks_of_all && adds_up).then_some(refusals)
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
    use crate::host::aws::tests::service_at;
    use crate::host::testing::{Server, reply};

    async fn put(body: &str, status: u16) -> Result<Vec<Option<Refusal>>, AwsError> {
        let server = Server::saying(reply(status, body)).await;
        let bus = EventBus {
            service: service_at(&server.url, "events").await,
            bus: "ops".to_owned(),
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
