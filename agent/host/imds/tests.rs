//! Against a server that says what an instance would hear.

use std::sync::atomic::{AtomicUsize, Ordering};

use monopod_core::lifecycle::{Notices, TargetState};

use super::*;
use crate::host::testing::{Asked, Reply, Server, reply};

/// Tokens that are taken so many times each.
async fn service(
    uses: usize,
    answers: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
) -> (Server, Imds) {
    let (given, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let server = Server::start(move |asked: &Asked| {
        if asked.path() == "/latest/api/token" {
            used.store(0, Ordering::SeqCst);
            return reply(200, format!("token-{}", given.fetch_add(1, Ordering::SeqCst)));
        }
        let current = format!("token-{}", given.load(Ordering::SeqCst).wrapping_sub(1));
        let right = asked.header("x-aws-ec2-metadata-token") == Some(&current);
        if !right || used.fetch_add(1, Ordering::SeqCst) >= uses {
            return reply(401, "");
        }
        answers(asked.path()).unwrap_or_else(|| reply(404, ""))
    })
    .await;
    let imds = Imds::new(Some(&server.url)).unwrap();
    (server, imds)
}

fn tokens(server: &Server) -> usize {
    let asked = server.asked();
    asked.iter().filter(|asked| asked.line.starts_with("PUT")).count()
}

async fn heard(imds: &Imds) -> Notices {
    let (notices, failure) = imds.notices(&Notices::default()).await.unwrap();
    assert!(failure.is_none(), "{failure:?}");
    notices
}

#[tokio::test]
async fn a_quiet_machine_has_no_notices_and_needs_one_token() {
    let (server, imds) = service(100, |_| None).await;
    for _ in 0..3 {
        assert_eq!(heard(&imds).await, Notices::default());
    }
    assert_eq!(imds.group_tag().await.unwrap(), None);
    assert_eq!((tokens(&server), server.asked().len()), (1, 11));
}

#[tokio::test]
async fn a_token_that_is_not_taken_any_more_is_made_anew() {
    let (server, imds) = service(2, |path| {
        path.ends_with("target-lifecycle-state")
            .then(|| reply(200, "InService"))
    })
    .await;
    for _ in 0..5 {
        assert_eq!(imds.target_state().await.unwrap(), Some(TargetState::InService));
    }
    assert_eq!(tokens(&server), 3);
    // One that is refused at once is not fought for.
    let (server, imds) = service(0, |_| None).await;
    assert_eq!(imds.target_state().await.unwrap_err().class(), Class::Transient);
    assert_eq!(tokens(&server), 2);
}

#[tokio::test]
async fn every_notice() {
    let (_server, imds) = service(100, |path| {
        Some(reply(
            200,
            match path {
                "/latest/meta-data/autoscaling/target-lifecycle-state" => "Terminated",
                "/latest/meta-data/spot/instance-action" => {
                    r#"{"action": "terminate", "time": "2026-11-21T04:16:55Z"}"#
                }
                "/latest/meta-data/events/recommendations/rebalance" => {
                    r#"{"noticeTime": "2026-11-21T04:16:55Z"}"#
                }
                "/latest/meta-data/tags/instance/aws:autoscaling:groupName" => "web-1",
                _ => return None,
            },
        ))
    })
    .await;
    assert_eq!(
        heard(&imds).await,
        Notices {
            target: Some(TargetState::Terminated),
            spot: Some(("terminate".to_owned(), 1_795_234_615_000)),
            rebalance: Some(1_795_234_615_000),
        }
    );
    assert_eq!(imds.group_tag().await.unwrap().as_deref(), Some("web-1"));
}

#[tokio::test]
async fn nonsense_is_no_notice() {
    for (path, body) in [
        ("target-lifecycle-state", "<html>"),
        ("target-lifecycle-state", ""),
        ("instance-action", "<html>"),
        ("instance-action", "{}"),
        ("instance-action", r#"{"action": "terminate", "time": "soon"}"#),
        ("rebalance", r#"{"noticeTime": 1}"#),
    ] {
        let (_server, imds) =
            service(100, move |asked| asked.ends_with(path).then(|| reply(200, body))).await;
        let before = Notices {
            target: Some(TargetState::Warmed),
            spot: Some(("stop".to_owned(), 1)),
            rebalance: Some(2),
        };
        let (notices, error) = imds.notices(&before).await.unwrap();
        let expected = Notices {
            target: before.target.filter(|_| path == "target-lifecycle-state"),
            spot: before.spot.filter(|_| path == "instance-action"),
            rebalance: before.rebalance.filter(|_| path == "rebalance"),
        };
        assert_eq!(notices, expected, "what is not known stays as it was");
        let error = error.unwrap();
        assert!(
            matches!(error, ImdsError::Malformed { .. }),
            "{path} {body}: {error}"
        );
        assert!(error.to_string().contains(path), "{error}");
    }
    let (_server, imds) = service(100, |_| Some(reply(503, ""))).await;
    let error = imds.notices(&Notices::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    let (_server, imds) = service(100, |_| Some(reply(200, "InServ").cut())).await;
    let error = imds.notices(&Notices::default()).await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
}

#[tokio::test]
async fn a_bad_answer_hides_no_spot_notice() {
    for bad in ["target-lifecycle-state", "rebalance"] {
        for (status, body) in [(200, "<html>"), (503, "")] {
            let (_server, imds) = service(100, move |path| match path {
                "/latest/meta-data/spot/instance-action" => Some(reply(
                    200,
                    r#"{"action": "terminate", "time": "2026-11-21T04:16:55Z"}"#,
                )),
                path => path.ends_with(bad).then(|| reply(status, body)),
            })
            .await;
            let (notices, failure) = imds.notices(&Notices::default()).await.unwrap();
            let spot = Some(("terminate".to_owned(), 1_795_234_615_000));
            assert_eq!(notices.spot, spot, "{bad} {status}");
            assert!(failure.unwrap().to_string().contains(bad), "{bad} {status}");
        }
    }
}

#[tokio::test]
async fn the_signed_document_is_byte_for_byte_what_stands_there() {
    let document = "{\n  \"region\" : \"eu-central-1\"\n} ";
    let (server, imds) = service(100, move |path| {
        Some(match path {
            "/latest/dynamic/instance-identity/document" => reply(200, document),
            "/latest/dynamic/instance-identity/signature" => reply(200, "canary+/a\nb=="),
            _ => return None,
        })
    })
    .await;
    let signed = imds.signed_document().await.unwrap();
    assert_eq!(signed.document, document.as_bytes());
    assert_eq!(signed.signature.expose(), "canary+/a\nb==");
    assert!(!format!("{signed:?}").contains("canary"));
    assert_eq!(tokens(&server), 1);

    // An instance has both, so one without is not ready yet.
    let (_server, imds) = service(100, |_| None).await;
    assert_eq!(
        imds.signed_document().await.unwrap_err().class(),
        Class::Transient
    );
    let (_server, imds) = service(100, |_| Some(reply(200, "<html>"))).await;
    assert_eq!(
        imds.signed_document().await.unwrap_err().class(),
        Class::Permanent
    );
}

#[test]
fn what_a_retry_can_mend_is_transient() {
    let url = || "http://127.0.0.1/latest/user-data".to_owned();
    for (status, class) in [
        (500, Class::Transient),
        (503, Class::Transient),
        (429, Class::Transient),
        (401, Class::Transient),
        (400, Class::Permanent),
        (301, Class::Permanent),
    ] {
        assert_eq!(
            unexpected(url(), StatusCode::from_u16(status).unwrap()).class(),
            class,
            "{status}"
        );
    }
}

#[test]
fn an_endpoint_that_is_none_is_named() {
    for endpoint in ["nonsense", "https://169.254.169.254"] {
        let error = Imds::new(Some(endpoint)).unwrap_err();
        assert!(error.to_string().contains(endpoint), "{error}");
        assert_eq!(error.class(), Class::Permanent);
    }
}
