//! A web server behind TLS in a machine's network, with a certificate that only its own authority vouches for.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use crate::HTTPS_PORT;
use crate::layout::{self, make_dir};
use crate::machine::Machine;
use crate::process::{Part, tied};

/// The server; stopped on drop.
#[derive(Debug)]
pub struct Https {
    dir: PathBuf,
    part: Part,
}

impl Https {
    /// Starts it inside the machine, with nothing to serve yet.
    #[must_use]
    pub fn start(machine: &Machine) -> Self {
        let dir = machine.dirs().base.join("https");
        make_dir(&dir.join("files"));
        let mut command = tied("nsenter");
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(format!("--net=/proc/{}/ns/net", machine.init()))
            .arg("--")
            .arg(layout::python())
            .arg(layout::support().join("https_server.py"))
            .arg(&dir)
            .arg(HTTPS_PORT.to_string());
        let part = Part::start("https server", command, &dir.join("log"));
        part.ready(Duration::from_secs(30), |log| {
            log.contains("listening").then_some(())
        });
        Self { dir, part }
    }

    /// Serves a file, and gives its address.
    #[must_use]
    pub fn put(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.dir.join("files").join(name);
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("rig: writing {}: {e}", path.display()));
        format!("https://127.0.0.1:{HTTPS_PORT}/{name}")
    }

    /// The authority's certificate, for `SSL_CERT_FILE`.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// Nobody is there any more.
    pub fn down(&self) {
        self.part.kill();
    }
}
