//! Many datagrams with one call to the kernel: at a line a datagram, the calls cost more than the lines.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, sendmmsg};

/// As many as one call takes. Larger ones gain nothing and hold more memory.
const AT_ONCE: usize = 64;

/// Datagrams in one piece of memory.
#[derive(Debug, Default)]
pub(super) struct Datagrams {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Datagrams {
    /// Adds one, in pieces.
    pub(super) fn push(&mut self, pieces: [&[u8]; 3]) {
        pieces
            .iter()
            .for_each(|piece| self.bytes.extend_from_slice(piece));
        self.ends.push(self.bytes.len());
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Empties it and gives memory back that an ordinary round doesn't need.
    pub(super) fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(keep);
        self.ends.clear();
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn get(&self, at: usize) -> Option<&[u8]> {
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(start..*self.ends.get(at)?)
    }

    /// Hands as many as it takes to a connected socket, beginning with that one, without waiting. How many it took; an
    /// error when it didn't take the first.
    pub(super) fn send(&self, socket: &impl AsRawFd, from: usize) -> io::Result<usize> {
        let slices: Vec<[IoSlice<'_>; 1]> = (from..self.len())
            .take(AT_ONCE)
            .filter_map(|at| Some([IoSlice::new(self.get(at)?)]))
            .collect();
        let mut headers = MultiHeaders::<()>::preallocate(slices.len(), None);
        let addresses = [None; AT_ONCE];
        let none: [ControlMessage<'_>; 0] = [];
        let sent = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            slices.iter(),
            addresses,
            none,
            MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
        )?;
        Ok(sent.count())
    }
}
