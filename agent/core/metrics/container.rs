//! The container, what it uses, and what its probes say.

use super::text::{Exposition, Kind, seconds};
use super::{Probes, Usage};
use crate::record::{ContainerRecord, ContainerState, HealthRecord};

pub(super) fn write(out: &mut Exposition, container: Option<&ContainerRecord>, usage: Option<Usage>) {
    let Some(container) = container else {
        return;
    };
    out.metric("monopod_container_info", Kind::Gauge, "The container.")
        .sample(
            &[
                ("id", &container.id),
                ("image", &container.image),
                ("digest", &container.digest),
            ],
            true,
        );
    // An engine that does not answer says nothing either way.
    let running = match container.state {
        ContainerState::Running => Some(true),
        ContainerState::Ended | ContainerState::Restarting => Some(false),
        ContainerState::Unknown => None,
    };
    let help = "Whether the container runs; left out while the engine does not answer.";
    out.single("monopod_container_running", Kind::Gauge, help, running);
    let help = "How often this agent started the container again.";
    out.single(
        "monopod_container_restarts_total",
        Kind::Counter,
        help,
        Some(container.restarts),
    );
    let help = "When the container was started last.";
    let started = container.started_at.map(seconds);
    out.single("monopod_container_start_time_seconds", Kind::Gauge, help, started);
    let last = container.last_exit.as_ref();
    let help = "How the container ended last; 128 + n for signal n.";
    let code = last.map(|exit| exit.code);
    out.single("monopod_container_last_exit_code", Kind::Gauge, help, code);
    let help = "Whether the kernel ended it then for its memory limit.";
    let oom = last.map(|exit| exit.out_of_memory);
    out.single("monopod_container_last_exit_oom", Kind::Gauge, help, oom);
    let help = "When the container ended last.";
    let at = container.last_exit_at.map(seconds);
    out.single(
        "monopod_container_last_exit_timestamp_seconds",
        Kind::Gauge,
        help,
        at,
    );
    if let Some(usage) = usage {
        write_usage(out, usage);
    }
}

fn write_usage(out: &mut Exposition, usage: Usage) {
    let help = "Memory the container uses, the page cache included.";
    out.single(
        "monopod_container_memory_usage_bytes",
        Kind::Gauge,
        help,
        usage.memory,
    );
    let help = "Memory the container may use; left out without a limit.";
    out.single(
        "monopod_container_memory_limit_bytes",
        Kind::Gauge,
        help,
        usage.memory_limit,
    );
    let help = "Processor time the container used since it was started.";
    out.single(
        "monopod_container_cpu_seconds_total",
        Kind::Counter,
        help,
        usage.cpu,
    );
    let help =
        "How often the kernel ended a process of the container for its memory limit since it was started.";
    out.single(
        "monopod_container_oom_kills_total",
        Kind::Counter,
        help,
        usage.oom_kills,
    );
    write_memory(out, &usage);
    write_limits(out, &usage);
    write_io(out, &usage);
    write_pressure(out, &usage);
}

fn write_memory(out: &mut Exposition, usage: &Usage) {
    let rows = [
        (
            "monopod_container_memory_working_set_bytes",
            usage.working_set,
            "Memory that can't be taken back without ending something: what is used, less files not read lately.",
        ),
        (
            "monopod_container_memory_anon_bytes",
            usage.anonymous,
            "Memory of the container's own, no file's.",
        ),
        (
            "monopod_container_memory_file_bytes",
            usage.file,
            "Memory that holds files the container uses.",
        ),
    ];
    for (name, value, help) in rows {
        out.single(name, Kind::Gauge, help, value);
    }
}

fn write_limits(out: &mut Exposition, usage: &Usage) {
    let throttling = usage.throttling;
    let help = "Periods of the container's limit of processor time; left out without a limit.";
    let periods = throttling.periods;
    out.single(
        "monopod_container_cpu_periods_total",
        Kind::Counter,
        help,
        periods,
    );
    let help = "Periods in which the container was held back by it.";
    out.single(
        "monopod_container_cpu_throttled_periods_total",
        Kind::Counter,
        help,
        throttling.throttled,
    );
    let help = "How long the container was held back by it.";
    let time = throttling.time;
    out.single(
        "monopod_container_cpu_throttled_seconds_total",
        Kind::Counter,
        help,
        time,
    );
    let help = "Processes and threads of the container.";
    out.single("monopod_container_pids", Kind::Gauge, help, usage.pids);
    let help = "The most it may have; left out without a limit.";
    out.single(
        "monopod_container_pids_limit",
        Kind::Gauge,
        help,
        usage.pids_limit,
    );
}

fn write_io(out: &mut Exposition, usage: &Usage) {
    let io = usage.io;
    let rows = [
        (
            "monopod_container_io_read_bytes_total",
            io.read,
            "Bytes the container read from disks.",
        ),
        (
            "monopod_container_io_written_bytes_total",
            io.written,
            "Bytes the container wrote to disks.",
        ),
        (
            "monopod_container_io_reads_total",
            io.reads,
            "Reads of disks by the container.",
        ),
        (
            "monopod_container_io_writes_total",
            io.writes,
            "Writes to disks by the container.",
        ),
    ];
    for (name, value, help) in rows {
        out.single(name, Kind::Counter, help, value);
    }
}

fn write_pressure(out: &mut Exposition, usage: &Usage) {
    let [cpu, memory, io] = usage.pressure;
    let rows = [
        (
            "cpu_waiting",
            cpu.some,
            "a task of the container waited for a processor",
        ),
        (
            "cpu_stalled",
            cpu.full,
            "all tasks of the container waited for a processor",
        ),
        (
            "memory_waiting",
            memory.some,
            "a task of the container waited for memory",
        ),
        (
            "memory_stalled",
            memory.full,
            "all tasks of the container waited for memory",
        ),
        ("io_waiting", io.some, "a task of the container waited for a disk"),
        (
            "io_stalled",
            io.full,
            "all tasks of the container waited for a disk",
        ),
    ];
    for (what, value, when) in rows {
        let name = format!("monopod_container_pressure_{what}_seconds_total");
        out.single(&name, Kind::Counter, &format!("How long {when}."), value);
    }
}

pub(super) fn write_probes(out: &mut Exposition, health: Option<&HealthRecord>, probes: Option<Probes>) {
    let help = "What the probes say since the machine is up; left out before, and after a restart until they are heard again.";
    let heard = health.filter(|health| health.heard);
    let healthy = heard.map(|health| health.healthy);
    out.single("monopod_probe_healthy", Kind::Gauge, help, healthy);
    let help = "Since when they say so.";
    let since = heard.map(|health| seconds(health.since));
    out.single(
        "monopod_probe_healthy_since_timestamp_seconds",
        Kind::Gauge,
        help,
        since,
    );
    let help = "Probes that were asked.";
    let asked = probes.map(|probes| probes.asked);
    out.single("monopod_probe_asked_total", Kind::Counter, help, asked);
    let help = "Probes without a good answer.";
    let failed = probes.map(|probes| probes.failed);
    out.single("monopod_probe_failed_total", Kind::Counter, help, failed);
    let help = "How long the last probe took.";
    let last = probes.and_then(|probes| probes.last_seconds);
    out.single("monopod_probe_duration_seconds", Kind::Gauge, help, last);
}
