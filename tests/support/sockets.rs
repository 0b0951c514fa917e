//! The two sockets a host gives its daemons: systemd's notification socket, and syslog's.

use std::fs;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::wait::{Journal, lock};

/// One datagram, as text, with the time it came.
#[derive(Clone, Debug)]
pub struct Datagram {
    /// Its text; bytes that aren't UTF-8 are replaced.
    pub text: String,
    /// When it was read.
    pub at: Instant,
}

/// A bound datagram socket and the thread that reads it.
struct Inbox {
    path: PathBuf,
    socket: UnixDatagram,
    closing: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Inbox {
    fn open(path: &Path, journal: Journal<Datagram>) -> Self {
        let socket =
            UnixDatagram::bind(path).unwrap_or_else(|e| panic!("rig: binding {}: {e}", path.display()));
        let incoming = socket.try_clone().expect("rig: duplicating a descriptor");
        let closing = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&closing);
        let reader = thread::spawn(move || {
            // As large as a datagram can be.
            let mut buffer = vec![0; 256 * 1024];
            while let Ok(count) = incoming.recv(&mut buffer) {
                if count == 0 && flag.load(Ordering::SeqCst) {
                    return;
                }
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                journal.push(Datagram {
                    text,
                    at: Instant::now(),
                });
            }
        });
        Self {
            path: path.to_owned(),
            socket,
            closing,
            reader: Some(reader),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        drop(fs::remove_file(&self.path));
        // Wakes the reader, which sees an empty datagram and the flag.
        drop(self.socket.shutdown(Shutdown::Both));
        if let Some(reader) = self.reader.take() {
            drop(reader.join());
        }
    }
}

/// systemd's end of `NOTIFY_SOCKET`.
pub struct NotifySocket {
    journal: Journal<Datagram>,
    path: PathBuf,
    _inbox: Inbox,
}

impl NotifySocket {
    /// A socket at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let journal = Journal::default();
        Self {
            _inbox: Inbox::open(path, journal.clone()),
            journal,
            path: path.to_owned(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All messages so far; each may hold several lines.
    #[must_use]
    pub fn messages(&self) -> Vec<Datagram> {
        self.journal.entries()
    }

    /// All assignments so far, one line each, in order: `STATUS=...`, `READY=1`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.messages()
            .iter()
            .flat_map(|message| message.text.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    }

    /// The messages as they come.
    #[must_use]
    pub fn journal(&self) -> &Journal<Datagram> {
        &self.journal
    }

    /// Waits for a message with a line that starts so; panics with everything that came instead.
    pub fn wait_for(&self, start: &str, within: Duration) -> Datagram {
        self.wait_for_nth(start, 1, within)
    }

    /// The same for the `nth` such message, counted from 1.
    pub fn wait_for_nth(&self, start: &str, nth: usize, within: Duration) -> Datagram {
        let found = self.journal.wait_for(within, |all| {
            let mut fitting = all
                .iter()
                .filter(|message| message.text.lines().any(|line| line.starts_with(start)));
            fitting.nth(nth - 1).cloned()
        });
        found.unwrap_or_else(|| {
            panic!(
                "rig: no {start:?} (number {nth}) at the notification socket within {within:?}; it got {:#?}",
                self.lines()
            )
        })
    }

    /// Forgets what came so far.
    pub fn clear(&self) {
        self.journal.clear();
    }
}

/// A syslog socket, as /dev/log is one, that keeps what it gets.
pub struct SyslogSocket {
    journal: Journal<Datagram>,
    path: PathBuf,
    inbox: Mutex<Option<Inbox>>,
}

impl SyslogSocket {
    /// A socket at `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        let journal = Journal::default();
        let inbox = Inbox::open(path, journal.clone());
        Self {
            journal,
            path: path.to_owned(),
            inbox: Mutex::new(Some(inbox)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log server stops: the socket and its file are gone.
    pub fn down(&self) {
        *lock(&self.inbox) = None;
    }

    /// The log server starts again: a new socket under the same name.
    pub fn up(&self) {
        let mut inbox = lock(&self.inbox);
        if inbox.is_none() {
            *inbox = Some(Inbox::open(&self.path, self.journal.clone()));
        }
    }

    /// All lines so far, as they came: `<30>Nov 21 04:00:00 host tag[1]: text`.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.journal.entries().into_iter().map(|line| line.text).collect()
    }

    /// The lines as they come.
    #[must_use]
    pub fn journal(&self) -> &Journal<Datagram> {
        &self.journal
    }

    /// Waits for a line that contains this; panics with the last lines that came instead.
    pub fn wait_for(&self, part: &str, within: Duration) -> Datagram {
        let found = self.journal.wait_for(within, |all| {
            all.iter().find(|line| line.text.contains(part)).cloned()
        });
        found.unwrap_or_else(|| {
            let lines = self.lines();
            let last: Vec<&String> = lines.iter().rev().take(20).rev().collect();
            panic!(
                "rig: no {part:?} at the syslog socket within {within:?}; of {} lines the last: {last:#?}",
                lines.len()
            )
        })
    }

    /// Forgets what came so far.
    pub fn clear(&self) {
        self.journal.clear();
    }
}
