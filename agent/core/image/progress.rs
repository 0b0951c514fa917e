//! How far a pull is, by layer, from what the engine says about each.

use std::collections::BTreeSet;
use std::time::Duration;

use super::space;
use crate::text;

/// The bars' width in characters.
const BAR: u64 = 24;

/// A pull and its layers, in the order the engine names them: the image's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Layer {
    id: String,
    phase: Phase,
    loaded: u64,
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Waiting,
    Loading,
    /// The line broke and the engine will take it up again.
    Resuming,
    Loaded,
    /// How much of the packed file is unpacked.
    Unpacking(u64),
    Done,
    /// It was on this machine.
    Here,
}

impl Progress {
    /// Takes in one word of the engine about a layer. False where it is about something else.
    pub fn see(&mut self, id: &str, status: &str, current: u64, total: Option<u64>) -> bool {
        let phase = match status {
            "Pulling fs layer" | "Waiting" => Phase::Waiting,
            "Downloading" => Phase::Loading,
            "Verifying Checksum" | "Download complete" => Phase::Loaded,
            "Extracting" => Phase::Unpacking(current),
            "Pull complete" => Phase::Done,
            "Already exists" => Phase::Here,
            retrying if retrying.starts_with("Retrying in") => Phase::Resuming,
            _ => return false,
        };
        let layer = match self.layers.iter_mut().position(|layer| layer.id == id) {
            Some(at) => self.layers.get_mut(at),
            None => {
                self.layers.push(Layer {
                    id: id.to_owned(),
                    phase,
                    loaded: 0,
                    size: 0,
                });
                self.layers.last_mut()
            }
        };
        let Some(layer) = layer else { return false };
        layer.phase = phase;
        match phase {
            Phase::Loading => {
                layer.loaded = current;
                layer.size = total.unwrap_or(0).max(current);
            }
            // Small layers are here before the engine says how large they are.
            Phase::Loaded | Phase::Unpacking(_) | Phase::Done => {
                layer.size = layer.size.max(total.unwrap_or(0));
                layer.loaded = layer.size;
            }
            Phase::Waiting | Phase::Resuming | Phase::Here => {}
        }
        true
    }

    /// Bytes loaded.
    pub fn loaded(&self) -> u64 {
        self.layers.iter().map(|layer| layer.loaded).sum()
    }

    /// Bytes in all, of the layers whose size is known so far.
    pub fn total(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// Bytes in all, where a manifest says how large the layers are: the engine says it of those it has begun only, a few
    /// at a time. Layers that were here are not counted.
    pub fn total_of(&self, manifest: &[space::Layer]) -> u64 {
        let mut seen = BTreeSet::new();
        let to_load = manifest
            .iter()
            .filter(|one| {
                let id = text::short_id(&one.digest);
                let mut here = self.layers.iter().filter(|layer| layer.phase == Phase::Here);
                !here.any(|layer| layer.id == id) && seen.insert(id)
            })
            .fold(0u64, |sum, one| sum.saturating_add(one.size));
        self.total().max(to_load)
    }

    /// Every byte is here.
    pub fn all_loaded(&self) -> bool {
        !self.layers.is_empty() && self.layers.iter().all(|layer| layer.phase >= Phase::Loaded)
    }

    /// One line: how far all of it is.
    pub fn line(&self, elapsed: Duration) -> String {
        let done = self
            .layers
            .iter()
            .filter(|layer| layer.phase >= Phase::Done)
            .count();
        let resuming = if self.layers.iter().any(|layer| layer.phase == Phase::Resuming) {
            ", the line broke and the engine takes it up again"
        } else {
            ""
        };
        format!(
            "{} of {} loaded, {done} of {} layers unpacked, {} so far{resuming}",
            text::bytes(self.loaded()),
            text::bytes(self.total()),
            self.layers.len(),
            text::duration(elapsed)
        )
    }

    /// A line for each layer at work, up to `rows`, and one for those that are done.
    pub fn bars(&self, rows: usize) -> Vec<String> {
        let (done, rest): (Vec<&Layer>, Vec<&Layer>) =
            self.layers.iter().partition(|layer| layer.phase >= Phase::Done);
        let (mut busy, waiting): (Vec<&Layer>, Vec<&Layer>) =
            rest.into_iter().partition(|layer| layer.phase != Phase::Waiting);
        busy.truncate(rows);
        let mut lines: Vec<String> = busy.into_iter().map(bar).collect();
        let mut others = Vec::new();
        if !waiting.is_empty() {
            others.push(format!("{} waiting", text::count(waiting.len() as u64, "layer")));
        }
        if !done.is_empty() {
            others.push(format!("{} done", text::count(done.len() as u64, "layer")));
        }
        if !others.is_empty() {
            lines.push(others.join(", "));
        }
        lines
    }

    /// What it came to: `20 MiB in 5 layers, 1.2 s, 17.5 MB/s`.
    pub fn summary(&self, took: Duration) -> String {
        let here = self
            .layers
            .iter()
            .filter(|layer| layer.phase == Phase::Here)
            .count();
        let loaded = self.layers.len() - here;
        let shared = match here {
            0 => String::new(),
            here => format!(" ({here} more here already)"),
        };
        #[expect(clippy::cast_precision_loss, reason = "a speed for people")]
        let speed = self.total() as f64 / 1e6 / took.as_secs_f64().max(0.001);
        format!(
            "{} in {}{shared}, {}, {speed:.1} MB/s",
            text::bytes(self.total()),
            text::count(loaded as u64, "layer"),
            text::duration(took)
        )
    }
}

fn bar(layer: &Layer) -> String {
    let (done, what) = match layer.phase {
        Phase::Unpacking(done) => (done, "unpacking"),
        Phase::Resuming => (layer.loaded, "resuming"),
        Phase::Waiting | Phase::Loading | Phase::Loaded | Phase::Done | Phase::Here => {
            (layer.loaded, "loading")
        }
    };
    let filled = done
        .min(layer.size)
        .saturating_mul(BAR)
        .checked_div(layer.size)
        .unwrap_or(0);
    let bar: String = (0..BAR).map(|n| if n < filled { '#' } else { '.' }).collect();
    let sizes = format!("{} of {}", text::bytes(done), text::bytes(layer.size));
    format!("{:<12} [{bar}] {sizes:<20} {what}", text::short_id(&layer.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(words: &[(&str, &str, u64, u64)]) -> Progress {
        let mut progress = Progress::default();
        for (id, status, current, total) in words {
            progress.see(id, status, *current, Some(*total).filter(|total| *total > 0));
        }
        progress
    }

    fn middle() -> Progress {
        seen(&[
            ("aaaaaaaaaaaa", "Already exists", 0, 0),
            ("bbbbbbbbbbbb", "Pulling fs layer", 0, 0),
            ("cccccccccccc", "Downloading", 1 << 20, 4 << 20),
            ("dddddddddddd", "Extracting", 3 << 20, 4 << 20),
        ])
    }

    #[test]
    fn the_line_sums_up() {
        assert_eq!(
            middle().line(Duration::from_secs(3)),
            "5 MiB of 8 MiB loaded, 1 of 4 layers unpacked, 3 s so far"
        );
    }

    #[test]
    fn the_manifest_knows_the_sizes_of_layers_that_wait() {
        let layer = |letter: &str, mib: u64| space::Layer {
            digest: format!("sha256:{}", letter.repeat(64)),
            size: mib << 20,
        };
        // The first was here, the second waits.
        let manifest = ["a", "b", "c", "d", "d"].map(|letter| layer(letter, 4));
        assert_eq!(middle().total(), 8 << 20);
        assert_eq!(middle().total_of(&manifest), 12 << 20);
        assert_eq!(middle().total_of(&[]), 8 << 20);
    }

    #[test]
    fn a_bar_for_each_layer_at_work() {
        assert_eq!(
            middle().bars(8),
            [
                "cccccccccccc [######..................] 1 MiB of 4 MiB       loading",
                "dddddddddddd [##################......] 3 MiB of 4 MiB       unpacking",
                "1 layer waiting, 1 layer done",
            ]
        );
        assert_eq!(middle().bars(1).len(), 2);
    }

    #[test]
    fn a_line_that_broke_is_said() {
        let mut progress = middle();
        assert!(progress.see("cccccccccccc", "Retrying in 5 seconds", 0, None));
        assert!(
            progress
                .line(Duration::ZERO)
                .ends_with("the engine takes it up again")
        );
        assert_eq!(progress.loaded(), 5 << 20);
        assert!(!progress.all_loaded());
    }

    #[test]
    fn words_about_something_else_are_no_layer() {
        let mut progress = Progress::default();
        assert!(!progress.see("sha256:12", "Pulling from team/app", 0, None));
        assert_eq!(progress.bars(8), Vec::<String>::new());
        assert!(!progress.all_loaded());
    }

    #[test]
    fn everything_loaded_is_told_from_everything_done() {
        let progress = seen(&[("a", "Already exists", 0, 0), ("b", "Download complete", 0, 0)]);
        assert!(progress.all_loaded());
        assert!(progress.line(Duration::ZERO).contains("1 of 2 layers unpacked"));
    }

    #[test]
    fn the_summary_has_size_time_and_speed() {
        let done = seen(&[
            ("a", "Already exists", 0, 0),
            ("b", "Downloading", 1, 10_000_000),
            ("b", "Download complete", 0, 0),
            ("b", "Pull complete", 0, 0),
        ]);
        assert_eq!(
            done.summary(Duration::from_secs(2)),
            "9.5 MiB in 1 layer (1 more here already), 2 s, 5.0 MB/s"
        );
    }
}
