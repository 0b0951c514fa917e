//! Waiting, always with a deadline.
//!
//! [`Journal`] is how the rig waits for what it records itself (lines, datagrams, requests): a waiter wakes when an
//! entry arrives. [`wait_until`] is for what must be asked again and again, and the only place that polls.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long [`wait_until`] rests between two questions: short beside anything an engine does.
const POLL: Duration = Duration::from_millis(15);

/// Asks `probe` until it answers, for at most `within`; `None` when the time is up.
pub fn wait_until<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + within;
    loop {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        thread::park_timeout(left.min(POLL));
    }
}

/// Lets time pass: for faults that are delays, and for showing that something does *not* happen.
pub fn pause(time: Duration) {
    let end = Instant::now() + time;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        thread::park_timeout(left);
    }
}

/// Locks, whatever another thread's panic left: the rig's state is valid between any two statements.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Entries in the order they arrived, shared between who records and who waits.
#[derive(Debug)]
pub struct Journal<T> {
    inner: Arc<(Mutex<Vec<T>>, Condvar)>,
}

impl<T> Clone for Journal<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> Default for Journal<T> {
    fn default() -> Self {
        Self {
            inner: Arc::new((Mutex::new(Vec::new()), Condvar::new())),
        }
    }
}

impl<T: Clone> Journal<T> {
    pub(crate) fn push(&self, entry: T) {
        lock(&self.inner.0).push(entry);
        self.inner.1.notify_all();
    }

    pub(crate) fn clear(&self) {
        lock(&self.inner.0).clear();
    }

    /// All entries so far.
    #[must_use]
    pub fn entries(&self) -> Vec<T> {
        lock(&self.inner.0).clone()
    }

    /// Waits until `find` answers for the entries so far; asked again for every new one.
    pub fn wait_for<R>(&self, within: Duration, mut find: impl FnMut(&[T]) -> Option<R>) -> Option<R> {
        let end = Instant::now() + within;
        let mut entries = lock(&self.inner.0);
        loop {
            if let Some(found) = find(&entries) {
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            entries = self
                .inner
                .1
                .wait_timeout(entries, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}
