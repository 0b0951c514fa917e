//! The module as a whole: intent, secrets, garbage.

use proptest::prelude::*;

use super::*;

const FULL: &str = r##"#taupage-ami-config
application_id: my-app
application_version: "1.0"
runtime: Docker
source: registry.example.org:5000/team/app:1.0
dockercfg:
  https://registry.example.org:5000:
    auth: dXNlcjpodW50ZXIy
ports: {443: 8443, 80: 8080, 53/udp: 53}
environment:
  B: &shared two
  A: yes
  PASSWORD: aws:kms:aGVsbG8=
  C: *shared
capabilities_add: [SYS_PTRACE, CHOWN]
root: false
read_only: true
hostname: web
networking: bridge
shm_size: 64m
restart: always
health_check_path: /health
health_check_timeout_seconds: 120
"##;

fn config(text: &str) -> Config {
    parse(text.as_bytes(), "user data")
        .into_config()
        .unwrap_or_else(|problems| panic!("{problems:?}"))
        .0
}

#[test]
fn canonical_is_intent_without_secrets() {
    let expected = serde_json::json!({
        "application_id": "my-app",
        "application_version": "1.0",
        "source": "registry.example.org:5000/team/app:1.0",
        "ports": ["53:53/udp", "80:8080/tcp", "443:8443/tcp"],
        "environment": {"A": "True", "B": "two", "C": "two", "PASSWORD": {"secret": "aws:kms:aGVsbG8="}},
        "capabilities_add": ["CHOWN", "SYS_PTRACE"],
        "root": false,
        "read_only": true,
        "hostname": "web",
        "networking": "bridge",
        "shm_size": 67_108_864,
    });
    assert_eq!(config(FULL).canonical(), expected);
}

#[test]
fn canonical_changes_with_the_container_and_with_nothing_else() {
    let base = config(FULL).canonical().to_string();
    let after = |from: &str, to: &str| {
        assert!(FULL.contains(from), "{from}");
        config(&FULL.replace(from, to)).canonical().to_string()
    };
    for (from, to) in [
        ("dXNlcjpodW50ZXIy", "dXNlcjpvdGhlcg=="),
        ("restart: always", "restart: never"),
        ("/health", "/other"),
        ("120", "121"),
        ("443: 8443, 80: 8080", "80: 8080, 443: 8443"),
        ("hostname: web", "hostname: 'web' # why"),
        ("[SYS_PTRACE, CHOWN]", "[CHOWN, SYS_PTRACE]"),
        ("A: yes", "A: 'True'"),
    ] {
        assert_eq!(after(from, to), base, "{from} -> {to}");
    }
    for (from, to) in [
        ("aGVsbG8=", "aGVsbG9v"),
        ("root: false\n", ""),
        ("443: 8443", "443: 8444"),
        ("app:1.0", "app:1.1"),
        (
            "PASSWORD: aws:kms:aGVsbG8=",
            "PASSWORD: '{\"kms\": \"aGVsbG8=\"}'",
        ),
        ("A: yes", "A: 'yes'"),
    ] {
        assert_ne!(after(from, to), base, "{from} -> {to}");
    }
}

#[test]
fn no_secret_is_in_any_output() {
    // Each breaks the file somewhere near a secret.
    let secret = "hunter2canary";
    for broken in [
        format!("environment:\n  PASSWORD: aws:kms:{secret}"),
        format!("environment:\n  PASSWORD: [{secret}]"),
        format!("environment:\n  PASSWORD: \"{secret}\\0\""),
        format!("environment:\n  PASSWORD: '{secret}"),
        format!("environment:\n  PASSWORD: {secret}: x"),
        format!("environment:\n  PASSWORD: @{secret}"),
        format!("environment:\n  PASSWORD: |\n    x\n   {secret}: y"),
        format!("environment:\n\tPASSWORD: {secret}"),
        format!("environment: {secret}"),
        format!("dockercfg:\n  registry.example.org:\n    auth: {secret}"),
        format!("dockercfg:\n  registry.example.org: {secret}"),
        format!("dockercfg:\n  registry.example.org:\n    auth: |\n      {secret}\n     {secret}"),
        format!("notify_cfn: {secret}"),
        format!("source: user:{secret}@registry.example.org/x:1"),
        format!("hostname: aws:kms:{secret}_"),
        format!("hostname: [{secret}]"),
        format!("ports: {secret}"),
        format!("command: [aws:kms:{secret}]"),
        format!("files: {{/etc/x: [{secret}]}}"),
        format!("logsink_password: [{secret}]"),
        format!("logging: {{scalyr_account_key: [{secret}]}}"),
        format!("a: *{secret}"),
        format!("environment: {{PW: &a {secret}}}\nrestart: *a"),
        format!("scalyr_account_key: &a {secret}\nnetworking: *a"),
        format!("environment: &e\n  hostname: {secret}_\n<<: *e"),
        format!("dockercfg: {{\"https://user:{secret}@registry.example.org\": {{auth: YTpi}}}}"),
        format!("dockercfg: {{\"https://user:{secret}@registry.example.org\": 1}}"),
        format!("environment: {{\"PASSWORD={secret}\": x}}"),
    ] {
        let text = format!("#taupage-ami-config\napplication_id: my-app\n{broken}\n");
        let report = parse(text.as_bytes(), "user data");
        assert!(report.has_errors(), "{broken}");
        let shown = format!("{:?}\n{}", report, report.render(Style::Plain));
        assert!(!shown.contains(secret), "{broken}\n{shown}");
    }
    let config = config(FULL);
    let shown = format!("{config:?} {}", config.canonical());
    assert!(!shown.contains("dXNlcjpodW50ZXIy"), "{shown}");
}

#[test]
fn a_value_that_is_no_secret_is_shown_where_it_stands() {
    for (line, shown) in [
        (
            "networking: brigde",
            "6 | networking: brigde\n  |             ^^^^^^\n",
        ),
        (
            "shm_size:  \"lots\"",
            "6 | shm_size:  \"lots\"\n  |            ^^^^^^\n",
        ),
        (
            "ports: {80: 8080/upd}",
            "6 | ports: {80: 8080/upd}\n  |             ^^^^^^^^\n",
        ),
        (
            "environment: {A: hunter2, B: [hunter2]}",
            "6 | environment: {…: …, B: […]}\n  |                        ^\n",
        ),
        ("memory: 1 # hunter2", "6 | memory: 1…\n  |         ^\n"),
    ] {
        let text = format!(
            "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: a/b:1\nruntime: Docker\n{line}\n"
        );
        let rendered = parse(text.as_bytes(), "user data").render(Style::Plain);
        assert!(rendered.contains(shown), "{rendered}");
    }
}

#[test]
fn only_a_template_has_holes() {
    let report = parse(
        FULL.replace("hostname: web", "hostname: \"\\ue0000\\ue001\"")
            .as_bytes(),
        "user data",
    );
    assert!(report.has_errors(), "{:?}", report.problems());
    let report = parse(
        FULL.replace("hostname: web", "hostname: \u{e000}0\u{e001}")
            .as_bytes(),
        "user data",
    );
    assert!(report.has_errors(), "{:?}", report.problems());
}

#[test]
fn a_key_that_fills_pages_is_cut() {
    let text = format!("#taupage-ami-config\n\"{}\": 1\n", "k".repeat(1000));
    let report = parse(text.as_bytes(), "user data");
    let problem = report.problems().last().unwrap();
    assert!(problem.message.ends_with("kkk…"), "{}", problem.message);
    assert_eq!(problem.message.chars().count(), 501);
}

#[test]
fn sixteen_kib_of_garbage_and_a_cut_at_every_byte() {
    for cut in 0..FULL.len() {
        let text = FULL.as_bytes().get(..cut).unwrap();
        let report = parse(text, "user data");
        assert_eq!(report.config().is_none(), report.has_errors());
        report.render(Style::Plain);
    }
    let garbage: Vec<u8> = (0..16_384_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    assert!(parse(&garbage, "user data").has_errors());
}

fn holds(bytes: &[u8]) {
    let report = parse(bytes, "user data");
    assert_eq!(report.config().is_none(), report.has_errors());
    let lines = String::from_utf8_lossy(bytes).lines().count();
    assert!(
        report
            .problems()
            .iter()
            .filter_map(|problem| problem.place)
            .all(|place| { place.line >= 1 && place.line <= lines + 1 && place.column >= 1 }),
        "{:?}",
        report.problems()
    );
    let rendered = report.render(Style::Plain);
    assert!(
        !rendered.contains(|c: char| c.is_control() && c != '\n'),
        "{rendered:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..16_384)) {
        holds(&bytes);
    }

    #[test]
    fn no_text_below_the_header_makes_it_panic(text in "[-a-c\\[\\]{}:,?&*!|>'\"%@` #\n\t0-2._<=~\u{a0}é]{0,400}") {
        holds(format!("#taupage-ami-config\n{text}").as_bytes());
    }

    #[test]
    fn no_change_to_a_good_file_makes_it_panic(
        edits in proptest::collection::vec((0..FULL.len(), "[-a-z\\[\\]{}:,?&*!|>'\"%@` #\n\t0-9._<=~\u{a0}é]{0,6}", 0..8_usize), 1..6)
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, insert, remove) in edits {
            let at = at.min(text.len());
            let end = (at + remove).min(text.len());
            text.splice(at..end, insert.chars());
        }
        holds(text.into_iter().collect::<String>().as_bytes());
    }
}
