//! One object to its bucket, and what to do when that is refused.

use bytes::Bytes;
use monopod_core::logs::{Attributes, S3Target};
use monopod_core::plan::partition;

use super::super::SendError;
use crate::host::s3::{Clients, Put, S3Error};
use crate::host::{Class, chain};

/// What the original's plugin wrote. No content encoding: whoever fetches `x.gz` shall get a gzip file.
const CONTENT_TYPE: &str = "application/x-gzip";

/// The way to a bucket.
#[derive(Debug)]
pub(super) struct Transport {
    clients: Clients,
    bucket: String,
    region: String,
    acl: String,
}

impl Transport {
    pub(super) fn new(target: &S3Target, attributes: &Attributes, clients: Clients) -> Self {
        Self {
            clients,
            bucket: target.bucket.clone(),
            region: target.region.as_ref().unwrap_or(&attributes.region).clone(),
            acl: target.acl.clone(),
        }
    }

    /// One attempt.
    pub(super) async fn put(&self, key: &str, body: &Bytes) -> Result<(), SendError> {
        let client = self.clients.of(&self.region).await;
        let put = Put {
            bucket: &self.bucket,
            key,
            acl: &self.acl,
            content_type: CONTENT_TYPE,
            body,
        };
        client.put(put).await.map_err(|error| self.told(key, error))
    }

    fn told(&self, key: &str, error: S3Error) -> SendError {
        let Self { bucket, region, .. } = self;
        let what = format!("cannot put s3://{bucket}/{key} in {region}");
        let (class, why) = match error {
            S3Error::Unreachable(source) => (Class::Transient, chain(&*source)),
            S3Error::Busy { answer } => (Class::Transient, answer),
            S3Error::Throttled { answer } => (Class::Throttled, answer),
            S3Error::Refused { answer, code } => {
                (Class::Permanent, format!("{answer}{}", self.advice(&code)))
            }
            S3Error::Elsewhere { answer, region } => (
                Class::Permanent,
                format!("{answer}; the bucket is in {region}: set `logging.s3_region` to it"),
            ),
            // Said of what is fetched only.
            S3Error::TooLarge => (Class::Permanent, "it is too large".to_owned()),
        };
        let text = format!("{what}: {why}");
        SendError { class, text }
    }

    fn advice(&self, code: &str) -> String {
        let Self { bucket, acl, .. } = self;
        match code {
            "AccessDenied" | "AllAccessDisabled" => format!(
                "; grant the instance profile's role s3:PutObject and s3:PutObjectAcl on \
                 arn:{}:s3:::{bucket}/taupage/*, and look at the bucket's policy",
                partition(&self.region)
            ),
            "NoSuchBucket" => "; make the bucket, or mend `logging.s3_bucket`".to_owned(),
            "InvalidBucketName" => "; mend `logging.s3_bucket`".to_owned(),
            "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
                "; the bucket is in another region: set `logging.s3_region` to it".to_owned()
            }
            "AccessControlListNotSupported" | "InvalidArgument" if !acl.is_empty() => {
                format!("; the bucket may not take the ACL {acl}: mend `logging.s3_acl`")
            }
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(error: S3Error) -> SendError {
        let target = S3Target {
            bucket: "logs".into(),
            region: None,
            timekey_seconds: 300,
            raw: true,
            acl: "private".into(),
        };
        let attributes = Attributes {
            region: "eu-central-1".into(),
            ..Attributes::default()
        };
        Transport::new(&target, &attributes, Clients::default()).told("k", error)
    }

    fn refused(code: &str) -> SendError {
        told(S3Error::Refused {
            answer: format!("403 {code}: no"),
            code: code.into(),
        })
    }

    #[test]
    fn a_refusal_says_where_and_what_to_do() {
        let denied = refused("AccessDenied");
        assert_eq!(denied.class, Class::Permanent);
        assert_eq!(
            denied.text,
            "cannot put s3://logs/k in eu-central-1: 403 AccessDenied: no; grant the instance profile's role \
             s3:PutObject and s3:PutObjectAcl on arn:aws:s3:::logs/taupage/*, and look at the bucket's policy"
        );
        assert!(refused("NoSuchBucket").text.contains("make the bucket"));
        assert!(refused("PermanentRedirect").text.contains("s3_region"));
        assert!(
            refused("AccessControlListNotSupported")
                .text
                .contains("the ACL private")
        );
        let elsewhere = told(S3Error::Elsewhere {
            answer: "301 PermanentRedirect: no".into(),
            region: "eu-west-1".into(),
        });
        assert!(
            elsewhere
                .text
                .ends_with("the bucket is in eu-west-1: set `logging.s3_region` to it")
        );
        assert_eq!(elsewhere.class, Class::Permanent);
    }

    #[test]
    fn waiting_is_told_apart_from_throttling() {
        let answer = || "503 x: y".to_owned();
        assert_eq!(told(S3Error::Busy { answer: answer() }).class, Class::Transient);
        assert_eq!(
            told(S3Error::Throttled { answer: answer() }).class,
            Class::Throttled
        );
        assert_eq!(told(S3Error::Unreachable("away".into())).class, Class::Transient);
    }
}
