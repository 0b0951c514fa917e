//! What servers of the rig's own have in common: a port that stays theirs while it is closed, in a network that may become
//! another one, plain or over TLS, and the round of requests on a connection.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use crate::gate::Gate;
use crate::http::{Request, read_request};
use crate::place::Where;
use crate::sandbox::Network;

/// The port. It is closed on drop.
pub(crate) struct Listener {
    gate: Gate,
    network: Arc<Network>,
    port: u16,
    tls: bool,
}

impl Listener {
    /// Serves each connection in a thread of its own.
    pub(crate) fn new(
        place: Where<'_>,
        config: Option<Arc<ServerConfig>>,
        serve: impl Fn(Wire) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let (network, port, tls) = (place.network(), place.free_port(), config.is_some());
        let gate = Gate::new(&network, port, move |stream| {
            // A client that breaks off, or doesn't like our certificate, is what some tests are about.
            drop(Wire::accept(stream, config.as_ref()).and_then(&serve));
        });
        Self {
            gate,
            network,
            port,
            tls,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// `https://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// Cuts the connections there are, once.
    pub(crate) fn sever(&self) {
        self.gate.sever();
    }

    /// Refuses connections, and cuts those there are.
    pub(crate) fn down(&self) {
        self.gate.close();
    }

    /// Ends [`Self::down`], at the same port.
    pub(crate) fn up(&self) {
        self.gate.open(&self.network);
    }

    /// Listens at the same port in another place.
    pub(crate) fn start_in(&mut self, place: Where<'_>) {
        self.down();
        self.network = place.network();
        self.up();
    }
}

/// A status, headers with their ends of line, and JSON.
pub(crate) type Answer = (u16, String, Value);

/// Answers the requests on a connection, until the client or an answer that is none ends it.
pub(crate) fn answer_each(wire: Wire, answer: impl Fn(&Request) -> Option<Answer>) -> io::Result<()> {
    let mut reader = BufReader::new(wire);
    while let Some(request) = read_request(&mut reader)? {
        let Some((status, headers, body)) = answer(&request) else {
            return Ok(());
        };
        let body = body.to_string();
        let kind = "Content-Type: application/json";
        let head = format!(
            "HTTP/1.1 {status} Rig\r\n{kind}\r\n{headers}Content-Length: {}",
            body.len()
        );
        let wire = reader.get_mut();
        wire.write_all(format!("{head}\r\n\r\n{body}").as_bytes())?;
        wire.flush()?;
        if request.last {
            return Ok(());
        }
    }
    Ok(())
}

/// A connection, plain or not.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        let Some(config) = tls else {
            return Ok(Self::Plain(stream));
        };
        let connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
