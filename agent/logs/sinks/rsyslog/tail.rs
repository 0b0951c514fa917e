//! What was written to the connection last, kept for the next one.
//!
//! Syslog has no acknowledgement. What the far kernel has acknowledged, the far process may not have read, and when it
//! is killed or restarted nobody tells. So frames stay here for a while after they were written, and all there are go
//! out again when the connection ends: lines may come twice then, and are not missing. A server that ends every
//! connection gets them no more than [`TIMES`] once they are old enough, and not for ever.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// At most this much is kept and may come twice, once the far kernel has it. What it hasn't stays, whatever its size.
pub(super) const KEEP: usize = 1024 * 1024;
/// A server that lives has read what its kernel acknowledged so long ago.
pub(super) const SETTLED: Duration = Duration::from_secs(10);

/// What was written so often, the first time [`SETTLED`] ago, is not written again.
const TIMES: u32 = 3;

/// Frames, oldest first: those written to this connection, then those that are not yet.
#[derive(Debug, Default)]
pub(super) struct Tail {
    chunks: VecDeque<Chunk>,
    bytes: usize,
    /// Chunks that are written, and bytes of the next one that are.
    written: (usize, usize),
    /// Bytes written to this connection.
    sent: u64,
}

#[derive(Debug)]
struct Chunk {
    bytes: Vec<u8>,
    /// When it was written, and where this connection's bytes ended then.
    end: Option<(Instant, u64)>,
    /// When it was first written, to whichever connection.
    first: Option<Instant>,
    /// To how many connections.
    times: u32,
}

impl Chunk {
    fn is_done(&self, now: Instant) -> bool {
        self.times >= TIMES && self.first.is_some_and(|first| first + SETTLED <= now)
    }
}

impl Tail {
    pub(super) fn push(&mut self, mut bytes: Vec<u8>) {
        bytes.shrink_to_fit();
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk {
            bytes,
            end: None,
            first: None,
            times: 0,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The rest of the chunk that is to be written next.
    pub(super) fn unwritten(&self) -> Option<&[u8]> {
        let (at, offset) = self.written;
        self.chunks.get(at)?.bytes.get(offset..)
    }

    /// The connection took so many bytes of it.
    pub(super) fn wrote(&mut self, count: usize, now: Instant) {
        let (at, offset) = &mut self.written;
        self.sent += count as u64;
        *offset += count;
        if let Some(chunk) = self.chunks.get_mut(*at)
            && *offset >= chunk.bytes.len()
        {
            chunk.end = Some((now, self.sent));
            chunk.first.get_or_insert(now);
            chunk.times += 1;
            (*at, *offset) = (*at + 1, 0);
        }
    }

    /// The connection is gone: all of it has to be written again, but what was often enough.
    pub(super) fn rewind(&mut self, now: Instant) {
        while self.chunks.front().is_some_and(|chunk| chunk.is_done(now)) {
            self.forget();
        }
        self.chunks.iter_mut().for_each(|chunk| chunk.end = None);
        (self.written, self.sent) = ((0, 0), 0);
    }

    /// Forgets the oldest beyond what is kept, of what the far kernel has: all but the last `unacknowledged` bytes.
    pub(super) fn trim(&mut self, unacknowledged: u64) {
        let acknowledged = self.sent.saturating_sub(unacknowledged);
        while self.bytes > KEEP
            && let Some((_, end)) = self.chunks.front().and_then(|chunk| chunk.end)
            && end <= acknowledged
        {
            self.forget();
        }
    }

    /// The far kernel has everything: forgets what has been there long enough too.
    pub(super) fn settle(&mut self, now: Instant) {
        self.trim(0);
        while let Some((written, _)) = self.chunks.front().and_then(|chunk| chunk.end)
            && written + SETTLED <= now
        {
            self.forget();
        }
        if self.chunks.is_empty() {
            self.chunks = VecDeque::new();
        }
    }

    fn forget(&mut self) {
        if let Some(chunk) = self.chunks.pop_front() {
            self.bytes -= chunk.bytes.len();
            self.written.0 = self.written.0.saturating_sub(1);
        }
    }

    /// When the last of it will have been there long enough.
    pub(super) fn settled_at(&self) -> Option<Instant> {
        let (written, _) = self.chunks.back()?.end?;
        Some(written + SETTLED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(tail: &mut Tail, now: Instant) -> Vec<u8> {
        let mut out = Vec::new();
        while let Some(rest) = tail.unwritten() {
            let count = rest.len().min(3);
            out.extend_from_slice(&rest[..count]);
            tail.wrote(count, now);
        }
        out
    }

    #[test]
    fn goes_out_again_after_a_connection_ended_and_not_for_ever() {
        let (mut tail, now) = (Tail::default(), Instant::now());
        tail.push(b"one two ".to_vec());
        assert_eq!(tail.settled_at(), None);
        assert_eq!(write(&mut tail, now), b"one two ");
        tail.push(b"three".to_vec());
        assert_eq!(write(&mut tail, now + SETTLED / 2), b"three");
        tail.rewind(now + SETTLED / 2);
        assert_eq!(write(&mut tail, now + SETTLED / 2), b"one two three");
        assert_eq!(tail.settled_at(), Some(now + SETTLED / 2 + SETTLED));
        tail.settle(now + SETTLED);
        assert_eq!(tail.bytes, 13);
        tail.settle(now + SETTLED / 2 + SETTLED);
        assert!(tail.is_empty() && tail.bytes == 0);
        tail.push(b"four".to_vec());
        assert_eq!(write(&mut tail, now), b"four");
    }

    #[test]
    fn a_server_that_ends_every_connection_gets_no_line_for_ever() {
        let (mut tail, start) = (Tail::default(), Instant::now());
        // In quick succession nothing is old enough to be given up.
        tail.push(b"one".to_vec());
        for _ in 0..5 {
            assert_eq!(write(&mut tail, start), b"one");
            tail.rewind(start + SETTLED / 2);
        }
        let mut tail = Tail::default();
        tail.push(b"one".to_vec());
        let mut times = 0;
        for round in 0..10 {
            let now = start + round * SETTLED;
            tail.rewind(now);
            times += u32::from(!write(&mut tail, now).is_empty());
        }
        assert_eq!(times, TIMES);
        assert!(tail.is_empty() && tail.bytes == 0);
    }

    #[test]
    fn keeps_a_bounded_rest_but_all_that_the_far_kernel_has_not() {
        let (mut tail, now) = (Tail::default(), Instant::now());
        for _ in 0..10 {
            tail.push(vec![b'x'; KEEP / 4]);
            write(&mut tail, now);
        }
        let all = tail.bytes as u64;
        tail.trim(all);
        assert_eq!(tail.bytes as u64, all);
        tail.trim(all - KEEP as u64 / 4);
        assert_eq!(tail.bytes, KEEP / 4 * 9);
        tail.trim(0);
        assert_eq!(tail.bytes, KEEP);
        tail.rewind(now);
        tail.trim(0);
        assert_eq!(write(&mut tail, now).len(), KEEP);
    }
}
