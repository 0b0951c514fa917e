//! The parts: what is gathered, from where.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use monopod_core::preparation::FILE as PREPARED;
use monopod_core::record::{self, Agent};
use monopod_core::text;

use super::command::output;
use super::secrets::ENGINE;
use super::{MOST_BYTES, Scene};
use crate::cli::pretty;
use crate::cli::run::LOCK_FILE;
use crate::host::{chain, clock, files};
use crate::report::STATUS_FILE;

/// Texts by what is appended to the part's name.
type Taken = Result<Vec<(String, String)>, String>;

/// One part. A slash at the end of its name makes each of its texts a file of its own.
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) take: fn(&Scene<'_>) -> Taken,
}

const UNITS: [&str; 8] = [
    "monopod.service",
    "monopod-prepare.service",
    "monopod-drain.service",
    "monopod-poweroff.service",
    "monopod-poweroff.path",
    "docker.service",
    "containerd.service",
    "rsyslog.service",
];
/// What is shown of a unit: not its environment.
const PROPERTIES: &str = "Id,LoadState,ActiveState,SubState,Result,NRestarts,ExecMainPID,ExecMainCode,ExecMainStatus,ActiveEnterTimestamp,InactiveEnterTimestamp,MemoryCurrent,TasksCurrent,CPUUsageNSec,WatchdogTimestamp,StatusText,FragmentPath,DropInPaths";
const JOURNAL_LINES: u32 = 20_000;
/// Of the application's log.
const APPLICATION_BYTES: u64 = 2 << 20;
/// A directory that holds more is listed up to here.
const MOST_FILES: usize = 5_000;

pub(super) const ALL: &[Part] = &[
    Part {
        name: "status.json",
        take: |scene| one(status(scene)),
    },
    Part {
        name: "status.txt",
        take: |scene| one(status_text(scene)),
    },
    Part {
        name: "image.json",
        take: |scene| if_there(&scene.args.configuration_directory.join("image.json")),
    },
    Part {
        name: "prepare.json",
        take: |scene| if_there(&scene.args.runtime_directory.join(PREPARED)),
    },
    Part {
        name: "versions.txt",
        take: |_| one(versions()),
    },
    Part {
        name: "machine.txt",
        take: |scene| one(machine(scene)),
    },
    Part {
        name: "files.txt",
        take: |scene| one(listing(scene)),
    },
    Part {
        name: "cursors/",
        take: cursors,
    },
    Part {
        name: "engine.json",
        take: |scene| one(engine(scene)),
    },
    Part {
        name: "container/",
        take: containers,
    },
    Part {
        name: "units.txt",
        take: |_| one(units()),
    },
    Part {
        name: "journal.txt",
        take: |scene| one(journal(scene)),
    },
    Part {
        name: "application.log",
        take: application_log,
    },
];

fn one(text: Result<String, String>) -> Taken {
    Ok(vec![(String::new(), text?)])
}

/// A file that not every machine has.
fn if_there(path: &Path) -> Taken {
    match fs::exists(path) {
        Ok(false) => Ok(Vec::new()),
        Ok(true) | Err(_) => one(read(path)),
    }
}

fn status(scene: &Scene<'_>) -> Result<String, String> {
    let path = scene.args.runtime_directory.join(STATUS_FILE);
    read(&path)
}

fn status_text(scene: &Scene<'_>) -> Result<String, String> {
    let record = scene
        .record
        .as_ref()
        .ok_or("there is no status that can be read")?;
    let agent = match files::is_locked(&scene.args.runtime_directory.join(LOCK_FILE)) {
        Ok(true) => Agent::Running,
        Ok(false) | Err(_) => Agent::Gone,
    };
    Ok(record::to_text(record, agent, clock::now_millis()))
}

fn versions() -> Result<String, String> {
    let mut out = format!("monopod {}\n", env!("CARGO_PKG_VERSION"));
    for path in ["/proc/version", "/etc/os-release"] {
        let text = read(Path::new(path)).unwrap_or_else(|why| format!("{why}\n"));
        out.push_str(&text);
    }
    Ok(out)
}

fn machine(scene: &Scene<'_>) -> Result<String, String> {
    let args = scene.args;
    let mut out = String::new();
    for path in [
        Path::new("/"),
        Path::new("/var/lib/docker"),
        &args.logs_directory,
        &args.state_directory,
        &args.runtime_directory,
    ] {
        let free = files::free_space(path).map_or_else(|error| chain(&error), text::bytes);
        // Writing to a String cannot fail.
        let _ok = writeln!(out, "free at {}: {free}", path.display()).is_ok();
    }
    for path in [
        "/proc/uptime",
        "/proc/loadavg",
        "/proc/meminfo",
        "/proc/pressure/memory",
        "/proc/pressure/io",
        "/proc/pressure/cpu",
        "/proc/mounts",
    ] {
        let text = read(Path::new(path)).unwrap_or_else(|why| format!("{why}\n"));
        let _ok = write!(out, "\n== {path}\n{text}").is_ok();
    }
    Ok(out)
}

/// Names and sizes, not contents.
fn listing(scene: &Scene<'_>) -> Result<String, String> {
    let args = scene.args;
    let mut rows = Vec::new();
    for root in [
        &args.runtime_directory,
        &args.state_directory,
        &args.configuration_directory,
    ] {
        list(root, &mut rows);
    }
    for entry in fs::read_dir(&args.logs_directory).into_iter().flatten().flatten() {
        rows.push(row(&entry.path()));
    }
    rows.truncate(MOST_FILES);
    Ok(rows.concat())
}

fn list(directory: &Path, rows: &mut Vec<String>) {
    rows.push(row(directory));
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if rows.len() >= MOST_FILES {
            return;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => list(&entry.path(), rows),
            Ok(_) | Err(_) => rows.push(row(&entry.path())),
        }
    }
}

fn row(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt as _;
    let shown = text::printable(&path.display().to_string());
    match fs::symlink_metadata(path) {
        Ok(about) => format!(
            "{:o} {}:{} {:>12} {} {shown}\n",
            about.mode(),
            about.uid(),
            about.gid(),
            about.len(),
            text::timestamp(u64::try_from(about.mtime()).unwrap_or_default()),
        ),
        Err(error) => format!("{shown}: {error}\n"),
    }
}

/// How far each sink is: places in files and checksums.
fn cursors(scene: &Scene<'_>) -> Taken {
    let directory = &scene.args.state_directory;
    let names = files::names(directory).map_err(|error| chain(&error))?;
    let names = names.into_iter().filter(|name| name.ends_with(".cursor"));
    Ok(names
        .filter_map(|name| read(&directory.join(&name)).ok().map(|text| (name, text)))
        .collect())
}

fn engine(scene: &Scene<'_>) -> Result<String, String> {
    let engine = scene.engine.as_ref().ok_or("DOCKER_HOST names no engine")?;
    let asked = scene
        .runtime
        .block_on(async { tokio::time::timeout(ENGINE, engine.description()).await });
    match asked {
        Ok(Ok(value)) => Ok(pretty(&value)),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_late) => Err("the engine does not answer".to_owned()),
    }
}

fn containers(scene: &Scene<'_>) -> Taken {
    let engine = scene.engine.as_ref().ok_or("DOCKER_HOST names no engine")?;
    let all = async {
        let mut all = Vec::new();
        for container in engine.observe().await? {
            let value = engine.container_description(&container.id).await?;
            all.push((format!("{}.json", text::short_id(&container.id)), pretty(&value)));
        }
        Ok::<_, crate::host::docker::EngineError>(all)
    };
    match scene
        .runtime
        .block_on(async { tokio::time::timeout(ENGINE, all).await })
    {
        Ok(Ok(all)) => Ok(all),
        Ok(Err(error)) => Err(chain(&error)),
        Err(_late) => Err("the engine does not answer".to_owned()),
    }
}

fn units() -> Result<String, String> {
    let mut args = vec![
        "show".to_owned(),
        format!("--property={PROPERTIES}"),
        "--".to_owned(),
    ];
    args.extend(UNITS.map(str::to_owned));
    output("systemctl", &args)
}

fn journal(scene: &Scene<'_>) -> Result<String, String> {
    let since = scene.args.since / 1000;
    let mut args: Vec<String> = [
        "--no-pager",
        "--quiet",
        "--output=short-iso-precise",
        &format!("--since=@{since}"),
        &format!("--lines={JOURNAL_LINES}"),
    ]
    .map(str::to_owned)
    .into();
    let ours = UNITS.iter().filter(|unit| unit.starts_with("monopod"));
    args.extend(ours.map(|unit| format!("--unit={unit}")));
    output("journalctl", &args)
}

fn application_log(scene: &Scene<'_>) -> Taken {
    if !scene.args.with_application_log {
        return Err("not asked for: --with-application-log".to_owned());
    }
    if !scene.all_learnt {
        return Err("what of it is secret is not known; see `secrets_redacted`".to_owned());
    }
    let path = scene.args.logs_directory.join("application.log");
    let tail = || -> std::io::Result<String> {
        let mut file = File::open(&path)?;
        let from = file.metadata()?.len().saturating_sub(APPLICATION_BYTES);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(APPLICATION_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // The first line is a part of one, and perhaps a part of a secret.
        Ok(match text.split_once('\n') {
            Some((_, rest)) if from > 0 => rest.to_owned(),
            _ => text,
        })
    };
    let text = tail().map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(vec![(String::new(), text)])
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
