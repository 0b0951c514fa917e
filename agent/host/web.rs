//! What all our clients of https have in common: the stack's settings, and what its errors mean.

use std::error::Error;

use reqwest::{ClientBuilder, StatusCode};

use super::aws;

/// A client that says who it is, gives up early on whoever does not answer, and never tells a server where it was sent
/// from: that address may hold a signature.
pub(super) fn builder() -> ClientBuilder {
    reqwest::Client::builder()
        .referer(false)
        .connect_timeout(aws::CONNECT_TIMEOUT)
        .user_agent(concat!("monopod/", env!("CARGO_PKG_VERSION")))
}

/// An answer that may be another one soon.
pub(super) fn is_busy(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

/// The chain of causes, without those that name an address: one we were sent on to may hold a signature.
pub(crate) fn nameless(error: &reqwest::Error) -> String {
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
pub(crate) fn is_distrusted(chain: &str) -> bool {
    chain.contains("invalid peer certificate")
        && !["xpired", "alid yet", "ValidYet"]
            .iter()
            .any(|word| chain.contains(word))
}

/// Who answers does not speak TLS at all.
pub(crate) fn is_not_tls(chain: &str) -> bool {
    chain.contains("InvalidContentType") || chain.contains("received corrupt message")
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
