//! What all our clients of https have in common: the stack's settings, and what its errors mean.

use std::error::Error;
use std::time::Duration;

use monopod_core::text;
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response, StatusCode, Url};

use super::{Class, aws};

/// A client that says who it is, gives up early on whoever does not answer, and never tells a server where it was sent
/// from: that address may hold a signature.
pub(crate) fn builder() -> ClientBuilder {
    reqwest::Client::builder()
        .referer(false)
        .connect_timeout(aws::CONNECT_TIMEOUT)
        .user_agent(concat!("monopod/", env!("CARGO_PKG_VERSION")))
}

/// The same for calls that come long after each other, and are for one address alone: nothing is followed, and a POST on a
/// connection that has died meanwhile would not be sent again.
pub(super) fn single_calls(limit: Duration) -> ClientBuilder {
    builder()
        .redirect(Policy::none())
        .timeout(limit)
        .pool_max_idle_per_host(0)
}

/// Plain http goes to who is near: past any proxy, and without loading the system's certificates.
pub(crate) fn for_scheme(url: &Url, builder: ClientBuilder) -> ClientBuilder {
    match url.scheme() {
        "http" => builder.no_proxy().tls_certs_only([]),
        _ => builder,
    }
}

/// What an answer begins with, as far as it came.
pub(super) async fn beginning(mut answer: Response, most: usize) -> Vec<u8> {
    let mut said = Vec::new();
    while said.len() < most
        && let Ok(Some(chunk)) = answer.chunk().await
    {
        said.extend_from_slice(&chunk);
    }
    said
}

/// Why there was no answer.
pub(crate) struct Silence {
    timed_out: bool,
    why: String,
    /// Whether that is the same at every try.
    pub(crate) class: Class,
    /// What to do, with its semicolon.
    pub(crate) advice: &'static str,
}

impl Silence {
    /// `unreached` is the advice where nobody answers who could be mended from here.
    pub(crate) fn of(error: reqwest::Error, unreached: &'static str) -> Self {
        let (timed_out, builder) = (error.is_timeout(), error.is_builder());
        let why = nameless(&error.without_url());
        let (class, advice) = if is_distrusted(&why) {
            let advice = "; add its authority to the machine's certificates, or name them in SSL_CERT_FILE";
            (Class::Permanent, advice)
        } else if builder {
            (Class::Permanent, "; is the package ca-certificates installed?")
        } else {
            (Class::Transient, unreached)
        };
        Self {
            timed_out,
            why,
            class,
            advice,
        }
    }

    /// For who waits for minutes.
    pub(crate) fn why(self) -> String {
        match (self.timed_out, self.why.as_str()) {
            (true, "") => "no answer in time".to_owned(),
            (true, why) => format!("no answer in time: {why}"),
            (false, _) => self.why,
        }
    }

    /// For who has to know how long that was.
    pub(super) fn why_within(self, limit: Duration) -> String {
        match (self.timed_out, self.why.as_str()) {
            (true, _) => format!("no answer within {}", text::duration(limit)),
            (false, "") => "the connection broke".to_owned(),
            (false, _) => self.why,
        }
    }
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
