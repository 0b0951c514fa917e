//! What the engine's refusals mean.

use std::fmt;
use std::time::Duration;

use crate::host::{Class, Classified};

/// What was asked of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Display below says what each is")]
pub enum What {
    Ping,
    List,
    Inspect { subject: String },
    Resolve { image: String },
    Pull { image: String },
    Create,
    Start { id: String },
    Stop { id: String },
    Signal { id: String, signal: String },
    Remove { id: String },
    Wait { id: String },
    Run { id: String },
    Describe,
    RemoveImage { image: String },
    Read { id: String, file: &'static str },
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = monopod_core::text::short_id;
        match self {
            Self::Ping => f.write_str("answer a ping"),
            Self::List => f.write_str("list its containers"),
            Self::Inspect { subject } => write!(f, "show {subject}"),
            Self::Resolve { image } => write!(f, "ask the registry for the digest of {image}"),
            Self::Pull { image } => write!(f, "pull {image}"),
            Self::Create => f.write_str("create the container"),
            Self::Start { id } => write!(f, "start the container {}", short(id)),
            Self::Stop { id } => write!(f, "stop the container {}", short(id)),
            Self::Signal { id, signal } => write!(f, "send {signal} to the container {}", short(id)),
            Self::Remove { id } => write!(f, "remove the container {}", short(id)),
            Self::Wait { id } => write!(f, "wait for the container {}", short(id)),
            Self::Describe => f.write_str("say where its data lies and what it runs"),
            Self::Read { id, file } => write!(f, "read {file} in the container {}", short(id)),
            Self::RemoveImage { image } => write!(f, "remove the image {image}"),
            Self::Run { id } => write!(f, "run the health check's command in the container {}", short(id)),
        }
    }
}

/// What can go wrong with the engine.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// `DOCKER_HOST` names no local socket.
    #[error("cannot use the engine at {host}: monopod needs a local socket, unix:///path, in DOCKER_HOST")]
    Host {
        /// As given.
        host: String,
    },
    /// Nobody listens, or the connection broke.
    #[error("cannot reach the engine at {host} to {what} (see `systemctl status docker`)")]
    Unreachable {
        /// What was asked.
        what: What,
        /// Where.
        host: String,
        /// Why.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// It takes calls and says nothing.
    #[error("the engine at {host} did not {what} within {} s", after.as_secs())]
    Silent {
        /// What was asked.
        what: What,
        /// Where.
        host: String,
        /// The deadline.
        after: Duration,
    },
    /// The machine leaves.
    #[error(
        "the container {} is not started: the machine leaves",
        monopod_core::text::short_id(id)
    )]
    Leaving {
        /// What was to be started.
        id: String,
    },
    /// It closed the connection without an answer.
    #[error("the engine at {host} hung up")]
    Hangup {
        /// Where.
        host: String,
    },
    /// Its answer lacks something it always has.
    #[error("the engine at {host} did not tell its {field}")]
    Incomplete {
        /// Where.
        host: String,
        /// What is missing.
        field: &'static str,
    },
    /// No such thing on this engine.
    #[error("the engine has nothing to {what}: {message}")]
    NotFound {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// The registry knows us not.
    #[error(
        "the registry refused to let the engine {what}: {message}; check the login for that registry: in `dockercfg`, or for ECR what the instance's role may read"
    )]
    RegistryDenied {
        /// What was asked.
        what: What,
        /// The registry's words.
        message: String,
    },
    /// The registry has no such image.
    #[error(
        "the registry has no image for the engine to {what}: {message}; check `source`, and that the image was pushed (some registries say this when credentials are missing in `dockercfg`)"
    )]
    NoSuchImage {
        /// What was asked.
        what: What,
        /// The registry's words.
        message: String,
    },
    /// The image is for other machines.
    #[error("the engine could not {what}: {message}; build the image for this machine's platform")]
    WrongPlatform {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// The disk is full.
    #[error("the engine could not {what}: {message}; give the machine a larger disk")]
    DiskFull {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// The container's command can't be run at all.
    #[error("the engine could not {what}: {message}; fix the image's entry point")]
    NotExecutable {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// The machine or the engine can't do what the user data asks for.
    #[error("the engine could not {what}: {message}; {help}")]
    Unfit {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
        /// What to do.
        help: &'static str,
    },
    /// A port is taken.
    #[error("the engine could not {what}: {message}; another process on this machine uses that port")]
    PortTaken {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// Somebody took the engine's own rules out of the kernel.
    #[error(
        "the engine could not {what}, because its own network rules are gone, as after `nft flush ruleset` or when a firewall was started after it; `systemctl restart docker` puts them back (it says: {message})"
    )]
    RulesGone {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// It was asked for something impossible.
    #[error("the engine refused to {what}: {message}")]
    BadRequest {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// Anything else: perhaps it passes.
    #[error("the engine could not {what}: {message} (status {status})")]
    Refused {
        /// What was asked.
        what: What,
        /// The status, 0 for an error inside a stream.
        status: u16,
        /// The engine's words.
        message: String,
    },
    /// What it has is not what it had a moment ago: the name is taken, the image is gone, the container runs.
    #[error("the engine could not {what}, because something changed meanwhile: {message}")]
    Changed {
        /// What was asked.
        what: What,
        /// The engine's words.
        message: String,
    },
    /// Its answer makes no sense to us.
    #[error("the engine at {host} was asked to {what} and answered something else")]
    Malformed {
        /// What was asked.
        what: What,
        /// Where.
        host: String,
        /// What is wrong with it.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// A secret was not decrypted before the container was made: our own mistake, said instead of started.
    #[error("the value of {name} is missing; this is a defect in monopod, please report it")]
    NoValue {
        /// The variable.
        name: String,
    },
}

impl Classified for EngineError {
    fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Hangup { .. }
            | Self::Incomplete { .. }
            | Self::NotFound { .. }
            | Self::PortTaken { .. }
            // They are back when the engine is started again, which nobody tells us beforehand.
            | Self::RulesGone { .. }
            | Self::Malformed { .. }
            | Self::Refused { .. } => Class::Transient,
            // A full disk during a pull stays full; at other times logs rotate and people clean up.
            Self::DiskFull { what, .. } => match what {
                What::Pull { .. } => Class::Permanent,
                _ => Class::Transient,
            },
            Self::Host { .. }
            | Self::RegistryDenied { .. }
            | Self::NoSuchImage { .. }
            | Self::WrongPlatform { .. }
            | Self::NotExecutable { .. }
            | Self::Unfit { .. }
            | Self::BadRequest { .. }
            // Not by the same call again; the boot begins anew and looks at what there is.
            | Self::Changed { .. }
            | Self::Leaving { .. }
            | Self::NoValue { .. } => Class::Permanent,
        }
    }
}

impl EngineError {
    /// The engine itself is away, not just unwilling.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Silent { .. } | Self::Hangup { .. }
        )
    }

    /// What the engine wrote into a container about its last start, as if it had just said so.
    pub(super) fn of_start(id: &str, message: String) -> Self {
        Self::from_words(What::Start { id: id.to_owned() }, 500, message)
    }

    pub(super) fn from_call(what: What, host: &str, source: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match source {
            Error::DockerResponseServerError { status_code, message } => {
                Self::from_words(what, status_code, message)
            }
            Error::DockerStreamError { error } => Self::from_words(what, 0, error),
            Error::RequestTimeoutError => Self::Silent {
                what,
                host: host.to_owned(),
                after: Duration::from_secs(super::FIRST_BYTE_SECONDS),
            },
            source @ (Error::JsonDataError { .. }
            | Error::JsonSerdeError { .. }
            | Error::StrParseError { .. }) => Self::Malformed {
                what,
                host: host.to_owned(),
                source: Box::new(source),
            },
            source => Self::Unreachable {
                what,
                host: host.to_owned(),
                source: Box::new(source),
            },
        }
    }
}
