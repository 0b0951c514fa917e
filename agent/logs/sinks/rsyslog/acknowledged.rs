//! What the far kernel has acknowledged of a connection, asked of our own kernel.
//!
//! The ioctl for it (SIOCOUTQ) needs unsafe code; the same figure comes by way of netlink's sock_diag, as `ss` has it,
//! and any process may ask. A table in `/proc/net` has it too, but reading that walks all buckets of the kernel's hash
//! table: 10 ms a look where this takes microseconds.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const HEADER: usize = 16;
const BY_FAMILY: u16 = 20;
const ERROR: u16 = 2;
const REQUEST: u16 = 1;
const TCP: u8 = 6;
/// The kernel's `struct tcp_info` comes along.
const WITH_INFO: u8 = 1 << 1;
const INFO: u16 = 2;
const ATTRIBUTES: usize = 72;
/// Retransmissions or probes in a row without an answer, and milliseconds since the last one: nobody is there. A
/// server that hangs has a kernel that answers probes still.
const TRIES: u8 = 3;
const SILENCE: u32 = 10_000;

/// Asks about one connection.
#[derive(Debug)]
pub(super) struct Acknowledged {
    netlink: OwnedFd,
    request: Vec<u8>,
}

/// What the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Bytes that the far kernel has not acknowledged.
    pub(super) unacknowledged: u32,
    /// Nobody answers.
    pub(super) silent: bool,
}

impl Acknowledged {
    pub(super) fn new(local: SocketAddr, peer: SocketAddr) -> io::Result<Self> {
        let netlink = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkSockDiag,
        )?;
        let asks = Self {
            netlink,
            request: request(local, peer),
        };
        Ok(asks)
    }

    /// The answer is made while the question is sent, so nothing waits here.
    pub(super) fn look(&self) -> io::Result<Look> {
        let netlink = self.netlink.as_raw_fd();
        send(netlink, &self.request, MsgFlags::MSG_DONTWAIT)?;
        let mut answer = [0; 2048];
        let length = recv(netlink, &mut answer, MsgFlags::MSG_DONTWAIT)?;
        read(answer.get(..length).unwrap_or_default())
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`, in the machine's byte order but for the ports.
fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let family = match local {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let mut body = vec![u8::try_from(family as i32).unwrap_or(0), TCP, WITH_INFO, 0];
    // In any state.
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(peer.port().to_be_bytes());
    for address in [local.ip(), peer.ip()] {
        match address {
            IpAddr::V4(v4) => {
                body.extend(v4.octets());
                body.extend([0; 12]);
            }
            IpAddr::V6(v6) => body.extend(v6.octets()),
        }
    }
    let interface = match local {
        SocketAddr::V6(v6) => v6.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    body.extend(interface.to_ne_bytes());
    // No cookie: the addresses say enough.
    body.extend([0xff; 8]);
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn read(answer: &[u8]) -> io::Result<Look> {
    let strange = || io::Error::other("the kernel's answer about a connection can't be read");
    let body = answer.get(HEADER..).ok_or_else(strange)?;
    match half(answer, 4).ok_or_else(strange)? {
        BY_FAMILY => {}
        ERROR => {
            let code = word(body, 0).ok_or_else(strange)?.cast_signed();
            return Err(Errno::from_raw(code.wrapping_neg()).into());
        }
        _ => return Err(strange()),
    }
    let tries = *body.get(3).ok_or_else(strange)?;
    let unacknowledged = word(body, 60).ok_or_else(strange)?;
    let since = info(body.get(ATTRIBUTES..).unwrap_or_default()).and_then(|info| word(info, 56));
    Ok(Look {
        unacknowledged,
        silent: tries >= TRIES && since.is_none_or(|since| since >= SILENCE),
    })
}

fn info(mut attributes: &[u8]) -> Option<&[u8]> {
    loop {
        let length = usize::from(half(attributes, 0)?);
        if half(attributes, 2)? == INFO {
            return attributes.get(4..length);
        }
        // Of at least a header, or it would never end.
        attributes = attributes.get(length.max(4).next_multiple_of(4)..)?;
    }
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn pair(address: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind(address).unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    }

    #[test]
    fn says_what_the_far_kernel_has_not() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (mut near, mut far) = pair(address);
            let asks = Acknowledged::new(near.local_addr().unwrap(), near.peer_addr().unwrap()).unwrap();
            assert_eq!(asks.look().unwrap().unacknowledged, 0);
            near.set_nonblocking(true).unwrap();
            let mut written = 0;
            while let Ok(count) = near.write(&[0; 65_536]) {
                written += count;
            }
            let look = asks.look().unwrap();
            assert!(
                look.unacknowledged > 0 && (look.unacknowledged as usize) < written,
                "{look:?} {written}"
            );
            assert!(!look.silent);
            far.read_exact(&mut vec![0; written]).unwrap();
            assert_eq!(asks.look().unwrap().unacknowledged, 0);
            let nowhere = Acknowledged::new(near.peer_addr().unwrap(), near.peer_addr().unwrap()).unwrap();
            assert_eq!(nowhere.look().unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }

    #[test]
    fn what_it_cannot_read_is_an_error() {
        for answer in [&[0; 3][..], &[0; 16], &[0; 100]] {
            assert!(read(answer).is_err());
        }
    }
}
