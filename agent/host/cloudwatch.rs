//! Metrics in CloudWatch: one POST, by the SDK's signer and its credentials.
//!
//! The SDK's client for it brings a second HTTP stack with it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::provider::ProvideCredentials as _;
use monopod_core::lifecycle::usage::Datum;
use reqwest::header::{DATE, HeaderValue};
use reqwest::redirect;
use serde::Deserialize;
use serde_json::{Value, json};

use super::aws::{self, Answer, AwsError, SdkConfig};
use super::sigv4::{self, Unsigned};
use super::{chain, clock, web};

/// The name in signatures and addresses.
const SERVICE: &str = "monitoring";
const TARGET: &str = "GraniteServiceVersion20100801.PutMetricData";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// An answer of CloudWatch's has a few hundred bytes.
const LARGEST_ANSWER: usize = 64 << 10;

/// CloudWatch in one region.
#[derive(Debug)]
pub struct CloudWatch {
    config: SdkConfig,
    region: String,
    url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Failure {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: String,
}

/// What came back.
struct Came {
    status: u16,
    date: Option<SystemTime>,
    body: Vec<u8>,
}

impl CloudWatch {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub async fn new(region: &str) -> Self {
        let endpoint = sigv4::endpoint("AWS_ENDPOINT_URL_CLOUDWATCH", SERVICE, region, |name| {
            std::env::var(name).ok()
        });
        Self {
            config: aws::config(region).await,
            region: region.to_owned(),
            url: format!("{}/", endpoint.trim_end_matches('/')),
        }
    }

    /// Writes these in one call. They have no time of ours, so CloudWatch takes its own: our clock may be wrong.
    pub async fn put(&self, namespace: &str, data: &[Datum]) -> Result<(), AwsError> {
        let error = |answer| self.error(namespace, answer);
        let body = body(namespace, data).to_string().into_bytes();
        let now = UNIX_EPOCH + Duration::from_millis(clock::now_millis());
        let mut came = self.send(&body, now).await.map_err(error)?;
        if let (Some(failure), Some(time)) = (failure(&came), came.date)
            && aws::is_about_time(&failure.code, &failure.message)
        {
            came = self.send(&body, time).await.map_err(error)?;
        }
        match failure(&came) {
            None => Ok(()),
            Some(Failure { code, message }) => {
                let class = aws::class_of(&code, &message, came.status);
                Err(error(Answer::Error { class, code, message }))
            }
        }
    }

    async fn send(&self, body: &[u8], time: SystemTime) -> Result<Came, Answer> {
        let none = |why: Box<dyn std::error::Error + Send + Sync>| Answer::None(why);
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
            // One call is all there is for a minute.
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

    fn error(&self, namespace: &str, answer: Answer) -> AwsError {
        let service = format!("CloudWatch in {}", self.region);
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

/// `None` is a yes. Whoever stands in between says yes in other words.
fn failure(came: &Came) -> Option<Failure> {
    let json = serde_json::from_slice::<Failure>(&came.body);
    if (200..300).contains(&came.status) {
        let is_ours = came.body.is_empty() || json.is_ok();
        return (!is_ours).then(|| Failure {
            // The class of what may be better the next time.
            code: "InternalFailure".to_owned(),
            message: "the answer is not CloudWatch's".to_owned(),
        });
    }
    let mut failure = json.unwrap_or_default();
    // `com.amazonaws.cloudwatch#AccessDenied`
    if let Some((_, code)) = failure.code.rsplit_once('#') {
        failure.code = code.to_owned();
    }
    Some(failure)
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
    use crate::host::aws::tests::config_for;
    use crate::host::testing::{Server, reply};

    async fn at(server: &Server) -> CloudWatch {
        CloudWatch {
            config: config_for(&server.url, Duration::from_secs(5)).await,
            region: "eu-central-1".to_owned(),
            url: format!("{}/", server.url),
        }
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
        let came = |status, body: &str| Came {
            status,
            date: None,
            body: body.as_bytes().to_vec(),
        };
        assert!(failure(&came(200, "")).is_none() && failure(&came(200, "{}")).is_none());
        let denied = r#"{"__type":"com.amazonaws.cloudwatch#AccessDenied","Message":"no"}"#;
        let refused = failure(&came(403, denied)).unwrap();
        assert_eq!(
            (refused.code.as_str(), refused.message.as_str()),
            ("AccessDenied", "no")
        );
        assert_eq!(failure(&came(200, "<html>")).unwrap().code, "InternalFailure");
        assert_eq!(failure(&came(502, "<html>")).unwrap().code, "");
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
