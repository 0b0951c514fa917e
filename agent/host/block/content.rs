//! What is on a device. It is read, never written.
//!
//! Three witnesses are heard: `blkid -p`, which says what a device is for and calls it ambivalent when it cannot
//! decide; `wipefs`, which lists every signature it finds, backups at the end and all; and the first and last MiB
//! themselves. A device is blank only if none of them has anything to say, and a file system only if the first
//! two agree on it and name nothing else.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use monopod_core::storage::Content;
use monopod_core::storage::content::UNKNOWN_BYTES;
use serde::Deserialize;

use super::super::command::{Command, Ended};
use super::{BlockError, LOOK, blocking, failed, tool};

/// What is looked at from both ends.
const EDGE: u64 = 1 << 20;
/// blkid found nothing; also how it says that it could not look, with words on stderr.
const BLKID_NOTHING: i32 = 2;
/// blkid found several things that contradict each other.
const BLKID_AMBIVALENT: i32 = 8;

/// Whether an xfs is being made on it: mkfs.xfs says so in the superblock until its very end, and no kernel mounts it before.
pub fn is_half_made(device: &Path) -> Result<bool, BlockError> {
    const MAGIC: &[u8] = b"XFSB";
    const IN_PROGRESS: usize = 126;
    let mut superblock = [0; 128];
    File::open(device)
        .and_then(|mut file| file.read_exact(&mut superblock))
        .map_err(failed("read", device))?;
    Ok(superblock.starts_with(MAGIC) && superblock.get(IN_PROGRESS) == Some(&1))
}

/// What is on a device.
pub async fn content(device: &Path) -> Result<Content, BlockError> {
    let path = device.to_owned();
    let edges = blocking(move || edges(&path)).await;
    let edges = edges.map_err(failed("read", device))?;
    if edges.size == 0 {
        return Err(BlockError::NoSize {
            device: device.to_owned(),
        });
    }
    let probed = probe(device).await?;
    let signatures = signatures(device).await?;
    Ok(conclude(&edges, &probed, &signatures))
}

/// A device's two ends.
#[derive(Debug)]
struct Edges {
    size: u64,
    /// All of the first and last MiB.
    is_zero: bool,
}

/// What `blkid -p` makes of a device.
#[derive(Debug, PartialEq, Eq)]
enum Probed {
    Nothing,
    Ambivalent,
    Found {
        /// `TYPE`, where it is no partition table alone.
        kind: Option<String>,
        /// `USAGE` says `filesystem`.
        filesystem: bool,
        uuid: Option<String>,
        /// `PTTYPE`.
        table: Option<String>,
    },
}

fn conclude(edges: &Edges, probed: &Probed, signatures: &[String]) -> Content {
    if let Probed::Found {
        kind: Some(kind),
        filesystem: true,
        uuid,
        table: None,
    } = probed
        && !signatures.is_empty()
        && signatures.iter().all(|one| one == kind)
    {
        return Content::Filesystem {
            kind: kind.clone(),
            uuid: uuid.clone(),
        };
    }
    let mut what = Vec::new();
    let mut note = |one: String| {
        if !what.contains(&one) {
            what.push(one);
        }
    };
    if let Probed::Found { kind, table, .. } = probed {
        kind.iter().chain(table).for_each(|one| note(name(one)));
    }
    signatures.iter().for_each(|one| note(name(one)));
    if *probed == Probed::Ambivalent && what.len() < 2 {
        what.push("signatures that contradict each other".to_owned());
    }
    if what.is_empty() {
        if edges.is_zero {
            return Content::Blank;
        }
        what.push(UNKNOWN_BYTES.to_owned());
    }
    Content::Other { what }
}

/// What util-linux calls a signature, for people.
fn name(kind: &str) -> String {
    match kind {
        "crypto_LUKS" => "an encrypted volume (LUKS)".to_owned(),
        "LVM2_member" | "LVM1_member" => "a physical volume of LVM".to_owned(),
        "linux_raid_member" => "a member of a RAID array".to_owned(),
        "swap" | "swsuspend" => "swap space".to_owned(),
        "gpt" => "a partition table (GPT)".to_owned(),
        // A protective MBR is half of a GPT, and one that stands alone is a partition table all the same.
        "dos" | "PMBR" => "a partition table (MBR)".to_owned(),
        other => other.to_owned(),
    }
}

/// The first and last MiB of a device; all of it where it is smaller.
fn edges(device: &Path) -> io::Result<Edges> {
    let mut file = File::open(device)?;
    let size = file.seek(SeekFrom::End(0))?;
    let mut is_zero = true;
    for start in [0, size.saturating_sub(EDGE)] {
        file.seek(SeekFrom::Start(start))?;
        let length = EDGE.min(size);
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(length).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != length {
            // It shrank under the read: what was not read may be anything.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        is_zero &= all_zero(&bytes);
    }
    Ok(Edges { size, is_zero })
}

/// By the page, which is compared as fast as memory is read.
pub(super) fn all_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    let pages = bytes.chunks(ZEROS.len());
    pages
        .into_iter()
        .all(|page| ZEROS.get(..page.len()) == Some(page))
}

async fn probe(device: &Path) -> Result<Probed, BlockError> {
    let command = Command::new("blkid", LOOK)
        .args(["--probe", "--output", "export"])
        .arg(device);
    let ended = command.run().await.map_err(tool("look at", device))?;
    match ended.code {
        0 => Ok(probed(&ended.stdout)),
        // It has one code for "nothing there" and "could not open it".
        BLKID_NOTHING if ended.stderr.trim().is_empty() => Ok(Probed::Nothing),
        BLKID_AMBIVALENT => Ok(Probed::Ambivalent),
        _ => Err(tool("look at", device)(ended.failure())),
    }
}

fn probed(export: &str) -> Probed {
    let value = |key: &str| {
        let mut lines = export.lines().filter_map(|line| line.split_once('='));
        lines
            .find(|(name, _)| *name == key)
            .map(|(_, value)| value.to_owned())
    };
    Probed::Found {
        kind: value("TYPE"),
        filesystem: value("USAGE").as_deref() == Some("filesystem"),
        uuid: value("UUID"),
        table: value("PTTYPE"),
    }
}

/// `wipefs --json`.
#[derive(Deserialize)]
struct Listed {
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// Every signature on a device, by the names of util-linux.
async fn signatures(device: &Path) -> Result<Vec<String>, BlockError> {
    // Without --all it lists and erases nothing; --no-act says so once more.
    let command = Command::new("wipefs", LOOK)
        .args(["--no-act", "--json"])
        .arg(device);
    let ended = command.succeed().await.map_err(tool("look at", device))?;
    listed(&ended).map_err(|words| BlockError::Report {
        program: "wipefs",
        device: device.to_owned(),
        words,
    })
}

fn listed(ended: &Ended) -> Result<Vec<String>, String> {
    if ended.stdout.trim().is_empty() {
        return Ok(Vec::new());
    }
    let listed: Listed = serde_json::from_str(&ended.stdout).map_err(|error| error.to_string())?;
    let unnamed = || "a signature without a name".to_owned();
    Ok(listed
        .signatures
        .into_iter()
        .map(|one| one.kind.unwrap_or_else(unnamed))
        .collect())
}
