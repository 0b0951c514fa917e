//! Mistyped files, each with exactly one slip, from good ones and a seed.
//!
//! A file is read line by line: what stands in it as a key or as a word of a closed set, by the table, is a [`Site`].
//! A slip is what hands do to one word. A slip that gives another good word is none, and is not used.

use std::collections::BTreeSet;

use crate::table::{KEYS, VALUES};

pub(crate) type Words = &'static [&'static str];

/// What was mistyped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Key,
    InnerKey,
    Choice,
    Protocol,
    Capability,
    Flag,
    StrictFlag,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Key,
        Self::InnerKey,
        Self::Choice,
        Self::Protocol,
        Self::Capability,
        Self::Flag,
        Self::StrictFlag,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::InnerKey => "inner-key",
            Self::Choice => "choice",
            Self::Protocol => "protocol",
            Self::Capability => "capability",
            Self::Flag => "flag",
            Self::StrictFlag => "strict-flag",
        }
    }

    fn is_key(self) -> bool {
        matches!(self, Self::Key | Self::InnerKey)
    }

    /// Upper and lower case are the same to these, so changing it is no typo.
    fn takes_any_case(self) -> bool {
        matches!(
            self,
            Self::Protocol | Self::Capability | Self::Flag | Self::StrictFlag
        )
    }
}

/// What hands do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slip {
    Swap,
    Drop,
    Double,
    Neighbour,
    Case,
    Joint,
    Blank,
    Plural,
}

impl Slip {
    pub(crate) const ALL: [Self; 8] = [
        Self::Swap,
        Self::Drop,
        Self::Double,
        Self::Neighbour,
        Self::Case,
        Self::Joint,
        Self::Blank,
        Self::Plural,
    ];
}

/// A word that can be mistyped: where it stands, and what else could stand there.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) file: usize,
    /// From 1.
    pub(crate) line: usize,
    /// Byte offset in the file.
    start: usize,
    pub(crate) word: &'static str,
    words: Words,
    pub(crate) kind: Kind,
    /// Its path in the table.
    pub(crate) path: String,
}

/// One mistyped file.
#[derive(Clone, Debug)]
pub(crate) struct Typo {
    pub(crate) site: Site,
    pub(crate) slip: Slip,
    pub(crate) typed: String,
    pub(crate) text: String,
}

/// SplitMix64: small, seeded, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(limit.max(1)).unwrap()).unwrap()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }
}

/// `count` different mistyped files: slips and kinds take turns, places and letters are drawn.
pub(crate) fn typos(files: &[String], sites: &[Site], count: usize, random: &mut Random) -> Vec<Typo> {
    let kinds: Vec<Vec<Site>> = Kind::ALL
        .iter()
        .map(|kind| sites.iter().filter(|site| site.kind == *kind).cloned().collect())
        .filter(|sites: &Vec<Site>| !sites.is_empty())
        .collect();
    let mut seen = BTreeSet::new();
    let mut typos = Vec::new();
    // Some slips are impossible in some words, and small kinds run out of new ones.
    for turn in 0..count * 40 {
        let slip = Slip::ALL[turn % Slip::ALL.len()];
        let kind = turn / Slip::ALL.len();
        // Keys are what is written most, so every other turn is theirs.
        let sites = if kind.is_multiple_of(2) {
            &kinds[0]
        } else {
            &kinds[kind / 2 % kinds.len()]
        };
        let Some(site) = random.pick(sites) else { continue };
        let Some(typed) = mistyped(site, slip, random) else {
            continue;
        };
        if !seen.insert((site.file, site.start, typed.clone())) {
            continue;
        }
        let text = &files[site.file];
        let text = format!(
            "{}{typed}{}",
            &text[..site.start],
            &text[site.start + site.word.len()..]
        );
        typos.push(Typo {
            site: site.clone(),
            slip,
            typed,
            text,
        });
        if typos.len() == count {
            break;
        }
    }
    typos
}

fn mistyped(site: &Site, slip: Slip, random: &mut Random) -> Option<String> {
    let mut letters: Vec<char> = site.word.chars().collect();
    let at = random.below(letters.len());
    match slip {
        Slip::Swap => letters.swap(at, (at + 1).min(site.word.len() - 1)),
        Slip::Drop => {
            letters.remove(at);
        }
        Slip::Double => letters.insert(at, letters[at]),
        Slip::Neighbour => letters[at] = neighbour(letters[at], random)?,
        Slip::Case if site.kind.takes_any_case() => return None,
        Slip::Case => match random.below(3) {
            0 => letters
                .iter_mut()
                .for_each(|letter| *letter = letter.to_ascii_uppercase()),
            1 => letters[0] = other_case(letters[0]),
            _ => letters[at] = other_case(letters[at]),
        },
        Slip::Joint | Slip::Blank => {
            let joints: Vec<usize> = (0..letters.len())
                .filter(|at| "-_".contains(letters[*at]))
                .collect();
            let joint = *random.pick(&joints)?;
            letters[joint] = match (slip, letters[joint]) {
                (Slip::Blank, _) => ' ',
                (_, '_') => '-',
                _ => '_',
            };
        }
        Slip::Plural if !site.kind.is_key() => return None,
        Slip::Plural if letters.last() == Some(&'s') => {
            letters.pop();
        }
        Slip::Plural => letters.push('s'),
    }
    let typed: String = letters.into_iter().collect();
    let same = |word: &&str| {
        if site.kind.takes_any_case() {
            word.eq_ignore_ascii_case(&typed)
        } else {
            **word == typed
        }
    };
    // What is left of one letter can mean anything, and a blank at an end is no part of the word.
    let is_typo = typed.len() > 1 && typed.trim() == typed && !site.words.iter().any(same);
    is_typo.then_some(typed)
}

fn other_case(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
    }
}

fn neighbour(letter: char, random: &mut Random) -> Option<char> {
    const ROWS: [&str; 3] = ["qwertyuiop", "asdfghjkl", "zxcvbnm"];
    let small = letter.to_ascii_lowercase();
    let (row, column) = ROWS
        .iter()
        .enumerate()
        .find_map(|(row, keys)| Some((row, keys.find(small)?)))?;
    let on = |row: Option<usize>, column: Option<usize>| ROWS.get(row?)?.chars().nth(column?);
    let around = [
        on(Some(row), column.checked_sub(1)),
        on(Some(row), Some(column + 1)),
        on(row.checked_sub(1), Some(column)),
        on(row.checked_sub(1), Some(column + 1)),
        on(Some(row + 1), Some(column)),
        on(Some(row + 1), column.checked_sub(1)),
    ];
    let around: Vec<char> = around.into_iter().flatten().collect();
    let typed = *random.pick(&around)?;
    Some(if letter.is_ascii_uppercase() {
        typed.to_ascii_uppercase()
    } else {
        typed
    })
}

/// Every word of one file that the table knows.
pub(crate) fn sites(file: usize, text: &str) -> Vec<Site> {
    let mut sites = Vec::new();
    let mut open: Vec<(usize, String)> = Vec::new();
    let mut block: Option<usize> = None;
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let start = offset;
        offset += line.len();
        let content = line.trim_end();
        let indent = content.len() - content.trim_start().len();
        if content.trim_start().is_empty() || block.is_some_and(|above| indent > above) {
            continue;
        }
        block = None;
        if content.trim_start().starts_with('#') {
            continue;
        }
        open.retain(|(above, _)| *above < indent);
        let here = Here {
            file,
            line: index + 1,
            start,
        };
        let path = |name: Option<&str>| {
            let open = open.iter().map(|(_, name)| name.as_str());
            open.chain(name).map(str::to_owned).collect::<Vec<_>>()
        };
        if let Some(item) = content.trim_start().strip_prefix("- ") {
            here.value(&path(None), item, content.len() - item.len(), &mut sites);
            continue;
        }
        let Some((name, value)) = content
            .split_once(": ")
            .or_else(|| Some((content.strip_suffix(':')?, "")))
        else {
            continue;
        };
        let name = name.trim_start();
        here.key(&path(None), name, indent, &mut sites);
        let column = content.len() - value.len();
        here.value(&path(Some(name)), value, column, &mut sites);
        if path(None) == ["ports"] {
            here.protocol(name, indent, &mut sites);
            here.protocol(value, column, &mut sites);
        }
        if value.starts_with(['|', '>']) {
            block = Some(indent);
        }
        open.push((indent, name.to_owned()));
    }
    sites
}

struct Here {
    file: usize,
    line: usize,
    start: usize,
}

impl Here {
    fn site(&self, column: usize, word: &'static str, words: Words, kind: Kind, path: String) -> Site {
        Site {
            file: self.file,
            line: self.line,
            start: self.start + column,
            word,
            words,
            kind,
            path,
        }
    }

    fn key(&self, inside: &[String], name: &str, column: usize, sites: &mut Vec<Site>) {
        for (map, keys) in KEYS.iter().filter(|(map, _)| fits(map, inside)) {
            let kind = if map.is_empty() { Kind::Key } else { Kind::InnerKey };
            let path = if map.is_empty() {
                name.to_owned()
            } else {
                format!("{map}.{name}")
            };
            let word = keys.iter().find(|key| **key == name);
            sites.extend(word.map(|word| self.site(column, word, keys, kind, path)));
        }
    }

    /// A value alone, or each of a list in one line.
    fn value(&self, path: &[String], value: &str, column: usize, sites: &mut Vec<Site>) {
        for (key, kind, words) in VALUES.iter().filter(|(key, ..)| fits(key, path)) {
            for part in value.split(|c: char| " [],\"'".contains(c)) {
                let at = column + (part.as_ptr().addr() - value.as_ptr().addr());
                let word = words.iter().find(|word| **word == part);
                sites.extend(word.map(|word| self.site(at, word, words, *kind, (*key).to_owned())));
            }
        }
    }

    /// What follows the slash on either side of a port.
    fn protocol(&self, side: &str, column: usize, sites: &mut Vec<Site>) {
        let known = VALUES.iter().find(|(_, kind, _)| *kind == Kind::Protocol);
        let (Some((at, name)), Some((key, kind, words))) = (side.split_once('/'), known) else {
            return;
        };
        let column = column + at.len() + 1;
        let word = words.iter().find(|word| **word == name);
        sites.extend(word.map(|word| self.site(column, word, words, *kind, (*key).to_owned())));
    }
}

fn fits(pattern: &str, path: &[String]) -> bool {
    let parts: Vec<&str> = pattern.split('.').filter(|part| !part.is_empty()).collect();
    parts.len() == path.len()
        && parts
            .iter()
            .zip(path)
            .all(|(part, name)| *part == "*" || part == name)
}
