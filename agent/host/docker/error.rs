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
    Remove { id: String },
    Wait { id: String },
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
            Self::Remove { id } => write!(f, "remove the container {}", short(id)),
            Self::Wait { id } => write!(f, "wait for the container {}", short(id)),
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
    #[error("cannot reach the engine at {host} to {what}")]
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
    #[error("the registry refused to let the engine {what}: {message}; check the credentials in `dockercfg` for that registry")]
    RegistryDenied {
        /// What was asked.
        what: What,
        /// The registry's words.
        message: String,
    },
    /// The registry has no such image.
    #[error("the registry has no image for the engine to {what}: {message}; check `source`, and that the image was pushed (some registries say this when credentials are missing in `dockercfg`)")]
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
    /// A port is taken.
    #[error("the engine could not {what}: {message}; another process on this machine uses that port")]
    PortTaken {
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
            | Self::Refused { .. } => Class::Transient,
            Self::Host { .. }
            | Self::RegistryDenied { .. }
            | Self::NoSuchImage { .. }
            | Self::WrongPlatform { .. }
            | Self::DiskFull { .. }
            | Self::NotExecutable { .. }
            | Self::BadRequest { .. }
            | Self::NoValue { .. } => Class::Permanent,
        }
    }
}

impl EngineError {
    /// The engine itself is away, not just unwilling.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Silent { .. } | Self::Hangup { .. })
    }

    pub(super) fn from_call(what: What, host: &str, source: bollard::errors::Error) -> Self {
        use bollard::errors::Error;
        match source {
            Error::DockerResponseServerError { status_code, message } => Self::from_words(what, status_code, message),
            Error::DockerStreamError { error } => Self::from_words(what, 0, error),
            Error::RequestTimeoutError => Self::Silent { what, host: host.to_owned(), after: Duration::from_secs(super::FIRST_BYTE_SECONDS) },
            source => Self::Unreachable { what, host: host.to_owned(), source: Box::new(source) },
        }
    }

    /// By the words first: engines answer a registry's refusal with 404 or 500 as it comes.
    fn from_words(what: What, status: u16, message: String) -> Self {
        let words = message.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|one| words.contains(one));
        let of_registry = matches!(what, What::Resolve { .. } | What::Pull { .. });
        if says(&["no space left on device"]) {
            Self::DiskFull { what, message }
        } else if of_registry && says(&["toomanyrequests", "too many requests"]) {
            Self::Refused { what, status, message }
        } else if of_registry
            && (matches!(status, 401 | 403)
                || says(&["unauthorized", "no basic auth credentials", "authentication required", "access forbidden", "denied", "incorrect username or password"]))
        {
            Self::RegistryDenied { what, message }
        } else if of_registry && says(&["no matching manifest"]) {
            Self::WrongPlatform { what, message }
        } else if of_registry && says(&["manifest unknown", "name unknown", "not found", "repository name not known", "does not exist"]) {
            Self::NoSuchImage { what, message }
        } else if says(&["exec format error"]) {
            Self::WrongPlatform { what, message }
        } else if says(&["port is already allocated", "address already in use"]) {
            Self::PortTaken { what, message }
        } else if says(&["executable file not found", "no such file or directory: unknown", "permission denied: unknown", "not a directory: unknown"]) {
            Self::NotExecutable { what, message }
        } else {
            match status {
                404 => Self::NotFound { what, message },
                400 => Self::BadRequest { what, message },
                status => Self::Refused { what, status, message },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(what: What, status: u16, message: &str) -> Class {
        EngineError::from_words(what, status, message.to_owned()).class()
    }

    fn pull() -> What {
        What::Pull { image: "registry.example.org/app:1".into() }
    }

    #[test]
    fn a_registrys_no_is_final_whatever_the_status() {
        for (status, message) in [
            (500, "Get http://r/v2/app/manifests/1: no basic auth credentials"),
            (404, "pull access denied for app, repository does not exist or may require 'docker login'"),
            (401, "unauthorized: authentication required"),
            (0, "manifest for r/app:1 not found: manifest unknown: manifest unknown"),
            (500, "no matching manifest for linux/amd64 in the manifest list entries"),
        ] {
            assert_eq!(class(pull(), status, message), Class::Permanent, "{message}");
        }
    }

    #[test]
    fn a_registry_that_is_down_or_busy_is_tried_again() {
        for (status, message) in [
            (500, "Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused"),
            (500, "toomanyrequests: You have reached your pull rate limit, access denied until later"),
            (0, "unexpected EOF"),
            (500, "net/http: TLS handshake timeout"),
            (503, "received unexpected HTTP status: 503 Service Unavailable"),
        ] {
            assert_eq!(class(pull(), status, message), Class::Transient, "{message}");
        }
    }

    #[test]
    fn a_start_that_can_never_work_is_final_and_a_taken_port_is_not() {
        let start = || What::Start { id: "0123456789abcdef".into() };
        let missing = "OCI runtime create failed: exec: \"/nope\": stat /nope: no such file or directory: unknown";
        assert_eq!(class(start(), 404, missing), Class::Permanent);
        assert_eq!(class(start(), 500, "standard_init_linux.go: exec format error"), Class::Permanent);
        let taken = "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
        assert_eq!(class(start(), 500, taken), Class::Transient);
    }
}
