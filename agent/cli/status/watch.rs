//! `monopod status --watch`: drawn anew in its place on a terminal, a line a change anywhere else.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::time::Duration;

use monopod_core::record;
use monopod_core::text;
use tokio::signal::unix::{SignalKind, signal};

use super::{Seen, look};
use crate::boot::error::EXIT_TRANSIENT;
use crate::host::clock;
use crate::logs::read::Waiter;

/// Times that are shown as "so long ago" go on while nothing changes, and an agent can be gone without a word.
const TICK: Duration = Duration::from_secs(1);

/// Shows it until Ctrl-C, or until nobody reads it any more: both are an end as asked.
pub(super) fn watch(runtime: &Path) -> u8 {
    let started = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|tokio| tokio.block_on(show(runtime)));
    match started {
        Ok(()) => 0,
        Err(error) => {
            tracing::error!("the status can't be watched: {error}");
            EXIT_TRANSIENT
        }
    }
}

async fn show(runtime: &Path) -> io::Result<()> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let mut waiter = Waiter::new();
    waiter.watch(runtime);
    let mut screen = Screen::new();
    while screen.show(&look(runtime)) {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = waiter.changed() => {}
            () = tokio::time::sleep(TICK) => {}
        }
    }
    Ok(())
}

/// Standard output, and what stands on it.
enum Screen {
    /// Drawn over.
    Terminal {
        /// Nothing of ours is there yet.
        fresh: bool,
    },
    /// Lines; the last one.
    Lines(String),
}

impl Screen {
    fn new() -> Self {
        match io::stdout().is_terminal() {
            true => Self::Terminal { fresh: true },
            false => Self::Lines(String::new()),
        }
    }

    /// Whether anybody still reads.
    fn show(&mut self, seen: &Seen) -> bool {
        let now = clock::now_millis();
        let text = match self {
            Self::Terminal { fresh } => {
                let text = drawn(&full(seen, now), std::mem::take(fresh));
                Some(text)
            }
            Self::Lines(last) => {
                let line = headline(seen);
                let is_news = *last != line;
                last.clone_from(&line);
                is_news.then(|| format!("{} {line}\n", text::timestamp(now / 1000)))
            }
        };
        let Some(text) = text else {
            return true;
        };
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .is_ok()
    }
}

fn full(seen: &Seen, now: u64) -> String {
    match seen {
        Seen::Record(record, agent) => record::to_text(record, *agent, now),
        Seen::Nothing | Seen::Unreadable(_) => format!("{}\n", headline(seen)),
    }
}

fn headline(seen: &Seen) -> String {
    match seen {
        Seen::Record(record, agent) => record::headline(record, *agent),
        Seen::Nothing => record::unknown_line().to_owned(),
        Seen::Unreadable(why) => format!("monopod: {}", text::printable(why)),
    }
}

/// From the top, each line wiped behind its end, and everything below wiped: nothing flickers, nothing is left over.
fn drawn(text: &str, fresh: bool) -> String {
    let clear = if fresh { "\x1b[2J" } else { "" };
    let lines = text.replace('\n', "\x1b[K\n");
    format!("{clear}\x1b[H{lines}\x1b[J")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_longer_before_is_wiped() {
        assert_eq!(drawn("a\nb\n", true), "\x1b[2J\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(drawn("a\n", false), "\x1b[Ha\x1b[K\n\x1b[J");
    }
}
