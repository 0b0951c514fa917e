//! Where a server of the rig listens: on the host's loopback, for tests of a sink alone, or on a machine's, for tests of
//! the agent.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::layout::{self, make_dir};
use crate::machine::Machine;
use crate::process::tied;
use crate::sandbox::Network;

/// Ports are taken below those the kernel gives to outgoing connections: one that a stopped server has left stays free.
const PORTS: std::ops::Range<u32> = 20_000..32_000;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Where a server listens.
#[derive(Clone, Copy)]
pub enum Where<'a> {
    /// On the host's 127.0.0.1.
    Host,
    /// On the machine's 127.0.0.1, as its agents see it, until its power is cut.
    Machine(&'a Machine),
}

impl Where<'_> {
    pub(crate) fn network(self) -> Arc<Network> {
        match self {
            Self::Host => Arc::new(Network::own()),
            Self::Machine(machine) => machine.network(),
        }
    }

    /// A folder of its own for a server's files.
    pub(crate) fn folder(self, name: &str) -> PathBuf {
        let base = match self {
            Self::Host => layout::process(),
            Self::Machine(machine) => machine.dirs().base.clone(),
        };
        let folder = base.join(format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        make_dir(&folder);
        folder
    }

    /// A port nobody listens at, over TCP or UDP.
    pub(crate) fn free_port(self) -> u16 {
        self.network()
            .enter(|| {
                let room = PORTS.end - PORTS.start;
                // Test processes start at different places, and no port is given twice.
                let first = std::process::id().wrapping_mul(97);
                for _ in 0..room {
                    let step = first.wrapping_add(NUMBER.fetch_add(1, Ordering::Relaxed));
                    let port = u16::try_from(PORTS.start + step % room).unwrap_or(u16::MAX);
                    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
                    if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
                        return Ok(port);
                    }
                }
                Err(std::io::Error::other("none is free"))
            })
            .unwrap_or_else(|e| panic!("rig: looking for a free port: {e}"))
    }

    /// A command that listens there, and dies with the test process. Its pid is the program's.
    pub(crate) fn command(self, program: &str) -> Command {
        match self {
            Self::Host => tied(program),
            Self::Machine(machine) => {
                let mut command = tied("nsenter");
                command
                    .arg(format!("--net=/proc/{}/ns/net", machine.init()))
                    .arg("--")
                    .arg(program);
                command
            }
        }
    }
}
