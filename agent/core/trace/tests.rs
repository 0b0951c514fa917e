use proptest::prelude::*;

use super::repository::RepositoryPattern;
use super::verdict::{Fell, Said, VerdictRule, before_image, warning};
use super::*;

const NOW: u64 = 1_800_000_000;

fn content(text: &str) -> ScmFile {
    ScmFile::Content(text.as_bytes().to_vec())
}

fn traced(file: ScmFile) -> Trace {
    let image = OfImage {
        scm: file,
        created: Some("2026-11-21T04:16:55.5Z".into()),
        ..OfImage::default()
    };
    Trace::new(image, machine())
}

fn machine() -> OfMachine {
    OfMachine {
        digest: "sha256:feed".into(),
        ami_id: Some("ami-1".into()),
        application: Some(Application {
            id: "shop".into(),
            version: "1".into(),
        }),
        ..OfMachine::default()
    }
}

fn labelled(pairs: &[(&str, &str)]) -> Trace {
    let labels = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let image = OfImage {
        labels: labels.collect(),
        ..OfImage::default()
    };
    Trace::new(image, machine())
}

fn reason(trace: &Trace) -> &str {
    match &trace.scm_source {
        ScmOutcome::Invalid { reason } => reason,
        other => panic!("{other:?}"),
    }
}

const GOOD: &str =
    r#"{"url": "git:git@github.com:org/app.git", "revision": "7f8b6ad", "author": "jane", "status": ""}"#;

fn names(trace: &Trace, policy: &VerdictPolicy) -> Vec<VerdictName> {
    verdicts(trace, Some("1.0"), policy, NOW)
        .iter()
        .map(|one| one.name)
        .collect()
}

fn all(level: Level) -> VerdictPolicy {
    let each = VerdictName::ALL.into_iter().zip(2..);
    VerdictPolicy {
        file: "/etc/monopod/policy.yaml".into(),
        levels: each
            .map(|(name, line)| (name, Said { value: level, line }))
            .collect(),
        ..VerdictPolicy::default()
    }
}

#[test]
fn a_good_file_says_everything() {
    let trace = traced(content(GOOD));
    assert_eq!(trace.scm_source, ScmOutcome::Read);
    assert_eq!(trace.commit.as_deref(), Some("7f8b6ad"));
    assert_eq!(
        trace.source_url.as_deref(),
        Some("git:git@github.com:org/app.git")
    );
    assert_eq!(trace.author.as_deref(), Some("jane"));
    assert_eq!(trace.scm_status.as_deref(), Some(""));
    assert_eq!(
        trace.image_created.map(crate::text::timestamp).unwrap(),
        "2026-11-21T04:16:55Z"
    );
    assert_eq!(names(&trace, &all(Level::Deny)), []);
    let json = serde_json::to_string(&trace).unwrap();
    assert_eq!(serde_json::from_str::<Trace>(&json).unwrap(), trace);
}

#[test]
fn each_thing_that_may_lie_there_has_its_words() {
    let huge = ScmFile::TooLarge { bytes: 10 << 20 };
    let link = ScmFile::NotAFile {
        what: "a symbolic link",
    };
    let why = ScmFile::Unreadable {
        why: "no\u{1b}[2J".into(),
    };
    for (file, expected) in [
        (huge, "it has 10 MiB, and 64 KiB are read at most"),
        (link, "it is a symbolic link, and has to be a file"),
        (ScmFile::Torn, "the engine gave a part of it only"),
        (why, "no·[2J"),
        (ScmFile::Content(vec![0xff, 0xfe]), "it is not UTF-8"),
        (content("[]"), "it is JSON, and not a map"),
        (
            content(r#"{"url": 1, "revision": "", "author": null}"#),
            "`url` is no text, `revision` is empty, `author` is no text, `status` is missing",
        ),
    ] {
        let trace = traced(file);
        assert_eq!(reason(&trace), expected);
        assert_eq!(
            names(&trace, &VerdictPolicy::default()),
            [VerdictName::ScmSourceJsonInvalid]
        );
    }
    let broken = traced(content(r#"{"url": "canary-token"#));
    assert!(reason(&broken).starts_with("it is not JSON ("), "{broken:?}");
    assert!(!reason(&broken).contains("canary"), "{broken:?}");
    let deep = traced(content(&"[".repeat(60_000)));
    assert!(reason(&deep).starts_with("it is not JSON ("));
    assert_eq!(traced(ScmFile::Missing).scm_source, ScmOutcome::Missing);
}

#[test]
fn what_can_be_read_beside_a_mistake_is_kept() {
    let trace = traced(content(
        r#"{"url": "https://github.com/org/app", "revision": "7f8b6ad"}"#,
    ));
    assert_eq!(trace.commit.as_deref(), Some("7f8b6ad"));
    assert_eq!(reason(&trace), "`author` is missing, `status` is missing");
}

#[test]
fn dirty_as_the_script_wrote_it_and_as_git_says_it() {
    // The lines of the status stand in the text as they are.
    let script = "{\"url\": \"git:x@h.example:a/b\", \"revision\": \"7f8b6ad (locally modified)\", \"author\": \"j\", \"status\": \" M README.md\n?? x\"}";
    let trace = traced(content(script));
    assert_eq!(trace.commit.as_deref(), Some("7f8b6ad"));
    assert_eq!(trace.scm_status.as_deref(), Some("M README.md ?? x"));
    let dirty = [VerdictName::ArtifactBuiltFromDirtyRepository];
    assert_eq!(names(&trace, &VerdictPolicy::default()), dirty);
    let silent = GOOD.replace("7f8b6ad", "7f8b6ad (locally modified)");
    assert_eq!(names(&traced(content(&silent)), &VerdictPolicy::default()), dirty);
    let label = labelled(&[
        ("org.opencontainers.image.source", "https://github.com/org/app"),
        ("org.opencontainers.image.revision", "7f8b6ad-dirty"),
    ]);
    assert_eq!(label.commit.as_deref(), Some("7f8b6ad"));
    assert_eq!(names(&label, &all(Level::Warn)), dirty);
}

#[test]
fn labels_stand_in_for_the_file() {
    let trace = labelled(&[
        (
            "org.opencontainers.image.source",
            "https://user:hunter2@github.com/org/app?token=hunter2",
        ),
        ("org.opencontainers.image.revision", "7f8b6ad"),
        ("org.opencontainers.image.created", "2026-11-21T06:16:55+02:00"),
        ("org.opencontainers.image.title", "a\u{1b}[31mb\nc"),
        ("org.opencontainers.image.", "x"),
        ("org.opencontainers.image.a b", "x"),
        ("maintainer", "jane"),
    ]);
    assert_eq!(trace.commit.as_deref(), Some("7f8b6ad"));
    assert_eq!(
        trace.source_url.as_deref(),
        Some("https://github.com/org/app?...")
    );
    assert_eq!(
        trace.image_created.map(crate::text::timestamp).unwrap(),
        "2026-11-21T04:16:55Z"
    );
    assert_eq!(trace.labels["title"], "a·[31mb·c");
    assert_eq!(trace.labels.len(), 4, "{:?}", trace.labels);
    assert!(!format!("{trace:?}").contains("hunter2"));
    assert_eq!(names(&trace, &all(Level::Warn)), []);
    assert_eq!(
        names(
            &labelled(&[("org.opencontainers.image.revision", "7")]),
            &all(Level::Warn)
        ),
        [VerdictName::ScmSourceJsonMissing]
    );
}

#[test]
fn an_image_is_no_place_for_long_texts() {
    let long = "x".repeat(5_000);
    let mut trace = labelled(&[("org.opencontainers.image.title", &long)]);
    assert_eq!(trace.labels["title"].chars().count(), LONGEST + 1);
    trace = traced(content(&GOOD.replace("jane", &long)));
    assert_eq!(trace.author.unwrap().chars().count(), LONGEST + 1);
    let many: BTreeMap<String, String> = (0..1000)
        .map(|n| (format!("org.opencontainers.image.l{n}"), "x".into()))
        .collect();
    assert_eq!(Labels::new(&many).shown().len(), 32);
}

#[test]
fn without_a_policy_most_images_are_not_spoken_of() {
    let trace = traced(ScmFile::Missing);
    assert_eq!(verdicts(&trace, Some("1.0"), &VerdictPolicy::default(), NOW), []);
    // However much there is to say, it is one line.
    let mut trace = traced(content(&GOOD.replace("\"\"}", "\"M x\"}")));
    trace.ami = Some(Ami {
        expires: Some("2026-01-01".into()),
        ..Ami::default()
    });
    let all = verdicts(&trace, Some("1-SNAPSHOT"), &VerdictPolicy::default(), NOW);
    assert_eq!(all.len(), 3, "{all:?}");
    let line = warning(&all).unwrap();
    assert!(
        !line.contains('\n') && !line.contains("EC2_WITH_A_SNAPSHOT_IMAGE"),
        "{line}"
    );
    assert!(line.contains("ARTIFACT_BUILT_FROM_DIRTY_REPOSITORY: ") && line.contains("OUTDATED_TAUPAGE: "));
    assert_eq!((warning(&[]), Denied::of(&all, Fell::BeforeStart)), (None, None));
}

#[test]
fn a_machine_image_counts_to_its_end() {
    let ami = |text: &str| AmiFile::Content(text.as_bytes().to_vec());
    let end = crate::text::timestamp(NOW);
    let before = crate::text::timestamp(NOW + 1);
    for (file, told) in [
        (AmiFile::Missing, false),
        (ami(r#"{"schema": 1, "name": "n", "packages": {}}"#), false),
        (ami(r#"{"expires": null}"#), false),
        (ami(&format!(r#"{{"expires": "{end}"}}"#)), true),
        (ami(&format!(r#"{{"expires": "{before}"}}"#)), false),
        (ami(r#"{"expires": "2027-01-15"}"#), false),
        (ami(r#"{"expires": "2027-01-14"}"#), true),
        // Nobody fares better for a file that cannot be read.
        (ami(r#"{"expires": "soon"}"#), true),
        (ami(r#"{"expires": 7}"#), true),
        (ami("[]"), true),
        (ami("{"), true),
        (AmiFile::Unreadable("it is a directory".into()), true),
    ] {
        let trace = Trace::new(
            OfImage::default(),
            OfMachine {
                ami: file.clone(),
                ..machine()
            },
        );
        let told_names = names(&trace, &VerdictPolicy::default());
        assert_eq!(
            told_names == [VerdictName::OutdatedTaupage],
            told,
            "{file:?} {told_names:?}"
        );
        assert!(told || told_names.is_empty(), "{file:?}");
    }
    let trace = Trace::new(
        OfImage::default(),
        OfMachine {
            ami: ami(r#"{"name": "n-1", "version": "7", "built": "b", "commit": "c"}"#),
            ..machine()
        },
    );
    assert_eq!(trace.ami_version(), Some("7"));
}

#[test]
fn age() {
    let mut policy = all(Level::Warn);
    policy.levels.remove(&VerdictName::ScmSourceJsonMissing);
    policy.max_image_age = Some(Said {
        value: 90 * 86_400,
        line: 9,
    });
    for (created, told) in [
        (Some(NOW - 90 * 86_400), false),
        (Some(NOW - 90 * 86_400 - 1), true),
        (Some(NOW + 10), false),
        // A build that leaves the date out must not fare better than one that says it.
        (None, true),
    ] {
        let trace = Trace {
            image_created: created,
            ..traced(ScmFile::Missing)
        };
        let expected: &[VerdictName] = if told { &[VerdictName::ImageTooOld] } else { &[] };
        assert_eq!(names(&trace, &policy), expected, "{created:?}");
    }
    for none in [
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z",
        "1980-01-01T00:00:01Z",
        "soon",
        "",
    ] {
        let image = OfImage {
            created: Some(none.into()),
            ..OfImage::default()
        };
        assert_eq!(Trace::new(image, machine()).image_created, None, "{none}");
    }
}

#[test]
fn repositories() {
    let policy = |list: &[&str]| VerdictPolicy {
        file: "p.yaml".into(),
        scm_repositories: Some(Said {
            value: list
                .iter()
                .map(|text| RepositoryPattern::parse(text).unwrap())
                .collect(),
            line: 5,
        }),
        ..VerdictPolicy::default()
    };
    let illegal = [VerdictName::IllegalScmRepository];
    let trace = traced(content(GOOD));
    assert_eq!(names(&trace, &policy(&["github.com/org/*"])), []);
    assert_eq!(names(&trace, &policy(&["github.com/other/*"])), illegal);
    assert_eq!(names(&trace, &policy(&[])), illegal);
    assert_eq!(names(&traced(ScmFile::Missing), &policy(&["**"])), illegal);
    let odd = traced(content(
        &GOOD.replace("git:git@github.com:org/app.git", "/srv/git/app"),
    ));
    assert_eq!(names(&odd, &policy(&["github.com/org/*"])), illegal);
    let told = verdicts(&trace, None, &policy(&["github.com/other/*"]), NOW);
    assert_eq!(
        told[0].rule,
        Some(VerdictRule {
            file: "p.yaml".into(),
            line: 5
        })
    );
    assert!(
        told[0]
            .found
            .ends_with("and the policy allows github.com/other/*"),
        "{told:?}"
    );
}

#[test]
fn a_denial_says_what_who_and_what_to_do() {
    let told = verdicts(&traced(ScmFile::Missing), None, &all(Level::Deny), NOW);
    let denied = Denied::of(&told, Fell::BeforeStart).unwrap().to_string();
    for part in [
        "and it was removed again; ",
        "SCM_SOURCE_JSON_MISSING: the image has no /scm-source.json",
        "denied at /etc/monopod/policy.yaml:2",
        "let the build put /scm-source.json into the image",
    ] {
        assert!(denied.contains(part), "{denied}");
    }
    assert_eq!(names(&traced(ScmFile::Missing), &all(Level::Ignore)), []);
}

#[test]
fn what_needs_no_image_is_denied_before_there_is_one() {
    let unknown = OfImage {
        scm: ScmFile::Unreadable { why: "no".into() },
        ..OfImage::default()
    };
    let of_machine = OfMachine {
        ami: AmiFile::Content(br#"{"name": "old-1", "expires": "2020-01-31"}"#.to_vec()),
        ..machine()
    };
    let trace = Trace::new(unknown, of_machine);
    let mut policy = all(Level::Deny);
    policy.max_image_age = Some(Said { value: 1, line: 1 });
    let told = before_image(&trace, Some("1-SNAPSHOT"), &policy, NOW);
    let names: Vec<VerdictName> = told.iter().map(|one| one.name).collect();
    assert_eq!(
        names,
        [VerdictName::Ec2WithASnapshotImage, VerdictName::OutdatedTaupage]
    );
    let denied = Denied::of(&told, Fell::BeforeImage).unwrap().to_string();
    assert!(denied.contains("and nothing was pulled for it; "), "{denied}");
    let warned = before_image(&trace, None, &VerdictPolicy::default(), NOW);
    assert_eq!((warned.len(), Denied::of(&warned, Fell::BeforeImage)), (1, None));
}

#[test]
fn words_are_the_records_own() {
    for name in VerdictName::ALL {
        assert_eq!(serde_json::json!(name), name.word());
    }
    for word in Level::WORDS {
        let level = Level::of(word).unwrap();
        assert_eq!((level.word(), serde_json::json!(level)), (word, word.into()));
    }
}

#[test]
fn every_text_of_a_trace_is_reached() {
    let text = || Some("canary".to_owned());
    let mut trace = Trace {
        commit: text(),
        source_url: text(),
        author: text(),
        scm_status: text(),
        scm_source: ScmOutcome::Invalid {
            reason: "canary".into(),
        },
        digest: None,
        image_created: None,
        labels: BTreeMap::from([("title".to_owned(), "canary".to_owned())]),
        ami_id: text(),
        ami: Some(Ami {
            name: text(),
            version: text(),
            built: text(),
            commit: text(),
            expires: text(),
            problem: text(),
        }),
        application: Some(Application {
            id: "canary".into(),
            version: "canary".into(),
        }),
        deployment_id: text(),
        opt_outs: vec!["canary".into()],
    };
    trace.each_text(String::clear);
    assert!(!format!("{trace:?}").contains("canary"), "{trace:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_an_image_holds_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "\\PC{0,80}") {
        let trace = Trace::new(
            OfImage {
                scm: ScmFile::Content(bytes.clone()),
                labels: BTreeMap::from([(format!("org.opencontainers.image.{text}"), text.clone())]),
                created: Some(text.clone()),
            },
            OfMachine { ami: AmiFile::Content(bytes), ..machine() },
        );
        let told = verdicts(&trace, Some(&text), &all(Level::Deny), NOW);
        let shown = format!("{}{}", serde_json::to_string(&trace).unwrap(), told.len());
        prop_assert_eq!(shown.find('\u{1b}'), None);
    }

    #[test]
    fn nor_does_an_address(text in "(git:|https://|git@)?\\PC{0,60}") {
        let url = scm::without_login(&text);
        let _known = super::repository::Repository::parse(&url);
        let _pattern = RepositoryPattern::parse(&text).is_ok();
    }
}
