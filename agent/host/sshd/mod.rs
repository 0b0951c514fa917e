//! sshd's ports and GatewayPorts, as a file beside its own configuration.
//!
//! Nobody may be locked out: a file is put in place only once sshd itself has read it without complaint together with all the
//! rest, at least one of its ports can be had, and by rename. A machine where something of that is not so keeps the sshd
//! it has. sshd is told only when something changed.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::machine::MachinePlan;
use monopod_core::machine::sshd::{drop_in, includes_drop_ins, ports, takes_text};

use super::command::{Command, CommandError, Ended};
use super::files::{self, FileError};
use super::{Class, Classified};

/// sshd's own, and the directory beside it.
const CONFIG: &str = "etc/ssh/sshd_config";
const DROP_INS: &str = "etc/ssh/sshd_config.d";
/// First of all, since sshd keeps the first value that it reads of each key.
const NAME: &str = "10-monopod.conf";
/// There from before the file changes until sshd knows: a run that was cut off in between is caught up on.
const PENDING: &str = "run/monopod/sshd-pending";
/// Ubuntu's, which gives the ports of sshd's configuration to its socket.
const GENERATOR: &str = "usr/lib/systemd/system-generators/sshd-socket-generator";
/// Where sshd listens that is told nothing.
const DEFAULT_PORT: u16 = 22;
/// systemd may be busy with the rest of the boot.
const PATIENCE: Duration = Duration::from_secs(20);

/// sshd is as it was.
#[derive(Debug, thiserror::Error)]
pub enum SshdError {
    /// There is none, or its configuration can't be found.
    #[error(
        "there is no sshd to configure: {path} is missing; install openssh-server in the machine's image"
    )]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// It would not be read.
    #[error(
        "{config} does not include {directory}/*.conf, so what would be put there had no effect; put that line first in it"
    )]
    NotIncluded {
        /// sshd's own.
        config: PathBuf,
        /// Beside it.
        directory: PathBuf,
    },
    /// sshd found something wrong with it.
    #[error("sshd does not take the configuration: {words}")]
    Refused {
        /// In its own words.
        words: String,
    },
    /// Somebody else listens there.
    #[error(
        "no port of `ssh_ports` is free, so nobody could log in; choose another, or end what listens there"
    )]
    PortsTaken,
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// A program.
    #[error("cannot run {program}")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// systemd said no.
    #[error("sshd's configuration is written, but `systemctl {verb}` failed: {words}")]
    NotTold {
        /// What was asked.
        verb: String,
        /// What it said.
        words: String,
    },
}

impl Classified for SshdError {
    fn class(&self) -> Class {
        match self {
            Self::Missing { .. } | Self::NotIncluded { .. } | Self::Refused { .. } => Class::Permanent,
            Self::PortsTaken | Self::File(_) | Self::Program { .. } | Self::NotTold { .. } => {
                Class::Transient
            }
        }
    }
}

/// What is run; others in tests.
#[derive(Clone, Debug)]
pub struct Programs {
    /// Reads a configuration.
    pub sshd: PathBuf,
    /// Talks to PID 1.
    pub systemctl: PathBuf,
}

impl Default for Programs {
    fn default() -> Self {
        Self {
            sshd: "/usr/sbin/sshd".into(),
            systemctl: "/usr/bin/systemctl".into(),
        }
    }
}

/// Ends with sshd as the plan has it, below `root`. What should be known of it is returned, a sentence each.
pub fn ensure_drop_in(
    root: &Path,
    plan: &MachinePlan,
    programs: &Programs,
) -> Result<Vec<String>, SshdError> {
    let path = root.join(DROP_INS).join(NAME);
    let pending = root.join(PENDING);
    let before = files::read(&path)?;
    let wanted = drop_in(plan);
    if before.as_deref() == wanted.as_deref().map(str::as_bytes) && !pending.exists() {
        return Ok(Vec::new());
    }
    if let Some(directory) = pending.parent() {
        files::ensure_directory(directory)?;
    }
    let mut warnings = Vec::new();
    match &wanted {
        Some(text) => {
            let candidate = checked(root, text, programs)?;
            warnings = ports_told(root, plan)?;
            files::ensure_content(&pending, b"")?;
            fs::rename(&candidate, &path).map_err(|source| FileError::new("put in place", &path, source))?;
        }
        None => {
            files::ensure_content(&pending, b"")?;
            files::ensure_gone(&path)?;
        }
    }
    warnings.extend(tell(root, programs)?);
    files::ensure_gone(&pending)?;
    Ok(warnings)
}

/// The text in a file that sshd does not read yet, found right by sshd together with everything else it reads.
fn checked(root: &Path, text: &str, programs: &Programs) -> Result<PathBuf, SshdError> {
    let (config, directory) = (root.join(CONFIG), root.join(DROP_INS));
    let missing = |path: &Path| SshdError::Missing {
        path: path.to_owned(),
    };
    if !programs.sshd.exists() {
        return Err(missing(&programs.sshd));
    }
    let own = files::read(&config)?.ok_or_else(|| missing(&config))?;
    if !includes_drop_ins(&String::from_utf8_lossy(&own)) {
        return Err(SshdError::NotIncluded { config, directory });
    }
    files::ensure_directory(&directory)?;
    let candidate = directory.join(format!("{NAME}.new"));
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .open(&candidate)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| FileError::new("write", &candidate, source))?;
    let whole = format!("Include {}\nInclude {}\n", candidate.display(), config.display());
    let ended = run(&programs.sshd, &["-t", "-f", "/dev/stdin"], &whole)?;
    if takes_text(ended.code == 0, &ended.all_words()) {
        return Ok(candidate);
    }
    files::ensure_gone(&candidate)?;
    Err(SshdError::Refused {
        words: ended.all_words(),
    })
}

/// Who else names ports, and who else has them.
fn ports_told(root: &Path, plan: &MachinePlan) -> Result<Vec<String>, SshdError> {
    if plan.ssh_ports.is_empty() {
        return Ok(Vec::new());
    }
    let others = ports(&of_the_image(root)?);
    let mut open = others.clone();
    if let Some(own) = files::read(&root.join(DROP_INS).join(NAME))? {
        open.extend(ports(&String::from_utf8_lossy(&own)));
    }
    if open.is_empty() {
        open.push(DEFAULT_PORT);
    }
    let taken: Vec<u16> = plan
        .ssh_ports
        .iter()
        .copied()
        .filter(|port| !open.contains(port) && is_taken(*port))
        .collect();
    if taken.len() == plan.ssh_ports.len() {
        return Err(SshdError::PortsTaken);
    }
    let list = |ports: &[u16]| {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        ports.join(", ")
    };
    let mut warnings = Vec::new();
    if !taken.is_empty() {
        warnings.push(format!(
            "sshd cannot listen on {} of `ssh_ports`: somebody else does",
            list(&taken)
        ));
    }
    let besides: Vec<u16> = others
        .into_iter()
        .filter(|port| !plan.ssh_ports.contains(port))
        .collect();
    if !besides.is_empty() {
        warnings.push(format!(
            "sshd listens on {} besides `ssh_ports`: its configuration in the machine's image says so",
            list(&besides)
        ));
    }
    Ok(warnings)
}

/// Everything of sshd's configuration but what is ours.
fn of_the_image(root: &Path) -> Result<String, FileError> {
    let mut texts = files::read(&root.join(CONFIG))?.unwrap_or_default();
    let directory = root.join(DROP_INS);
    for name in files::names(&directory)? {
        if name.ends_with(".conf") && name != NAME {
            texts.extend(files::read(&directory.join(name))?.unwrap_or_default());
            texts.push(b'\n');
        }
    }
    Ok(String::from_utf8_lossy(&texts).into_owned())
}

/// Where we may not try, sshd may.
fn is_taken(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

/// An sshd that does not run yet reads its configuration when it starts.
fn tell(root: &Path, programs: &Programs) -> Result<Vec<String>, SshdError> {
    let mut warnings = Vec::new();
    let systemctl = |words: &[&str]| run(&programs.systemctl, words, "");
    let told = |words: &[&str]| -> Result<(), SshdError> {
        let ended = systemctl(words)?;
        if ended.code == 0 {
            return Ok(());
        }
        Err(SshdError::NotTold {
            verb: words.join(" "),
            words: ended.all_words(),
        })
    };
    if systemctl(&["is-active", "--quiet", "ssh.socket"])?.code == 0 {
        if root.join(GENERATOR).exists() {
            told(&["daemon-reload"])?;
            told(&["restart", "ssh.socket"])?;
        } else {
            warnings.push("systemd listens for sshd, on the ports of ssh.socket: `ssh_ports` has no effect; `systemctl disable --now ssh.socket` and `systemctl enable --now ssh.service` in the machine's image".to_owned());
        }
    }
    told(&["try-reload-or-restart", "ssh.service"])?;
    Ok(warnings)
}

/// Called on a thread where waiting holds nobody up.
fn run(path: &Path, words: &[&str], input: &str) -> Result<Ended, SshdError> {
    let failed = |source| SshdError::Program {
        program: path.to_owned(),
        source,
    };
    let start = |source| CommandError::Start {
        line: path.display().to_string(),
        source,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(start(error)))?;
    let command = Command::new(path, PATIENCE).args(words).input(input);
    runtime.block_on(command.run()).map_err(failed)
}

#[cfg(test)]
mod tests;
