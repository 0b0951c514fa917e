//! Texts that are elsewhere.

use sha2::{Digest as _, Sha256};

use super::*;

fn hash(bytes: impl AsRef<[u8]>) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn include(text: &str) -> Include {
    included(text.as_bytes())
        .expect("it is an include")
        .unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
}

#[test]
fn an_include_names_a_place_and_a_hash() {
    let pin = hash(OURS);
    let s3 = include(&format!("#include s3://my.bucket-1/a/b%20c?d sha256:{pin}"));
    assert_eq!(
        s3.location,
        Location::S3 {
            bucket: "my.bucket-1".to_owned(),
            key: "a/b%20c?d".to_owned()
        }
    );
    assert_eq!(s3.hash(), pin);
    let https = include(&format!(
        "\n#Include\thttps://x.example:8443/a?Signature={CANARY} sha256:{}\r\n\n# a comment\n",
        pin.to_uppercase()
    ));
    assert_eq!(https.sha256, s3.sha256);
    assert_eq!(
        https.location,
        Location::Https(format!("https://x.example:8443/a?Signature={CANARY}"))
    );
    assert!(!format!("{https:?} {}", https.location).contains(CANARY));
    let line = format!("#include s3://bucket/key sha256:{pin}\n");
    for bytes in [gzip(&line), base64(&line), base64(gzip(&line))] {
        assert_eq!(included(&bytes).unwrap().unwrap().hash(), pin);
    }
    for other in [OURS, "", "#includes s3://a", "#cloud-config", "a: 1"] {
        assert_eq!(included(other.as_bytes()), None, "{other}");
    }
    assert_eq!(
        included(&[0x1f, 0x8b, 8]),
        None,
        "parse says what is wrong with it"
    );
}

#[test]
fn parse_says_that_the_text_is_elsewhere() {
    let text = format!("#include s3://bucket/{CANARY} sha256:{}", hash(""));
    refused_as(text.as_bytes(), Code::Elsewhere, "`monopod run` fetches it");
    let help = refused(text.as_bytes()).help.unwrap();
    assert_eq!(help, "validate the file itself");
}

#[test]
fn an_include_in_another_form_is_shown_the_right_one() {
    let pin = format!("sha256:{}", hash(""));
    for (text, line, word) in [
        ("#include".to_owned(), 1, "not on the line"),
        (format!("#include\nhttps://{CANARY}/"), 1, "not on the line"),
        (
            format!("#include-once s3://bucket/key {pin}"),
            1,
            "no #include-once",
        ),
        (format!("#include http://127.0.0.1/{CANARY} {pin}"), 1, "http://"),
        (format!("#include ftp://{CANARY}/ {pin}"), 1, "neither"),
        (format!("#include s3://bucket {pin}"), 1, "no object"),
        (format!("#include s3://bucket/ {pin}"), 1, "no object"),
        (format!("#include s3://Bucket/key {pin}"), 1, "bucket"),
        (format!("#include s3://-a-/key {pin}"), 1, "bucket"),
        (format!("#include https:///a {pin}"), 1, "no URL"),
        (
            format!("#include https://user:{CANARY}@host/ {pin}"),
            1,
            "password",
        ),
        (format!("#include https://host/#{CANARY} {pin}"), 1, "fragment"),
        ("#include s3://bucket/key".to_owned(), 1, "SHA-256 is missing"),
        (
            format!("\n#include s3://bucket/key {CANARY}"),
            2,
            "64 hexadecimal",
        ),
        (
            format!("#include s3://bucket/key {}", &pin.replace("sha256:e", "sha256:")),
            1,
            "64 hexadecimal",
        ),
        (format!("#include s3://bucket/key {pin}0"), 1, "64 hexadecimal"),
        (
            format!("#include s3://bucket/key {pin} {CANARY}"),
            1,
            "something follows",
        ),
        (
            format!("#include s3://bucket/key {pin}\n\n{CANARY}: 1"),
            3,
            "only comments",
        ),
        (
            format!("#include s3://bucket/key {pin}\n#include s3://bucket/key {pin}"),
            2,
            "only comments",
        ),
    ] {
        let problem = included(text.as_bytes()).unwrap().unwrap_err();
        assert_eq!(
            (problem.code, problem.place),
            (Code::IncludeForm, Some(Place::new(line, 1))),
            "{text}"
        );
        assert!(
            problem
                .help
                .as_deref()
                .unwrap()
                .contains("#include s3://BUCKET/KEY sha256:HEX")
        );
        refused_as(text.as_bytes(), Code::IncludeForm, word);
    }
}

#[test]
fn fetched_bytes_are_compared() {
    let pinned = |bytes: &[u8]| include(&format!("#include s3://bucket/key sha256:{}", hash(bytes)));
    assert_eq!(pinned(OURS.as_bytes()).verify(OURS.as_bytes()), Ok(()));
    assert_eq!(pinned(&gzip(OURS)).verify(&gzip(OURS)), Ok(()));
    let Err(NotTheText::OtherHash { expected, got }) = pinned(OURS.as_bytes()).verify(b"other") else {
        panic!("the hash is another");
    };
    assert_eq!((expected, got), (hash(OURS), hash("other")));
    for again in [
        "#include".to_owned(),
        format!("#include s3://bucket/key sha256:{}", hash("")),
    ] {
        for bytes in [again.as_bytes().to_vec(), gzip(&again)] {
            assert_eq!(pinned(&bytes).verify(&bytes), Err(NotTheText::IncludesAgain));
        }
    }
}
