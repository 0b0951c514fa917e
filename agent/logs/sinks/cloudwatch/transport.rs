//! Calls to CloudWatch Logs: a batch goes into the stream, and the stream and its group are made where they are missing.
//!
//! With `AWS_ENDPOINT_URL_CLOUDWATCH_LOGS` or `AWS_ENDPOINT_URL` it asks elsewhere.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::Builder;
use aws_sdk_cloudwatchlogs::config::http::HttpResponse;
use aws_sdk_cloudwatchlogs::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatchlogs::error::{ProvideErrorMetadata, SdkError};
use monopod_core::logs::cloudwatch::{Parcel, Rejected};
use tokio::sync::OnceCell;

use super::encode;
use crate::host::aws::{self, Answer, waiting_advice};
use crate::host::{Class, chain};
use crate::logs::sinks::SendError;

/// Whoever does not even accept a connection is not there.
const CONNECT: Duration = Duration::from_secs(10);
/// A call with all of its body, which is 1 MiB of messages and their quotes: 60 KiB/s do.
const CALL: Duration = Duration::from_secs(30);

const MISSING: &str = "ResourceNotFoundException";
const THERE: &str = "ResourceAlreadyExistsException";
/// The status of a body that is too large.
const TOO_LARGE: u16 = 413;

/// Why a batch was not taken.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is something in it that AWS will never take; this is what it said.
    Batch(String),
    /// The call failed, whatever was in it.
    Call(SendError),
}

/// The way to one log stream.
#[derive(Debug)]
pub(super) struct Transport {
    region: String,
    group: String,
    stream: String,
    connection: Connection,
}

/// What all log groups of the machine share: connections, credentials and certificates. Made by the first call, so that
/// no start waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(Arc<OnceCell<Client>>);

impl Connection {
    /// A client of a test's own making, before anything was sent.
    #[cfg(test)]
    pub(super) fn set(&self, client: Client) {
        self.0.set(client).unwrap();
    }

    async fn client(&self, region: &str) -> Client {
        let connect = async || {
            let config = aws::config(region).await;
            let timeouts = TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_timeout(CALL)
                .build();
            Client::from_conf(Builder::from(&config).timeout_config(timeouts).build())
        };
        self.0.get_or_init(connect).await.clone()
    }
}

impl Transport {
    pub(super) fn new(region: &str, group: &str, stream: &str, connection: Connection) -> Self {
        Self {
            region: region.to_owned(),
            group: group.to_owned(),
            stream: stream.to_owned(),
            connection,
        }
    }

    /// Puts the first events of the parcel into the stream, and says which ones AWS left out.
    pub(super) async fn put(&self, parcel: &Parcel, count: usize) -> Result<Rejected, Failure> {
        let client = self.connection.client(&self.region).await;
        match self.call(&client, parcel, count).await {
            Err(Refusal::Missing) => {}
            Err(Refusal::Other(failure)) => return Err(failure),
            Ok(rejected) => return Ok(rejected),
        }
        self.ensure_stream(&client).await.map_err(Failure::Call)?;
        self.call(&client, parcel, count)
            .await
            .map_err(|refusal| match refusal {
                Refusal::Missing => Failure::Call(self.not_yet()),
                Refusal::Other(failure) => failure,
            })
    }

    async fn call(&self, client: &Client, parcel: &Parcel, count: usize) -> Result<Rejected, Refusal> {
        let events =
            encode::events(parcel, count).map_err(|error| Refusal::Other(Failure::Batch(chain(&error))))?;
        let answer = client
            .put_log_events()
            .log_group_name(&self.group)
            .log_stream_name(&self.stream)
            .set_log_events(Some(events))
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(encode::rejected(&answer)),
            Err(error) if error.code() == Some(MISSING) => Err(Refusal::Missing),
            Err(error) => Err(Refusal::Other(match fault_of_batch(&error) {
                Some(said) => Failure::Batch(said),
                None => Failure::Call(self.error("PutLogEvents", error)),
            })),
        }
    }

    /// The group first, if that is missing too. Another machine may be making it at the same moment.
    async fn ensure_stream(&self, client: &Client) -> Result<(), SendError> {
        let create = || {
            client
                .create_log_stream()
                .log_group_name(&self.group)
                .log_stream_name(&self.stream)
                .send()
        };
        match create().await {
            Err(error) if error.code() == Some(MISSING) => self.ensure_group(client).await?,
            made => return self.made("CreateLogStream", made),
        }
        match create().await {
            Err(error) if error.code() == Some(MISSING) => Err(self.not_yet()),
            made => self.made("CreateLogStream", made),
        }
    }

    async fn ensure_group(&self, client: &Client) -> Result<(), SendError> {
        let made = client.create_log_group().log_group_name(&self.group).send().await;
        if made.is_ok() {
            tracing::info!(group = %self.group, "Made the log group, its events are kept for ever unless told otherwise");
        }
        self.made("CreateLogGroup", made)
    }

    fn made<T, E>(
        &self,
        operation: &'static str,
        made: Result<T, SdkError<E, HttpResponse>>,
    ) -> Result<(), SendError>
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match made {
            Err(error) if error.code() != Some(THERE) => Err(self.error(operation, error)),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn error<E>(&self, operation: &'static str, error: SdkError<E, HttpResponse>) -> SendError
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let what = self.place(operation);
        match Answer::of(error) {
            Answer::None(source) => SendError {
                class: Class::Transient,
                text: format!("{what} has no answer: {}", chain(source.as_ref())),
            },
            Answer::Error { class, code, message } => {
                let advice = match class {
                    Class::Permanent => advice(operation, &code),
                    Class::Transient | Class::Throttled => waiting_advice(&code),
                };
                let text = format!("{what} was answered with {code}: {message}{advice}");
                SendError { class, text }
            }
        }
    }

    /// What was made a moment ago is not known everywhere at once.
    fn not_yet(&self) -> SendError {
        SendError {
            class: Class::Transient,
            text: format!(
                "{} found nothing, though the stream was made a moment ago",
                self.place("PutLogEvents")
            ),
        }
    }

    fn place(&self, operation: &str) -> String {
        format!(
            "{operation} for stream {} of log group {} in {}",
            self.stream, self.group, self.region
        )
    }
}

enum Refusal {
    /// The stream, or the group with it.
    Missing,
    Other(Failure),
}

/// What AWS said, if it is about the events. It is never so for batches within the limits that we know; whoever changes
/// them shall cost the lines that are concerned and not all that come behind.
fn fault_of_batch<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Option<String> {
    let said = error.message().unwrap_or("no message");
    let too_large = error
        .raw_response()
        .is_some_and(|raw| raw.status().as_u16() == TOO_LARGE);
    let of_events = error.code() == Some("InvalidParameterException")
        && ["logEvents", "og event", "too large"]
            .iter()
            .any(|words| said.contains(words));
    (too_large || of_events).then(|| said.to_owned())
}

/// What to do about a refusal.
fn advice(operation: &str, code: &str) -> &'static str {
    match (operation, code) {
        ("CreateLogGroup", "AccessDeniedException") => {
            "; the group isn't there: make it, or allow the instance profile logs:CreateLogGroup"
        }
        ("CreateLogStream", "AccessDeniedException") => {
            "; the stream isn't there: allow the instance profile logs:CreateLogStream on the group"
        }
        (_, "AccessDeniedException") => "; allow the instance profile logs:PutLogEvents on the group",
        (_, "InvalidParameterException") => "; check the group's name in the user data",
        _ => "",
    }
}
