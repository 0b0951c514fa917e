//! The last lines of a container's own log, for the reason of a failure.

use std::path::Path;

use monopod_core::logs::{Batch, Joiner, Stream};

use super::files::{LogFile, scan};

/// So much of a file's end is looked at: enough for any reason a person would read.
const WINDOW: u64 = 256 * 1024;

/// Best effort: what can't be read is left out. A line begun and never ended counts as one.
pub(crate) fn tail(path: &Path, lines: usize) -> Vec<String> {
    let mut found = Vec::new();
    for file in scan(path).unwrap_or_default().iter().rev() {
        if found.len() >= lines {
            break;
        }
        let mut older = last_lines(file).unwrap_or_default();
        older.append(&mut found);
        found = older;
    }
    found.split_off(found.len().saturating_sub(lines))
}

fn last_lines(file: &LogFile) -> std::io::Result<Vec<String>> {
    let start = file.len()?.saturating_sub(WINDOW);
    let mut bytes = vec![0; usize::try_from(WINDOW).unwrap_or_default()];
    let read = file.read_at(&mut bytes, start)?;
    bytes.truncate(read);
    // The window begins in the middle of a record.
    let first = if start == 0 {
        0
    } else {
        bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(read, |at| at + 1)
    };
    let (mut joiner, mut batch) = (Joiner::default(), Batch::default());
    joiner.decode(bytes.get(first..).unwrap_or_default(), usize::MAX, &mut batch);
    joiner.flush(&mut batch);
    Ok(batch
        .lines()
        .filter(|line| line.stream != Stream::Monopod)
        .map(|line| line.text.to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{EngineLog, TempDir};

    #[test]
    fn takes_the_last_lines_across_files() {
        let dir = TempDir::new();
        let mut engine = EngineLog::new(dir.path(), 3);
        assert!(tail(engine.path(), 3).is_empty());
        (0..5000).for_each(|number| engine.write(&format!("{number} {}", "x".repeat(100))));
        engine.rotate();
        engine.write("a");
        engine.record("no end", "stderr");
        let lines = tail(engine.path(), 4);
        assert!(
            lines[0].starts_with("4998 ") && lines[1].starts_with("4999 "),
            "{lines:?}"
        );
        assert_eq!(lines[2..], ["a", "no end"]);
    }
}
