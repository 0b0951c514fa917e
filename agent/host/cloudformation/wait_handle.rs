//! The handle of a wait condition: a URL that takes a reason, and that whoever knows it may use.

use std::time::Duration;

use monopod_core::text;
use reqwest::{StatusCode, Url, redirect};
use serde::Serialize;

use super::{SignalError, Status, WaitHandleRefused};
use crate::host::{aws, web};

/// What CloudFormation takes is 4,096 bytes in all; a reason is a sentence.
const LONGEST_REASON: usize = 1000;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    status: &'a str,
    unique_id: &'a str,
    data: &'a str,
    reason: String,
}

/// Tells a wait condition how the boot ended, and why. One attempt.
pub async fn tell_wait_handle(
    url: &str,
    status: Status,
    unique_id: &str,
    reason: &str,
) -> Result<(), SignalError> {
    tell(url, status, unique_id, reason, aws::CALL_TIMEOUT).await
}

pub(super) async fn tell(
    url: &str,
    status: Status,
    unique_id: &str,
    reason: &str,
    limit: Duration,
) -> Result<(), SignalError> {
    let url = Url::parse(url).map_err(|_| SignalError::WaitHandleIsNone)?;
    let host = url.host_str().ok_or(SignalError::WaitHandleIsNone)?.to_owned();
    let body = serde_json::to_vec(&Body {
        status: status.word(),
        unique_id,
        data: "",
        reason: text::shortened(reason, LONGEST_REASON),
    })
    .map_err(|error| SignalError::Setup(error.to_string()))?;
    let unreachable = |error: reqwest::Error| SignalError::WaitHandleUnreachable {
        host: host.clone(),
        why: web::nameless(&error),
    };
    let client = web::builder()
        .timeout(limit)
        .redirect(redirect::Policy::none())
        .build()
        .map_err(|error| SignalError::Setup(web::nameless(&error)))?;
    // The URL is signed for an empty type.
    let request = client.put(url).header("content-type", "").body(body);
    let answer = request
        .send()
        .await
        .map_err(|error| unreachable(error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status => Err(SignalError::WaitHandle(WaitHandleRefused { host, status })),
    }
}

impl WaitHandleRefused {
    pub(super) fn advice(&self) -> &'static str {
        match self.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                "; `notify_cfn: {wait_handle: ...}` has to be the whole URL that `Ref` of this stack's AWS::CloudFormation::WaitConditionHandle gives"
            }
            _ => "",
        }
    }
}
