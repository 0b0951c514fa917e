//! Speed and size, as ratios in one run on one machine.
//!
//! `make bench` prints one line a figure, `bench NAME VALUE UNIT`, and keeps them in `target/bench.txt`. Absolute
//! times say little on a shared machine; the ratios are medians over interleaved pairs, with the middle half of them.
//! `MONOPOD_BENCH_PAIRS` is the number of pairs (200), `MONOPOD_BENCH_ONLY` a comma-separated choice of figures.

mod boot;
mod cis;
mod engine_proxy;
mod footprint;
mod life;
mod logs;
mod overlap;
mod pull;
mod start;
mod stats;
mod validate;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use monopod_testrig::{Machine, RealMachine, Rig};

/// Prints a figure and keeps it.
pub(crate) struct Figures(fs::File);

impl Figures {
    pub(crate) fn tell(&mut self, name: &str, value: f64, unit: &str) {
        let line = format!("bench {name} {value:.3} {unit}");
        println!("{line}");
        writeln!(self.0, "{line}").expect("bench: writing target/bench.txt");
    }

    /// For people: what a figure was made of.
    pub(crate) fn note(text: &str) {
        println!("  {text}");
    }
}

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let binary = binary(&root);
    let path = root.join("target/bench.txt");
    let file = fs::File::create(&path).unwrap_or_else(|error| panic!("bench: {}: {error}", path.display()));
    let mut figures = Figures(file);
    let only = std::env::var("MONOPOD_BENCH_ONLY").unwrap_or_default();
    let wanted = |name: &str| only.is_empty() || only.split(',').any(|one| one == name);
    if wanted("validate") {
        validate::run(&root, &binary, &mut figures);
    }
    let of_a_machine = [
        "footprint",
        "cis",
        "start",
        "overlap",
        "pull_vs_docker",
        "metrics_ms",
        "ready_after_200_ms",
        "restart_decision_ms",
    ];
    if of_a_machine.into_iter().any(wanted) {
        let machine = Machine::acquire();
        if wanted("footprint") {
            footprint::run(&machine, &binary, &mut figures);
        }
        if wanted("cis") {
            cis::run(&machine, &binary, &mut figures);
        }
        if wanted("start") {
            start::run(&machine, &binary, &mut figures);
        }
        if wanted("overlap") {
            overlap::run(&machine, &binary, &mut figures);
        }
        if wanted("pull_vs_docker") {
            pull::run(&machine, &binary, &mut figures);
        }
        for (name, measure) in [
            ("metrics_ms", life::metrics as fn(&Machine, &Path, &mut Figures)),
            ("ready_after_200_ms", life::ready),
            ("restart_decision_ms", life::restart),
        ] {
            if wanted(name) {
                measure(&machine, &binary, &mut figures);
            }
        }
        drop(machine);
        Rig::get().close();
    }
    // Only where the machine image is: building it is another matter than measuring.
    if wanted("boot_vs_plain_unit") && RealMachine::has_image() {
        boot::run(&mut figures);
    }
    logs::run(&binary, &mut figures, wanted);
}

fn binary(root: &Path) -> PathBuf {
    let path =
        std::env::var_os("MONOPOD_BIN").map_or_else(|| root.join("target/release/monopod"), PathBuf::from);
    path.canonicalize()
        .unwrap_or_else(|error| panic!("bench: {}: {error}; run `make release`", path.display()))
}
