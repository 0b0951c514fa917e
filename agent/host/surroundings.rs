//! What the machine adds to a container: its memory, directories, engine socket, graphics processors, and the
//! system-call filter in a file of its image.
//!
//! These are the holes of a container's spec that are filled on the machine, when the container is made. Whatever is
//! missing here ends the boot with the key that asks for it: the engine's own words come later and name no key.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use monopod_core::config::{Gpus, Seccomp};
use monopod_core::plan::container::{Bind, CUSTOM_LOG, ContainerSpec, ENGINE_SOCKET};

use monopod_core::machine::gpu::{Way, describes};
use nix::fcntl::OFlag;
use serde_json::Value;

use super::{Class, Classified, limits};

/// The container's default user and its group, as owners of what it writes on the machine.
const OWNER: u32 = 999;

/// The engine's own profile has 14 KiB.
const LARGEST_PROFILE: u64 = 1 << 20;

/// Something of the machine's that the user data asks for is not there.
#[derive(Debug, thiserror::Error)]
pub enum SurroundingsError {
    /// The filter's file could not be read.
    #[error("cannot read the profile {path} of `seccomp`; put it into the machine's image")]
    SeccompFile {
        /// As the user data names it.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The filter is no JSON object.
    #[error(
        "the profile {path} of `seccomp` is not JSON with an object in it; take the engine's default.json to start from"
    )]
    SeccompText {
        /// As the user data names it.
        path: String,
        /// Where it goes wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The filter would not filter, or is no file to read to its end.
    #[error(
        "the profile {path} of `seccomp` is not taken: {what}; take the engine's default.json to start from"
    )]
    SeccompProfile {
        /// As the user data names it.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The engine's socket is away: an engine that is restarted just now makes it again.
    #[error("cannot mount the engine's socket {path} for `{key}`")]
    EngineSocket {
        /// The key.
        key: &'static str,
        /// Where the agent finds it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nothing to mount.
    #[error("cannot mount {path} for `{key}`; put it into the machine's image, or leave `{key}` out")]
    Source {
        /// The key.
        key: &'static str,
        /// On the machine.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory for the application's own logs could not be made.
    #[error(
        "cannot make {path} for `mount_custom_log`; install systemd/tmpfiles-monopod.conf as /usr/lib/tmpfiles.d/monopod.conf, and `systemd-tmpfiles --create` makes it now"
    )]
    CustomLog {
        /// On the machine.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Classified for SurroundingsError {
    fn class(&self) -> Class {
        match self {
            Self::EngineSocket { .. } => Class::Transient,
            Self::SeccompFile { .. }
            | Self::SeccompText { .. }
            | Self::SeccompProfile { .. }
            | Self::Source { .. }
            | Self::CustomLog { .. } => Class::Permanent,
        }
    }
}

/// A spec's holes, filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The machine's memory in bytes.
    pub memory_total: u64,
    /// The text of the filter's profile.
    pub seccomp_profile: Option<String>,
    /// Where the engine listens, and the socket's group.
    pub engine_socket: PathBuf,
    /// See above; asked for only where the socket is mounted.
    pub engine_group: Option<u32>,
    /// Whether the container gets graphics processors.
    pub gpus: bool,
    /// How the engine is asked for them; filled by the boot, which asks the engine.
    pub gpu_way: Option<Way>,
    /// Variables with addresses of this machine; filled by the boot, which waits for services.
    pub variables: Vec<(String, String)>,
    /// Where its token for AWS credentials lies, if it has one; filled by the boot, which serves them.
    pub identity_directory: Option<PathBuf>,
}

/// Looks at the machine for a container that is about to be made.
pub fn observe(spec: &ContainerSpec, engine_socket: &Path) -> Result<Surroundings, SurroundingsError> {
    ensure_binds(&spec.binds, engine_socket)?;
    let engine_group = match spec.binds.iter().find(|bind| **bind == ENGINE_SOCKET) {
        None => None,
        Some(bind) => Some(
            fs::metadata(engine_socket)
                .map_err(missing(bind, engine_socket))?
                .gid(),
        ),
    };
    Ok(Surroundings {
        memory_total: limits::memory_total(),
        seccomp_profile: match &spec.seccomp {
            Seccomp::Profile(path) => Some(profile(path)?),
            Seccomp::Default | Seccomp::Unconfined => None,
        },
        engine_socket: engine_socket.to_owned(),
        engine_group,
        gpus: match spec.gpus {
            Some(Gpus::All) => true,
            Some(Gpus::None) => false,
            None => has_gpus(),
        },
        gpu_way: None,
        variables: Vec::new(),
        identity_directory: None,
    })
}

/// What is mounted is there, for a start of a container that exists as well: the engine would end it with words that
/// name no key.
pub fn ensure_binds(binds: &[Bind], engine_socket: &Path) -> Result<(), SurroundingsError> {
    for bind in binds {
        if *bind == CUSTOM_LOG {
            let path = Path::new(bind.source);
            ensure_custom_log(path).map_err(|source| SurroundingsError::CustomLog {
                path: path.to_owned(),
                source,
            })?;
        }
        let path = source(bind, engine_socket);
        fs::metadata(path).map(drop).map_err(missing(bind, path))?;
    }
    Ok(())
}

/// Where a bind's source lies on this machine: the engine's socket is wherever the agent itself finds it.
pub fn source<'a>(bind: &'a Bind, engine_socket: &'a Path) -> &'a Path {
    if *bind == ENGINE_SOCKET {
        engine_socket
    } else {
        Path::new(bind.source)
    }
}

fn missing(bind: &Bind, path: &Path) -> impl FnOnce(io::Error) -> SurroundingsError {
    let (key, path) = (bind.key, path.to_owned());
    let is_engine = *bind == ENGINE_SOCKET;
    move |source| {
        if is_engine {
            SurroundingsError::EngineSocket { key, path, source }
        } else {
            SurroundingsError::Source { key, path, source }
        }
    }
}

/// With its owner from the first moment: a directory that root owns could not be told from one made on purpose.
fn ensure_custom_log(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let new = path.with_extension("new");
    match DirBuilder::new().mode(0o755).create(&new) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    chown(&new, Some(OWNER), Some(OWNER))?;
    fs::rename(&new, path)
}

fn profile(path: &str) -> Result<String, SurroundingsError> {
    let unread = |source| SurroundingsError::SeccompFile {
        path: path.to_owned(),
        source,
    };
    let refused = |what| {
        Err(SurroundingsError::SeccompProfile {
            path: path.to_owned(),
            what,
        })
    };
    // Before it is opened: a pipe would never end, and some devices act as soon as they are opened.
    if !fs::metadata(path).map_err(unread)?.is_file() {
        return refused("it is no regular file");
    }
    let mut text = String::new();
    OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .and_then(|file| file.take(LARGEST_PROFILE + 1).read_to_string(&mut text))
        .map_err(unread)?;
    if text.len() as u64 > LARGEST_PROFILE {
        return refused("it is over 1 MiB");
    }
    let profile = serde_json::from_str::<serde_json::Map<String, Value>>(&text).map_err(|source| {
        SurroundingsError::SeccompText {
            path: path.to_owned(),
            source,
        }
    })?;
    match profile.get("defaultAction") {
        Some(Value::String(action)) if !action.is_empty() => Ok(text),
        Some(Value::String(_)) | None => {
            refused("it has no `defaultAction`, and the engine would run the container without any filter")
        }
        Some(_) => refused("its `defaultAction` is no string"),
    }
}

/// Whether one of the engine's directories holds a description of NVIDIA's processors. What can't be read is none.
pub fn are_gpus_described(directories: &[String]) -> bool {
    directories
        .iter()
        .filter_map(|directory| fs::read_dir(directory).ok())
        .flatten()
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|one| ["json", "yaml", "yml"].iter().any(|known| one == *known))
                && path.is_file()
        })
        .any(|path| {
            let mut text = String::new();
            OpenOptions::new()
                .read(true)
                .open(path)
                .and_then(|file| file.take(LARGEST_PROFILE).read_to_string(&mut text))
                .is_ok_and(|_| describes(&text))
        })
}

/// The unit's /dev is its own and has no graphics processor in it, so the driver is asked, too.
fn has_gpus() -> bool {
    ["/dev/nvidia0", "/proc/driver/nvidia/version"]
        .iter()
        .any(|path| Path::new(path).exists())
}

#[cfg(test)]
mod tests {
    use monopod_core::plan::container::ENGINE_SOCKET;

    use super::*;
    use crate::host::chain;

    fn temporary(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("monopod-surroundings-{name}-{}", std::process::id()))
    }

    #[test]
    fn descriptions_of_processors_are_found() {
        let directory = temporary("cdi");
        fs::create_dir_all(&directory).unwrap();
        let all = [
            "/nonexistent/cdi".to_owned(),
            directory.to_str().unwrap().to_owned(),
        ];
        assert!(!are_gpus_described(&all));
        let text = "kind: nvidia.com/gpu\ndevices:\n- name: all\n";
        fs::write(directory.join("nvidia.txt"), text).unwrap();
        assert!(!are_gpus_described(&all), "no engine reads that one");
        fs::write(directory.join("nvidia.yaml"), text).unwrap();
        assert!(are_gpus_described(&all));
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_missing_source_names_its_key() {
        let bind = Bind {
            key: "mount_certs",
            source: "/nonexistent/certs",
            target: "/etc/ssl/certs",
            read_only: true,
        };
        let error = ensure_binds(&[bind], Path::new("/run/x.sock")).unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert_eq!(
            chain(&error),
            "cannot mount /nonexistent/certs for `mount_certs`; put it into the machine's image, or leave `mount_certs` out: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn the_engine_socket_is_the_one_the_agent_talks_to() {
        let socket = Path::new("/run/elsewhere.sock");
        assert_eq!(source(&ENGINE_SOCKET, socket), socket);
        assert_eq!(source(&CUSTOM_LOG, socket), Path::new("/var/log-custom"));
        let error = ensure_binds(&[ENGINE_SOCKET], socket).unwrap_err();
        assert!(error.to_string().contains("/run/elsewhere.sock"), "{error}");
        assert_eq!(
            error.class(),
            Class::Transient,
            "the engine may be restarted just now"
        );
    }

    #[test]
    fn a_profile_is_read_as_it_is_or_named() {
        let path = temporary("profile");
        let text = "{\"defaultAction\":\n \"SCMP_ACT_ALLOW\"}";
        fs::write(&path, text).unwrap();
        assert_eq!(profile(path.to_str().unwrap()).unwrap(), text);
        for wrong in ["[]", "", "{\"a\""] {
            fs::write(&path, wrong).unwrap();
            let error = profile(path.to_str().unwrap()).unwrap_err();
            assert!(error.to_string().contains("is not JSON"), "{error}");
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
        for (wrong, what) in [
            ("{}", "has no `defaultAction`"),
            ("{\"defaultAction\": \"\"}", "has no `defaultAction`"),
            ("{\"defaultAction\": 7}", "is no string"),
        ] {
            fs::write(&path, wrong).unwrap();
            let error = profile(path.to_str().unwrap()).unwrap_err();
            assert_eq!(error.class(), Class::Permanent);
            assert!(error.to_string().contains(what), "{wrong}: {error}");
        }
        let padding = usize::try_from(LARGEST_PROFILE).unwrap() - text.len();
        let fits = format!("{text}{}", " ".repeat(padding));
        fs::write(&path, &fits).unwrap();
        assert_eq!(profile(path.to_str().unwrap()).unwrap(), fits);
        fs::write(&path, format!("{fits} ")).unwrap();
        let error = profile(path.to_str().unwrap()).unwrap_err();
        assert!(error.to_string().contains("over 1 MiB"), "{error}");
        fs::remove_file(&path).unwrap();
        let error = profile(path.to_str().unwrap()).unwrap_err();
        assert!(chain(&error).contains("No such file"), "{}", chain(&error));
    }

    #[test]
    fn a_profile_that_never_ends_is_not_read() {
        // Where nobody writes into it, an open for reading would not come back.
        let pipe = temporary("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
            let error = profile(path).unwrap_err();
            assert!(error.to_string().contains("no regular file"), "{path}: {error}");
        }
        fs::remove_file(&pipe).unwrap();
    }

    #[test]
    fn a_log_directory_is_made_once_and_then_left_alone() {
        let path = temporary("log");
        if let Err(error) = ensure_custom_log(&path) {
            // Only root gives directories away.
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            return;
        }
        assert_eq!(fs::metadata(&path).unwrap().uid(), OWNER);
        chown(&path, Some(0), Some(0)).unwrap();
        ensure_custom_log(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "somebody else's choice");
        fs::remove_dir(&path).unwrap();
    }
}
