//! How full the machine is, as metrics: memory and the root file system.
//!
//! The names, units and dimensions are those of AWS's monitoring scripts as Taupage ran them
//! (`--mem-util --disk-space-util --disk-path=/ --auto-scaling`), so that dashboards and alarms made for it go on.

use std::borrow::Cow;
use std::time::Duration;

/// Where the metrics are found.
pub const NAMESPACE: &str = "System/Linux";

/// Between two of each metric, in seconds.
pub const INTERVAL_SECONDS: u32 = 300;

/// Machines that start together don't write together: each waits so long at most first.
const SPREAD: Duration = Duration::from_secs(20);

/// How full the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its memory.
    pub memory: Memory,
    /// Its root file system.
    pub disk: Disk,
}

/// Of `/proc/meminfo`, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    total: u64,
    free: u64,
    cached: u64,
    buffers: u64,
}

/// Of statfs(2), in blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// The device, as the kernel lists it.
    pub filesystem: String,
    /// Where it is mounted.
    pub mount_path: &'static str,
    /// All there are.
    pub blocks: u64,
    /// Those that are not used, the ones kept for root included.
    pub free: u64,
}

/// One value of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Datum {
    /// `MemoryUtilization`.
    pub name: Cow<'static, str>,
    /// How much.
    pub value: f64,
    /// `Percent`, or `None`, as CloudWatch calls them.
    pub unit: &'static str,
    /// What it is told apart by.
    pub dimensions: Vec<(&'static str, String)>,
    /// Kept by the second, where it is sent more often than once a minute.
    pub by_the_second: bool,
}

impl Memory {
    /// From the text of `/proc/meminfo`; `None` if it is none.
    pub fn parse(meminfo: &str) -> Option<Self> {
        let of = |name: &str| -> Option<u64> {
            let rest = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
            let number = rest.strip_prefix(':')?.trim().strip_suffix("kB")?;
            number.trim().parse().ok()
        };
        Some(Self {
            total: of("MemTotal")?,
            free: of("MemFree")?,
            cached: of("Cached")?,
            buffers: of("Buffers")?,
        })
    }

    /// Without what the kernel keeps of files, as the scripts counted it: MemAvailable says something else, and alarms
    /// have thresholds.
    fn percent(self) -> f64 {
        let available = self.free + self.cached + self.buffers;
        percent(self.total.saturating_sub(available), self.total)
    }
}

impl Usage {
    /// Each metric of this instance, and of its group where that is known.
    pub fn data(&self, instance: &str, group: Option<&str>) -> Vec<Datum> {
        let percentage = |name: &'static str, value: f64, dimensions: Vec<(&'static str, String)>| Datum {
            name: name.into(),
            value,
            unit: "Percent",
            dimensions,
            by_the_second: false,
        };
        let disk = &self.disk;
        let used = percent(disk.blocks.saturating_sub(disk.free), disk.blocks);
        let memory = owners(instance, group)
            .map(|owner| percentage("MemoryUtilization", self.memory.percent(), vec![owner]));
        let disk = owners(instance, group).map(|owner| {
            let dimensions = vec![
                owner,
                ("MountPath", disk.mount_path.to_owned()),
                ("Filesystem", disk.filesystem.clone()),
            ];
            percentage("DiskSpaceUtilization", used, dimensions)
        });
        memory.chain(disk).collect()
    }
}

/// Whose a metric is: this instance's, and its group's where that is known.
pub fn owners(instance: &str, group: Option<&str>) -> impl Iterator<Item = (&'static str, String)> {
    let group = group.map(|group| ("AutoScalingGroupName", group.to_owned()));
    [("InstanceId", instance.to_owned())].into_iter().chain(group)
}

/// What is mounted at `path`, of the text of `/proc/self/mountinfo`: the last one hides those before it.
pub fn filesystem_at(mountinfo: &str, path: &str) -> Option<String> {
    let mut all = mountinfo.lines().filter_map(|line| {
        let (place, device) = line.split_once(" - ")?;
        let at = place.split(' ').nth(4)?;
        (at == path).then(|| device.split(' ').nth(1))?
    });
    all.next_back().map(str::to_owned)
}

/// How long this instance waits before its first metric: always the same, and another than its neighbour.
pub fn first_after(instance: &str) -> Duration {
    // FNV-1a: ids differ in a few digits, and these spread them.
    let hash = instance.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Duration::from_millis(hash % u64::try_from(SPREAD.as_millis()).unwrap_or(1))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a percentage needs no more than 52 bits"
)]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    part as f64 * 100.0 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMINFO: &str = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     700 kB\nBuffers:           50 kB\n\
         Cached:           350 kB\nSwapCached:         7 kB\n";

    fn usage() -> Usage {
        Usage {
            memory: Memory::parse(MEMINFO).unwrap(),
            disk: Disk {
                filesystem: "/dev/nvme0n1p1".to_owned(),
                mount_path: "/",
                blocks: 400,
                free: 300,
            },
        }
    }

    #[test]
    fn memory_is_counted_as_the_scripts_did() {
        assert_eq!(usage().memory.percent(), 50.0);
        assert_eq!(Memory::parse("MemTotal: 1 kB\n"), None);
        assert_eq!(Memory::default().percent(), 0.0);
    }

    #[test]
    fn a_group_has_the_same_metrics() {
        let texts = |group| -> Vec<String> {
            let text = |one: &Datum| {
                let dimensions: Vec<String> = one
                    .dimensions
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                format!("{} {} {}", one.name, dimensions.join(","), one.value)
            };
            usage().data("i-1", group).iter().map(text).collect()
        };
        let of_the_instance = [
            "MemoryUtilization InstanceId=i-1 50",
            "DiskSpaceUtilization InstanceId=i-1,MountPath=/,Filesystem=/dev/nvme0n1p1 25",
        ];
        assert_eq!(texts(None), of_the_instance);
        let both = texts(Some("asg"));
        assert_eq!(both.len(), 4);
        assert_eq!(both[1], "MemoryUtilization AutoScalingGroupName=asg 50");
        assert_eq!(
            both[3],
            "DiskSpaceUtilization AutoScalingGroupName=asg,MountPath=/,Filesystem=/dev/nvme0n1p1 25"
        );
    }

    #[test]
    fn the_last_mount_counts() {
        let text = "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n\
                    30 22 0:5 / /dev rw - devtmpfs udev rw\n\
                    90 22 259:1 / / ro,relatime - ext4 /dev/nvme0n1p1 rw\n";
        assert_eq!(filesystem_at(text, "/").as_deref(), Some("/dev/nvme0n1p1"));
        assert_eq!(filesystem_at(text, "/data"), None);
    }

    #[test]
    fn neighbours_don_t_write_together() {
        let mut seconds: Vec<u64> = (0..100)
            .map(|number| first_after(&format!("i-0123456789abcde{number:02x}")).as_secs())
            .collect();
        assert_eq!(first_after("i-1"), first_after("i-1"));
        seconds.sort_unstable();
        seconds.dedup();
        assert!(seconds.len() > 15, "{seconds:?}");
        assert!(seconds.iter().all(|second| *second < 20));
    }
}
