//! The local HTTP server: `/health`, `/ready`, `/status`, `/metrics`.
//!
//! Design: one task on the agent's own thread accepts; each connection is a task that answers one request from the
//! record in memory and ends. Nothing is asked of the engine or of AWS, so an answer is there when they are not, and takes
//! a fraction of a millisecond of the supervisor's time. Only `/metrics` waits for something: the machine's own figures, read
//! on a thread beside, for a bounded time.
//!
//! Invariants
//! - Connections are bounded in number and in time, as [`Connections`] has it.
//! - It only reads: GET and HEAD. What it says has passed the redactor.
//! - It ends nothing: a port that is taken is told once, and tried again.
//!
//! Deliberately absent: TLS and passwords. It listens on loopback unless the user data says otherwise.

mod answer;
mod cgroup;
mod figures;
mod host;
mod textfiles;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::lifecycle::StatusAddress;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::host::accept::{Connections, PAUSE};
use crate::report::Reporter;

/// Between two tries to have the port.
const AGAIN: Duration = Duration::from_secs(10);

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
            Ok((stream, _)) => {
                let (reporter, gatherer) = (reporter.clone(), Arc::clone(&gatherer));
                connections.begin(stream, move |request| {
                    let (reporter, gatherer) = (reporter.clone(), Arc::clone(&gatherer));
                    async move { answer::answer(&request, &reporter, &gatherer).await }
                });
            }
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
