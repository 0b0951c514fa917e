//! One object, by the SDK. With `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` it asks elsewhere, by path
//! where that is an address of numbers.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;

use super::{Body, FetchError};
use crate::host::aws;

pub(super) async fn get(region: &str, bucket: &str, key: &str, place: &str) -> Result<Vec<u8>, FetchError> {
    let client = Client::new(&aws::config(region).await);
    let answer = client.get_object().bucket(bucket).key(key).send().await;
    let mut answer = answer.map_err(|error| classify(error, region, place))?;
    let mut body = Body::new(place);
    while let Some(chunk) = answer.body.next().await {
        let chunk = chunk.map_err(|source| FetchError::Unreachable {
            place: place.to_owned(),
            source: source.into(),
        })?;
        body.push(&chunk)?;
    }
    Ok(body.whole())
}

fn classify(error: SdkError<GetObjectError>, region: &str, place: &str) -> FetchError {
    let place = place.to_owned();
    match error {
        SdkError::ServiceError(context) => {
            let status = context.raw().status().as_u16();
            let elsewhere = context
                .raw()
                .headers()
                .get("x-amz-bucket-region")
                .filter(|there| *there != region)
                .map(|there| {
                    format!("; the bucket is in {there} and this machine in {region}: use a bucket here")
                });
            let error = context.into_err();
            let code = error.code().unwrap_or("no error code");
            let answer = format!("{status} {code}: {}", error.message().unwrap_or("no message"));
            if is_busy(code, status) {
                FetchError::Busy { place, answer }
            } else {
                let advice = elsewhere.unwrap_or_else(|| advice(code).to_owned());
                FetchError::Refused {
                    place,
                    answer,
                    advice,
                }
            }
        }
        other => FetchError::Unreachable {
            place,
            source: other.into(),
        },
    }
}

/// What AWS calls throttling and its own faults, and what first boots see for seconds: a clock that is
/// not set yet, credentials that have not spread yet.
fn is_busy(code: &str, status: u16) -> bool {
    matches!(
        code,
        "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "RequestLimitExceeded"
            | "RequestTimeout"
            | "RequestTimeTooSkewed"
            | "InternalError"
            | "ServiceUnavailable"
            | "OperationAborted"
            | "InvalidAccessKeyId"
            | "ExpiredToken"
            | "InvalidToken"
            | "SignatureDoesNotMatch"
    ) || status >= 500
        || status == 429
}

fn advice(code: &str) -> &'static str {
    match code {
        "AccessDenied" | "AllAccessDisabled" => {
            "; grant the instance profile's role s3:GetObject on it, and check the name: S3 answers so for a missing object too"
        }
        "NoSuchKey" | "NoSuchBucket" => "; put the text there first, or mend its address in the user data",
        "InvalidObjectState" => "; it is archived: restore it",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_tried_again_and_a_refusal_is_not() {
        assert!(is_busy("SlowDown", 503));
        assert!(is_busy("ThrottlingException", 400));
        assert!(is_busy("anything", 500));
        for (code, status) in [
            ("AccessDenied", 403),
            ("NoSuchKey", 404),
            ("NoSuchBucket", 404),
            ("InvalidObjectState", 403),
        ] {
            assert!(!is_busy(code, status), "{code}");
            assert!(!advice(code).is_empty(), "{code} says what to do");
        }
    }
}
