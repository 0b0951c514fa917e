//! Whatever is on a device: without an order to erase not one byte of it changes, unless it is blank.
//!
//! Layouts are made at random, of what real tools wrote and of noise: whole, cut, shifted, damaged, over one
//! another. What is blank is known from what was written, not from what is asked about. `MONOPOD_LAYOUTS=10000` is the
//! long run; `MONOPOD_LAYOUTS_SEED` repeats one.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use monopod_core::config::Filesystem;
use monopod_core::storage::{Content, Orders, decide};
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};

use super::super::content::all_zero;
use super::super::testing::{Loop, Temporary};
use super::super::{Made, content, ensure_action, in_use};
use super::recorded::{self, MIB, Recorded, stamp};

/// In the everyday run.
const FEW: u64 = 300;
/// One in so many goes through a block device.
const LOOPED: u64 = 25;
const LARGEST: u64 = 64 * MIB;

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the figures of a long run")]
async fn no_order_no_byte() {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let count = read("MONOPOD_LAYOUTS").unwrap_or(FEW);
    let seed = read("MONOPOD_LAYOUTS_SEED").unwrap_or(7);
    let disks = recorded::all();
    let directory = Temporary::new();
    let mut seen = Seen::default();
    for number in 0..count {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let layout = Layout::make(&mut dice, &disks, &directory);
        if number % LOOPED == 0 {
            let device = Loop::new(&layout.file);
            // The kernel's sizes are whole sectors: a shorter end is not on the device.
            in_use(device.path()).await.unwrap();
            try_all(device.path(), &layout, number, &mut seen).await;
        } else {
            try_all(&layout.file, &layout, number, &mut seen).await;
        }
        std::fs::remove_file(&layout.file).unwrap();
    }
    println!("{count} layouts, seed {seed}: {seen:?}");
    assert!(
        seen.filesystems > 0 && seen.others > 0 && seen.unknown > 0 && seen.kept > 0,
        "{seen:?}"
    );
}

/// What kinds there were, to see that the dice are worth something.
#[derive(Debug, Default)]
struct Seen {
    filesystems: u64,
    others: u64,
    unknown: u64,
    kept: u64,
    refused: u64,
}

async fn try_all(device: &Path, layout: &Layout, number: u64, seen: &mut Seen) {
    let before = fingerprint(&layout.file);
    let found = content(device).await.unwrap();
    let story = format!("layout {number}, {}", layout.story);
    match &found {
        Content::Blank => panic!("{story}: called blank"),
        Content::Filesystem { .. } => seen.filesystems += 1,
        Content::Other { what } if what == &["bytes of no known format"] => seen.unknown += 1,
        Content::Other { .. } => seen.others += 1,
    }
    for orders in [Orders::Never, Orders::Tag { set: false }] {
        for wanted in [
            Filesystem::Ext4,
            Filesystem::Ext3,
            Filesystem::Ext2,
            Filesystem::Xfs,
        ] {
            for read_only in [false, true] {
                let action = decide(&found, orders, wanted, read_only, "not-its-uuid");
                match ensure_action(device, &found, &action, wanted).await {
                    Ok(Made::Kept { .. }) => seen.kept += 1,
                    Ok(Made::Formatted) => panic!("{story}: formatted, {orders:?}, {found:?}"),
                    Err(_) => seen.refused += 1,
                }
            }
        }
    }
    assert!(
        fingerprint(&layout.file) == before,
        "{story}: written to, {found:?}"
    );
}

/// Of every byte that is there, and of where there is none: a zero that is written to a hole shows, too.
fn fingerprint(path: &Path) -> [u8; 32] {
    let file = File::open(path).unwrap();
    let size = file.metadata().unwrap().len();
    let mut digest = Sha256::new().chain_update(size.to_le_bytes());
    let mut at = 0;
    while let Ok(start) = lseek(&file, at, Whence::SeekData) {
        let end = lseek(&file, start, Whence::SeekHole).unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        file.read_exact_at(&mut bytes, u64::try_from(start).unwrap())
            .unwrap();
        digest.update(start.to_le_bytes());
        digest.update(&bytes);
        at = end;
    }
    digest.finalize().into()
}

/// A device that is not blank.
struct Layout {
    file: std::path::PathBuf,
    size: u64,
    story: String,
    is_dirty: bool,
}

impl Layout {
    fn make(dice: &mut Dice, disks: &[Recorded], directory: &Temporary) -> Self {
        let size = match dice.below(10) {
            // Under 2 MiB the two ends overlap.
            0 => 512 * (1 + dice.below(2 * MIB / 512 - 1)),
            1 => MIB * (1 + dice.below(64)),
            _ => 512 * (MIB / 512 + dice.below((LARGEST - MIB) / 512 + 1)),
        };
        let mut layout = Self {
            file: directory.sparse("layout", size),
            size,
            story: format!("{size} bytes"),
            is_dirty: false,
        };
        let disk = &disks[dice.index(disks.len())];
        match dice.below(8) {
            0 => layout.whole(disk, disk.size),
            1 => layout.whole(disk, size),
            2 => layout.part(dice, disk),
            3 => {
                layout.whole(disk, if dice.below(2) == 0 { disk.size } else { size });
                layout.damage(dice);
            }
            4 => layout.shifted(dice, disk),
            5 => {
                layout.whole(disk, size);
                let second = &disks[dice.index(disks.len())];
                layout.part(dice, second);
                if dice.below(2) == 0 {
                    layout.damage(dice);
                }
            }
            6 => layout.noise(dice),
            _ => {
                layout.part(dice, disk);
                layout.noise(dice);
            }
        }
        if !layout.has_bytes() {
            // What was laid down was damaged away, or lies beyond the end.
            layout.noise(dice);
        }
        layout
    }

    /// Whether anything is in the first or last MiB, by reading them: the damage may have taken it away.
    fn has_bytes(&self) -> bool {
        self.is_dirty && {
            let file = File::open(&self.file).unwrap();
            let edge = MIB.min(self.size);
            [0, self.size - edge].iter().any(|start| {
                let mut bytes = vec![0; usize::try_from(edge).unwrap()];
                file.read_exact_at(&mut bytes, *start).unwrap();
                !all_zero(&bytes)
            })
        }
    }

    fn write(&mut self, at: u64, bytes: &[u8]) {
        let room = usize::try_from(self.size.saturating_sub(at)).unwrap();
        let bytes = &bytes[..bytes.len().min(room)];
        self.is_dirty |= stamp(&self.file, at, bytes);
    }

    fn whole(&mut self, disk: &Recorded, size: u64) {
        self.story += &format!(", {} of {size} bytes", disk.name);
        if size > self.size {
            File::options()
                .write(true)
                .open(&self.file)
                .unwrap()
                .set_len(size)
                .unwrap();
            self.size = size;
        }
        self.write(0, &disk.head);
        self.end(disk);
    }

    fn end(&mut self, disk: &Recorded) {
        let skipped = usize::try_from(MIB.saturating_sub(self.size)).unwrap();
        let at = self.size.saturating_sub(MIB);
        self.write(at, &disk.tail[skipped..]);
    }

    /// One end of a device, or the beginning of it.
    fn part(&mut self, dice: &mut Dice, disk: &Recorded) {
        let kind = dice.below(3);
        self.story += &format!(", part {kind} of {}", disk.name);
        match kind {
            0 => self.write(0, &disk.head),
            1 => self.end(disk),
            _ => {
                let length = 1 + dice.index(128 * 1024);
                self.write(0, &disk.head[..length]);
            }
        }
    }

    /// A format that is not where it belongs.
    fn shifted(&mut self, dice: &mut Dice, disk: &Recorded) {
        let at = 512 * dice.below(MIB / 512);
        self.story += &format!(", {} at {at}", disk.name);
        self.write(at, &disk.head[..128 * 1024]);
    }

    /// Ranges of zeros, of noise, and single bytes, where superblocks are.
    fn damage(&mut self, dice: &mut Dice) {
        for _ in 0..=dice.below(4) {
            let reach = [4096, 128 * 1024, MIB][dice.index(3)].min(self.size);
            let from_end = dice.below(4) == 0;
            let at = dice.below(reach);
            let at = if from_end { self.size - 1 - at } else { at };
            let length = [1, 4, 64, 4096][dice.index(4)].min(usize::try_from(self.size - at).unwrap());
            let zero = dice.below(2) == 0;
            self.story += &format!(", {length} bytes damaged at {at}");
            let bytes: Vec<u8> = (0..length).map(|_| if zero { 0 } else { dice.byte() }).collect();
            let file = File::options().write(true).open(&self.file).unwrap();
            file.write_all_at(&bytes, at).unwrap();
            self.is_dirty = true;
        }
    }

    /// Bytes that mean nothing, in the first and last MiB; at their very ends more often than by chance.
    fn noise(&mut self, dice: &mut Dice) {
        let edge = MIB.min(self.size);
        let start = if dice.below(2) == 0 { 0 } else { self.size - edge };
        let count = [1, 1, 2, 64, 5000][dice.index(5)];
        for _ in 0..count {
            let at = start
                + match dice.below(8) {
                    0 => 0,
                    1 => edge - 1,
                    _ => dice.below(edge),
                };
            self.story += &if count < 3 {
                format!(", noise at {at}")
            } else {
                String::new()
            };
            let file = File::options().write(true).open(&self.file).unwrap();
            file.write_all_at(&[1 + dice.byte() % 255], at).unwrap();
        }
        self.is_dirty = true;
    }
}

/// splitmix64: the same layouts for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, limit: usize) -> usize {
        usize::try_from(self.below(limit as u64)).unwrap()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
