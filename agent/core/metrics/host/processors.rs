//! Processors, what waits for them, and what they did.

use super::{Collected, Texts, any, number, scaled, words};
use crate::metrics::text::{Exposition, Kind};

/// proc(5): the columns of a processor's line, in their order.
const MODES: [&str; 8] = [
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal",
];

/// The columns behind those; their time is in user and nice, too.
const GUEST: [(&str, usize); 2] = [("user", 9), ("nice", 10)];

/// A processor's number and its line.
fn lines(stat: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    stat.lines().filter_map(|line| {
        let all = words(line);
        let cpu = all.first()?.strip_prefix("cpu")?;
        let is_one = !cpu.is_empty() && cpu.bytes().all(|b| b.is_ascii_digit());
        is_one.then_some((cpu, all))
    })
}

pub(super) fn cpu(texts: &Texts, out: &mut Exposition) -> Collected {
    let (stat, ticks) = (texts.stat.as_deref()?, texts.ticks?);
    let mut gave = false;
    let help = "Seconds the CPUs spent in each mode.";
    let mut metric = out.metric("node_cpu_seconds_total", Kind::Counter, help);
    for (cpu, all) in lines(stat) {
        for (at, mode) in MODES.iter().enumerate() {
            if let Some(value) = number(&all, at + 1) {
                metric.sample(&[("cpu", cpu), ("mode", mode)], scaled(value, ticks));
                gave = true;
            }
        }
    }
    let help = "Seconds the CPUs spent in guests (VMs) for each mode.";
    let mut metric = out.metric("node_cpu_guest_seconds_total", Kind::Counter, help);
    for (cpu, all) in lines(stat) {
        for (mode, at) in GUEST {
            if let Some(value) = number(&all, at) {
                metric.sample(&[("cpu", cpu), ("mode", mode)], scaled(value, ticks));
            }
        }
    }
    any(gave)
}

pub(super) fn stat(texts: &Texts, out: &mut Exposition) -> Collected {
    const ROWS: [(&str, &str, Kind, &str); 6] = [
        (
            "btime",
            "node_boot_time_seconds",
            Kind::Gauge,
            "Node boot time, in unixtime.",
        ),
        (
            "ctxt",
            "node_context_switches_total",
            Kind::Counter,
            "Total number of context switches.",
        ),
        (
            "intr",
            "node_intr_total",
            Kind::Counter,
            "Total number of interrupts serviced.",
        ),
        (
            "processes",
            "node_forks_total",
            Kind::Counter,
            "Total number of forks.",
        ),
        (
            "procs_running",
            "node_procs_running",
            Kind::Gauge,
            "Number of processes in runnable state.",
        ),
        (
            "procs_blocked",
            "node_procs_blocked",
            Kind::Gauge,
            "Number of processes blocked waiting for I/O to complete.",
        ),
    ];
    let stat = texts.stat.as_deref()?;
    let mut gave = false;
    for (key, name, kind, help) in ROWS {
        let value = stat.lines().find_map(|line| {
            let mut words = line.split_ascii_whitespace();
            (words.next() == Some(key)).then(|| words.next()?.parse::<u64>().ok())?
        });
        gave |= value.is_some();
        out.single(name, kind, help, value);
    }
    any(gave)
}

pub(super) fn loadavg(texts: &Texts, out: &mut Exposition) -> Collected {
    let all = words(texts.loadavg.as_deref()?);
    let load = |at: usize| all.get(at)?.parse::<f64>().ok();
    out.single("node_load1", Kind::Gauge, "1m load average.", Some(load(0)?));
    out.single("node_load5", Kind::Gauge, "5m load average.", load(1));
    out.single("node_load15", Kind::Gauge, "15m load average.", load(2));
    Some(())
}

/// Those that every kernel has.
const COLUMNS: usize = 9;

/// One line a processor, in hexadecimal.
pub(super) fn softnet(texts: &Texts, out: &mut Exposition) -> Collected {
    const ROWS: [(&str, &str); 3] = [
        ("node_softnet_processed_total", "Number of processed packets"),
        ("node_softnet_dropped_total", "Number of dropped packets"),
        (
            "node_softnet_times_squeezed_total",
            "Number of times processing packets ran out of quota",
        ),
    ];
    let text = texts.softnet.as_deref()?;
    let mut gave = false;
    for (at, (name, help)) in ROWS.into_iter().enumerate() {
        let mut metric = out.metric(name, Kind::Counter, help);
        for (line_number, line) in text.lines().enumerate() {
            let all = words(line);
            if all.len() < COLUMNS {
                continue;
            }
            let column = |at: usize| u64::from_str_radix(all.get(at)?, 16).ok();
            // Since Linux 5.10 a line says whose it is: one of a processor that is off is not there.
            let cpu = match column(12) {
                Some(cpu) => cpu.to_string(),
                None => line_number.to_string(),
            };
            if let Some(value) = column(at) {
                metric.sample(&[("cpu", &cpu)], value);
                gave = true;
            }
        }
    }
    any(gave)
}
