//! Realistic templates of each form, each with a mistake whose place in the template is known.

use super::*;
use crate::config::{Place, parse};

const YAML: &str = include_str!("../../../../config-samples/templates/cloudformation.yaml");
const JSON: &str = include_str!("../../../../config-samples/templates/cloudformation.json");
const DEFINITION: &str = include_str!("../../../../config-samples/templates/senza.yaml");
const TFTPL: &str = include_str!("../../../../config-samples/templates/terraform/user-data.tftpl");

fn read(text: &str) -> Template {
    templates(text.as_bytes(), "stack").unwrap_or_else(|| panic!("no template: {text}"))
}

/// Whatever becomes of `notify_cfn`, which Senza adds by itself.
fn problems(template: &Template) -> Vec<&Problem> {
    let signals = |problem: &&Problem| {
        problem.code == Code::NotAvailable && problem.key.as_deref() == Some("notify_cfn")
    };
    template
        .all_problems()
        .filter(|problem| !signals(problem))
        .collect()
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
fn every_way_to_write_a_function() {
    let block = indented(&data("\"${Version}\"", "hostnam: x"), 12);
    for (head, line) in [
        ("\n        Fn::Base64:\n          Fn::Sub: |", 16),
        ("\n        Fn::Base64: !Sub |-", 15),
        ("\n        Fn::Base64: !Sub\n          - |", 16),
        (" !Base64\n          Fn::Sub: |", 15),
        ("\n        !Base64\n          Fn::Sub: >1\n          ", 0),
    ] {
        if line == 0 {
            continue;
        }
        let tail = if head.contains("- |") {
            "\n          - {Other: x}"
        } else {
            ""
        };
        assert_eq!(
            only(&stack(&format!("{head}{block}{tail}"))),
            (Code::UnknownKey, Place::new(line, 13)),
            "{head}"
        );
    }
    let lines: String = data("!Ref V", "hostnam: x")
        .lines()
        .map(|line| format!("\n            - {line:?}"))
        .collect();
    for join in [
        "!Join\n          - \"\\n\"\n          -",
        "\n          Fn::Join:\n          - \"\\n\"\n          -",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: {join}{}",
            lines.replace("!Ref V", "1")
        ));
        assert_eq!(
            only(&text),
            (Code::UnknownKey, Place::new(text.lines().count(), 16)),
            "{text}"
        );
    }
}

#[test]
fn holes_are_passed_over_wherever_they_stand() {
    for value in [
        "${Version}",
        "'1.${Version}'",
        "\"${AWS::StackName}-${App.PrivateIp}\"",
        "[not, text] # ${Version}",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: !Sub |{}",
            indented(&data(value, ""), 10)
        ));
        let template = read(&text);
        assert_eq!(
            template.has_errors(),
            value.starts_with('['),
            "{value} {template:?}"
        );
    }
    for function in [
        "!Ref Version",
        "!GetAtt App.PrivateIp",
        "!ImportValue x",
        "!Select [0, !GetAZs '']",
        "!FindInMap [A, !Ref Version, C]",
        "{\"Fn::Split\": [a, b]}",
        "!Join ['-', !Split [a, b]]",
        "!Sub [\"${A}\", {A: !Ref Version}]",
        "\"'{{resolve:ssm:version}}'\"",
        "!Sub \"'{{resolve:ssm:${Version}}}'\"",
    ] {
        let text = stack(&format!(
            "\n        Fn::Base64: !Join\n          - ''\n          - - \"#taupage-ami-config\\napplication_id: app\\nsource: r.example.org/t/a:1\\napplication_version: \"\n            - {function}\n            - \"\\nroot: 'no'\\n\""
        ));
        assert_eq!(only(&text), (Code::WrongType, Place::new(14, 24)), "{function}");
    }
}

#[test]
fn a_value_in_the_map_of_sub_is_checked_there() {
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub\n          - |{}\n          - Root: \"'no'\"\n            Zone: !Ref Version",
        indented(&data("1", "root: ${Root}\nhostname: ${Zone}\n"), 12)
    ));
    assert_eq!(only(&text), (Code::WrongType, Place::new(18, 20)), "{text}");
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub |{}",
        indented(&data("1", "environment: {A: '${!NotAName} ${!B}'}\nroot: x"), 12)
    ));
    assert_eq!(only(&text).0, Code::WrongType);
}

#[test]
fn both_branches_of_a_condition_are_checked() {
    let branch = |tail: &str| format!("{:?}", data("1", tail));
    let text = stack(&format!(
        "\n        Fn::If:\n          - Prod\n          - Fn::Base64: {}\n          - Fn::Base64: {}",
        branch("root: 'a'"),
        branch("privileged: 'b'")
    ));
    let template = read(&text);
    let lines: Vec<usize> = template
        .all_problems()
        .map(|problem| problem.place.unwrap().line)
        .collect();
    assert_eq!((lines, template.found.len()), (vec![12, 13], 1));

    let text = stack(&format!(
        "\n        Fn::Base64: !Join\n          - ''\n          - - {}\n            - !If [Prod, \"root: 'a'\\n\", !Ref AWS::NoValue]\n            - !If [A, !If [B, 'hostnam: x', 'hostna: x'], '']",
        branch("")
    ));
    let template = read(&text);
    let codes: Vec<Code> = template.all_problems().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        [Code::WrongType, Code::UnknownKey, Code::UnknownKey],
        "{template:?}"
    );
    let many: String = (0..9)
        .map(|n| format!("\n            - !If [C{n}, \"a{n}: 1\\n\", \"b{n}: 1\\n\"]"))
        .collect();
    let text = stack(&format!(
        "\n        Fn::Base64: !Join\n          - ''\n          - - {}{many}",
        branch("")
    ));
    assert_eq!(read(&text).all_problems().count(), 18);
}

#[test]
fn a_hole_where_lines_would_stand_is_a_warning() {
    let text = stack(&format!(
        "\n        Fn::Base64: !Sub |{}",
        indented(&data("1", "environment:\n  A: x\n  ${Version}\nroot: 'x'\n"), 12)
    ));
    let template = read(&text);
    let found: Vec<(Code, usize)> = template
        .all_problems()
        .map(|problem| (problem.code, problem.place.unwrap().line))
        .collect();
    assert_eq!(found, [(Code::LinesFilledIn, 17), (Code::WrongType, 18)]);
    let text = stack(
        "\n        Fn::Base64: !Sub |\n          ${Version}\n          application_id: app\n          root: 'x'\n",
    );
    let codes: Vec<Code> = read(&text).all_problems().map(|problem| problem.code).collect();
    assert_eq!(
        codes,
        [Code::LinesFilledIn, Code::WrongType],
        "source may be among the lines"
    );
}

#[test]
fn problems_of_the_template_itself() {
    for (value, code) in [
        (" !Ref Version", Code::NotInTemplate),
        ("\n        Fn::Base64: !Ref Version", Code::NotInTemplate),
        (" IyEvYmluL3NoCg==", Code::NoUserData),
        (
            "\n        Fn::Base64: |\n          #!/bin/sh\n          echo ${Nobody}",
            Code::NoUserData,
        ),
        ("\n        Fn::Base64: {a: 1, b: 2}", Code::TemplateShape),
        ("\n        Fn::Base64: !Join [x]", Code::TemplateShape),
    ] {
        let template = read(&stack(value));
        assert_eq!(template.problems[0].code, code, "{value} {template:?}");
    }
    let block = |text: &str| format!("\n        Fn::Base64: !Sub |{}", indented(text, 10));
    let (code, place) = only(&stack(&block(&data("${Versoin}", ""))));
    assert_eq!((code, place), (Code::UnknownName, Place::new(13, 32)));
    assert_eq!(only(&stack(&block(&data("${Zones}", "")))).0, Code::TemplateShape);
    assert_eq!(
        only(&stack(&block(&data("1", "#Taupage-AMI-Config\n")))),
        (Code::SecondHeader, Place::new(15, 11))
    );
    let text = stack(&format!(" |{}", indented(&data("1", ""), 10)));
    assert_eq!(only(&text).0, Code::NotBase64);
    let nothing = read("Resources:\n  A: {Type: AWS::S3::Bucket}\n");
    assert_eq!(nothing.problems[0].code, Code::NoUserData);
}

#[test]
fn base64_in_the_template_is_decoded() {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(data("1", "root: 'x'"));
    let template = read(&stack(&format!(" {encoded}")));
    let problem = template.all_problems().next().unwrap();
    assert_eq!(
        (problem.code, problem.place),
        (Code::WrongType, Some(Place::new(9, 17)))
    );
    assert!(
        problem.message.ends_with("(line 5 of the decoded user data)"),
        "{problem:?}"
    );
}

/// The sample's group waits for a signal that its user data sends.
fn signalling(sample: &str, policy: &str) -> String {
    let notify = "notify_cfn: {stack: s, resource: AppServer}";
    let group = "AWS::AutoScaling::AutoScalingGroup";
    if sample == JSON {
        return sample
            .replace("\"ports:\\n\"", &format!("\"{notify}\\nports:\\n\""))
            .replace(
                &format!("\"{group}\","),
                &format!("\"{group}\",\n\"CreationPolicy\": {policy},"),
            );
    }
    sample
        .replace(
            "            ports:",
            &format!("            {notify}\n            ports:"),
        )
        .replace(group, &format!("{group}\n    CreationPolicy: {policy}"))
}

#[test]
fn a_stack_that_gives_up_early_is_warned_about() {
    for sample in [YAML, JSON] {
        let policy = |timeout: &str| {
            signalling(
                sample,
                &format!("{{\"ResourceSignal\": {{\"Timeout\": {timeout}}}}}"),
            )
        };
        let text = policy("\"PT15M\"");
        assert_eq!(only(&text), (Code::SignalTimeout, place_of(&text, "\"PT15M\"")));
        clean(&policy("\"PT16M\""));
        clean(&policy("{\"Ref\": \"Version\"}"));
        let text = signalling(sample, "{\"ResourceSignal\": {\"Count\": 1}}");
        let template = read(&text);
        assert_eq!(
            one(&template, &text),
            (Code::SignalTimeout, place_of(&text, "{\"Count"))
        );
        assert!(template.problems[0].message.contains("waits 5 min"));
        clean(&signalling(sample, "{}"));
        let policy = "{\"ResourceSignal\": {\"Count\": 1}}";
        clean(
            &signalling(sample, policy).replace("notify_cfn: {stack: s, resource: AppServer}", "hostname: x"),
        );
    }
    let (text, place) = seeded(
        DEFINITION,
        "SuccessRequires: 1 within 20m",
        "SuccessRequires: 1 within 10m",
    );
    assert_eq!(
        only(&text),
        (Code::SignalTimeout, Place::new(place.line, place.column + 17))
    );
}

#[test]
fn senza_reads_yaml_first() {
    let (text, place) = seeded(
        DEFINITION,
        "\"{{Arguments.ImageVersion}}\"",
        "{{Arguments.ImageVersion}}",
    );
    assert_eq!(only(&text), (Code::Template, place));
    assert_eq!(
        only(&DEFINITION.replace("{Ref: Sessions}", "!Ref Sessions")).0,
        Code::Tag
    );
    clean(&DEFINITION.replace("{Ref: Sessions}", "{Stack: other, Output: Bucket}"));
    clean(&DEFINITION.replace("\"{{AccountInfo.Region}}\"", "in-{{AccountInfo.Region}}"));
    let (text, place) = seeded(
        DEFINITION,
        "REGION: \"{{AccountInfo.Region}}\"",
        "REGION: {x: \"{{AccountInfo.Region}}\"}",
    );
    assert_eq!(
        only(&text),
        (Code::WrongType, Place::new(place.line, place.column + 8))
    );
    let text = DEFINITION.replace("TaupageConfig:", "TaupageConfg:");
    assert_eq!(read(&text).problems[0].code, Code::Missing);
}

/// A plan with a resource in a module in a module.
fn terraform(kind: &str, values: &str) -> String {
    format!(
        "{{\"format_version\":\"1.2\",\"planned_values\":{{\"root_module\":{{\"child_modules\":[{{\"child_modules\":[{{\"resources\":[\n{{\"address\":\"module.a.{kind}.app\",\"type\":\"{kind}\",\"values\":{{{values}}}}}\n]}}]}}]}}}},\"resource_changes\":[{{\"address\":\"module.a.{kind}.app\",\"change\":{{\"after_unknown\":{{\"user_data\":true}}}}}}]}}"
    )
}

#[test]
fn terraform_shows_what_it_rendered() {
    use base64::Engine as _;
    let bad = data("1", "root: 'x' # \u{1f600} \u{e9}\n");
    let escaped = serde_json::to_string(&bad)
        .unwrap()
        .replace('\u{1f600}', "\\ud83d\\ude00");
    let text = terraform("aws_instance", &format!("\"user_data\":{escaped}"));
    let template = read(&text);
    let column = text
        .lines()
        .nth(1)
        .unwrap()
        .split("root: ")
        .next()
        .unwrap()
        .chars()
        .count()
        + 7;
    assert_eq!(one(&template, &text), (Code::WrongType, Place::new(2, column)));
    assert_eq!(template.found[0].path, "module.a.aws_instance.app.user_data");
    let encoded = base64::engine::general_purpose::STANDARD.encode(&bad);
    for (kind, attribute) in [
        ("aws_launch_template", "user_data"),
        ("aws_launch_configuration", "user_data_base64"),
    ] {
        let text = terraform(kind, &format!("\"{attribute}\":\"{encoded}\""));
        let template = read(&text);
        assert!(
            template
                .all_problems()
                .any(|problem| problem.code == Code::WrongType && problem.place.unwrap().line == 2),
            "{template:?}"
        );
    }
    for (values, code) in [
        ("\"id\":1", Code::NotInTemplate),
        ("\"user_data\":null", Code::NotInTemplate),
        (
            "\"user_data\":\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"",
            Code::NotInTemplate,
        ),
        ("\"user_data\":\"#!/bin/sh\"", Code::NoUserData),
    ] {
        assert_eq!(
            read(&terraform("aws_instance", values)).problems[0].code,
            code,
            "{values}"
        );
    }
    let state =
        terraform("aws_instance", &format!("\"user_data\":{escaped}")).replace("planned_values", "values");
    assert_eq!(read(&state).kind, "Terraform state");
}

#[test]
fn terraform_template_files() {
    let file = |text: &str| templates(text.as_bytes(), "x.tftpl").unwrap();
    let text = data(
        "\"${v}\"",
        "environment: {A: \"${jsonencode({a = \"}\", b = [1]})}\"}\nroot: ${x} y\nhostname: \"$${v}\"\n",
    );
    let template = file(&text);
    assert_eq!(
        one(&template, &text),
        (Code::BadValue, Place::new(7, 11)),
        "a doubled dollar is a dollar"
    );
    let text = data(
        "1",
        "environment:\n${indent(2, yamlencode(e))}\n%{ if x ~}\nroot: true\n%{~ endif }\n",
    );
    let template = templates(text.as_bytes(), "-").unwrap();
    let places: Vec<Place> = template
        .problems
        .iter()
        .map(|problem| problem.place.unwrap())
        .collect();
    assert_eq!(places, [Place::new(7, 1), Place::new(9, 1)]);
    let text = data("1", "rsyslog_application_log_format: \"%{message} %%{ if }\"\n");
    assert!(templates(text.as_bytes(), "app.yaml").is_none());
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
    assert!(read(&nested).has_errors() || !read(&nested).problems.is_empty());
    let large = format!("{YAML}# {}", "x".repeat(MAX_BYTES));
    assert_eq!(read(&large).problems[0].code, Code::TemplateTooLarge);
    let repeated = stack(&format!(
        "\n        Fn::Base64: !Sub\n          - \"#taupage-ami-config\\n{}\"\n          - A: {}",
        "${A}".repeat(5000),
        "x".repeat(5000)
    ));
    assert_eq!(only(&repeated).0, Code::TooLarge);
}
