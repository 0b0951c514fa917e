//! How long tasks waited for a resource: PSI, of the machine and of a control group.

use std::time::Duration;

use super::{Collected, Texts, any};
use crate::metrics::text::{Exposition, Kind};

/// Of one resource.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Option<Duration>,
    /// All of them did.
    pub full: Option<Duration>,
}

/// From the text of `/proc/pressure/*` or of a group's `*.pressure`.
pub fn pressure(text: &str) -> Pressure {
    let of = |what: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(what))?;
        let mut words = line.split_ascii_whitespace();
        let total = words.find_map(|word| word.strip_prefix("total="))?;
        Some(Duration::from_micros(total.parse().ok()?))
    };
    Pressure {
        some: of("some "),
        full: of("full "),
    }
}

pub(super) fn write(texts: &Texts, out: &mut Exposition) -> Collected {
    let [cpu, memory, io] = texts
        .pressure
        .each_ref()
        .map(|text| text.as_deref().map(pressure).unwrap_or_default());
    let rows = [
        (
            "node_pressure_cpu_waiting_seconds_total",
            cpu.some,
            "Total time in seconds that processes have waited for CPU time",
        ),
        (
            "node_pressure_io_stalled_seconds_total",
            io.full,
            "Total time in seconds no process could make progress due to IO congestion",
        ),
        (
            "node_pressure_io_waiting_seconds_total",
            io.some,
            "Total time in seconds that processes have waited due to IO congestion",
        ),
        (
            "node_pressure_memory_stalled_seconds_total",
            memory.full,
            "Total time in seconds no process could make progress due to memory congestion",
        ),
        (
            "node_pressure_memory_waiting_seconds_total",
            memory.some,
            "Total time in seconds that processes have waited for memory",
        ),
    ];
    for (name, value, help) in rows {
        out.single(name, Kind::Counter, help, value);
    }
    any(rows.iter().any(|(_, value, _)| value.is_some()))
}
