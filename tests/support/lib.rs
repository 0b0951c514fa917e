//! Real parts for the tests, the demo and the benchmarks.
//!
//! ```text
//!   one test process                                     a Machine, one per test at a time
//!  ┌──────────────────────────────────────────┐         ┌─ namespaces: network, mounts, processes ────┐
//!  │ Rig (one)                                │         │  dockerd + containerd, docker0, containers  │
//!  │   docker-registry, password   127.0.0.1:P├◄─ Line ─┤  127.0.0.1:5000  registry                   │
//!  │   AWS stand-in (moto)         127.0.0.1:Q├◄─ Line ─┤  127.0.0.1:4566  AWS                        │
//!  │   metadata services (threads)            ├◄────────┤  127.0.0.1:1338  instance metadata          │
//!  │   pool of slots                          │         │  the agent's network                        │
//!  └──────────────────────────────────────────┘         └─────────────────────────────────────────────┘
//! ```
//!
//! A test takes a [`Machine`], says what its metadata service serves, starts the agent on it and watches:
//!
//! ```no_run
//! use std::{path::Path, time::Duration};
//! use monopod_testrig::Machine;
//!
//! let machine = Machine::acquire();
//! let image = machine.registry().image("web");
//! machine.set_user_data(&format!("#taupage-ami-config\nsource: {image}\n"));
//! let agent = machine.spawn(Path::new("target/debug/monopod"), &["run"]);
//! machine.notify().wait_for("READY=1", Duration::from_secs(30));
//! assert_eq!(machine.containers().len(), 1);
//! # drop(agent);
//! ```
//!
//! Invariants:
//! - Every process the rig starts dies with the test process, killed or not ([`process`]), and an engine takes its
//!   containers, mounts and networks with it ([`sandbox`]). Nothing on the host's network changes.
//! - Two tests never share an engine, an access key or a folder; two test processes never share a slot ([`pool`]).
//! - Every wait has a deadline ([`wait`]); what fails says what was tried and shows the log of the part that failed.
//!
//! The agent shares the machine's network only. Its files and processes are the host's, so its pid is what the test
//! sees, and the engine's log files are where the engine says they are; `State.Pid` of a container is not, see
//! [`Machine::host_pid`].
//!
//! It needs root, and what `tests/setup.sh` installs. `MONOPOD_RIG_ENGINES` is the number of machines at a time (3).

mod agent;
mod audit_server;
mod aws;
mod aws_balancers;
mod aws_ec2;
mod aws_lifecycle;
mod aws_sinks;
mod engine;
mod forward;
mod front;
mod gate;
mod guard;
mod http;
mod https;
mod identity;
mod images;
mod imds;
mod layout;
mod leaks;
mod line_server;
mod listener;
mod log_server;
mod machine;
mod notices;
mod numbered;
mod otlp;
mod place;
mod pool;
mod power;
mod process;
mod real;
mod registry;
mod rsyslog;
mod sandbox;
mod scalyr;
mod service;
mod small_disk;
mod sockets;
mod stage;
mod tls;
mod wait;

use std::sync::OnceLock;

pub use agent::{Agent, Line as OutputLine, Stream};
pub use audit_server::{AUDIT_PASSWORD, AUDIT_USER, AuditAnswer, AuditRecord, AuditServer};
pub use aws::{Aws, AwsCall, AwsFault};
pub use aws_balancers::{Balanced, Registration};
pub use aws_ec2::{EbsAttachment, EbsState, EbsVolume, VolumeWatch};
pub use aws_lifecycle::{Group, HealthReport, HookCompletion, HookHeartbeat, Metric, StackSignal};
pub use aws_sinks::{LogBatch, Object};
pub use forward::Line;
pub use front::{Answer, Front};
pub use guard::{Asked, GuardedRegistry};
pub use http::Response;
pub use https::Https;
pub use identity::Identity;
pub use images::Image;
pub use imds::{Imds, ImdsCall, Token};
pub use line_server::LineServer;
pub use log_server::{LogServer, Received, Transport};
pub use machine::{Dirs, Machine};
pub use nix::sys::signal::Signal;
pub use numbered::{Account, Marker, Numbered, WriterReport, writer_program};
pub use otlp::{OTLP_TOKEN, OtlpFault, OtlpRequest, OtlpServer};
pub use place::Where;
pub use real::{Disk, Neighbour, Off, RealMachine, Session, VirtualMachine};
pub use registry::{MIRROR, REGISTRY, REGISTRY_PASSWORD, REGISTRY_USER, Registry, Writer};
pub use rsyslog::Rsyslog;
pub use scalyr::{SCALYR_TOKEN, Scalyr, ScalyrEvent, ScalyrFault, ScalyrRequest};
pub use service::Service;
pub use small_disk::SmallDisk;
pub use sockets::{Datagram, NotifySocket, SyslogSocket};
pub use stage::{Piece, Stage};
pub use tls::{Presents, authority, other_authority};
pub use wait::{Journal, pause, wait_until};

/// Where the registry listens inside a machine.
pub const REGISTRY_PORT: u16 = 5000;
/// Where the mirror listens inside a machine.
pub const MIRROR_PORT: u16 = 5001;
/// Where AWS listens inside a machine.
pub const AWS_PORT: u16 = 4566;
/// Where the metadata service listens inside a machine.
pub const IMDS_PORT: u16 = 1338;
/// Where a [`Front`] of the registry listens inside a machine.
pub const FRONT_PORT: u16 = 5001;
/// Where an [`Https`] server listens inside a machine.
pub const HTTPS_PORT: u16 = 8443;

/// What all tests of a process share; each part is started when it is first needed.
pub struct Rig {
    pub(crate) pool: pool::Pool,
    registry: OnceLock<registry::Server>,
    mirror: OnceLock<registry::Server>,
    standin: OnceLock<aws::Standin>,
}

impl Rig {
    /// The rig of this process.
    #[must_use]
    pub fn get() -> &'static Self {
        static RIG: OnceLock<Rig> = OnceLock::new();
        RIG.get_or_init(|| {
            assert!(
                nix::unistd::geteuid().is_root(),
                "rig: this makes namespaces and runs Docker Engines: run it as root (sudo -E make test)"
            );
            layout::clear_dead_processes();
            Rig {
                pool: pool::Pool::new(),
                registry: OnceLock::new(),
                mirror: OnceLock::new(),
                standin: OnceLock::new(),
            }
        })
    }

    pub(crate) fn registry(&'static self) -> &'static registry::Server {
        self.registry
            .get_or_init(|| registry::Server::start("registry", &images::standard()))
    }

    pub(crate) fn mirror(&'static self) -> &'static registry::Server {
        self.mirror.get_or_init(|| registry::Server::start("mirror", &[]))
    }

    pub(crate) fn standin(&'static self) -> &'static aws::Standin {
        self.standin.get_or_init(aws::Standin::start)
    }

    /// Ends the idle machines now. Not needed: everything ends with the process.
    pub fn close(&self) {
        self.pool.close();
        layout::clear_own();
    }
}
