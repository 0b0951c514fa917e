//! The application's credentials, side by side with the real berry on the same bucket.
//!
//! Both run in a machine's network, so they reach nothing but the AWS stand-in. Ours is the library, in a process of its
//! own ([`a_process_that_fetches`]), since the SDK has its endpoint and credentials from the environment.

mod boots;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use monopod::host::Classified as _;
use monopod::host::mint::{Mint, MintFetch};
use monopod_core::secret::Secret;
use monopod_testrig::{AwsFault, Machine};

use crate::common::*;

const REGION: &str = "eu-central-1";
const APPLICATION: &str = "app";
const MARK: &str = "mint: ";

/// What both may find in the bucket: the two files of each.
const CONTENTS: &[(&str, &str, &str)] = &[
    (
        "plain",
        r#"{"application_username": "stups_app", "application_password": "canary-1"}"#,
        r#"{"client_id": "id", "client_secret": "canary-2"}"#,
    ),
    (
        "unicode, raw and escaped",
        r#"{"a": "grüß 🔑 \u00fc \ud83d\udd11"}"#,
        "\"\u{2028}\"",
    ),
    ("white space", " \r\n{\t\"a\" :1 ,\n\n\"b\":[ ] }\n\n", "{}\n"),
    (
        "the order of keys, and a key twice",
        r#"{"z":1,"a":2,"m":{"z":1,"a":2}}"#,
        r#"{"a":1,"a":2}"#,
    ),
    (
        "numbers",
        r#"[123456789012345678901234567890, 1.0, 1e400, -0, 0.1000]"#,
        "9007199254740993",
    ),
    (
        "nested",
        r#"{"a":[[[{"b":[{"c":{"d":[null,true,false]}}]}]]]}"#,
        "true",
    ),
    ("half of a pair", r#"{"a": "\ud800"}"#, r#""""#),
    ("a slash and a NUL, escaped", r#"{"a": "\/\u0000"}"#, "[]"),
];

/// A process that fetches when it is told to, and keeps the files in a directory.
struct Ours {
    process: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    directory: PathBuf,
}

impl Ours {
    fn start(machine: &Machine) -> Self {
        let directory = machine.dirs().base.join("ours");
        std::fs::create_dir_all(&directory).unwrap();
        let args = [
            "--ignored",
            "--exact",
            "mint::a_process_that_fetches",
            "--nocapture",
        ];
        let mut process = machine
            .monopod(&std::env::current_exe().unwrap(), &args)
            .env("MINT_TEST_BUCKET", machine.aws().bucket())
            .env("MINT_TEST_DIRECTORY", &directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            orders: process.stdin.take().unwrap(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
            directory,
        }
    }

    /// What it came to: `files`, `unchanged`, or the error after its class.
    fn fetch(&mut self) -> String {
        writeln!(self.orders, "fetch").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "it ended");
            // The test's own harness talks too.
            if let Some((_, answer)) = line.split_once(MARK) {
                return answer.trim_end().to_owned();
            }
        }
    }

    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.directory)
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
#[ignore = "run by the others, as a process of its own"]
fn a_process_that_fetches() {
    let Ok(bucket) = std::env::var("MINT_TEST_BUCKET") else {
        return;
    };
    let directory = PathBuf::from(std::env::var("MINT_TEST_DIRECTORY").unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mint = Mint::new(REGION, &bucket, APPLICATION);
    let mut known: Vec<(String, Secret)> = Vec::new();
    for _order in std::io::stdin().lines() {
        let answer = match runtime.block_on(mint.fetch(&known)) {
            Ok(MintFetch::Unchanged) => "unchanged".to_owned(),
            Ok(MintFetch::Files(files)) => {
                for (name, content) in &files {
                    std::fs::write(directory.join(name), content.expose()).unwrap();
                }
                known = files;
                "files".to_owned()
            }
            Err(error) => format!("{:?}: {}", error.class(), monopod::host::chain(&error)),
        };
        #[expect(clippy::print_stdout, reason = "it is the answer")]
        {
            println!("\n{MARK}{answer}");
        }
    }
}

/// `berry --once`: whether it was content, and what lies in its directory then.
fn berry(machine: &Machine, name: &str) -> (bool, BTreeMap<String, Vec<u8>>) {
    let directory = machine.dirs().base.join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let bucket = machine.aws().bucket();
    let args = [
        "-m",
        "berry",
        "--once",
        "--application-id",
        APPLICATION,
        "--mint-bucket",
        &bucket,
        &directory.display().to_string(),
    ];
    let output = machine
        .monopod(&tool("python"), &args)
        .env("HOME", &machine.dirs().base)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    // It has not failed for another reason than its bucket.
    assert!(output.status.success() || said.contains("ERROR: "), "{said}");
    (output.status.success(), files(&directory))
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(directory)
        .unwrap()
        .flatten()
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

/// Puts both files there, and gives their addresses as calls.
fn put(machine: &Machine, user: impl AsRef<[u8]>, client: impl AsRef<[u8]>) -> [String; 2] {
    drop(machine.aws().put_object("app/user.json", user));
    drop(machine.aws().put_object("app/client.json", client));
    ["user", "client"].map(|name| call(machine, name))
}

fn call(machine: &Machine, name: &str) -> String {
    format!("GET /{}/{APPLICATION}/{name}.json", machine.aws().bucket())
}

#[test]
fn the_same_files_as_berry_byte_for_byte() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    for (number, (what, user, client)) in CONTENTS.iter().enumerate() {
        put(&machine, user, client);
        let (content, theirs) = berry(&machine, &format!("berry-{number}"));
        assert!(content, "{what}");
        assert_eq!(ours.fetch(), "files", "{what}");
        assert_eq!(ours.files(), theirs, "{what}");
        assert_eq!(theirs["user.json"], user.as_bytes(), "{what}");
        assert_eq!(theirs["client.json"], client.as_bytes(), "{what}");
    }
}

#[test]
fn an_unchanged_file_is_not_sent_again_and_a_changed_one_is() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    let [user, client] = put(&machine, r#"{"a": 1}"#, r#"{"b": 1}"#);
    assert_eq!(ours.fetch(), "files");
    assert_eq!(ours.fetch(), "unchanged");
    let statuses = |op: &str| -> Vec<u16> {
        let calls = machine.aws().calls();
        calls
            .iter()
            .filter(|call| call.op == op)
            .map(|call| call.status)
            .collect()
    };
    assert_eq!(statuses(&user), [200, 304]);
    put(&machine, r#"{"a": 2}"#, r#"{"b": 1}"#);
    assert_eq!(ours.fetch(), "files");
    assert_eq!(ours.files()["user.json"], br#"{"a": 2}"#);
    assert_eq!(ours.files()["client.json"], br#"{"b": 1}"#);
    assert_eq!(statuses(&user), [200, 304, 200]);
    assert_eq!(statuses(&client), [200, 304, 304]);
    assert_eq!(ours.fetch(), "unchanged");
}

#[test]
fn both_files_or_none() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    let place = machine.aws().put_object("app/user.json", "{}");
    let (content, theirs) = berry(&machine, "berry");
    assert!(!content);
    assert_eq!(theirs.len(), 1, "berry hands on the one it got");
    let said = ours.fetch();
    assert!(said.starts_with("Permanent: "), "{said}");
    let missing = place.replace("user", "client");
    assert!(
        said.contains(&missing) && said.contains("404 NoSuchKey"),
        "{said}"
    );
    assert!(ours.files().is_empty());

    // It is mended where it broke: the same process goes on.
    put(&machine, "{}", "[]");
    assert_eq!(ours.fetch(), "files");
}

#[test]
fn what_is_not_json_replaces_nothing() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    put(&machine, r#"{"a": 1}"#, "{}");
    let (_, before) = berry(&machine, "berry");
    assert_eq!(ours.fetch(), "files");
    let broken: [&[u8]; 5] = [
        b"",
        b"{\"canary\": ",
        b"\xef\xbb\xbf{}",
        b"\"canary \xff\"",
        b"{} canary",
    ];
    for bytes in broken {
        put(&machine, bytes, "{}");
        let (content, theirs) = berry(&machine, "berry");
        assert!(!content, "{bytes:?}");
        assert_eq!(theirs, before);
        let said = ours.fetch();
        assert!(
            said.starts_with("Permanent: s3://") && said.contains("/app/user.json is not JSON"),
            "{said}"
        );
        assert!(!said.contains("canary"), "{said}");
        assert_eq!(ours.files(), before);
    }
    // Python reads it, and nobody else.
    put(&machine, r#"{"a": NaN}"#, "{}");
    assert!(berry(&machine, "berry").0);
    assert!(ours.fetch().contains("is not JSON"));
    assert_eq!(ours.files(), before);
}

#[test]
fn white_space_and_null_are_content_to_us_and_not_to_berry() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    put(&machine, r#"{"a": 1}"#, "{}");
    let (_, before) = berry(&machine, "berry");
    assert_eq!(ours.fetch(), "files");
    put(&machine, r#"{"a":1}"#, "{}");
    assert_eq!(berry(&machine, "berry"), (true, before));
    assert_eq!(ours.fetch(), "files");
    assert_eq!(ours.files()["user.json"], br#"{"a":1}"#);

    put(&machine, "{}", "null");
    let (content, theirs) = berry(&machine, "berry-null");
    assert!(content && theirs.len() == 1);
    assert_eq!(ours.fetch(), "files");
    assert_eq!(ours.files()["client.json"], b"null");
}

#[test]
fn a_refusal_says_what_to_do_and_a_bad_moment_is_one() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    let [user, client] = put(&machine, "{}", "{}");
    let denied = AwsFault::error(&client, "AccessDenied").status(403);
    machine
        .aws()
        .faults(&[denied, AwsFault::error(&user, "SlowDown").status(503)]);
    let said = ours.fetch();
    let bucket = machine.aws().bucket();
    for words in [
        "Permanent: ".to_owned(),
        format!("s3://{bucket}/app/client.json"),
        format!("s3:GetObject on arn:aws:s3:::{bucket}/app/*"),
        "S3 answers so for a missing object too".to_owned(),
    ] {
        assert!(said.contains(&words), "{words} is not in {said}");
    }
    machine
        .aws()
        .faults(&[AwsFault::error(&user, "SlowDown").status(503)]);
    let said = ours.fetch();
    assert!(
        said.starts_with("Transient: ") && said.contains("503 SlowDown"),
        "{said}"
    );
    machine.aws().faults(&[]);
    assert_eq!(ours.fetch(), "files");

    machine.aws().line().down();
    let said = ours.fetch();
    assert!(
        said.starts_with("Transient: ") && said.contains("there was no answer"),
        "{said}"
    );
}

#[test]
fn a_bucket_in_another_region_is_followed_there() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    let [user, client] = put(&machine, "{}", "[]");
    let elsewhere = |op: &str, region: &str| {
        AwsFault::error(op, "PermanentRedirect")
            .status(301)
            .header("x-amz-bucket-region", region)
    };
    machine.aws().faults(&[
        elsewhere(&user, "eu-west-1").times(1),
        elsewhere(&client, "eu-west-1").times(1),
    ]);
    assert_eq!(ours.fetch(), "files");
    assert_eq!(ours.fetch(), "unchanged");
    assert_eq!(machine.aws().calls().len(), 6, "the second time it knows where");

    // Sent on and on.
    machine.aws().faults(&[
        elsewhere(&user, "us-east-1").times(1),
        elsewhere(&user, "eu-west-1").times(1),
    ]);
    let said = ours.fetch();
    assert!(
        said.starts_with("Permanent: ") && said.contains("now S3 says eu-west-1"),
        "{said}"
    );
}

#[test]
fn no_credentials_are_that_large() {
    let machine = Machine::acquire();
    let mut ours = Ours::start(&machine);
    put(&machine, format!("\"{}\"", "x".repeat((1 << 20) - 2)), "{}");
    assert_eq!(ours.fetch(), "files");
    put(&machine, format!("\"{}\"", "x".repeat((1 << 20) - 1)), "{}");
    let said = ours.fetch();
    assert!(
        said.starts_with("Permanent: ") && said.contains("app/user.json is over 1 MiB"),
        "{said}"
    );
}
