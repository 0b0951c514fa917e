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
    #[error(
        "the registry refused to let the engine {what}: {message}; check the credentials in `dockercfg` for that registry"
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
            | Self::BadRequest { .. }
            // Not by the same call again; the boot begins anew and looks at what there is.
            | Self::Changed { .. }
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

    /// By the words first: engines answer a registry's refusal with 404 or 500 as it comes.
    fn from_words(what: What, status: u16, message: String) -> Self {
        let words = message.to_lowercase();
        let says = |any: &[&str]| any.iter().any(|one| words.contains(one));
        let of_registry = matches!(what, What::Resolve { .. } | What::Pull { .. });
        if says(&["no space left on device"]) {
            Self::DiskFull { what, message }
        } else if of_registry && says(&PASSES) {
            Self::Refused {
                what,
                status,
                message,
            }
        } else if of_registry && (matches!(status, 401 | 403) || says(&DENIED)) {
            Self::RegistryDenied { what, message }
        } else if of_registry && says(&["no matching manifest", "no match for platform"]) {
            Self::WrongPlatform { what, message }
        } else if of_registry && says(&UNKNOWN) {
            Self::NoSuchImage { what, message }
        } else if says(&["exec format error"]) {
            Self::WrongPlatform { what, message }
        } else if says(&["port is already allocated", "address already in use"]) {
            Self::PortTaken { what, message }
        } else if says(&["exec: \""]) && says(&NOT_EXECUTABLE) {
            Self::NotExecutable { what, message }
        } else {
            match (&what, status) {
                (What::Create, 404 | 409) | (What::Remove { .. }, 409) => Self::Changed { what, message },
                (_, 404) => Self::NotFound { what, message },
                (_, 400) => Self::BadRequest { what, message },
                _ => Self::Refused {
                    what,
                    status,
                    message,
                },
            }
        }
    }
}

/// Said by registries and proxies that are overloaded or restarting, before anything else in the text counts.
const PASSES: [&str; 5] = [
    "toomanyrequests",
    "too many requests",
    "error parsing http",
    "404 page not found",
    "failed to register layer",
];
const DENIED: [&str; 8] = [
    "unauthorized",
    "no basic auth credentials",
    "authentication required",
    "access forbidden",
    "403 forbidden",
    "access denied",
    "requested access to the resource is denied",
    "incorrect username or password",
];
const UNKNOWN: [&str; 5] = [
    "manifest unknown",
    "name unknown",
    "not found",
    "repository name not known",
    "does not exist",
];
/// Only together with `exec: "`: a missing device node or shim says "no such file or directory" too.
const NOT_EXECUTABLE: [&str; 4] = [
    "executable file not found",
    "no such file or directory",
    "permission denied",
    "not a directory",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn class(what: What, status: u16, message: &str) -> Class {
        EngineError::from_words(what, status, message.to_owned()).class()
    }

    fn pull() -> What {
        What::Pull {
            image: "registry.example.org/app:1".into(),
        }
    }

    #[test]
    fn a_registrys_no_is_final_whatever_the_status() {
        for (status, message) in [
            (500, "Get http://r/v2/app/manifests/1: no basic auth credentials"),
            (
                404,
                "pull access denied for app, repository does not exist or may require 'docker login'",
            ),
            (401, "unauthorized: authentication required"),
            (
                0,
                "manifest for r/app:1 not found: manifest unknown: manifest unknown",
            ),
            (
                500,
                "no matching manifest for linux/amd64 in the manifest list entries",
            ),
            (404, "no match for platform in manifest sha256:1: not found"),
            (
                500,
                "unexpected status from HEAD request to https://r/v2/app/manifests/1: 403 Forbidden",
            ),
        ] {
            assert_eq!(class(pull(), status, message), Class::Permanent, "{message}");
        }
    }

    #[test]
    fn a_registry_that_is_down_or_busy_is_tried_again() {
        for (status, message) in [
            (
                500,
                "Get \"http://127.0.0.1:5000/v2/\": dial tcp 127.0.0.1:5000: connect: connection refused",
            ),
            (
                500,
                "toomanyrequests: You have reached your pull rate limit, access denied until later",
            ),
            (0, "unexpected EOF"),
            (500, "net/http: TLS handshake timeout"),
            (503, "received unexpected HTTP status: 503 Service Unavailable"),
            (
                404,
                "error parsing HTTP 404 response body: invalid character 'p' after top-level value: \"404 page not found\\n\"",
            ),
        ] {
            assert_eq!(class(pull(), status, message), Class::Transient, "{message}");
        }
    }

    #[test]
    fn a_name_that_is_taken_meanwhile_is_told_apart() {
        let words = "Conflict. The container name \"/taupageapp\" is already in use by container \"1\"";
        assert!(matches!(
            EngineError::from_words(What::Create, 409, words.to_owned()),
            EngineError::Changed { .. }
        ));
    }

    #[test]
    fn a_start_that_can_never_work_is_final_and_a_taken_port_is_not() {
        let start = || What::Start {
            id: "0123456789abcdef".into(),
        };
        let missing =
            "OCI runtime create failed: exec: \"/nope\": stat /nope: no such file or directory: unknown";
        assert_eq!(class(start(), 404, missing), Class::Permanent);
        assert_eq!(
            class(start(), 500, "standard_init_linux.go: exec format error"),
            Class::Permanent
        );
        let taken = "driver failed programming external connectivity: Bind for 0.0.0.0:80 failed: port is already allocated";
        assert_eq!(class(start(), 500, taken), Class::Transient);
        let device = "error creating device nodes: mknod /merged/proc/x: no such file or directory: unknown";
        assert_eq!(class(start(), 500, device), Class::Transient);
        assert_eq!(
            class(start(), 500, "write /x: no space left on device"),
            Class::Transient
        );
        assert_eq!(
            class(pull(), 500, "write /x: no space left on device"),
            Class::Permanent
        );
    }
}
