//! The local HTTP server: `/health`, `/ready`, `/status`, `/metrics`.
//!
//! Design: one task on the agent's own thread accepts; each connection is a task that answers one request from the
//! record in memory and ends. Nothing is asked of the engine or of AWS, so an answer is there when they are not, and takes
//! a fraction of a millisecond of the supervisor's time. Only `/metrics` waits for something: the machine's own figures, read
//! on a thread beside, for a bounded time.
//!
//! Invariants
//! - At most [`CONNECTIONS`] at a time: the newest is let in and the oldest dropped, so that clients which send nothing
//!   keep nobody out. Each has [`WHOLE`] from its first byte to its last.
//! - It only reads: GET and HEAD. What it says has passed the redactor.
//! - It ends nothing: a port that is taken is told once, and tried again.
//!
//! Deliberately absent: TLS and passwords. It listens on loopback unless the user data says otherwise.

mod answer;
mod cgroup;
mod figures;
mod host;
mod textfiles;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use monopod_core::event::Event;
use monopod_core::lifecycle::StatusAddress;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

use crate::report::Reporter;

/// More at a time are not let in.
const CONNECTIONS: usize = 32;
/// A request's head has to be there by then.
const HEAD: Duration = Duration::from_secs(5);
/// A connection has to be over by then.
const WHOLE: Duration = Duration::from_secs(10);
/// A head may be so long: the least that hyper allows.
const HEAD_BYTES: usize = 8192;
/// And have so many lines.
const HEADERS: usize = 64;
/// Between two tries to have the port.
const AGAIN: Duration = Duration::from_secs(10);
/// After a failure to accept, which is one of too many descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// Serves at one address at a time.
pub struct Server {
    reporter: Reporter,
    gatherer: Arc<figures::Gatherer>,
    running: Mutex<Option<Running>>,
}

struct Running {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Running {
    /// With the task go its listener and its connections.
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// Serves nowhere yet.
    pub fn new(reporter: Reporter) -> Self {
        Self {
            reporter,
            gatherer: Arc::default(),
            running: Mutex::default(),
        }
    }

    /// Serves there from now on, and nowhere else. Asked again for the same address it changes nothing.
    pub fn ensure_at(&self, address: StatusAddress) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.as_ref().map(|running| running.address) == address.0 {
            return;
        }
        *running = address.0.map(|address| Running {
            address,
            task: tokio::spawn(serve(address, self.reporter.clone(), Arc::clone(&self.gatherer))),
        });
    }

    /// Takes figures of teams' own from that directory, from now on.
    pub fn read_textfiles_in(&self, directory: Option<PathBuf>) {
        self.gatherer.read_textfiles_in(directory);
    }

    /// The text of a scrape, for whoever pushes it.
    pub async fn exposition(&self) -> String {
        self.gatherer.scrape(&self.reporter).await
    }
}

async fn serve(address: SocketAddr, reporter: Reporter, gatherer: Arc<figures::Gatherer>) {
    let listener = listen(address, &reporter).await;
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.begin(stream, &reporter, &gatherer),
            Err(error) => {
                tracing::debug!("a connection to {address} was not accepted, ignoring: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The port, as soon as it is to be had. A restarted agent has it at once: tokio sets `SO_REUSEADDR`.
async fn listen(address: SocketAddr, reporter: &Reporter) -> TcpListener {
    let mut told = None;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!("status and metrics are served at http://{address}");
                return listener;
            }
            Err(error) => {
                let text = refused(address, &error);
                if told.as_ref() != Some(&text) {
                    reporter.tell(Event::Warning { text: text.clone() });
                    told = Some(text);
                }
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> String {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => "another process on this machine uses that port".to_owned(),
        _ => error.to_string(),
    };
    format!(
        "status and metrics are not served at {address}: {why}; trying again every {} s, `status_address` can name another port, or `none`",
        AGAIN.as_secs()
    )
}

/// Those that go on, oldest first.
#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    handles: VecDeque<AbortHandle>,
}

impl Connections {
    fn begin(&mut self, stream: TcpStream, reporter: &Reporter, gatherer: &Arc<figures::Gatherer>) {
        while self.tasks.try_join_next().is_some() {}
        self.handles.retain(|handle| !handle.is_finished());
        if self.handles.len() >= CONNECTIONS
            && let Some(oldest) = self.handles.pop_front()
        {
            oldest.abort();
        }
        self.handles.push_back(
            self.tasks
                .spawn(answer_one(stream, reporter.clone(), Arc::clone(gatherer))),
        );
    }
}

/// One request, one answer, and the connection is over.
async fn answer_one(stream: TcpStream, reporter: Reporter, gatherer: Arc<figures::Gatherer>) {
    let (reporter, gatherer) = (&reporter, &gatherer);
    let service =
        service_fn(async |request| Ok::<_, Infallible>(answer::answer(&request, reporter, gatherer).await));
    let connection = http1::Builder::new()
        .keep_alive(false)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(WHOLE, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!("a client of the status went away, ignoring: {error}"),
    }
}
