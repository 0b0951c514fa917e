//! A socket between the agent and its engine that notes when the agent first calls, and what it had used by then.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// What was seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// The first connection.
    pub(crate) first_call: Option<Instant>,
    /// The request that creates the container.
    pub(crate) create: Option<Instant>,
    /// Processor time of the agent when that request arrived.
    pub(crate) cpu_at_create: Option<Duration>,
    /// The last time the agent said anything.
    pub(crate) last_call: Option<Instant>,
}

/// What was seen, of which process, and the bell that rings for it.
type Shared = Arc<(Mutex<(Seen, Option<u32>)>, Condvar)>;

pub(crate) struct EngineProxy {
    path: PathBuf,
    shared: Shared,
}

impl EngineProxy {
    pub(crate) fn new(path: PathBuf, engine: &Path) -> Self {
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).expect("bench: a socket for the proxy");
        let shared: Shared = Arc::default();
        let (engine, state) = (engine.to_owned(), Arc::clone(&shared));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let now = Instant::now();
                state.0.lock().expect("bench").0.first_call.get_or_insert(now);
                let server = UnixStream::connect(&engine).expect("bench: the engine listens");
                forward(client, server, &state);
            }
        });
        Self { path, shared }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Forgets what was seen; the agent to watch is told by [`Self::watch`].
    pub(crate) fn reset(&self) {
        *self.shared.0.lock().expect("bench") = Default::default();
    }

    pub(crate) fn watch(&self, pid: u32) {
        self.shared.0.lock().expect("bench").1 = Some(pid);
    }

    /// When the agent said something last.
    pub(crate) fn last_call(&self) -> Option<Instant> {
        self.shared.0.lock().expect("bench").0.last_call
    }

    /// Waits for the request that creates the container.
    pub(crate) fn wait_create(&self) -> Seen {
        let (lock, condition) = &*self.shared;
        let guard = lock.lock().expect("bench");
        let (guard, timeout) = condition
            .wait_timeout_while(guard, Duration::from_secs(60), |state| state.0.create.is_none())
            .expect("bench");
        assert!(
            !timeout.timed_out(),
            "bench: the agent never asked to create a container"
        );
        guard.0
    }
}

fn forward(client: UnixStream, server: UnixStream, state: &Shared) {
    let (mut from_client, mut to_server) = (
        client.try_clone().expect("bench"),
        server.try_clone().expect("bench"),
    );
    let state = Arc::clone(state);
    thread::spawn(move || {
        let mut buffer = vec![0u8; 64 * 1024];
        while let Ok(count @ 1..) = from_client.read(&mut buffer) {
            let mut seen = state.0.lock().expect("bench");
            seen.0.last_call = Some(Instant::now());
            if buffer[..count].starts_with(b"POST /containers/create") {
                seen.0.create.get_or_insert_with(Instant::now);
                let cpu = seen.1.and_then(cpu_time);
                seen.0.cpu_at_create = seen.0.cpu_at_create.or(cpu);
                state.1.notify_all();
            }
            drop(seen);
            if to_server.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        drop(to_server.shutdown(Shutdown::Write));
    });
    let (mut from_server, mut to_client) = (server, client);
    thread::spawn(move || {
        drop(std::io::copy(&mut from_server, &mut to_client));
        drop(to_client.shutdown(Shutdown::Both));
    });
}

/// Processor time of a process and its threads, to the nanosecond.
fn cpu_time(pid: u32) -> Option<Duration> {
    let mut total = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let text = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(Duration::from_nanos(total))
}
