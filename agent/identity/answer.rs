//! What is answered to a request: credentials to whoever has the token.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use monopod_core::identity::PATH;
use monopod_core::identity::protocol::{Authorization, authorize, refusal};
use tokio::time::Instant;

use super::{Failure, Shared};
use crate::host::clock;

/// Less than a connection may take, so that the answer says why.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn answer<B>(request: &Request<B>, shared: &Shared) -> Response<Full<Bytes>> {
    if *request.method() != Method::GET {
        return refused(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "only GET is answered here",
        );
    }
    if request.uri().path() != PATH {
        let message = format!("credentials are at {PATH}");
        return refused(StatusCode::NOT_FOUND, "NotFound", &message);
    }
    let said = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let authorization = shared
        .token()
        .map_or(Authorization::Wrong, |token| authorize(said, &token));
    let (status, message) = match authorization {
        Authorization::Granted => return granted(shared).await,
        Authorization::Missing => (
            StatusCode::UNAUTHORIZED,
            "there is no Authorization; it is what the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names holds",
        ),
        Authorization::Wrong => (
            StatusCode::FORBIDDEN,
            "that is not the container's token; each start of the container has its own",
        ),
    };
    shared.count(|record| record.refused += 1);
    refused(status, "AccessDenied", message)
}

async fn granted(shared: &Shared) -> Response<Full<Bytes>> {
    match shared.credentials(Instant::now() + PATIENCE).await {
        Ok(credentials) => {
            shared.count(|record| {
                record.served += 1;
                record.last_served = Some(clock::now_millis());
            });
            let body = credentials.answer(shared.role.as_ref());
            response(StatusCode::OK, body.expose().to_owned())
        }
        Err(Failure { is_refusal, message }) => {
            shared.count(|record| record.failed += 1);
            // SDKs ask again for what may be over soon, and tell their user of the other.
            match is_refusal {
                true => refused(StatusCode::FORBIDDEN, "CredentialsRefused", &message),
                false => refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "CredentialsUnavailable",
                    &message,
                ),
            }
        }
    }
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response<Full<Bytes>> {
    response(status, refusal(code, message))
}

fn response(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
