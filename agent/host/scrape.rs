//! The metrics of a program on this machine: one GET, read line by line.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{ACCEPT, HeaderValue};
use reqwest::redirect;

use super::{chain, web};

/// Prometheus' own default is 10 s, and the least interval is that.
const PATIENCE: Duration = Duration::from_secs(5);
/// A line may be so long; a longer one is nobody's metric.
const LONGEST_LINE: usize = 64 << 10;
/// And all of them.
const LARGEST: usize = 16 << 20;

/// What is understood here. A program that knows OpenMetrics as well need not begin with it.
const FORMAT: &str = "text/plain;version=0.0.4";

/// Hands on each line of the answer; why there was none, in words.
pub(crate) async fn read(to: SocketAddr, path: &str, mut line: impl FnMut(&str)) -> Result<(), String> {
    let client = web::builder()
        .no_proxy()
        .tls_certs_only([])
        // The application must not send us to others.
        .redirect(redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .map_err(|error| chain(&error))?;
    let accept = HeaderValue::from_static(FORMAT);
    let request = client.get(format!("http://{to}{path}")).header(ACCEPT, accept);
    let mut answer = request.send().await.map_err(said)?;
    if answer.status().as_u16() != 200 {
        return Err(format!("it answers with status {}", answer.status().as_u16()));
    }
    let (mut rest, mut read): (Vec<u8>, usize) = (Vec::new(), 0);
    while let Some(chunk) = answer.chunk().await.map_err(said)? {
        read += chunk.len();
        if read > LARGEST {
            return Err(format!("its answer is larger than {} MiB", LARGEST >> 20));
        }
        for piece in chunk.split_inclusive(|&byte| byte == b'\n') {
            rest.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                line(&String::from_utf8_lossy(&rest));
                rest.clear();
            } else if rest.len() > LONGEST_LINE {
                return Err("its answer has no lines".to_owned());
            }
        }
    }
    line(&String::from_utf8_lossy(&rest));
    Ok(())
}

/// The address is said already.
fn said(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    web::nameless(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::testing::{Server, reply};

    async fn lines(body: &str) -> Result<Vec<String>, String> {
        let server = Server::saying(reply(200, body)).await;
        let to = server.url.strip_prefix("http://").unwrap().parse().unwrap();
        let mut lines = Vec::new();
        read(to, "/metrics", |line| lines.push(line.trim_end().to_owned())).await?;
        Ok(lines)
    }

    #[tokio::test]
    async fn lines_come_whole_and_one_by_one() {
        let long = "x".repeat(40_000);
        let body = format!("a 1\n{long} 2\nlast 3");
        assert_eq!(
            lines(&body).await.unwrap(),
            ["a 1", &format!("{long} 2"), "last 3"]
        );
    }

    #[tokio::test]
    async fn an_answer_without_lines_or_without_an_end_is_none() {
        let why = lines(&"x".repeat(1 << 20)).await.unwrap_err();
        assert_eq!(why, "its answer has no lines");
        let why = lines(&"a 1\n".repeat(5 << 20)).await.unwrap_err();
        assert_eq!(why, "its answer is larger than 16 MiB");
    }

    #[tokio::test]
    async fn nobody_is_sent_elsewhere() {
        let elsewhere = Server::saying(reply(200, "a 1\n")).await;
        let server = Server::saying(reply(302, "").with("location", elsewhere.url.clone())).await;
        let to = server.url.strip_prefix("http://").unwrap().parse().unwrap();
        let why = read(to, "/metrics", |_| {}).await.unwrap_err();
        assert_eq!(
            (why.as_str(), elsewhere.asked().len()),
            ("it answers with status 302", 0)
        );
    }
}
