//! Mounts, by way of PID 1: a unit file in /run, and a job to start it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use monopod_core::storage::MountUnit;

use super::super::Class;
use super::super::command::Command;
use super::{BlockError, LOOK, class_of_words, failed, sysfs, tool};

/// Longer than the unit's own timeout, so that it is systemd that gives up and says why.
const START: Duration = Duration::from_secs(330);
const JOURNAL_LINES: &str = "--lines=4";

/// The programs that are asked; tests have their own.
#[derive(Clone, Copy, Debug)]
struct Programs<'a> {
    systemctl: &'a Path,
    journalctl: &'a Path,
}

/// What is mounted at a place, by the name of its device: the last one, where several lie over each other.
pub fn is_mounted(place: &str) -> Result<Option<String>, BlockError> {
    let found = mounted(place)?;
    Ok(found.map(|mount| mount.source))
}

/// Has PID 1 mount `what` at `place`, by a unit in `directory` (/run/systemd/system: gone with the machine's boot).
/// Says whether it was not there before. A place with something else on it is an error.
pub async fn ensure_mounted(
    unit: &MountUnit,
    what: &str,
    place: &str,
    directory: &Path,
) -> Result<bool, BlockError> {
    let programs = Programs {
        systemctl: Path::new("systemctl"),
        journalctl: Path::new("journalctl"),
    };
    if is_there(what, place)? {
        return Ok(false);
    }
    start(programs, unit, what, place, directory).await?;
    if is_there(what, place)? {
        return Ok(true);
    }
    Err(BlockError::NotMounted {
        what: what.to_owned(),
        place: place.to_owned(),
        words: format!(
            "systemd says that {} is started, and this process does not see it: its own unit must not cut it off from the \
             machine's mounts (PrivateMounts=, MountFlags=)",
            unit.name
        ),
        class: Class::Permanent,
    })
}

fn is_there(what: &str, place: &str) -> Result<bool, BlockError> {
    let Some(found) = mounted(place)? else {
        return Ok(false);
    };
    if is_same(&found, what) {
        return Ok(true);
    }
    Err(BlockError::OtherMounted {
        place: place.to_owned(),
        found: found.source,
        wanted: what.to_owned(),
    })
}

fn mounted(place: &str) -> Result<Option<sysfs::Mounted>, BlockError> {
    let all = sysfs::mounts_here().map_err(failed("read", Path::new("/proc/self/mountinfo")))?;
    Ok(all.into_iter().rfind(|mount| mount.place == place))
}

/// One device has several names: its number tells.
fn is_same(found: &sysfs::Mounted, what: &str) -> bool {
    found.source == what
        || match sysfs::number(Path::new(what)) {
            Ok(Some(number)) => found.number == Some(number),
            Ok(None) | Err(_) => false,
        }
}

async fn start(
    programs: Programs<'_>,
    unit: &MountUnit,
    what: &str,
    place: &str,
    directory: &Path,
) -> Result<(), BlockError> {
    let file = directory.join(&unit.name);
    if ensure_text(&file, &unit.text).map_err(failed("write", &file))? {
        let reload = Command::new(programs.systemctl, LOOK).args(["--no-ask-password", "daemon-reload"]);
        reload.succeed().await.map_err(tool("tell systemd of", &file))?;
    }
    let start = Command::new(programs.systemctl, START).args(["--no-ask-password", "start", "--"]);
    let ended = start.arg(&unit.name).run().await;
    let ended = ended.map_err(tool("mount", Path::new(what)))?;
    if ended.code == 0 {
        return Ok(());
    }
    let mut words = ended.last_words();
    if let Some(journal) = journal(programs, &unit.name).await {
        words = format!("{words}; {journal}");
    }
    Err(BlockError::NotMounted {
        what: what.to_owned(),
        place: place.to_owned(),
        class: class_of_words(&words),
        words,
    })
}

/// Says whether the file had to be written. PID 1 reads it: anybody may.
fn ensure_text(file: &Path, text: &str) -> io::Result<bool> {
    match fs::read_to_string(file) {
        Ok(found) if found == text => return Ok(false),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text)?;
    fs::rename(&new, file)?;
    Ok(true)
}

/// What mount(8) said goes to the unit's journal, not to systemctl. Without a journal there is less to tell.
async fn journal(programs: Programs<'_>, unit: &str) -> Option<String> {
    let command = Command::new(programs.journalctl, LOOK)
        .args(["--boot", "--no-pager", "--quiet", "--output=cat", JOURNAL_LINES])
        .arg(format!("--unit={unit}"));
    let ended = command.succeed().await.ok()?;
    (!ended.stdout.trim().is_empty()).then(|| ended.last_words())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    use super::super::testing::Temporary;
    use super::*;
    use crate::host::Classified as _;

    /// A systemctl and a journalctl that note their arguments and do as they are told.
    struct Machine {
        directory: Temporary,
        unit: MountUnit,
    }

    impl Machine {
        fn new(systemctl: &str, journalctl: &str) -> Self {
            let directory = Temporary::new();
            for (name, script) in [("systemctl", systemctl), ("journalctl", journalctl)] {
                let path = directory.path().join(name);
                let log = directory.path().join("log");
                let text = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n{script}\n", log.display());
                fs::write(&path, text).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
            }
            let unit = MountUnit {
                name: "mounts-data.mount".to_owned(),
                text: "[Mount]\nWhat=/dev/xvdf\n".to_owned(),
            };
            Self { directory, unit }
        }

        fn units(&self) -> PathBuf {
            self.directory.path().join("units")
        }

        async fn start(&self) -> Result<(), BlockError> {
            let systemctl = self.directory.path().join("systemctl");
            let journalctl = self.directory.path().join("journalctl");
            let programs = Programs {
                systemctl: &systemctl,
                journalctl: &journalctl,
            };
            start(programs, &self.unit, "/dev/xvdf", "/mounts/data", &self.units()).await
        }

        fn log(&self) -> String {
            fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
        }
    }

    #[tokio::test]
    async fn the_unit_is_written_and_told_before_it_is_started_and_only_started_the_next_time() {
        let machine = Machine::new("cat $(dirname $0)/units/* >>$(dirname $0)/log", "");
        machine.start().await.unwrap();
        let file = machine.units().join("mounts-data.mount");
        assert_eq!(fs::read_to_string(&file).unwrap(), machine.unit.text);
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        let text = &machine.unit.text;
        let reload = "systemctl --no-ask-password daemon-reload\n";
        let start = "systemctl --no-ask-password start -- mounts-data.mount\n";
        assert_eq!(machine.log(), format!("{reload}{text}{start}{text}"));

        machine.start().await.unwrap();
        assert_eq!(machine.log(), format!("{reload}{text}{start}{text}{start}{text}"));
        assert_eq!(fs::read_dir(machine.units()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_mount_said_is_in_the_error() {
        let machine = Machine::new(
            "case $2 in start) echo 'Job for mounts-data.mount failed.' >&2; exit 1;; esac",
            "echo 'mount: /mounts/data: wrong fs type, bad option, bad superblock on /dev/xvdf.'",
        );
        let error = machine.start().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot mount /dev/xvdf at /mounts/data: Job for mounts-data.mount failed.; mount: /mounts/data: wrong fs type, bad \
             option, bad superblock on /dev/xvdf."
        );
        assert_eq!(error.class(), Class::Permanent);
        let asked = "journalctl --boot --no-pager --quiet --output=cat --lines=4 --unit=mounts-data.mount\n";
        assert!(machine.log().ends_with(asked), "{}", machine.log());
    }

    #[tokio::test]
    async fn a_device_that_is_not_there_yet_may_come() {
        let machine = Machine::new("[ $2 = daemon-reload ]", "echo 'special device /dev/xvdf busy'");
        let error = machine.start().await.unwrap_err();
        assert_eq!(error.class(), Class::Transient, "{error}");
        let machine = Machine::new("[ $2 = daemon-reload ]", "exit 1");
        let error = machine.start().await.unwrap_err();
        assert!(error.to_string().ends_with("it said nothing"), "{error}");
    }

    #[tokio::test]
    async fn a_systemd_that_cannot_reload_starts_nothing() {
        let machine = Machine::new("echo 'Failed to connect to bus' >&2; exit 1", "");
        let error = machine.start().await.unwrap_err();
        assert!(matches!(error, BlockError::Tool { .. }), "{error}");
        assert_eq!(machine.log(), "systemctl --no-ask-password daemon-reload\n");
    }

    #[tokio::test]
    async fn what_is_mounted_is_left_alone_and_something_else_is_an_error() {
        let source = is_mounted("/proc").unwrap().unwrap();
        let unit = MountUnit {
            name: "proc.mount".to_owned(),
            text: String::new(),
        };
        let nowhere = Path::new("/proc/nowhere");
        assert!(!ensure_mounted(&unit, &source, "/proc", nowhere).await.unwrap());
        let error = ensure_mounted(&unit, "/dev/xvdf", "/proc", nowhere)
            .await
            .unwrap_err();
        assert!(matches!(error, BlockError::OtherMounted { .. }), "{error}");
        assert_eq!(is_mounted("/nowhere").unwrap(), None);
    }
}
