//! What the engine's words mean: its status codes alone tell little.

use super::{EngineError, What};

impl EngineError {
    /// By the words first: engines answer a registry's refusal with 404 or 500 as it comes.
    pub(super) fn from_words(what: What, status: u16, message: String) -> Self {
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
        } else if let Some(help) = unfit(&words).filter(|_| !of_registry) {
            Self::Unfit { what, message, help }
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

/// What to do about a request that this machine can't meet, however often it is asked.
fn unfit(words: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 5] = [
        (
            "could not select device driver",
            "install the NVIDIA container toolkit in the machine's image, or write `gpus: none`",
        ),
        (
            "error setting rlimit",
            "lower `ulimits`, or raise the engine's own limits (LimitNOFILE= and the like in docker.service)",
        ),
        (
            "seccomp profile",
            "fix the profile that `seccomp` names; the engine's default.json is one to start from",
        ),
        (
            "invalid mount config",
            "check what `files` and the mount_* keys put into the container, and where",
        ),
        (
            "are you trying to mount a directory onto a file",
            "check what `files` and the mount_* keys put into the container, and where",
        ),
    ];
    KNOWN
        .iter()
        .find(|(said, _)| words.contains(said))
        .map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Class, Classified as _};

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
