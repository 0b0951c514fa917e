//! Figures of the machine's and of the application's, beside those that are always there.

use super::Fate::Read;
use super::Shape::{List, Number, Object, Text, Time};
use super::{Grammar, Key, Shape};
use crate::metrics::relay::LEAST_INTERVAL_SECONDS;

const NAME: Shape = Text(Grammar::MetricName);

const RELAY: &[Key] = &[
    Key::new("port", Number { least: 1, most: 65_535, unit: "" }, Read, "The port where the application serves its metrics: the container's own one, which need not be published. It is asked at the container's address, or at 127.0.0.1 with `networking: host`.")
        .required()
        .example("port: 8080"),
    Key::new("path", Text(Grammar::UrlPath), Read, "The path there, in Prometheus' text format.")
        .default("/metrics")
        .example("path: /actuator/prometheus"),
    Key::new("namespace", Text(Grammar::Namespace), Read, "CloudWatch's namespace for them; not one that begins with `AWS/`.")
        .required()
        .example("namespace: my-app"),
    Key::new("names", List(&NAME), Read, "The metrics, by their names in the application, 20 at most. The series of one metric are added up, whatever their labels. A gauge goes as it is; of a counter goes how much it grew since it was read before. Of a histogram or a summary its `_sum` and `_count` are counters that can be named.")
        .required()
        .example("names: [queue_depth, http_requests_total]"),
    Key::new("interval", Time { least: LEAST_INTERVAL_SECONDS, most: 3600 }, Read, "How often they are read and sent. Below a minute CloudWatch stores them at high resolution, which a step scaling policy or an alarm of 10 or 30 seconds can use.")
        .default("60s")
        .example("interval: 30s"),
];

const METRICS: &[Key] = &[
    Key::new("textfile_directory", Text(Grammar::Path), Read, "A directory of the machine's with figures of your own: every `*.prom` file in it, in Prometheus' text format, is read at each scrape and added to /metrics. At most 64 files and 1 MiB together; a file that is not in that format, is no plain file, has time stamps, or names a metric that is there already is left out, and `node_textfile_scrape_error` is 1. Write a file beside it and rename it, as for node_exporter. The agent is root without any capability: it reads what is root's or open to all, and sees nothing of /home, /root and /tmp.")
        .default("none")
        .example("textfile_directory: /var/lib/prometheus/node-exporter"),
    Key::new("cloudwatch", Object(RELAY), Read, "Metrics of the application that are read from it and sent to CloudWatch, by InstanceId, and by AutoScalingGroupName where `lifecycle_hooks.group` or the instance's tags in its metadata say it: an Auto Scaling group can follow them. The role needs cloudwatch:PutMetricData for that namespace.")
        .default("nothing is sent")
        .example("cloudwatch:\n  port: 8080\n  namespace: my-app\n  names: [queue_depth]"),
];

pub(super) const KEYS: &[Key] = &[Key::new(
    "metrics",
    Object(METRICS),
    Read,
    "Figures beside those that /metrics at `status_address` always has: of the agent, of the container, and of the machine under node_exporter's names. Changing it replaces no container.",
)
.default("none beside those")
.ours("New.")
.example("metrics:\n  textfile_directory: /var/lib/prometheus/node-exporter\n  cloudwatch:\n    port: 8080\n    namespace: my-app\n    names: [queue_depth]\n    interval: 30s")];
