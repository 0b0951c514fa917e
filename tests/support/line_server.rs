//! A TCP server of our own that takes lines, plain or over TLS: Logentries for the sink of that name, a null sink for
//! measuring, and a peer with bad manners for everybody.
//!
//! Contract: it never says a word. What arrives up to a newline is a line; what is left when a connection ends is a
//! fragment. It counts both and all bytes, and keeps the lines unless it is [`LineServer::null`].

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;

use crate::listener::{Listener, Wire};
use crate::place::Where;
use crate::tls::{Presents, authority};
use crate::wait::{Journal, lock, wait_until};

/// The server. Its port is closed on drop.
pub struct LineServer {
    listener: Listener,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    keep: bool,
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
        let state = Arc::new(State {
            keep,
            ..State::default()
        });
        let shared = Arc::clone(&state);
        let listener = Listener::new(place, tls, move |wire| serve(wire, &shared));
        Self { listener, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
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
        self.listener.sever();
        self.state.reading.notify_all();
    }

    /// Refuses connections, and cuts those there are.
    pub fn down(&self) {
        self.listener.down();
    }

    /// Ends [`Self::down`], at the same port.
    pub fn up(&self) {
        self.listener.up();
    }

    /// Listens at the same port in another place: a machine that was rebooted has a new network.
    pub fn start_in(&mut self, place: Where<'_>) {
        self.listener.start_in(place);
    }
}

impl Drop for LineServer {
    fn drop(&mut self) {
        self.read_again();
    }
}

fn serve(mut wire: Wire, state: &State) -> io::Result<()> {
    state.connections.fetch_add(1, Ordering::SeqCst);
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
    let newlines = bytes.iter().filter(|byte| **byte == b'\n').count();
    if state.keep {
        let mut pieces = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            line.extend_from_slice(piece);
            if pieces.peek().is_some() {
                state.lines.push(String::from_utf8_lossy(line).into_owned());
                line.clear();
            }
        }
    }
    state.line_count.fetch_add(newlines as u64, Ordering::SeqCst);
}
