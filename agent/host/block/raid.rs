//! Arrays of mdadm: looking at their devices, starting one that exists, making one of blank devices.
//!
//! What runs is read from /sys; what a device is part of, from its superblock by `mdadm --examine`. Nothing is ever
//! forced: mdadm's own refusals stand.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use monopod_core::config::{Raid, RaidLevel};
use monopod_core::storage::{Active, ArrayMember, Content, Member, RaidAction};

use super::super::command::Command;
use super::hold::Locked;
use super::make::ensure_unchanged;
use super::{BlockError, LOOK, MAKE, blocking, content, failed, sysfs, tool};

/// Where the kernel shows its disks.
const SYS: &str = "/sys/block";

/// Looks at devices that are to be an array. Their paths are the kernel's own afterwards.
pub async fn members(devices: &[PathBuf]) -> Result<Vec<Member>, BlockError> {
    let mut all = Vec::with_capacity(devices.len());
    for device in devices {
        let path = fs::canonicalize(device).map_err(failed("find", device))?;
        all.push(Member {
            content: content(&path).await?,
            array: examine(&path).await?,
            path: path.to_string_lossy().into_owned(),
        });
    }
    Ok(all)
}

async fn examine(device: &Path) -> Result<Option<ArrayMember>, BlockError> {
    let command = Command::new("mdadm", LOOK).args(["--examine", "--export"]);
    let ended = command.arg(device).run().await;
    // It has one exit code for "no superblock" and for "could not look": that it can be read, content() saw.
    let ended = ended.map_err(tool("look for a RAID superblock on", device))?;
    Ok(member(&ended.stdout))
}

/// `mdadm --examine --export`. Without a UUID it is no member of anything.
fn member(export: &str) -> Option<ArrayMember> {
    Some(ArrayMember {
        array_uuid: value(export, "MD_UUID")?,
        level: value(export, "MD_LEVEL").unwrap_or_default(),
        devices: value(export, "MD_DEVICES")?.parse().ok()?,
        name: value(export, "MD_NAME"),
    })
}

fn value(export: &str, key: &str) -> Option<String> {
    let mut lines = export.lines().filter_map(|line| line.split_once('='));
    lines
        .find(|(name, _)| *name == key)
        .map(|(_, value)| value.to_owned())
}

/// The arrays that run, whatever started them.
pub async fn active_arrays() -> Result<Vec<Active>, BlockError> {
    let mut all = Vec::new();
    for array in arrays(Path::new(SYS)).await? {
        if array.runs {
            let path = Path::new(&array.path);
            let command = Command::new("mdadm", LOOK).args(["--detail", "--export"]);
            let ended = command.arg(path).succeed().await;
            let ended = ended.map_err(tool("ask for the UUID of", path))?;
            let uuid = value(&ended.stdout, "MD_UUID").ok_or_else(|| BlockError::Report {
                program: "mdadm",
                device: path.to_owned(),
                words: ended.last_words(),
            })?;
            all.push(Active {
                uuid,
                path: array.path,
                members: array.members,
                degraded: array.degraded,
            });
        }
    }
    Ok(all)
}

/// An array as /sys shows it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    path: String,
    members: Vec<String>,
    degraded: bool,
    /// Not one that udev put together in part and that waits for more devices.
    runs: bool,
}

async fn arrays(sys: &Path) -> Result<Vec<Shown>, BlockError> {
    let path = sys.to_owned();
    let found = blocking(move || shown(&path)).await;
    found.map_err(failed("look for arrays in", sys))
}

fn shown(sys: &Path) -> io::Result<Vec<Shown>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(sys)? {
        let directory = entry?.path();
        let read = |name| fs::read_to_string(directory.join("md").join(name));
        // No array, or one that was stopped since.
        let Ok(state) = read("array_state") else {
            continue;
        };
        let Some(path) = sysfs::device_file(&directory) else {
            continue;
        };
        // RAID 0 has no such file: it runs whole or not at all.
        let missing = read("degraded").unwrap_or_default();
        let members = sysfs::names(&directory, "slaves");
        all.push(Shown {
            path: path.to_string_lossy().into_owned(),
            members: members.iter().map(|name| format!("/dev/{name}")).collect(),
            degraded: !matches!(missing.trim(), "" | "0"),
            runs: !matches!(state.trim(), "clear" | "inactive"),
        });
    }
    all.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(all)
}

/// Carries out what was decided on `members`; gives the array's own path, by the kernel's name.
pub async fn ensure_array(
    raid: &Raid,
    action: &RaidAction,
    members: &[Member],
) -> Result<PathBuf, BlockError> {
    let device = Path::new(&raid.device);
    match action {
        RaidAction::Use { path, .. } => return Ok(path.into()),
        RaidAction::Refuse(refusal) => {
            return Err(BlockError::RefusedArray {
                device: device.to_owned(),
                refusal: refusal.clone(),
            });
        }
        RaidAction::Assemble {
            uuid,
            members,
            degraded,
        } => {
            free(Path::new(SYS), members).await?;
            let command = assemble(raid, uuid, members, *degraded);
            let done = command.succeed().await;
            done.map_err(tool("start the array", device))?;
        }
        RaidAction::Create => {
            // Each is locked before any is looked at, and all of them until the array has them.
            let paths: Vec<_> = members.iter().map(|member| Path::new(&member.path)).collect();
            let _locked = Locked::take(&paths).await?;
            for member in members {
                ensure_unchanged(Path::new(&member.path), &Content::Blank).await?;
            }
            let done = create(raid, members).succeed().await;
            done.map_err(tool("make the array", device))?;
        }
    }
    // mdadm waits until udev has made the name.
    fs::canonicalize(device).map_err(failed("find", device))
}

fn assemble(raid: &Raid, uuid: &str, members: &[String], degraded: bool) -> Command {
    let command = Command::new("mdadm", MAKE)
        .args(["--assemble", &raid.device])
        .arg(format!("--uuid={uuid}"));
    // Without it mdadm waits for the device that is missing.
    let command = if degraded { command.arg("--run") } else { command };
    command.args(members)
}

fn create(raid: &Raid, members: &[Member]) -> Command {
    let command = Command::new("mdadm", MAKE)
        .args(["--create", &raid.device])
        // No questions: what it would ask about was answered by looking.
        .arg("--run")
        .arg(format!("--level={}", raid.level.mdadm()))
        .arg(format!("--raid-devices={}", members.len()))
        .arg("--metadata=1.2")
        // The next machine that starts it has another name, and gives it no other for that.
        .arg("--homehost=any");
    let command = match raid.level {
        RaidLevel::Raid0 => command,
        // After a power cut only what was being written is compared, not the whole disks.
        RaidLevel::Raid1 | RaidLevel::Raid5 | RaidLevel::Raid10 => command.arg("--bitmap=internal"),
    };
    command.args(members.iter().map(|member| &member.path))
}

/// udev may have put an array together in part when only some of its devices were attached: that one does not run,
/// holds them, and is stopped, which writes nothing.
async fn free(sys: &Path, members: &[String]) -> Result<(), BlockError> {
    for array in arrays(sys).await? {
        let holds_ours = array.members.iter().any(|one| members.contains(one));
        if holds_ours && !array.runs {
            let path = Path::new(&array.path);
            let done = Command::new("mdadm", LOOK).arg("--stop").arg(path).succeed();
            done.await.map_err(tool("stop the incomplete array", path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use monopod_core::storage::Content;

    use super::super::testing::Temporary;
    use super::*;

    fn raid(level: RaidLevel) -> Raid {
        Raid {
            device: "/dev/md/data".to_owned(),
            level,
            members: vec!["/dev/xvdf".to_owned(), "/dev/xvdg".to_owned()],
        }
    }

    #[test]
    fn an_array_is_made_and_started_without_questions_and_without_force() {
        let member = |path: &str| Member {
            path: path.to_owned(),
            content: Content::Blank,
            array: None,
        };
        let members = [member("/dev/nvme1n1"), member("/dev/nvme2n1")];
        let paths = ["/dev/nvme1n1".to_owned(), "/dev/nvme2n1".to_owned()];
        assert_eq!(
            create(&raid(RaidLevel::Raid0), &members).line(),
            "mdadm --create /dev/md/data --run --level=raid0 --raid-devices=2 --metadata=1.2 --homehost=any \
             /dev/nvme1n1 /dev/nvme2n1"
        );
        assert_eq!(
            create(&raid(RaidLevel::Raid10), &members).line(),
            "mdadm --create /dev/md/data --run --level=raid10 --raid-devices=2 --metadata=1.2 --homehost=any \
             --bitmap=internal /dev/nvme1n1 /dev/nvme2n1"
        );
        assert_eq!(
            assemble(&raid(RaidLevel::Raid0), "a:b:c:d", &paths, false).line(),
            "mdadm --assemble /dev/md/data --uuid=a:b:c:d /dev/nvme1n1 /dev/nvme2n1"
        );
        assert_eq!(
            assemble(&raid(RaidLevel::Raid1), "a:b:c:d", &paths[..1], true).line(),
            "mdadm --assemble /dev/md/data --uuid=a:b:c:d --run /dev/nvme1n1"
        );
    }

    #[tokio::test]
    async fn what_runs_is_told_from_what_waits_for_more_devices() {
        let sys = Temporary::new();
        for (name, state, degraded, members) in [
            ("md127", "clean\n", Some("1\n"), &["xvdg", "xvdf"][..]),
            ("md0", "active\n", None, &["nvme1n1"]),
            ("md5", "inactive\n", None, &["xvdh"]),
            ("md9", "clear\n", None, &[]),
        ] {
            let directory = sys.path().join(name);
            fs::create_dir_all(directory.join("md")).unwrap();
            fs::write(directory.join("md/array_state"), state).unwrap();
            if let Some(degraded) = degraded {
                fs::write(directory.join("md/degraded"), degraded).unwrap();
            }
            for member in members {
                fs::create_dir_all(directory.join("slaves").join(member)).unwrap();
            }
        }
        fs::create_dir_all(sys.path().join("vda/holders")).unwrap();
        let found = arrays(sys.path()).await.unwrap();
        let array = |path: &str, members: &[&str], degraded, runs| Shown {
            path: path.to_owned(),
            members: members.iter().map(|&one| one.to_owned()).collect(),
            degraded,
            runs,
        };
        let expected = [
            array("/dev/md0", &["/dev/nvme1n1"], false, true),
            array("/dev/md127", &["/dev/xvdf", "/dev/xvdg"], true, true),
            array("/dev/md5", &["/dev/xvdh"], false, false),
            array("/dev/md9", &[], false, false),
        ];
        assert_eq!(found, expected);
    }
}
