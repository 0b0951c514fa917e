//! Devices and sysfs laid out in a directory, as kernels and udev lay them out.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

const ID: &str = "vol-0123456789abcdef0";
const SERIAL: &str = "vol0123456789abcdef0";
/// For what has to be there already.
const NOW: Duration = Duration::ZERO;
/// For what has yet to come.
const SOON: Duration = Duration::from_secs(20);

/// A machine's `/dev` and `/sys`; gone with the test.
struct Laid(PathBuf);

impl Drop for Laid {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

impl Laid {
    fn out() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "monopod-find-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        fs::create_dir_all(root.join("dev")).unwrap();
        fs::create_dir_all(root.join("sys/block")).unwrap();
        Self(root.canonicalize().unwrap())
    }

    fn file(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn dev(&self, name: &str) -> PathBuf {
        self.0.join("dev").join(name)
    }

    /// What the kernel says of a disk of 8 GiB, before its node is there.
    fn known(&self, name: &str, serial_file: &str, serial: &str) {
        self.file(&format!("sys/block/{name}/size"), "16777216\n");
        if !serial.is_empty() {
            self.file(&format!("sys/block/{name}/{serial_file}"), serial);
        }
    }

    /// Nitro's, whose serial numbers are filled up with blanks.
    fn nvme(&self, name: &str, serial: &str) -> PathBuf {
        self.known(name, "device/serial", &format!("{serial:<20}\n"));
        self.node(name)
    }

    fn xen(&self, name: &str) -> PathBuf {
        self.known(name, "", "");
        self.node(name)
    }

    fn node(&self, name: &str) -> PathBuf {
        self.file(&format!("dev/{name}"), "");
        self.dev(name)
    }

    fn link(&self, link: &str, target: &str) {
        let link = self.dev(link);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(target, link).unwrap();
    }

    fn roots(&self) -> Roots {
        Roots {
            dev: self.0.join("dev"),
            sys: self.0.join("sys"),
            is_device: |metadata| metadata.is_file(),
        }
    }

    /// Woken by events alone: no look comes by itself before any test is over.
    fn finder(&self, within: Duration) -> Finder {
        Finder {
            roots: self.roots(),
            poll: Duration::from_secs(3600),
            deadline: Instant::now() + within,
        }
    }

    async fn volume(&self, id: &str, device: &str) -> Result<PathBuf, FindError> {
        self.finder(NOW).volume(id, device).await
    }

    /// Where EC2 knows of these.
    async fn resolve(
        &self,
        name: &str,
        known: &[(&str, &str)],
        attached: &[(&str, &str)],
    ) -> Result<PathBuf, FindError> {
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            let pair = |(device, id): &(&str, &str)| ((*device).to_owned(), (*id).to_owned());
            pairs.iter().map(pair).collect()
        };
        let attached = owned(attached);
        self.finder(NOW)
            .resolve(name, &owned(known), async || Ok(attached))
            .await
    }
}

#[tokio::test]
async fn nitro_by_the_serial_number_whatever_the_order() {
    let laid = Laid::out();
    laid.nvme("nvme0n1", "vol0aaaaaaaaaaaaaaaa");
    let right = laid.nvme("nvme2n1", SERIAL);
    laid.nvme("nvme1n1", "vol0bbbbbbbbbbbbbbbb");
    laid.nvme("nvme3n1", "AWS6AAC3B2A1C7E9F0D1");
    assert_eq!(laid.volume(ID, "/dev/sdf").await.unwrap(), right);
    // A path of the same disk that has no node of its own (multipath).
    laid.known("nvme2c0n1", "device/serial", SERIAL);
    assert_eq!(laid.volume(ID, "/dev/sdf").await.unwrap(), right);
}

#[tokio::test]
async fn by_the_link_of_udev_and_not_by_a_longer_id_or_a_partition() {
    let laid = Laid::out();
    let right = laid.node("loop7");
    laid.node("loop8");
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol01234567",
        "../../loop7",
    );
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol01234567_1",
        "../../loop7",
    );
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol01234567-part1",
        "../../loop8",
    );
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol012345678",
        "../../loop8",
    );
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol01234567-ns-1",
        "../../gone",
    );
    assert_eq!(laid.volume("vol-01234567", "/dev/sdf").await.unwrap(), right);
    // virtio has it in another place.
    laid.known("vdb", "serial", SERIAL);
    let virtio = laid.node("vdb");
    assert_eq!(laid.volume(ID, "/dev/sdf").await.unwrap(), virtio);
}

#[tokio::test]
async fn xen_by_the_name_unless_a_disk_says_which_volume_it_is() {
    let laid = Laid::out();
    let right = laid.xen("xvdf");
    laid.xen("xvda");
    // The instance store of an i3.
    laid.nvme("nvme0n1", "AWS6AAC3B2A1C7E9F0D1");
    for name in ["/dev/sdf", "/dev/xvdf", "xvdf"] {
        assert_eq!(laid.volume(ID, name).await.unwrap(), right, "{name}");
    }
    laid.volume(ID, "/dev/sdg").await.unwrap_err();
    laid.nvme("nvme1n1", "vol0aaaaaaaaaaaaaaaa");
    let error = laid.volume(ID, "/dev/sdf").await.unwrap_err();
    assert!(matches!(error, FindError::Late { .. }), "{error}");

    // A link of somebody's rules, on Nitro: the name is a wish.
    let laid = Laid::out();
    laid.nvme("nvme1n1", "");
    laid.link("xvdf", "nvme1n1");
    laid.volume(ID, "/dev/sdf").await.unwrap_err();
}

#[tokio::test]
async fn two_disks_of_one_id_are_none() {
    let laid = Laid::out();
    laid.nvme("nvme1n1", SERIAL);
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0",
        "../../nvme1n1",
    );
    laid.volume(ID, "/dev/sdf").await.unwrap();
    laid.nvme("nvme2n1", SERIAL);
    let error = laid.volume(ID, "/dev/sdf").await.unwrap_err();
    let told = error.to_string();
    assert!(matches!(error, FindError::Several { .. }), "{told}");
    assert!(
        told.contains("dev/nvme1n1 and ") && told.contains("dev/nvme2n1 all say"),
        "{told}"
    );
}

#[tokio::test]
async fn what_is_no_id_is_found_nowhere() {
    let laid = Laid::out();
    laid.nvme("nvme1n1", "");
    laid.node("sda");
    laid.link("disk/by-id/ata-disk_vol", "../../sda");
    for id in [
        "",
        "vol-",
        "vol",
        "vol-0123",
        "vol-0123456z",
        "i-0123456789abcdef0",
    ] {
        let error = laid.volume(id, "/dev/sdf").await.unwrap_err();
        assert!(matches!(error, FindError::NotAVolume(_)), "{id}: {error}");
        assert_eq!(error.class(), Class::Permanent);
    }
}

#[tokio::test]
async fn who_is_late_is_told_what_is_there() {
    let laid = Laid::out();
    laid.nvme("nvme10n1", "AWS1");
    laid.nvme("nvme0n1", "vol0aaaaaaaaaaaaaaaa");
    laid.known("loop0", "", "");
    laid.file("sys/block/loop0/size", "0\n");
    let error = laid.volume(ID, "/dev/sdf").await.unwrap_err();
    assert_eq!(error.class(), Class::Transient);
    let told = error.to_string();
    assert!(
        told.contains("there are: nvme0n1 (8 GiB, vol0aaaaaaaaaaaaaaaa), nvme10n1 (8 GiB, AWS1). "),
        "{told}"
    );
    let error = Laid::out().volume(ID, "/dev/sdf").await.unwrap_err();
    assert!(error.to_string().contains("there is no disk at all"), "{error}");
}

/// Runs a wait, and the change once it has begun to wait.
async fn meanwhile<T>(wait: impl Future<Output = T>, change: impl FnOnce()) -> T {
    let change = async {
        // The wait comes first in `join`, and has looked and armed its watch by then.
        tokio::task::yield_now().await;
        change();
    };
    tokio::join!(biased; wait, change).0
}

#[tokio::test]
async fn a_disk_is_waited_for() {
    let laid = Laid::out();
    let began = Instant::now();
    laid.known("nvme1n1", "device/serial", SERIAL);
    let finder = laid.finder(SOON);
    let found = meanwhile(finder.volume(ID, "/dev/sdf"), || {
        laid.node("nvme1n1");
    });
    assert_eq!(found.await.unwrap(), laid.dev("nvme1n1"));

    // udev makes the directories of its links with the first of them.
    let laid = Laid::out();
    laid.node("loop7");
    let finder = laid.finder(SOON);
    let found = meanwhile(finder.volume(ID, "/dev/sdf"), || {
        laid.link(
            "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0",
            "../../loop7",
        );
    });
    assert_eq!(found.await.unwrap(), laid.dev("loop7"));
    assert!(began.elapsed() < SOON / 2, "it was woken by time, not by events");
}

#[tokio::test]
async fn without_an_event_it_looks_now_and_then() {
    let began = Instant::now();
    let laid = Laid::out();
    laid.node("nvme1n1");
    let mut finder = laid.finder(SOON);
    finder.poll = Duration::from_millis(20);
    let found = meanwhile(finder.volume(ID, "/dev/sdf"), || {
        laid.known("nvme1n1", "device/serial", SERIAL);
    });
    assert_eq!(found.await.unwrap(), laid.dev("nvme1n1"));
    assert!(began.elapsed() < SOON / 2, "it looked only when it was late");
}

#[tokio::test]
async fn a_device_of_the_file_is_its_volume() {
    let laid = Laid::out();
    let disk = laid.nvme("nvme1n1", SERIAL);
    let part = laid.node("nvme1n1p2");
    // Not what happens to be called so.
    laid.node("sdf");
    laid.node("xvdf");
    let known = [("/dev/sdf", ID)];
    for name in ["/dev/sdf", "/dev/xvdf", "xvdf"] {
        assert_eq!(laid.resolve(name, &known, &[]).await.unwrap(), disk, "{name}");
    }
    assert_eq!(laid.resolve("/dev/xvdf2", &known, &[]).await.unwrap(), part);
    let error = laid.resolve("/dev/sdf1", &known, &[]).await.unwrap_err();
    assert!(
        error.to_string().contains("dev/nvme1n1 has no partition 1;"),
        "{error}"
    );
    assert_eq!(error.class(), Class::Permanent);
}

#[tokio::test]
async fn a_path_that_is_there_is_itself() {
    let laid = Laid::out();
    for (name, device) in [
        ("/dev/xvdb", "xvdb"),
        ("xvdb", "xvdb"),
        ("/dev/nvme1n1p1", "nvme1n1p1"),
        ("/dev/md/data", "md127"),
        ("/dev/disk/by-id/nvme-x-part1", "nvme1n1p1"),
    ] {
        if laid.roots().named(name).is_none() {
            laid.node(device);
        }
        let below = name.trim_start_matches("/dev/");
        if let Some((directory, _)) = below.rsplit_once('/') {
            let up = "../".repeat(directory.split('/').count());
            laid.link(below, &format!("{up}{device}"));
        }
        // EC2 isn't asked: it would say another.
        let found = laid.resolve(name, &[], &[(name, "vol-0aaaaaaaa")]).await;
        assert_eq!(found.unwrap(), laid.dev(device), "{name}");
    }
    // Not out of the directory, and nothing that is no device.
    laid.file("outside", "");
    fs::create_dir_all(laid.dev("shm")).unwrap();
    for name in [
        "/dev/../outside",
        "../outside",
        "//outside",
        "/dev/shm",
        "/dev/",
        "",
    ] {
        laid.resolve(name, &[], &[]).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_name_of_the_launch_template_is_what_ec2_attached() {
    let laid = Laid::out();
    let root = laid.nvme("nvme0n1", "vol0aaaaaaaaaaaaaaaa");
    let disk = laid.nvme("nvme1n1", SERIAL);
    let part = laid.node("nvme1n1p1");
    let attached = [("/dev/sda1", "vol-0aaaaaaaaaaaaaaaa"), ("/dev/sdb", ID)];
    assert_eq!(laid.resolve("/dev/xvdb", &[], &attached).await.unwrap(), disk);
    assert_eq!(laid.resolve("/dev/sdb1", &[], &attached).await.unwrap(), part);
    // The whole disk, although it looks like a partition of one.
    assert_eq!(laid.resolve("/dev/sda1", &[], &attached).await.unwrap(), root);
}

#[tokio::test]
async fn a_name_of_nothing_is_told_with_what_there_is() {
    let laid = Laid::out();
    laid.nvme("nvme0n1", "vol0aaaaaaaaaaaaaaaa");
    let error = laid.resolve("/dev/sdx", &[], &[]).await.unwrap_err();
    let told = error.to_string();
    assert!(
        told.contains("no device /dev/sdx") && told.contains("nvme0n1 (8 GiB, vol0aaaaaaaaaaaaaaaa)"),
        "{told}"
    );
    assert_eq!(error.class(), Class::Permanent);

    let refused = || Ec2Error::Nonsense {
        service: "EC2".to_owned(),
        subject: "x".to_owned(),
        status: 429,
    };
    let finder = laid.finder(SOON);
    let error = finder
        .resolve("/dev/sdx", &[], async || Err(refused()))
        .await
        .unwrap_err();
    assert_eq!(error.class(), Class::Throttled, "{error}");

    let began = Instant::now();
    let finder = laid.finder(SOON);
    let found = meanwhile(finder.resolve("/dev/sdx", &[], async || Ok(Vec::new())), || {
        laid.node("sdx");
    });
    assert_eq!(found.await.unwrap(), laid.dev("sdx"));
    assert!(
        began.elapsed() < SOON / 2,
        "it was woken by time, not by an event"
    );
}

#[test]
fn only_the_instances_own_attachments_count() {
    use monopod_core::storage::volume::{Attachment, VolumeState};
    let attachment = |instance: &str, device: &str| Attachment {
        instance_id: instance.to_owned(),
        device: device.to_owned(),
        state: "attached".to_owned(),
    };
    let volume = Volume {
        id: ID.to_owned(),
        zone: "eu-central-1a".to_owned(),
        state: VolumeState::InUse,
        attachments: vec![attachment("i-2", "/dev/sdz"), attachment("i-1", "/dev/sdb")],
        tags: Vec::new(),
        size_gib: 8,
    };
    assert_eq!(
        mappings(vec![volume], "i-1"),
        [("/dev/sdb".to_owned(), ID.to_owned())]
    );
}

#[test]
fn a_disk_has_a_name_that_stays() {
    let laid = Laid::out();
    let name = |path: PathBuf| laid.roots().stable_name(&path);
    assert_eq!(name(laid.nvme("nvme1n1", SERIAL)), SERIAL);
    laid.file("sys/block/nvme1n1/nvme1n1p3/partition", "3\n");
    fs::create_dir_all(laid.0.join("sys/class/block")).unwrap();
    symlink(
        "../../block/nvme1n1/nvme1n1p3",
        laid.0.join("sys/class/block/nvme1n1p3"),
    )
    .unwrap();
    assert_eq!(name(laid.node("nvme1n1p3")), format!("{SERIAL}-part3"));
    assert_eq!(name(laid.xen("xvdb")), "xvdb");
    laid.link(
        "disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0bbbbbbbb_1",
        "../../loop3",
    );
    laid.link("disk/by-id/lvm-pv-uuid-x", "../../loop3");
    assert_eq!(name(laid.node("loop3")), "vol0bbbbbbbb");
    assert_eq!(name(laid.dev("disk/by-id/lvm-pv-uuid-x")), "vol0bbbbbbbb");
    laid.link("disk/by-id/md-uuid-1:2:3", "../../md127");
    assert_eq!(name(laid.node("md127")), "1:2:3");
}

/// Reads this machine's own: nothing of it is known but that it does not fail.
#[tokio::test]
async fn the_machines_own_directories_are_read() {
    let roots = Roots::of_the_machine();
    let names: Vec<String> = roots.disks().into_iter().map(|disk| disk.name).collect();
    assert!(names.iter().all(|name| !name.is_empty()));
    assert_eq!(roots.named("/dev/null"), None, "no block device");
    let error = by_volume_id(ID, "/dev/sdzz", Instant::now()).await.unwrap_err();
    assert!(matches!(error, FindError::Late { .. }), "{error}");
}
