//! Log shipping, from the shipper's rows in the record.

use serde_json::Value;

use super::text::{Exposition, Kind, Number, seconds};
use crate::text;

/// How a metric is had from a row.
type Of = fn(&Value) -> Option<Number>;

const METRICS: [(&str, Kind, &str, Of); 11] = [
    (
        "monopod_sink_up",
        Kind::Gauge,
        "Whether the sink takes lines: 0 while it tries again or was refused.",
        |row| Some((row.get("state")?.get("kind")? == "ok").into()),
    ),
    (
        "monopod_sink_lines_total",
        Kind::Counter,
        "Lines handed over.",
        |row| number(row, "delivered"),
    ),
    (
        "monopod_sink_bytes_total",
        Kind::Counter,
        "Bytes of the lines handed over.",
        |row| number(row, "delivered_bytes"),
    ),
    (
        "monopod_sink_lag_bytes",
        Kind::Gauge,
        "Bytes of log files that wait for this sink.",
        |row| number(row, "behind_bytes"),
    ),
    (
        "monopod_sink_lost_lines_total",
        Kind::Counter,
        "Lines known to be lost, each marked by a gap in the stream.",
        |row| number(row, "lost"),
    ),
    (
        "monopod_sink_lost_lines_exact",
        Kind::Gauge,
        "0 where more lines may have been lost than are counted.",
        |row| Some(row.get("lost_exact")?.as_bool()?.into()),
    ),
    (
        "monopod_sink_excluded_lines_total",
        Kind::Counter,
        "Lines left out because the user data says so.",
        |row| number(row, "excluded"),
    ),
    (
        "monopod_sink_cut_lines_total",
        Kind::Counter,
        "Lines cut because they were too long.",
        |row| number(row, "cut"),
    ),
    (
        "monopod_sink_garbage_records_total",
        Kind::Counter,
        "Records in log files that were none.",
        |row| number(row, "garbage"),
    ),
    (
        "monopod_sink_failures_total",
        Kind::Counter,
        "Attempts to deliver that failed.",
        |row| number(row, "failures"),
    ),
    (
        "monopod_sink_last_line_timestamp_seconds",
        Kind::Gauge,
        "The time of the last line handed over.",
        |row| text::parse_timestamp_millis(row.get("last_line")?.as_str()?).map(seconds),
    ),
];

fn number(row: &Value, key: &str) -> Option<Number> {
    Some(row.get(key)?.as_u64()?.into())
}

pub(super) fn write(out: &mut Exposition, logs: &Value) {
    let rows = logs.as_array().map_or(&[][..], Vec::as_slice);
    for (name, kind, help, of) in METRICS {
        let mut metric = out.metric(name, kind, help);
        for row in rows {
            let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
            // A file is a source of its own beside the container's.
            let source = match word("origin") {
                "" => "container",
                origin => origin,
            };
            let labels = [
                ("sink", word("name")),
                ("stream", word("stream")),
                ("source", source),
            ];
            if let Some(value) = of(row) {
                metric.sample(&labels, value);
            }
        }
    }
}
