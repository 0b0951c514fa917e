use super::*;
use crate::config::{EnvValue, parse};

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

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 17, 0, 1));

/// The variable's values in the order they are given; what a hole becomes when the service answers, and when it does not.
fn values(plan: &Plan, name: &str) -> (Vec<String>, Vec<[Option<String>; 2]>) {
    let known = plan.container.environment.iter().filter(|(one, _)| one == name);
    let known = known.map(|(_, value)| match value {
        EnvValue::Plain(text) => text.clone(),
        EnvValue::Secret(_) => "a secret".to_owned(),
    });
    let holes = plan.container.holes.iter().filter(|hole| hole.variable() == name);
    let holes = holes.map(|hole| [true, false].map(|answers| hole.decide(GATEWAY, answers)));
    (known.collect(), holes.collect())
}

#[test]
fn tokeninfo_is_the_machine_s_or_the_global_one() {
    const GLOBAL: &str = "https://t.example.org/tokeninfo";
    const LOCAL: &str = "http://172.17.0.1:9021/oauth2/tokeninfo";
    let url = format!("tokeninfo_url: {GLOBAL}");
    let of = |lines: &str| values(&plan(lines), TOKENINFO_URL);
    let (global, local) = (Some(GLOBAL.to_owned()), Some(LOCAL.to_owned()));
    assert_eq!(of(""), (vec![], vec![]));
    assert_eq!(of(&url), (vec![GLOBAL.to_owned()], vec![]));
    assert_eq!(
        of(&format!("{url}\nlocal_planb_tokeninfo: true")),
        (vec![], vec![[local.clone(), global]])
    );
    assert_eq!(of("local_planb_tokeninfo: true"), (vec![], vec![[local, None]]));
    assert_eq!(
        of(&format!("{url}\nlocal_planb_tokeninfo: true\nnetworking: none")),
        (vec![GLOBAL.to_owned()], vec![]),
        "nobody is reached from there"
    );
    assert_eq!(
        of(&format!(
            "{url}\nlocal_planb_tokeninfo: true\nenvironment: {{TOKENINFO_URL: mine}}"
        )),
        (vec!["mine".to_owned()], vec![]),
        "nobody is waited for"
    );
}

#[test]
fn etcd_is_the_cluster_s_or_the_machine_s() {
    let of = |lines: &str| values(&plan(lines), ETCD_URL);
    let cluster = vec!["http://etcd-server.etcd.example.org:2379".to_owned()];
    for lines in [
        "etcd_discovery_domain: etcd.example.org",
        "etcd_discovery_domain: etcd.example.org.\nnetworking: host",
        "etcd_discovery_domain: etcd.example.org\nenvironment: {ETCD_URL: mine}",
    ] {
        assert_eq!(of(lines), (cluster.clone(), vec![]), "{lines}");
    }
    let on_the_bridge = Some("http://172.17.0.1:2379".to_owned());
    assert_eq!(
        of("etcd_discovery_domain: disable"),
        (vec![], vec![[on_the_bridge.clone(), on_the_bridge]])
    );
    assert_eq!(
        of("etcd_discovery_domain: disable\nnetworking: host"),
        (vec!["http://127.0.0.1:2379".to_owned()], vec![])
    );
    assert_eq!(
        of("environment: {ETCD_URL: mine}"),
        (vec!["mine".to_owned()], vec![])
    );
}

#[test]
fn a_plan_shows_both_possibilities() {
    let both = plan(
        "local_planb_tokeninfo: true\ntokeninfo_url: https://t.example.org/x\netcd_discovery_domain: disable",
    );
    let text = both.to_text();
    for line in [
        "  TOKENINFO_URL=<http://[the bridge's gateway]:9021/oauth2/tokeninfo if it answers within 30 s, else https://t.example.org/x>\n",
        "  ETCD_URL=<http://[the bridge's gateway]:2379>\n",
        "  registered in etcd /taupage/HOSTNAME at http://127.0.0.1:2379, while the machine is healthy (every 5 s, forgotten after 15 s)\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let json = both.to_json();
    assert_eq!(
        json["container"]["environment"]["ETCD_URL"],
        "<http://[the bridge's gateway]:2379>"
    );
    let none = plan("local_planb_tokeninfo: true\nnetworking: host").to_text();
    assert!(
        none.contains(
            "TOKENINFO_URL=<http://127.0.0.1:9021/oauth2/tokeninfo if it answers within 30 s, else none>"
        ),
        "{none}"
    );
}

#[test]
fn a_token_in_the_global_address_is_used_and_not_shown() {
    const GLOBAL: &str = "https://t.example.org/x?key=hunter2";
    let url = format!("tokeninfo_url: '{GLOBAL}'");
    for lines in [url.clone(), format!("{url}\nlocal_planb_tokeninfo: true")] {
        let plan = plan(&lines);
        let shown = format!("{} {}", plan.to_text(), plan.to_json());
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("https://t.example.org/x?..."), "{shown}");
    }
    assert_eq!(values(&plan(&url), TOKENINFO_URL).0, [GLOBAL]);
}

#[test]
fn the_hash_covers_what_was_written() {
    let base = plan("").intent;
    for same in [
        "local_planb_tokeninfo: false",
        "enhanced_cloudwatch_metrics: true",
    ] {
        assert_eq!(plan(same).intent, base, "{same}");
    }
    for other in ["local_planb_tokeninfo: true", "etcd_discovery_domain: disable"] {
        assert_ne!(plan(other).intent, base, "{other}");
    }
}

#[test]
fn who_asks_for_nothing_gets_nothing() {
    let plan = plan("local_planb_tokeninfo: false\nenhanced_cloudwatch_metrics: false");
    assert_eq!(plan.extras, Extras::default());
    let holes: Vec<&str> = plan.container.holes.iter().map(Hole::variable).collect();
    assert_eq!(
        holes,
        [OTEL_RESOURCE_ATTRIBUTES],
        "who the application is, it knows anyway"
    );
    assert!(plan.aws_calls().is_empty());
    assert!(!plan.to_text().contains("Beside the container"));
}

#[test]
fn metrics_need_one_permission_in_one_namespace() {
    let plan = plan("enhanced_cloudwatch_metrics: true");
    assert_eq!(
        plan.iam_policy()["Statement"],
        json!([{
            "Effect": "Allow",
            "Action": "cloudwatch:PutMetricData",
            "Resource": "*",
            "Condition": { "StringEquals": { "cloudwatch:namespace": "System/Linux" } },
        }])
    );
}

const METRICS: &str = "metrics: {textfile_directory: /var/lib/figures, cloudwatch: {port: 9102, namespace: shop, names: [queue_depth, jobs_total], interval: 30s}}";

#[test]
fn figures_and_relayed_metrics_are_rows_and_one_permission() {
    let one = plan(METRICS);
    let text = one.to_text();
    for line in [
        "  figures            every *.prom of /var/lib/figures at /metrics, with the machine's own\n",
        "  relayed metrics    queue_depth, jobs_total of the container's port 9102/metrics to CloudWatch as shop, every 30 s\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let condition = |plan: &Plan| plan.iam_policy()["Statement"][0]["Condition"].clone();
    assert_eq!(
        condition(&one),
        json!({ "StringEquals": { "cloudwatch:namespace": "shop" } })
    );
    let both = plan(&format!("{METRICS}\nenhanced_cloudwatch_metrics: true"));
    assert_eq!(both.iam_policy()["Statement"].as_array().unwrap().len(), 1);
    assert_eq!(
        condition(&both),
        json!({ "StringEquals": { "cloudwatch:namespace": ["System/Linux", "shop"] } })
    );
    assert_eq!(one.intent, plan("").intent, "no part of the container");
    let hint = serde_json::to_string(&one.extras).unwrap();
    assert_eq!(serde_json::from_str::<Extras>(&hint).unwrap(), one.extras);
}

#[test]
fn opentelemetry_s_variable_is_filled_unless_it_is_written() {
    let holes = |lines: &str| -> Vec<Hole> {
        let holes = plan(lines).container.holes;
        holes.into_iter().filter(|hole| !hole.is_address()).collect()
    };
    let known = vec![
        ("service.name", "my-app".to_owned()),
        ("service.version", "1".to_owned()),
    ];
    assert_eq!(holes(""), [Hole::Resource { known }]);
    let written = "environment: {OTEL_RESOURCE_ATTRIBUTES: 'team=mine'}";
    assert_eq!(holes(written), []);
    assert_eq!(
        values(&plan(written), OTEL_RESOURCE_ATTRIBUTES).0,
        ["team=mine".to_owned()]
    );
    let text = plan("").to_text();
    let line = "  OTEL_RESOURCE_ATTRIBUTES=service.name=my-app,service.version=1,<service.instance.id, cloud.* and host.* of the machine>\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn the_entry_holds_nothing_secret() {
    let plan = plan(
        "etcd_discovery_domain: etcd.example.org\nports: {8080: 80, 53/udp: 53}\nhealth_check_path: /health\n\
         deployment_id: d-1\nenvironment: {A: hunter2}\nscalyr_account_key: hunter2\nlogsink_password: hunter2\n\
         dockercfg: {registry.example.org: {auth: aHVudGVyMjpodW50ZXIy}}",
    );
    let entry: Value = serde_json::from_str(&plan.extras.etcd.unwrap().value).unwrap();
    assert_eq!(
        entry,
        json!({
            "application_id": "my-app",
            "application_version": "1",
            "runtime": "Docker",
            "source": "registry.example.org/a:1",
            "deployment_id": "d-1",
            "networking": "bridge",
            "ports": { "8080": 80, "53/udp": 53 },
            "health_check_port": 8080,
            "health_check_path": "/health",
        })
    );
    assert_eq!(
        Registration::key("ip-10-0-0-1.example"),
        "/taupage/ip-10-0-0-1.example"
    );
}

#[test]
fn a_hint_without_extras_is_read() {
    let extras: Extras = serde_json::from_str("{}").unwrap();
    assert_eq!(extras, Extras::default());
}
