//! The table, as `nft -f` reads it.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::{
    Denied, ENDPOINT, ENDPOINT_PORT, EgressRule, FirewallPlan, Impossible, METADATA, Resolved, Surroundings,
    TABLE, To, Transport,
};
use crate::access::UIDS;
use crate::config::{Networking, Protocol};

/// Before the engine's own rules, which are at the priority `filter`.
const PRIORITY: &str = "filter - 10";
/// Lines of the kernel's log for each kind.
const LOGGED: &str = "limit rate 10/minute burst 20 packets";

/// The whole table. It replaces what is there in one transaction; the counters begin with `counted`.
pub fn ruleset(
    plan: &FirewallPlan,
    surroundings: &Surroundings,
    resolved: &Resolved,
    counted: &Denied,
) -> Result<String, Impossible> {
    if plan.needs_control_group() && !surroundings.cgroup2 {
        return Err(Impossible::NoControlGroups { keys: plan.keys() });
    }
    check(plan, surroundings)?;
    // An empty table first: there may be none that could be deleted.
    let mut out = format!("table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n");
    for (kind, packets) in counted.each() {
        line(
            &mut out,
            1,
            &format!("counter denied_{kind} {{ packets {packets} bytes 0 }}"),
        );
    }
    for (number, name) in plan.names().into_iter().enumerate() {
        set(&mut out, number, name, resolved);
    }
    for (kind, _) in counted.each() {
        refusal(&mut out, kind);
    }
    let restricts = plan.restricts_outgoing();
    if restricts {
        outgoing(&mut out, plan, surroundings);
    }
    let mut output = Vec::new();
    match plan.networking {
        Networking::Bridge => behind_bridge(&mut out, plan, surroundings, restricts),
        Networking::Host => {
            output.extend(restricts.then(|| containers_own(surroundings)));
            base_chain(&mut out, "input", endpoint(plan, "\"lo\"").into_iter().collect());
        }
        Networking::None => {}
    }
    output.extend(people());
    base_chain(&mut out, "output", output);
    out.push_str("}\n");
    Ok(out)
}

/// New addresses for the names, in a table that is there; nothing else in it changes.
pub fn refresh(plan: &FirewallPlan, resolved: &Resolved) -> String {
    let mut out = String::new();
    for (number, name) in plan.names().into_iter().enumerate() {
        for (family, elements) in families(name, resolved) {
            let set = format!("inet {TABLE} {}", set_name(number, family));
            line(&mut out, 0, &format!("flush set {set}"));
            if !elements.is_empty() {
                line(
                    &mut out,
                    0,
                    &format!("add element {set} {{ {} }}", elements.join(", ")),
                );
            }
        }
    }
    out
}

/// An order comes over a socket, and its names become part of a text that nft obeys.
fn check(plan: &FirewallPlan, surroundings: &Surroundings) -> Result<(), Impossible> {
    let is_name = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c) || more.contains(c))
    };
    let all = [
        (
            "the bridge",
            is_name(&surroundings.bridge, "") && surroundings.bridge.len() < 16,
        ),
        ("the control group", is_name(&surroundings.slice, "/")),
        (
            "a destination",
            plan.names().into_iter().all(|name| is_name(name, "")),
        ),
    ];
    match all.into_iter().find(|(_, fits)| !fits) {
        Some((what, _)) => Err(Impossible::NoName { what }),
        None => Ok(()),
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    // Writing to a String cannot fail.
    let _ok = writeln!(out, "{}{text}", "\t".repeat(depth)).is_ok();
}

fn chain(out: &mut String, head: &str, rules: &[String]) {
    line(out, 1, &format!("chain {head} {{"));
    for rule in rules {
        line(out, 2, rule);
    }
    line(out, 1, "}");
}

fn base_chain(out: &mut String, hook: &str, rules: Vec<String>) {
    if rules.is_empty() {
        return;
    }
    let mut all = vec![format!(
        "type filter hook {hook} priority {PRIORITY}; policy accept;"
    )];
    all.extend(rules);
    chain(out, hook, &all);
}

fn set_name(number: usize, family: &str) -> String {
    format!("name_{number}_{family}")
}

fn families(name: &str, resolved: &Resolved) -> [(&'static str, Vec<String>); 2] {
    let none = BTreeSet::new();
    let all = resolved.get(name).unwrap_or(&none);
    let of = |wanted: fn(&IpAddr) -> bool| {
        all.iter()
            .filter(|one| wanted(one))
            .map(ToString::to_string)
            .collect()
    };
    [("v4", of(IpAddr::is_ipv4)), ("v6", of(IpAddr::is_ipv6))]
}

fn set(out: &mut String, number: usize, name: &str, resolved: &Resolved) {
    for (family, elements) in families(name, resolved) {
        let kind = if family == "v4" { "ipv4_addr" } else { "ipv6_addr" };
        line(out, 1, &format!("set {} {{", set_name(number, family)));
        line(out, 2, &format!("type {kind}"));
        line(out, 2, &format!("comment \"{}\"", short(name)));
        if !elements.is_empty() {
            line(out, 2, &format!("elements = {{ {} }}", elements.join(", ")));
        }
        line(out, 1, "}");
    }
}

/// Comments have a limit, and a name has none of the characters that could end one.
fn short(name: &str) -> String {
    name.chars().take(100).collect()
}

/// Counts all, tells some, and answers, so that nobody waits for what never comes.
fn refusal(out: &mut String, kind: &str) {
    chain(
        out,
        &format!("deny_{kind}"),
        &[
            format!("counter name denied_{kind}"),
            format!("{LOGGED} counter log prefix \"monopod-denied-{kind} \" level info"),
            "meta l4proto tcp reject with tcp reset".to_owned(),
            "reject with icmpx admin-prohibited".to_owned(),
        ],
    );
}

/// What the container sends, wherever to.
fn outgoing(out: &mut String, plan: &FirewallPlan, surroundings: &Surroundings) {
    let mut rules = Vec::new();
    for address in METADATA {
        let to = destination(&To::Net {
            addr: address,
            prefix: if address.is_ipv4() { 32 } else { 128 },
        });
        if plan.metadata_blocked {
            rules.push(format!("{to} jump deny_metadata"));
        } else {
            // A list of destinations says nothing about it: `instance_metadata` does.
            rules.push(format!("{to} tcp dport 80 accept"));
        }
    }
    if let Some(egress) = &plan.egress {
        rules.push("ct state established,related accept".to_owned());
        if plan.networking == Networking::Host {
            // Its own processes, and services that are there for everybody on the machine.
            rules.push("oifname \"lo\" accept".to_owned());
        }
        if plan.credentials_endpoint {
            rules.push(format!("ip daddr {ENDPOINT} tcp dport {ENDPOINT_PORT} accept"));
        }
        // Without them no address of the other family is found.
        rules.push(
            "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit } accept".to_owned(),
        );
        for address in &surroundings.resolvers {
            let family = if address.is_ipv4() { "ip" } else { "ip6" };
            rules.push(format!(
                "{family} daddr {address} meta l4proto {{ tcp, udp }} th dport 53 accept"
            ));
        }
        let names: Vec<&str> = plan.names().into_iter().collect();
        for rule in egress {
            rules.extend(allowed(rule, &names));
        }
        rules.push("jump deny_egress".to_owned());
    }
    chain(out, "outgoing", &rules);
}

fn destination(to: &To) -> String {
    let family = match to {
        To::Net {
            addr: IpAddr::V6(_), ..
        } => "ip6",
        To::Net { .. } | To::Name(_) => "ip",
    };
    format!("{family} daddr {to}")
}

fn allowed(rule: &EgressRule, names: &[&str]) -> Vec<String> {
    let ports = match (rule.protocol, rule.ports.is_empty()) {
        (Transport::Any, true) => String::new(),
        (Transport::Tcp, true) => "meta l4proto tcp ".to_owned(),
        (Transport::Udp, true) => "meta l4proto udp ".to_owned(),
        (Transport::Tcp, false) => format!("tcp dport {{ {} }} ", rule.ports_text()),
        (Transport::Udp, false) => format!("udp dport {{ {} }} ", rule.ports_text()),
        (Transport::Any, false) => {
            format!(
                "meta l4proto {{ tcp, udp }} th dport {{ {} }} ",
                rule.ports_text()
            )
        }
    };
    match &rule.to {
        to @ To::Net { .. } => vec![format!("{} {ports}accept", destination(to))],
        To::Name(name) => {
            let number = names.iter().position(|one| one == name).unwrap_or_default();
            [("ip", "v4"), ("ip6", "v6")]
                .iter()
                .map(|(family, version)| {
                    format!("{family} daddr @{} {ports}accept", set_name(number, version))
                })
                .collect()
        }
    }
}

fn behind_bridge(out: &mut String, plan: &FirewallPlan, surroundings: &Surroundings, restricts: bool) {
    let bridge = &surroundings.bridge;
    let mut incoming = vec!["ct state established,related accept".to_owned()];
    for (protocol, name) in [(Protocol::Tcp, "tcp"), (Protocol::Udp, "udp")] {
        let ports: Vec<String> = plan
            .ports
            .iter()
            .filter(|(one, _)| *one == protocol)
            .map(|(_, port)| port.to_string())
            .collect();
        if !ports.is_empty() {
            incoming.push(format!("{name} dport {{ {} }} accept", ports.join(", ")));
        }
    }
    incoming.push("jump deny_ingress".to_owned());
    chain(out, "incoming", &incoming);
    let mut forward = Vec::new();
    let mut input = Vec::new();
    if restricts {
        forward.push(format!("iifname \"{bridge}\" jump outgoing"));
    }
    forward.push(format!("oifname \"{bridge}\" jump incoming"));
    input.extend(endpoint(plan, &format!("\"lo\", \"{bridge}\"")));
    if restricts {
        if plan.egress.is_some() && !plan.machine_ports.is_empty() {
            let ports: Vec<String> = plan.machine_ports.iter().map(u16::to_string).collect();
            input.push(format!(
                "iifname \"{bridge}\" tcp dport {{ {} }} accept",
                ports.join(", ")
            ));
        }
        // The machine itself is a destination like any other.
        input.push(format!("iifname \"{bridge}\" jump outgoing"));
    }
    base_chain(out, "forward", forward);
    base_chain(out, "input", input);
}

/// On the machine's own network the control group alone tells the container's packets.
fn containers_own(surroundings: &Surroundings) -> String {
    let slice = &surroundings.slice;
    let level = slice.split('/').filter(|part| !part.is_empty()).count();
    format!("socket cgroupv2 level {level} \"{slice}\" jump outgoing")
}

/// Who was let in for a time has a number of these, and would otherwise leave with the credentials of the instance's role, or
/// of the container's: they are valid elsewhere, and for hours.
fn people() -> [String; 3] {
    let refused = |destination: String| {
        format!(
            "meta skuid {}-{} {destination} jump deny_metadata",
            UIDS.start(),
            UIDS.end()
        )
    };
    let [v4, v6] = METADATA;
    [
        refused(format!("ip daddr {v4}")),
        refused(format!("ip6 daddr {v6}")),
        refused(format!("ip daddr {ENDPOINT}")),
    ]
}

/// The address of the credentials is on the loopback interface, and Linux would take packets for it from anywhere.
fn endpoint(plan: &FirewallPlan, from: &str) -> Option<String> {
    plan.credentials_endpoint
        .then(|| format!("ip daddr {ENDPOINT} iifname != {{ {from} }} jump deny_ingress"))
}
