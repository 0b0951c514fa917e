//! A plain file that is written and rotated in every way at random, and a reader that looks when it likes, with real
//! files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use proptest::prelude::*;

use super::plain_tests::Rig;

/// What may happen to a file and to its reader.
#[derive(Clone, Debug)]
enum Step {
    Write(u8),
    /// A line that hasn't ended.
    Begin,
    /// By rename; the writer may go on with the old file, and the new one may be there before it.
    Rename {
        late: bool,
        create: bool,
    },
    /// The first half of the next, at which a look may come.
    Copy,
    CopyAndTruncate,
    Truncate,
    Delete {
        late: bool,
    },
    /// The writer opens its file again.
    Reopen,
    Survey,
    Fill,
    /// Looks and reads until there is nothing more, and the books are checked.
    Check,
    Save,
    /// A stop saves, a kill doesn't.
    Restart {
        save: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..4u8).prop_map(Step::Write),
        1 => Just(Step::Begin),
        2 => any::<(bool, bool)>().prop_map(|(late, create)| Step::Rename { late, create }),
        1 => Just(Step::Copy),
        3 => Just(Step::CopyAndTruncate),
        1 => Just(Step::Truncate),
        1 => any::<bool>().prop_map(|late| Step::Delete { late }),
        1 => Just(Step::Reopen),
        2 => Just(Step::Survey),
        2 => Just(Step::Fill),
        3 => Just(Step::Check),
        1 => Just(Step::Save),
        1 => any::<bool>().prop_map(|save| Step::Restart { save }),
    ]
}

type Id = (u64, std::time::SystemTime);

struct World {
    rig: Rig,
    /// The writer's open file.
    open: Option<File>,
    next: usize,
    date: bool,
    days: u32,
    /// Begun lines, which wait for their end.
    begun: BTreeSet<usize>,
    /// How often each word was read since the start of the reader, and whether ever.
    read: BTreeMap<usize, bool>,
    ever: BTreeSet<usize>,
    /// Words in a gap, and those nobody could know of.
    lost: BTreeSet<usize>,
    unseeable: BTreeSet<usize>,
    seen: BTreeSet<Id>,
    looked: bool,
    /// A copy is made, and the file is to be truncated.
    copying: Option<String>,
    /// Something of what is in the file was seen by a look or a read.
    content_seen: bool,
}

fn words(text: &str) -> Vec<usize> {
    assert_eq!(text.len() % 6, 0, "{text}");
    text.as_bytes()
        .chunks(6)
        .map(|word| std::str::from_utf8(word).unwrap().parse().unwrap())
        .collect()
}

impl World {
    fn new(date: bool) -> Self {
        Self {
            rig: Rig::new(),
            open: None,
            next: 0,
            date,
            days: 0,
            begun: BTreeSet::new(),
            read: BTreeMap::new(),
            ever: BTreeSet::new(),
            lost: BTreeSet::new(),
            unseeable: BTreeSet::new(),
            seen: BTreeSet::new(),
            looked: false,
            copying: None,
            content_seen: false,
        }
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.rig.dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn id(path: &std::path::Path) -> Option<Id> {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.ino(), metadata.created().unwrap()))
    }

    fn contents(path: &std::path::Path) -> Vec<usize> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().flat_map(words).collect()
    }

    fn raw(&mut self, bytes: &str) {
        let path = self.rig.log.path().to_owned();
        let open = || OpenOptions::new().append(true).create(true).open(path).unwrap();
        let file = self.open.get_or_insert_with(open);
        file.write_all(bytes.as_bytes()).unwrap();
        if file.metadata().unwrap().nlink() == 0 {
            // Nobody but who has it open knows of it.
            self.unseeable.insert(self.next);
        }
    }

    /// What goes away before it was ever looked at can't be known.
    fn remove(&mut self, path: &std::path::Path) {
        if Self::id(path).is_some_and(|id| !self.seen.contains(&id)) {
            self.unseeable.extend(Self::contents(path));
        }
        std::fs::remove_file(path).ok();
    }

    fn make_room(&mut self) -> String {
        if self.date {
            self.days += 1;
            let mut dated: Vec<_> = self
                .files()
                .into_iter()
                .filter(|path| path.to_str().unwrap().contains("log-"))
                .collect();
            dated.sort();
            for old in dated.iter().rev().skip(1) {
                self.remove(&old.clone());
            }
            return format!("x.log-{}", 20_260_101 + self.days % 28 + 100 * (self.days / 28));
        }
        let last = self.rig.dir.path().join("x.log.2");
        self.remove(&last);
        self.rig.log.shift(2);
        "x.log.1".into()
    }

    fn truncate(&mut self) {
        let whole = std::fs::read_to_string(self.rig.log.path()).unwrap_or_default();
        if !self.content_seen || !whole.contains('\n') {
            self.unseeable.extend(whole.lines().flat_map(words));
        }
        self.rig.log.truncate();
        self.content_seen = false;
    }

    fn note(&mut self) {
        let ids: Vec<Id> = self.files().iter().filter_map(|path| Self::id(path)).collect();
        self.seen = ids.into_iter().collect();
        self.content_seen = std::fs::metadata(self.rig.log.path()).is_ok_and(|metadata| metadata.len() > 0);
    }

    fn survey(&mut self) {
        if !self.looked {
            // What lies in older files by then is not to be read.
            self.looked = true;
            // Nor what a late writer adds to them.
            self.open = None;
            let current = Self::contents(self.rig.log.path());
            self.unseeable
                .extend((0..self.next).filter(|word| !current.contains(word)));
        }
        self.rig.survey();
        self.note();
    }

    fn fill(&mut self) -> Result<(), TestCaseError> {
        for text in self.rig.fill() {
            for word in words(&text) {
                prop_assert!(self.read.insert(word, true).is_none(), "{} twice", word);
                self.ever.insert(word);
            }
        }
        Ok(())
    }

    fn check(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2 {
            self.survey();
            self.fill()?;
        }
        let gap = !std::mem::take(&mut self.rig.gaps).is_empty();
        let text = std::fs::read_to_string(self.rig.log.path()).unwrap_or_default();
        let waits: BTreeSet<usize> = if text.is_empty() {
            self.begun.clone()
        } else {
            text.rsplit('\n')
                .next()
                .map(words)
                .unwrap_or_default()
                .into_iter()
                .collect()
        };
        if gap {
            // They may be gone, or be read once they end.
            self.lost.extend(&waits);
        }
        for word in (0..self.next).filter(|word| !self.ever.contains(word) && !waits.contains(word)) {
            if self.lost.contains(&word) || self.unseeable.contains(&word) {
                continue;
            }
            prop_assert!(gap, "{} skipped in silence", word);
            prop_assert!(!text.contains(&format!("{word:06}")), "{} is there", word);
            self.lost.insert(word);
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Write(lines) => {
                for _ in 0..lines {
                    self.raw(&format!("{:06}\n", self.next));
                    self.next += 1;
                }
            }
            Step::Begin => {
                self.begun.insert(self.next);
                self.raw(&format!("{:06}", self.next));
                self.next += 1;
            }
            Step::Rename { late, create } => {
                if self.copying.is_some() || !self.rig.log.path().exists() {
                    return Ok(());
                }
                let name = self.make_room();
                self.rig.log.rename_to(&name);
                self.content_seen = false;
                if create {
                    self.rig.log.raw(b"");
                }
                if !late {
                    self.open = None;
                }
            }
            Step::Copy if self.copying.is_none() && self.rig.log.path().exists() => {
                let name = self.make_room();
                self.rig.log.copy_to(&name);
                self.copying = Some(name);
            }
            Step::Copy => {}
            Step::CopyAndTruncate => {
                self.step(&Step::Copy)?;
                if let Some(name) = self.copying.take() {
                    self.truncate();
                    let copy = self.rig.dir.path().join(&name);
                    // A copy of a line that hasn't ended can't be told from one that is being made.
                    if std::fs::read_to_string(&copy).is_ok_and(|text| text.contains('\n')) {
                        let copied = Self::contents(&copy);
                        self.unseeable.retain(|word| !copied.contains(word));
                    }
                }
            }
            // Nobody does these while a copy is made.
            Step::Truncate | Step::Delete { .. } if self.copying.is_some() => {}
            Step::Truncate => self.truncate(),
            Step::Delete { late } => {
                let path = self.rig.log.path().to_owned();
                self.remove(&path);
                self.content_seen = false;
                if !late {
                    self.open = None;
                }
            }
            Step::Reopen => self.open = None,
            Step::Survey => self.survey(),
            Step::Fill => self.fill()?,
            Step::Check => self.check()?,
            Step::Save => self.rig.save(),
            Step::Restart { save } => {
                if save {
                    self.rig.save();
                }
                if self.rig.cursor.position.is_none() && self.rig.cursor.ahead.is_empty() {
                    self.looked = false;
                }
                self.rig.restart();
                self.read.clear();
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is done to a file between looks at random moments: a line is read, or a gap is told when it's missed;
    /// and no line is read twice without a restart.
    #[test]
    fn nothing_is_skipped_in_silence_nor_read_twice(date: bool, steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::new(date);
        for step in &steps {
            world.step(step)?;
        }
        world.check()?;
    }
}
