//! A port inside a machine's network that leads to a shared server outside of it, with the faults of a bad line.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::gate::Gate;
use crate::http::read_request;
use crate::sandbox::Network;
use crate::wait::{lock, pause};

/// What a line does to those who use it. The default is a good line.
#[derive(Clone, Copy, Debug, Default)]
struct Faults {
    delay: Duration,
    stalled: bool,
    bytes_per_second: Option<u64>,
    cut_after: Option<u64>,
    cuts_left: usize,
    answer: u16,
    answers_left: usize,
}

/// The line to the registry or to AWS. Every fault ends with [`Line::heal`], and with the machine's lease.
pub struct Line {
    gate: Gate,
    network: Mutex<Arc<Network>>,
    faults: Arc<Mutex<Faults>>,
    connections: Arc<AtomicUsize>,
    carried: Arc<AtomicU64>,
}

impl Line {
    /// At a port of the machine's loopback.
    pub(crate) fn new(network: &Arc<Network>, port: u16, upstream: SocketAddr) -> Self {
        Self::at(network, SocketAddrV4::new(Ipv4Addr::LOCALHOST, port), upstream)
    }

    /// At any address that the network has.
    pub(crate) fn at(network: &Arc<Network>, address: SocketAddrV4, upstream: SocketAddr) -> Self {
        let faults = Arc::new(Mutex::new(Faults::default()));
        let connections = Arc::new(AtomicUsize::new(0));
        let carried = Arc::new(AtomicU64::new(0));
        let (shared, count) = (Arc::clone(&faults), Arc::clone(&connections));
        let bytes = Arc::clone(&carried);
        let gate = Gate::at(network, address, move |stream| {
            count.fetch_add(1, Ordering::SeqCst);
            // A line that breaks is what it is for: whoever is at its ends sees it.
            drop(carry(stream, upstream, &shared, &bytes));
        });
        Self {
            gate,
            network: Mutex::new(Arc::clone(network)),
            faults,
            connections,
            carried,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.gate.address()
    }

    /// Connections are refused, and those there are cut.
    pub fn down(&self) {
        self.gate.close();
    }

    /// Connections are accepted again.
    pub fn up(&self) {
        self.gate.open(&lock(&self.network));
    }

    /// Cuts the connections there are, once.
    pub fn sever(&self) {
        self.gate.sever();
    }

    /// Every new connection waits this long before its first byte is passed on.
    pub fn delay(&self, delay: Duration) {
        lock(&self.faults).delay = delay;
    }

    /// Accepts connections and passes nothing on, for those there are too.
    pub fn stall(&self) {
        lock(&self.faults).stalled = true;
    }

    /// Passes answers on at this speed: a pull that takes long enough to be watched, or interrupted.
    pub fn throttle(&self, bytes_per_second: u64) {
        lock(&self.faults).bytes_per_second = Some(bytes_per_second);
    }

    /// Cuts a connection once it has carried this many bytes of answers; `times` connections suffer it.
    pub fn cut_after(&self, bytes: u64, times: usize) {
        let mut faults = lock(&self.faults);
        faults.cut_after = Some(bytes);
        faults.cuts_left = times;
    }

    /// The next `times` connections get this status for an answer (429, 503 ...) and nothing else. Cuts the connections
    /// there are, so that nobody asks on an old one.
    pub fn answer(&self, status: u16, times: usize) {
        let mut faults = lock(&self.faults);
        faults.answer = status;
        faults.answers_left = times;
        drop(faults);
        self.sever();
    }

    /// How many connections have been accepted so far: for showing that somebody did without.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many bytes of answers have been carried so far: for showing that nothing was loaded twice.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.carried.load(Ordering::SeqCst)
    }

    /// How many of the cuts asked for have not happened yet.
    #[must_use]
    pub fn cuts_left(&self) -> usize {
        lock(&self.faults).cuts_left
    }

    /// Ends all faults; a line that is down comes up.
    pub fn heal(&self) {
        *lock(&self.faults) = Faults::default();
        self.up();
    }

    /// Into another network, as it was: what was down stays down. Connections are cut.
    pub(crate) fn move_to(&self, network: &Arc<Network>) {
        let open = self.gate.is_open();
        self.gate.close();
        *lock(&self.network) = Arc::clone(network);
        if open {
            self.up();
        }
    }
}

fn carry(
    client: TcpStream,
    upstream: SocketAddr,
    faults: &Arc<Mutex<Faults>>,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let delay = lock(faults).delay;
    pause(delay);
    if let Some(status) = answer_instead(faults) {
        return refuse(client, status);
    }
    let server = TcpStream::connect(upstream)?;
    server.set_nodelay(true)?;
    let (mut questions, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let shared = Arc::clone(faults);
    let asking = thread::spawn(move || {
        let passed = pass(
            &mut questions,
            &mut to_server,
            &shared,
            Direction::Question,
            &AtomicU64::new(0),
        );
        // The client has said all it will: the server may still answer.
        drop(to_server.shutdown(Shutdown::Write));
        passed
    });
    let (mut answers, mut to_client) = (server.try_clone()?, client.try_clone()?);
    let passed = pass(&mut answers, &mut to_client, faults, Direction::Answer, bytes);
    drop(client.shutdown(Shutdown::Both));
    drop(server.shutdown(Shutdown::Both));
    drop(asking.join());
    passed
}

fn answer_instead(faults: &Mutex<Faults>) -> Option<u16> {
    let mut faults = lock(faults);
    faults.answers_left = faults.answers_left.checked_sub(1)?;
    Some(faults.answer)
}

fn refuse(mut client: TcpStream, status: u16) -> io::Result<()> {
    // The question is read first: closing with unread bytes would reset the connection and lose the answer.
    read_request(&mut BufReader::new(client.try_clone()?))?;
    let head = format!("HTTP/1.1 {status} Rig\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    client.write_all(head.as_bytes())
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Question,
    Answer,
}

fn pass(
    from: &mut TcpStream,
    to: &mut TcpStream,
    faults: &Mutex<Faults>,
    direction: Direction,
    bytes: &AtomicU64,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    let mut carried: u64 = 0;
    loop {
        let now = *lock(faults);
        // Small bites when the speed matters, so that it is a stream and no burst.
        let bite = now.bytes_per_second.map_or(buffer.len(), |speed| {
            usize::try_from(speed / 20).unwrap_or(1).max(1)
        });
        let bite = bite.min(buffer.len());
        let count = from.read(&mut buffer[..bite])?;
        if count == 0 {
            return Ok(());
        }
        while lock(faults).stalled {
            // A stall ends by heal(), or by the connection being cut, which the write below finds out.
            pause(Duration::from_millis(20));
            if to.peer_addr().is_err() {
                return Ok(());
            }
        }
        to.write_all(&buffer[..count])?;
        carried += count as u64;
        bytes.fetch_add(count as u64, Ordering::SeqCst);
        if direction == Direction::Answer {
            let mut faults = lock(faults);
            if faults.cuts_left > 0 && faults.cut_after.is_some_and(|limit| carried >= limit) {
                faults.cuts_left -= 1;
                return Ok(());
            }
            drop(faults);
            if let Some(speed) = now.bytes_per_second {
                pause(Duration::from_secs_f64(count as f64 / speed.max(1) as f64));
            }
        }
    }
}
