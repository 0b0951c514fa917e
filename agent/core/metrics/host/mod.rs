//! The machine's own figures, under the names, types and labels that node_exporter gives them: texts of the kernel's in,
//! samples out.
//!
//! Design: whoever asks reads the files as they are ([`Texts`]); everything else is here. A file that could not be read,
//! a line that is torn and a number that is none leave their figure out, and never make one up. Each group of figures is a
//! collector as node_exporter has them, and `node_scrape_collector_success` says of each whether it gave any.
//!
//! `collectors.txt` lists what node_exporter itself serves, and a test holds every name of ours against it.
//!
//! Deliberately absent: figures of the clock (the agent may not ask adjtimex), of sensors, and of systemd's units.

mod disks;
mod filesystems;
mod kernel;
mod memory;
mod network;
mod pressure;
mod processors;
#[cfg(test)]
mod tests;

pub use filesystems::{Filesystem, Mount, Space, mounts};
pub use network::Interface;
pub use pressure::{Pressure, pressure};

use super::text::{Exposition, Kind};

/// What was read. A text that could not be is `None`.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    /// `/proc/stat`.
    pub stat: Option<String>,
    /// Ticks of its times in a second.
    pub ticks: Option<u64>,
    /// `/proc/loadavg`.
    pub loadavg: Option<String>,
    /// `/proc/meminfo`.
    pub meminfo: Option<String>,
    /// `/proc/vmstat`.
    pub vmstat: Option<String>,
    /// `/proc/diskstats`.
    pub diskstats: Option<String>,
    /// `/proc/net/dev`.
    pub net_dev: Option<String>,
    /// `/proc/net/netstat`, `/proc/net/snmp`.
    pub netstat: [Option<String>; 2],
    /// `/proc/net/snmp6`.
    pub snmp6: Option<String>,
    /// `/proc/net/sockstat`, `/proc/net/sockstat6`.
    pub sockstat: [Option<String>; 2],
    /// Bytes of a page.
    pub page_size: Option<u64>,
    /// `/proc/net/softnet_stat`.
    pub softnet: Option<String>,
    /// `/proc/pressure/cpu`, `memory`, `io`.
    pub pressure: [Option<String>; 3],
    /// `/proc/sys/fs/file-nr`.
    pub file_nr: Option<String>,
    /// `/proc/sys/kernel/random/entropy_avail`, `poolsize`.
    pub entropy: [Option<String>; 2],
    /// `/proc/sys/net/netfilter/nf_conntrack_count`, `nf_conntrack_max`.
    pub conntrack: [Option<String>; 2],
    /// `/proc/sys/kernel/` domainname, hostname, osrelease, ostype, version.
    pub uname: [Option<String>; 5],
    /// As uname(2) calls it: `x86_64`.
    pub architecture: &'static str,
    /// Seconds since the epoch.
    pub now: Option<f64>,
    /// What sysfs says of the network's interfaces; `None` where the directory could not be read.
    pub interfaces: Option<Vec<Interface>>,
    /// Mounted file systems, of [`mounts`]; `None` where the mounts could not be read.
    pub filesystems: Option<Vec<Filesystem>>,
}

/// Whether a collector gave anything.
type Collected = Option<()>;

type Collector = fn(&Texts, &mut Exposition) -> Collected;

/// By node_exporter's names for them.
const COLLECTORS: [(&str, Collector); 18] = [
    ("conntrack", network::conntrack),
    ("cpu", processors::cpu),
    ("diskstats", disks::write),
    ("entropy", kernel::entropy),
    ("filefd", kernel::filefd),
    ("filesystem", filesystems::write),
    ("loadavg", processors::loadavg),
    ("meminfo", memory::meminfo),
    ("netclass", network::classes),
    ("netdev", network::devices),
    ("netstat", network::netstat),
    ("pressure", pressure::write),
    ("sockstat", network::sockstat),
    ("softnet", processors::softnet),
    ("stat", processors::stat),
    ("time", kernel::time),
    ("uname", kernel::uname),
    ("vmstat", memory::vmstat),
];

/// What the scrape says of its collectors, those of others included.
pub(super) type Verdicts = Vec<(&'static str, bool)>;

pub(super) fn write(out: &mut Exposition, texts: &Texts) -> Verdicts {
    COLLECTORS
        .iter()
        .map(|(name, collect)| (*name, collect(texts, out).is_some()))
        .collect()
}

pub(super) fn write_verdicts(out: &mut Exposition, verdicts: &Verdicts) {
    let help = "Whether a group of figures could be read; those that could not are left out.";
    let mut metric = out.metric("node_scrape_collector_success", Kind::Gauge, help);
    for (collector, success) in verdicts {
        metric.sample(&[("collector", collector)], *success);
    }
}

/// `Some` where it is true: for collectors that count what they gave.
fn any(gave: bool) -> Collected {
    gave.then_some(())
}

/// The words of a line.
fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

/// A number among words.
fn number(words: &[&str], at: usize) -> Option<u64> {
    words.get(at)?.parse().ok()
}

/// A text of one number.
fn only(text: Option<&String>) -> Option<u64> {
    text?.trim().parse().ok()
}

/// Parts of a second, as seconds.
#[expect(
    clippy::cast_precision_loss,
    reason = "as node_exporter has them, which knows no other numbers"
)]
fn scaled(value: u64, parts: u64) -> f64 {
    value as f64 / parts as f64
}
