//! The text format read: a line of it, and whole texts by the strictest reading.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::text::escaped;

/// A line with a value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample<'a> {
    /// Its metric.
    pub name: &'a str,
    /// Its labels, in the order of their names.
    pub labels: BTreeMap<&'a str, String>,
    /// The value.
    pub value: f64,
    /// The value as it is written.
    pub written: &'a str,
    /// Whether a time stamp stands behind it.
    pub timed: bool,
}

/// What a metric is, as its TYPE line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Type {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Quantiles.
    Summary,
    /// Nobody said.
    #[default]
    Untyped,
}

impl Type {
    /// By its name.
    pub fn of(word: &str) -> Option<Self> {
        Some(match word {
            "counter" => Self::Counter,
            "gauge" => Self::Gauge,
            "histogram" => Self::Histogram,
            "summary" => Self::Summary,
            "untyped" => Self::Untyped,
            _ => return None,
        })
    }

    /// Its name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::Untyped => "untyped",
        }
    }

    /// What may stand behind the metric's name in its samples.
    const fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram => &["_bucket", "_sum", "_count"],
            Self::Summary => &["", "_sum", "_count"],
            Self::Counter | Self::Gauge | Self::Untyped => &[""],
        }
    }
}

/// Whether a metric may be called this.
pub fn is_name(text: &str) -> bool {
    is_label(&text.replace(':', "_"))
}

fn is_label(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Reads a line that is neither empty nor a comment; `None` if it is none of the format.
pub fn sample(line: &str) -> Option<Sample<'_>> {
    let line = line.trim_matches([' ', '\t']);
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(end)?;
    let rest = rest.trim_start_matches([' ', '\t']);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (BTreeMap::new(), rest),
    };
    let mut words = rest.split([' ', '\t']).filter(|word| !word.is_empty());
    let (written, time) = (words.next()?, words.next());
    let time_is_one = time.is_none_or(|time| time.parse::<i64>().is_ok());
    let value: f64 = written.parse().ok()?;
    // Prometheus takes `+Inf`, and no number that is too large to be one: it would refuse all of the scrape.
    let is_too_large = value.is_infinite() && written.bytes().any(|b| b.is_ascii_digit());
    (is_name(name) && time_is_one && !is_too_large && words.next().is_none()).then_some(Sample {
        name,
        labels,
        value,
        written,
        timed: time.is_some(),
    })
}

/// What stands between the braces, and what behind them.
fn labels(mut rest: &str) -> Option<(BTreeMap<&str, String>, &str)> {
    let blank = [' ', '\t'];
    let mut all = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(blank);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((all, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let name = name.trim_end_matches(blank);
        let (value, behind) = quoted(behind.trim_start_matches(blank).strip_prefix('"')?)?;
        if !is_label(name) || name.starts_with("__") || all.insert(name, value).is_some() {
            return None;
        }
        rest = behind.trim_start_matches(blank);
        rest = match rest.strip_prefix(',') {
            Some(behind) => behind,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// Up to the quote that ends it, and what stands behind that.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => value.push(match chars.next()?.1 {
                '\\' => '\\',
                '"' => '"',
                'n' => '\n',
                _ => return None,
            }),
            (at, '"') => return Some((value, text.get(at + 1..)?)),
            (_, c) => value.push(c),
        }
    }
}

/// A metric with its samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    kind: Type,
    help: Option<String>,
    /// What each line begins with, up to its value, and the value as it was written.
    series: Vec<(String, String)>,
}

/// Metrics by their names.
pub type Families = BTreeMap<String, Family>;

/// Reads a whole text. What is wrong with it, and in which line: nothing of the text is in that, as it may be anything.
pub fn families(text: &str) -> Result<Families, (usize, &'static str)> {
    let mut reader = Reader::default();
    let lines = text.split_inclusive('\n').enumerate();
    for (number, line) in lines {
        let Some(line) = line.strip_suffix('\n') else {
            return Err((number + 1, "the last line does not end: the file is half written"));
        };
        reader.line(line).map_err(|why| (number + 1, why))?;
    }
    Ok(reader
        .all
        .into_iter()
        .filter(|(_, family)| !family.series.is_empty())
        .collect())
}

#[derive(Default)]
struct Reader {
    all: Families,
    /// Whose TYPE was said.
    typed: BTreeSet<String>,
    seen: BTreeSet<String>,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let line = line.trim_matches([' ', '\t']);
        if line.is_empty() {
            return Ok(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            return self.comment(comment.trim_start_matches([' ', '\t']));
        }
        let sample = sample(line).ok_or("this is no sample")?;
        if sample.timed {
            return Err("a sample has a time stamp");
        }
        let name = self
            .family_of(sample.name)
            .ok_or("a sample is none of its metric's")?;
        let family = self.all.entry(name).or_default();
        let wanted = match family.kind {
            Type::Histogram if sample.name.ends_with("_bucket") => Some("le"),
            _ => None,
        };
        if wanted.is_some_and(|label| {
            sample
                .labels
                .get(label)
                .is_none_or(|le| le.parse::<f64>().is_err())
        }) {
            return Err("a bucket has no bound");
        }
        let start = start(&sample);
        if !self.seen.insert(start.clone()) {
            return Err("a series stands there twice");
        }
        family.series.push((start, sample.written.to_owned()));
        Ok(())
    }

    fn comment(&mut self, comment: &str) -> Result<(), &'static str> {
        let mut words = comment.splitn(3, [' ', '\t']);
        let (what, name, rest) = (words.next(), words.next(), words.next());
        let (Some(what @ ("HELP" | "TYPE")), Some(name)) = (what, name) else {
            return Ok(());
        };
        if !is_name(name) {
            return Err("this is no name of a metric");
        }
        let family = self.all.entry(name.to_owned()).or_default();
        if what == "HELP" {
            if family.help.replace(help(rest.unwrap_or_default())).is_some() {
                return Err("a second HELP of the same metric");
            }
            return Ok(());
        }
        if !family.series.is_empty() || !self.typed.insert(name.to_owned()) {
            return Err("a second TYPE of the same metric, or one behind its samples");
        }
        family.kind = rest
            .map(|rest| rest.trim_matches([' ', '\t']))
            .and_then(Type::of)
            .ok_or("this is no type of a metric")?;
        Ok(())
    }

    /// The metric that a sample of this name belongs to.
    fn family_of(&self, name: &str) -> Option<String> {
        let with = |suffix: &str| -> Option<&str> {
            let family = name.strip_suffix(suffix)?;
            let kind = self.all.get(family)?.kind;
            kind.suffixes().contains(&suffix).then_some(family)
        };
        match ["_bucket", "_sum", "_count", ""].into_iter().find_map(with) {
            Some(family) => Some(family.to_owned()),
            // One that is typed and has no sample of its plain name.
            None if self.typed.contains(name) => None,
            None => Some(name.to_owned()),
        }
    }
}

/// What a metric's samples may be called.
fn names(family: &str, kind: Type) -> impl Iterator<Item = String> {
    kind.suffixes()
        .iter()
        .map(move |suffix| format!("{family}{suffix}"))
}

/// One line, without what only a program would put there.
fn help(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '·' } else { c })
        .collect()
}

fn start(sample: &Sample<'_>) -> String {
    if sample.labels.is_empty() {
        return sample.name.to_owned();
    }
    let labels: Vec<String> = sample
        .labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
        .collect();
    format!("{}{{{}}}", sample.name, labels.join(","))
}

/// Adds the metrics of another text, none of which may be `taken`; nothing of it where the two don't fit together.
pub(super) fn merge(
    into: &mut Families,
    more: Families,
    taken: &BTreeSet<String>,
) -> Result<(), &'static str> {
    let owners: BTreeMap<String, &String> = into
        .iter()
        .flat_map(|(other, there)| names(other, there.kind).map(move |one| (one, other)))
        .collect();
    for (name, family) in &more {
        // A summary's `x_count` is as much in the way as a metric of that name.
        if names(name, family.kind).any(|one| taken.contains(&one)) {
            return Err("a metric has the name of one that is served already");
        }
        if names(name, family.kind).any(|one| owners.get(&one).is_some_and(|other| *other != name)) {
            return Err("another file has a metric with the same series");
        }
        let Some(there) = into.get(name) else {
            continue;
        };
        if there.kind != family.kind {
            return Err("another file has a metric of the same name and of another type");
        }
        let before: BTreeSet<&String> = there.series.iter().map(|(start, _)| start).collect();
        if family.series.iter().any(|(start, _)| before.contains(start)) {
            return Err("another file has the same series");
        }
    }
    for (name, family) in more {
        let there = into.entry(name).or_insert_with(|| Family {
            kind: family.kind,
            help: family.help,
            series: Vec::new(),
        });
        there.series.extend(family.series);
    }
    Ok(())
}

/// As it is served.
pub(super) fn render(families: &Families) -> String {
    let mut out = String::new();
    for (name, family) in families {
        let help = family.help.as_deref().unwrap_or("Of a file of this machine's.");
        // Writing to a String cannot fail.
        let _ok = writeln!(out, "# HELP {name} {help}").is_ok();
        let _ok = writeln!(out, "# TYPE {name} {}", family.kind.word()).is_ok();
        for (start, value) in &family.series {
            let _ok = writeln!(out, "{start} {value}").is_ok();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_read() {
        let sample =
            sample("a_total{b=\"one, \\\"two\\\" \\\\ \\n}\", c = \"\" ,} 1.5e3 1700000000000").unwrap();
        assert_eq!(
            (sample.name, sample.value, sample.timed),
            ("a_total", 1500.0, true)
        );
        assert_eq!(sample.labels["b"], "one, \"two\" \\ \n}");
        assert_eq!(sample.labels["c"], "");
        for good in ["a 1", "a:b\t-1", " a +Inf ", "a NaN", "a{} 0", "_a 1e-3"] {
            assert!(super::sample(good).is_some(), "{good}");
        }
        for bad in [
            "a",
            "a x",
            "1a 1",
            "a 1 2 3",
            "a 1 soon",
            "a{b=1} 1",
            "a{b=\"x} 1",
            "a{b=\"x\" c=\"y\"} 1",
            "a{b=\"x\",b=\"y\"} 1",
            "a{1=\"x\"} 1",
            "a{__name__=\"x\"} 1",
            "a{b=\"\\x\"} 1",
            "ä 1",
            "a{b=\"x\"",
            "{} 1",
            "",
        ] {
            assert!(super::sample(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_whole_text_is_read_and_written() {
        let text = "# HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.5\nh_count 2\n\
                    # TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n";
        let more = "# a comment\n\nplain{b=\"\\n\"} 1\n# TYPE g gauge\ng 2\n# TYPE empty gauge\n";
        let all = families(&format!("{text}{more}")).unwrap();
        assert_eq!(
            render(&all),
            "# HELP g Of a file of this machine's.\n# TYPE g gauge\ng 2\n\
             # HELP h Help.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 1.5\nh_count 2\n\
             # HELP plain Of a file of this machine's.\n# TYPE plain untyped\nplain{b=\"\\n\"} 1\n\
             # HELP s Of a file of this machine's.\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n"
        );
    }

    #[test]
    fn what_is_wrong_is_said_and_where() {
        for (text, line, why) in [
            ("a 1", 1, "half written"),
            ("a 1\nb x\n", 2, "no sample"),
            ("a 1 1700000000000\n", 1, "time stamp"),
            ("a 1\na 2\n", 2, "twice"),
            ("a{b=\"1\",c=\"2\"} 1\na{c=\"2\",b=\"1\"} 1\n", 2, "twice"),
            ("# TYPE a gauge\n# TYPE a gauge\n", 2, "second TYPE"),
            ("a 1\n# TYPE a gauge\n", 2, "second TYPE"),
            ("# HELP a A.\n# HELP a A.\n", 2, "second HELP"),
            ("# TYPE a thing\n", 1, "no type"),
            ("# TYPE 1a gauge\n", 1, "no name"),
            ("# TYPE h histogram\nh 1\n", 2, "none of its metric's"),
            ("# TYPE h histogram\nh_bucket 1\n", 2, "no bound"),
            ("hunter2 hunter2\n", 1, "no sample"),
        ] {
            let (at, said) = families(text).unwrap_err();
            assert!(at == line && said.contains(why), "{text:?}: {at} {said}");
        }
    }

    #[test]
    fn files_that_don_t_fit_together_are_refused_whole() {
        let taken: BTreeSet<String> = [String::from("node_load1"), String::from("jobs_count")].into();
        let mut all = Families::new();
        let mut add = |text: &str| merge(&mut all, families(text).unwrap(), &taken);
        add("# TYPE a gauge\na{b=\"1\"} 1\n# TYPE s summary\ns_sum 1\n").unwrap();
        add("# TYPE a gauge\na{b=\"2\"} 1\n").unwrap();
        for (text, why) in [
            ("fine 1\n# TYPE a gauge\na{b=\"2\"} 1\n", "the same series"),
            ("a{b=\"3\"} 1\n", "another type"),
            ("node_load1 1\n", "served already"),
            ("# TYPE jobs summary\njobs 1\n", "served already"),
            ("s_sum 1\n", "the same series"),
        ] {
            let said = add(text).unwrap_err();
            assert!(said.contains(why), "{text:?}: {said}");
        }
        assert_eq!(
            render(&all)
                .lines()
                .filter(|line| !line.starts_with('#'))
                .collect::<Vec<_>>(),
            ["a{b=\"1\"} 1", "a{b=\"2\"} 1", "s_sum 1"]
        );
    }
}
