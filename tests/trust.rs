//! What an image has to prove before it is pulled: signatures made by openssl, headers, and a registry that is away.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use monopod_testrig::{Agent, Answer, FRONT_PORT, Front, Image, Machine, REGISTRY_PASSWORD};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::common::*;

const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 1; done";

/// An image of its own for a test, in the registry and seen through a front.
struct Case {
    machine: Machine,
    repository: String,
    digest: String,
}

impl Case {
    fn new(name: &str) -> Self {
        let machine = Machine::acquire();
        let reference = machine
            .registry()
            .push(&Image::new(name, &format!("# {name}\n{SLEEP}")));
        let digest = machine.registry().digest(&reference);
        Self {
            machine,
            repository: format!("test/{name}"),
            digest,
        }
    }

    /// What user data says: the front's port, so that all that is asked is seen.
    fn source(&self, tag: &str) -> String {
        format!("127.0.0.1:{FRONT_PORT}/{}:{tag}", self.repository)
    }

    fn front(&self, rule: impl Fn(&str) -> Answer + Send + Sync + 'static) -> Front {
        Front::start(&self.machine, rule)
    }

    fn user_data(&self, source: &str) -> UserData {
        let text = UserData::of(&self.machine, source).text().to_owned();
        UserData::raw(text.replace("127.0.0.1:5000\":", &format!("127.0.0.1:{FRONT_PORT}\":")))
    }

    fn policy(&self, rules: &str) {
        let directory = &self.machine.dirs().configuration;
        fs::create_dir_all(directory.join("keys")).unwrap();
        fs::write(
            directory.join("policy.yaml"),
            format!("# The rules.\nimages:\n{rules}"),
        )
        .unwrap();
    }

    /// A rule for every image of the front that wants a signature by one of these.
    fn require_signature(&self, keys: &str) {
        self.policy(&format!(
            "  - match: 127.0.0.1:{FRONT_PORT}/test/*\n    require: signature\n    keys: [{keys}]\n"
        ));
    }

    /// Makes a key; its public half lies where the policy says keys do.
    fn key(&self, name: &str) -> String {
        let directory = self.machine.dirs().configuration.join("keys");
        fs::create_dir_all(&directory).unwrap();
        let private = self.machine.dirs().base.join(name);
        openssl(
            &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out"],
            &private,
        );
        let public = openssl(&["ec", "-pubout", "-in"], &private);
        fs::write(directory.join(format!("{name}.pub")), public).unwrap();
        format!("/etc/monopod/keys/{name}.pub")
    }

    /// What cosign would push: one layer a signature, of any digest and name, by any key.
    fn sign(&self, signatures: &[(&str, &str, &str)]) {
        let mut layers = Vec::new();
        for (key, digest, reference) in signatures {
            let payload = json!({
                "critical": {
                    "identity": {"docker-reference": reference},
                    "image": {"docker-manifest-digest": digest},
                    "type": "cosign container image signature",
                },
                "optional": null,
            })
            .to_string();
            let file = self.machine.dirs().base.join("payload");
            fs::write(&file, &payload).unwrap();
            let private = self.machine.dirs().base.join(key).display().to_string();
            let signature = openssl(&["dgst", "-sha256", "-sign", &private], &file);
            let blob = sha256(payload.as_bytes());
            self.machine
                .registry()
                .writer()
                .put_blob(&self.repository, &blob, payload.as_bytes());
            layers.push(json!({
                "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json",
                "digest": blob,
                "size": payload.len(),
                "annotations": {"dev.cosignproject.cosign/signature": STANDARD.encode(signature)},
            }));
        }
        let config =
            json!({"architecture": "", "os": "", "rootfs": {"type": "layers", "diff_ids": []}}).to_string();
        let config_digest = sha256(config.as_bytes());
        self.machine
            .registry()
            .writer()
            .put_blob(&self.repository, &config_digest, config.as_bytes());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config_digest, "size": config.len()},
            "layers": layers,
        });
        self.machine.registry().writer().put_manifest(
            &self.repository,
            &signature_tag(&self.digest),
            OCI_MANIFEST,
            manifest.to_string().as_bytes(),
        );
    }

    fn layers(&self) -> Vec<String> {
        let path = format!("/v2/{}/manifests/{}", self.repository, self.digest);
        let answer = self.machine.registry().ask(&path, Some(REGISTRY_PASSWORD));
        let manifest: Value = serde_json::from_slice(&answer.body).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        layers
            .iter()
            .map(|layer| layer["digest"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Boots to the refusal: final, nothing pulled, nothing run; gives the line that says why.
    fn refused(&self, front: &Front, code: &str) -> String {
        let (exit, agent) = run_to_end(&self.machine);
        assert_eq!(exit, 78, "{}", agent.output());
        self.nothing_came_of_it(front);
        let error = error_line(&agent);
        assert!(error.contains(code) && error.contains("policy.yaml:"), "{error}");
        error
    }

    fn nothing_came_of_it(&self, front: &Front) {
        assert!(self.machine.containers().is_empty());
        // The tag may be pushed again, with what may run.
        let record = fs::read_to_string(self.machine.dirs().state.join("images.json"));
        assert!(!record.unwrap_or_default().contains(&self.digest));
        let asked = front.asked();
        for layer in self.layers() {
            assert!(!asked.iter().any(|line| line.contains(&layer)), "{asked:#?}");
        }
        let image = format!("127.0.0.1:{FRONT_PORT}/{}@{}", self.repository, self.digest);
        assert!(
            !self
                .machine
                .docker(&["image", "inspect", &image])
                .status
                .success()
        );
    }

    /// Boots to READY, with this digest and this word about it.
    fn runs(&self, verified: &str) -> Agent {
        let agent = run_until_ready(&self.machine);
        let container = the_container(&self.machine);
        let image = container["Config"]["Image"].as_str().unwrap().to_owned();
        assert!(image.ends_with(&format!("@{}", self.digest)), "{image}");
        assert_eq!(status(&self.machine)["trust"], verified);
        agent
    }
}

fn pass(_: &str) -> Answer {
    Answer::Pass(Vec::new())
}

fn signature_tag(digest: &str) -> String {
    format!("{}.sig", digest.replace(':', "-"))
}

fn sha256(bytes: &[u8]) -> String {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn openssl(args: &[&str], file: &Path) -> Vec<u8> {
    let output = Command::new("openssl").args(args).arg(file).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

#[test]
fn a_signed_image_runs_and_a_reboot_asks_nobody() {
    let case = Case::new("trust-signed");
    let (team, other) = (case.key("team"), case.key("other"));
    case.require_signature(&team);
    let own = format!("registry.example.org/{}", case.repository);
    // Somebody else has signed too.
    case.sign(&[("other", &case.digest, ""), ("team", &case.digest, &own)]);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let agent = case.runs("signature by team.pub");
    assert!(
        agent.output().contains("verified: signature by team.pub"),
        "{}",
        agent.output()
    );
    let shown = case.machine.monopod(binary(), &["status"]).output().unwrap();
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("verified   signature by team.pub"), "{shown}");
    agent.kill9();
    drop(front);
    drop(other);
    case.machine.reboot();
    let _agent = run_until_ready(&case.machine);
}

#[test]
fn an_image_without_a_signature() {
    let case = Case::new("trust-unsigned");
    let team = case.key("team");
    case.require_signature(&team);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let error = case.refused(&front, "MP0602");
    assert!(
        error.contains(&signature_tag(&case.digest)) && error.contains("policy.yaml:3"),
        "{error}"
    );
}

#[test]
fn signed_by_another_key() {
    let case = Case::new("trust-wrong-key");
    let (team, _) = (case.key("team"), case.key("other"));
    case.require_signature(&team);
    case.sign(&[("other", &case.digest, "")]);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let error = case.refused(&front, "MP0603");
    assert!(error.contains("team.pub"), "{error}");
}

#[test]
fn a_signature_copied_from_another_image() {
    let case = Case::new("trust-copied");
    let team = case.key("team");
    case.require_signature(&team);
    let another = case.machine.registry().digest("web");
    case.sign(&[("team", &another, "")]);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let error = case.refused(&front, "MP0604");
    assert!(error.contains(&another), "{error}");
}

#[test]
fn signed_under_another_name() {
    let case = Case::new("trust-renamed");
    let team = case.key("team");
    case.require_signature(&team);
    case.sign(&[("team", &case.digest, "127.0.0.1:5001/test/another")]);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let _error = case.refused(&front, "MP0605");
}

#[test]
fn signed_by_a_key_that_counts_no_more() {
    let case = Case::new("trust-expired");
    let team = case.key("team");
    case.require_signature(&format!("{{file: {team}, not_after: 2020-02-29}}"));
    case.sign(&[("team", &case.digest, "")]);
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let error = case.refused(&front, "MP0606");
    assert!(error.contains("2020-02-29"), "{error}");
}

#[test]
fn what_is_no_signature() {
    let case = Case::new("trust-garbage");
    let team = case.key("team");
    case.require_signature(&team);
    let blob = sha256(b"garbage");
    case.machine
        .registry()
        .writer()
        .put_blob(&case.repository, &blob, b"garbage");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob, "size": 7},
        "layers": [{
            "mediaType": "application/vnd.dev.cosign.simplesigning.v1+json", "digest": blob, "size": 7,
            "annotations": {"dev.cosignproject.cosign/signature": "!"},
        }],
    });
    case.machine.registry().writer().put_manifest(
        &case.repository,
        &signature_tag(&case.digest),
        OCI_MANIFEST,
        manifest.to_string().as_bytes(),
    );
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let _error = case.refused(&front, "MP0607");
}

#[test]
fn an_image_without_a_rule_and_one_without_a_digest() {
    let case = Case::new("trust-no-rule");
    case.policy("  - {match: registry.example.org/**, require: nothing}\n");
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let _error = case.refused(&front, "MP0404");
    case.policy("  - {match: '**', require: digest}\n");
    let _error = case.refused(&front, "MP0405");
    assert!(front.asked().is_empty(), "{:?}", front.asked());
    case.user_data(&format!("{}@{}", case.source("1"), case.digest))
        .serve(&case.machine);
    let _agent = case.runs("digest only");
}

#[test]
fn a_key_that_is_not_there_is_a_mistake_of_the_policy() {
    let case = Case::new("trust-no-key");
    case.require_signature("/etc/monopod/keys/gone.pub");
    let front = case.front(pass);
    case.user_data(&case.source("1")).serve(&case.machine);
    let _error = case.refused(&front, "MP0407");
    let file = case.machine.dirs().base.join("user-data.yaml");
    fs::write(&file, case.user_data(&case.source("1")).text()).unwrap();
    let configuration = case.machine.dirs().configuration.display().to_string();
    let file = file.display().to_string();
    let validate = |code: i32, part: &str| {
        let args = ["validate", "--configuration-directory", &configuration, &file];
        let output = case.machine.monopod(binary(), &args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(part), "{text}");
    };
    validate(78, "MP0407");
    let team = case.key("team");
    case.require_signature(&team);
    validate(0, "can be used");
    let args = ["plan", "--configuration-directory", &configuration, &file];
    let output = case.machine.monopod(binary(), &args).output().unwrap();
    let plan = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        plan.contains("a signature by team.pub") && plan.contains("policy.yaml:3"),
        "{plan}"
    );
}

/// Adds a header to manifests; by digest and by tag each has its own.
fn headers(
    by_digest: &[(&'static str, &'static str)],
    by_tag: &[(&'static str, &'static str)],
) -> impl Fn(&str) -> Answer + Send + Sync + use<> {
    let all = |headers: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        headers
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()))
            .collect()
    };
    let (by_digest, by_tag) = (all(by_digest), all(by_tag));
    move |line| match line.split_once("/manifests/") {
        Some((_, reference)) if reference.contains(':') => Answer::Pass(by_digest.clone()),
        Some(_) => Answer::Pass(by_tag.clone()),
        None => Answer::Pass(Vec::new()),
    }
}

fn header_case(name: &str) -> Case {
    let case = Case::new(name);
    case.policy("  - {match: '**', require: header}\n");
    case.user_data(&case.source("1")).serve(&case.machine);
    case
}

#[test]
fn a_registry_that_approves_by_digest() {
    let case = header_case("trust-header");
    let _front = case.front(headers(&[("X-Production-Ready-Taupage", "True")], &[]));
    let _agent = case.runs("header");
}

#[test]
fn a_registry_that_approves_by_tag_alone() {
    let case = header_case("trust-header-tag");
    let _front = case.front(headers(&[], &[("X-Trusted", "true")]));
    let _agent = case.runs("header");
}

#[test]
fn a_registry_that_says_nothing() {
    let case = header_case("trust-header-none");
    let front = case.front(pass);
    let _error = case.refused(&front, "MP0608");
}

#[test]
fn a_registry_that_refuses_and_says_why() {
    let case = header_case("trust-header-refused");
    let front = case.front(headers(
        &[
            ("X-Production-Ready-Taupage", "false"),
            (
                "X-Production-Ready-Reason",
                "3 known CVEs, ask canary-registry-password",
            ),
        ],
        &[("X-Trusted", "true")],
    ));
    let error = case.refused(&front, "MP0609");
    assert!(
        error.contains("3 known CVEs, ask") && !error.contains(REGISTRY_PASSWORD),
        "{error}"
    );
}

/// Puts another image under a tag of the case's repository.
fn swap(machine: &Machine, repository: &str) -> impl Fn(&str) + Send + Sync + use<> {
    let name = repository.trim_start_matches("test/");
    let other = machine
        .registry()
        .push(&Image::tagged(name, "other", &format!("# another\n{SLEEP}")));
    let digest = machine.registry().digest(&other);
    let path = format!("/v2/{repository}/manifests/{digest}");
    let manifest = machine.registry().ask(&path, Some(REGISTRY_PASSWORD)).body;
    let put = machine.registry().writer();
    let repository = repository.to_owned();
    move |tag| put.put_manifest(&repository, tag, DOCKER_MANIFEST, &manifest)
}

/// The case's image under a tag that no other run of the tests knows.
fn fresh_tag(case: &Case) -> String {
    let path = format!("/v2/{}/manifests/{}", case.repository, case.digest);
    let manifest = case.machine.registry().ask(&path, Some(REGISTRY_PASSWORD)).body;
    let tag = format!("moving-{}", std::process::id());
    let registry = case.machine.registry().writer();
    registry.put_manifest(&case.repository, &tag, DOCKER_MANIFEST, &manifest);
    tag
}

#[test]
fn a_tag_swapped_after_it_was_resolved_changes_nothing() {
    let case = Case::new("trust-swapped");
    let team = case.key("team");
    case.require_signature(&team);
    case.sign(&[("team", &case.digest, "")]);
    let tag = fresh_tag(&case);
    let swap = swap(&case.machine, &case.repository);
    let (swaps, moving) = (Arc::new(AtomicUsize::new(0)), tag.clone());
    let count = Arc::clone(&swaps);
    // Everything before the signature is the resolving; what follows must not look at the tag again.
    let front = case.front(move |line| {
        if line.ends_with(".sig") && count.fetch_add(1, Ordering::SeqCst) == 0 {
            swap(&moving);
        }
        Answer::Pass(Vec::new())
    });
    case.user_data(&case.source(&tag)).serve(&case.machine);
    let _agent = case.runs("signature by team.pub");
    assert!(swaps.load(Ordering::SeqCst) > 0);
    let asked = front.asked();
    let signature = asked.iter().position(|line| line.ends_with(".sig")).unwrap();
    assert!(
        !asked[signature..].iter().any(|line| line.ends_with(&tag)),
        "{asked:#?}"
    );
}

#[test]
fn a_tag_that_moved_is_not_what_the_registry_speaks_of() {
    let case = Case::new("trust-moved");
    case.policy("  - {match: '**', require: header}\n");
    let tag = fresh_tag(&case);
    let swap = swap(&case.machine, &case.repository);
    let (moving, digest) = (tag.clone(), case.digest.clone());
    let front = case.front(move |line| {
        // We ask with GET by digest first; the engine's resolving comes before that.
        if line.starts_with("GET ") && line.ends_with(&digest) {
            swap(&moving);
        }
        match line.ends_with(&moving) {
            true => Answer::Pass(vec![("X-Trusted", "true".to_owned())]),
            false => Answer::Pass(Vec::new()),
        }
    });
    case.user_data(&case.source(&tag)).serve(&case.machine);
    let _error = case.refused(&front, "MP0610");
}

#[test]
fn a_registry_that_is_away_while_it_is_asked() {
    let case = Case::new("trust-away");
    let team = case.key("team");
    case.require_signature(&team);
    case.sign(&[("team", &case.digest, "")]);
    let away = Arc::new(AtomicUsize::new(2));
    let left = Arc::clone(&away);
    let _front = case.front(move |line| {
        let asked = line.ends_with(".sig");
        if asked
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
        {
            return Answer::Status(503);
        }
        Answer::Pass(Vec::new())
    });
    case.user_data(&case.source("1")).serve(&case.machine);
    let agent = case.runs("signature by team.pub");
    assert!(agent.output().contains("trying again"), "{}", agent.output());
    assert_eq!(away.load(Ordering::SeqCst), 0);
}

#[test]
fn a_registry_that_stays_away_ends_the_boot_with_nothing_run() {
    let case = Case::new("trust-away-for-good");
    let team = case.key("team");
    case.require_signature(&team);
    case.sign(&[("team", &case.digest, "")]);
    let front = case.front(|line| {
        if line.ends_with(".sig") {
            Answer::Cut
        } else {
            Answer::Pass(Vec::new())
        }
    });
    case.user_data(&case.source("1"))
        .line("boot_timeout: 30s")
        .serve(&case.machine);
    let (exit, agent) = run_to_end(&case.machine);
    assert_eq!(exit, 75, "{}", agent.output());
    let error = error_line(&agent);
    assert!(
        error.contains("MP0612") && error.contains("policy.yaml:3"),
        "{error}"
    );
    case.nothing_came_of_it(&front);
}

#[test]
fn a_registry_that_will_not_say_is_final() {
    let case = Case::new("trust-forbidden");
    let team = case.key("team");
    case.require_signature(&team);
    let front = case.front(|line| {
        if line.ends_with(".sig") {
            Answer::Status(403)
        } else {
            Answer::Pass(Vec::new())
        }
    });
    case.user_data(&case.source("1")).serve(&case.machine);
    let _error = case.refused(&front, "MP0612");
}
