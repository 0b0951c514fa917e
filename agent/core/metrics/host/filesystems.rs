//! File systems: how full they are, and whether they can be written.

use super::{Collected, Texts};
use crate::metrics::text::{Exposition, Kind};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The device.
    pub device: String,
    /// `ext4`.
    pub kind: String,
    /// Where.
    pub place: String,
    /// The file system itself takes no writes, as after an error of its disk. That a mount of it is read-only says nothing:
    /// in the agent's sandbox all of them are.
    pub read_only: bool,
}

/// What statfs(2) says, in bytes and in files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// All there is.
    pub size: u64,
    /// What is not used.
    pub free: u64,
    /// The same, without what is kept for root.
    pub available: u64,
    /// Files there may be.
    pub files: u64,
    /// Of those not used.
    pub files_free: u64,
}

/// A mounted file system and how full it is; `None` where it could not be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filesystem {
    /// What and where.
    pub mount: Mount,
    /// How full.
    pub space: Option<Space>,
}

/// Those that hold no files of anybody's: node_exporter's `--collector.filesystem.fs-types-exclude`.
const NO_FILES: [&str; 25] = [
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "proc",
    "procfs",
    "pstore",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "sysfs",
    "tracefs",
    // The agent's own, for credentials.
    "ramfs",
];

/// Those that another machine serves: while it is away, whoever asks them hangs.
const SERVED: [&str; 11] = [
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "smb3",
];

/// Places that node_exporter leaves out, with all below them.
const NO_PLACES: [&str; 4] = ["/dev", "/proc", "/sys", "/run/credentials"];

/// Places below which it leaves out all.
const BELOW: [&str; 2] = ["/var/lib/docker", "/var/lib/containers/storage"];

/// Where the engine has a shm for the container, a mount for each start.
const OF_THE_ENGINE: [&str; 2] = ["/run/docker", "/run/containerd"];

/// The file systems worth asking, of the text of `/proc/self/mountinfo`. Of several at one place the last hides the
/// others. What is a directory of another file system (a bind mount, and most of what a sandbox is made of) is not one of
/// its own.
pub fn mounts(mountinfo: &str) -> Vec<Mount> {
    let mut all: Vec<(Mount, bool)> = Vec::new();
    for line in mountinfo.lines() {
        if let Some((mount, whole)) = mount(line) {
            all.retain(|(other, _)| other.place != mount.place);
            all.push((mount, whole));
        }
    }
    all.into_iter()
        .filter(|(mount, whole)| *whole && is_worth(mount))
        .map(|(mount, _)| mount)
        .collect()
}

/// proc(5): `36 35 98:0 /root /place options [fields] - type device options`.
fn mount(line: &str) -> Option<(Mount, bool)> {
    let (before, behind) = line.split_once(" - ")?;
    let (before, behind): (Vec<&str>, Vec<&str>) = (before.split(' ').collect(), behind.split(' ').collect());
    let (root, place) = (before.get(3)?, before.get(4)?);
    let (kind, device, options) = (behind.first()?, behind.get(1)?, behind.get(2)?);
    let mount = Mount {
        device: unescaped(device)?,
        kind: (*kind).to_owned(),
        place: unescaped(place)?,
        read_only: options.split(',').any(|option| option == "ro"),
    };
    // A subvolume is all that is mounted of it.
    let whole = *root == "/" || *kind == "btrfs";
    Some((mount, whole))
}

fn is_worth(mount: &Mount) -> bool {
    let kind = mount.kind.as_str();
    let within = |place: &str| {
        mount
            .place
            .strip_prefix(place)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let below = |place: &str| mount.place != place && within(place);
    !NO_FILES.contains(&kind)
        && !SERVED.contains(&kind)
        && !kind.starts_with("fuse")
        && !NO_PLACES.iter().any(|place| within(place))
        && !OF_THE_ENGINE.iter().any(|place| within(place))
        && !BELOW.iter().any(|place| below(place))
}

/// Blanks and their like are three octal digits behind a backslash.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = behind.split_at_checked(3)?;
        let digits = std::str::from_utf8(digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 8).ok()?);
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

pub(super) fn write(texts: &Texts, out: &mut Exposition) -> Collected {
    type Of = fn(&Space) -> u64;
    const ROWS: [(&str, &str, Of); 5] = [
        (
            "node_filesystem_avail_bytes",
            "Filesystem space available to non-root users in bytes.",
            |space| space.available,
        ),
        ("node_filesystem_files", "Filesystem total file nodes.", |space| {
            space.files
        }),
        (
            "node_filesystem_files_free",
            "Filesystem total free file nodes.",
            |space| space.files_free,
        ),
        (
            "node_filesystem_free_bytes",
            "Filesystem free space in bytes.",
            |space| space.free,
        ),
        (
            "node_filesystem_size_bytes",
            "Filesystem size in bytes.",
            |space| space.size,
        ),
    ];
    let all = texts.filesystems.as_deref()?;
    fn labels(one: &Filesystem) -> [(&'static str, &str); 3] {
        [
            ("device", &one.mount.device),
            ("fstype", &one.mount.kind),
            ("mountpoint", &one.mount.place),
        ]
    }
    for (name, help, of) in ROWS {
        let mut metric = out.metric(name, Kind::Gauge, help);
        for one in all {
            if let Some(space) = &one.space {
                metric.sample(&labels(one), of(space));
            }
        }
    }
    let help = "Filesystem read-only status.";
    let mut metric = out.metric("node_filesystem_readonly", Kind::Gauge, help);
    for one in all {
        metric.sample(&labels(one), one.mount.read_only);
    }
    let help = "Whether an error occurred while getting statistics for the given device.";
    let mut metric = out.metric("node_filesystem_device_error", Kind::Gauge, help);
    for one in all {
        metric.sample(&labels(one), one.space.is_none());
    }
    Some(())
}
