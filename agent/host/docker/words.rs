//! What the engine's words mean: its status codes alone tell little.

use super::{EngineError, What};

impl EngineError {
    /// By the words first: engines answer a registry's refusal with 404 or 500 as it comes.
    pub(super) fn from_words(what: What, status: u16, message: String) -> Self {
        let message = without_endpoint(&message);
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
        } else if !of_registry && are_rules_gone(&words) {
            Self::RulesGone { what, message }
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

/// Whether the chains that the engine made at its start are not there any more, in the words of iptables (over the
/// kernel's older tables and over nftables) and of nft. What iptables cannot do at all (a module that is missing, a
/// table it may not make) is no such thing: a restart of the engine does not help there.
fn are_rules_gone(words: &str) -> bool {
    let by_iptables = words.contains("iptables") || words.contains("ip6tables");
    // Targets have names in capitals as well: DNAT and MASQUERADE are missing where the kernel lacks them.
    let of_engine = words.contains("chain 'docker") || words.contains("target `docker");
    let is_missing = words.contains("does not exist") || words.contains("no such file or directory");
    (by_iptables && words.contains("no chain/target/match by that name"))
        || (by_iptables && of_engine && is_missing)
        || (words.contains("docker-bridges") && is_missing)
}

/// A start that is refused has another endpoint each time, so that the same words would seem to be others.
fn without_endpoint(message: &str) -> String {
    let is_id = |word: &str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut parts = message.split(" (");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((word, rest)) if is_id(word) => kept.push_str(rest),
            _ => {
                kept.push_str(" (");
                kept.push_str(part);
            }
        }
    }
    kept
}

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

    #[test]
    fn rules_that_are_gone_are_told_apart_and_come_back() {
        let start = || What::Start {
            id: "0123456789abcdef".into(),
        };
        let of = |words: &str| {
            let message = format!(
                "driver failed programming external connectivity on endpoint taupageapp ({:a<64}): {words}",
                ""
            );
            EngineError::from_words(start(), 500, message)
        };
        for words in [
            " (iptables failed: iptables --wait -t nat -A DOCKER -p tcp -d 0/0 --dport 80 -j DNAT --to-destination 172.17.0.2:80 ! -i docker0: iptables: No chain/target/match by that name.\n (exit status 1))",
            "iptables failed: iptables --wait -t filter -A DOCKER ! -i docker0 -o docker0 -j ACCEPT: iptables v1.8.9 (nf_tables): Chain 'DOCKER' does not exist\nTry `iptables -h' or 'iptables --help' for more information.\n (exit status 2)",
            "Unable to enable DIRECT ACCESS FILTERING - DROP rule:  (iptables failed: iptables --wait -t raw -A PREROUTING: iptables v1.8.10 (nf_tables): Chain 'DOCKER-FORWARD' does not exist (exit status 2))",
            "COMMAND_FAILED: '/sbin/iptables -w -t nat -A PREROUTING -j DOCKER' failed: iptables v1.4.21: Couldn't load target `DOCKER':No such file or directory",
            "failed to create NAT chain DOCKER: iptables failed: ip6tables --wait -t nat -N DOCKER: ip6tables: No chain/target/match by that name. (exit status 1)",
            "Error: Could not process rule: No such file or directory\nadd element ip docker-bridges filter-forward-in-jumps",
        ] {
            let error = of(words);
            assert!(
                matches!(error, EngineError::RulesGone { .. }),
                "{words}: {error:?}"
            );
            assert_eq!(error.class(), Class::Transient);
            let said = error.to_string();
            assert!(
                said.contains("`systemctl restart docker` puts them back"),
                "{said}"
            );
            assert!(
                said.contains("endpoint taupageapp: "),
                "no other words each time: {said}"
            );
        }
        for words in [
            // The kernel's lack: a restart changes nothing.
            "iptables failed: iptables -t nat -N DOCKER: iptables v1.8.9 (legacy): can't initialize iptables table `nat': Table does not exist",
            "iptables failed: iptables --wait -t nat -A POSTROUTING -j MASQUERADE: iptables v1.8.9 (nf_tables): Chain 'MASQUERADE' does not exist",
            "failed to create NAT chain DOCKER: iptables failed: iptables -t nat -N DOCKER: iptables: Chain already exists.",
            "Bind for 0.0.0.0:80 failed: port is already allocated",
            "iptables failed: Another app is currently holding the xtables lock",
        ] {
            let error = of(words);
            assert!(!matches!(error, EngineError::RulesGone { .. }), "{words}");
            assert_eq!(error.class(), Class::Transient, "{words}");
        }
        let words = "iptables: No chain/target/match by that name.";
        let error = EngineError::from_words(pull(), 500, words.to_owned());
        assert!(
            matches!(error, EngineError::Refused { .. }),
            "no registry means that"
        );
    }

    #[test]
    fn only_ids_are_left_out() {
        let words = "on endpoint a (b) (0123): Bind (x failed";
        assert_eq!(without_endpoint(words), words);
        let id = "0f".repeat(32);
        assert_eq!(
            without_endpoint(&format!("on endpoint a ({id}): no ({id}")),
            format!("on endpoint a: no ({id}")
        );
    }

    #[test]
    fn what_this_machine_can_not_do_is_final_and_says_what_to_do() {
        let start = What::Start {
            id: "0123456789abcdef".into(),
        };
        for (what, message, help) in [
            (
                start.clone(),
                "could not select device driver \"nvidia\" with capabilities: [[gpu]]",
                "NVIDIA container toolkit",
            ),
            (
                start.clone(),
                "OCI runtime create failed: container_linux.go:380: error setting rlimit type 7: operation not permitted",
                "LimitNOFILE",
            ),
            (
                What::Create,
                "invalid mount config for type \"bind\": bind source path does not exist: /x",
                "mount_* keys",
            ),
        ] {
            let error = EngineError::from_words(what, 500, message.to_owned());
            assert_eq!(error.class(), Class::Permanent, "{message}");
            assert!(error.to_string().contains(help), "{error}");
        }
        // The same words in a registry's answer mean something else.
        let error = EngineError::from_words(pull(), 500, "seccomp profile: unexpected EOF".to_owned());
        assert_eq!(error.class(), Class::Transient);
    }
}
