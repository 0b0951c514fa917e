use super::super::day::Day;
use super::super::key::PublicKey;
use super::super::key::tests::{OLD, TEAM};
use super::*;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

const NOW: u64 = 1_800_000_000;

fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", super::super::hex(&Sha256::digest(bytes)))
}

fn ours() -> String {
    digest_of(b"ours")
}

fn image() -> ImageRef {
    ImageRef::parse("registry.example.org/team/app:1").unwrap()
}

fn keys(not_after: Option<&str>) -> Vec<TrustedKey> {
    let key = |file: &str, pem: &str, not_after: Option<&str>| TrustedKey {
        file: file.to_owned(),
        key: PublicKey::parse(pem.as_bytes()).unwrap(),
        not_after: not_after.and_then(Day::parse),
    };
    vec![key("/k/team.pub", TEAM, None), key("/k/old.pub", OLD, not_after)]
}

fn payload(reference: &str, digest: &str) -> String {
    format!(
        r#"{{"critical":{{"identity":{{"docker-reference":"{reference}"}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"cosign container image signature"}},"optional":null}}"#
    )
}

fn judged(payload: &str, verified_by: &[usize], not_after: Option<&str>) -> Result<String, Refusal> {
    let layer = Layer {
        digest: digest_of(payload.as_bytes()),
        signature: Vec::new(),
    };
    let facts = Facts {
        layer: &layer,
        payload: payload.as_bytes(),
        verified_by,
        now: NOW,
    };
    judge(&facts, &keys(not_after), &image(), &ours()).map(|key| key.name().to_owned())
}

#[test]
fn a_signature_of_this_image_by_a_key_of_the_rule_is_good() {
    for reference in [
        "",
        "registry.example.org/team/app",
        "registry.example.org/team/app:1",
        "other.example.org:5000/team/app",
    ] {
        assert_eq!(
            judged(&payload(reference, &ours()), &[0], None),
            Ok("team.pub".to_owned()),
            "{reference}"
        );
    }
    let pinned = format!("registry.example.org/team/app@{}", ours());
    assert!(judged(&payload(&pinned, &ours()), &[0], None).is_ok());
}

#[test]
fn every_other_one_is_refused_by_name() {
    let good = payload("", &ours());
    let key = || "team.pub".to_owned();
    assert!(
        matches!(judged(&good, &[], None), Err(Refusal::WrongKey { keys }) if keys == "team.pub, old.pub")
    );
    assert!(matches!(judged(&good, &[7], None), Err(Refusal::WrongKey { .. })));
    let signed = digest_of(b"another");
    assert_eq!(
        judged(&payload("", &signed), &[0], None),
        Err(Refusal::WrongDigest { key: key(), signed })
    );
    let other = format!("registry.example.org/team/app@{}", digest_of(b"another"));
    for reference in [
        "registry.example.org/team/other",
        "registry.example.org/app",
        "app",
        "a b",
        other.as_str(),
    ] {
        assert_eq!(
            judged(&payload(reference, &ours()), &[0], None),
            Err(Refusal::WrongName { key: key() }),
            "{reference}"
        );
    }
}

#[test]
fn a_key_counts_until_its_day_is_over() {
    let good = payload("", &ours());
    let today = crate::text::timestamp(NOW);
    let today = today.split('T').next();
    assert_eq!(judged(&good, &[1], today), Ok("old.pub".to_owned()));
    assert!(matches!(
        judged(&good, &[1], Some("2027-01-14")),
        Err(Refusal::KeyExpired { key, .. }) if key == "old.pub"
    ));
    // Another one of the rule's keys may be the same key without an end.
    assert_eq!(
        judged(&good, &[1, 0], Some("2027-01-14")),
        Ok("team.pub".to_owned())
    );
}

#[test]
fn a_blob_that_is_not_the_manifest_s_is_none() {
    let good = payload("", &ours());
    let layer = Layer {
        digest: digest_of(b"x"),
        signature: Vec::new(),
    };
    let facts = Facts {
        layer: &layer,
        payload: good.as_bytes(),
        verified_by: &[0],
        now: NOW,
    };
    assert!(matches!(
        judge(&facts, &keys(None), &image(), &ours()),
        Err(Refusal::BadSignature { .. })
    ));
}

#[test]
fn a_payload_that_says_two_things_says_nothing() {
    let (good, digest, other) = (payload("", &ours()), ours(), digest_of(b"another"));
    let image = format!(r#"{{"docker-manifest-digest":"{digest}"}}"#);
    let twice = format!(r#"{{"docker-manifest-digest":"{other}","docker-manifest-digest":"{digest}"}}"#);
    let escaped =
        format!(r#"{{"docker-manifest-dig\u0065st":"{other}","docker-manifest-digest":"{digest}"}}"#);
    let cased = format!(r#"{{"Docker-Manifest-Digest":"{other}","docker-manifest-digest":"{digest}"}}"#);
    for bad in [
        good.replace(&image, &twice),
        good.replace(&image, &escaped),
        good.replace(&image, &cased),
        good.replace(
            &format!(r#""image":{image}"#),
            &format!(r#""image":{image},"image":{image}"#),
        ),
        good.replacen(
            "{\"critical\"",
            &format!("{{\"critical\":{{\"image\":{image}}},\"critical\""),
            1,
        ),
        good.replace("\"optional\"", "\"optionals\""),
        good.replace("\"type\"", "\"expires\":1,\"type\""),
        good.replace("cosign container", "atomic container"),
        good.replace(&format!("\"{digest}\""), "[]"),
        good.replace(&format!(r#""image":{image},"#), ""),
        format!("{good}{good}"),
        format!("[{good}]"),
        format!(
            "[{}, null]",
            good.replace("{\"critical\":", "")
                .replace(",\"optional\":null}", "")
        ),
        String::new(),
        "null".to_owned(),
    ] {
        assert!(
            matches!(Payload::read(bad.as_bytes()), Err(Refusal::BadSignature { .. })),
            "{bad}"
        );
    }
    let spaced = good.replace(',', " ,\n ");
    assert_eq!(Payload::read(spaced.as_bytes()).unwrap().digest, digest);
    let annotated = good.replace("null", r#"{"commit":"1","commit":"2"}"#);
    assert!(Payload::read(annotated.as_bytes()).is_ok());
}

#[test]
fn the_manifest_s_layers_are_signatures() {
    let digest = digest_of(b"x");
    let layer = |media: &str, digest: &str, signature: &str| serde_json::json!({"mediaType": media, "digest": digest, "size": 1, "annotations": {SIGNATURE: signature}});
    let read = |all: Vec<serde_json::Value>| {
        layers(
            serde_json::json!({"schemaVersion": 2, "layers": all})
                .to_string()
                .as_bytes(),
        )
    };
    let good = || layer(SIMPLE_SIGNING, &digest, "aGk=");
    let one = read(vec![good()]).unwrap();
    assert_eq!(
        one,
        [Layer {
            digest: digest.clone(),
            signature: b"hi".to_vec()
        }]
    );
    assert_eq!(read(vec![]), Ok(vec![]));
    assert_eq!(read(vec![layer("text/plain", &digest, "aGk=")]), Ok(vec![]));
    for bad in [
        layer(SIMPLE_SIGNING, &digest, "!"),
        layer(SIMPLE_SIGNING, "sha512:00", "aGk="),
        layer(SIMPLE_SIGNING, &digest, &"aaaa".repeat(100)),
        serde_json::json!({"mediaType": SIMPLE_SIGNING, "digest": digest}),
    ] {
        assert!(
            matches!(read(vec![bad.clone()]), Err(Refusal::BadSignature { .. })),
            "{bad}"
        );
        assert_eq!(read(vec![bad, good()]).map(|all| all.len()), Ok(1));
    }
    assert!(read(vec![good(); MOST_LAYERS]).is_ok() && read(vec![good(); MOST_LAYERS + 1]).is_err());
    assert!(layers(b"<html>").is_err());
    assert_eq!(tag("sha256:00ff"), "sha256-00ff.sig");
}

#[test]
fn the_nearest_miss_is_told() {
    let wrong_key = wrong_key(&keys(None));
    let wrong_name = Refusal::WrongName { key: String::new() };
    let all = vec![wrong_key, wrong_name.clone(), Refusal::BadSignature { what: "" }];
    assert_eq!(most_telling(all), Some(wrong_name));
    assert_eq!(most_telling(Vec::new()), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ignored = (Payload::read(&bytes).is_ok(), layers(&bytes).is_ok());
    }

    #[test]
    fn one_changed_byte_is_never_good(at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let good = payload("registry.example.org/team/app", &ours());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        // The signature would not verify either; this is about what a reading of the text says.
        if let Ok(read) = Payload::read(&bytes)
            && bytes != good.as_bytes()
            && read.digest == ours()
        {
            prop_assert!(good.split_once("docker-reference\":\"").is_some_and(|(before, _)| at >= before.len()));
        }
    }
}
