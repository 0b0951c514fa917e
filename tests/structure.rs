//! The shape of the code is tested: dependencies point one way, and there is one TLS and one HTTP stack.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::repository;

/// What a module of the agent may use of the others: `cli → boot, supervise → logs, report → host`.
const MAY_USE: &[(&str, &[&str])] = &[
    ("host", &[]),
    ("access", &["host", "report"]),
    ("logs", &["host"]),
    ("report", &["host"]),
    ("audit", &["host", "report"]),
    ("serve", &["host", "report"]),
    ("notices", &["host", "report", "context"]),
    ("firewall", &["host"]),
    ("identity", &["host", "report"]),
    (
        "context",
        &[
            "host", "logs", "report", "audit", "serve", "identity", "boot", "notices",
        ],
    ),
    (
        "boot",
        &[
            "host",
            "logs",
            "report",
            "audit",
            "notices",
            "context",
            "supervise",
            "lifecycle",
        ],
    ),
    (
        "lifecycle",
        &["host", "logs", "report", "audit", "context", "boot"],
    ),
    (
        "supervise",
        &["host", "logs", "report", "context", "boot", "lifecycle"],
    ),
    ("otlp", &["host", "logs", "report", "serve", "context", "boot"]),
    ("prepare", &["host", "report", "context", "boot", "lifecycle"]),
    (
        "cli",
        &[
            "access",
            "firewall",
            "prepare",
            "otlp",
            "host",
            "logs",
            "report",
            "audit",
            "notices",
            "context",
            "boot",
            "supervise",
            "lifecycle",
        ],
    ),
];

#[test]
fn modules_depend_one_way() {
    for &(module, allowed) in MAY_USE {
        for (path, text) in sources(module) {
            for used in used_modules(&text) {
                assert!(
                    used == module || allowed.contains(&used.as_str()),
                    "{path} uses crate::{used}, which {module} may not"
                );
            }
        }
    }
}

/// Only the module named for an outside system imports its crate.
#[test]
fn one_module_an_outside_system() {
    const HOME: [(&str, &str); 15] = [
        ("bollard", "agent/host/docker/"),
        ("aws_sdk_autoscaling", "agent/host/autoscaling"),
        ("aws_sdk_elasticloadbalancing", "agent/host/balancers/"),
        ("aws_sdk_elasticloadbalancingv2", "agent/host/balancers/"),
        ("aws_sigv4", "agent/host/sigv4.rs"),
        ("aws_sdk_cloudwatchlogs", "agent/logs/sinks/cloudwatch/"),
        ("aws_sdk_ecr", "agent/host/ecr.rs"),
        ("aws_sdk_kms", "agent/host/kms/"),
        ("aws_sdk_secretsmanager", "agent/host/secrets/secrets_manager.rs"),
        ("aws_sdk_s3", "agent/host/s3/"),
        ("aws_config", "agent/host/aws.rs"),
        ("listenfd", "agent/host/local.rs"),
        ("quick_xml", "agent/host/ec2/"),
        ("sd_notify", "agent/report/notify.rs"),
        ("syslog", "agent/logs/sinks/syslog/"),
    ];
    for (path, text) in sources("") {
        for (name, home) in HOME {
            let imports = text.lines().any(|line| {
                let line = line.trim_start();
                line.starts_with(&format!("use {name}::")) || line.contains(&format!(" {name}::"))
            });
            // Our own module is called syslog too.
            let ours = text.contains("mod syslog") || text.contains("sinks::syslog");
            assert!(
                !imports || path.starts_with(home) || (name == "syslog" && ours),
                "{path} imports {name}; only {home} may"
            );
        }
    }
}

#[test]
fn the_core_is_pure() {
    let tree = cargo_tree(&["-p", "monopod-core"]);
    for crate_name in [
        "tokio",
        "bollard",
        "aws-config",
        "aws-sdk-kms",
        "aws-sdk-s3",
        "reqwest",
        "nix",
        "hyper",
    ] {
        assert!(
            !tree.iter().any(|(name, _)| name == crate_name),
            "monopod-core depends on {crate_name}"
        );
    }
    for (path, text) in sources("core")
        .into_iter()
        .filter(|(path, _)| !path.contains("/tests/"))
    {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in [
            "std::fs",
            "std::env",
            "std::net::Tcp",
            "SystemTime::now",
            "Instant::now",
            "std::process",
        ] {
            assert!(!code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn one_tls_stack_and_one_http() {
    let tree = cargo_tree(&["-p", "monopod"]);
    let versions = |name: &str| {
        tree.iter()
            .filter(|(one, _)| one == name)
            .map(|(_, version)| version.as_str())
            .collect::<BTreeSet<_>>()
    };
    for name in ["rustls", "hyper", "http", "http-body", "aws-lc-rs"] {
        assert_eq!(versions(name).len(), 1, "{name}: {:?}", versions(name));
    }
    for name in ["openssl", "openssl-sys", "native-tls", "ring"] {
        assert!(versions(name).is_empty(), "{name} is in the tree");
    }
}

/// The card's packages are there, by their own names.
#[test]
fn the_packages_of_the_card() {
    let manifest = fs::read_to_string(repository("Cargo.toml")).unwrap();
    for name in [
        "bollard",
        "serde_yaml",
        "nix",
        "tokio",
        "reqwest",
        "aws-sdk-kms",
        "syslog",
        "sd-notify",
    ] {
        assert!(
            manifest
                .lines()
                .any(|line| line.starts_with(&format!("{name} = ")) || line.starts_with(&format!("{name}."))),
            "{name}"
        );
    }
}

/// Name and version of every crate a package is built from.
fn cargo_tree(package: &[&str]) -> Vec<(String, String)> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .args(package)
        .current_dir(repository(""))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.to_owned()))
        })
        .collect()
}

/// Every Rust file below `agent/<module>`, or of the module that is one file; with its path from the root.
fn sources(module: &str) -> Vec<(String, String)> {
    let root = repository("");
    let mut files = Vec::new();
    let single = root.join(format!("agent/{module}.rs"));
    if single.exists() {
        files.push(single);
    } else {
        collect(&root.join("agent").join(module), &mut files);
    }
    assert!(!files.is_empty(), "no sources of {module:?}");
    files
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path.strip_prefix(&root).unwrap().display().to_string(), text)
        })
        .collect()
}

fn collect(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The first names after `crate::` in code, comments aside.
fn used_modules(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| line.split("crate::").skip(1))
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect()
        })
        .filter(|name: &String| !name.is_empty())
        .collect()
}
