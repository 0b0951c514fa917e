//! Realistic templates of each form, each with a mistake whose place in the template is known.

mod functions;
mod tools;

use super::*;
use crate::config::{Place, parse};

const YAML: &str = include_str!("../../../../../config-samples/templates/cloudformation.yaml");
const JSON: &str = include_str!("../../../../../config-samples/templates/cloudformation.json");
const DEFINITION: &str = include_str!("../../../../../config-samples/templates/senza.yaml");
const TFTPL: &str = include_str!("../../../../../config-samples/templates/terraform/user-data.tftpl");

fn read(text: &str) -> Template {
    templates(text.as_bytes(), "stack").unwrap_or_else(|| panic!("no template: {text}"))
}

fn problems(template: &Template) -> Vec<&Problem> {
    template.all_problems().collect()
}

fn clean(text: &str) -> Template {
    let template = read(text);
    let problems = problems(&template);
    assert!(problems.is_empty(), "{problems:#?}\n{text}");
    template
}

/// The only problem there is.
fn only(text: &str) -> (Code, Place) {
    one(&read(text), text)
}

fn one(template: &Template, text: &str) -> (Code, Place) {
    let problems = problems(template);
    assert_eq!(problems.len(), 1, "{problems:#?}\n{text}");
    (problems[0].code, problems[0].place.unwrap())
}

/// Where `word` stands for the first time.
fn place_of(text: &str, word: &str) -> Place {
    let (index, line) = text
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains(word))
        .unwrap_or_else(|| panic!("{word} is not in {text}"));
    let before = line.split(word).next().unwrap();
    Place::new(index + 1, before.chars().count() + 1)
}

/// The sample with one thing changed, and where that is now.
fn seeded(sample: &str, from: &str, to: &str) -> (String, Place) {
    assert!(sample.contains(from), "{from}");
    let text = sample.replacen(from, to, 1);
    let place = place_of(&text, to.lines().last().unwrap());
    (text, place)
}

/// A stack with one instance and this as its `UserData`, which begins in line 9.
fn stack(value: &str) -> String {
    format!(
        "Parameters:\n  Version: {{Type: String}}\n  Zones: {{Type: CommaDelimitedList}}\nConditions: {{Prod: true}}\nResources:\n  App:\n    Type: AWS::EC2::Instance\n    Properties:\n      UserData:{value}\n"
    )
}

#[test]
fn the_samples_are_clean() {
    assert_eq!(
        clean(YAML).found[0].path,
        "Resources.AppServerTemplate.Properties.LaunchTemplateData.UserData"
    );
    assert_eq!(clean(JSON).kind, "CloudFormation template");
    let senza = clean(DEFINITION);
    assert_eq!(
        (senza.kind, senza.found[0].path.as_str()),
        ("Senza definition", "SenzaComponents.AppServer.TaupageConfig")
    );
    let template = templates(TFTPL.as_bytes(), "user-data.tftpl").unwrap();
    assert_eq!(template.all_problems().count(), 0, "{template:?}");
    assert_eq!(template.kind, "Terraform template file");
}

#[test]
fn json_may_be_indented_with_tabs() {
    let tabs: String = JSON
        .lines()
        .map(|line| {
            let rest = line.trim_start();
            format!("{}{rest}\r\n", "\t".repeat((line.len() - rest.len()) / 2))
        })
        .collect();
    clean(&tabs.replace("\": ", "\"\t:\t"));
    clean(&tabs);
}

#[test]
fn a_mistake_is_found_at_its_place_in_every_form() {
    for sample in [YAML, DEFINITION, TFTPL, JSON] {
        let column = |place: Place, ahead: usize| Place::new(place.line, place.column + ahead);
        let check = |from: &str, to: &str, code: Code, ahead: usize| {
            let (text, place) = seeded(sample, from, to);
            for text in [text.clone(), text.replace('\n', "\r\n")] {
                let template = templates(text.as_bytes(), "user-data.tftpl").unwrap();
                let template = if sample == TFTPL { template } else { read(&text) };
                assert_eq!(one(&template, &text), (code, column(place, ahead)), "{to}");
            }
        };
        check(
            "health_check_timeout_seconds: ",
            "heath_check_timeout_seconds: ",
            Code::UnknownKey,
            0,
        );
        check("80: 8080", "80: 80800", Code::Port, 4);
        check("LOG_LEVEL: info", "LOG_LEVEL: [info]", Code::WrongType, 11);
    }
}

#[test]
fn syntax_is_reported_in_the_template() {
    let (text, place) = seeded(YAML, "              80: 8080", "            \t  80: 8080");
    assert_eq!(only(&text), (Code::Tab, Place::new(place.line, 13)));
    let (text, place) = seeded(JSON, "\"  80: 8080\\n", "\"\\t80: 8080\\n");
    assert_eq!(only(&text), (Code::Tab, Place::new(place.line, place.column + 1)));
    assert_eq!(only("Resources:\n  A: {Type: 'AWS::X::Y\n").0, Code::Syntax);
    assert_eq!(
        only("Resources:\n\tA: {Type: AWS::X::Y}\n"),
        (Code::Tab, Place::new(2, 1))
    );
}

#[test]
fn lines_in_words_are_the_templates() {
    let (text, _) = seeded(
        YAML,
        "LOG_LEVEL: info\n",
        "LOG_LEVEL: info\n              LOG_LEVEL: debug\n",
    );
    let line = place_of(&text, "LOG_LEVEL: info").line;
    let template = read(&text);
    let problem = template.all_problems().next().unwrap();
    let message = format!(
        "stands twice, in line {line} and in line {0}; line {0} counts",
        line + 1
    );
    assert!(problem.message.ends_with(&message), "{problem:?}");
    assert_eq!(problem.help, Some(format!("remove line {line}")));
    let (text, _) = seeded(JSON, "info\\n", "info\\n  LOG_LEVEL: debug\\n");
    let template = read(&text);
    let problem = template.all_problems().next().unwrap();
    assert!(
        problem.message.ends_with("stands twice; the last one counts"),
        "{problem:?}"
    );
}

#[test]
fn what_is_missing_stands_at_the_user_data() {
    let text = YAML.replace(
        "            source: registry.example.org/shop/frontend:${Version}\n",
        "",
    );
    let place = place_of(&text, "!Sub |");
    assert_eq!(only(&text).0, Code::Missing);
    assert_eq!(only(&text).1.line, place.line);
    let text = DEFINITION.replace("        source:", "        sources:");
    let template = read(&text);
    assert!(template.has_errors());
    assert!(
        template
            .all_problems()
            .any(|problem| problem.code == Code::Missing && problem.place.unwrap().line > 20)
    );
}

/// A file with two values to fill in.
fn data(version: &str, tail: &str) -> String {
    format!(
        "#taupage-ami-config\napplication_id: app\napplication_version: {version}\nsource: r.example.org/t/a:1\n{tail}"
    )
}

fn indented(text: &str, by: usize) -> String {
    text.lines()
        .map(|line| format!("\n{}{line}", " ".repeat(by)))
        .collect()
}

#[test]
fn user_data_is_no_template() {
    let text = data("1", "environment: {A: 'Resources SenzaComponents AWS::EC2'}\n");
    assert!(templates(text.as_bytes(), "app.yaml").is_none());
    assert!(!parse(text.as_bytes(), "app.yaml").has_errors());
    for text in [
        "",
        "a: 1",
        "Resources: 'AWS::'",
        "{",
        "\u{feff}",
        "SenzaComponent: x",
        "#!/bin/sh\n",
    ] {
        assert!(templates(text.as_bytes(), "x").is_none(), "{text}");
    }
    assert!(templates(b"Resources AWS:: \xff", "x").is_none());
}

#[test]
fn limits() {
    let deep = stack(&format!(" {}{}", "{Fn::Base64: ".repeat(100), "}".repeat(100)));
    assert_eq!(only(&deep).0, Code::Limit);
    let nested = stack(&format!(" {}x{}", "{Fn::Base64: ".repeat(40), "}".repeat(40)));
    assert!(
        problems(&read(&nested))
            .iter()
            .all(|problem| problem.code != Code::Limit)
    );
    let large = format!("{YAML}# {}", "x".repeat(MAX_BYTES));
    assert_eq!(read(&large).problems[0].code, Code::TemplateTooLarge);
    let repeated = stack(&format!(
        "\n        Fn::Base64: !Sub\n          - \"#taupage-ami-config\\n{}\"\n          - A: {}",
        "${A}".repeat(5000),
        "x".repeat(5000)
    ));
    assert_eq!(only(&repeated).0, Code::TooLarge);
}
