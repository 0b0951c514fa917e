use std::path::PathBuf;

use monopod_core::config::{self, FileMount, Gpus, HostEntry, Ulimit};
use monopod_core::plan::container::{Bind, ENGINE_SOCKET, MemoryLimit, Mounted};
use monopod_core::plan::sets::SetName;
use monopod_core::secret::SecretRef;
use serde_json::{Value, json};

use super::*;

/// What a user gets who asks for nothing; a test changes what it is about.
fn spec() -> ContainerSpec {
    let text = "#taupage-ami-config\napplication_id: app\napplication_version: \"1\"\nruntime: Docker\nsource: registry.example.org/team/app:1\n";
    let (config, _) = config::parse(text.as_bytes(), "test").into_config().unwrap();
    ContainerSpec::new(&config)
}

fn machine() -> Surroundings {
    Surroundings {
        memory_total: 1 << 30,
        engine_socket: PathBuf::from("/run/engine.sock"),
        ..Default::default()
    }
}

fn made(spec: &ContainerSpec, machine: &Surroundings) -> Value {
    let labels = Labels {
        spec: SpecHash::new(&json!({}), "sha256:1"),
        digest: "sha256:1".to_owned(),
        source: "registry.example.org/team/app:1".to_owned(),
        secrets: Vec::new(),
        application_id: "app".to_owned(),
        application_version: "1".to_owned(),
    };
    let files = Delivery::new(Path::new("/run/monopod"), &labels.spec, &spec.files, |_| None);
    let sets: Vec<SecretSet> = [
        (!spec.secret_files.is_empty(), SetName::Secrets),
        (spec.mint_bucket.is_some(), SetName::Credentials),
    ]
    .into_iter()
    .filter(|(asked, _)| *asked)
    .map(|(_, name)| SecretSet::new(Path::new("/run/monopod"), name, &labels.spec))
    .collect();
    let made = Made {
        spec,
        pinned: "registry.example.org/team/app@sha256:1",
        labels: &labels,
        machine,
        files: &files,
        sets: &sets,
    };
    let value = |source: &EnvValue| match source {
        EnvValue::Plain(value) => Some(value.clone()),
        EnvValue::Secret(_) => None,
    };
    serde_json::to_value(body(made, value).unwrap()).unwrap()
}

#[test]
fn who_asks_for_nothing_gets_nothing_opened() {
    let body = made(&spec(), &machine());
    assert_eq!(body["User"], "999");
    assert_eq!(body["StopTimeout"], 10);
    assert_eq!(body["HostConfig"]["SecurityOpt"], json!(["no-new-privileges"]));
    assert_eq!(body["HostConfig"]["LogConfig"]["Config"]["max-size"], "134217728");
    for absent in [
        "Mounts",
        "Binds",
        "GroupAdd",
        "Tmpfs",
        "DeviceRequests",
        "Ulimits",
        "Dns",
        "ExtraHosts",
        "NanoCpus",
    ] {
        assert_eq!(body["HostConfig"][absent], Value::Null, "{absent}");
    }
    for absent in ["Entrypoint", "Cmd", "StopSignal"] {
        assert_eq!(body[absent], Value::Null, "{absent}");
    }
    assert_eq!(body["Labels"]["deployment_id"], Value::Null);
}

#[test]
fn options_are_passed_on_in_the_engine_s_words() {
    let body = made(
        &ContainerSpec {
            memory: MemoryLimit::Bytes(64 << 20),
            nano_cpus: Some(500_000_000),
            ulimits: vec![Ulimit {
                name: "nofile".to_owned(),
                soft: 1,
                hard: -1,
            }],
            entrypoint: Some(vec!["/bin/sh".to_owned()]),
            command: Some(vec!["-c".to_owned(), "true".to_owned()]),
            stop_signal: Some("SIGINT".to_owned()),
            stop_timeout: 90,
            dns: vec!["10.0.0.2".parse().unwrap()],
            extra_hosts: vec![HostEntry {
                name: "db".to_owned(),
                address: "10.0.0.1".to_owned(),
            }],
            log_budget: 30_000_000,
            deployment_id: Some("d-1".to_owned()),
            ..spec()
        },
        &machine(),
    );
    let host = &body["HostConfig"];
    assert_eq!(
        (&host["Memory"], &host["MemorySwap"]),
        (&json!(64 << 20), &json!(64 << 20))
    );
    assert_eq!(host["NanoCpus"], 500_000_000);
    assert_eq!(
        host["Ulimits"],
        json!([{"Name": "nofile", "Soft": 1, "Hard": -1}])
    );
    assert_eq!(body["Entrypoint"], json!(["/bin/sh"]));
    assert_eq!(body["Cmd"], json!(["-c", "true"]));
    assert_eq!(
        (&body["StopSignal"], &body["StopTimeout"]),
        (&json!("SIGINT"), &json!(90))
    );
    assert_eq!(host["Dns"], json!(["10.0.0.2"]));
    assert_eq!(host["ExtraHosts"], json!(["db:10.0.0.1"]));
    assert_eq!(host["LogConfig"]["Config"]["max-size"], "3750000");
    assert_eq!(body["Labels"]["deployment_id"], "d-1");
}

#[test]
fn a_tmpfs_runs_no_programs_unless_the_user_says_so() {
    let options = |options: &str| {
        tmpfs(&Tmpfs {
            path: "/x".to_owned(),
            options: options.to_owned(),
        })
        .1
    };
    assert_eq!(options(""), "rw,nosuid,nodev,noexec");
    assert_eq!(options("size=1m"), "rw,nosuid,nodev,noexec,size=1m");
    assert_eq!(options("size=1m,exec"), "rw,nosuid,nodev,size=1m,exec");
    assert_eq!(
        options("mode=1770,noexec"),
        "rw,nosuid,nodev,noexec,mode=1770,noexec"
    );
}

#[test]
fn the_filter_is_the_engine_s_none_or_the_profile_s_text() {
    let options = |seccomp, profile: Option<&str>| {
        let machine = Surroundings {
            seccomp_profile: profile.map(str::to_owned),
            ..machine()
        };
        made(&ContainerSpec { seccomp, ..spec() }, &machine)["HostConfig"]["SecurityOpt"].clone()
    };
    assert_eq!(options(Seccomp::Default, None), json!(["no-new-privileges"]));
    assert_eq!(
        options(Seccomp::Unconfined, None),
        json!(["no-new-privileges", "seccomp=unconfined"])
    );
    assert_eq!(
        options(Seccomp::Profile("/etc/p.json".to_owned()), Some("{}")),
        json!(["no-new-privileges", "seccomp={}"])
    );
}

#[test]
fn files_and_directories_are_mounts_and_bring_their_groups() {
    const CERTS: Bind = Bind {
        key: "mount_certs",
        source: "/etc/ssl/certs",
        target: "/etc/ssl/certs",
        read_only: true,
    };
    let asked = |user: Option<&str>| ContainerSpec {
        user: user.map(str::to_owned),
        binds: vec![CERTS, ENGINE_SOCKET],
        mounts: vec![Mounted {
            source: "/mounts/data".to_owned(),
            target: "/data".to_owned(),
            read_only: false,
        }],
        files: vec![FileMount {
            path: "/etc/app.conf".to_owned(),
            content: EnvValue::Plain("canary".to_owned()),
        }],
        ..spec()
    };
    let machine = Surroundings {
        engine_group: Some(998),
        ..machine()
    };
    let body = made(&asked(Some("999")), &machine);
    assert!(!body.to_string().contains("canary"));
    let mounts = body["HostConfig"]["Mounts"].as_array().unwrap();
    let rows: Vec<_> = mounts
        .iter()
        .map(|mount| {
            assert_eq!(mount["Type"], "bind");
            assert_eq!(mount["BindOptions"]["Propagation"], "rprivate");
            (
                mount["Source"].as_str().unwrap(),
                mount["Target"].as_str().unwrap(),
                mount["ReadOnly"].as_bool().unwrap(),
            )
        })
        .collect();
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0], ("/etc/ssl/certs", "/etc/ssl/certs", true));
    assert_eq!(rows[1], ("/run/engine.sock", "/var/run/docker.sock", false));
    assert_eq!(rows[2], ("/mounts/data", "/data", false));
    assert_eq!((rows[3].1, rows[3].2), ("/etc/app.conf", true));
    assert!(rows[3].0.starts_with("/run/monopod/files/"), "{}", rows[3].0);
    assert_eq!(body["HostConfig"]["GroupAdd"], json!(["999", "998"]));
    let groups = |user| made(&asked(user), &machine)["HostConfig"]["GroupAdd"].clone();
    assert_eq!(groups(Some("0:0")), Value::Null, "root reads everything");
    assert_eq!(
        groups(None),
        json!(["999", "998"]),
        "the image's user may be anybody"
    );
}

#[test]
fn sets_are_directories_that_are_mounted_and_bring_their_group() {
    let reference = SecretRef::parse("aws:ssm:/db").unwrap().unwrap();
    let asked = ContainerSpec {
        secret_files: vec![("db".to_owned(), reference)],
        mint_bucket: Some("b".to_owned()),
        ..spec()
    };
    let body = made(&asked, &machine());
    let mounts = body["HostConfig"]["Mounts"].as_array().unwrap();
    let rows: Vec<(&str, &str)> = mounts
        .iter()
        .map(|mount| {
            assert_eq!(
                (&mount["Type"], &mount["ReadOnly"]),
                (&json!("bind"), &json!(true))
            );
            (
                mount["Source"].as_str().unwrap(),
                mount["Target"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        (rows[0].1, rows[1].1, rows.len()),
        ("/run/secrets", "/meta/credentials", 2)
    );
    assert!(rows[0].0.starts_with("/run/monopod/secrets/"), "{rows:?}");
    assert!(rows[1].0.starts_with("/run/monopod/credentials/"), "{rows:?}");
    assert_eq!(body["HostConfig"]["GroupAdd"], json!(["999"]));
}

#[test]
fn graphics_processors_are_asked_of_nvidia_s_runtime() {
    let body = made(
        &ContainerSpec {
            gpus: Some(Gpus::All),
            ..spec()
        },
        &Surroundings {
            gpus: true,
            ..machine()
        },
    );
    assert_eq!(
        body["HostConfig"]["DeviceRequests"],
        json!([{"Driver": "nvidia", "Count": -1, "Capabilities": [["gpu"]]}])
    );
}
