//! The health probes that need no engine: one GET to a published port, one connection to any.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;

/// What a probe saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// One of the statuses that are healthy.
    Healthy(u16),
    /// Another one.
    Status(u16),
    /// None at all.
    Nothing(String),
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Healthy(status) => write!(f, "{status}"),
            Self::Status(status) => write!(f, "status {status}"),
            Self::Nothing(why) => f.write_str(why),
        }
    }
}

/// Why no probe could be made.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The client.
    #[error("no HTTP client")]
    Client(#[from] reqwest::Error),
    /// A header; its value may be anybody's secret.
    #[error("the header {name} can't be sent; HTTP does not allow its name or its value")]
    Header {
        /// Its name.
        name: String,
    },
}

/// Asks as a load balancer would: no redirects, no proxy, no reuse of connections.
#[derive(Debug)]
pub struct Http {
    client: Client,
    url: String,
    statuses: Vec<u16>,
}

impl Http {
    /// For a published port, a path that begins with a slash, and the statuses that are healthy: 200 when there is none.
    pub fn new(
        port: u16,
        path: &str,
        statuses: &[u16],
        headers: &[(String, String)],
        timeout: Duration,
    ) -> Result<Self, ProbeError> {
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .default_headers(header_map(headers)?)
            .timeout(timeout)
            .build()?;
        Ok(Self {
            client,
            url: format!("http://127.0.0.1:{port}{path}"),
            statuses: match statuses {
                [] => vec![200],
                statuses => statuses.to_vec(),
            },
        })
    }

    /// What is asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// One try.
    pub async fn ask(&self) -> Answer {
        match self.client.get(&self.url).send().await {
            Ok(response) => match response.status().as_u16() {
                status if self.statuses.contains(&status) => Answer::Healthy(status),
                status => Answer::Status(status),
            },
            Err(error) if error.is_timeout() => Answer::Nothing("no answer in time".to_owned()),
            Err(error) => Answer::Nothing(innermost(&error)),
        }
    }
}

fn header_map(headers: &[(String, String)]) -> Result<HeaderMap, ProbeError> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let wrong = || ProbeError::Header { name: name.clone() };
        let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
        // For whoever prints the request.
        value.set_sensitive(true);
        map.append(key, value);
    }
    Ok(map)
}

/// Whether somebody takes a connection there; why not, in words.
pub async fn connects(to: SocketAddr, patience: Duration) -> Result<(), String> {
    match tokio::time::timeout(patience, TcpStream::connect(to)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// "Connection refused" says more than the three layers around it.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    /// Answers once with this status; returns what it was asked.
    fn server(status: &str) -> (u16, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nlocation: /\r\n\r\n");
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let length = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (port, thread)
    }

    #[tokio::test]
    async fn statuses_are_a_set_and_headers_are_sent() {
        let second = Duration::from_secs(5);
        let headers = [
            ("Host".to_owned(), "app.example.org".to_owned()),
            ("X-Probe".to_owned(), "yes".to_owned()),
        ];
        for (set, status, expected) in [
            (&[][..], "200 OK", Answer::Healthy(200)),
            (&[], "204 No Content", Answer::Status(204)),
            (&[200, 204], "204 No Content", Answer::Healthy(204)),
            (&[204], "200 OK", Answer::Status(200)),
            (&[], "302 Found", Answer::Status(302)),
            (&[503], "503 Away", Answer::Healthy(503)),
        ] {
            let (port, thread) = server(status);
            let probe = Http::new(port, "/health", set, &headers, second).unwrap();
            assert_eq!(probe.ask().await, expected, "{set:?} {status}");
            let asked = thread.join().unwrap().to_lowercase();
            assert!(asked.starts_with("get /health http/1.1"), "{asked}");
            assert!(
                asked.contains("host: app.example.org") && asked.contains("x-probe: yes"),
                "{asked}"
            );
        }
    }

    #[test]
    fn a_header_that_can_t_be_sent_is_named_without_its_value() {
        let headers = [("X-Probe".to_owned(), "hunter2\nhunter2".to_owned())];
        let error = Http::new(1, "/", &[], &headers, Duration::ZERO).unwrap_err();
        let text = crate::host::chain(&error);
        assert!(text.contains("X-Probe") && !text.contains("hunter2"), "{text}");
    }

    const WEEK: &str = "host::probe::tests::a_week_of_probes_costs_nothing_that_stays";
    const ALONE: &str = "MONOPOD_TEST_WEEK";

    /// A week at ten seconds. In a process of its own: other tests have memory, too.
    #[test]
    fn a_week_of_probes_costs_nothing_that_stays() {
        if std::env::var_os(ALONE).is_none() {
            let output = std::process::Command::new(std::env::current_exe().unwrap())
                .args(["--exact", WEEK, "--nocapture"])
                .env(ALONE, "1")
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success(),
                "{text}{}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(text.contains("1 passed"), "{text}");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                // Good answers, bad ones, and none.
                for n in 0_u64.. {
                    let (mut stream, _) = listener.accept().await.unwrap();
                    let mut request = [0; 1024];
                    drop(stream.read(&mut request).await);
                    let answer: &[u8] = match n % 5 {
                        0 => b"",
                        1 => b"HTTP/1.1 503 Away\r\ncontent-length: 0\r\n\r\n",
                        _ => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
                    };
                    drop(stream.write_all(answer).await);
                }
            });
            let probe = Http::new(port, "/health", &[], &[], Duration::from_secs(30)).unwrap();
            let ask = async |count: u32| {
                for _ in 0..count {
                    probe.ask().await;
                }
                (anonymous_kib(), descriptors())
            };
            let (before, open_before) = ask(2000).await;
            let (after, open_after) = ask(58_480).await;
            assert!(after <= before + 256, "{before} KiB -> {after} KiB");
            assert!(open_after <= open_before + 1, "{open_before} -> {open_after}");
        });
    }

    fn anonymous_kib() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"))
            .unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn descriptors() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }
}
