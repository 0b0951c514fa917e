//! One connection to a log server, in the clear or in TLS.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Once};
use std::time::Duration;

use futures_util::FutureExt as _;
use monopod_core::logs::{Protocol, RsyslogTarget};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, Error as TlsError, RootCertStore,
};

use super::acknowledged::{Acknowledged, Look};
use crate::host::Class;
use crate::logs::sinks::SendError;

/// For the name, the connection and the handshake together.
const CONNECT: Duration = Duration::from_secs(10);
/// Of a name's addresses so many are tried, each with its part of that time.
const ADDRESSES: usize = 4;
/// The kernel makes twice of it. Less than is kept for the next connection, or what it holds couldn't be sent again.
const SEND_BUFFER: u32 = 256 * 1024;
/// A connection on which nothing is written is asked after: 15 s, then every 5 s, three times.
const KEEPALIVE: (u32, u32, u32) = (15, 5, 3);
/// Milliseconds without an acknowledgement until the kernel gives up, where we can't ask. Less than
/// [`SETTLED`](super::tail::SETTLED).
const UNASKED: u32 = 8_000;

/// Who is connected to, and how.
#[derive(Debug)]
pub(super) struct Endpoint {
    host: String,
    port: u16,
    tls: bool,
    ca: Option<String>,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = if self.tls { " over TLS" } else { "" };
        write!(f, "the log server {}:{}{way}", self.host, self.port)
    }
}

impl Endpoint {
    pub(super) fn new(target: &RsyslogTarget) -> Self {
        Self {
            host: target.host.clone(),
            port: target.port,
            tls: target.protocol == Protocol::Tls,
            ca: target.ca.clone(),
        }
    }

    /// What went wrong with it.
    pub(super) fn failed(&self, class: Class, what: &str, why: impl fmt::Display) -> SendError {
        let text = format!("{what} {self}: {why}");
        SendError { class, text }
    }

    pub(super) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let resolved = timeout(CONNECT, lookup_host((self.host.as_str(), self.port)));
        let addresses: Vec<_> = resolved.await??.collect();
        if addresses.is_empty() {
            return Err(io::Error::other("the name has no address"));
        }
        Ok(addresses)
    }

    pub(super) async fn connect(&self) -> Result<Connection, SendError> {
        let connected = timeout(CONNECT, self.open());
        connected.await.unwrap_or_else(|_elapsed| {
            Err(self.failed(Class::Transient, "cannot connect to", "no answer within 10 s"))
        })
    }

    async fn open(&self) -> Result<Connection, SendError> {
        let failed = |error: io::Error| self.failed(Class::Transient, "cannot connect to", error);
        let secured = if self.tls {
            Some(self.secured().await?)
        } else {
            None
        };
        let addresses = self.resolve().await.map_err(failed)?;
        let stream = dial(&addresses, CONNECT).await.map_err(failed)?;
        // Where the kernel doesn't answer, what is in the socket has to count as delivered.
        let addresses = stream
            .local_addr()
            .and_then(|local| Ok((local, stream.peer_addr()?)));
        let asks = addresses
            .and_then(|(local, peer)| Acknowledged::new(local, peer))
            .and_then(|asks| asks.look().map(|_| asks))
            .inspect_err(|error| self.tell_unasked(error))
            .ok();
        if asks.is_none() {
            // Then the kernel has to end what nobody answers, before the tail is forgotten.
            setsockopt(&stream, sockopt::TcpUserTimeout, &UNASKED).map_err(|error| failed(error.into()))?;
        }
        let io = match secured {
            None => Io::Plain(stream),
            Some((connector, name)) => match connector.connect(name, stream).await {
                Ok(stream) => Io::Tls(Box::new(stream)),
                Err(error) => return Err(self.refused(&error)),
            },
        };
        Ok(Connection { io, asks })
    }

    /// Said once: it is a property of the machine, not of a connection.
    fn tell_unasked(&self, error: &io::Error) {
        static TOLD: Once = Once::new();
        TOLD.call_once(|| {
            tracing::warn!(
                server = %self, %error,
                "The kernel doesn't say what a log server has acknowledged, so what is in the socket counts as \
                 delivered: allow AF_NETLINK in the unit"
            );
        });
    }

    async fn secured(&self) -> Result<(TlsConnector, ServerName<'static>), SendError> {
        let failed = |why: &str| self.failed(Class::Permanent, "cannot connect to", why);
        let name = ServerName::try_from(self.host.clone())
            .map_err(|_| failed("that is neither a host name nor an address"))?;
        let mut roots = RootCertStore::empty();
        if let Some(pem) = &self.ca {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let added = certificate.is_ok_and(|certificate| roots.add(certificate).is_ok());
                if !added {
                    return Err(failed(
                        "`logging.rsyslog_ca` holds something that is no certificate: give PEM",
                    ));
                }
            }
            if roots.is_empty() {
                return Err(failed("`logging.rsyslog_ca` holds no certificate: give PEM"));
            }
        } else {
            // Read anew for each connection: an update of the system's roots needs no restart of the agent.
            let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await;
            roots.add_parsable_certificates(system.map_or_else(|_| Vec::new(), |found| found.certs));
            if roots.is_empty() {
                return Err(failed(
                    "the machine trusts no authority: install ca-certificates or set `logging.rsyslog_ca`",
                ));
            }
        }
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok((TlsConnector::from(Arc::new(config)), name))
    }

    /// A handshake that failed: what can't mend itself is told in words that say what to do.
    fn refused(&self, error: &io::Error) -> SendError {
        let what = "cannot connect to";
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
        let class = tls.map_or(Class::Transient, class_of);
        let why = match tls {
            Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)) => format!(
                "its certificate is of no authority that is trusted {}: {}",
                if self.ca.is_some() {
                    "by `logging.rsyslog_ca`"
                } else {
                    "on this machine"
                },
                "set `logging.rsyslog_ca` to the certificate of the authority that signed it"
            ),
            Some(TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => format!(
                "its certificate is not for the name {}: set `logging.rsyslog_host` to a name in the certificate",
                self.host
            ),
            Some(TlsError::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. },
            )) => "its certificate has expired: renew it, or set this machine's clock".to_owned(),
            Some(TlsError::InvalidCertificate(
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
            )) => "its certificate is not valid yet: set this machine's clock".to_owned(),
            Some(TlsError::InvalidMessage(_)) => {
                "it doesn't speak TLS on this port: set `logging.rsyslog_port` or `logging.rsyslog_protocol`"
                    .to_owned()
            }
            Some(error) => format!("no TLS connection: {error}"),
            None => error.to_string(),
        };
        self.failed(class, what, why)
    }
}

/// What waiting can mend: the clock may not be set yet when a machine starts, and a server that is going down or coming
/// up says so by an alert.
fn class_of(error: &TlsError) -> Class {
    match error {
        TlsError::InvalidCertificate(
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. },
        )
        | TlsError::AlertReceived(
            AlertDescription::CloseNotify | AlertDescription::InternalError | AlertDescription::UserCanceled,
        ) => Class::Transient,
        _ => Class::Permanent,
    }
}

/// The first address that answers. Each has its part of the time, or one that is silent would hide those behind it.
async fn dial(addresses: &[SocketAddr], patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    let tried = addresses.len().min(ADDRESSES);
    let each = patience / u32::try_from(tried).unwrap_or(1).max(1);
    for address in addresses.iter().take(ADDRESSES) {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.set_nodelay(true)?;
        socket.set_keepalive(true)?;
        let (idle, interval, count) = KEEPALIVE;
        setsockopt(&socket, sockopt::TcpKeepIdle, &idle)?;
        setsockopt(&socket, sockopt::TcpKeepInterval, &interval)?;
        setsockopt(&socket, sockopt::TcpKeepCount, &count)?;
        match timeout(each, socket.connect(*address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_elapsed) => {
                last = io::Error::new(io::ErrorKind::TimedOut, format!("no answer from {address}"))
            }
        }
    }
    Err(last)
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    io: Io,
    asks: Option<Acknowledged>,
}

#[derive(Debug)]
enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => stream.get_ref().0,
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = match &mut self.io {
            Io::Plain(stream) => stream.write(bytes).await,
            Io::Tls(stream) => stream.write(bytes).await,
        };
        match written {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            written => written,
        }
    }

    /// All that was written is in the socket.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        match &mut self.io {
            Io::Plain(stream) => stream.flush().await,
            Io::Tls(stream) => stream.flush().await,
        }
    }

    /// Why the far end is gone, if it is. A server that restarts says so once, by closing, and takes what is written
    /// after that for nothing: so this is asked before every write, and of the kernel, whose word is never old.
    pub(super) async fn ended(&mut self) -> Option<io::Error> {
        loop {
            match recv(
                self.tcp().as_raw_fd(),
                &mut [0],
                MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT,
            ) {
                Err(Errno::EAGAIN | Errno::EINTR) => return None,
                Err(error) => return Some(error.into()),
                Ok(_) => {}
            }
            // It speaks or closes. A log server has nothing to say to us, but TLS does.
            if let Err(error) = self.tcp().readable().await {
                return Some(error);
            }
            let mut heard = [0; 1024];
            let read = match &mut self.io {
                Io::Plain(stream) => stream.read(&mut heard).now_or_never(),
                Io::Tls(stream) => stream.read(&mut heard).now_or_never(),
            };
            match read {
                Some(Ok(0)) => return Some(io::Error::other("it closed the connection")),
                Some(Err(error)) => return Some(error),
                Some(Ok(_)) | None => {}
            }
        }
    }

    /// What the far kernel has; none when ours doesn't say.
    pub(super) fn look(&self) -> Option<Look> {
        self.asks.as_ref()?.look().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_is_silent_hides_no_other() {
        // With its queue full a listener answers nobody.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let silent = silent.listen(0).unwrap();
        let full = silent.local_addr().unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = timeout(Duration::from_millis(300), TcpStream::connect(full)).await {
            queue.push(stream.unwrap());
        }
        let good = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = [full, good.local_addr().unwrap()];
        let stream = timeout(Duration::from_secs(5), dial(&addresses, Duration::from_secs(1))).await;
        let stream = stream.expect("in time").unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
    }

    #[test]
    fn a_clock_that_is_wrong_and_a_server_that_restarts_are_waited_for() {
        for (error, class) in [
            (
                TlsError::InvalidCertificate(CertificateError::Expired),
                Class::Transient,
            ),
            (
                TlsError::InvalidCertificate(CertificateError::NotValidYet),
                Class::Transient,
            ),
            (
                TlsError::AlertReceived(AlertDescription::InternalError),
                Class::Transient,
            ),
            (
                TlsError::AlertReceived(AlertDescription::CertificateRequired),
                Class::Permanent,
            ),
            (
                TlsError::InvalidCertificate(CertificateError::UnknownIssuer),
                Class::Permanent,
            ),
            (
                TlsError::InvalidCertificate(CertificateError::NotValidForName),
                Class::Permanent,
            ),
        ] {
            assert_eq!(class_of(&error), class, "{error:?}");
        }
    }
}
