//! Bytes that hold a secret in every line: wiped wherever they were, and never shown.

use std::fmt;

use zeroize::Zeroizing;

/// A buffer. It is read from the front and grows at the back.
#[derive(Default)]
pub(super) struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Makes room. A vector that grows by itself would leave its old bytes behind.
    pub(super) fn reserve(&mut self, more: usize) {
        let needed = self.0.len().saturating_add(more);
        if needed > self.0.capacity() {
            let capacity = needed.max(self.0.capacity().saturating_mul(2));
            self.move_to(Vec::with_capacity(capacity));
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Forgets so many at the front, and gives room back that is far too much.
    pub(super) fn forget(&mut self, count: usize) {
        let count = count.min(self.0.len());
        let kept = self.0.len() - count;
        self.0.copy_within(count.., 0);
        self.0.truncate(kept);
        if kept == 0 {
            self.0 = Zeroizing::default();
        } else if self.0.capacity() / 4 > kept {
            self.move_to(Vec::with_capacity(kept));
        }
    }

    fn move_to(&mut self, room: Vec<u8>) {
        let mut room = Zeroizing::new(room);
        room.extend_from_slice(&self.0);
        self.0 = room;
    }
}

impl fmt::Debug for Wiped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Wiped({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_behind_and_forgets_in_front() {
        let mut bytes = Wiped::default();
        for _ in 0..1_000 {
            bytes.push(b"secret");
        }
        assert_eq!(bytes.as_slice(), b"secret".repeat(1_000));
        bytes.forget(5_998);
        assert_eq!(bytes.as_slice(), b"et");
        assert!(bytes.0.capacity() < 100);
        assert_eq!(format!("{bytes:?}"), "Wiped(2 bytes)");
        bytes.forget(3);
        assert_eq!((bytes.len(), bytes.0.capacity()), (0, 0));
    }
}
