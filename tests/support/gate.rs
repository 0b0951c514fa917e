//! A listening port inside a machine's network that can be closed and opened again while a test runs.
//!
//! A socket belongs to the network namespace of the thread that made it and can be used from any other, so one short
//! thread enters the namespace to bind, and everything else stays where it is.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::sandbox::Network;
use crate::wait::{lock, wait_until};

type Handler = Box<dyn Fn(TcpStream) + Send + Sync>;

/// The port; open from the start. Closed for good on drop.
pub(crate) struct Gate {
    shared: Arc<Shared>,
    open: Mutex<Option<Open>>,
}

struct Open {
    network: Arc<Network>,
    closing: Arc<AtomicBool>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    address: SocketAddr,
    handler: Handler,
    connections: Mutex<HashMap<u64, TcpStream>>,
    next: AtomicU64,
}

impl Gate {
    /// At a port of the machine's loopback.
    pub(crate) fn new(
        network: &Arc<Network>,
        port: u16,
        handler: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        Self::at(network, (Ipv4Addr::LOCALHOST, port), handler)
    }

    /// At any address that the network has.
    pub(crate) fn at(
        network: &Arc<Network>,
        address: impl Into<SocketAddr>,
        handler: impl Fn(TcpStream) + Send + Sync + 'static,
    ) -> Self {
        let shared = Arc::new(Shared {
            address: address.into(),
            handler: Box::new(handler),
            connections: Mutex::default(),
            next: AtomicU64::new(0),
        });
        let gate = Self {
            shared,
            open: Mutex::new(None),
        };
        gate.open(network);
        gate
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Listens, unless it does already.
    pub(crate) fn open(&self, network: &Arc<Network>) {
        let mut open = lock(&self.open);
        if open.is_some() {
            return;
        }
        let address = self.shared.address;
        // A namespace that has just been made may still be bringing its loopback up.
        let mut last = None;
        let listener = wait_until(Duration::from_secs(2), || {
            network
                .enter(move || TcpListener::bind(address))
                .map_err(|e| last = Some(e))
                .ok()
        })
        .unwrap_or_else(|| panic!("rig: listening at {address} inside a machine: {last:?}"));
        let closing = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (Arc::clone(&self.shared), Arc::clone(&closing));
        let acceptor = thread::spawn(move || accept(&shared, &listener, &flag));
        *open = Some(Open {
            network: Arc::clone(network),
            closing,
            acceptor,
        });
    }

    /// Refuses connections from now on and cuts those there are.
    pub(crate) fn close(&self) {
        if let Some(open) = lock(&self.open).take() {
            open.closing.store(true, Ordering::SeqCst);
            let address = self.shared.address;
            // Wakes the acceptor; it sees the flag and lets the listener go.
            drop(open.network.enter(move || TcpStream::connect(address)));
            drop(open.acceptor.join());
        }
        self.sever();
    }

    /// Cuts the connections there are; new ones are welcome.
    pub(crate) fn sever(&self) {
        for (_, stream) in lock(&self.shared.connections).drain() {
            // One that has ended by itself is what we want too.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.open).is_some()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.close();
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, closing: &AtomicBool) {
    for stream in listener.incoming() {
        if closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if let Err(error) = serve(shared, stream) {
            eprintln!(
                "rig: {}: a connection was lost before it was served: {error}",
                shared.address
            );
        }
    }
}

fn serve(shared: &Arc<Shared>, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let id = shared.next.fetch_add(1, Ordering::SeqCst);
    lock(&shared.connections).insert(id, stream.try_clone()?);
    let shared = Arc::clone(shared);
    thread::spawn(move || {
        (shared.handler)(stream);
        if let Some(stream) = lock(&shared.connections).remove(&id) {
            drop(stream.shutdown(Shutdown::Both));
        }
    });
    Ok(())
}
