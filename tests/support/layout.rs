//! Where the rig keeps its things.
//!
//! What is worth keeping between runs (the Python environment, images, engines' data) is under `target/rig`, and goes
//! with `cargo clean`. What belongs to one run is under `/run/monopod-rig`: one place for all clones of the project on a
//! machine, so that they see each other's locks, and short enough for the names of sockets.

use std::fs;
use std::path::{Path, PathBuf};

/// The workspace's root.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate is two folders below the workspace")
}

/// The folder with the rig's own sources and helpers.
pub(crate) fn support() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What stays between runs.
pub(crate) fn home() -> PathBuf {
    workspace().join("target/rig")
}

/// What goes with a run.
pub(crate) fn run() -> PathBuf {
    let path = PathBuf::from("/run/monopod-rig");
    make_dir(&path);
    path
}

/// This process's own folder under [`run`].
pub(crate) fn process() -> PathBuf {
    let path = run().join(format!("process-{}", std::process::id()));
    make_dir(&path);
    path
}

/// The Python that runs the helpers.
pub(crate) fn python() -> PathBuf {
    let path = home().join("venv/bin/python");
    assert!(
        path.exists(),
        "rig: {} is missing: run tests/setup.sh first",
        path.display()
    );
    path
}

pub(crate) fn make_dir(path: &Path) {
    fs::create_dir_all(path).unwrap_or_else(|e| panic!("rig: creating {}: {e}", path.display()));
}

/// Removes this process's folder; its servers go on without the names of their logs.
pub(crate) fn clear_own() {
    drop(fs::remove_dir_all(
        run().join(format!("process-{}", std::process::id())),
    ));
}

/// Removes the folders of processes that are gone.
pub(crate) fn clear_dead_processes() {
    for entry in fs::read_dir(run()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix("process-"))
            .and_then(|pid| pid.parse().ok());
        if pid.is_some_and(|pid| !crate::process::alive(pid)) {
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}
