//! The files of the machine's audit log: which there are, what of them is sent, and how they go when they are.
//!
//! Others write here, so nothing is believed of a name: a file is opened without following links, has to be a regular
//! one, and is removed only if the name still means the file that was sent (logrotate renames while we send).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::engine::general_purpose::STANDARD;
use base64::write::EncoderWriter;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use monopod_core::audit::{Name, left_name};
use nix::fcntl::OFlag;

/// A body of it is in memory while it is sent.
pub(super) const MOST_BYTES: u64 = 8 << 20;
/// Of the live file, which is compressed on its way: what is behind it is sent at the next boot.
const MOST_LIVE: u64 = 64 << 20;
/// A file that is no whole gzip for so long will never be one.
const BEING_WRITTEN: Duration = Duration::from_secs(600);

/// Who a file is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    device: u64,
    inode: u64,
}

/// A file to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) path: PathBuf,
    pub(super) id: Id,
    pub(super) name: Name,
}

/// What can be sent of a file.
#[derive(Debug)]
pub(super) enum Content {
    /// It is in the body, up to this place in the file.
    Ready(u64),
    /// Nothing is left to send.
    Empty,
    /// It is not whole yet.
    Growing,
    /// It will never be sent; why.
    Unusable(String),
}

/// What there is to send: rotated files, what an earlier boot has left, and the live one if asked for. The oldest first.
pub(super) fn pending(directory: &Path, boot_id: &str, live: bool) -> io::Result<Vec<LogFile>> {
    let mut found: Vec<(i64, LogFile)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().and_then(|name| Name::of(name, boot_id)) else {
            continue;
        };
        let wanted = match name {
            Name::Rotated | Name::Left(_) => true,
            Name::Live | Name::Leaving(_) => live,
        };
        // Gone since, or renamed: the next look finds it.
        let Ok(about) = entry.metadata() else { continue };
        // A link is one, not what it leads to.
        if wanted && about.is_file() {
            let file = LogFile {
                path: entry.path(),
                id: id(&about),
                name,
            };
            found.push((about.mtime(), file));
        }
    }
    found.sort_by_key(|(changed, file)| (*changed, file.id));
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

/// Appends a file's base64 to the body.
pub(super) fn encode(file: &LogFile, body: &mut Vec<u8>) -> io::Result<Content> {
    let mut opened = OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(&file.path)?;
    let about = opened.metadata()?;
    if !about.is_file() || id(&about) != file.id {
        return Ok(Content::Growing);
    }
    match file.name {
        Name::Rotated => rotated(&mut opened, &about, body),
        Name::Live => compressed(&mut opened, 0, about.len(), body),
        Name::Left(sent) | Name::Leaving(sent) => compressed(&mut opened, sent, about.len(), body),
    }
}

fn rotated(file: &mut File, about: &fs::Metadata, body: &mut Vec<u8>) -> io::Result<Content> {
    if about.len() > MOST_BYTES {
        return Ok(Content::Unusable(format!(
            "it has {}, more than the {} that are sent in one piece",
            monopod_core::text::bytes(about.len()),
            monopod_core::text::bytes(MOST_BYTES)
        )));
    }
    // Whoever compresses it may still be at it.
    if let Err(error) = io::copy(&mut MultiGzDecoder::new(&mut *file), &mut io::sink()) {
        let age = about.modified().ok().and_then(|changed| changed.elapsed().ok());
        return Ok(match age {
            Some(age) if age > BEING_WRITTEN => {
                Content::Unusable(format!("it is no whole gzip file: {error}"))
            }
            _ => Content::Growing,
        });
    }
    file.seek(SeekFrom::Start(0))?;
    let mut encoder = EncoderWriter::new(body, &STANDARD);
    io::copy(&mut (&mut *file).take(MOST_BYTES), &mut encoder)?;
    encoder.finish()?;
    Ok(Content::Ready(about.len()))
}

fn compressed(file: &mut File, from: u64, to: u64, body: &mut Vec<u8>) -> io::Result<Content> {
    if to <= from {
        return Ok(Content::Empty);
    }
    file.seek(SeekFrom::Start(from))?;
    let end = to.min(from.saturating_add(MOST_LIVE));
    let mut encoder = EncoderWriter::new(body, &STANDARD);
    let mut gzip = GzEncoder::new(&mut encoder, Compression::default());
    let copied = io::copy(&mut file.take(end - from), &mut gzip)?;
    gzip.finish()?.flush()?;
    encoder.finish()?;
    Ok(Content::Ready(from + copied))
}

/// The receiver has the file up to there: it goes, and of one that somebody may append to, its name says how much is sent.
pub(super) fn settle(file: &LogFile, sent: u64, boot_id: &str) -> io::Result<()> {
    let Some(path) = now_at(file)? else {
        // Somebody else has removed it.
        return Ok(());
    };
    match file.name {
        Name::Rotated => fs::remove_file(path),
        Name::Left(_) if fs::metadata(&path)?.len() <= sent => fs::remove_file(path),
        Name::Live | Name::Leaving(_) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::rename(&path, directory.join(left_name(sent, boot_id)))
        }
        // More than one piece: the name has to say so in a form that is this boot's to read on.
        Name::Left(_) => {
            let directory = path.parent().unwrap_or(Path::new("/"));
            fs::rename(&path, directory.join(left_name(sent, "0")))
        }
    }
}

/// Where the file is now: under its own name, or under the one that rotation has given it meanwhile.
fn now_at(file: &LogFile) -> io::Result<Option<PathBuf>> {
    let is_it = |path: &Path| fs::symlink_metadata(path).is_ok_and(|about| id(&about) == file.id);
    if is_it(&file.path) {
        return Ok(Some(file.path.clone()));
    }
    let directory = file.path.parent().unwrap_or(Path::new("/"));
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let named = path.file_name().and_then(|name| name.to_str());
        if named.is_some_and(|name| name.starts_with("audit.log")) && is_it(&path) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn id(about: &fs::Metadata) -> Id {
    Id {
        device: about.dev(),
        inode: about.ino(),
    }
}
