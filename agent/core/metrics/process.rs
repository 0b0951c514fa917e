//! The agent as a process, under the names that every Prometheus client library uses.

use super::text::{Exposition, Kind};
use super::{Process, Pushes};

pub(super) fn write(out: &mut Exposition, process: &Process) {
    let help = "Processor time of the agent, user and system.";
    out.single("process_cpu_seconds_total", Kind::Counter, help, process.cpu);
    let help = "Resident memory of the agent.";
    out.single(
        "process_resident_memory_bytes",
        Kind::Gauge,
        help,
        process.resident,
    );
    let help = "Open file descriptors of the agent.";
    out.single("process_open_fds", Kind::Gauge, help, process.open_descriptors);
    let help = "The most file descriptors the agent may open.";
    out.single("process_max_fds", Kind::Gauge, help, process.max_descriptors);
    let help = "When the agent started, in seconds since the epoch.";
    out.single("process_start_time_seconds", Kind::Gauge, help, process.started);
}

pub(super) fn write_pushes(out: &mut Exposition, pushes: Pushes) {
    let help = "Pushes of metrics by OTLP that were taken.";
    out.single(
        "monopod_otlp_pushes_total",
        Kind::Counter,
        help,
        Some(pushes.sent),
    );
    let help = "Pushes of metrics by OTLP that were not, and are not sent again.";
    let failed = Some(pushes.failed);
    out.single("monopod_otlp_push_failures_total", Kind::Counter, help, failed);
}
