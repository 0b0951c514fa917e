//! What a plan shows of the container's credentials.

use super::*;
use crate::config::EnvValue;

const ROLE: &str = "aws_credentials: arn:aws:iam::123456789012:role/my-app";

fn variable(plan: &Plan, name: &str) -> Option<String> {
    plan.container
        .environment
        .iter()
        .find(|(one, _)| one == name)
        .map(|(_, value)| match value {
            EnvValue::Plain(text) => text.clone(),
            EnvValue::Secret(_) => panic!("{name} is no secret"),
        })
}

fn holes(plan: &Plan) -> Vec<&str> {
    let all = plan.container.holes.iter().map(extras::Hole::variable);
    // That one every container has.
    all.filter(|name| *name != extras::OTEL_RESOURCE_ATTRIBUTES)
        .collect()
}

#[test]
fn whoever_asks_for_nothing_sees_nothing_of_it() {
    for lines in ["", "aws_credentials: instance"] {
        let plan = plan(lines);
        assert!(!plan.to_text().contains("AWS credentials"), "{lines}");
        assert!(plan.to_json()["container"].get("identity").is_none(), "{lines}");
        assert!(!plan.to_text().contains("AWS_CONTAINER") && holes(&plan).is_empty());
        let opened = plan.opt_outs();
        assert!(opened.iter().any(|one| one.opens.contains("metadata service")));
    }
}

#[test]
fn a_role_is_served_and_the_instance_s_role_needs_to_assume_it() {
    let plan = plan(ROLE);
    let text = plan.to_text();
    for part in [
        "AWS credentials    of the role arn:aws:iam::123456789012:role/my-app, from the agent at 169.254.170.2:51680",
        "the token for its AWS credentials at /run/monopod-identity",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://169.254.170.2:51680/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/monopod-identity/token",
        "AWS_EC2_METADATA_DISABLED=true",
        "AWS_REGION=<the machine's region>",
        "sts:AssumeRole",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    assert!(
        !plan
            .opt_outs()
            .iter()
            .any(|one| one.opens.contains("metadata service"))
    );
    let statement = &plan.iam_policy()["Statement"][0];
    assert_eq!(statement["Action"], "sts:AssumeRole");
    assert_eq!(statement["Resource"], "arn:aws:iam::123456789012:role/my-app");
    let identity = &plan.to_json()["container"]["identity"];
    assert_eq!(identity["metadata"], "blocked");
    assert_eq!(identity["endpoint"], "http://169.254.170.2:51680/credentials");
}

#[test]
fn none_closes_the_service_and_serves_nothing() {
    let plan = plan("aws_credentials: none");
    assert_eq!(variable(&plan, "AWS_EC2_METADATA_DISABLED").unwrap(), "true");
    assert_eq!(variable(&plan, "AWS_CONTAINER_CREDENTIALS_FULL_URI"), None);
    assert_eq!(holes(&plan), ["AWS_REGION", "AWS_DEFAULT_REGION"]);
    assert!(plan.aws_calls().is_empty());
}

#[test]
fn the_region_is_the_machine_s_unless_the_user_wrote_one_of_the_two() {
    let facts: InstanceFacts = serde_json::from_value(serde_json::json!({
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "availability_zone": "eu-central-1a",
        "account_id": "123456789012",
    }))
    .unwrap();
    let on = |lines: &str| {
        let text = format!(
            "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{lines}\n"
        );
        let report = parse(text.as_bytes(), "user data");
        Plan::new(report.planned().unwrap(), Vec::new(), Some(&facts))
    };
    let machine = on(ROLE);
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
        assert_eq!(variable(&machine, name).as_deref(), Some("eu-central-1"));
    }
    assert!(holes(&machine).is_empty());
    assert_eq!(machine.intent, plan(ROLE).intent, "a region is nobody's intent");
    let user = on(&format!("{ROLE}\nenvironment: {{AWS_REGION: us-east-1}}"));
    assert_eq!(variable(&user, "AWS_REGION").as_deref(), Some("us-east-1"));
    assert_eq!(variable(&user, "AWS_DEFAULT_REGION"), None);
    assert_eq!(variable(&on(""), "AWS_REGION"), None);
}

#[test]
fn a_value_of_the_user_s_for_a_variable_of_ours_is_gone() {
    let plan = plan(&format!(
        "{ROLE}\nenvironment: {{AWS_CONTAINER_CREDENTIALS_FULL_URI: x}}"
    ));
    let names = plan.container.environment.iter().map(|(name, _)| name);
    assert_eq!(
        names
            .filter(|name| *name == "AWS_CONTAINER_CREDENTIALS_FULL_URI")
            .count(),
        1
    );
    assert_eq!(
        variable(&plan, "AWS_CONTAINER_CREDENTIALS_FULL_URI").unwrap(),
        "http://169.254.170.2:51680/credentials"
    );
}
