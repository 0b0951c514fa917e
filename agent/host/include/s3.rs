//! An included text that is an object of S3.

use super::{FetchError, LARGEST_ANSWER};
use crate::host::s3::{Got, S3, S3Error};

/// One call, and the whole body.
pub(super) async fn get(
    s3: &S3,
    region: &str,
    bucket: &str,
    key: &str,
    place: &str,
) -> Result<Vec<u8>, FetchError> {
    match s3.get(bucket, key, None, LARGEST_ANSWER).await {
        Ok(Got::Object(mut object)) => Ok(std::mem::take(&mut *object.bytes)),
        // Nothing was said to be here.
        Ok(Got::Unchanged) => Ok(Vec::new()),
        Err(error) => Err(told(error, region, place)),
    }
}

fn told(error: S3Error, region: &str, place: &str) -> FetchError {
    let place = place.to_owned();
    match error {
        S3Error::Unreachable(source) => FetchError::Unreachable { place, source },
        S3Error::Busy { answer } | S3Error::Throttled { answer } => FetchError::Busy { place, answer },
        S3Error::Refused { answer, code } => FetchError::Refused {
            place,
            answer,
            advice: advice(&code).to_owned(),
        },
        S3Error::Elsewhere {
            answer,
            region: there,
        } => FetchError::Refused {
            place,
            answer,
            advice: format!("; the bucket is in {there} and this machine in {region}: use a bucket here"),
        },
        S3Error::TooLarge => FetchError::TooLarge { place },
    }
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
    fn a_refusal_says_what_to_do() {
        for code in ["AccessDenied", "NoSuchKey", "NoSuchBucket", "InvalidObjectState"] {
            assert!(!advice(code).is_empty(), "{code}");
        }
        let elsewhere = S3Error::Elsewhere {
            answer: "301 PermanentRedirect: no message".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        let said = told(elsewhere, "eu-central-1", "s3://bucket/key").to_string();
        assert!(
            said.ends_with(
                "; the bucket is in eu-west-1 and this machine in eu-central-1: use a bucket here"
            ),
            "{said}"
        );
    }
}
