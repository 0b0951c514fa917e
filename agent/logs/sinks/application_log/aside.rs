//! Files put aside: `application.log.1`, `.2`, `.3.gz`. Which there are, and making them smaller.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;
use monopod_core::logs::RotatedFile;

use crate::logs::files::numbered;

const CHUNK: usize = 128 * 1024;

/// A file put aside.
#[derive(Debug)]
pub(super) struct Aside {
    pub(super) file: RotatedFile,
    pub(super) path: PathBuf,
    compressed: bool,
}

impl Aside {
    /// All there are, lowest number first.
    pub(super) fn find(path: &Path) -> io::Result<Vec<Self>> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
        else {
            return Ok(Vec::new());
        };
        let mut found: Vec<Self> = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            let entry_name = entry.file_name();
            let suffix = entry_name
                .to_str()
                .and_then(|entry| entry.strip_prefix(name))
                .and_then(|rest| rest.strip_prefix('.'));
            let Some(suffix) = suffix else { continue };
            let (number, compressed) = match suffix.strip_suffix(".gz") {
                Some(number) => (number, true),
                None => (suffix, false),
            };
            let Some(number) = number.parse().ok().filter(|number| *number > 0) else {
                continue;
            };
            let size = entry.metadata()?.len();
            found.push(Self {
                file: RotatedFile { number, size },
                path: entry.path(),
                compressed,
            });
        }
        found.sort_by_key(|file| (file.file.number, !file.compressed));
        // A kill between the two: the compressed one is whole, or it would have another name.
        let mut before: Option<usize> = None;
        let mut double = Vec::new();
        found.retain(|file| {
            let again = before == Some(file.file.number);
            before = Some(file.file.number);
            if again {
                double.push(file.path.clone());
            }
            !again
        });
        double.iter().try_for_each(std::fs::remove_file)?;
        Ok(found)
    }

    /// Its name with another number.
    pub(super) fn renumbered(&self, log: &Path, number: usize) -> PathBuf {
        let plain = numbered(log, number);
        if self.compressed {
            with_suffix(&plain, ".gz")
        } else {
            plain
        }
    }
}

/// Compresses files put aside, one at a time, on a thread of its own: the lines don't wait for it.
#[derive(Debug, Default)]
pub(super) struct Compressor(Option<JoinHandle<()>>);

impl Compressor {
    /// Compresses what should be by now, unless that is under way. The newest one only if nobody needs to know it by its
    /// inode any more.
    pub(super) fn start(&mut self, log: &Path, from: Option<usize>, newest_too: bool) {
        let Some(from) = from else { return };
        if self.0.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.finish();
        let due: Vec<PathBuf> = Aside::find(log)
            .unwrap_or_default()
            .into_iter()
            .filter(|file| !file.compressed && file.file.number >= from)
            .filter(|file| newest_too || file.file.number > 1)
            .map(|file| file.path)
            .collect();
        if due.is_empty() {
            return;
        }
        let work = move || {
            for path in due {
                if let Err(error) = compress(&path) {
                    tracing::warn!(file = %path.display(), %error, "An old log file can't be compressed, it stays as it is");
                }
            }
        };
        self.0 = std::thread::Builder::new()
            .name("compress".into())
            .spawn(work)
            .ok();
    }

    /// Waits for it: nobody renames a file that is being compressed.
    pub(super) fn finish(&mut self) {
        if let Some(thread) = self.0.take()
            && thread.join().is_err()
        {
            tracing::warn!("Compressing an old log file ended in a panic, ignoring");
        }
    }
}

/// Written beside, synced, renamed, and only then is the original removed.
fn compress(path: &Path) -> io::Result<()> {
    let beside = with_suffix(path, ".gz.new");
    let packed = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(&beside)?;
    let written = pack(path, packed);
    if written.is_err() {
        // Half a file is of use to nobody, and the disk may be full.
        std::fs::remove_file(&beside).ok();
    }
    written?;
    std::fs::rename(&beside, with_suffix(path, ".gz"))?;
    std::fs::remove_file(path)
}

fn pack(path: &Path, packed: File) -> io::Result<()> {
    let mut plain = File::open(path)?;
    let mut encoder = GzEncoder::new(packed, Compression::fast());
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = plain.read(&mut chunk)?;
        if read == 0 {
            return encoder.finish()?.sync_all();
        }
        encoder.write_all(chunk.get(..read).unwrap_or_default())?;
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
