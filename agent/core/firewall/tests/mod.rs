//! The tables of several containers, as files beside this one. `UPDATE_EXPECT=1` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use super::*;
use crate::config::parse;

fn plan(more: &str, blocked: bool, endpoint: bool) -> FirewallPlan {
    let text = format!(
        "#taupage-ami-config\napplication_id: my-app\napplication_version: \"1\"\nsource: registry.example.org/a:1\n{more}"
    );
    let report = parse(text.as_bytes(), "user data");
    FirewallPlan::new(report.config().unwrap(), blocked, endpoint)
}

fn machine(cgroup2: bool) -> Surroundings {
    Surroundings {
        bridge: Surroundings::BRIDGE.to_owned(),
        cgroup2,
        resolvers: vec!["10.0.0.2".parse().unwrap(), "fd00:ec2::253".parse().unwrap()],
        slice: Surroundings::SLICE.to_owned(),
    }
}

const EGRESS: &str = "egress:\n  - 10.0.0.0/8\n  - fd00::/8\n  - 192.0.2.7\n  - {to: db.example.org, ports: [5432]}\n  - {to: dns.example.org, ports: [53, 8000-8010], protocol: any}\n  - {to: 198.51.100.0/24, ports: 123, protocol: udp}\n  - {to: 203.0.113.0/24, protocol: tcp}\n";

fn addresses() -> Resolved {
    let all =
        |texts: &[&str]| -> BTreeSet<IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
    Resolved::from([("db.example.org".to_owned(), all(&["192.0.2.30", "2001:db8::30"]))])
}

#[test]
fn tables_are_as_they_were() {
    let ports = "ports: {80: 8080, 443: 8443, 53/udp: 53}\n";
    let all = [
        ("default", plan(ports, false, false), true),
        ("no-ports", plan("", false, false), false),
        ("blocked", plan(ports, true, true), false),
        ("egress", plan(&format!("{ports}{EGRESS}"), true, true), false),
        (
            "egress-open-metadata",
            plan("egress: []\nlocal_planb_tokeninfo: true\n", false, false),
            false,
        ),
        (
            "host",
            plan(&format!("networking: host\n{EGRESS}"), true, true),
            true,
        ),
        ("host-endpoint", plan("networking: host\n", false, true), false),
        ("none", plan("networking: none\n", true, true), false),
    ];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("firewall/golden");
    for (name, plan, cgroup2) in all {
        let counted = Denied {
            metadata: 3,
            ..Denied::default()
        };
        let text = ruleset(&plan, &machine(cgroup2), &addresses(), &counted).unwrap();
        let path = directory.join(format!("{name}.nft"));
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &text).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), text, "{name}");
    }
}

#[test]
fn the_block_comes_before_connections_that_are_open() {
    let text = ruleset(
        &plan(EGRESS, true, false),
        &machine(false),
        &addresses(),
        &Denied::default(),
    )
    .unwrap();
    let chain = text.split("chain outgoing").nth(1).unwrap();
    let at = |words: &str| {
        chain
            .find(words)
            .unwrap_or_else(|| panic!("{words} is not in {chain}"))
    };
    assert!(at("ip daddr 169.254.169.254 jump deny_metadata") < at("ct state established"));
    assert!(at("ip6 daddr fd00:ec2::254 jump deny_metadata") < at("ct state established"));
    assert!(at("jump deny_egress") > at("@name_1_v6"));
}

#[test]
fn host_networking_needs_version_2_and_says_which_keys_do() {
    let host = plan("networking: host\negress: []\n", true, false);
    let error = ruleset(&host, &machine(false), &Resolved::new(), &Denied::default()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the block of the metadata service and `egress`"),
        "{error}"
    );
    assert!(ruleset(&host, &machine(true), &Resolved::new(), &Denied::default()).is_ok());
}

#[test]
fn an_order_cannot_say_more_than_names() {
    let evil = "docker0\" accept; flush ruleset; #";
    let mut strange = machine(true);
    strange.bridge = evil.to_owned();
    let empty = plan("", false, false);
    let table = |plan: &FirewallPlan, machine: &Surroundings| {
        ruleset(plan, machine, &Resolved::new(), &Denied::default())
    };
    assert!(table(&empty, &strange).is_err());
    strange = machine(true);
    strange.slice = evil.to_owned();
    assert!(table(&empty, &strange).is_err());
    let mut named = plan(EGRESS, false, false);
    for rule in named.egress.iter_mut().flatten() {
        rule.to = To::Name(evil.to_owned());
    }
    assert_eq!(
        table(&named, &machine(true)),
        Err(Impossible::NoName {
            what: "a destination"
        })
    );
}

#[test]
fn a_container_without_a_network_asks_for_nothing() {
    let none = plan("networking: none\negress: []\n", true, true);
    assert!(!none.is_asked());
    assert_eq!(none.rows().len(), 1);
    assert_eq!(
        none.to_string(),
        "keep the metadata service from people who are let in"
    );
}

#[test]
fn people_who_are_let_in_get_no_credentials_of_the_machine() {
    for more in ["", "networking: host\n", "networking: none\n", EGRESS] {
        let text = ruleset(
            &plan(more, false, false),
            &machine(true),
            &Resolved::new(),
            &Denied::default(),
        )
        .unwrap();
        let chain = text.split("chain output {").nth(1).unwrap();
        assert!(chain.contains("type filter hook output"), "{chain}");
        for to in [
            "ip daddr 169.254.169.254",
            "ip6 daddr fd00:ec2::254",
            "ip daddr 169.254.170.2",
        ] {
            let rule = format!("meta skuid 60706-60999 {to} jump deny_metadata");
            assert!(chain.contains(&rule), "{more}: {chain}");
        }
    }
}

#[test]
fn new_addresses_leave_the_counters_alone() {
    let plan = plan(EGRESS, false, false);
    assert_eq!(
        plan.names(),
        BTreeSet::from(["db.example.org", "dns.example.org"])
    );
    let text = refresh(&plan, &addresses());
    assert_eq!(
        text,
        "flush set inet monopod name_0_v4\nadd element inet monopod name_0_v4 { 192.0.2.30 }\n\
         flush set inet monopod name_0_v6\nadd element inet monopod name_0_v6 { 2001:db8::30 }\n\
         flush set inet monopod name_1_v4\nflush set inet monopod name_1_v6\n"
    );
}

#[test]
fn destinations_are_read_or_refused() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.0.0.2", "10.0.0.2"),
        ("10.0.0.2/32", "10.0.0.2"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("::/0", "::/0"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("DB.Example.org.", "db.example.org"),
        ("_ldap._tcp.example.org", "_ldap._tcp.example.org"),
        ("db", "db"),
    ] {
        assert_eq!(To::parse(text).unwrap().to_string(), shown, "{text}");
    }
    for (text, wrong) in [
        ("", NotADestination::Neither),
        ("10.0.0.300", NotADestination::Neither),
        ("10.0.0", NotADestination::Neither),
        ("db.example.org/24", NotADestination::Neither),
        ("db_.-x.org", NotADestination::Neither),
        ("a..b", NotADestination::Neither),
        ("db.example.org; drop", NotADestination::Neither),
        ("db\".example.org", NotADestination::Neither),
        ("*.example.org", NotADestination::Star),
        ("10.0.0.0/33", NotADestination::Prefix),
        ("10.0.0.0/08", NotADestination::Prefix),
        ("10.0.0.0/", NotADestination::Prefix),
        ("10.0.0.1/8", NotADestination::HostBits),
        ("2001:db8::1/32", NotADestination::HostBits),
    ] {
        assert_eq!(To::parse(text), Err(wrong), "{text}");
    }
}

#[test]
fn name_servers_on_the_loopback_are_none_of_the_containers() {
    let text = "# a comment\nsearch example.org\nnameserver 127.0.0.53\nnameserver 10.0.0.2\nnameserver ::1\nnameserver fd00:ec2::253\nnameserver fe80::1%eth0\nnameserver 10.0.0.2\noptions edns0\n";
    let wanted: Vec<IpAddr> = vec!["10.0.0.2".parse().unwrap(), "fd00:ec2::253".parse().unwrap()];
    assert_eq!(resolvers(text), wanted);
}

#[test]
fn an_order_is_remembered_as_it_was() {
    let plan = plan(EGRESS, true, true);
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<FirewallPlan>(&text).unwrap(), plan);
}

#[test]
fn words_say_what_the_rules_do() {
    let rows = plan(&format!("ports: {{80: 8080}}\n{EGRESS}"), true, true).rows();
    let of = |key: &str| rows.iter().find(|(one, _)| *one == key).unwrap().1.clone();
    assert_eq!(of("comes in"), "tcp 8080; nothing else from other machines");
    assert_eq!(
        of("goes out"),
        "to 10.0.0.0/8; to fd00::/8; to 192.0.2.7; to tcp 5432 of db.example.org; to tcp and udp 53, 8000-8010 of dns.example.org; to udp 123 of 198.51.100.0/24; to tcp of 203.0.113.0/24, and questions to the name servers; nothing else"
    );
    assert_eq!(of("metadata service"), "cannot be reached");
    assert_eq!(of("credentials"), "from 169.254.170.2:51680 of the machine");
}
