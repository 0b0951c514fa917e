//! A web server before the registry, inside a machine's network: passes everything on, and may add headers, say no, or
//! break off. What was asked is written down.

use std::io::{self, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::FRONT_PORT;
use crate::gate::Gate;
use crate::http::{self, Request};
use crate::machine::Machine;
use crate::wait::Journal;

/// What becomes of a question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The registry's answer, with these headers more.
    Pass(Vec<(&'static str, String)>),
    /// This status and nothing else.
    Status(u16),
    /// The connection ends.
    Cut,
}

/// The server; it ends when dropped.
pub struct Front {
    _gate: Gate,
    asked: Journal<String>,
}

impl Front {
    /// Starts it; `rule` sees `GET /v2/test/web/manifests/1` before the registry does.
    #[must_use]
    pub fn start(machine: &Machine, rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Journal::default();
        let (journal, registry) = (asked.clone(), machine.registry().server.address);
        let gate = Gate::new(&machine.network(), FRONT_PORT, move |stream| {
            // Whoever is at the other end sees a connection that breaks.
            drop(serve(&stream, registry, &journal, &rule));
        });
        Self { _gate: gate, asked }
    }

    /// What was asked so far: `GET /v2/test/web/manifests/1`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.entries()
    }

    /// The same, to be waited for.
    #[must_use]
    pub fn journal(&self) -> &Journal<String> {
        &self.asked
    }
}

fn serve(
    stream: &TcpStream,
    registry: SocketAddr,
    journal: &Journal<String>,
    rule: &dyn Fn(&str) -> Answer,
) -> io::Result<()> {
    let Some(request) = http::read_request(&mut BufReader::new(stream.try_clone()?))? else {
        return Ok(());
    };
    let line = format!("{} {}", request.method, request.path);
    journal.push(line.clone());
    match rule(&line) {
        Answer::Cut => Ok(()),
        Answer::Status(status) => reply(stream, status, &[], &[]),
        Answer::Pass(more) => pass(stream, registry, &request, more),
    }
}

fn pass(
    stream: &TcpStream,
    registry: SocketAddr,
    request: &Request,
    more: Vec<(&'static str, String)>,
) -> io::Result<()> {
    let upstream = TcpStream::connect(registry)?;
    upstream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let passed_on = ["accept", "authorization", "range"];
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .filter(|(name, _)| passed_on.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let answer = http::call(upstream, &request.method, &request.path, &headers, &[])?;
    let own = ["connection", "transfer-encoding"];
    let mut headers: Vec<(String, String)> = answer
        .headers
        .into_iter()
        .filter(|(name, _)| !own.contains(&name.as_str()))
        .collect();
    headers.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
    reply(stream, answer.status, &headers, &answer.body)
}

/// One answer a connection: a client that wants more connects again.
fn reply(mut stream: &TcpStream, status: u16, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {status} Front\r\nConnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    // The answer to a HEAD says how long its body would be.
    if !headers.iter().any(|(name, _)| name == "content-length") {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(body)
}
