//! Every seed of the fuzzer, and every finding that became one, in the ordinary suite.

#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stderr, reason = "the only way to say which seed it was")]

#[path = "../../../tests/fuzz/checks.rs"]
mod checks;

use std::path::PathBuf;

fn seeds() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/intake");
    let mut seeds: Vec<(PathBuf, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// One test, because it measures the memory of the whole process.
#[test]
fn every_seed_is_read_without_panic_leak_or_hunger() {
    let seeds = seeds();
    assert!(seeds.len() > 100, "{}", seeds.len());
    let before = peak_kib();
    for (path, bytes) in &seeds {
        assert!(bytes.len() <= 16 * 1024, "{}: the limit of EC2", path.display());
        // A panic's message has no file name, so the last line printed is the one.
        eprintln!("{}", path.display());
        checks::check(bytes, |work| work());
    }
    let grown = peak_kib() - before;
    assert!(grown < 64 * 1024, "reading the seeds took {grown} KiB");
}

/// The most memory this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
