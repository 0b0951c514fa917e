//! What the demo shows: headings, other people's lines with their names in front, and check marks that are counted.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use monopod_testrig::Journal;

/// Fits a terminal of 100 columns with the time and the name in front.
const WIDTH: usize = 80;

#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
    Magenta = 35,
    Cyan = 36,
}

/// The terminal, and what has been seen.
pub(crate) struct Screen {
    began: Instant,
    colours: bool,
    checks: Vec<(String, bool)>,
}

/// Prints lines as they come, until it is told to stop.
pub(crate) struct Follower {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Follower {
    /// Prints what has come by now, and no more.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.thread.join());
    }
}

impl Screen {
    pub(crate) fn new() -> Self {
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            began: Instant::now(),
            colours,
            checks: Vec::new(),
        }
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.colours {
            format!("\x1b[{}m{text}\x1b[0m", colour as u8)
        } else {
            text.to_owned()
        }
    }

    pub(crate) fn heading(&self, text: &str) {
        println!("\n{}", self.paint(Colour::Cyan, &format!("── {text} ")));
    }

    /// Text of our own, as it is.
    pub(crate) fn show(&self, text: &str) {
        for line in fold(text, WIDTH + 14) {
            println!("   {line}");
        }
    }

    /// The same with the middle of long lines left out.
    pub(crate) fn show_short(&self, text: &str) {
        for line in text.lines() {
            println!("   {}", shorten(line, WIDTH + 16));
        }
    }

    /// Something that had to be seen; shown at once, and again in the end.
    pub(crate) fn check(&mut self, what: &str, seen: bool) {
        let (mark, colour) = if seen {
            ("✓", Colour::Green)
        } else {
            ("✗", Colour::Red)
        };
        println!("   {} {what}", self.paint(colour, mark));
        self.checks.push((what.to_owned(), seen));
    }

    /// Shows the entries of a journal as they come.
    pub(crate) fn follow<T: Clone + Send + 'static>(
        &self,
        name: &'static str,
        colour: Colour,
        journal: &Journal<T>,
        text: fn(&T) -> String,
    ) -> Follower {
        let stop = Arc::new(AtomicBool::new(false));
        let (journal, flag, began) = (journal.clone(), Arc::clone(&stop), self.began);
        let prefix = self.paint(colour, &format!("{name:<8}|"));
        let thread = thread::spawn(move || {
            let mut shown = 0;
            loop {
                let last = flag.load(Ordering::SeqCst);
                let patience = if last {
                    Duration::ZERO
                } else {
                    Duration::from_millis(100)
                };
                let new =
                    journal.wait_for(patience, |all| (all.len() > shown).then(|| all[shown..].to_vec()));
                let Some(new) = new else {
                    if last {
                        return;
                    }
                    continue;
                };
                shown += new.len();
                let time = began.elapsed().as_secs_f64();
                for line in new.iter().flat_map(|entry| fold(&text(entry), WIDTH)) {
                    println!("{time:6.2}s {prefix} {line}");
                }
            }
        });
        Follower { stop, thread }
    }

    /// The check marks again; true if none is missing.
    pub(crate) fn summary(&self) -> bool {
        self.heading(&format!(
            "What was seen, in {:.1} s",
            self.began.elapsed().as_secs_f64()
        ));
        for (what, seen) in &self.checks {
            let (mark, colour) = if *seen {
                ("✓", Colour::Green)
            } else {
                ("✗", Colour::Red)
            };
            println!("   {} {what}", self.paint(colour, mark));
        }
        let missing = self.checks.iter().filter(|(_, seen)| !seen).count();
        let verdict = if missing == 0 {
            self.paint(Colour::Green, &format!("all {} seen", self.checks.len()))
        } else {
            self.paint(
                Colour::Red,
                &format!("{missing} of {} missing", self.checks.len()),
            )
        };
        println!("\n   {verdict}\n");
        missing == 0
    }
}

/// A long line in pieces, broken between words where there are some, those after the first moved in.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut letters: Vec<char> = line.trim_end().chars().collect();
        while letters.len() > width {
            // Not so far back that the indent would be all that is left.
            let space = (width / 2..width).rev().find(|place| letters[*place] == ' ');
            let rest = letters.split_off(space.map_or(width, |place| place + 1));
            lines.push(letters.iter().collect::<String>());
            letters = [' ', ' '].into_iter().chain(rest).collect();
        }
        lines.push(letters.into_iter().collect());
    }
    lines
}

/// A long line with its middle left out, as nobody reads a ciphertext.
fn shorten(line: &str, width: usize) -> String {
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= width {
        return line.to_owned();
    }
    let head: String = letters[..width - 12].iter().collect();
    let tail: String = letters[letters.len() - 9..].iter().collect();
    format!("{head}...{tail}")
}
