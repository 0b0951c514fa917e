//! Files that lines arrive in: how many there are, and which.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use monopod_testrig::{Account, Numbered, pause};

/// A file that somebody else writes, looked at for how many lines it has.
pub(super) struct Growing {
    path: PathBuf,
    file: File,
    lines: u64,
    buffer: Vec<u8>,
}

/// How an arrival went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrived {
    pub(super) lines: u64,
    /// Until the last of them came.
    pub(super) seconds: f64,
}

impl Growing {
    /// From its end on.
    pub(super) fn at_end(path: &Path) -> Self {
        let mut file = File::options()
            .create(true)
            .append(true)
            .read(true)
            .open(path)
            .unwrap_or_else(|e| panic!("bench: opening {}: {e}", path.display()));
        std::io::copy(&mut file, &mut std::io::sink()).expect("bench: reading a file");
        Self {
            path: path.to_owned(),
            file,
            lines: 0,
            buffer: vec![0; 256 * 1024],
        }
    }

    /// Empties it: its writer appends.
    pub(super) fn clear(&mut self) {
        self.file.set_len(0).expect("bench: emptying a file");
        *self = Self::at_end(&self.path);
    }

    /// How many came since, those in a file that was put aside meanwhile too.
    pub(super) fn lines(&mut self) -> u64 {
        self.read();
        let inode = |file: io::Result<fs::Metadata>| file.map(|file| file.ino()).ok();
        let named = inode(fs::metadata(&self.path));
        if named.is_some() && named != inode(self.file.metadata()) {
            // Its writer had done with it when the new one got its name.
            self.read();
            self.file = File::open(&self.path).expect("bench: a new file");
            self.read();
        }
        self.lines
    }

    fn read(&mut self) {
        while let Ok(count @ 1..) = self.file.read(&mut self.buffer) {
            let read = &self.buffer[..count];
            self.lines += u64::try_from(read.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(0);
        }
    }
}

/// Waits for so many lines; less when none has come for a while.
pub(super) fn arrival(began: Instant, wanted: u64, mut lines: impl FnMut() -> u64) -> Arrived {
    let patience = Duration::from_secs(4);
    let (mut seen, mut at) = (0, began);
    loop {
        let now = lines();
        if now != seen {
            (seen, at) = (now, Instant::now());
        }
        if seen >= wanted || at.elapsed() > patience {
            return Arrived {
                lines: seen,
                seconds: at.duration_since(began).as_secs_f64(),
            };
        }
        pause(Duration::from_millis(5));
    }
}

/// Looks for every line of a piece in application.log and its old files, once nothing is added to it any more.
pub(super) fn check(logs: &Path, numbered: Numbered) -> Account {
    settle(&logs.join("application.log"));
    let files = (0..20).rev().map(|number| match number {
        0 => logs.join("application.log"),
        number => logs.join(format!("application.log.{number}")),
    });
    let lines = files
        .filter_map(|path| File::open(path).ok())
        .flat_map(|file| BufReader::new(file).split(b'\n').map_while(Result::ok))
        .map(|line| String::from_utf8_lossy(&line).into_owned());
    numbered.check(lines)
}

/// Until a file stays as it is.
fn settle(path: &Path) {
    let length = || fs::metadata(path).map_or(0, |file| file.len());
    let (mut seen, mut since) = (length(), Instant::now());
    while since.elapsed() < Duration::from_secs(2) {
        pause(Duration::from_millis(100));
        let now = length();
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}
