//! Questions between processes of ours on one machine: a unix socket, one JSON object a line, one answer a line.
//!
//! The agent has no capability. What needs one (rules of the firewall, the end of a login) is asked of a unit that has it and
//! little else. systemd holds the socket and starts the unit with the first question.
//!
//! Invariants: a question and its answer are at most [`LONGEST`] bytes, and both have a deadline. Who asks is what the kernel says
//! ([`Peer`]), never what the question says.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use listenfd::ListenFd;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::{Class, Classified};

/// Bytes of a question or an answer.
pub const LONGEST: u64 = 1 << 20;
/// For whoever sends half a question.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Nobody holds the socket.
    #[error(
        "there is no {path}: {unit} of the monopod package makes it, `systemctl start {unit}` does so now"
    )]
    Absent {
        /// The socket.
        path: PathBuf,
        /// The unit that makes it.
        unit: String,
    },
    /// It is there, and did not let us in, or went away.
    #[error("cannot speak with {path}")]
    Broken {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer from {path} in time")]
    Late {
        /// The socket.
        path: PathBuf,
    },
    /// What came is not one JSON object.
    #[error("what came over {path} is no JSON object in a line of at most {LONGEST} bytes")]
    Garbled {
        /// The socket.
        path: PathBuf,
    },
}

impl Classified for LocalError {
    fn class(&self) -> Class {
        match self {
            Self::Absent { .. } | Self::Garbled { .. } => Class::Permanent,
            // EACCES: only root, or the group, may ask.
            Self::Broken { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Class::Permanent
            }
            Self::Broken { .. } | Self::Late { .. } => Class::Transient,
        }
    }
}

/// Who asks, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the kernel names it.
    pub pid: Option<i32>,
}

/// Where questions come in.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// The socket that systemd hands over, or one of our own at this path where a person starts us. One that a process
    /// before us has left there is taken away.
    pub fn inherited_or_bind(path: &Path) -> Result<Self, LocalError> {
        let broken = |source| LocalError::Broken {
            path: path.to_owned(),
            source,
        };
        let inherited = ListenFd::from_env().take_unix_listener(0).map_err(broken)?;
        let socket = match inherited {
            Some(socket) => socket,
            None => {
                if let Err(error) = std::fs::remove_file(path)
                    && error.kind() != io::ErrorKind::NotFound
                {
                    return Err(broken(error));
                }
                std::os::unix::net::UnixListener::bind(path).map_err(broken)?
            }
        };
        socket.set_nonblocking(true).map_err(broken)?;
        Ok(Self {
            socket: UnixListener::from_std(socket).map_err(broken)?,
            path: path.to_owned(),
        })
    }

    /// The next one who asks.
    pub async fn accept(&self) -> Result<Connection, LocalError> {
        let broken = |source| LocalError::Broken {
            path: self.path.clone(),
            source,
        };
        let (stream, _) = self.socket.accept().await.map_err(broken)?;
        let credentials = stream.peer_cred().map_err(broken)?;
        Ok(Connection {
            peer: Peer {
                uid: credentials.uid(),
                gid: credentials.gid(),
                pid: credentials.pid(),
            },
            stream: BufReader::new(stream),
            path: self.path.clone(),
        })
    }
}

/// One who asks.
#[derive(Debug)]
pub struct Connection {
    /// Who.
    pub peer: Peer,
    stream: BufReader<UnixStream>,
    path: PathBuf,
}

impl Connection {
    /// What is asked; `None` once nothing more comes.
    pub async fn question(&mut self) -> Result<Option<Value>, LocalError> {
        read(&mut self.stream, &self.path, Instant::now() + PATIENCE).await
    }

    /// Answers it.
    pub async fn answer(&mut self, answer: &Value) -> Result<(), LocalError> {
        write(&mut self.stream, &self.path, answer, Instant::now() + PATIENCE).await
    }
}

/// Asks and waits for the answer. `unit` is what makes the socket, for the error.
pub async fn ask(path: &Path, unit: &str, question: &Value, deadline: Instant) -> Result<Value, LocalError> {
    let late = || LocalError::Late {
        path: path.to_owned(),
    };
    let stream = timeout_at(deadline, UnixStream::connect(path))
        .await
        .map_err(|_| late())?
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LocalError::Absent {
                path: path.to_owned(),
                unit: unit.to_owned(),
            },
            _ => LocalError::Broken {
                path: path.to_owned(),
                source,
            },
        })?;
    let mut stream = BufReader::new(stream);
    write(&mut stream, path, question, deadline).await?;
    match read(&mut stream, path, deadline).await? {
        Some(answer) => Ok(answer),
        None => Err(LocalError::Broken {
            path: path.to_owned(),
            source: io::ErrorKind::UnexpectedEof.into(),
        }),
    }
}

async fn read(
    stream: &mut BufReader<UnixStream>,
    path: &Path,
    deadline: Instant,
) -> Result<Option<Value>, LocalError> {
    let mut line = Vec::new();
    let mut limited = stream.take(LONGEST + 1);
    let read = limited.read_until(b'\n', &mut line);
    let count = timeout_at(deadline, read)
        .await
        .map_err(|_| LocalError::Late {
            path: path.to_owned(),
        })?
        .map_err(|source| LocalError::Broken {
            path: path.to_owned(),
            source,
        })?;
    if count == 0 {
        return Ok(None);
    }
    // A line that does not end is cut off, by its length or by its sender.
    match line.pop() {
        Some(b'\n') => serde_json::from_slice::<Value>(&line).ok(),
        _ => None,
    }
    .filter(Value::is_object)
    .map(Some)
    .ok_or_else(|| LocalError::Garbled {
        path: path.to_owned(),
    })
}

async fn write(
    stream: &mut BufReader<UnixStream>,
    path: &Path,
    value: &Value,
    deadline: Instant,
) -> Result<(), LocalError> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    let write = async {
        stream.get_mut().write_all(&line).await?;
        stream.get_mut().flush().await
    };
    timeout_at(deadline, write)
        .await
        .map_err(|_| LocalError::Late {
            path: path.to_owned(),
        })?
        .map_err(|source| LocalError::Broken {
            path: path.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn socket(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("monopod-local-{name}-{}.sock", std::process::id()))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test]
    async fn a_question_has_its_answer_and_the_kernel_says_who_asks() {
        let path = socket("answer");
        let listener = Listener::inherited_or_bind(&path).unwrap();
        let served = async {
            let mut connection = listener.accept().await.unwrap();
            let question = connection.question().await.unwrap().unwrap();
            assert_eq!(connection.peer.uid, nix::unistd::getuid().as_raw());
            assert_eq!(connection.peer.pid, Some(nix::unistd::getpid().as_raw()));
            connection.answer(&json!({ "heard": question })).await.unwrap();
            assert!(connection.question().await.unwrap().is_none());
        };
        let question = json!({ "op": "list" });
        let asked = ask(&path, "x.socket", &question, soon());
        let ((), answer) = tokio::join!(served, asked);
        assert_eq!(answer.unwrap(), json!({ "heard": { "op": "list" } }));
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn what_is_no_object_in_a_line_is_refused() {
        let path = socket("garbled");
        let listener = Listener::inherited_or_bind(&path).unwrap();
        for text in ["\n", "[]\n", "{}", "{\"a\":\n"] {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(text.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            let mut connection = listener.accept().await.unwrap();
            let error = connection.question().await.unwrap_err();
            assert!(matches!(error, LocalError::Garbled { .. }), "{text:?}: {error}");
        }
        std::fs::remove_file(path).unwrap();
    }

    #[tokio::test]
    async fn nobody_there_is_said_with_the_unit_and_a_silent_one_ends_in_time() {
        let path = socket("none");
        let error = ask(&path, "monopod-x.socket", &json!({}), soon())
            .await
            .unwrap_err();
        assert_eq!(error.class(), Class::Permanent);
        assert!(
            error.to_string().contains("systemctl start monopod-x.socket"),
            "{error}"
        );
        let _silent = Listener::inherited_or_bind(&path).unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        let error = ask(&path, "x", &json!({}), deadline).await.unwrap_err();
        assert!(matches!(error, LocalError::Late { .. }), "{error}");
        std::fs::remove_file(path).unwrap();
    }
}
