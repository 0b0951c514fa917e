//! The text format itself.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, until the agent starts anew.
    Counter,
    /// It goes up and down.
    Gauge,
    /// What node_exporter does not say of it.
    Untyped,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Untyped => "untyped",
        }
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i128),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value.into())
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Whole(value.into())
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<Duration> for Number {
    fn from(value: Duration) -> Self {
        Self::Real(value.as_secs_f64())
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value}"),
        }
    }
}

/// Milliseconds as the seconds that Prometheus wants.
pub(super) fn seconds(millis: u64) -> Number {
    Duration::from_millis(millis).into()
}

/// A scrape on its way.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
    /// The metrics that are in it.
    names: BTreeSet<String>,
}

impl Exposition {
    /// A metric; it appears with its first sample. A second one of the same name would make the whole scrape invalid, and is
    /// left out: names of the kernel's making are among them.
    pub(super) fn metric<'a>(&'a mut self, name: &'a str, kind: Kind, help: &'a str) -> Metric<'a> {
        Metric {
            is_new: !self.names.contains(name),
            names: &mut self.names,
            out: &mut self.text,
            name,
            kind,
            help,
            labels: BTreeSet::new(),
        }
    }

    /// A metric of one series, or of none.
    pub(super) fn single(&mut self, name: &str, kind: Kind, help: &str, value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.metric(name, kind, help).sample(&[], value);
        }
    }

    /// The metrics that are in it.
    pub(super) fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Text that is in the format already, of metrics that are not in it yet.
    pub(super) fn append(&mut self, text: &str) {
        self.text.push_str(text);
    }

    pub(super) fn finish(self) -> String {
        self.text
    }
}

/// A metric whose samples are being written.
pub(super) struct Metric<'a> {
    is_new: bool,
    names: &'a mut BTreeSet<String>,
    out: &'a mut String,
    name: &'a str,
    kind: Kind,
    help: &'a str,
    /// Those it has.
    labels: BTreeSet<String>,
}

impl Metric<'_> {
    /// One series. A second one with the same labels would make the whole scrape invalid, and is left out.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Number>) {
        let value = value.into();
        if !self.is_new || matches!(value, Number::Real(real) if !real.is_finite()) {
            return;
        }
        let labels = braced(labels);
        if self.labels.contains(&labels) {
            return;
        }
        // Writing to a String cannot fail.
        let _ok = self.write(&labels, value).is_ok();
        if self.labels.is_empty() {
            self.names.insert(self.name.to_owned());
        }
        self.labels.insert(labels);
    }

    fn write(&mut self, labels: &str, value: Number) -> fmt::Result {
        let (out, name) = (&mut *self.out, self.name);
        if self.labels.is_empty() {
            writeln!(out, "# HELP {name} {}", self.help)?;
            writeln!(out, "# TYPE {name} {}", self.kind.word())?;
        }
        writeln!(out, "{name}{labels} {value}")
    }
}

fn braced(labels: &[(&str, &str)]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{{{}}}", labels.join(","))
}

pub(super) fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            // The format has no word for these.
            c if c.is_control() => out.push('·'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_no_line_is_broken() {
        let mut out = Exposition::default();
        out.metric("a_info", Kind::Gauge, "A.")
            .sample(&[("x", "one\\two\"three\nfour\r\u{1b}")], 1u64);
        assert_eq!(
            out.finish(),
            "# HELP a_info A.\n# TYPE a_info gauge\na_info{x=\"one\\\\two\\\"three\\nfour··\"} 1\n"
        );
    }

    #[test]
    fn a_metric_without_samples_is_not_there_and_no_series_comes_twice() {
        let mut out = Exposition::default();
        out.single("none", Kind::Gauge, "Nothing.", None::<u64>);
        out.single("nan", Kind::Gauge, "Nothing.", Some(f64::NAN));
        let mut metric = out.metric("b_total", Kind::Counter, "B.");
        metric.sample(&[("x", "1")], 1u64);
        metric.sample(&[("x", "1")], 2u64);
        metric.sample(&[("x", "2")], 0.25);
        assert_eq!(
            out.finish(),
            "# HELP b_total B.\n# TYPE b_total counter\nb_total{x=\"1\"} 1\nb_total{x=\"2\"} 0.25\n"
        );
        let mut out = Exposition::default();
        for value in [1u64, 2] {
            out.single("once", Kind::Gauge, "Once.", Some(value));
        }
        assert_eq!(out.finish(), "# HELP once Once.\n# TYPE once gauge\nonce 1\n");
    }

    #[test]
    fn numbers_are_as_the_format_wants_them() {
        for (number, text) in [
            (Number::from(u64::MAX), "18446744073709551615"),
            (Number::from(-1i64), "-1"),
            (Number::from(true), "1"),
            (seconds(1_234_567_890_123), "1234567890.123"),
            (Number::from(Duration::from_micros(5)), "0.000005"),
            (Number::from(1e300), &format!("1{}", "0".repeat(300))),
        ] {
            assert_eq!(number.to_string(), text);
        }
    }
}
