//! Lines over TLS to somebody who never answers.
//!
//! What the kernel took is not there yet. So lines stay in memory behind the socket until they must have arrived: the
//! kernel holds at most [`TAIL`] bytes, and gives up on a far end that has confirmed nothing for [`SILENCE`]. When a
//! connection ends, all that stayed is sent again on the next one, from the beginning of a line: nothing is lost that the
//! far end's machine had not confirmed, and at most that much comes twice. A far end that ends every connection before
//! that is known gets a line for twice that time at most, and not for ever. What it confirmed and died with is lost, and
//! nobody can know: that is what best effort means.
//!
//! Whether the far end has hung up is looked at before every write, since the first write behind its farewell succeeds;
//! and once or twice behind the last line, for those that have nobody behind them.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;

use super::bytes::Wiped;
use super::trust::{self, Trust};
use crate::host::Class;
use crate::host::web::{is_distrusted, is_not_tls};
use crate::logs::sinks::SendError;

/// Names another place than Logentries' own, such as that of its successor: `eu.data.logs.insight.rapid7.com:443`.
pub(super) const ENDPOINT_VARIABLE: &str = "MONOPOD_LOGENTRIES_ENDPOINT";
/// Where Logentries takes tokens over TLS.
pub(super) const ENDPOINT: &str = "data.logentries.com:443";

/// Name, connection and handshake together.
const CONNECT: Duration = Duration::from_secs(10);
/// A far end that takes not a byte for so long doesn't read.
const PROGRESS: Duration = Duration::from_secs(30);
/// The kernel gives up on a far end that confirms nothing for so long.
const SILENCE: Duration = Duration::from_secs(20);
/// What was written this long ago on a connection that lives was confirmed.
const CONFIRMED: Duration = Duration::from_secs(30);
/// Asked of the kernel, which doubles it for its own needs.
const SEND_BUFFER: u32 = 128 * 1024;
/// More than the kernel holds.
const TAIL: usize = 256 * 1024;
/// Of a name's addresses so many are tried.
const ADDRESSES: usize = 4;

/// How long what may take. Tests are in more of a hurry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) progress: Duration,
    pub(super) confirmed: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: CONNECT,
            progress: PROGRESS,
            confirmed: CONFIRMED,
        }
    }
}

/// Where to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    host: String,
    port: u16,
}

impl Endpoint {
    fn read(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = port.parse().ok().filter(|port| *port > 0)?;
        ServerName::try_from(host).ok()?;
        Some(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// The way to Logentries, with the lines on it.
pub(super) struct Transport {
    /// None if there is no such address.
    endpoint: Option<Endpoint>,
    trust: Trust,
    patience: Patience,
    connector: Option<TlsConnector>,
    stream: Option<TlsStream<TcpStream>>,
    lines: Wiped,
    /// So many bytes of them were written on this connection.
    written: usize,
    /// So many bytes of them were written before `marked`.
    mark: usize,
    marked: Instant,
    again: Again,
}

/// What was written to connections before this one. Counts are of bytes at the front of the lines.
#[derive(Debug, Default)]
struct Again {
    /// So many were written to one at least.
    once: usize,
    /// And so many to two.
    twice: usize,
    /// Up to where lines were written for the first time when: coarse, in order.
    first: VecDeque<(usize, Instant)>,
}

impl Again {
    /// Now so many are written.
    fn wrote(&mut self, written: usize, now: Instant, coarse: Duration) {
        match self.first.back_mut() {
            Some((end, _)) if *end >= written => {}
            Some((end, since)) if *since + coarse > now => *end = written,
            _ => self.first.push_back((written, now)),
        }
    }

    /// The connection ended that had so many of them. How many needn't be written once more: they were twice, and the
    /// first time was before that.
    fn ended(&mut self, written: usize, before: Instant) -> usize {
        self.twice = self.twice.max(self.once.min(written));
        self.once = self.once.max(written);
        let old = self.first.iter().take_while(|(_, since)| *since <= before).last();
        old.map_or(0, |(end, _)| *end).min(self.twice)
    }

    fn forget(&mut self, count: usize) {
        self.once = self.once.saturating_sub(count);
        self.twice = self.twice.saturating_sub(count);
        self.first.retain(|(end, _)| *end > count);
        self.first.iter_mut().for_each(|(end, _)| *end -= count);
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transport({:?}, {:?})", self.endpoint, self.lines)
    }
}

impl Transport {
    pub(super) fn new(endpoint: &str, trust: Trust, patience: Patience) -> Self {
        Self {
            endpoint: Endpoint::read(endpoint),
            trust,
            patience,
            connector: None,
            stream: None,
            lines: Wiped::default(),
            written: 0,
            mark: 0,
            marked: Instant::now(),
            again: Again::default(),
        }
    }

    /// Whether there is a connection. One that the far end has ended is none, as far as this machine knows.
    pub(super) async fn is_connected(&mut self) -> bool {
        // The runtime has to look at its sockets first, or a farewell that is there is not seen.
        tokio::task::yield_now().await;
        if self.stream.as_mut().is_some_and(has_ended) {
            self.hang_up(Instant::now());
        }
        self.stream.is_some()
    }

    /// Puts other lines in the place of these, while there is no connection: none of them was written.
    pub(super) fn replace(&mut self, lines: Wiped) {
        self.lines = lines;
        (self.written, self.mark, self.again) = (0, 0, Again::default());
    }

    /// Where whole lines are added.
    pub(super) fn lines(&mut self) -> &mut Wiped {
        if self.lines.len() == 0 {
            self.marked = Instant::now();
        }
        &mut self.lines
    }

    /// Lines wait to be written, for the first time or again.
    pub(super) fn has_unsent(&self) -> bool {
        self.written < self.lines.len()
    }

    /// When to look again whether what was written arrived.
    pub(super) fn look_again(&self) -> Option<Instant> {
        (self.lines.len() > 0).then(|| self.marked + self.patience.confirmed)
    }

    /// Writes what is to be written, on a new connection if the old one is no more.
    pub(super) async fn flush(&mut self) -> Result<(), SendError> {
        self.is_connected().await;
        while self.has_unsent() {
            if let Err(error) = self.write().await {
                self.hang_up(Instant::now());
                return Err(error);
            }
        }
        self.forget_confirmed(Instant::now());
        Ok(())
    }

    /// All of it, and from our hands into the kernel's.
    async fn write(&mut self) -> Result<(), SendError> {
        let progress = self.patience.progress;
        if self.stream.is_none() {
            self.stream = Some(self.connect().await?);
        }
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let place = self.endpoint.as_ref();
        let failed = |error: io::Error| broken(place, &error);
        let stuck = |_| broken(place, &io::Error::other("it is connected and reads nothing"));
        while let Some(rest) = self
            .lines
            .as_slice()
            .get(self.written..)
            .filter(|rest| !rest.is_empty())
        {
            let count = timeout(progress, stream.write(rest)).await.map_err(stuck)?;
            match count.map_err(failed)? {
                0 => return Err(failed(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
            self.again
                .wrote(self.written, Instant::now(), self.patience.confirmed / 4);
        }
        timeout(progress, stream.flush())
            .await
            .map_err(stuck)?
            .map_err(failed)
    }

    /// The next connection gets everything that may not have arrived, but not for ever.
    fn hang_up(&mut self, now: Instant) {
        self.stream = None;
        let done = now
            .checked_sub(2 * self.patience.confirmed)
            .map_or(0, |before| self.again.ended(self.written, before));
        self.forget_before(done);
        self.written = 0;
        self.mark = 0;
        self.marked = now;
    }

    /// Lets go of lines that must have arrived: those written long ago, and those before what the kernel can hold.
    fn forget_confirmed(&mut self, now: Instant) {
        let mut count = 0;
        if now >= self.marked + self.patience.confirmed {
            count = self.mark;
            self.mark = self.written;
            self.marked = now;
        }
        let beyond = self.written.saturating_sub(TAIL).max(count);
        self.forget_before(beyond);
    }

    /// Whole lines only: the next connection begins with one.
    fn forget_before(&mut self, end: usize) {
        let bytes = self.lines.as_slice();
        let count = bytes
            .get(..end)
            .and_then(|front| front.iter().rposition(|byte| *byte == b'\n'))
            .map_or(0, |last| last + 1);
        self.lines.forget(count);
        self.again.forget(count);
        self.written = self.written.saturating_sub(count);
        self.mark = self.mark.saturating_sub(count);
    }

    async fn connect(&mut self) -> Result<TlsStream<TcpStream>, SendError> {
        let Some(endpoint) = self.endpoint.clone() else {
            return Err(SendError {
                class: Class::Permanent,
                text: format!(
                    "cannot send to Logentries: {ENDPOINT_VARIABLE} is no HOST:PORT; correct it, or take it away"
                ),
            });
        };
        let connector = match &self.connector {
            Some(connector) => connector.clone(),
            None => {
                let config = trust::config(&self.trust).await?;
                self.connector
                    .insert(TlsConnector::from(Arc::new(config)))
                    .clone()
            }
        };
        let connecting = async {
            let stream = reach(&endpoint, self.patience.connect).await?;
            let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
            connector.connect(name, stream).await
        };
        match timeout(self.patience.connect, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(broken(Some(&endpoint), &error)),
            Err(_elapsed) => Err(broken(Some(&endpoint), &io::ErrorKind::TimedOut.into())),
        }
    }
}

/// What was written shall get there: a close with something unread would take it back.
impl Drop for Transport {
    fn drop(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let mut context = Context::from_waker(Waker::noop());
        if Pin::new(&mut *stream).poll_shutdown(&mut context).is_ready() {
            tracing::trace!("Said goodbye to Logentries");
        }
        // Of the kernel: nobody will read what TLS may still make of it.
        let socket = stream.get_ref().0.as_raw_fd();
        let mut room = [0; 4096];
        for _ in 0..16 {
            if !recv(socket, &mut room, MsgFlags::MSG_DONTWAIT).is_ok_and(|count| count > 0) {
                return;
            }
        }
    }
}

/// A connection to the first address that has one to give.
async fn reach(endpoint: &Endpoint, patience: Duration) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port))
        .await?
        .take(ADDRESSES)
        .collect();
    let each = patience / u32::try_from(addresses.len()).unwrap_or(1).max(1);
    let mut failed = io::Error::other("its name has no address");
    for address in addresses {
        match timeout(each, socket(address)?.connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failed = error,
            Err(_elapsed) => failed = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failed)
}

/// A socket whose kernel side holds little and doesn't wait for ever.
fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let millis = u32::try_from(SILENCE.as_millis()).unwrap_or(u32::MAX);
    setsockopt(&socket, sockopt::TcpUserTimeout, &millis)?;
    // A far end that vanished is noticed while there is nothing to write.
    socket.set_keepalive(true)?;
    let seconds = u32::try_from(SILENCE.as_secs()).unwrap_or(u32::MAX);
    setsockopt(&socket, sockopt::TcpKeepIdle, &seconds)?;
    Ok(socket)
}

/// Whether the far end has hung up, as far as this machine knows. What it says otherwise is of no interest.
fn has_ended(stream: &mut TlsStream<TcpStream>) -> bool {
    let mut room = [0; 256];
    let mut context = Context::from_waker(Waker::noop());
    // A far end that never stops talking has not hung up.
    for _ in 0..16 {
        let mut buffer = ReadBuf::new(&mut room);
        match Pin::new(&mut *stream).poll_read(&mut context, &mut buffer) {
            Poll::Pending => return false,
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
            Poll::Ready(_) => return true,
        }
    }
    false
}

fn broken(endpoint: Option<&Endpoint>, error: &io::Error) -> SendError {
    let text = error.to_string();
    let (class, advice) = if is_distrusted(&text) {
        let advice = "; add its authority to the machine's certificates, or name them in SSL_CERT_FILE";
        (Class::Permanent, advice)
    } else if is_not_tls(&text) {
        (
            Class::Permanent,
            "; who answers there doesn't speak TLS: look at the port",
        )
    } else {
        (Class::Transient, "; can the machine reach it?")
    };
    let place = endpoint.map_or_else(String::new, |place| format!(" at {}:{}", place.host, place.port));
    SendError {
        class,
        text: format!("cannot send to Logentries{place}: {text}{advice}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let read = |text: &str| Endpoint::read(text).map(|place| (place.host, place.port));
        assert_eq!(read(ENDPOINT), Some(("data.logentries.com".into(), 443)));
        assert_eq!(read("[::1]:1"), Some(("::1".into(), 1)));
        for text in [
            "",
            "host",
            "host:",
            "host:0",
            "host:99999",
            "a b:1",
            "https://host:1",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    /// As if so many bytes were written, in lines of ten.
    fn written(count: usize) -> Transport {
        let mut transport = Transport::new(ENDPOINT, Trust::System, Patience::default());
        transport.lines().push(&b"123456789\n".repeat(count / 10));
        transport.written = transport.lines.len();
        transport
    }

    #[test]
    fn what_the_kernel_cannot_hold_has_arrived() {
        let mut transport = written(TAIL + 15_000);
        transport.forget_confirmed(Instant::now());
        assert!((TAIL..TAIL + 10).contains(&transport.lines.len()));
        assert!(transport.lines.as_slice().starts_with(b"1"));
        assert!(!transport.has_unsent());
        transport.hang_up(Instant::now());
        assert!(transport.has_unsent(), "the rest goes again");
    }

    #[test]
    fn a_far_end_that_ends_every_connection_gets_no_line_for_ever() {
        let mut transport = Transport::new(ENDPOINT, Trust::System, Patience::default());
        let write = |transport: &mut Transport, now| {
            transport.written = transport.lines.len();
            transport.again.wrote(transport.written, now, CONFIRMED / 4);
            transport.written > 0
        };
        let start = Instant::now() + 10 * CONFIRMED;
        transport.lines().push(b"old\n");
        // Attempts that wrote nothing count for nothing, and neither do quick ends.
        write(&mut transport, start);
        for _ in 0..5 {
            transport.hang_up(start);
        }
        assert!(transport.has_unsent());
        let mut times = 0;
        for round in 1..10 {
            let now = start + round * CONFIRMED;
            times += u32::from(write(&mut transport, now));
            if round == 2 {
                transport.lines().push(b"new\n");
                write(&mut transport, now);
                transport.hang_up(now);
                assert_eq!(transport.lines.as_slice(), b"new\n", "it is not as old");
            } else {
                transport.hang_up(now);
            }
        }
        assert_eq!(times, 4);
        assert_eq!((transport.lines.len(), transport.look_again()), (0, None));
        // An outage, however long, in which nothing was written twice.
        transport.lines().push(b"once\n");
        write(&mut transport, start);
        for round in 0..10 {
            transport.hang_up(start + round * CONFIRMED);
        }
        assert_eq!(transport.lines.as_slice(), b"once\n");
    }

    #[test]
    fn what_was_written_long_ago_has_arrived() {
        let mut transport = written(100);
        let start = transport.marked;
        transport.forget_confirmed(start + CONFIRMED - Duration::from_millis(1));
        assert_eq!((transport.lines.len(), transport.mark), (100, 0));
        transport.forget_confirmed(start + CONFIRMED);
        assert_eq!((transport.lines.len(), transport.mark), (100, 100));
        transport.lines().push(b"new\n");
        transport.written = 104;
        assert_eq!(transport.look_again(), Some(start + 2 * CONFIRMED));
        transport.forget_confirmed(start + 2 * CONFIRMED);
        assert_eq!(transport.lines.as_slice(), b"new\n");
        assert_eq!((transport.written, transport.mark), (4, 4));
        transport.forget_confirmed(start + 3 * CONFIRMED);
        assert_eq!((transport.lines.len(), transport.look_again()), (0, None));
    }
}
