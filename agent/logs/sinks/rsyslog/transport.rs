//! The way out: a connection that is made again when it ends, or datagrams.
//!
//! ```text
//!   parcel ─► chunks of frames ─► tail ─► connection ─► all acknowledged by the far kernel? ─► delivered
//!                                  ▲          │ ended
//!                                  └── all of it again ◄┘
//! ```

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use monopod_core::logs::Batch;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Endpoint};
use super::encode::Encoder;
use super::tail::Tail;
use crate::host::Class;
use crate::logs::sinks::SendError;
use crate::logs::sinks::datagrams::Datagrams;

/// A connection on which nothing moves for this long is looked at.
const STALLED: Duration = Duration::from_secs(30);
/// The kernel has no event for an acknowledgement, so it is asked: first soon, then less often.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(50);

/// A name may be given to another server; a connection meets that when it ends, datagrams never do.
const RESOLVE_AGAIN: Duration = Duration::from_secs(300);

/// So that the server gets to read: a socket holds some 250 messages by default, and nobody tells the sender that it's
/// full.
const BREATH_AFTER: usize = 64;
const BREATH: Duration = Duration::from_millis(1);

/// Frames over a connection.
#[derive(Debug)]
pub(super) struct Frames {
    endpoint: Endpoint,
    connection: Option<Connection>,
    tail: Tail,
}

/// What ends an attempt.
enum Broken {
    /// The connection with it.
    Ended(io::Error),
    /// Nothing moves. The connection may be good still.
    Stalled,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Ended(error)
    }
}

impl Frames {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            connection: None,
            tail: Tail::default(),
        }
    }

    /// When the connection should be looked at once more, though there is nothing to send.
    pub(super) fn look_at(&self) -> Option<Instant> {
        if self.tail.is_empty() {
            return None;
        }
        // What could not be sent again is due at once.
        Some(self.tail.settled_at().unwrap_or_else(Instant::now))
    }

    /// Sends what `next` gives, and before it what the connection before this one may not have brought over.
    pub(super) async fn send(&mut self, mut next: impl FnMut() -> Option<Vec<u8>>) -> Result<(), SendError> {
        if let Some(connection) = &mut self.connection
            && connection.ended().await.is_some()
        {
            // Servers restart and close what is idle: no outage, unless there is nobody to connect to.
            self.hang_up();
        }
        // It stays in its place meanwhile: what the tail says is written, is written to it, also when nobody waits for
        // the end of this any more.
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(self.endpoint.connect().await?),
        };
        match pass(connection, &mut self.tail, &mut next).await {
            Ok(()) => {
                self.tail.settle(Instant::now());
                Ok(())
            }
            Err(Broken::Ended(error)) => {
                self.hang_up();
                Err(self
                    .endpoint
                    .failed(Class::Transient, "lost the connection to", error))
            }
            Err(Broken::Stalled) if connection.look().is_some_and(|look| !look.silent) => {
                // A new connection would meet the same server, and what this one holds would be sent once more.
                let why = "its machine answers, but the server has read nothing for 30 s";
                Err(self.endpoint.failed(Class::Transient, "cannot send to", why))
            }
            Err(Broken::Stalled) => {
                self.hang_up();
                let why = "no answer for 30 s";
                Err(self.endpoint.failed(Class::Transient, "cannot send to", why))
            }
        }
    }

    fn hang_up(&mut self) {
        self.connection = None;
        self.tail.rewind(Instant::now());
    }
}

async fn pass(
    connection: &mut Connection,
    tail: &mut Tail,
    next: &mut impl FnMut() -> Option<Vec<u8>>,
) -> Result<(), Broken> {
    loop {
        while let Some(rest) = tail.unwritten() {
            if let Some(error) = connection.ended().await {
                return Err(error.into());
            }
            let count = moving(connection.write(rest)).await?;
            tail.wrote(count, Instant::now());
        }
        moving(connection.flush()).await?;
        tail.trim(connection.look().map_or(0, |look| look.unacknowledged.into()));
        match next() {
            Some(chunk) => tail.push(chunk),
            None => return acknowledged(connection).await,
        }
    }
}

async fn moving<T>(step: impl Future<Output = io::Result<T>>) -> Result<T, Broken> {
    match timeout(STALLED, step).await {
        Ok(done) => Ok(done?),
        Err(_elapsed) => Err(Broken::Stalled),
    }
}

/// Waits until the far kernel has everything.
async fn acknowledged(connection: &mut Connection) -> Result<(), Broken> {
    let mut pause = LOOK_FIRST;
    let (mut least, mut moved) = (u32::MAX, Instant::now());
    loop {
        let look = connection.look();
        // After the look: acknowledged and then thrown away is not delivered.
        if let Some(error) = connection.ended().await {
            return Err(error.into());
        }
        // Without an answer what is in the socket is all that can be known.
        let Some(look) = look.filter(|look| look.unacknowledged > 0) else {
            return Ok(());
        };
        if look.unacknowledged < least {
            (least, moved) = (look.unacknowledged, Instant::now());
        } else if moved.elapsed() >= STALLED {
            return Err(Broken::Stalled);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}

/// A datagram a message.
#[derive(Debug)]
pub(super) struct Packets {
    endpoint: Endpoint,
    /// With the time its name was asked for last.
    socket: Option<(UdpSocket, Instant)>,
    round: Datagrams,
}

impl Packets {
    pub(super) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            socket: None,
            round: Datagrams::default(),
        }
    }

    /// Sends all of the parcel. Nobody says which datagram was refused, so after an error all of them go again.
    pub(super) async fn send(&mut self, encoder: &mut Encoder, parcel: &Batch) -> Result<(), SendError> {
        let sent = self.try_send(encoder, parcel).await;
        self.round.clear(0);
        sent.map_err(|error| {
            self.socket = None;
            let why = match error.kind() {
                io::ErrorKind::ConnectionRefused => "nobody listens there for UDP".to_owned(),
                _ => error.to_string(),
            };
            self.endpoint.failed(Class::Transient, "cannot send to", why)
        })
    }

    /// A name that has no answer just now is no reason to leave a server that takes what is sent.
    async fn resolve_again(&mut self) {
        if let Some((socket, since)) = &mut self.socket
            && since.elapsed() >= RESOLVE_AGAIN
        {
            *since = Instant::now();
            if let Ok(addresses) = self.endpoint.resolve().await
                && let Ok(new) = aim(&addresses).await
            {
                *socket = new;
            }
        }
    }

    async fn try_send(&mut self, encoder: &mut Encoder, parcel: &Batch) -> io::Result<()> {
        self.resolve_again().await;
        let (socket, _) = match &self.socket {
            Some(socket) => socket,
            None => {
                let socket = aim(&self.endpoint.resolve().await?).await?;
                self.socket.insert((socket, Instant::now()))
            }
        };
        let mut next = 0;
        while encoder.datagrams(parcel, &mut next, &mut self.round) {
            // One call each: the kernel forgets a refusal that meets a call in the middle of its datagrams.
            for (number, datagram) in self.round.iter().enumerate() {
                timeout(STALLED, socket.send(datagram)).await??;
                if number % BREATH_AFTER == BREATH_AFTER - 1 {
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
        // "Port unreachable" comes after the datagram that it's about.
        socket.take_error()?.map_or(Ok(()), Err)
    }
}

/// Connected, because only then does an answer that nobody listens reach us.
async fn aim(addresses: &[SocketAddr]) -> io::Result<UdpSocket> {
    let mut last = io::Error::other("the name has no address");
    for address in addresses {
        let any: SocketAddr = match address {
            SocketAddr::V4(_) => ([0; 4], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let socket = UdpSocket::bind(any).await?;
        match socket.connect(address).await {
            Ok(()) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use monopod_core::logs::{
        Attributes, Framing, Line, Protocol, RsyslogTarget, Stream, StreamName, SyslogFormat,
    };

    use super::*;

    #[tokio::test]
    async fn a_name_is_resolved_again() {
        let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let before = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let target = RsyslogTarget {
            host: "127.0.0.1".into(),
            port: here.local_addr().unwrap().port(),
            protocol: Protocol::Udp,
            framing: Framing::Newline,
            format: SyslogFormat::Rfc3164,
            severity: 5,
            program: None,
            hostname: Some("host-1".into()),
            ca: None,
        };
        let mut encoder = Encoder::new(&target, StreamName::Applog, &Attributes::default());
        let mut packets = Packets::new(Endpoint::new(&target));
        let mut parcel = Batch::default();
        parcel.push(Line {
            time: "",
            stream: Stream::Stdout,
            text: "one",
        });
        let old = aim(&[before.local_addr().unwrap()]).await.unwrap();
        packets.socket = Some((old, Instant::now()));
        packets.send(&mut encoder, &parcel).await.unwrap();
        let mut room = [0; 200];
        assert!(before.try_recv(&mut room).is_ok() || before.recv(&mut room).await.is_ok());
        let old = aim(&[before.local_addr().unwrap()]).await.unwrap();
        packets.socket = Some((old, Instant::now().checked_sub(RESOLVE_AGAIN).unwrap()));
        packets.send(&mut encoder, &parcel).await.unwrap();
        let came = timeout(Duration::from_secs(10), here.recv(&mut room)).await;
        assert!(came.expect("in time").unwrap() > 0);
    }
}
