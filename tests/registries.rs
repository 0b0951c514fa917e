//! Registries and their logins: tokens, ECR, Pier One, an authority of their own, and who sees which login.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use monopod::host::registry::{Content, Credentials, Manifest, Options, Registry, RegistryError};
use monopod::host::{Class, Classified as _, chain};
use monopod_core::secret::Secret;
use monopod_testrig::{
    AwsFault, GuardedRegistry, HTTPS_PORT, Https, Machine, REGISTRY, REGISTRY_PASSWORD, REGISTRY_USER, Signal,
};

use crate::common::*;

/// What the stand-in's logins begin with.
const ECR_CANARY: &str = "canary-ecr-token";
/// What the metadata service gives as the signed identity document.
const PKCS7: &str = "TU9OT1BPRCBSSUc=\nTU9OT1BPRCBSSUc=\nTU9OT1BPRCBSSUc=\n";

/// User data for the shared registry's web server, by way of a guard, with this entry of `dockercfg` beside the shared
/// registry's own.
fn guarded(machine: &Machine, registry: &GuardedRegistry, entry: &str) -> UserData {
    let shared = machine.registry().dockercfg().to_string();
    let both = shared.replacen('{', &format!("{{\"{}\": {entry}, ", registry.host()), 1);
    let image = registry.image(&machine.registry().image("web"));
    let text = UserData::of(machine, &image).web().text().replace(&shared, &both);
    UserData::from_text(text)
}

fn basic(login: &str) -> String {
    format!("Basic {}", BASE64.encode(login))
}

/// Runs our own client where the machine's registries are.
fn ask<T: Send>(machine: &Machine, work: impl AsyncFnOnce() -> T + Send) -> T {
    let inside = || -> io::Result<T> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        Ok(runtime.block_on(work()))
    };
    machine.inside(inside).unwrap()
}

fn client(host: &str, login: Option<(&str, &str)>, certificates: &Path) -> Registry {
    let login = login.map(|(user, password)| Credentials {
        registry: host.to_owned(),
        user: user.to_owned(),
        password: Secret::new(password.to_owned()),
        origin: "the login of `dockercfg`".to_owned(),
    });
    let options = Options {
        certificates: certificates.to_owned(),
        ..Options::default()
    };
    Registry::new(host, login.as_ref(), &options).unwrap()
}

fn nowhere() -> PathBuf {
    PathBuf::from("/nonexistent")
}

#[test]
fn a_boot_from_a_registry_that_wants_tokens() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_tokens(&machine);
    let auth = BASE64.encode(format!("{REGISTRY_USER}:{REGISTRY_PASSWORD}"));
    guarded(&machine, &registry, &format!("{{\"auth\": \"{auth}\"}}")).serve(&machine);
    let agent = run_until_ready(&machine);
    assert!(!registry.asked().is_empty());
    assert!(!everything_told(&machine, &agent).contains(REGISTRY_PASSWORD));
}

#[test]
fn our_own_client_gets_its_token_too() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_tokens(&machine);
    let host = registry.host();
    let digest = machine.registry().digest("web");
    let (manifest, config): (Manifest, Vec<u8>) = ask(&machine, async || {
        let client = client(&host, Some((REGISTRY_USER, REGISTRY_PASSWORD)), &nowhere());
        let manifest = client.manifest("test/web", "1").await.unwrap();
        let Content::Single { config, .. } = &manifest.content else {
            panic!("one image")
        };
        let config = client.blob("test/web", &config.digest, 1 << 20).await.unwrap();
        (manifest, config)
    });
    assert_eq!(manifest.digest, digest);
    assert!(config.starts_with(b"{"));
    assert_eq!(registry.asked().len(), 1, "one token for both");

    let denied = |login| {
        let host = &host;
        ask(&machine, async move || {
            client(host, login, &nowhere())
                .manifest("test/web", "1")
                .await
                .unwrap_err()
        })
    };
    for (login, words) in [
        (None, "there is no login for it"),
        (
            Some((REGISTRY_USER, "canary-wrong-password")),
            "for the login of `dockercfg`",
        ),
    ] {
        let error = denied(login);
        assert!(matches!(error, RegistryError::Unauthorized { .. }), "{error}");
        let text = chain(&error);
        assert!(text.contains(words) && text.contains("token server"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}

/// As ~/.docker/config.json has it, user and password apart, both encrypted.
#[test]
fn the_form_docker_has_today() {
    let machine = Machine::acquire();
    let shared = machine.registry().dockercfg().to_string();
    let (user, password) = (
        machine.aws().encrypt(REGISTRY_USER),
        machine.aws().encrypt(REGISTRY_PASSWORD),
    );
    let auths = serde_json::json!({"auths": {REGISTRY: {"username": user, "password": password}}});
    let text = UserData::new(&machine, "web")
        .web()
        .text()
        .replace(&shared, &auths.to_string());
    machine.set_user_data(&text);
    let agent = run_until_ready(&machine);
    assert_eq!(machine.aws().decrypt_calls(), 2);
    assert!(!everything_told(&machine, &agent).contains(REGISTRY_PASSWORD));
}

#[test]
fn a_boot_with_ecrs_login() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &[&format!("AWS:{ECR_CANARY}-1")]);
    guarded(
        &machine,
        &registry,
        "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}",
    )
    .serve(&machine);
    machine
        .aws()
        .faults(&[AwsFault::error("GetAuthorizationToken", "ServerException").times(2)]);
    let agent = run_until_ready(&machine);
    // Two that were throttled, and one for resolving and pulling together.
    assert_eq!(machine.aws().count("GetAuthorizationToken"), 3);
    assert!(!everything_told(&machine, &agent).contains(ECR_CANARY));
    // No other registry's login, and where the blobs lie none at all.
    let sent: Vec<String> = registry
        .asked()
        .into_iter()
        .filter_map(|asked| asked.authorization)
        .collect();
    let own = basic(&format!("AWS:{ECR_CANARY}-1"));
    assert!(
        !sent.is_empty() && sent.iter().all(|sent| *sent == own),
        "{sent:?}"
    );
}

#[test]
fn ecrs_login_is_made_anew_before_it_ends() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &[&format!("AWS:{ECR_CANARY}-*")]);
    guarded(
        &machine,
        &registry,
        "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}",
    )
    .serve(&machine);
    machine.aws().ecr_life(Duration::ZERO);
    let _agent = run_until_ready(&machine);
    let sent: Vec<String> = registry
        .asked()
        .into_iter()
        .filter_map(|asked| asked.authorization)
        .collect();
    for number in 1..=2 {
        let login = basic(&format!("AWS:{ECR_CANARY}-{number}"));
        assert!(sent.contains(&login), "the login {number} was not used: {sent:?}");
    }
}

#[test]
fn what_ecr_refuses_is_said_with_what_to_grant() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &[]);
    let user_data = guarded(
        &machine,
        &registry,
        "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}",
    );
    user_data.serve(&machine);
    machine.aws().faults(&[
        AwsFault::error("GetAuthorizationToken", "AccessDeniedException").message("no policy allows it")
    ]);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    for word in [
        registry.host().as_str(),
        "AccessDeniedException",
        "grant",
        "ecr:GetAuthorizationToken",
        "eu-west-1",
    ] {
        assert!(error.contains(word), "{word} is missing in {error}");
    }
    assert_eq!(machine.aws().count("GetAuthorizationToken"), 1, "not tried again");
}

/// The registry does not take what ECR gave: said once, and not with the token.
#[test]
fn a_login_that_the_registry_refuses_is_final() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &["AWS:another"]);
    guarded(
        &machine,
        &registry,
        "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}",
    )
    .serve(&machine);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(error.contains("refused") && error.contains("role"), "{error}");
    assert!(!everything_told(&machine, &agent).contains(ECR_CANARY));
}

/// A login that is a part of the image's name too: the registry and the engine repeat it in their refusal.
#[test]
fn a_login_made_on_the_machine_is_redacted() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &[&format!("AWS:{ECR_CANARY}-1")]);
    let text = guarded(
        &machine,
        &registry,
        "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}",
    );
    let named = text
        .text()
        .replace("/test/web:1", &format!("/test/{ECR_CANARY}-1:1"));
    machine.set_user_data(&named);
    let (code, agent) = run_to_end(&machine);
    assert_eq!(code, 78, "{}", agent.output());
    let error = error_line(&agent);
    assert!(
        error.contains("[redacted]") && !error.contains(ECR_CANARY),
        "{error}"
    );
}

#[test]
fn pier_one_gets_what_its_own_client_sends() {
    let machine = Machine::acquire();
    let login = format!("instance-identity-document:{PKCS7}");
    let registry = GuardedRegistry::with_gate(&machine, &[&login]);
    guarded(&machine, &registry, "{\"login\": \"instance-identity\"}").serve(&machine);
    let agent = run_until_ready(&machine);
    let sent: Vec<String> = registry
        .asked()
        .into_iter()
        .filter_map(|asked| asked.authorization)
        .collect();
    let theirs = format!("Basic {}", of_pierone());
    assert!(
        !sent.is_empty() && sent.iter().all(|sent| *sent == theirs),
        "{theirs}: {sent:?}"
    );
    let told = everything_told(&machine, &agent);
    assert!(
        !told.contains("TU9OT1BPRCBSSUc=") && !told.contains(&of_pierone()),
        "{told}"
    );
}

/// What the real client makes of the same document. It asks the address of EC2, so it is given the answer.
fn of_pierone() -> String {
    const SCRIPT: &str = "
import sys, types
import pierone.api as api
def answer(url, path):
    assert path == '/latest/dynamic/instance-identity/pkcs7', path
    return types.SimpleNamespace(text=sys.stdin.read())
api.request = answer
print(api.iid_auth(), end='')
";
    let mut child = Command::new(tool("python"))
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PKCS7.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// An image that is here needs nobody's login: not at a reboot, and not when it came with the machine's image.
#[test]
fn an_image_that_is_here_needs_no_login() {
    let machine = Machine::acquire();
    let registry = GuardedRegistry::with_gate(&machine, &[&format!("AWS:{ECR_CANARY}-1")]);
    let entry = "{\"login\": \"ecr\", \"region\": \"eu-west-1\"}";
    guarded(&machine, &registry, entry).serve(&machine);
    let agent = run_until_ready(&machine);
    agent.signal(Signal::SIGTERM);
    assert_eq!(agent.wait_exit(SOON), 0);
    machine.docker_ok(&["rm", "--force", CONTAINER]);
    let digest = machine.registry().digest("web");
    let tag = registry.image(&machine.registry().image("web"));
    let pinned = format!("{}@{digest}", tag.strip_suffix(":1").unwrap());
    let text = guarded(&machine, &registry, entry).text().replace(&tag, &pinned);
    machine.set_user_data(&text);
    registry.down();
    machine.aws().line().down();
    let _agent = run_until_ready(&machine);
    assert_eq!(machine.aws().count("GetAuthorizationToken"), 1);
}

#[test]
fn a_registry_with_an_authority_of_its_own() {
    let machine = Machine::acquire();
    let https = Https::start(&machine);
    let (folder, base) = (
        machine.dirs().base.join("certs.d"),
        format!("127.0.0.1:{HTTPS_PORT}"),
    );
    let files = https.authority().parent().unwrap().join("files/v2/app/manifests");
    fs::create_dir_all(files).unwrap();
    let config = serde_json::json!({"mediaType": "x", "digest": "sha256:0", "size": 1});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": [],
    });
    drop(https.put("v2/app/manifests/1", manifest.to_string().as_bytes()));
    drop(https.put("v2/app/manifests/away.redirect", b"http://127.0.0.1:5000/v2/"));
    let elsewhere = format!("localhost:{HTTPS_PORT}");
    for host in [&base, &elsewhere] {
        fs::create_dir_all(folder.join(host)).unwrap();
        fs::copy(https.authority(), folder.join(host).join("ca.crt")).unwrap();
    }
    let (found, away, name) = ask(&machine, async || {
        let ours = client(&base, None, &folder);
        (
            ours.manifest("app", "1").await,
            ours.manifest("app", "away").await.unwrap_err(),
            client(&elsewhere, None, &folder)
                .manifest("app", "1")
                .await
                .unwrap_err(),
        )
    });
    assert!(matches!(found.unwrap().content, Content::Single { .. }));
    // Never from https to http, not even on this machine.
    assert!(matches!(away, RegistryError::Unsafe { .. }), "{away}");
    // The authority is trusted, and the certificate is another server's.
    assert!(
        matches!(name, RegistryError::Tls { .. }) && name.class() == Class::Permanent,
        "{name}"
    );
    assert!(
        name.to_string()
            .contains(&format!("/etc/docker/certs.d/{elsewhere}/ca.crt")),
        "{name}"
    );
}

#[test]
fn what_speaks_no_tls_is_told_apart() {
    let machine = Machine::acquire();
    let https = Https::start(&machine);
    let (folder, host) = (machine.dirs().base.join("certs.d"), "127.0.0.1:5000");
    fs::create_dir_all(folder.join(host)).unwrap();
    fs::copy(https.authority(), folder.join(host).join("ca.crt")).unwrap();
    let error = ask(&machine, async || {
        client(host, None, &folder)
            .manifest("app", "1")
            .await
            .unwrap_err()
    });
    assert!(error.to_string().contains("speaks no TLS"), "{error}");
}
