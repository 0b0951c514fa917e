//! The network: interfaces, protocols, sockets, and what the firewall keeps track of.

use super::{Collected, Texts, any, number, only, words};
use crate::metrics::text::{Exposition, Kind};

/// What sysfs says of one interface, file by file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// `eth0`.
    pub name: String,
    /// `operstate`.
    pub state: Option<String>,
    /// `carrier`; an interface that is down has none to read.
    pub carrier: Option<String>,
    /// `carrier_changes`.
    pub carrier_changes: Option<String>,
    /// `mtu`.
    pub mtu: Option<String>,
    /// `speed`, in megabits; below zero where nobody knows.
    pub speed: Option<String>,
}

/// Megabits as bytes.
const MEGABIT: u64 = 1_000_000 / 8;

pub(super) fn classes(texts: &Texts, out: &mut Exposition) -> Collected {
    let all = texts.interfaces.as_deref()?;
    let help = "Value is 1 if operstate is 'up', 0 otherwise.";
    let mut up = out.metric("node_network_up", Kind::Gauge, help);
    for one in all {
        if let Some(state) = &one.state {
            up.sample(&[("device", &one.name)], state.trim() == "up");
        }
    }
    type Of = fn(&Interface) -> Option<u64>;
    const ROWS: [(&str, Kind, &str, Of); 4] = [
        (
            "node_network_carrier",
            Kind::Gauge,
            "Network device property: carrier",
            |one| only(one.carrier.as_ref()),
        ),
        (
            "node_network_carrier_changes_total",
            Kind::Counter,
            "Network device property: carrier_changes_total",
            |one| only(one.carrier_changes.as_ref()),
        ),
        (
            "node_network_mtu_bytes",
            Kind::Gauge,
            "Network device property: mtu_bytes",
            |one| only(one.mtu.as_ref()),
        ),
        (
            "node_network_speed_bytes",
            Kind::Gauge,
            "Network device property: speed_bytes",
            |one| only(one.speed.as_ref())?.checked_mul(MEGABIT),
        ),
    ];
    for (name, kind, help, of) in ROWS {
        let mut metric = out.metric(name, kind, help);
        for one in all {
            if let Some(value) = of(one) {
                metric.sample(&[("device", &one.name)], value);
            }
        }
    }
    any(!all.is_empty())
}

/// `/proc/net/dev`: a name, a colon, sixteen columns.
pub(super) fn devices(texts: &Texts, out: &mut Exposition) -> Collected {
    const COLUMNS: [&str; 16] = [
        "receive_bytes",
        "receive_packets",
        "receive_errs",
        "receive_drop",
        "receive_fifo",
        "receive_frame",
        "receive_compressed",
        "receive_multicast",
        "transmit_bytes",
        "transmit_packets",
        "transmit_errs",
        "transmit_drop",
        "transmit_fifo",
        "transmit_colls",
        "transmit_carrier",
        "transmit_compressed",
    ];
    let text = texts.net_dev.as_deref()?;
    let rows: Vec<(&str, Vec<&str>)> = text
        .lines()
        .filter_map(|line| line.rsplit_once(':'))
        .map(|(name, columns)| (name.trim(), words(columns)))
        .filter(|(name, columns)| !name.is_empty() && columns.len() >= COLUMNS.len())
        .collect();
    let mut gave = false;
    for (at, column) in COLUMNS.into_iter().enumerate() {
        let name = format!("node_network_{column}_total");
        let help = format!("Network device statistic {column}.");
        let mut metric = out.metric(&name, Kind::Counter, &help);
        for (device, columns) in &rows {
            if let Some(value) = number(columns, at) {
                metric.sample(&[("device", device)], value);
                gave = true;
            }
        }
    }
    any(gave)
}

/// Pairs of lines, names and numbers; and a line each for IPv6.
pub(super) fn netstat(texts: &Texts, out: &mut Exposition) -> Collected {
    let mut gave = false;
    let mut tell = |protocol: &str, name: &str, value: &str| {
        if let (true, Ok(value)) = (is_told(protocol, name), value.parse::<i64>()) {
            let metric = format!("node_netstat_{protocol}_{name}");
            let help = format!("Statistic {protocol}{name}.");
            out.single(&metric, Kind::Untyped, &help, Some(value));
            gave = true;
        }
    };
    for text in texts.netstat.iter().flatten() {
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((protocol, names)), Some((same, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                continue;
            };
            let (names, values) = (words(names), words(values));
            // A pair that does not match would give one name's number to another.
            if protocol == same && names.len() == values.len() {
                for (name, value) in names.iter().zip(values) {
                    tell(protocol, name, value);
                }
            }
        }
    }
    for line in texts.snmp6.as_deref().unwrap_or_default().lines() {
        let mut words = line.split_ascii_whitespace();
        if let (Some(name), Some(value)) = (words.next(), words.next())
            && let Some(at) = name.find('6')
            && let (Some(protocol), Some(name)) = (name.get(..=at), name.get(at + 1..))
        {
            tell(protocol, name, value);
        }
    }
    any(gave)
}

/// Those that node_exporter takes unless told otherwise.
fn is_told(protocol: &str, name: &str) -> bool {
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if !is_word(protocol) || !is_word(name) {
        return false;
    }
    match (protocol, name) {
        (_, "InErrors" | "InErrs")
        | ("Ip", "Forwarding")
        | ("Ip6" | "IpExt", "InOctets" | "OutOctets")
        | ("Icmp" | "Icmp6", "InMsgs" | "OutMsgs")
        | ("TcpExt", "TCPSynRetrans" | "TCPTimeouts")
        | (
            "Tcp",
            "ActiveOpens" | "InSegs" | "OutSegs" | "OutRsts" | "PassiveOpens" | "RetransSegs" | "CurrEstab",
        )
        | ("Udp" | "Udp6", "InDatagrams" | "OutDatagrams" | "NoPorts" | "RcvbufErrors" | "SndbufErrors") => {
            true
        }
        ("TcpExt", _) => name.starts_with("Listen") || name.starts_with("Syncookies"),
        _ => false,
    }
}

/// `TCP: inuse 4 orphan 0 ...`
pub(super) fn sockstat(texts: &Texts, out: &mut Exposition) -> Collected {
    let mut gave = false;
    for text in texts.sockstat.iter().flatten() {
        for line in text.lines() {
            let Some((protocol, rest)) = line.split_once(':') else {
                continue;
            };
            let all = words(rest);
            for pair in all.chunks_exact(2) {
                let [name, value] = pair else {
                    continue;
                };
                let is_name = |text: &str| {
                    text.starts_with(|c: char| c.is_ascii_alphabetic())
                        && text.bytes().all(|b| b.is_ascii_alphanumeric())
                };
                let Ok(value) = value.parse::<u64>() else {
                    continue;
                };
                if !is_name(protocol) || !is_name(name) {
                    continue;
                }
                let metric = format!("node_sockstat_{protocol}_{name}");
                let help = if protocol == "sockets" {
                    "Number of IPv4 sockets in use.".to_owned()
                } else {
                    format!("Number of {protocol} sockets in state {name}.")
                };
                out.single(&metric, Kind::Gauge, &help, Some(value));
                gave = true;
                if let ("mem", Some(page)) = (*name, texts.page_size) {
                    let metric = format!("node_sockstat_{protocol}_mem_bytes");
                    let help = format!("Number of {protocol} sockets in state mem_bytes.");
                    out.single(&metric, Kind::Gauge, &help, value.checked_mul(page));
                }
            }
        }
    }
    any(gave)
}

pub(super) fn conntrack(texts: &Texts, out: &mut Exposition) -> Collected {
    let [entries, limit] = texts.conntrack.each_ref().map(|text| only(text.as_ref()));
    let help = "Number of currently allocated flow entries for connection tracking.";
    out.single("node_nf_conntrack_entries", Kind::Gauge, help, entries);
    let help = "Maximum size of connection tracking table.";
    out.single("node_nf_conntrack_entries_limit", Kind::Gauge, help, limit);
    entries.map(drop)
}
