//! What codes mean, and what becomes of a clock that is wrong.

use aws_credential_types::Credentials;

use super::*;
use crate::host::autoscaling::AutoScaling;
use crate::host::sigv4::Service;
use crate::host::testing::{Asked, Reply, Server, failure, reply};

#[test]
fn throttling_is_tried_again_and_a_refusal_is_not() {
    assert_eq!(class_of("ThrottlingException", "", 400), Class::Throttled);
    assert_eq!(class_of("anything", "", 429), Class::Throttled);
    assert_eq!(class_of("KMSInternalException", "", 500), Class::Transient);
    assert_eq!(class_of("UnrecognizedClientException", "", 400), Class::Transient);
    assert_eq!(class_of("OperationAbortedException", "", 400), Class::Transient);
    assert_eq!(class_of("anything", "", 503), Class::Transient);
    for code in [
        "AccessDeniedException",
        "InvalidCiphertextException",
        "DisabledException",
        "NotFoundException",
        "ParameterNotFound",
        "ResourceNotFoundException",
    ] {
        assert_eq!(class_of(code, "", 400), Class::Permanent, "{code}");
    }
}

/// For a server of a test's own.
pub(in crate::host) async fn config_for(url: &str, limit: Duration) -> SdkConfig {
    let credentials = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
    let timeouts = TimeoutConfig::builder().operation_timeout(limit).build();
    common()
        .region(Region::new("eu-central-1"))
        .timeout_config(timeouts)
        .credentials_provider(credentials)
        .endpoint_url(url)
        .load()
        .await
}

/// A service that answers at a server of a test's own.
pub(in crate::host) async fn service_at(url: &str, name: &'static str) -> Service {
    let limit = Duration::from_secs(5);
    Service {
        config: config_for(url, limit).await,
        name,
        region: "eu-central-1".to_owned(),
        url: format!("{url}/"),
        limit,
    }
}

/// Refuses, in a protocol's words, every signature that is not of its own time, an hour after ours.
fn an_hour_later(refuse: fn(&str) -> Reply, answer: &'static str) -> impl Fn(&Asked) -> Reply {
    move |asked| {
        let now = SystemTime::now() + Duration::from_secs(3600);
        let stamp = |time: SystemTime| {
            let time = DateTime::from(time).fmt(DateTimeFormat::DateTime).unwrap();
            format!(
                "{}Z",
                time.replace(['-', ':'], "")
                    .split('.')
                    .next()
                    .unwrap()
                    .trim_end_matches('Z')
            )
        };
        let written = asked.header("x-amz-date").unwrap();
        let date = DateTime::from(now).fmt(DateTimeFormat::HttpDate).unwrap();
        let right = written <= stamp(now + Duration::from_secs(60)).as_str()
            && written >= stamp(now - Duration::from_secs(60)).as_str();
        let reply = if right {
            reply(200, answer)
        } else {
            refuse(&format!(
                "Signature expired: {written} is now earlier than {}",
                stamp(now)
            ))
        };
        reply.with("Date", date)
    }
}

/// Of the JSON protocol. The SDK learns it for all calls of a client.
#[tokio::test]
async fn a_call_after_one_that_was_refused_for_its_time_has_the_right_time() {
    let refuse = |message: &str| {
        reply(
            400,
            format!(r#"{{"__type": "InvalidSignatureException", "message": "{message}"}}"#),
        )
    };
    let server = Server::start(an_hour_later(refuse, r#"{"Parameters": []}"#)).await;
    let client = aws_sdk_ssm::Client::new(&config_for(&server.url, CALL_TIMEOUT).await);
    let error = client.get_parameters().names("x").send().await.unwrap_err();
    let error = AwsError::new("SSM", "x", error, |_| "; never");
    assert_eq!(error.class(), Class::Transient);
    assert!(error.to_string().ends_with("and the machine's clock"), "{error}");
    client.get_parameters().names("x").send().await.unwrap();
    assert_eq!(server.asked().len(), 2);
}

/// Of the query protocol, whose code is a wrong secret's, too.
#[tokio::test]
async fn the_same_where_only_the_message_tells_it_from_a_wrong_secret() {
    let refuse = |message: &str| failure(403, "SignatureDoesNotMatch", message);
    let answer = "<DescribeAutoScalingInstancesResponse><DescribeAutoScalingInstancesResult/></DescribeAutoScalingInstancesResponse>";
    let server = Server::start(an_hour_later(refuse, answer)).await;
    let groups = AutoScaling::with(&config_for(&server.url, CALL_TIMEOUT).await, "eu-central-1");
    let error = groups.group_of("i-1").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient, "{error}");
    assert_eq!(groups.group_of("i-1").await.unwrap(), None);
}

#[test]
fn a_signature_is_refused_for_its_time_or_for_its_secret() {
    for (code, message, about_time) in [
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20261121T031655Z is now earlier than 20261121T041155Z",
            true,
        ),
        (
            "InvalidSignatureException",
            "Signature not yet current: 20261121T051655Z is still later than",
            true,
        ),
        (
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            true,
        ),
        ("RequestExpired", "Request has expired.", true),
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            false,
        ),
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            false,
        ),
        ("AccessDenied", "User is not authorized", false),
    ] {
        assert_eq!(is_about_time(code, message), about_time, "{code}: {message}");
    }
    let class = class_of(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match",
        403,
    );
    assert_eq!(class, Class::Permanent);
    assert_eq!(class_of("RequestTimeTooSkewed", "", 403), Class::Transient);
    assert_eq!(class_of("InvalidClientTokenId", "", 403), Class::Transient);
}

#[test]
fn a_date_header_is_a_time() {
    let time = server_time("Sat, 21 Nov 2026 04:16:55 GMT").unwrap();
    assert_eq!(time, std::time::UNIX_EPOCH + Duration::from_secs(1_795_234_615));
    assert_eq!(server_time("soon"), None);
}
