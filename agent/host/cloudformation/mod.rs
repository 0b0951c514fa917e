//! How the boot ended, told to CloudFormation.
//!
//! SignalResource is one GET that no SDK can sign the way cfn-signal does, with the instance's identity, which needs no
//! permission. So it is made here, for both ways of signing.

mod answer;
mod request;
mod wait_handle;

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use monopod_core::lifecycle::{SignWith, SignalTarget};
use reqwest::{Client, StatusCode};
use tokio::sync::OnceCell;
use tokio::time;

use super::aws::{self, AwsError};
use super::imds::{Imds, ImdsError};
use super::sigv4::{self, Came};
use super::{Class, Classified, chain, web};
use answer::Verdict;
use request::{Request, Signal};

pub use wait_handle::tell_wait_handle;

/// How the boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The machine serves.
    Success,
    /// It does not.
    Failure,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Success => "SUCCESS",
            Self::Failure => "FAILURE",
        }
    }
}

/// What came of a signal; either way there is nothing left to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signalled {
    /// CloudFormation has it.
    Accepted,
    /// The stack is finished or gone; what CloudFormation says of it.
    NotWaiting(String),
}

/// Why CloudFormation was not told.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It was not reached, or said no.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The instance's identity could not be read.
    #[error("cannot sign for CloudFormation as this instance")]
    Identity(#[from] ImdsError),
    /// Somebody else answered, or CloudFormation in parts.
    #[error(
        "{service} answered {status} to {subject} with something that is no answer of CloudFormation's; if it stays so, look for a proxy in between"
    )]
    Nonsense {
        /// Which one, and where.
        service: String,
        /// What was sent.
        subject: String,
        /// The answer.
        status: u16,
    },
    /// There is nothing to send it with.
    #[error("cannot make a request for CloudFormation: {0}")]
    Setup(String),
    /// The wait handle is no URL.
    #[error(
        "the wait handle in `notify_cfn` is no URL; give what `Ref` of the stack's AWS::CloudFormation::WaitConditionHandle gives"
    )]
    WaitHandleIsNone,
    /// The wait handle's host was not reached.
    #[error("the wait handle's host {host} was not reached: {why}")]
    WaitHandleUnreachable {
        /// The rest of the URL is a signature.
        host: String,
        /// Why.
        why: String,
    },
    /// The wait handle's host said no.
    #[error(transparent)]
    WaitHandle(WaitHandleRefused),
}

/// What the host of a wait handle answered.
#[derive(Debug, thiserror::Error)]
#[error("the wait handle at {host} answered {status}{}", self.advice())]
pub struct WaitHandleRefused {
    host: String,
    status: StatusCode,
}

impl Classified for SignalError {
    fn class(&self) -> Class {
        match self {
            Self::Aws(error) => error.class(),
            Self::Identity(error) => error.class(),
            Self::Nonsense { status: 429, .. } => Class::Throttled,
            Self::Nonsense { .. } | Self::WaitHandleUnreachable { .. } => Class::Transient,
            Self::WaitHandle(refused) if web::is_busy(refused.status) => Class::Transient,
            Self::Setup(_) | Self::WaitHandleIsNone | Self::WaitHandle(_) => Class::Permanent,
        }
    }
}

/// CloudFormation in one region.
#[derive(Debug)]
pub struct CloudFormation {
    client: Client,
    region: String,
    endpoint: String,
    limit: Duration,
    role: OnceCell<SharedCredentialsProvider>,
}

impl CloudFormation {
    /// Asks nobody yet.
    pub fn new(region: &str) -> Result<Self, SignalError> {
        let endpoint = request::endpoint(region, |name| std::env::var(name).ok());
        Self::at(region, endpoint, aws::CALL_TIMEOUT)
    }

    fn at(region: &str, endpoint: String, limit: Duration) -> Result<Self, SignalError> {
        let client = web::single_calls(limit).build();
        let client = client.map_err(|error| SignalError::Setup(chain(&error)))?;
        Ok(Self {
            client,
            region: region.to_owned(),
            endpoint,
            limit,
            role: OnceCell::new(),
        })
    }

    /// Tells how the boot ended. One attempt; one more only where the machine's clock was wrong.
    pub async fn signal(
        &self,
        target: &SignalTarget,
        status: Status,
        unique_id: &str,
        imds: &Imds,
    ) -> Result<Signalled, SignalError> {
        let signal = Signal {
            endpoint: &self.endpoint,
            resource: &target.resource,
            stack: &target.stack,
            unique_id,
            status,
        };
        let subject = format!("{} for {target}", status.word());
        let answer = match target.sign {
            SignWith::Instance => {
                let identity = imds.signed_document().await?;
                self.send(&subject, signal.by_instance(&identity)).await?
            }
            SignWith::Role => self.send_by_role(&subject, &signal).await?,
        };
        match Verdict::of(&answer, status) {
            Verdict::Done(signalled) => Ok(signalled),
            Verdict::Nonsense => Err(SignalError::Nonsense {
                service: self.service(),
                subject,
                status: answer.status,
            }),
            Verdict::Refused { code, message } => {
                let (advice, class): (fn(&str) -> &'static str, Class) = match target.sign {
                    // The document does not expire and needs no time to spread: what is not believed now never will be.
                    SignWith::Instance if is_disbelief(&code) => (instance_advice, Class::Permanent),
                    SignWith::Instance => (instance_advice, aws::class_of(&code, &message, answer.status)),
                    SignWith::Role => (role_advice, aws::class_of(&code, &message, answer.status)),
                };
                let answer = aws::Answer::Error { class, code, message };
                Err(AwsError::from_answer(&self.service(), &subject, answer, advice).into())
            }
        }
    }

    async fn send_by_role(&self, subject: &str, signal: &Signal<'_>) -> Result<Came, SignalError> {
        let credentials = self.credentials(subject).await?;
        let request = |time| {
            let signed = signal.by_role(&credentials, &self.region, time);
            signed.map_err(SignalError::Setup)
        };
        let came = self.send(subject, request(sigv4::now())?).await?;
        let said = |came: &Came| match Verdict::of(came, signal.status) {
            Verdict::Refused { code, message } => Some((code, message)),
            Verdict::Done(_) | Verdict::Nonsense => None,
        };
        match sigv4::corrected_time(&came, said) {
            None => Ok(came),
            Some(time) => self.send(subject, request(time)?).await,
        }
    }

    async fn credentials(&self, subject: &str) -> Result<Credentials, SignalError> {
        let provider = self.role.get_or_try_init(|| async {
            let config = aws::config(&self.region).await;
            config
                .credentials_provider()
                .ok_or_else(|| SignalError::Setup("the SDK knows no source of credentials".to_owned()))
        });
        let provider = provider.await?;
        match time::timeout(self.limit, provider.provide_credentials()).await {
            Ok(Ok(credentials)) => Ok(credentials),
            Ok(Err(error)) => Err(self.unreachable(subject, error.into()).into()),
            Err(late) => Err(self.unreachable(subject, late.into()).into()),
        }
    }

    async fn send(&self, subject: &str, request: Request) -> Result<Came, SignalError> {
        let builder = sigv4::with_headers(self.client.get(&request.url), &request.headers);
        sigv4::exchange(builder.map_err(SignalError::Setup)?, LARGEST_ANSWER)
            .await
            .map_err(|error| self.unreachable(subject, error.into()).into())
    }

    fn service(&self) -> String {
        format!("CloudFormation in {}", self.region)
    }

    fn unreachable(&self, subject: &str, source: Box<dyn std::error::Error + Send + Sync>) -> AwsError {
        AwsError::from_answer(&self.service(), subject, aws::Answer::None(source), |_| "")
    }
}

/// An answer of CloudFormation's has a few hundred bytes.
const LARGEST_ANSWER: usize = 64 << 10;

/// Codes that say who signed is not believed or may not do it.
fn is_disbelief(code: &str) -> bool {
    matches!(
        code,
        "AccessDenied"
            | "AccessDeniedException"
            | "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "MissingAuthenticationToken"
            | "IncompleteSignature"
            | "SignatureDoesNotMatch"
            | "NotAuthorized"
            | "ExpiredToken"
    )
}

fn instance_advice(code: &str) -> &'static str {
    match code {
        code if is_disbelief(code) => {
            "; CloudFormation does not take this instance's identity for that stack: set `notify_cfn: {sign: role}` and grant the instance profile's role cloudformation:SignalResource on the stack"
        }
        "ValidationError" => WRONG_TARGET,
        _ => "",
    }
}

fn role_advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AccessDeniedException" => {
            "; grant the instance profile's role cloudformation:SignalResource on the stack (`monopod plan --iam` prints the whole policy)"
        }
        "ValidationError" => WRONG_TARGET,
        _ => "",
    }
}

const WRONG_TARGET: &str = "; `notify_cfn` has to name the stack, and by its logical id the resource in it that has the creation policy";

#[cfg(test)]
mod tests;
