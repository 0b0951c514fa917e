//! The service that knows people's public keys: one small file for each.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};

use super::web::{self, is_busy, nameless};
use super::{Class, Classified};

/// For connection, answer and body.
const PATIENCE: Duration = Duration::from_secs(10);
/// Within one host.
const REDIRECTS: usize = 3;

/// There are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyServiceError {
    /// Nobody's.
    #[error("the key service has no key at {url}: {status}")]
    None {
        /// The address.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
    /// Not now.
    #[error("the key service is busy at {url}: {status}")]
    Busy {
        /// The address.
        url: String,
        /// Its answer.
        status: StatusCode,
    },
    /// No answer.
    #[error("the key service does not answer at {url}: {why}")]
    Unreachable {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
    /// An answer that goes on.
    #[error("the key service sends more than {limit} bytes from {url}")]
    TooLong {
        /// The address.
        url: String,
        /// How many would do.
        limit: usize,
    },
    /// The policy's mistake, or a wrong answer.
    #[error("{url} cannot be asked for keys: {why}")]
    Unusable {
        /// The address.
        url: String,
        /// Why.
        why: String,
    },
}

impl Classified for KeyServiceError {
    fn class(&self) -> Class {
        match self {
            Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::None { .. } | Self::TooLong { .. } | Self::Unusable { .. } => Class::Permanent,
        }
    }
}

/// Fetches a file of at most `limit` bytes, over https; over http from this machine alone.
pub async fn fetch(url: &str, limit: usize) -> Result<Vec<u8>, KeyServiceError> {
    let unusable = |why: &str| KeyServiceError::Unusable {
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let address = Url::parse(url).map_err(|error| unusable(&error.to_string()))?;
    if !may_ask(&address) {
        return Err(unusable("only https is asked, and http on this machine itself"));
    }
    let failed = |error: reqwest::Error| {
        let error = error.without_url();
        let why = nameless(&error);
        if error.is_builder() || error.is_redirect() || web::is_distrusted(&why) || web::is_not_tls(&why) {
            return unusable(&why);
        }
        KeyServiceError::Unreachable {
            url: url.to_owned(),
            why,
        }
    };
    let first = address.clone();
    let redirects = Policy::custom(move |attempt| {
        let same = |to: &Url| {
            (to.scheme(), to.host(), to.port_or_known_default())
                == (first.scheme(), first.host(), first.port_or_known_default())
        };
        if attempt.previous().len() > REDIRECTS || !same(attempt.url()) {
            attempt.error("it leads somewhere else")
        } else {
            attempt.follow()
        }
    });
    let client = web::builder()
        .redirect(redirects)
        .timeout(PATIENCE)
        .build()
        .map_err(failed)?;
    let mut answer = client.get(address).send().await.map_err(failed)?;
    let status = answer.status();
    if status != StatusCode::OK {
        let url = url.to_owned();
        return Err(if is_busy(status) {
            KeyServiceError::Busy { url, status }
        } else {
            KeyServiceError::None { url, status }
        });
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > limit {
            return Err(KeyServiceError::TooLong {
                url: url.to_owned(),
                limit,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn may_ask(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback());
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one question after the other with these.
    async fn served(answers: Vec<String>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _asked = stream.read(&mut [0; 4096]).await.unwrap();
                let answer = answer.replace("PORT", &port.to_string());
                let _gone = stream.write_all(answer.as_bytes()).await.is_err();
            }
        });
        format!("http://127.0.0.1:{port}/public-keys/alice/sshkey.pub")
    }

    fn answer(status: &str, more: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{more}\r\n{body}",
            body.len()
        )
    }

    #[tokio::test]
    async fn a_key_is_fetched_and_no_more_than_a_key() {
        let url = served(vec![answer("200 OK", "", "ssh-ed25519 A")]).await;
        assert_eq!(fetch(&url, 100).await.unwrap(), b"ssh-ed25519 A");
        let url = served(vec![answer("200 OK", "", &"a".repeat(101))]).await;
        let error = fetch(&url, 100).await.unwrap_err();
        assert!(matches!(error, KeyServiceError::TooLong { .. }), "{error}");
    }

    #[tokio::test]
    async fn answers_that_are_no_key() {
        for (status, class) in [
            ("404 Not Found", Class::Permanent),
            ("403 Forbidden", Class::Permanent),
            ("503 Service Unavailable", Class::Transient),
        ] {
            let url = served(vec![answer(status, "", "x")]).await;
            assert_eq!(fetch(&url, 100).await.unwrap_err().class(), class, "{status}");
        }
        let error = fetch("http://127.0.0.1:1/x", 100).await.unwrap_err();
        assert!(matches!(error, KeyServiceError::Unreachable { .. }), "{error}");
    }

    #[tokio::test]
    async fn it_stays_with_one_host() {
        let to = |place: &str| answer("302 Found", &format!("location: {place}\r\n"), "");
        let url = served(vec![to("/other"), answer("200 OK", "", "k")]).await;
        assert_eq!(fetch(&url, 100).await.unwrap(), b"k");
        for place in [
            "http://127.0.0.2:PORT/x",
            "https://127.0.0.1:PORT/x",
            "http://localhost:PORT/x",
        ] {
            let url = served(vec![to(place)]).await;
            let error = fetch(&url, 100).await.unwrap_err();
            assert!(
                matches!(error, KeyServiceError::Unusable { .. }),
                "{place}: {error}"
            );
        }
    }

    #[test]
    fn plain_http_is_for_this_machine() {
        let may = |url: &str| may_ask(&Url::parse(url).unwrap());
        for url in [
            "https://k.example.org",
            "http://127.0.0.1:9000",
            "http://[::1]/",
            "http://localhost/",
        ] {
            assert!(may(url), "{url}");
        }
        for url in [
            "http://k.example.org",
            "http://10.0.0.1",
            "http://127.0.0.1.example.org",
            "ftp://localhost",
            "file:///etc/passwd",
        ] {
            assert!(!may(url), "{url}");
        }
    }
}
