use std::fs::{self, File};
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{MetadataExt as _, chown, symlink};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::super::delivery::layout::FILE_MODE;
use super::*;

struct Place(PathBuf);

impl Place {
    /// `None` where groups can't be given away: by anybody but root. The black-box tests run as root in any case.
    fn new(name: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("monopod-set-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        let place = Self(path);
        chown(&place.0, None, Some(GROUP)).is_ok().then_some(place)
    }

    fn set(&self, spec: &str) -> SecretSet {
        SecretSet::new(
            &self.0,
            SetName::Secrets,
            &SpecHash::new(&json!(spec), "sha256:1"),
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn files(all: &[(&str, &str)]) -> Files {
    all.iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new((*value).to_owned())))
        .collect()
}

fn listed(set: &SecretSet) -> Vec<String> {
    let mut names = names_in(&set.directory()).unwrap();
    names.sort_unstable();
    names
}

fn read(set: &SecretSet, name: &str) -> String {
    fs::read_to_string(set.directory().join(name)).unwrap()
}

#[test]
fn a_set_is_swapped_when_it_changes_and_only_then() {
    let Some(place) = Place::new("swap") else { return };
    let set = place.set("s");
    assert_eq!(set.recall(&["a", "b"]), None);
    let first = files(&[("a", "one"), ("b", "two")]);
    assert_eq!(set.ensure(&first).unwrap(), Delivered::Swapped);
    assert_eq!(set.ensure(&first).unwrap(), Delivered::Unchanged);
    assert_eq!(listed(&set), ["..1", "..data", "a", "b"]);
    assert_eq!(set.recall(&["b", "a"]), Some(first));
    for directory in [set.directory(), set.version(1)] {
        let metadata = fs::metadata(directory).unwrap();
        assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (GROUP, 0o2750));
    }
    let metadata = fs::metadata(set.directory().join("a")).unwrap();
    assert_eq!((metadata.gid(), metadata.mode() & 0o7777), (GROUP, FILE_MODE));

    // Names come and go with their files; who has the version before open reads on.
    let held = File::open(set.directory().join(DATA)).unwrap();
    let inode = fs::metadata(set.directory()).unwrap().ino();
    let second = files(&[("b", "2"), ("c", "three")]);
    assert_eq!(set.ensure(&second).unwrap(), Delivered::Swapped);
    assert_eq!(listed(&set), ["..1", "..2", "..data", "b", "c"]);
    assert_eq!(
        (read(&set, "b"), read(&set, "c")),
        ("2".to_owned(), "three".to_owned())
    );
    let held = format!("/proc/self/fd/{}/a", held.as_raw_fd());
    assert_eq!(fs::read_to_string(&held).unwrap(), "one");
    set.ensure(&files(&[("b", "22")])).unwrap();
    assert_eq!(listed(&set), ["..2", "..3", "..data", "b"]);
    assert!(fs::read_to_string(held).is_err());
    assert_eq!(
        fs::metadata(set.directory()).unwrap().ino(),
        inode,
        "it may be mounted"
    );
}

#[test]
fn what_a_killed_agent_or_anybody_left_is_mended() {
    let Some(place) = Place::new("killed") else { return };
    let set = place.set("s");
    let wanted = files(&[("a", "one"), ("b", "two")]);
    let ways: [fn(&Path); 8] = [
        // Killed while it wrote a version, and before the rename.
        |at| {
            fs::create_dir(at.join("..9")).unwrap();
            fs::write(at.join("..9/a"), "o").unwrap();
        },
        |at| symlink("..9", at.join(DATA_NEW)).unwrap(),
        // Between the rename and the names.
        |at| fs::remove_file(at.join("b")).unwrap(),
        |at| symlink("..data/gone", at.join("gone")).unwrap(),
        // Tidied up by somebody.
        |at| fs::remove_dir_all(fs::canonicalize(at.join(DATA)).unwrap()).unwrap(),
        |at| fs::remove_file(at.join(DATA)).unwrap(),
        |at| {
            fs::remove_file(at.join("a")).unwrap();
            fs::create_dir(at.join("a")).unwrap();
        },
        |at| {
            let file = fs::canonicalize(at.join("a")).unwrap();
            fs::remove_file(&file).unwrap();
            fs::write(&file, "ONE").unwrap();
        },
    ];
    for (number, damage) in ways.into_iter().enumerate() {
        set.ensure(&wanted).unwrap();
        damage(&set.directory());
        set.ensure(&wanted).unwrap();
        assert_eq!(
            (read(&set, "a"), read(&set, "b")),
            ("one".to_owned(), "two".to_owned()),
            "{number}"
        );
        set.ensure(&files(&[("a", "1"), ("b", "2")])).unwrap();
        let versions = listed(&set)
            .iter()
            .filter(|name| version_number(name).is_some())
            .count();
        assert_eq!(
            (versions, listed(&set).len()),
            (2, 5),
            "{number}: {:?}",
            listed(&set)
        );
    }
}

#[test]
fn a_set_counts_as_whole_with_exactly_its_files() {
    let Some(place) = Place::new("whole") else { return };
    let set = place.set("s");
    let both = files(&[("a", "one"), ("b", "two")]);
    set.ensure(&both).unwrap();
    assert_eq!(set.recall(&["a", "b"]), Some(both));
    assert_eq!(set.recall(&["a"]), None, "one more");
    assert_eq!(set.recall(&["a", "b", "c"]), None, "one less");
    assert_eq!(set.recall(&["a", "c"]), None, "another");
    fs::remove_file(fs::canonicalize(set.directory().join("b")).unwrap()).unwrap();
    assert_eq!(set.recall(&["a", "b"]), None, "somebody removed one");
}

#[test]
fn sets_of_other_specs_go() {
    let Some(place) = Place::new("specs") else { return };
    let (old, new) = (place.set("old"), place.set("new"));
    old.ensure(&files(&[("a", "one")])).unwrap();
    new.ensure(&files(&[("a", "one")])).unwrap();
    assert_eq!((old.recall(&["a"]), old.directory().exists()), (None, false));
    SecretSet::ensure_none(&place.0, SetName::Secrets);
    assert!(!new.directory().exists());
}

#[test]
fn it_is_remembered_without_its_values() {
    let Some(place) = Place::new("hint") else { return };
    let set = place.set("s");
    set.ensure(&files(&[("a", "canary-value")])).unwrap();
    let text = serde_json::to_string(&set).unwrap();
    assert!(!text.contains("canary") && !format!("{set:?}").contains("canary"));
    let recalled: SecretSet = serde_json::from_str(&text).unwrap();
    assert!(set.recall(&["a"]).is_some());
    assert_eq!(recalled.recall(&["a"]), set.recall(&["a"]));
}

/// Readers in a loop while the set is swapped as fast as it goes: whoever opens `..data` once and reads below it never
/// sees two versions, whoever opens by name never sees half a file.
#[test]
fn no_reader_sees_a_mixed_set_or_a_torn_file() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    const SWAPS: usize = 400;
    let Some(place) = Place::new("readers") else {
        return;
    };
    let set = place.set("s");
    // Long, and of another length each time.
    let value = |version: usize| format!("{version:06}").repeat(500 + version % 7);
    let of = |version: usize| -> Files {
        NAMES
            .iter()
            .map(|name| ((*name).to_owned(), Secret::new(value(version))))
            .collect()
    };
    set.ensure(&of(0)).unwrap();
    let done = AtomicBool::new(false);
    let whole = |text: &str| -> usize {
        let version = text.get(..6).unwrap().parse().unwrap();
        assert_eq!(text, value(version), "torn");
        version
    };
    std::thread::scope(|scope| {
        let by_directory = scope.spawn(|| {
            let mut sets = 0;
            while !done.load(Ordering::Relaxed) {
                // As below: two swaps may have passed before it is open.
                let Ok(directory) = File::open(set.directory().join(DATA)) else {
                    continue;
                };
                let at = format!("/proc/self/fd/{}", directory.as_raw_fd());
                // A version may go while it is read, if the reader was away for two swaps: then it is gone, not mixed.
                let all: Result<Vec<String>, _> = NAMES
                    .iter()
                    .map(|name| fs::read_to_string(format!("{at}/{name}")))
                    .collect();
                let Ok(all) = all else { continue };
                let version = whole(&all[0]);
                assert!(all.iter().all(|text| whole(text) == version), "mixed");
                sets += 1;
            }
            sets
        });
        let by_name = scope.spawn(|| {
            let (mut reads, mut last) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                for name in NAMES {
                    // Between resolving the link and opening what it names, two swaps may have passed.
                    let Ok(mut file) = File::open(set.directory().join(name)) else {
                        continue;
                    };
                    let mut text = String::new();
                    file.read_to_string(&mut text).unwrap();
                    let version = whole(&text);
                    assert!(version >= last, "older than what was read before");
                    last = version;
                    reads += 1;
                }
            }
            reads
        });
        for version in 1..=SWAPS {
            assert_eq!(set.ensure(&of(version)).unwrap(), Delivered::Swapped);
        }
        done.store(true, Ordering::Relaxed);
        let (sets, reads) = (by_directory.join().unwrap(), by_name.join().unwrap());
        assert!(sets > 0 && reads > 0, "{sets} sets, {reads} files");
    });
}
