//! Follows the record of logins that another unit writes, over its rotation and our restarts.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use monopod_core::event::Event;
use monopod_core::notice::access::news;

use super::tell;
use crate::context::Context;
use crate::host::changes::Tree;

const RECORD: &str = "record.jsonl";
/// What was the record until it was too long.
const BEFORE: &str = "record.jsonl.1";
/// The unit lets it become a megabyte.
const MOST: u64 = 4 << 20;

/// As long as the agent lives.
pub(super) async fn follow(context: &Context) {
    let directory = context.directories.access.as_path();
    let mut tree = match Tree::new() {
        Ok(tree) => tree,
        Err(error) => {
            let text = format!("logins are not told as they happen: no inotify for {RECORD}: {error}");
            context.reporter.tell(Event::Warning { text });
            return std::future::pending().await;
        }
    };
    let mut broken_told = false;
    loop {
        // The record first where it is, then where it will be: nothing falls between the two.
        if tree.ensure(directory).is_err()
            && let Some(parent) = directory.parent()
            && let Err(error) = tree.ensure(parent)
        {
            tracing::debug!(%error, "nobody can log in here by a grant: no {}", directory.display());
            return std::future::pending().await;
        }
        let broken = look(context, directory).await;
        if broken > 0 && !std::mem::replace(&mut broken_told, true) {
            let path = directory.join(RECORD);
            let text = format!(
                "{broken} lines of {} are no record and are not told",
                path.display()
            );
            context.reporter.tell(Event::Warning { text });
        }
        tree.changed(|place, name| match place == directory {
            true => name == RECORD || name == BEFORE,
            false => directory.file_name() == Some(name.as_os_str()),
        })
        .await;
    }
}

/// Tells what is new; how many lines are no record.
async fn look(context: &Context, directory: &Path) -> usize {
    // The newer first: what is moved to the older in between is read twice, and told once.
    let newer = read(&directory.join(RECORD));
    let older = read(&directory.join(BEFORE));
    let position = context.known.get().access.clone();
    let (notices, position, broken) = news(&[&older, &newer], &position);
    if notices.is_empty() {
        return broken;
    }
    for notice in notices {
        tell(context, notice);
        // Each is on the disk by then, and somebody who is refused can make many.
        tokio::task::yield_now().await;
    }
    context.known.note(|told| told.access = position);
    broken
}

fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}
