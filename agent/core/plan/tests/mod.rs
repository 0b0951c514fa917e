mod identity;
mod lifecycle;
mod storage;

use super::*;
use crate::config::{ImageLayer, Text, parse, read};

fn plan(lines: &str) -> Plan {
    let text = format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{lines}\n"
    );
    let report = parse(text.as_bytes(), "user data");
    let config = report
        .planned()
        .unwrap_or_else(|| panic!("{:?}", report.problems()));
    Plan::new(config, report.problems().to_vec(), None)
}

fn paths(old: &str, new: &str) -> (bool, Vec<String>) {
    let difference = Difference::new(&plan(old), &plan(new));
    let paths = difference
        .changes
        .iter()
        .map(|change| change.path.clone())
        .collect();
    (difference.replaces_container, paths)
}

#[test]
fn no_difference_is_none_whatever_the_order() {
    let old = "ports: {80: 80, 90: 90}\ncapabilities_add: [NET_RAW, CHOWN]\nenvironment: {A: x, B: y}";
    let new = "environment: {B: y, A: x}\ncapabilities_add: [CHOWN, NET_RAW]\nports: {90: 90, 80: 80}\nread_only: false";
    let difference = Difference::new(&plan(old), &plan(old));
    assert!(difference.is_empty());
    assert_eq!(difference.to_text(), "The two plans are the same.\n");
    // Written out, `false` is another intent, though the container would be the same.
    assert_eq!(paths(old, new), (true, vec![]));
}

#[test]
fn a_difference_names_what_changes_and_whether_the_container_goes() {
    assert_eq!(
        paths("ports: {80: 80}", "ports: {80: 81}\nmemory: 64m"),
        (
            true,
            vec![
                "container.memory".to_owned(),
                "container.memory.bytes".to_owned(),
                "container.ports[80 -> 80/tcp]".to_owned(),
                "container.ports[80 -> 81/tcp]".to_owned(),
            ]
        )
    );
    let (replaced, changed) = paths("restart: never", "restart: always\nboot_timeout: 5m");
    assert!(!replaced);
    assert_eq!(changed, ["boot_budget_seconds", "restart"]);
    let text = Difference::new(&plan("restart: never"), &plan("restart: always")).to_text();
    assert_eq!(
        text,
        "- restart: never\n+ restart: always\nThe container stays: nothing of this is part of it.\n"
    );
    let (replaced, changed) = paths("files: {/a: one}", "files: {/a: two}");
    assert!(replaced);
    assert_eq!(changed, ["container.files./a"]);
    let (replaced, changed) = paths(
        "environment: {A: 'aws:kms:aGk='}",
        "environment: {A: 'aws:kms:aGV5'}",
    );
    assert!(replaced, "another ciphertext may be another secret");
    assert_eq!(changed, ["container.environment.A", "secrets"]);
}

#[test]
fn the_least_policy_names_what_is_called() {
    let none = plan("");
    assert!(none.aws_calls().is_empty());
    assert_eq!(none.iam_policy()["Statement"], serde_json::json!([]));
    let mut some = plan("environment: {A: 'aws:kms:aGk=', B: 'aws:kms:aGV5', C: 'aws:kms:aGk='}");
    let calls = some.aws_calls();
    assert_eq!((calls.len(), calls[0].times), (1, 2), "each ciphertext once");
    assert_eq!(calls[0].resource, "arn:aws:kms:*:*:key/*");
    some.facts = Some(InstanceFacts {
        instance_id: "i-1".into(),
        region: "cn-north-1".into(),
        availability_zone: "cn-north-1a".into(),
        account_id: "123456789012".into(),
        image_id: None,
        instance_type: None,
        local_ipv4: None,
        public_ipv4: None,
        pending_time: None,
    });
    assert_eq!(
        some.iam_policy()["Statement"][0],
        serde_json::json!({
            "Effect": "Allow",
            "Action": "kms:Decrypt",
            "Resource": "arn:aws-cn:kms:cn-north-1:123456789012:key/*",
        })
    );
}

#[test]
fn no_value_breaks_the_layout() {
    let lines = format!(
        "environment:\n  PEM: |\n    begin\n    {}\n  ESCAPES: \"\\e[2J\\x9b\"\n  PLAIN: a \\n \"b\"",
        "x".repeat(200)
    );
    let shown = plan(&lines).to_text();
    let row = |name: &str| shown.lines().find(|line| line.contains(name)).unwrap().to_owned();
    assert!(row("PEM=").starts_with("  PEM=\"begin\\nxxx"), "{shown}");
    assert!(
        row("PEM=").ends_with("xx…") && row("PEM=").chars().count() < 120,
        "{shown}"
    );
    assert_eq!(row("ESCAPES="), "  ESCAPES=\"\\u001b[2J·\"");
    assert_eq!(row("PLAIN="), "  PLAIN=a \\n \"b\"");
    let difference = Difference::new(&plan(""), &plan(&lines)).to_text();
    assert_eq!(difference.lines().count(), 4, "{difference}");
}

#[test]
fn a_pinned_image_needs_no_resolving_and_a_login_is_named() {
    let at = |source: &str| {
        plan(&format!(
            "source: {source}\ndockercfg: {{registry.example.org: {{auth: dTpw}}}}"
        ))
    };
    let tag = at("registry.example.org/b:2").to_text();
    assert!(
        tag.contains("resolve registry.example.org/b:2 to a digest and pull it unless it is there, with the login of `dockercfg` for registry.example.org\n"),
        "{tag}"
    );
    let pinned = format!("other.example.org/b@sha256:{}", "a".repeat(64));
    let text = at(&pinned).to_text();
    assert!(
        text.contains(&format!("image      pull {pinned} unless it is there\n")),
        "{text}"
    );
}

#[test]
fn ecr_needs_a_login_and_the_right_to_read_one_repository() {
    let policy = |lines: &str| {
        let calls = plan(lines).aws_calls();
        calls
            .iter()
            .map(|call| format!("{} {}", call.action, call.resource))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        policy("source: 123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:1"),
        [
            "ecr:GetAuthorizationToken *",
            "ecr:BatchGetImage arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app",
            "ecr:GetDownloadUrlForLayer arn:aws-cn:ecr:cn-north-1:123456789012:repository/team/app",
        ]
    );
    // Behind another name nobody knows the account.
    assert_eq!(
        policy("dockercfg: {registry.example.org: {login: ecr, region: eu-west-1}}")[1],
        "ecr:BatchGetImage arn:aws:ecr:eu-west-1:*:repository/a"
    );
    assert!(policy("dockercfg: {registry.example.org: {login: instance-identity}}").is_empty());
    let apart =
        "dockercfg: {registry.example.org: {username: 'aws:kms:dXNlcg==', password: 'aws:kms:cGFzcw=='}}";
    let used: Vec<String> = plan(apart).secrets.into_iter().map(|one| one.used_by()).collect();
    assert_eq!(
        used,
        [
            "dockercfg.registry.example.org.password",
            "dockercfg.registry.example.org.username"
        ]
    );
}

#[test]
fn every_option_is_in_the_plan() {
    let plan = plan(
        "memory: 64m\ncpus: 0.5\nulimits: {nofile: 5}\nentrypoint: [/x]\ncommand: [y, 'z z']\ntmpfs: {/r: size=1m}\n\
         stop_signal: INT\nstop_timeout: 3\nseccomp: /p.json\ndns: [10.0.0.2]\nextra_hosts: {db: 10.0.0.3}\n\
         files: {/f: hunter2-hunter2}\nmount_certs: true\nmount_var_log: true\nmount_custom_log: true\ngpus: none\n\
         log_budget: 80m\nread_only: true\nuser: '5:6'\nhealth_check_type: tcp\nhealth_check_port: 9",
    );
    let text = plan.to_text();
    for row in [
        "processors         0.5",
        "ulimit             nofile=5:5",
        "command            [\"y\",\"z z\"]",
        "memory at /r (size=1m)",
        "memory at /tmp",
        "stopped by         SIGINT, killed 3 s later",
        "seccomp            /p.json",
        "name servers       10.0.0.2",
        "host               db is 10.0.0.3",
        "a file of 15 B at /f, read-only",
        "/etc/ssl/certs of the machine at /etc/ssl/certs, read-only",
        "/var/log-custom of the machine at /var/log, writable",
        "graphics           none",
        "8 x 3.7 MiB",
        "user               5:6",
        "port 9 of the container takes a connection",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
    assert!(!text.contains("hunter2") && !plan.to_json().to_string().contains("hunter2"));
}

#[test]
fn mirrors_are_in_the_plan_with_their_own_logins_and_change_no_container() {
    let mirrored = plan(
        "registry_mirrors: {registry.example.org: [mirror.example.org, other.example.org/hub], a.org: [b.org]}\n\
                       dockercfg: {mirror.example.org: {auth: dTpw}, b.org: {auth: dTpw}}\n",
    );
    let text = mirrored.to_text();
    let expected = "pull it unless it is there, from mirror.example.org, other.example.org/hub or the registry itself, \
                    whoever has it first, with the login of `dockercfg` for mirror.example.org\n";
    assert!(text.contains(expected), "{text}");
    assert_eq!(
        mirrored.to_json()["registry_mirrors"],
        serde_json::json!(["mirror.example.org", "other.example.org/hub"])
    );
    assert_eq!(mirrored.intent, plan("").intent);
}

fn plan_under(policy: &str, lines: &str) -> Plan {
    let text = format!("#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\n{lines}\n");
    let (name, bytes) = ("/etc/monopod/policy.yaml", policy.as_bytes());
    let image = ImageLayer {
        policy: Some(Text { name, bytes }),
        ..ImageLayer::default()
    };
    let (name, bytes) = ("user data", text.as_bytes());
    let report = read(Text { name, bytes }, &image);
    let config = report
        .planned()
        .unwrap_or_else(|| panic!("{:?}", report.problems()));
    Plan::new(config, Vec::new(), None)
}

#[test]
fn a_mirror_says_what_a_tag_means_unless_a_rule_lets_the_image_run_unproved() {
    let mirrored =
        "source: registry.example.org/a:1\nregistry_mirrors: {registry.example.org: [mirror.example.org]}";
    assert!(plan(mirrored.split_once('\n').unwrap().1).mirrors_may_resolve());
    for (policy, wanted) in [
        ("{}", true),
        ("images: [{match: '**', require: header}]", true),
        ("images: [{match: '**', require: nothing}]", false),
    ] {
        let plan = plan_under(policy, mirrored);
        assert_eq!(plan.mirrors_may_resolve(), wanted, "{policy}");
        let told = "whoever has it first, the registry alone saying which image the tag means";
        assert_eq!(plan.to_text().contains(told), !wanted, "{policy}");
    }
    let pinned = mirrored.replacen("a:1", &format!("a:1@sha256:{}", "1".repeat(64)), 1);
    let plan = plan_under("images: [{match: '**', require: digest}]", &pinned);
    assert!(!plan.mirrors_may_resolve() && !plan.to_text().contains("the tag means"));
}

#[test]
fn mirrors_are_found_however_their_registry_is_spelled() {
    let plan = plan_under(
        "{}",
        "source: Registry.example.org:443/a:1\nregistry_mirrors: {registry.Example.org: [mirror.example.org]}\n\
         dockercfg: {registry.example.org: {auth: dTpw}, Mirror.example.org: {auth: dTpw}}",
    );
    let names: Vec<String> = plan.mirrors.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["mirror.example.org"]);
    let logins = plan.registry_auth.iter().chain(&plan.mirror_auths);
    let logins: Vec<&str> = logins.map(|auth| auth.registry.as_str()).collect();
    assert_eq!(logins, ["Registry.example.org:443", "mirror.example.org"]);
}

#[test]
fn ecr_mirrors_are_among_the_calls_by_their_own_paths() {
    let plan = plan_under(
        "{}",
        "source: registry.example.org/team/app:1\nregistry_mirrors: {registry.example.org: [\
         123456789012.dkr.ecr.eu-west-1.amazonaws.com/hub, mirror.example.org, \
         123456789012.dkr.ecr.eu-west-1.amazonaws.com]}",
    );
    let calls: Vec<String> = plan
        .aws_calls()
        .iter()
        .map(|call| format!("{} {} {}", call.times, call.action, call.resource))
        .collect();
    let repository = "arn:aws:ecr:eu-west-1:123456789012:repository";
    assert_eq!(
        calls,
        [
            "1 ecr:GetAuthorizationToken *".to_owned(),
            format!("0 ecr:BatchGetImage {repository}/hub/team/app"),
            format!("0 ecr:GetDownloadUrlForLayer {repository}/hub/team/app"),
            format!("0 ecr:BatchGetImage {repository}/team/app"),
            format!("0 ecr:GetDownloadUrlForLayer {repository}/team/app"),
        ]
    );
}

#[test]
fn what_only_a_mirrors_login_is_made_of_is_no_part_of_the_step() {
    let plan = plan_under(
        "{}",
        "source: registry.example.org/a:1\nregistry_mirrors: {registry.example.org: [mirror.example.org]}\n\
         environment: {A: 'aws:secretsmanager:both?key=/a'}\ndockercfg:\n  registry.example.org: {auth: 'aws:ssm:/own'}\n  \
         mirror.example.org: {username: 'aws:secretsmanager:both?key=/user', password: 'aws:ssm:/mirror'}",
    );
    let steps = plan.steps(&Then::Create);
    let fetched = steps.iter().find_map(|step| match step {
        Step::FetchSecrets { uses, .. } => Some(uses.iter().map(SecretUse::used_by).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(
        fetched.unwrap(),
        ["dockercfg.registry.example.org", "environment.A"]
    );
    let (user, password) = (
        "dockercfg.mirror.example.org.username",
        "dockercfg.mirror.example.org.password",
    );
    let every: Vec<String> = plan.every_use().iter().map(SecretUse::used_by).collect();
    // One call for a source that both use.
    assert_eq!(
        every,
        [
            "dockercfg.registry.example.org".to_owned(),
            format!("environment.A, {user}"),
            password.to_owned()
        ]
    );
    let allowed = plan.iam_policy().to_string();
    assert!(allowed.contains("parameter/mirror"), "{allowed}");
}
