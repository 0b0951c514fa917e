//! OpenTelemetry.

use super::Fate::Read;
use super::Shape::{Choice, List, Map, Object, Secret, Text, Time};
use super::{Grammar, Key};

const OTLP: &[Key] = &[
    Key::new("endpoint", Text(Grammar::Url), Read, "The receiver's address, without /v1/logs and the like, which are put behind it. https, or http to this machine.")
        .required()
        .example("endpoint: https://otlp.example.org"),
    Key::new("headers", Map { key: "the header's name", names: Grammar::HeaderName, value: &Secret }, Read, "Headers of every request. They are fetched when the first request leaves, so no boot waits for them, and again when the receiver refuses them.")
        .default("none")
        .example("headers:\n  Authorization: aws:ssm:/my-app/otlp"),
    Key::new("signals", List(&Choice(&["logs", "metrics", "traces"])), Read, "What is sent. `logs` are the container's lines and those of `mount_custom_log`, `metrics` is what /metrics serves, and `traces` is the boot as one trace.")
        .default("[logs, metrics, traces]")
        .example("signals: [logs, traces]"),
    Key::new("interval", Time { least: 10, most: 3_600 }, Read, "Between two pushes of metrics.")
        .default("60s")
        .example("interval: 30s"),
];

pub(super) const KEYS: &[Key] = &[
    Key::new("otlp", Object(OTLP), Read, "A receiver of OpenTelemetry's OTLP over HTTP, such as a collector: it gets the container's lines, the machine's metrics and the boot as a trace, as JSON with gzip.")
        .default("none: nothing is sent by OTLP")
        .ours("New. Lines are sent until they are taken, like those to any other place that confirms; metrics that could not be sent are not sent later.")
        .example("otlp:\n  endpoint: https://otlp.example.org\n  headers:\n    Authorization: aws:ssm:/my-app/otlp"),
];
