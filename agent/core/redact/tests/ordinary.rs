//! Ordinary text stays as it is, whatever is secret.

use proptest::prelude::*;

use super::knowing;
use crate::redact::{MARK, MIN_LENGTH, Redactor};
use crate::secret::Secret;

/// What agents, engines and applications write, one a line.
const TEXT: &str = r#"2026-01-02T03:04:05Z INFO  image: 127.0.0.1:5000/test/web:1 is sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, 12 MiB pulled
172.17.0.1 - - [02/Jan/2026:03:04:05 +0000] "GET /api/v1/orders?id=42&name=J%C3%BCrgen HTTP/1.1" 200 1234 "-" "curl/8.5.0"
{"level":"info","msg":"connection to \"db.internal:5432\" established","took_ms":12,"tags":["a","b"]}
java.lang.IllegalStateException: read timeout | at com.example.App.main(App.java:42) | ... 12 more
user | name | password reset
drwxr-xr-x 2 root root 4096 Jan  2 03:04 'a file'$'\n''name'
error: the pass word is wrong; try the user name
C:\new\table\x41 and \u0041 and %41 and 100%25
"#;

/// Joined by blanks, bars or nothing they would be words of the text.
const SECRETS: [&str; 14] = [
    "readtimeout",
    "password",
    "username",
    "namepassword",
    "passwordreset",
    "afilename",
    "pass-word-is",
    "wrong;try",
    "connectionto",
    "connection todb",
    "dbinternal5432",
    "levelinfo",
    "INFOimage:",
    "established took",
];

#[test]
fn blanks_join_no_words() {
    for secret in SECRETS {
        let redactor = knowing(secret);
        for line in TEXT.lines() {
            // A bar between blanks is how a journal shows a break: these two are wrapped there.
            let wrapped = line.contains('|') && matches!(secret, "username" | "namepassword")
                || line.contains("'a file'") && secret == "afilename";
            let out = redactor.redact(line);
            let there = line.contains(secret);
            assert!(out.contains(MARK) == there || wrapped, "{secret}: {out}");
        }
    }
}

#[test]
fn a_thousand_secrets_leave_ordinary_text_alone() {
    let mut redactor = Redactor::default();
    let mut number = 1_u64;
    for _ in 0..1000 {
        let mut value = String::new();
        while value.len() < MIN_LENGTH + (number >> 60) as usize {
            number = number
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            value.push(char::from(b'!' + (number >> 33) as u8 % 94));
        }
        redactor.learn(&Secret::new(value));
    }
    assert_eq!(redactor.redact(TEXT), TEXT);
    assert_eq!(redactor.begun(TEXT), None);
}

proptest! {
    /// A text without the characters of a secret in their order has nothing to hide.
    #[test]
    fn what_is_hidden_is_the_secret(value in "[a-d]{8,12}", text in "[a-d \n|'\\\\]{0,80}") {
        let redactor = knowing(&value);
        for place in redactor.find(&text) {
            let hidden: String = text.get(place).unwrap().chars().filter(char::is_ascii_alphabetic).collect();
            prop_assert!(hidden.contains(&value), "{hidden:?}");
        }
    }

    #[test]
    fn what_has_begun_is_known(value in "[a-z]{20,40}", cut in 8_usize..20, before in "[0-9 ]{0,20}") {
        let redactor = knowing(&value);
        let text = format!("{before}{}", value.get(..cut).unwrap());
        prop_assert_eq!(redactor.begun(&text), Some(before.len()));
        prop_assert_eq!(redactor.begun(&format!("{before}{value}")), None);
        prop_assert_eq!(redactor.begun(&format!("{text}\n")), Some(before.len()));
        prop_assert_eq!(redactor.begun(&format!("{text}\n0")), None);
    }
}
