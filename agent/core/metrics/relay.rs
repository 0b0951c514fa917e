//! Metrics of the application's for CloudWatch: which, what its answer says of them, and what follows for a call.
//!
//! An Auto Scaling group follows one number, so the series of a metric are added up, whatever their labels. A gauge goes
//! as it is. Of a counter goes how much it grew since it was read before: CloudWatch knows no rates of its own, and a
//! counter that began anew (the application did) grew by what it has now.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use super::samples::is_name;
use super::samples::{Type, sample};
use crate::lifecycle::usage::{Datum, owners};

/// Between two readings at least.
pub const LEAST_INTERVAL_SECONDS: u32 = 10;
/// Between two readings, unless told.
pub const INTERVAL_SECONDS: u32 = 60;
/// Where metrics are, unless told.
pub const PATH: &str = "/metrics";
/// More are not taken: CloudWatch bills each.
pub const MOST_NAMES: usize = 20;

/// A number of CloudWatch's is below this.
const LARGEST: f64 = 1e108;
/// And one nearer to nothing is nothing.
const SMALLEST: f64 = 1e-108;

/// What is read where, and sent as what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The container's own port.
    pub port: u16,
    /// The path there.
    pub path: String,
    /// CloudWatch's namespace.
    pub namespace: String,
    /// The metrics.
    pub names: Vec<String>,
    /// Between two readings.
    pub interval_seconds: u32,
}

/// What an answer said of the metrics that were asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading(BTreeMap<String, Total>);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Total {
    sum: f64,
    grows: bool,
}

/// Reads an answer line by line; what it does not know is passed over.
#[derive(Debug)]
pub struct Reader<'r> {
    names: &'r [String],
    types: BTreeMap<String, Type>,
    reading: Reading,
}

impl Relay {
    /// For one answer.
    pub fn reader(&self) -> Reader<'_> {
        Reader {
            names: &self.names,
            types: BTreeMap::new(),
            reading: Reading::default(),
        }
    }

    /// Those of its metrics that a reading has nothing of.
    pub fn missing(&self, reading: &Reading) -> Vec<&str> {
        let all = self.names.iter().map(String::as_str);
        all.filter(|name| !reading.0.contains_key(*name)).collect()
    }

    /// What is sent of a reading, where another came before it or not.
    pub fn data(
        &self,
        reading: &Reading,
        before: &Reading,
        instance: &str,
        group: Option<&str>,
    ) -> Vec<Datum> {
        let mut data = Vec::new();
        for (name, total) in &reading.0 {
            let value = match (total.grows, before.0.get(name)) {
                (false, _) => total.sum,
                (true, Some(before)) if total.sum >= before.sum => total.sum - before.sum,
                // The application began anew.
                (true, Some(_)) => total.sum,
                // Since when, nobody knows.
                (true, None) => continue,
            };
            if !value.is_finite() || value.abs() > LARGEST {
                continue;
            }
            let value = if value.abs() < SMALLEST { 0.0 } else { value };
            data.extend(owners(instance, group).map(|owner| Datum {
                name: name.clone().into(),
                value,
                unit: "None",
                dimensions: vec![owner],
                by_the_second: self.interval_seconds < 60,
            }));
        }
        data
    }
}

impl Reader<'_> {
    /// A line of the answer.
    pub fn line(&mut self, line: &str) {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.split_ascii_whitespace();
            if let (Some("TYPE"), Some(name), Some(word)) = (words.next(), words.next(), words.next())
                && self.names.iter().any(|wanted| wanted.starts_with(name))
                && let Some(kind) = Type::of(word)
            {
                self.types.insert(name.to_owned(), kind);
            }
            return;
        }
        // Most lines are of other metrics.
        if !self.names.iter().any(|name| line.starts_with(name.as_str())) {
            return;
        }
        let Some(sample) = sample(line).filter(|sample| sample.value.is_finite()) else {
            return;
        };
        if !self.names.iter().any(|name| name == sample.name) || !self.adds_up(sample.name) {
            return;
        }
        let grows = self.grows(sample.name);
        let total = self.reading.0.entry(sample.name.to_owned());
        total.or_insert(Total { sum: 0.0, grows }).sum += sample.value;
    }

    /// The quantiles of a summary say nothing together.
    fn adds_up(&self, name: &str) -> bool {
        self.types.get(name) != Some(&Type::Summary)
    }

    fn grows(&self, name: &str) -> bool {
        match self.types.get(name) {
            Some(Type::Counter) => true,
            Some(Type::Gauge) => false,
            _ => {
                let parts = ["_sum", "_count", "_bucket"];
                let of_another = parts
                    .iter()
                    .filter_map(|part| name.strip_suffix(part))
                    .any(|family| matches!(self.types.get(family), Some(Type::Histogram | Type::Summary)));
                of_another || name.ends_with("_total")
            }
        }
    }

    /// What was read.
    pub fn finish(self) -> Reading {
        self.reading
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relay(names: &[&str]) -> Relay {
        Relay {
            port: 8080,
            path: PATH.to_owned(),
            namespace: "shop".to_owned(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            interval_seconds: 60,
        }
    }

    fn read(relay: &Relay, text: &str) -> Reading {
        let mut reader = relay.reader();
        text.lines().for_each(|line| reader.line(line));
        reader.finish()
    }

    fn sent(relay: &Relay, now: &str, before: &str) -> Vec<(String, f64)> {
        let (now, before) = (read(relay, now), read(relay, before));
        let data = relay.data(&now, &before, "i-1", None);
        data.into_iter()
            .map(|one| (one.name.into_owned(), one.value))
            .collect()
    }

    #[test]
    fn series_are_added_up_and_others_passed_over() {
        let relay = relay(&["queue_depth"]);
        let text = "# HELP queue_depth How long.\n# TYPE queue_depth gauge\nqueue_depth{queue=\"a}\\\"\"} 2\n\
                    queue_depth{queue=\"b\"} 3.5 1700000000000\nqueue_depth_max 99\nqueue_depth{torn=\"\nqueue_depth nonsense\n\
                    queue_depth NaN\n";
        assert_eq!(sent(&relay, text, ""), [("queue_depth".to_owned(), 5.5)]);
    }

    #[test]
    fn of_a_counter_goes_how_much_it_grew() {
        let relay = relay(&["requests_total", "latency_seconds_count", "errors"]);
        let at = |requests: u32, count: u32, errors: u32| {
            format!(
                "# TYPE latency_seconds histogram\nlatency_seconds_count{{path=\"/\"}} {count}\n# TYPE errors counter\n\
                 errors {errors}\nrequests_total{{code=\"200\"}} {requests}\nrequests_total{{code=\"500\"}} 1\n"
            )
        };
        let values = |now: &str, before: &str| -> Vec<f64> {
            sent(&relay, now, before)
                .into_iter()
                .map(|(_, value)| value)
                .collect()
        };
        let [first, second] = [at(10, 5, 7), at(25, 8, 7)];
        assert_eq!(values(&first, ""), [] as [f64; 0], "since when?");
        assert_eq!(values(&second, &first), [0.0, 3.0, 15.0]);
        assert_eq!(values(&at(2, 1, 3), &second), [3.0, 1.0, 3.0], "it began anew");
    }

    #[test]
    fn quantiles_and_what_cloudwatch_cannot_take_are_left_out() {
        let relay = relay(&["rpc", "rpc_sum", "huge", "tiny"]);
        let text = "# TYPE rpc summary\nrpc{quantile=\"0.5\"} 1\nrpc_sum 8\n# TYPE huge gauge\nhuge 1e300\n\
                    # TYPE tiny gauge\ntiny 1e-200\n";
        assert_eq!(
            sent(&relay, text, text),
            [("rpc_sum".to_owned(), 0.0), ("tiny".to_owned(), 0.0)]
        );
        assert_eq!(relay.missing(&read(&relay, text)), ["rpc"]);
    }

    #[test]
    fn a_group_has_the_same() {
        let mut relay = relay(&["queue_depth"]);
        relay.interval_seconds = 10;
        let reading = read(&relay, "queue_depth 2\n");
        let data = relay.data(&reading, &Reading::default(), "i-1", Some("asg"));
        let dimensions: Vec<_> = data.iter().map(|one| one.dimensions.clone()).collect();
        assert_eq!(
            dimensions,
            [
                [("InstanceId", "i-1".to_owned())],
                [("AutoScalingGroupName", "asg".to_owned())]
            ]
        );
        assert!(data.iter().all(|one| one.by_the_second && one.unit == "None"));
    }
}
