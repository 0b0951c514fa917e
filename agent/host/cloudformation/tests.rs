//! Golden bytes, and a server that answers as CloudFormation does, and as it should not.

use std::time::UNIX_EPOCH;

use monopod_core::secret::Secret;

use super::*;
use crate::host::imds::SignedDocument;
use crate::host::testing::{Asked, Reply, Server, failure, nonsense, reply, silence};

const STACK: &str = "arn:aws:cloudformation:eu-central-1:123456789012:stack/app-1/7d2e3dd0-f5f3-11e7";
const URL: &str = "https://cloudformation.eu-central-1.amazonaws.com/?Action=SignalResource&LogicalResourceId=AppServer&StackName=arn%3Aaws%3Acloudformation%3Aeu-central-1%3A123456789012%3Astack%2Fapp-1%2F7d2e3dd0-f5f3-11e7&UniqueId=i-0123456789abcdef0&Status=FAILURE&ContentType=JSON&Version=2010-05-15";
/// Not as a serializer would write it: its bytes are what is signed.
const DOCUMENT: &str = "{\n  \"instanceId\" : \"i-0123456789abcdef0\",\n  \"region\" : \"eu-central-1\"\n}";
const SIGNATURE: &str = "dExample+Signature/Line1\nline2==\n";
const ACCEPTED: &str = r#"{"SignalResourceResponse": {"ResponseMetadata": {"RequestId": "1"}}}"#;
const FINISHED: &str = "Stack arn:aws:cloudformation:us-east-1:1:stack/x/7d2e3dd0 is in CREATE_COMPLETE state and cannot be signaled";

fn signal(endpoint: &str) -> Signal<'_> {
    Signal {
        endpoint,
        resource: "AppServer",
        stack: STACK,
        unique_id: "i-0123456789abcdef0",
        status: Status::Failure,
    }
}

fn lines(request: &Request) -> String {
    let headers = request.headers.iter();
    let headers: String = headers
        .map(|(name, value)| format!("{name}: {}\n", value.expose()))
        .collect();
    format!("GET {}\n{headers}", request.url)
}

fn identity() -> SignedDocument {
    SignedDocument {
        document: DOCUMENT.into(),
        signature: Secret::new(SIGNATURE.to_owned()),
    }
}

fn credentials(token: Option<&str>) -> Credentials {
    let token = token.map(str::to_owned);
    Credentials::new(
        "AKIDEXAMPLE",
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        token,
        None,
        "test",
    )
}

/// As aws-cfn-bootstrap 1.4 writes it: its parameters in its order, its quoting, its headers.
#[test]
fn golden_bytes_signed_by_the_instance() {
    let endpoint = request::endpoint("eu-central-1", |_| None);
    let request = signal(&endpoint).by_instance(&identity());
    let expected = format!(
        "GET {URL}\naccept: application/json\nauthorization: CFN_V1 ewogICJpbnN0YW5jZUlkIiA6ICJpLTAxMjM0NTY3ODlhYmNkZWYwIiwKICAicmVnaW9uIiA6ICJldS1jZW50cmFsLTEiCn0=:dExample+Signature/Line1line2==\n"
    );
    assert_eq!(lines(&request), expected);
    assert!(!format!("{request:?}").contains("Line1"));
}

/// The signatures are botocore 1.44.5's, of the same URL, header, credentials and time: `SigV4Auth(Credentials(KEY, SECRET,
/// TOKEN), "cloudformation", "eu-central-1").add_auth(AWSRequest("GET", URL, headers={"accept": "application/json"}))` with
/// its clock at 2026-11-21T04:16:55Z.
#[test]
fn golden_bytes_signed_by_a_role() {
    let endpoint = request::endpoint("eu-central-1", |_| None);
    let time = UNIX_EPOCH + Duration::from_secs(1_795_234_615);
    for (token, header, names, signature) in [
        (
            None,
            "",
            "accept;host;x-amz-date",
            "6797f949cbc32aa1f5013b586cde1aa64686def978b34f9c974ab356cc58bb04",
        ),
        (
            Some("FwoGZXIvYXdzEXAMPLE//token=="),
            "x-amz-security-token: FwoGZXIvYXdzEXAMPLE//token==\n",
            "accept;host;x-amz-date;x-amz-security-token",
            "f6c1fdea3f9f330662e02ee83b0c13ce2842a8dfa3488e9f60274643ab9d0415",
        ),
    ] {
        let request = signal(&endpoint).by_role(&credentials(token), "eu-central-1", time);
        let expected = format!(
            "GET {URL}\naccept: application/json\nx-amz-date: 20261121T041655Z\nauthorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261121/eu-central-1/cloudformation/aws4_request, SignedHeaders={names}, Signature={signature}\n{header}"
        );
        assert_eq!(lines(&request.unwrap()), expected);
    }
}

#[test]
fn where_cloudformation_is() {
    let nowhere = |_: &str| None;
    assert_eq!(
        request::endpoint("cn-north-1", nowhere),
        "https://cloudformation.cn-north-1.amazonaws.com.cn"
    );
    let all = |name: &str| (name == "AWS_ENDPOINT_URL").then(|| "http://all".to_owned());
    assert_eq!(request::endpoint("eu-central-1", all), "http://all");
    let both = |name: &str| Some(format!("http://{name}"));
    assert_eq!(
        request::endpoint("eu-central-1", both),
        "http://AWS_ENDPOINT_URL_CLOUDFORMATION"
    );
    assert!(request::endpoint("eu-central-1", |_| Some(String::new())).starts_with("https://"));
}

fn target(sign: SignWith) -> SignalTarget {
    SignalTarget {
        stack: "app-1".to_owned(),
        resource: "AppServer".to_owned(),
        sign,
        wait_handle: None,
    }
}

/// The metadata service in a few words.
async fn metadata() -> (Server, Imds) {
    let server = Server::start(|asked: &Asked| match asked.path() {
        "/latest/api/token" => reply(200, "token"),
        path if path.ends_with("/document") => reply(200, DOCUMENT),
        path if path.ends_with("/signature") => reply(200, SIGNATURE),
        _ => reply(404, ""),
    })
    .await;
    let imds = Imds::new(Some(&server.url)).unwrap();
    (server, imds)
}

fn client(server: &Server, limit: Duration) -> CloudFormation {
    let mut made = CloudFormation::at("eu-central-1", server.url.clone(), limit).unwrap();
    made.role = OnceCell::new_with(Some(SharedCredentialsProvider::new(credentials(None))));
    made
}

async fn told(server: &Server, sign: SignWith, status: Status) -> Result<Signalled, SignalError> {
    let (_metadata, imds) = metadata().await;
    let client = client(server, Duration::from_secs(10));
    client.signal(&target(sign), status, "i-1", &imds).await
}

async fn answered(reply: Reply, sign: SignWith) -> Result<Signalled, SignalError> {
    told(&Server::saying(reply).await, sign, Status::Success).await
}

#[tokio::test]
async fn what_goes_over_the_wire() {
    let server = Server::saying(reply(200, ACCEPTED)).await;
    let signalled = told(&server, SignWith::Instance, Status::Success).await.unwrap();
    assert_eq!(signalled, Signalled::Accepted);
    let asked = server.asked().pop().unwrap();
    assert_eq!(
        asked.line,
        "GET /?Action=SignalResource&LogicalResourceId=AppServer&StackName=app-1&UniqueId=i-1&Status=SUCCESS&ContentType=JSON&Version=2010-05-15 HTTP/1.1"
    );
    assert_eq!(asked.header("accept"), Some("application/json"));
    assert!(asked.header("authorization").unwrap().starts_with("CFN_V1 ewog"));
    assert!(asked.header("user-agent").unwrap().starts_with("monopod/"));
}

fn refusal(code: &str, message: &str) -> Reply {
    reply(
        400,
        serde_json::json!({"Error": {"Code": code, "Message": message, "Type": "Sender"}, "RequestId": "1"})
            .to_string(),
    )
}

#[tokio::test]
async fn a_stack_that_does_not_wait_is_done_with() {
    for message in [
        FINISHED,
        "Stack arn:x is in UPDATE_COMPLETE_CLEANUP_IN_PROGRESS state and cannot be signaled",
        "Resource AppServer is in CREATE_COMPLETE state and cannot be signaled",
        "Stack 'app-1' does not exist",
        "Stack with id app-1 does not exist",
        "Stack:arn:x does not exist",
    ] {
        for sign in [SignWith::Instance, SignWith::Role] {
            let signalled = answered(refusal("ValidationError", message), sign).await.unwrap();
            assert_eq!(signalled, Signalled::NotWaiting(message.to_owned()));
        }
    }
    // A proxy's or an old endpoint's way of saying it.
    let signalled = answered(
        failure(400, "ValidationError", "Stack &apos;x&apos; does not exist"),
        SignWith::Role,
    );
    assert_eq!(
        signalled.await.unwrap(),
        Signalled::NotWaiting("Stack 'x' does not exist".to_owned())
    );
}

#[tokio::test]
async fn a_signal_that_was_told_before_is_accepted() {
    let again = "Signal with ID i-1 for resource AppServer already exists. Signals may only be updated with a FAILURE status.";
    let server = Server::saying(refusal("ValidationError", again)).await;
    let signalled = told(&server, SignWith::Instance, Status::Success).await.unwrap();
    assert_eq!(signalled, Signalled::Accepted);
    let signalled = told(&server, SignWith::Instance, Status::Failure).await.unwrap();
    assert_eq!(signalled, Signalled::NotWaiting(again.to_owned()));
}

#[tokio::test]
async fn a_wrong_name_is_a_mistake_to_mend() {
    for message in [
        "Resource AppServer does not exist for stack app-1",
        "Resource AppServer does not exist",
        "1 validation error detected: Value 'x' at 'stackName' failed to satisfy constraint",
    ] {
        let error = answered(refusal("ValidationError", message), SignWith::Instance)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        let text = error.to_string();
        assert!(
            text.starts_with(
                "CloudFormation in eu-central-1 refused SUCCESS for AppServer in the stack app-1: "
            ),
            "{text}"
        );
        assert!(
            text.contains(message) && text.contains("`notify_cfn` has to name the stack"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn an_identity_that_is_not_believed_points_to_the_role() {
    for code in ["AccessDenied", "InvalidClientTokenId", "SignatureDoesNotMatch"] {
        let error = answered(refusal(code, "no"), SignWith::Instance)
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent, "{code}");
        assert!(error.to_string().contains("notify_cfn: {sign: role}"), "{error}");
    }
    let error = answered(refusal("AccessDenied", "no"), SignWith::Role)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Permanent);
    assert!(
        error
            .to_string()
            .contains("cloudformation:SignalResource on the stack"),
        "{error}"
    );
    // Credentials that have not spread yet.
    let error = answered(refusal("InvalidClientTokenId", "no"), SignWith::Role)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for sign in [SignWith::Instance, SignWith::Role] {
        for (reply, class) in [
            (refusal("Throttling", "Rate exceeded"), Class::Throttled),
            (reply(429, ""), Class::Throttled),
            (failure(503, "ServiceUnavailable", "later"), Class::Transient),
            (reply(500, "<html>"), Class::Transient),
        ] {
            let error = answered(reply, sign).await.unwrap_err();
            assert_eq!(error.class(), class, "{error}");
        }
        for (name, reply) in nonsense() {
            let error = answered(reply, sign).await.unwrap_err();
            assert_eq!(error.class(), Class::Transient, "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn nobody_waits_for_a_call_that_hangs() {
    let (_metadata, imds) = metadata().await;
    let server = Server::saying(silence()).await;
    let client = client(&server, Duration::from_millis(100));
    let error = client
        .signal(&target(SignWith::Instance), Status::Success, "i-1", &imds)
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    assert!(!chain(&error).contains("CFN_V1"), "{}", chain(&error));
}

/// Refused for its time once, then by the clock of who refused it.
#[tokio::test]
async fn a_wrong_clock_is_corrected_once() {
    let server = Server::start(|asked: &Asked| {
        let refused = refusal(
            "SignatureDoesNotMatch",
            "Signature expired: a is now earlier than b",
        );
        match asked.header("x-amz-date") {
            Some("20261121T041655Z") => reply(200, ACCEPTED),
            _ => refused.with("Date", "Sat, 21 Nov 2026 04:16:55 GMT"),
        }
    })
    .await;
    let signalled = told(&server, SignWith::Role, Status::Success).await.unwrap();
    assert_eq!(signalled, Signalled::Accepted);
    assert_eq!(server.asked().len(), 2);

    // Whoever refuses every time is not asked for ever.
    let stubborn = refusal(
        "SignatureDoesNotMatch",
        "Signature expired: a is now earlier than b",
    );
    let server = Server::saying(stubborn.with("Date", "Sat, 21 Nov 2026 04:16:55 GMT")).await;
    let error = told(&server, SignWith::Role, Status::Success).await.unwrap_err();
    assert_eq!((error.class(), server.asked().len()), (Class::Transient, 2));
}

async fn handled(reply: Reply) -> (Result<(), SignalError>, Server) {
    let server = Server::saying(reply).await;
    let url = format!("{}/bucket/arn%3Ax?Signature=canary", server.url);
    let result = wait_handle::tell(
        &url,
        Status::Failure,
        "i-1",
        "it \"broke\"",
        Duration::from_millis(500),
    )
    .await;
    (result, server)
}

#[tokio::test]
async fn a_wait_handle_gets_the_reason() {
    let (result, server) = handled(reply(200, "")).await;
    result.unwrap();
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.line, "PUT /bucket/arn%3Ax?Signature=canary HTTP/1.1");
    assert_eq!(asked.header("content-type"), Some(""));
    assert_eq!(
        asked.body,
        r#"{"Status":"FAILURE","UniqueId":"i-1","Data":"","Reason":"it \"broke\""}"#
    );
}

#[tokio::test]
async fn a_wait_handle_is_never_shown() {
    for (answer, class) in [
        (
            reply(403, "<Error><Code>AccessDenied</Code></Error>"),
            Class::Permanent,
        ),
        (reply(404, ""), Class::Permanent),
        (
            reply(307, "").with("Location", "http://elsewhere/canary"),
            Class::Permanent,
        ),
        (reply(503, ""), Class::Transient),
        (silence(), Class::Transient),
    ] {
        let (result, _server) = handled(answer).await;
        let error = result.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        let text = chain(&error);
        assert!(text.contains("127.0.0.1") && !text.contains("canary"), "{text}");
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }
    for none in ["canary", "https://", "mailto:canary"] {
        let error = tell_wait_handle(none, Status::Success, "i-1", "")
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(!chain(&error).contains("canary"));
    }
}
