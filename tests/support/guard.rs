//! Registries of one machine's own, each with another guard in front: a token server, or a gate that looks at passwords.
//! The images are those of the shared registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::layout::{self, make_dir};
use crate::machine::Machine;
use crate::process::{Part, tied};
use crate::registry::{REGISTRY, REGISTRY_PASSWORD, REGISTRY_USER};

/// Where a guarded registry listens inside a machine.
const PORT: u16 = 5001;
/// Where its token server does.
const TOKENS_PORT: u16 = 5002;
const PATIENCE: Duration = Duration::from_secs(30);

/// What a guard was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// GET or HEAD.
    pub method: String,
    /// Which of its names it was asked by.
    pub host: String,
    /// With the query.
    pub path: String,
    /// The header, as it came.
    pub authorization: Option<String>,
}

/// A registry with a guard; both are stopped on drop.
#[derive(Debug)]
pub struct GuardedRegistry {
    dir: PathBuf,
    parts: Vec<Part>,
}

impl GuardedRegistry {
    /// docker-registry itself, taking tokens of its token server only, which knows [`REGISTRY_USER`].
    #[must_use]
    pub fn with_tokens(machine: &Machine) -> Self {
        let dir = folder(machine);
        fs::write(dir.join("life"), "300").expect("rig: writing a token's life");
        let tokens = guard(machine, &dir, &["tokens", &TOKENS_PORT.to_string()]);
        let settings = json!({
            "version": "0.1",
            "log": {"accesslog": {"disabled": true}, "level": "info"},
            "storage": {"filesystem": {"rootdirectory": layout::home().join("registry")}},
            "http": {"addr": format!("127.0.0.1:{PORT}"), "relativeurls": true},
            "auth": {"token": {
                "realm": format!("http://127.0.0.1:{TOKENS_PORT}/token"),
                "service": "rig",
                "issuer": "rig",
                "rootcertbundle": dir.join("tokens.pem"),
            }},
        });
        let config = dir.join("registry.json");
        fs::write(&config, settings.to_string()).expect("rig: writing a registry's settings");
        let mut command = inside(machine);
        command.arg("docker-registry").arg("serve").arg(&config);
        let registry = Part::start("registry with tokens", command, &dir.join("registry.log"));
        registry.ready(PATIENCE, |log| log.contains("listening on").then_some(()));
        Self {
            dir,
            parts: vec![registry, tokens],
        }
    }

    /// A gate in front of the shared registry, which lets in who sends one of these logins, `user:password`; one that ends
    /// in `*` stands for all that begin so. It keeps its blobs elsewhere, and redirects there.
    #[must_use]
    pub fn with_gate(machine: &Machine, logins: &[&str]) -> Self {
        let dir = folder(machine);
        fs::write(dir.join("logins"), logins.join("\0")).expect("rig: writing a gate's logins");
        let gate = guard(machine, &dir, &["gate", &PORT.to_string(), REGISTRY]);
        Self {
            dir,
            parts: vec![gate],
        }
    }

    /// Its name in image references.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{PORT}")
    }

    /// The reference of one of the shared registry's images, by that of it.
    #[must_use]
    pub fn image(&self, shared: &str) -> String {
        shared.replacen(REGISTRY, &self.host(), 1)
    }

    /// How long tokens last from now on, in seconds.
    pub fn token_life(&self, seconds: u64) {
        fs::write(self.dir.join("life"), seconds.to_string()).expect("rig: writing a token's life");
    }

    /// What the guard was asked so far: the token server, or the gate.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        let text = fs::read_to_string(self.dir.join("asked")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|line| {
                let text = |name: &str| line[name].as_str().map(str::to_owned);
                Asked {
                    method: text("method").unwrap_or_default(),
                    host: text("host").unwrap_or_default(),
                    path: text("path").unwrap_or_default(),
                    authorization: text("authorization"),
                }
            })
            .collect()
    }

    /// Nobody is there any more.
    pub fn down(&self) {
        self.parts.iter().for_each(Part::kill);
    }
}

fn folder(machine: &Machine) -> PathBuf {
    let dir = machine.dirs().base.join("guard");
    make_dir(&dir);
    let login = format!("{REGISTRY_USER}:{REGISTRY_PASSWORD}");
    fs::write(dir.join("login"), login).expect("rig: writing a guard's login");
    dir
}

fn inside(machine: &Machine) -> Command {
    let mut command = tied("nsenter");
    command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .arg(format!("--net=/proc/{}/ns/net", machine.init()))
        .arg("--");
    command
}

fn guard(machine: &Machine, dir: &Path, args: &[&str]) -> Part {
    let mut command = inside(machine);
    command
        .arg(layout::python())
        .arg(layout::support().join("registry_guard.py"))
        .args(args.iter().take(1))
        .arg(dir)
        .args(args.iter().skip(1));
    let part = Part::start("registry guard", command, &dir.join("guard.log"));
    part.ready(PATIENCE, |log| log.contains("listening").then_some(()));
    part
}
