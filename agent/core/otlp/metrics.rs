//! What `/metrics` serves, as metrics of the protocol.
//!
//! Names stay as they are, so that a query means the same by either way; the unit is what the name's end says. What only
//! grows is a cumulative sum, whose start is told where it is known: with the agent, the container or the machine. Buckets
//! and quantiles of files that teams put there stay series of their own, as the text has them.

use serde_json::{Map, Value, json};

use super::exposition::{Family, Kind, Sample, read};
use super::{nanos, scope, text};

/// AGGREGATION_TEMPORALITY_CUMULATIVE.
const CUMULATIVE: u8 = 2;

/// When what only grows began to, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// The agent's start.
    pub agent: u64,
    /// The container's last start.
    pub container: Option<u64>,
    /// The machine's boot.
    pub machine: Option<u64>,
}

impl Starts {
    /// What the control group counts begins with the container; what the kernel counts for all, with the machine.
    fn of(&self, name: &str) -> Option<u64> {
        match name {
            // That one the agent counts.
            "monopod_container_restarts_total" => Some(self.agent),
            _ if name.starts_with("monopod_container_") => self.container,
            _ if name.starts_with("monopod_") || name.starts_with("process_") => Some(self.agent),
            _ if name.starts_with("node_") => self.machine,
            _ => None,
        }
    }
}

/// The body of a push; `None` if there is nothing in it. `now` in milliseconds since the epoch.
pub fn body(exposition: &str, starts: &Starts, now: u64, resource: Value, version: &str) -> Option<Value> {
    let metrics: Vec<Value> = read(exposition)
        .iter()
        .flat_map(|family| split(family))
        .filter_map(|one| metric(&one, starts, now))
        .collect();
    (!metrics.is_empty()).then(|| {
        json!({
            "resourceMetrics": [{
                "resource": resource,
                "scopeMetrics": [{ "scope": scope(version), "metrics": metrics }],
            }]
        })
    })
}

/// Series of one name that mean the same.
struct Series<'a> {
    name: &'a str,
    help: &'a str,
    grows: bool,
    samples: Vec<&'a Sample<'a>>,
}

/// A histogram's buckets, its sum and its count are three.
fn split<'a>(family: &'a Family<'a>) -> Vec<Series<'a>> {
    let mut all: Vec<Series<'a>> = Vec::new();
    for sample in &family.samples {
        if let Some(series) = all.iter_mut().find(|series| series.name == sample.name) {
            series.samples.push(sample);
            continue;
        }
        all.push(Series {
            name: sample.name,
            help: family.help,
            grows: match family.kind {
                Kind::Counter | Kind::Histogram => true,
                // Its quantiles go up and down.
                Kind::Summary => sample.name != family.name,
                Kind::Gauge | Kind::Untyped => false,
            },
            samples: vec![sample],
        });
    }
    all
}

fn metric(series: &Series<'_>, starts: &Starts, now: u64) -> Option<Value> {
    let start = starts.of(series.name).filter(|_| series.grows);
    let points: Vec<Value> = series
        .samples
        .iter()
        // JSON has no word for the others.
        .filter(|sample| sample.value.is_finite())
        .map(|sample| point(sample, start, now))
        .collect();
    if points.is_empty() {
        return None;
    }
    let mut metric = Map::new();
    metric.insert("name".to_owned(), series.name.into());
    if !series.help.is_empty() {
        metric.insert("description".to_owned(), series.help.into());
    }
    if let Some(unit) = unit(series.name) {
        metric.insert("unit".to_owned(), unit.into());
    }
    let (kind, data) = match series.grows {
        true => (
            "sum",
            json!({ "aggregationTemporality": CUMULATIVE, "isMonotonic": true, "dataPoints": points }),
        ),
        false => ("gauge", json!({ "dataPoints": points })),
    };
    metric.insert(kind.to_owned(), data);
    Some(Value::Object(metric))
}

fn point(sample: &Sample<'_>, start: Option<u64>, now: u64) -> Value {
    let labels = sample.labels.iter();
    let attributes: Vec<Value> = labels.map(|(name, value)| text(name, value)).collect();
    // Always of one type: a sum of seconds that is whole just now is no other metric.
    let mut point = json!({ "timeUnixNano": nanos(now), "asDouble": sample.value });
    if let Some(map) = point.as_object_mut() {
        if !attributes.is_empty() {
            map.insert("attributes".to_owned(), attributes.into());
        }
        if let Some(start) = start {
            map.insert("startTimeUnixNano".to_owned(), nanos(start).into());
        }
    }
    point
}

/// By the conventions for names.
fn unit(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next()? {
        "seconds" => Some("s"),
        "bytes" => Some("By"),
        "ratio" => Some("1"),
        _ => None,
    }
}
