//! The machine's own figures, as the kernel has them: a file each, read when a scrape asks.
//!
//! What the unit's sandbox or the kernel does not show is left out, and the scrape says of which collector. The agent has a
//! mount namespace of its own: of the machine's file systems it asks those that it sees.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use monopod_core::metrics::host::{Filesystem, Interface, Mount, Space, Texts, mounts};
use nix::sys::statvfs::statvfs;
use nix::unistd::{SysconfVar, sysconf};

use crate::host::clock;

/// Of one file: `/proc/stat` of a machine with hundreds of processors and thousands of interrupts is a tenth of it.
const LARGEST: u64 = 1 << 20;
/// More are not asked.
const MOST_MOUNTS: usize = 256;
/// More are not asked: those of a machine with one container are a handful.
const MOST_INTERFACES: usize = 256;

/// Everything there is.
pub(super) fn gather() -> Texts {
    let proc = |name: &str| read(&Path::new("/proc").join(name));
    Texts {
        stat: proc("stat"),
        ticks: positive(SysconfVar::CLK_TCK),
        loadavg: proc("loadavg"),
        meminfo: proc("meminfo"),
        vmstat: proc("vmstat"),
        diskstats: proc("diskstats"),
        net_dev: proc("net/dev"),
        netstat: ["net/netstat", "net/snmp"].map(proc),
        snmp6: proc("net/snmp6"),
        sockstat: ["net/sockstat", "net/sockstat6"].map(proc),
        page_size: positive(SysconfVar::PAGE_SIZE),
        softnet: proc("net/softnet_stat"),
        pressure: ["pressure/cpu", "pressure/memory", "pressure/io"].map(proc),
        file_nr: proc("sys/fs/file-nr"),
        entropy: ["sys/kernel/random/entropy_avail", "sys/kernel/random/poolsize"].map(proc),
        conntrack: [
            "sys/net/netfilter/nf_conntrack_count",
            "sys/net/netfilter/nf_conntrack_max",
        ]
        .map(proc),
        uname: ["domainname", "hostname", "osrelease", "ostype", "version"]
            .map(|name| proc(&format!("sys/kernel/{name}"))),
        architecture: std::env::consts::ARCH,
        now: Some(std::time::Duration::from_millis(clock::now_millis()).as_secs_f64()),
        interfaces: interfaces(Path::new("/sys/class/net")),
        filesystems: proc("self/mountinfo").map(|text| filesystems(&text)),
    }
}

pub(super) fn positive(what: SysconfVar) -> Option<u64> {
    let value = sysconf(what).ok()??;
    u64::try_from(value).ok().filter(|&value| value > 0)
}

/// A file of the kernel's; of one that is larger than anything expected the whole lines of its beginning.
fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(LARGEST)
        .read_to_string(&mut text)
        .ok()?;
    if text.len() as u64 >= LARGEST {
        let end = text.rfind('\n').map_or(0, |at| at + 1);
        text.truncate(end);
    }
    Some(text)
}

fn interfaces(directory: &Path) -> Option<Vec<Interface>> {
    let mut all: Vec<Interface> = fs::read_dir(directory)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let (name, path) = (entry.file_name().into_string().ok()?, entry.path());
            // There is a plain file, too: bonding_masters.
            path.is_dir().then(|| {
                let property = |name: &str| read(&path.join(name));
                Interface {
                    name,
                    state: property("operstate"),
                    carrier: property("carrier"),
                    carrier_changes: property("carrier_changes"),
                    mtu: property("mtu"),
                    speed: property("speed"),
                }
            })
        })
        .take(MOST_INTERFACES)
        .collect();
    all.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Some(all)
}

fn filesystems(mountinfo: &str) -> Vec<Filesystem> {
    mounts(mountinfo)
        .into_iter()
        .take(MOST_MOUNTS)
        .map(|mount| Filesystem {
            space: space(&mount),
            mount,
        })
        .collect()
}

fn space(mount: &Mount) -> Option<Space> {
    let stat = statvfs(mount.place.as_str()).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.fragment_size());
    Some(Space {
        size: bytes(stat.blocks()),
        free: bytes(stat.blocks_free()),
        available: bytes(stat.blocks_available()),
        files: stat.files(),
        files_free: stat.files_free(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_read() {
        let texts = gather();
        for (what, there) in [
            ("stat", texts.stat.is_some()),
            ("ticks", texts.ticks.is_some()),
            ("meminfo", texts.meminfo.is_some()),
            ("netstat", texts.netstat.iter().all(Option::is_some)),
            ("uname", texts.uname.iter().all(Option::is_some)),
        ] {
            assert!(there, "{what}");
        }
        let loopback = texts.interfaces.unwrap().into_iter().find(|one| one.name == "lo");
        assert_eq!(loopback.unwrap().mtu.as_deref(), Some("65536\n"));
        let all = texts.filesystems.unwrap();
        let root = all.iter().find(|one| one.mount.place == "/").unwrap();
        let space = root.space.unwrap();
        assert!(
            space.size > space.free && space.free >= space.available,
            "{space:?}"
        );
    }

    #[test]
    fn a_file_without_an_end_is_cut_at_a_line() {
        let path = std::env::temp_dir().join(format!("monopod-endless-{}", std::process::id()));
        fs::write(&path, "a line of twenty-one\n".repeat(60_000)).unwrap();
        let text = read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(text.len() < 1 << 20 && text.len() > (1 << 20) - 30);
        assert!(text.ends_with("one\n"));
        assert_eq!(read(Path::new("/proc/nothing-of-the-kind")), None);
    }
}
