//! How long a stack waits, what Senza adds, what Terraform shows.

use super::*;

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
        // A machine that gives up earlier leaves time for the signal.
        let quick =
            policy("\"PT8M\"").replace("notify_cfn: {", "boot_timeout: 5m\n            notify_cfn: {");
        if sample == YAML {
            clean(&quick);
            assert_eq!(only(&quick.replace("5m", "8m")).0, Code::SignalTimeout);
        }
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
        "environment: ${jsonencode({a = \"{\"\n b = [1]\n})}\nroot: ${x} y\nhostname: \"$${v}\"\n",
    );
    let template = file(&text);
    assert_eq!(
        one(&template, &text),
        (Code::BadValue, Place::new(9, 11)),
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
