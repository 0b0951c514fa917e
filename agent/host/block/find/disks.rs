//! The disks there are, as the kernel (`/sys/block`) and udev (`/dev/disk/by-id`) tell of them.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, Metadata};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use monopod_core::text;

/// Where to look: a test's own directories, else the machine's.
#[derive(Clone, Debug)]
pub(super) struct Roots {
    pub(super) dev: PathBuf,
    pub(super) sys: PathBuf,
    /// A file that somebody wrote by mistake where a device was expected is none.
    pub(super) is_device: fn(&Metadata) -> bool,
}

/// A whole disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disk {
    /// `nvme1n1`.
    pub(super) name: String,
    size: Option<u64>,
    /// On Nitro, the volume's id without its dash.
    serial: Option<String>,
}

/// An EBS volume's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VolumeId {
    /// `vol0123456789abcdef0`, as serial numbers have it.
    compact: String,
}

impl VolumeId {
    /// `None` of what is no id: an empty one would be found in every name.
    pub(super) fn parse(id: &str) -> Option<Self> {
        let digits = id.strip_prefix("vol-")?;
        let is_id = digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then(|| Self {
            compact: format!("vol{}", digits.to_ascii_lowercase()),
        })
    }

    /// `nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0`, with the namespace's number behind it or without; not a
    /// partition, not a longer id.
    fn is_in_link(&self, link: &str) -> bool {
        let Some((_, rest)) = link.split_once(&self.compact) else {
            return false;
        };
        !rest.contains("-part") && (rest.is_empty() || rest.starts_with(['_', '-']))
    }
}

impl Disk {
    fn is_volume(&self) -> bool {
        let serial = self
            .serial
            .as_deref()
            .and_then(|serial| serial.strip_prefix("vol"));
        serial.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}

impl Display for Disk {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        let size = self.size.map(text::bytes);
        let details: Vec<&str> = size
            .as_deref()
            .into_iter()
            .chain(self.serial.as_deref())
            .collect();
        if details.is_empty() {
            return Ok(());
        }
        write!(f, " ({})", details.join(", "))
    }
}

impl Roots {
    pub(super) fn of_the_machine() -> Self {
        Self {
            dev: PathBuf::from("/dev"),
            sys: PathBuf::from("/sys"),
            is_device: |metadata| metadata.file_type().is_block_device(),
        }
    }

    /// Where something happens when a device comes.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        ["", "disk", "disk/by-id", "md", "mapper"]
            .iter()
            .map(|directory| self.dev.join(directory))
            .collect()
    }

    /// All that have a size: the kernel keeps empty loop devices.
    pub(super) fn disks(&self) -> Vec<Disk> {
        let mut names = entries(&self.sys.join("block"));
        names.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let disks = names.into_iter().map(|name| self.disk(&name));
        disks.filter(|disk| disk.size != Some(0)).collect()
    }

    fn disk(&self, name: &str) -> Disk {
        let at = self.sys.join("block").join(name);
        let serial = ["device/serial", "serial"]
            .iter()
            .find_map(|file| line(&at.join(file)));
        let sectors = line(&at.join("size")).and_then(|size| size.parse::<u64>().ok());
        Disk {
            // As the kernel writes a slash: cciss!c0d0.
            name: name.replace('!', "/"),
            // The kernel counts in 512 bytes, whatever the disk does.
            size: sectors.map(|sectors| sectors.saturating_mul(512)),
            serial: serial.map(|serial| text::printable(&serial)),
        }
    }

    /// A device by its path, with all links followed; `None` as long as it is none.
    pub(super) fn device(&self, path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let metadata = path.metadata().ok()?;
        (self.is_device)(&metadata).then_some(path)
    }

    /// A device by the name a person gives it: `/dev/nvme1n1`, `nvme1n1`, `/dev/md/data`.
    pub(super) fn named(&self, name: &str) -> Option<PathBuf> {
        let below = name.strip_prefix("/dev/").unwrap_or(name);
        let is_below =
            !below.starts_with('/') && below.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let named = is_below.then(|| self.device(&self.dev.join(below))).flatten();
        // An instance store on Xen: `/dev/sdb` in the launch template is `/dev/xvdb` here.
        named.or_else(|| self.by_xen_name(&self.disks(), name))
    }

    /// Every device that says it is this volume: one, if all is well.
    pub(super) fn of_volume(&self, id: &VolumeId, device_name: &str) -> BTreeSet<PathBuf> {
        let disks = self.disks();
        let by_serial = disks
            .iter()
            .filter(|disk| disk.serial.as_deref() == Some(&id.compact))
            .map(|disk| self.dev.join(&disk.name));
        let directory = self.dev.join("disk/by-id");
        let by_link = entries(&directory)
            .into_iter()
            .filter(|link| id.is_in_link(link))
            .map(|link| directory.join(link));
        let mut found: BTreeSet<PathBuf> = by_serial
            .chain(by_link)
            .filter_map(|path| self.device(&path))
            .collect();
        if found.is_empty() {
            found.extend(self.by_xen_name(&disks, device_name));
        }
        found
    }

    /// On Xen a disk says nothing of its volume: it has the name it was attached as, since EC2 gives each to one volume. Not
    /// where volumes are NVMe disks: there the name is only a wish. (An instance store may be NVMe on Xen, too.)
    fn by_xen_name(&self, disks: &[Disk], device_name: &str) -> Option<PathBuf> {
        let bare = device_name.strip_prefix("/dev/").unwrap_or(device_name);
        let name = match bare.strip_prefix("sd") {
            Some(letters) => format!("xvd{letters}"),
            None => bare.to_owned(),
        };
        let is_there = name.starts_with("xvd") && disks.iter().any(|disk| disk.name == name);
        let none_speaks = !disks.iter().any(Disk::is_volume);
        (is_there && none_speaks)
            .then(|| self.device(&self.dev.join(name)))
            .flatten()
    }

    /// What the device is called at every boot of this instance.
    pub(super) fn stable_name(&self, path: &Path) -> String {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let below = path.strip_prefix(&self.dev).unwrap_or(&path);
        let name = below.to_string_lossy().replace('/', "!");
        let class = self.sys.join("class/block").join(&name);
        let number = line(&class.join("partition"));
        // A partition's directory lies in its disk's.
        let disk = class.canonicalize().ok().and_then(|at| {
            let disk = at.parent()?.file_name()?.to_str()?.to_owned();
            number.as_ref().map(|_| disk)
        });
        let whole = self.stable_name_of_disk(disk.as_deref().unwrap_or(&name));
        match number {
            Some(number) => format!("{whole}-part{number}"),
            None => whole,
        }
    }

    fn stable_name_of_disk(&self, name: &str) -> String {
        let at = self.sys.join("block").join(name);
        let own = ["device/serial", "serial", "device/wwid", "wwid", "md/uuid"]
            .iter()
            .find_map(|file| line(&at.join(file)));
        own.or_else(|| self.name_in_links(name))
            .unwrap_or_else(|| name.replace('!', "/"))
    }

    /// Only from the two kinds of link that there is one of: which of the others are there may change from boot to boot.
    fn name_in_links(&self, name: &str) -> Option<String> {
        let device = self.dev.join(name.replace('!', "/")).canonicalize().ok()?;
        let directory = self.dev.join("disk/by-id");
        let names = entries(&directory).into_iter().filter_map(|link| {
            let own = match (link.strip_prefix("md-uuid-"), link.split_once("_vol")) {
                (Some(uuid), _) => uuid.to_owned(),
                (None, Some((_, rest))) => {
                    let id = rest.split(|c: char| !c.is_ascii_hexdigit()).next()?;
                    format!("vol{id}")
                }
                (None, None) => return None,
            };
            let is_this = directory
                .join(&link)
                .canonicalize()
                .is_ok_and(|path| path == device);
            is_this.then_some(own)
        });
        names.min()
    }
}

/// The names in a directory; none of one that is not there.
fn entries(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect()
}

/// A file's one line, without the blanks that serial numbers are filled up with.
fn line(path: &Path) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let line = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!line.is_empty()).then(|| line.to_owned())
}
