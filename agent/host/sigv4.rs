//! Calls to AWS that are not worth an SDK client of their own: signed with version 4 by the SDK's own signer, and sent.
//!
//! One attempt each; one more at once only where the machine's clock was wrong, which the `Date` of the refusal corrects.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use monopod_core::secret::Secret;
use reqwest::header::{DATE, HeaderValue};
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;
use tokio::time;

use super::aws::{self, SdkConfig};
use super::{Class, chain, clock, web};

/// An answer in JSON has a hundred bytes for each thing that was sent.
const LARGEST_JSON: usize = 64 << 10;

/// Why nothing came back.
pub(super) type NoAnswer = Box<dyn Error + Send + Sync>;

/// A request as it is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a [u8],
    /// The service's name in signatures.
    pub(super) service: &'a str,
    pub(super) region: &'a str,
}

/// Its headers, with those that sign it. They prove who we are, so they are kept like passwords.
pub(super) fn signed(
    request: &Unsigned<'_>,
    credentials: &Credentials,
    time: SystemTime,
) -> Result<Vec<(&'static str, Secret)>, String> {
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(request.region)
        .name(request.service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.url, request.headers.iter().copied(), body)
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(signable, &parameters)
        .map_err(|error| error.to_string())?
        .into_parts();
    let mut headers: Vec<(&'static str, Secret)> = request
        .headers
        .iter()
        .map(|(name, value)| (*name, Secret::new((*value).to_owned())))
        .collect();
    let (signing, _) = instructions.into_parts();
    headers.extend(
        signing
            .iter()
            .map(|header| (header.name(), Secret::new(header.value().to_owned()))),
    );
    Ok(headers)
}

/// Where a service answers in a region: the SDKs' own variables, then AWS's name for it.
pub(super) fn endpoint(
    variable_of_service: &str,
    service: &str,
    region: &str,
    variable: impl Fn(&str) -> Option<String>,
) -> String {
    let written = [variable_of_service, "AWS_ENDPOINT_URL"]
        .into_iter()
        .find_map(|name| variable(name).filter(|value| !value.is_empty()));
    let domain = match region {
        china if china.starts_with("cn-") => "amazonaws.com.cn",
        _ => "amazonaws.com",
    };
    written.unwrap_or_else(|| format!("https://{service}.{region}.{domain}"))
}

/// What came back.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    /// The clock of who answered.
    pub(super) date: Option<SystemTime>,
    pub(super) body: Vec<u8>,
}

impl Came {
    /// Whether it is a success; whoever stands in between may answer 200 too.
    pub(super) fn is_yes(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// A service in one region that takes POSTs.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) config: SdkConfig,
    /// The name in signatures and addresses.
    pub(super) name: &'static str,
    pub(super) region: String,
    pub(super) url: String,
    /// One call may take this long.
    pub(super) limit: Duration,
}

impl Service {
    /// Loads credentials' sources and endpoints from the SDK's usual places; asks nobody yet.
    pub(super) async fn new(name: &'static str, variable_of_service: &str, region: &str) -> Self {
        let endpoint = endpoint(variable_of_service, name, region, |name| std::env::var(name).ok());
        Self {
            config: aws::config(region).await,
            name,
            region: region.to_owned(),
            url: format!("{}/", endpoint.trim_end_matches('/')),
            limit: aws::CALL_TIMEOUT,
        }
    }

    /// It loads the system's certificates: who calls once in a while makes one each time, and keeps none.
    pub(super) fn client(&self) -> Result<Client, NoAnswer> {
        let client = web::single_calls(self.limit).build();
        client.map_err(|error| chain(&error).into())
    }

    /// Signed by this machine's clock; if that is refused, once more by the clock of who refused it. `said` reads the code
    /// and the message of what is no success. Of more than `largest` the rest is not read: whoever reads it has to tell.
    pub(super) async fn post(
        &self,
        client: &Client,
        headers: &[(&'static str, &str)],
        body: &[u8],
        largest: usize,
        said: impl FnOnce(&Came) -> Option<(String, String)>,
    ) -> Result<Came, NoAnswer> {
        let credentials = self.credentials().await?;
        let request = |time| {
            let unsigned = Unsigned {
                method: "POST",
                url: &self.url,
                headers,
                body,
                service: self.name,
                region: &self.region,
            };
            let headers = signed(&unsigned, &credentials, time)?;
            with_headers(client.post(&self.url).body(body.to_vec()), &headers)
        };
        let came = exchange(request(now())?, largest).await?;
        match corrected_time(&came, said) {
            None => Ok(came),
            Some(time) => Ok(exchange(request(time)?, largest).await?),
        }
    }

    /// The same in AWS's JSON; gives the body of a success.
    pub(super) async fn post_json(
        &self,
        content_type: &str,
        target: &str,
        body: &Value,
    ) -> Result<Vec<u8>, aws::Answer> {
        let headers = [("content-type", content_type), ("x-amz-target", target)];
        let body = body.to_string().into_bytes();
        let client = self.client().map_err(aws::Answer::None)?;
        let came = self.post(&client, &headers, &body, LARGEST_JSON, |came| {
            Some(json_error(came))
        });
        let came = came.await.map_err(aws::Answer::None)?;
        if came.is_yes() {
            return Ok(came.body);
        }
        let (code, message) = json_error(&came);
        let class = aws::class_of(&code, &message, came.status);
        Err(aws::Answer::Error { class, code, message })
    }

    async fn credentials(&self) -> Result<Credentials, NoAnswer> {
        let provider = self.config.credentials_provider();
        let provider = provider.ok_or("the SDK knows no source of credentials")?;
        Ok(time::timeout(self.limit, provider.provide_credentials()).await??)
    }
}

/// What this machine takes for the time.
pub(super) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(clock::now_millis())
}

/// Where a signature was refused for its time, the clock of who refused it, to sign once more by. `said` reads the code and
/// the message of what is no success.
pub(super) fn corrected_time(
    came: &Came,
    said: impl FnOnce(&Came) -> Option<(String, String)>,
) -> Option<SystemTime> {
    let time = came.date.filter(|_| !came.is_yes())?;
    let (code, message) = said(came)?;
    aws::is_about_time(&code, &message).then_some(time)
}

/// With headers that nobody may see.
pub(super) fn with_headers(
    mut request: RequestBuilder,
    headers: &[(&'static str, Secret)],
) -> Result<RequestBuilder, String> {
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(value.expose())
            .map_err(|_| format!("the header {name} would hold control characters"))?;
        value.set_sensitive(true);
        request = request.header(*name, value);
    }
    Ok(request)
}

/// Sends, and reads little more than `largest` of what comes back.
pub(super) async fn exchange(request: RequestBuilder, largest: usize) -> reqwest::Result<Came> {
    let mut response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status().as_u16();
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(aws::server_time);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(reqwest::Error::without_url)? {
        body.extend_from_slice(&chunk);
        if body.len() > largest {
            break;
        }
    }
    Ok(Came { status, date, body })
}

/// A success of somebody's in between, in JSON, who does not speak for this service. It may be better the next time.
pub(super) fn not_theirs(service: &str) -> aws::Answer {
    aws::Answer::Error {
        class: Class::Transient,
        code: "InternalFailure".to_owned(),
        message: format!("the answer is not {service}'s"),
    }
}

/// Code and message; empty where it is not AWS who answers.
fn json_error(came: &Came) -> (String, String) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Failure {
        #[serde(rename = "__type")]
        code: String,
        #[serde(alias = "Message")]
        message: String,
    }
    let Failure { code, message } = serde_json::from_slice(&came.body).unwrap_or_default();
    // `com.amazonaws.events#ThrottlingException`
    match code.rsplit_once('#') {
        Some((_, code)) => (code.to_owned(), message),
        None => (code, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Classified as _;
    use crate::host::aws::tests::service_at;
    use crate::host::testing::{Asked, Server, reply};

    #[test]
    fn an_error_in_json_has_a_code() {
        let said = |status, body: &str| {
            let body = body.as_bytes().to_vec();
            let date = None;
            json_error(&Came { status, date, body })
        };
        let denied = r#"{"__type":"com.amazonaws.cloudwatch#AccessDenied","Message":"no"}"#;
        assert_eq!(said(403, denied), ("AccessDenied".to_owned(), "no".to_owned()));
        let plain = r#"{"__type":"AccessDenied","message":"no"}"#;
        assert_eq!(said(403, plain), ("AccessDenied".to_owned(), "no".to_owned()));
        assert_eq!(said(502, "<html>"), (String::new(), String::new()));
    }

    /// Whoever refuses is an hour ahead of this machine.
    #[tokio::test]
    async fn a_wrong_clock_costs_one_more_call() {
        let late =
            r#"{"__type":"com.amazonaws.events#InvalidSignatureException","message":"Signature expired: x"}"#;
        let late = move || reply(400, late).with("Date", "Thu, 21 Nov 2030 04:16:55 GMT");
        let server = Server::start(move |asked: &Asked| {
            match asked.header("x-amz-date") == Some("20301121T041655Z") {
                true => reply(200, "{}"),
                false => late(),
            }
        })
        .await;
        let post = async |server: &Server| {
            let service = service_at(&server.url, "events").await;
            service.post_json("application/json", "a.b", &Value::Null).await
        };
        assert_eq!(post(&server).await.ok().unwrap(), b"{}");
        assert_eq!(server.asked().len(), 2);
        // Once: who goes on saying so has another reason.
        let server = Server::saying(late()).await;
        let answer = post(&server).await.err().unwrap();
        let error = aws::AwsError::from_answer("EventBridge", "x", answer, |_| "");
        assert_eq!((error.class(), server.asked().len()), (Class::Transient, 2));
    }
}
