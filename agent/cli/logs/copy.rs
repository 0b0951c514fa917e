//! `monopod logs` for who may not read the engine's files, a guest: application.log, and what was put aside of it.
//!
//! It has the same lines without their times and streams, in files that the agent renames (`.1`, `.2`, ...) and compresses
//! (`.3.gz`). They are opened newest first, so that a rename in between shows a file twice, which is seen, and loses none.
//!
//! Invariant: memory is a line, however long the log is and however many of its lines are asked for.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use monopod_core::logs::{Line, Stream};

use super::print::Printer;
use super::show::Stop;
use super::{Failure, LogsArgs};
use crate::logs::numbered;
use crate::logs::read::{Waiter, folder};

/// The agent's name for it.
const NAME: &str = "application.log";
/// Of a line without an end; the rest of it is another line.
const LONGEST: u64 = 1 << 20;

/// Shows it, with what was asked for, and says that it is not the engine's; `denied` is what could not be read.
pub(super) async fn show(args: &LogsArgs, denied: PathBuf) -> Result<(), Failure> {
    let path = args.logs_directory.join(NAME);
    if let Some(option) = unknown_here(args) {
        return Err(Failure::OnlyText {
            path: denied,
            copy: path,
            option,
        });
    }
    let mut stop = Stop::new().map_err(Failure::Runtime)?;
    // Watched before anything is read, so that nothing goes unnoticed in between.
    let mut waiter = args.follow.then(Waiter::new);
    if let Some(waiter) = &waiter {
        waiter.watch(&folder(&path));
    }
    let files = files(&path).map_err(|error| Failure::reading(&path, error))?;
    if files.is_empty() {
        return Err(Failure::NoCopy {
            path: denied,
            copy: path,
        });
    }
    tracing::warn!(
        "{} is root's to read: showing {}, which has no times",
        denied.display(),
        path.display()
    );
    let mut session = Session {
        printer: Printer::new(false, false),
        rest: Rest::new(files, args.lines).map_err(|error| Failure::reading(&path, error))?,
        path,
        follow: args.follow,
    };
    loop {
        let (back, result) = tokio::select! {
            done = tokio::task::spawn_blocking(move || {
                let result = session.read_on();
                (session, result)
            }) => done.map_err(|error| Failure::Runtime(io::Error::other(error)))?,
            () = stop.asked() => return Ok(()),
        };
        session = back;
        match result {
            // The reader has what it wanted (`| head`).
            Err(Failure::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
        let Some(waiter) = &mut waiter else {
            return Ok(());
        };
        tokio::select! {
            _ = waiter.changed() => {}
            () = stop.asked() => return Ok(()),
        }
    }
}

/// What was asked for and is not in these lines.
fn unknown_here(args: &LogsArgs) -> Option<&'static str> {
    [
        (args.since.is_some(), "--since"),
        (args.until.is_some(), "--until"),
        (args.stream.is_some(), "--stream"),
        (args.timestamps, "--timestamps"),
        (args.json, "--json"),
    ]
    .into_iter()
    .find_map(|(is_asked, option)| is_asked.then_some(option))
}

/// One of the files.
#[derive(Debug)]
struct Piece {
    file: File,
    is_packed: bool,
    id: (u64, u64),
}

impl Piece {
    fn open(path: &Path, is_packed: bool) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let about = file.metadata()?;
        Ok(Some(Self {
            file,
            is_packed,
            id: (about.dev(), about.ino()),
        }))
    }

    /// From its beginning.
    fn reader(&self) -> io::Result<BufReader<Box<dyn Read + Send>>> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(BufReader::new(if self.is_packed {
            Box::new(MultiGzDecoder::new(file))
        } else {
            Box::new(file)
        }))
    }

    fn lines(&self) -> io::Result<u64> {
        let (mut reader, mut line, mut lines) = (self.reader()?, Vec::new(), 0);
        while next(&mut reader, &mut line)? {
            lines += 1;
            line.clear();
        }
        Ok(lines)
    }
}

/// Appends what there is of the next line; false at the end.
fn next(reader: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    reader.take(LONGEST).read_until(b'\n', line).map(|read| read > 0)
}

/// All there are, newest first.
fn files(path: &Path) -> io::Result<Vec<Piece>> {
    let mut found: Vec<Piece> = Vec::new();
    for number in 0.. {
        let plain = numbered(path, number);
        let mut packed = plain.clone().into_os_string();
        packed.push(".gz");
        // Compressed between two looks, it is under the other name.
        let mut piece = Piece::open(&plain, false)?;
        if piece.is_none() && number > 0 {
            piece = Piece::open(Path::new(&packed), true)?;
        }
        match piece {
            Some(piece) if found.iter().any(|known| known.id == piece.id) => {}
            Some(piece) => found.push(piece),
            // A new one is made with the first line after a rotation.
            None if number == 0 => {}
            None => break,
        }
    }
    Ok(found)
}

/// What is still to be read: pieces, oldest last, and the line that the newest one ends in.
struct Rest {
    pieces: Vec<Piece>,
    skip: u64,
    reader: BufReader<Box<dyn Read + Send>>,
    id: (u64, u64),
    line: Vec<u8>,
}

impl Rest {
    /// Of files that are there newest first, the last so many lines.
    fn new(mut pieces: Vec<Piece>, last: Option<u64>) -> io::Result<Self> {
        let mut skip = 0;
        if let Some(last) = last {
            let (mut lines, mut wanted) = (0, 0);
            for piece in &pieces {
                lines += piece.lines()?;
                wanted += 1;
                if lines >= last {
                    skip = lines - last;
                    break;
                }
            }
            pieces.truncate(wanted);
        }
        let oldest = pieces.pop().ok_or(io::ErrorKind::NotFound)?;
        Ok(Self {
            reader: oldest.reader()?,
            id: oldest.id,
            pieces,
            skip,
            line: Vec::new(),
        })
    }

    /// Shows what there is, to the end of the newest piece.
    fn read(
        &mut self,
        mut show: impl FnMut(&[u8]) -> Result<(), Failure>,
        path: &Path,
    ) -> Result<(), Failure> {
        let unread = |error| Failure::reading(path, error);
        loop {
            while next(&mut self.reader, &mut self.line).map_err(unread)? {
                // A line that is being written ends with what comes next.
                if self.line.ends_with(b"\n") || self.line.len() as u64 >= LONGEST {
                    self.give(&mut show)?;
                }
            }
            let Some(newer) = self.pieces.pop() else {
                return Ok(());
            };
            self.give(&mut show)?;
            (self.reader, self.id) = (newer.reader().map_err(unread)?, newer.id);
        }
    }

    /// The line there is, whole or not.
    fn give(&mut self, show: &mut impl FnMut(&[u8]) -> Result<(), Failure>) -> Result<(), Failure> {
        if !self.line.is_empty() {
            match self.skip.checked_sub(1) {
                Some(left) => self.skip = left,
                None => show(self.line.strip_suffix(b"\n").unwrap_or(&self.line))?,
            }
            self.line.clear();
        }
        Ok(())
    }

    /// Takes up what came after the piece that is being read, once that was put aside. Nothing is written to it after that:
    /// what it has by then is read first.
    fn take_up(&mut self, path: &Path) -> io::Result<bool> {
        let now = match fs::metadata(path) {
            Ok(now) => (now.dev(), now.ino()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if now == self.id {
            return Ok(false);
        }
        let mut newer = files(path)?;
        match newer.iter().position(|piece| piece.id == self.id) {
            Some(read) => newer.truncate(read),
            None => {
                newer.truncate(1);
                tracing::warn!("the file was put aside and compressed meanwhile: lines may be left out");
            }
        }
        self.pieces = newer;
        Ok(!self.pieces.is_empty())
    }
}

struct Session {
    path: PathBuf,
    rest: Rest,
    printer: Printer,
    follow: bool,
}

impl Session {
    /// Prints what there is.
    fn read_on(&mut self) -> Result<(), Failure> {
        let printer = &mut self.printer;
        let mut show = |text: &[u8]| {
            let line = Line {
                time: "",
                stream: Stream::Stdout,
                text: &String::from_utf8_lossy(text),
            };
            printer.line(&line).map_err(Failure::Write)
        };
        // Asked before the end is read: what was written before a rotation is in the file by then.
        while self.follow
            && self
                .rest
                .take_up(&self.path)
                .map_err(|error| Failure::reading(&self.path, error))?
        {
            self.rest.read(&mut show, &self.path)?;
        }
        self.rest.read(&mut show, &self.path)?;
        if !self.follow {
            self.rest.give(&mut show)?;
        }
        self.printer.flush().map_err(Failure::Write)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::logs::testing::TempDir;

    fn write(path: &Path, number: usize, text: &str) {
        fs::write(numbered(path, number), text).unwrap();
    }

    /// A log in four files: one compressed, one ending in the middle of a line.
    fn log(directory: &TempDir) -> PathBuf {
        let path = directory.path().join(NAME);
        let packed = directory.path().join("application.log.3.gz");
        let mut packer = GzEncoder::new(File::create(packed).unwrap(), Compression::fast());
        packer.write_all(b"1\n2\n").unwrap();
        packer.finish().unwrap();
        write(&path, 2, "3\n");
        write(&path, 1, "4\n5\n");
        write(&path, 0, "6\n7");
        path
    }

    fn read(rest: &mut Rest, path: &Path) -> String {
        let mut shown = Vec::new();
        let mut show = |text: &[u8]| {
            shown.push(String::from_utf8(text.to_owned()).unwrap());
            Ok(())
        };
        rest.read(&mut show, path).unwrap();
        shown.join(" ")
    }

    #[test]
    fn oldest_first_and_the_last_ones_alone_where_they_are_asked_for() {
        let directory = TempDir::new();
        let path = log(&directory);
        for (last, wanted) in [
            (None, "1 2 3 4 5 6"),
            (Some(0), ""),
            (Some(1), ""),
            (Some(3), "5 6"),
            (Some(6), "2 3 4 5 6"),
            (Some(99), "1 2 3 4 5 6"),
        ] {
            let mut rest = Rest::new(files(&path).unwrap(), last).unwrap();
            assert_eq!(read(&mut rest, &path), wanted, "{last:?}");
            // The one that is being written counts, and is shown when it ends or nobody waits for that.
            assert_eq!(rest.line, b"7");
        }
    }

    #[test]
    fn rotations_are_followed() {
        let directory = TempDir::new();
        let path = log(&directory);
        let mut rest = Rest::new(files(&path).unwrap(), Some(1)).unwrap();
        assert_eq!(read(&mut rest, &path), "");
        let append = |text: &[u8]| {
            let mut file = File::options().append(true).open(&path).unwrap();
            file.write_all(text).unwrap();
        };
        append(b"7\n8\n");
        assert!(!rest.take_up(&path).unwrap());
        assert_eq!(read(&mut rest, &path), "77 8");
        append(b"9\n");
        // Twice, before anybody looks.
        for text in ["10\n", "11\n"] {
            fs::rename(numbered(&path, 1), numbered(&path, 2)).unwrap();
            fs::rename(&path, numbered(&path, 1)).unwrap();
            write(&path, 0, text);
        }
        assert!(rest.take_up(&path).unwrap());
        assert_eq!(read(&mut rest, &path), "9 10 11");
        assert!(!rest.take_up(&path).unwrap());
    }

    #[test]
    fn what_these_lines_do_not_have_is_said() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Command {
            #[command(flatten)]
            logs: LogsArgs,
        }
        for (line, wanted) in [
            ("logs -f -n 3", None),
            ("logs --since 5m", Some("--since")),
            ("logs --stream stderr", Some("--stream")),
            ("logs --json", Some("--json")),
        ] {
            let args = Command::parse_from(line.split(' '));
            assert_eq!(unknown_here(&args.logs), wanted, "{line}");
        }
    }
}
