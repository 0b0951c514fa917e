//! Prometheus' text format, read: what `/metrics` serves, and what teams put beside it.
//!
//! A line that can't be read is left out: the rest of a scrape is worth having.

use std::str::Chars;

/// What a metric is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Buckets, a sum and a count.
    Histogram,
    /// Quantiles, a sum and a count.
    Summary,
    /// Nobody said.
    #[default]
    Untyped,
}

/// A metric with its series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it says, escaped as it stands.
    pub help: &'a str,
    /// What it is.
    pub kind: Kind,
    /// In the order they stand.
    pub samples: Vec<Sample<'a>>,
}

/// One series' value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// The family's name, or that with `_bucket`, `_sum` or `_count`.
    pub name: &'a str,
    /// Labels, without escapes.
    pub labels: Vec<(&'a str, String)>,
    /// The value: it may be no number and infinite.
    pub value: f64,
}

/// Reads a text.
pub fn read(text: &str) -> Vec<Family<'_>> {
    let mut families: Vec<Family<'_>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim_start().splitn(3, char::is_whitespace);
            match (words.next(), words.next(), words.next().unwrap_or_default()) {
                (Some("HELP"), Some(name), help) => {
                    change(&mut families, name, |family| family.help = help.trim_start());
                }
                (Some("TYPE"), Some(name), kind) => {
                    change(&mut families, name, |family| family.kind = kind_of(kind.trim()));
                }
                _ => {}
            }
        } else if let Some(sample) = sample(line) {
            match families.last_mut() {
                Some(last) if last.has(sample.name) => last.samples.push(sample),
                _ => change(&mut families, sample.name, |family| family.samples.push(sample)),
            }
        }
    }
    families.retain(|family| !family.samples.is_empty());
    families
}

impl Family<'_> {
    /// Whether a sample of this name is one of its own.
    fn has(&self, name: &str) -> bool {
        let Some(rest) = name.strip_prefix(self.name) else {
            return false;
        };
        match self.kind {
            Kind::Histogram => matches!(rest, "" | "_bucket" | "_sum" | "_count"),
            Kind::Summary => matches!(rest, "" | "_sum" | "_count"),
            Kind::Counter | Kind::Gauge | Kind::Untyped => rest.is_empty(),
        }
    }
}

/// Changes the last family, or a new one where that has another name: the lines of a family stand together.
fn change<'a>(families: &mut Vec<Family<'a>>, name: &'a str, change: impl FnOnce(&mut Family<'a>)) {
    match families.last_mut() {
        Some(last) if last.name == name => change(last),
        _ => {
            let mut family = Family {
                name,
                ..Family::default()
            };
            change(&mut family);
            families.push(family);
        }
    }
}

fn kind_of(word: &str) -> Kind {
    match word {
        "counter" => Kind::Counter,
        "gauge" => Kind::Gauge,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => Kind::Untyped,
    }
}

fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    // A time may stand behind the value; ours is the time of the scrape.
    let value = rest.split_whitespace().next()?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        value => value.parse().ok()?,
    };
    Some(Sample { name, labels, value })
}

/// `a="1",b="2"} 3`: the labels, and what is behind the bracket.
fn labels(text: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text.trim_start();
    loop {
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let mut chars = behind.trim_start().strip_prefix('"')?.chars();
        labels.push((name.trim(), quoted(&mut chars)?));
        rest = chars.as_str().trim_start();
        rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

/// Up to the quotation mark, which is taken.
fn quoted(chars: &mut Chars<'_>) -> Option<String> {
    let mut value = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(value),
            '\\' => match chars.next()? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
