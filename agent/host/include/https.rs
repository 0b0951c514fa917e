//! One file over https, with the system's certificates (or those `SSL_CERT_FILE` names).

use std::error::Error;

use reqwest::StatusCode;
use reqwest::redirect::Policy;

use super::{Body, FetchError, PATIENCE};
use crate::host::aws;

/// A release page sends people on once or twice.
const REDIRECTS: usize = 5;

pub(super) async fn get(url: &str, place: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |error: reqwest::Error| classify(error, place);
    // Made for one request: the certificates it loads are not needed again.
    let client = reqwest::Client::builder()
        .https_only(true)
        .redirect(Policy::limited(REDIRECTS))
        // It would tell the next server this address, with the signature that may be in it.
        .referer(false)
        .connect_timeout(aws::CONNECT_TIMEOUT)
        .timeout(PATIENCE)
        .user_agent(concat!("monopod/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(failed)?;
    let mut answer = client.get(url).send().await.map_err(failed)?;
    match answer.status() {
        StatusCode::OK => {}
        status if is_busy(status) => {
            return Err(FetchError::Busy {
                place: place.to_owned(),
                answer: status.to_string(),
            });
        }
        status => {
            return Err(FetchError::Refused {
                place: place.to_owned(),
                answer: status.to_string(),
                advice: "; put the text there for everybody to read, or mend its address in the user data"
                    .to_owned(),
            });
        }
    }
    let mut body = Body::new(place);
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        body.push(&chunk)?;
    }
    Ok(body.whole())
}

fn is_busy(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// The crate's own texts would repeat the address, and the one that the server sent us on to, each with the signature
/// that may be in it.
fn classify(error: reqwest::Error, place: &str) -> FetchError {
    let source = error.without_url();
    let text = nameless(&source);
    let place = place.to_owned();
    let advice = if source.is_builder() {
        "; is the address right, and is the package ca-certificates installed?"
    } else if source.is_redirect() {
        "; it leads somewhere else: name that address"
    } else if is_distrusted(&text) {
        "; add its authority to the machine's certificates, or name them in SSL_CERT_FILE"
    } else {
        return FetchError::Unreachable {
            place,
            source: text.into(),
        };
    };
    FetchError::Unusable {
        place,
        advice,
        why: text,
    }
}

/// The chain of causes, without those that name an address.
fn nameless(error: &reqwest::Error) -> String {
    let mut texts = Vec::new();
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let names = error
            .downcast_ref::<reqwest::Error>()
            .is_some_and(|error| error.url().is_some());
        if !names {
            texts.push(error.to_string());
        }
        cause = error.source();
    }
    texts.join(": ")
}

/// A certificate that is bad now and will be later. One that is not valid at this time may be good as soon
/// as the machine's clock is set.
fn is_distrusted(chain: &str) -> bool {
    chain.contains("invalid peer certificate")
        && !["xpired", "alid yet", "ValidYet"]
            .iter()
            .any(|word| chain.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::chain;

    #[test]
    fn a_certificate_that_is_early_or_late_may_be_the_clocks_fault() {
        assert!(is_distrusted("x: invalid peer certificate: UnknownIssuer"));
        assert!(is_distrusted(
            "x: invalid peer certificate: certificate not valid for name \"a\""
        ));
        assert!(!is_distrusted(
            "x: invalid peer certificate: certificate expired: verification time 1"
        ));
        assert!(!is_distrusted(
            "x: invalid peer certificate: certificate not valid yet: verification time 1"
        ));
        assert!(!is_distrusted("x: connection refused"));
    }

    #[test]
    fn what_a_retry_can_mend() {
        for (status, busy) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (403, false),
            (404, false),
            (204, false),
        ] {
            assert_eq!(is_busy(StatusCode::from_u16(status).unwrap()), busy, "{status}");
        }
    }

    #[tokio::test]
    async fn plain_http_is_never_asked() {
        let error = get("http://127.0.0.1:1/a?token=secret", "http://127.0.0.1:1/a?...")
            .await
            .unwrap_err();
        let text = chain(&error);
        assert!(
            matches!(error, FetchError::Unusable { .. }) && !text.contains("secret"),
            "{text}"
        );
    }
}
