//! Templates made by a generator: whatever the way the user data is embedded, a mistake is found at its place.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use std::time::Instant;

use monopod_core::config::template::{Template, templates};
use monopod_core::config::{Code, Severity, parse};
use proptest::prelude::*;

/// How the text gets into the template.
#[derive(Clone, Copy, Debug)]
enum Way {
    Block,
    SubInAList,
    JoinByLines,
    JsonByLines,
    JsonString,
    Senza,
    TerraformPlan,
    TerraformFile,
}

const WAYS: &[Way] = &[
    Way::Block,
    Way::SubInAList,
    Way::JoinByLines,
    Way::JsonByLines,
    Way::JsonString,
    Way::Senza,
    Way::TerraformPlan,
    Way::TerraformFile,
];

/// The template, and the line of it at which each line of the text stands.
fn embed(way: Way, text: &str) -> (String, Vec<usize>) {
    let lines: Vec<&str> = text.lines().collect();
    let count = lines.len();
    let block = |indent: usize| -> String {
        lines
            .iter()
            .map(|line| {
                if line.is_empty() {
                    "\n".to_owned()
                } else {
                    format!("{}{line}\n", " ".repeat(indent))
                }
            })
            .collect()
    };
    let yaml = "AWSTemplateFormatVersion: '2010-09-09'\nResources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n";
    let json = "{\"Resources\": {\n\t\"App\": {\"Type\": \"AWS::EC2::Instance\", \"Properties\": {\n\"UserData\": {\"Fn::Base64\": ";
    let quoted = |line: &str| serde_json::to_string(line).unwrap();
    let from = |first: usize| (first..first + count).collect();
    match way {
        Way::Block => (
            format!("{yaml}        Fn::Base64: !Sub |\n{}", block(10)),
            from(8),
        ),
        Way::SubInAList => (
            format!(
                "{yaml}        Fn::Base64:\n          Fn::Sub:\n            - |\n{}            - Hole: x\n",
                block(14)
            ),
            from(10),
        ),
        Way::JoinByLines => {
            let items: String = lines
                .iter()
                .map(|line| format!("            - {}\n", quoted(line)))
                .collect();
            (
                format!(
                    "{yaml}        Fn::Base64:\n          !Join\n          - \"\\n\"\n          -\n{items}"
                ),
                from(11),
            )
        }
        Way::JsonByLines => {
            let items: Vec<String> = lines.iter().map(|line| quoted(&format!("{line}\n"))).collect();
            (
                format!(
                    "{json}{{\"Fn::Join\": [\"\", [\n{}]]}}}}}}}}}}}}",
                    items.join(",\n")
                ),
                from(4),
            )
        }
        Way::JsonString => (format!("{json}\n{}}}}}}}}}}}", quoted(text)), vec![4; count]),
        Way::Senza => (
            format!(
                "SenzaInfo: {{StackName: app}}\nSenzaComponents:\n  - App:\n      Type: Senza::TaupageAutoScalingGroup\n      AutoScaling: {{SuccessRequires: 1 within 30m}}\n      TaupageConfig:\n{}",
                block(8)
            ),
            from(7),
        ),
        Way::TerraformPlan => (
            format!(
                "{{\"format_version\": \"1.2\", \"planned_values\": {{\"root_module\": {{\"resources\": [\n{{\"address\": \"a\", \"type\": \"aws_instance\", \"values\": {{\"user_data\":\n{}}}}}]}}}}}}",
                quoted(text)
            ),
            vec![3; count],
        ),
        Way::TerraformFile => (text.to_owned(), from(1)),
    }
}

fn read(way: Way, text: &str) -> Template {
    let origin = if matches!(way, Way::TerraformFile) {
        "app.tftpl"
    } else {
        "stack"
    };
    templates(text.as_bytes(), origin).unwrap_or_else(|| panic!("{text}"))
}

/// A file with all kinds of lines and one mistake: `(text, key, code)`.
fn user_data() -> impl Strategy<Value = (String, &'static str, Code)> {
    let filler = prop::collection::vec(
        prop_oneof![
            Just("# a comment: with a colon"),
            Just(""),
            Just("read_only: true"),
            Just("hostname: \"caf\\u00e9-\""),
            Just("environment: {A: 'it''s', B: \"\\\"x\\\"\", C: \u{1f600}}"),
            Just("ports:\n  80: 8080\n  \"53/udp\": 53"),
            Just("environment:\n  TEXT: |\n    one\n\n      two\n  FOLDED: >-\n    one\n    two"),
            Just("networking: bridge"),
        ],
        0..6,
    );
    let mistake = prop_oneof![
        Just(("hostnam: x", "hostnam", Code::UnknownKey)),
        Just(("root: 'yes'", "root", Code::WrongType)),
        Just(("shm_size: lots", "shm_size", Code::BadValue)),
        Just((
            "health_check_path: health",
            "health_check_path",
            Code::HealthCheck
        )),
        Just((
            "dockercfg:\n  https://r.example.org:\n    auth: x",
            "dockercfg.https://r.example.org.auth",
            Code::RegistryLogin
        )),
    ];
    (filler, mistake, any::<prop::sample::Index>()).prop_map(|(mut lines, (line, key, code), at)| {
        lines.dedup();
        lines.insert(at.index(lines.len() + 1), line);
        let text = format!(
            "#taupage-ami-config\napplication_id: app\napplication_version: \"1\"\nsource: r.example.org/t/a:1\n{}\n",
            lines.join("\n")
        );
        (text, key, code)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn a_mistake_is_found_at_its_line_however_it_is_embedded((text, key, code) in user_data(), way in prop::sample::select(WAYS), windows in any::<bool>()) {
        // Some texts have more than one problem, by chance: all of them have to be there, each at its line.
        let alone = parse(text.as_bytes(), "user data");
        let (template, lines) = embed(way, &text);
        let template = if windows { template.replace('\n', "\r\n") } else { template };
        let read = read(way, &template);
        prop_assert_eq!(read.found.len(), 1, "{:?}\n{}", way, &template);
        let found = read.found[0].report.problems();
        prop_assert!(found.iter().any(|problem| problem.code == code && problem.key.as_deref() == Some(key)), "{:?}", found);
        for problem in alone.problems() {
            let line = problem.place.map(|place| lines[place.line - 1]);
            let same = |other: &&monopod_core::config::Problem| {
                other.code == problem.code && other.key == problem.key && (line.is_none() || other.place.map(|place| place.line) == line)
            };
            prop_assert!(found.iter().any(|other| same(&other)), "{:?}: {:?} is not in {:#?}\n{}", way, problem, found, &template);
        }
        let severities = |severity| move |problem: &&monopod_core::config::Problem| problem.severity == severity;
        let errors = found.iter().filter(severities(Severity::Error)).count();
        prop_assert_eq!(errors, alone.problems().iter().filter(severities(Severity::Error)).count());
    }

    #[test]
    fn no_damage_makes_it_panic((text, _, _) in user_data(), way in prop::sample::select(WAYS), edits in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "(.|[{}\\[\\]\"'|>!&*:$%#\\\\\n\r\t-]|Fn::If|!Sub|Ref: |\\$\\{|\\{\\{|%\\{ if ){0,3}"), 1..5)) {
        let mut template: Vec<char> = embed(way, &text).0.chars().collect();
        for (from, length, put) in edits {
            let from = from.index(template.len() + 1);
            let length = length.index(20).min(template.len() - from);
            template.splice(from..from + length, put.chars());
        }
        let text: String = template.into_iter().collect();
        let last = text.matches(['\r', '\n']).count() + 2;
        for origin in ["stack", "x.tftpl"] {
            if let Some(read) = templates(text.as_bytes(), origin) {
                for problem in read.all_problems() {
                    prop_assert!(problem.place.is_none_or(|place| place.line <= last), "{:?}\n{}", problem, &text);
                }
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}", head in prop::sample::select(&["Resources: AWS:: ", "SenzaComponents: ", "{\"format_version\": \"root_module\"", "#taupage-ami-config\n"][..])) {
        for origin in ["stack", "x.tftpl"] {
            let _ = templates(format!("{head}{text}").as_bytes(), origin);
        }
    }
}

/// A stack of that many instances with forty lines of user data each.
fn stack(instances: usize) -> String {
    let environment: String = (0..34)
        .map(|n| format!("            NAME_{n}: value-${{Version}}-{n}\n"))
        .collect();
    let one = |n: usize| {
        format!(
            "  App{n}:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64: !Sub |\n          #taupage-ami-config\n          application_id: app\n          application_version: \"1\"\n          source: r.example.org/t/a:${{Version}}\n          environment:\n{environment}"
        )
    };
    format!(
        "Parameters:\n  Version: {{Type: String}}\nResources:\n{}",
        (0..instances).map(one).collect::<String>()
    )
}

#[test]
#[expect(
    clippy::print_stdout,
    reason = "the times are worth reading, with --nocapture"
)]
fn a_large_template_takes_seconds_at_most() {
    let large = stack(620);
    assert!((900_000..1 << 20).contains(&large.len()), "{}", large.len());
    let conditions: String = (0..60)
        .map(|n| {
            format!(
                "            - !If [C{n}, \"a{n}: {0}\\n\", \"b{n}: {0}\\n\"]\n",
                "x".repeat(500)
            )
        })
        .collect();
    let branches = format!(
        "Resources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:\n        Fn::Base64: !Join\n          - ''\n          -\n            - \"#taupage-ami-config\\n\"\n{conditions}"
    );
    let line = format!(
        "{{\"Resources\": {{\"AWS::\": \"{}\"}}}}",
        "\\ud83d\\n x".repeat(80_000)
    );
    assert_eq!(read(Way::Block, &large).found.len(), 620);
    for text in [
        large,
        stack(7),
        branches,
        line,
        "[".repeat(1 << 20),
        "Resources: AWS::\n- ".repeat(50_000),
    ] {
        let start = Instant::now();
        let read = templates(text.as_bytes(), "stack");
        let took = start.elapsed();
        println!(
            "{} lines, {} KiB: {took:?}, {} found",
            text.lines().count(),
            text.len() / 1024,
            read.map_or(0, |read| read.found.len())
        );
        assert!(took.as_secs() < 20, "{took:?}");
    }
}
