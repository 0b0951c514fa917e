//! `egress`, `instance_metadata`, and what the policy makes of them.

use super::{clean, code, error, warned};
use crate::config::Code;

#[test]
fn egress() {
    let config = clean(
        "egress:\n  - 10.0.0.0/8\n  - 2001:db8::7\n  - {to: DB.example.org, ports: [5432, 8000-8010]}\n  - {to: 10.0.0.2, ports: '53', protocol: any}\n  - {to: 192.0.2.0/24, protocol: udp}",
    );
    let rules: Vec<String> = config.egress().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(
        rules,
        [
            "10.0.0.0/8",
            "2001:db8::7",
            "tcp 5432, 8000-8010 of db.example.org",
            "tcp and udp 53 of 10.0.0.2",
            "udp of 192.0.2.0/24",
        ]
    );
    assert!(clean("egress: []").egress().unwrap().is_empty());
    assert!(clean("memory: 64m").egress().is_none());
    // Whoever began to write a list has not opened everything.
    let (config, problems) = warned("egress:");
    assert!(config.egress().unwrap().is_empty());
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, Code::NothingSaid);
    for (bad, wanted) in [
        ("egress: 10.0.0.0/8", Code::WrongType),
        ("egress: [{to: true}]", Code::WrongType),
        ("egress: [10.5]", Code::WrongType),
        ("egress: {to: 10.0.0.0/8}", Code::WrongType),
        ("egress: [[10.0.0.0/8]]", Code::WrongType),
        ("egress: [10.0.0.1/8]", Code::BadValue),
        ("egress: [10.0.0.0/33]", Code::BadValue),
        ("egress: [db.example.org]", Code::BadValue),
        ("egress: ['*.example.org']", Code::BadValue),
        ("egress: [{to: db.example.org}]", Code::BadValue),
        ("egress: [{ports: [1]}]", Code::Missing),
        ("egress: [{to: 10.0.0.2, ports: []}]", Code::Port),
        ("egress: [{to: 10.0.0.2, ports: [0]}]", Code::Port),
        ("egress: [{to: 10.0.0.2, ports: [90-80]}]", Code::Port),
        ("egress: [{to: 10.0.0.2, ports: [http]}]", Code::Port),
        ("egress: [{to: 10.0.0.2, protocol: icmp}]", Code::BadValue),
    ] {
        assert_eq!(code(bad), wanted, "{bad}");
    }
    let many = format!("egress: [{}]", vec!["10.0.0.1"; 257].join(", "));
    assert_eq!(code(&many), Code::BadValue);
    assert_eq!(
        error("egress: [{to: 10.0.0.2, protocol: tpc}]").suggestion(),
        Some("tcp")
    );
}

#[test]
fn instance_metadata() {
    let blocks = |text: &str| clean(text).identity().blocks_metadata();
    assert!(blocks("instance_metadata: false"));
    assert!(!blocks("memory: 64m"));
    assert_eq!(code("instance_metadata: 'false'"), Code::WrongType);
    // Closed, it is another container; open, it is the one there was.
    let canonical = |text: &str| clean(text).canonical();
    assert_eq!(canonical("instance_metadata: true"), canonical("memory:"));
    assert_ne!(canonical("instance_metadata: false"), canonical("memory:"));
    assert_eq!(canonical("egress: []"), canonical("memory:"));
}
