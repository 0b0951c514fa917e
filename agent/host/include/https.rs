//! One file over https, with the system's certificates (or those `SSL_CERT_FILE` names).

use reqwest::StatusCode;
use reqwest::redirect::Policy;

use super::{Body, FetchError, PATIENCE};
use crate::host::web::{self, is_busy, is_distrusted, nameless};

/// A release page sends people on once or twice.
const REDIRECTS: usize = 5;

pub(super) async fn get(url: &str, place: &str) -> Result<Vec<u8>, FetchError> {
    let failed = |error: reqwest::Error| classify(error, place);
    // Made for one request: the certificates it loads are not needed again.
    let client = web::builder()
        .https_only(true)
        .redirect(Policy::limited(REDIRECTS))
        .timeout(PATIENCE)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::chain;

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
