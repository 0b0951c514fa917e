//! Metrics in CloudWatch: one POST, by the SDK's signer and its credentials.
//!
//! The SDK's client for it brings a second HTTP stack with it.

use std::collections::BTreeMap;

use monopod_core::lifecycle::usage::Datum;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::aws::{Answer, AwsError};
use super::sigv4::{Service, not_theirs};

const TARGET: &str = "GraniteServiceVersion20100801.PutMetricData";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// CloudWatch in one region.
#[derive(Debug)]
pub struct CloudWatch(Service);

impl CloudWatch {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        Self(Service::new("monitoring", "AWS_ENDPOINT_URL_CLOUDWATCH", region).await)
    }

    /// Writes these in one call. They have no time of ours, so CloudWatch takes its own: our clock may be wrong.
    pub async fn put(&self, namespace: &str, data: &[Datum]) -> Result<(), AwsError> {
        let body = body(namespace, data);
        match self.0.post_json(CONTENT_TYPE, TARGET, &body).await {
            Ok(answer) if is_theirs(&answer) => Ok(()),
            Ok(_) => Err(self.error(namespace, not_theirs("CloudWatch"))),
            Err(answer) => Err(self.error(namespace, answer)),
        }
    }

    fn error(&self, namespace: &str, answer: Answer) -> AwsError {
        let service = format!("CloudWatch in {}", self.0.region);
        AwsError::from_answer(&service, &format!("metrics of {namespace}"), answer, advice)
    }
}

fn body(namespace: &str, data: &[Datum]) -> Value {
    let data: Vec<Value> = data
        .iter()
        .map(|one| {
            let dimensions: Vec<Value> = one
                .dimensions
                .iter()
                .map(|(name, value)| json!({ "Name": name, "Value": value }))
                .collect();
            let mut datum = json!({
                "MetricName": one.name,
                "Unit": one.unit,
                "Value": one.value,
                "Dimensions": dimensions,
            });
            if let (true, Some(datum)) = (one.by_the_second, datum.as_object_mut()) {
                datum.insert("StorageResolution".to_owned(), json!(1));
            }
            datum
        })
        .collect();
    json!({ "Namespace": namespace, "MetricData": data })
}

/// Whoever stands in between says yes in other words.
fn is_theirs(body: &[u8]) -> bool {
    body.is_empty() || serde_json::from_slice::<BTreeMap<String, IgnoredAny>>(body).is_ok()
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            "; grant the instance profile's role cloudwatch:PutMetricData (`monopod plan --iam` prints the whole policy)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use monopod_core::lifecycle::usage::NAMESPACE;

    use super::*;
    use crate::host::aws::tests::service_at;
    use crate::host::testing::{Server, reply};

    async fn at(server: &Server) -> CloudWatch {
        CloudWatch(service_at(&server.url, "monitoring").await)
    }

    #[tokio::test]
    async fn a_call_goes_nowhere_else_and_reads_no_endless_answer() {
        let elsewhere = Server::saying(reply(200, "{}")).await;
        let away = reply(307, "").with("location", elsewhere.url.clone());
        let server = Server::saying(away).await;
        assert!(at(&server).await.put("shop", &[]).await.is_err());
        assert_eq!((server.asked().len(), elsewhere.asked().len()), (1, 0));

        let (short, endless) = (" ".repeat(100), " ".repeat(16 << 20));
        let server = Server::saying(reply(200, short + "{}")).await;
        at(&server).await.put("shop", &[]).await.unwrap();
        let server = Server::saying(reply(200, endless + "{}")).await;
        assert!(
            at(&server).await.put("shop", &[]).await.is_err(),
            "it was read to its end"
        );
    }

    #[test]
    fn a_refusal_says_what_to_grant() {
        assert!(advice("AccessDenied").contains("cloudwatch:PutMetricData"));
        assert_eq!(advice("InvalidParameterValue"), "");
    }

    #[test]
    fn an_answer_is_read() {
        assert!(is_theirs(b"") && is_theirs(b"{}"));
        assert!(!is_theirs(b"<html>") && !is_theirs(b"[]"));
    }

    #[test]
    fn a_call_has_what_cloudwatch_wants() {
        let datum = Datum {
            name: "MemoryUtilization".into(),
            value: 12.5,
            unit: "Percent",
            dimensions: vec![("InstanceId", "i-1".to_owned())],
            by_the_second: false,
        };
        assert_eq!(
            body(NAMESPACE, std::slice::from_ref(&datum)).to_string(),
            r#"{"MetricData":[{"Dimensions":[{"Name":"InstanceId","Value":"i-1"}],"MetricName":"MemoryUtilization","Unit":"Percent","Value":12.5}],"Namespace":"System/Linux"}"#
        );
        let often = Datum {
            by_the_second: true,
            ..datum
        };
        assert_eq!(body("shop", &[often])["MetricData"][0]["StorageResolution"], 1);
    }
}
