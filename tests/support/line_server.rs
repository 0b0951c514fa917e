//! A TCP server of our own that takes lines, plain or over TLS: Logentries for the sink of that name, a null sink for
//! measuring, and a peer with bad manners for everybody.
//!
//! Contract: it never says a word. What arrives up to a newline is a line; what is left when a connection ends is a
//! fragment. It counts both and all bytes, and keeps the lines unless it is [`LineServer::null`].

use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::gate::Gate;
use crate::place::Where;
use crate::sandbox::Network;
use crate::tls::{Presents, authority};
use crate::wait::{Journal, lock, wait_until};

/// The server. Its port is closed on drop.
pub struct LineServer {
    gate: Gate,
    network: Arc<Network>,
    port: u16,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    keep: AtomicBool,
    lines: Journal<String>,
    fragments: Journal<String>,
    line_count: AtomicU64,
    byte_count: AtomicU64,
    connections: AtomicU64,
    idle: Mutex<bool>,
    reading: Condvar,
    cuts: Mutex<Cuts>,
}

#[derive(Clone, Copy, Default)]
struct Cuts {
    after: u64,
    left: usize,
}

impl LineServer {
    /// Starts it, plain, keeping what it gets.
    #[must_use]
    pub fn start(place: Where<'_>) -> Self {
        Self::new(place, None, true)
    }

    /// The same over TLS.
    #[must_use]
    pub fn tls(place: Where<'_>, presents: Presents) -> Self {
        Self::new(place, Some(presents.server_config()), true)
    }

    /// Starts it, plain, to read, count and forget.
    #[must_use]
    pub fn null(place: Where<'_>) -> Self {
        Self::new(place, None, false)
    }

    fn new(place: Where<'_>, tls: Option<Arc<ServerConfig>>, keep: bool) -> Self {
        let (network, port) = (place.network(), place.free_port());
        let state = Arc::new(State::default());
        state.keep.store(keep, Ordering::SeqCst);
        let shared = Arc::clone(&state);
        let gate = Gate::new(&network, port, move |stream| {
            shared.connections.fetch_add(1, Ordering::SeqCst);
            // A client that breaks off, or doesn't like our certificate, is what some tests are about.
            drop(Wire::accept(stream, tls.as_ref()).and_then(|wire| serve(wire, &shared)));
        });
        Self {
            gate,
            network,
            port,
            state,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The authority behind its good certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        authority()
    }

    /// The lines so far, in the order they came; none from a null sink.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.state.lines.entries()
    }

    /// What connections ended with that had no newline.
    #[must_use]
    pub fn fragments(&self) -> Vec<String> {
        self.state.fragments.entries()
    }

    /// How many lines came so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.state.line_count.load(Ordering::SeqCst)
    }

    /// How many bytes came so far, those of fragments too.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.byte_count.load(Ordering::SeqCst)
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Waits for a line with this in it.
    #[must_use = "it holds what was received; `drop` it where only the wait counts"]
    pub fn wait_for(&self, part: &str, within: Duration) -> String {
        let find = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        self.state
            .lines
            .wait_for(within, find)
            .unwrap_or_else(|| panic!("rig: no line with {part:?} within {within:?}; {}", self.story()))
    }

    /// Waits until so many lines came.
    pub fn wait_for_count(&self, count: u64, within: Duration) {
        wait_until(within, || (self.count() >= count).then_some(()))
            .unwrap_or_else(|| panic!("rig: no {count} lines within {within:?}; {}", self.story()));
    }

    fn story(&self) -> String {
        let lines = self.lines();
        let last = &lines[lines.len().saturating_sub(5)..];
        let (count, connections, fragments) = (self.count(), self.connections(), self.fragments());
        format!("{count} lines on {connections} connections, the last {last:#?}, fragments {fragments:?}")
    }

    /// Connections stay, and new ones are accepted, but nothing is read: the far end of a network that is half open.
    /// A sender notices when the kernel's buffers are full, which takes some megabytes.
    pub fn stop_reading(&self) {
        *lock(&self.state.idle) = true;
    }

    /// Ends [`Self::stop_reading`].
    pub fn read_again(&self) {
        *lock(&self.state.idle) = false;
        self.state.reading.notify_all();
    }

    /// The next `times` connections end when they have carried exactly this many bytes, in the middle of a line or not.
    pub fn cut_after(&self, bytes: u64, times: usize) {
        *lock(&self.state.cuts) = Cuts {
            after: bytes,
            left: times,
        };
    }

    /// How many of the cuts asked for have not happened yet.
    #[must_use]
    pub fn cuts_left(&self) -> usize {
        lock(&self.state.cuts).left
    }

    /// Cuts the connections there are, once.
    pub fn sever(&self) {
        self.gate.sever();
        self.state.reading.notify_all();
    }

    /// Refuses connections, and cuts those there are.
    pub fn down(&self) {
        self.gate.close();
    }

    /// Ends [`Self::down`], at the same port.
    pub fn up(&self) {
        self.gate.open(&self.network);
    }

    /// Listens at the same port in another place: a machine that was rebooted has a new network.
    pub fn start_in(&mut self, place: Where<'_>) {
        self.gate.close();
        self.network = place.network();
        self.up();
    }
}

impl Drop for LineServer {
    fn drop(&mut self) {
        self.read_again();
    }
}

fn serve(mut wire: Wire, state: &State) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut line = Vec::new();
    let mut carried = 0;
    let ended = loop {
        wait_to_read(state);
        let Some(bite) = next_bite(state, carried, buffer.len()) else {
            break Ok(());
        };
        let count = match wire.read(&mut buffer[..bite]) {
            Ok(0) => break Ok(()),
            Ok(count) => count,
            Err(error) => break Err(error),
        };
        carried += count as u64;
        take(&buffer[..count], &mut line, state);
    };
    if !line.is_empty() {
        state.fragments.push(String::from_utf8_lossy(&line).into_owned());
    }
    ended
}

fn wait_to_read(state: &State) {
    let mut idle = lock(&state.idle);
    while *idle {
        idle = state.reading.wait(idle).unwrap_or_else(PoisonError::into_inner);
    }
}

/// How much to read next; None when this connection is to be cut.
fn next_bite(state: &State, carried: u64, most: usize) -> Option<usize> {
    let mut cuts = lock(&state.cuts);
    if cuts.left == 0 {
        return Some(most);
    }
    let left = cuts.after.saturating_sub(carried);
    if left == 0 {
        cuts.left -= 1;
        return None;
    }
    Some(usize::try_from(left).unwrap_or(most).min(most))
}

fn take(bytes: &[u8], line: &mut Vec<u8>, state: &State) {
    state.byte_count.fetch_add(bytes.len() as u64, Ordering::SeqCst);
    let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
    let mut lines = 0;
    while let Some(piece) = pieces.next() {
        let whole = pieces.peek().is_some();
        if state.keep.load(Ordering::Relaxed) {
            line.extend_from_slice(piece);
            if whole {
                state.lines.push(String::from_utf8_lossy(line).into_owned());
                line.clear();
            }
        }
        lines += u64::from(whole);
    }
    state.line_count.fetch_add(lines, Ordering::SeqCst);
}

/// A connection, plain or not.
pub(crate) enum Wire {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    pub(crate) fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
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

impl io::Write for Wire {
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
