//! What a registry's refusals mean.

use std::fmt;

use crate::host::{Class, Classified};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A manifest, by tag or digest.
    Manifest {
        /// The path below the registry.
        repository: String,
        /// Tag or digest.
        reference: String,
    },
    /// A blob.
    Blob {
        /// The path below the registry.
        repository: String,
        /// Its digest.
        digest: String,
    },
}

impl Subject {
    pub(super) fn repository(&self) -> &str {
        match self {
            Self::Manifest { repository, .. } | Self::Blob { repository, .. } => repository,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest {
                repository,
                reference,
            } => {
                let sign = if reference.contains(':') { '@' } else { ':' };
                write!(f, "manifest {repository}{sign}{reference}")
            }
            Self::Blob { repository, digest } => write!(f, "blob {repository}@{digest}"),
        }
    }
}

/// Why a registry did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry's name is none.
    #[error(
        "{registry} is no registry's host; name it as in `source`: registry.example.org or 127.0.0.1:5000"
    )]
    Host {
        /// As given.
        registry: String,
    },
    /// The certificates that were put there for this registry can't be used.
    #[error("cannot use the certificates for the registry {registry} in {path}: {what}")]
    Certificates {
        /// The registry.
        registry: String,
        /// File or folder.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// We can't show one.
    #[error(
        "the registry {registry} has a client certificate in {path}, and monopod cannot log in with one; use a login in `dockercfg`, and take the file away"
    )]
    ClientCertificate {
        /// The registry.
        registry: String,
        /// The file.
        path: String,
    },
    /// No such thing there.
    #[error(
        "the registry {registry} has no {what}; check `source`, and that the image was pushed (some registries say this when a login is missing in `dockercfg`)"
    )]
    NotFound {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
    },
    /// It wants to know who asks, or does not take who does.
    #[error("the registry {registry} does not give {what} {}", unauthorized(.login.as_deref(), .by.as_deref()))]
    Unauthorized {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// Which login was used; `None` when there is none for this registry.
        login: Option<String>,
        /// The token server that said it, where it was not the registry itself.
        by: Option<String>,
    },
    /// It knows who asks, and says no.
    #[error("the registry {registry} forbids {} to read {what}{}; grant it there", .login.as_deref().unwrap_or("everybody without a login"), words(.said))]
    Forbidden {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// Which login was used.
        login: Option<String>,
        /// The registry's words, where there are some.
        said: String,
    },
    /// It is asked too often.
    #[error("the registry {registry} limits how often it is asked (429) and did not give {what}{}", waiting(.seconds))]
    RateLimited {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// How long it wants us to wait, where it says so.
        seconds: Option<u64>,
    },
    /// It has a bad moment.
    #[error("the registry {registry} answered {status} to {what}{}", words(.said))]
    Busy {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// The status.
        status: u16,
        /// The registry's words, where there are some.
        said: String,
    },
    /// An answer that no retry changes.
    #[error("the registry {registry} refused to give {what}: it answered {status}{}", words(.said))]
    Refused {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// The status.
        status: u16,
        /// The registry's words, where there are some.
        said: String,
    },
    /// Nobody answers, or not in time.
    #[error("cannot reach {host}{} for {what}: {why}", on_behalf(.registry, .host))]
    Unreachable {
        /// The registry.
        registry: String,
        /// Who does not answer: itself, its token server, or where it sent us on to.
        host: String,
        /// What was asked for.
        what: Box<Subject>,
        /// Why, with no address in it.
        why: String,
    },
    /// It is not who it should be, or does not speak TLS.
    #[error("cannot ask {host}{} for {what} over TLS: {why}; {advice}", on_behalf(.registry, .host))]
    Tls {
        /// The registry.
        registry: String,
        /// Who was asked: itself, its token server, or where it sent us on to.
        host: String,
        /// What was asked for.
        what: Box<Subject>,
        /// Why.
        why: String,
        /// What to do.
        advice: String,
    },
    /// Other bytes than were asked for.
    #[error(
        "the registry {registry} gave other bytes than {what}: their digest is {got}, expected {expected}"
    )]
    DigestMismatch {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// The digest asked for.
        expected: String,
        /// That of the bytes.
        got: String,
    },
    /// More than anybody needs.
    #[error(
        "the {what} of the registry {registry} is over {limit} bytes, which is more than monopod reads of such a thing"
    )]
    TooLarge {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// In bytes.
        limit: usize,
    },
    /// A form that registries gave up.
    #[error(
        "the {what} of the registry {registry} has the form that Docker gave up in 2017 (schema 1), which cannot be checked; push the image again with a newer Docker"
    )]
    Schema1 {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
    },
    /// It sends us, or the login, where neither goes.
    #[error("the registry {registry} sends us to {to} for {what}, which is refused: {why}")]
    Unsafe {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// The host it names; nothing else of the address.
        to: String,
        /// Why not.
        why: &'static str,
    },
    /// An answer that makes no sense.
    #[error("the registry {registry} gave {what} in a form that makes no sense: {why}")]
    Protocol {
        /// The registry.
        registry: String,
        /// What was asked for.
        what: Box<Subject>,
        /// What is wrong.
        why: String,
    },
    /// The TLS stack could not be set up.
    #[error("cannot ask the registry {registry} over TLS: {why}; is the package ca-certificates installed?")]
    Setup {
        /// The registry.
        registry: String,
        /// Why.
        why: String,
    },
}

impl Classified for RegistryError {
    fn class(&self) -> Class {
        match self {
            Self::RateLimited { .. } | Self::Busy { .. } | Self::Unreachable { .. } => Class::Transient,
            Self::Host { .. }
            | Self::Certificates { .. }
            | Self::ClientCertificate { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Tls { .. }
            | Self::DigestMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Schema1 { .. }
            | Self::Unsafe { .. }
            | Self::Protocol { .. }
            | Self::Setup { .. } => Class::Permanent,
        }
    }
}

fn unauthorized(login: Option<&str>, by: Option<&str>) -> String {
    let by = by
        .map(|by| format!(" (its token server {by} said so)"))
        .unwrap_or_default();
    match login {
        None => format!("to everybody{by}, and there is no login for it; put one into `dockercfg`"),
        Some(login) => format!(
            "for {login}{by}; check that the login is right, still valid, and may read this repository"
        ),
    }
}

fn words(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" ({said})")
    }
}

fn waiting(seconds: &Option<u64>) -> String {
    seconds
        .map(|seconds| format!("; it wants to be left alone for {seconds} s"))
        .unwrap_or_default()
}

fn on_behalf(registry: &str, host: &str) -> String {
    if registry == host {
        String::new()
    } else {
        format!(", where the registry {registry} sends us,")
    }
}
