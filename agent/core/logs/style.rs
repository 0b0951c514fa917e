//! What a line of application.log looks like: the text alone, rsyslog's traditional format, or a template in rsyslog's
//! own words.
//!
//! Of rsyslog's properties and options those are known that mean something for a container's line; another one is an
//! error where it is read, never an empty string in a log.
//!
//! Every line ends with a line feed, also where a template forgets it: a file without lines is no log, and after a kill
//! the last line is found by it.

use super::batch::{Line, Stream};
use super::route::{Attributes, LineStyle};
use crate::text;

/// rsyslog's `RSYSLOG_TraditionalFileFormat`.
const LEGACY: &str = "%timestamp% %hostname% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\\n";
/// The same with account and region, as Taupage had it.
const LEGACY_METADATA: &str =
    "%timestamp% %account% %region% %hostname% %syslogtag%%msg:::sp-if-no-1st-sp%%msg:::drop-last-lf%\\n";
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Renders lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStyler {
    /// None for the text alone.
    pieces: Option<Vec<Piece>>,
    attributes: Attributes,
    max_line: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Property(Property),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Property {
    what: What,
    /// Characters, counted from 1, both ends included.
    cut: Option<(usize, usize)>,
    options: Vec<Change>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Message,
    Time(Date),
    Host,
    Tag,
    Program,
    Facility,
    FacilityText,
    Severity,
    SeverityText,
    Priority,
    Dash,
    Account,
    Region,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Date {
    Rfc3164,
    Rfc3339,
    Mysql,
    Unix,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Lowercase,
    Uppercase,
    /// Nothing but a space where the value does not begin with one.
    SpaceIfNone,
    Json,
}

impl LineStyler {
    /// For lines of one application; the error says what of a template is not known.
    pub fn new(
        style: &LineStyle,
        aws_metadata: bool,
        max_line: Option<u64>,
        attributes: &Attributes,
    ) -> Result<Self, String> {
        let pieces = match (style, aws_metadata) {
            (LineStyle::Bare, false) => None,
            (LineStyle::Bare, true) => Some(parse("%account% %region% %msg%\\n")?),
            (LineStyle::Legacy, false) => Some(parse(LEGACY)?),
            (LineStyle::Legacy, true) => Some(parse(LEGACY_METADATA)?),
            (LineStyle::Template(template), false) => Some(parse(template)?),
            (LineStyle::Template(template), true) => Some(parse(&format!("%account% %region% {template}"))?),
        };
        Ok(Self {
            pieces,
            attributes: attributes.clone(),
            max_line,
        })
    }

    /// Whether a template can be used; the error says what of it is not known.
    pub fn check(template: &str) -> Result<(), String> {
        parse(template).map(|_| ())
    }

    /// Adds the line with its line feed. Two runs over the same line give the same bytes: replay depends on it.
    pub fn render(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let (text, missing) = self.cut(line);
        match &self.pieces {
            None => out.extend_from_slice(text.as_bytes()),
            Some(pieces) => {
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                        Piece::Property(property) => self.property(property, line, text, out),
                    }
                }
            }
        }
        if missing > 0 {
            if out.last() == Some(&b'\n') {
                out.pop();
            }
            out.extend_from_slice(format!(" [monopod: cut, {missing} bytes missing]").as_bytes());
        }
        if self.pieces.is_none() || out.last() != Some(&b'\n') {
            out.push(b'\n');
        }
    }

    /// The text within the limit, and how many bytes are missing. Our own words are never cut.
    fn cut<'a>(&self, line: &Line<'a>) -> (&'a str, usize) {
        let most = match self.max_line {
            Some(most) if line.stream != Stream::Monopod => usize::try_from(most).unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        let text = line
            .text
            .get(..line.text.floor_char_boundary(most))
            .unwrap_or_default();
        (text, line.text.len() - text.len())
    }

    fn property(&self, property: &Property, line: &Line<'_>, text: &str, out: &mut Vec<u8>) {
        if property.options.contains(&Change::SpaceIfNone) {
            if !text.starts_with(' ') {
                out.push(b' ');
            }
            return;
        }
        if property.what == What::Message && property.cut.is_none() && property.options.is_empty() {
            return out.extend_from_slice(text.as_bytes());
        }
        let mut value = self.value(property.what, line, text);
        if let Some((from, to)) = property.cut {
            let most = to.saturating_sub(from).saturating_add(1);
            value = value.chars().skip(from.saturating_sub(1)).take(most).collect();
        }
        for change in &property.options {
            value = match change {
                Change::Lowercase => value.to_lowercase(),
                Change::Uppercase => value.to_uppercase(),
                Change::SpaceIfNone => value,
                Change::Json => {
                    let quoted = serde_json::Value::String(value).to_string();
                    quoted
                        .get(1..quoted.len().saturating_sub(1))
                        .unwrap_or_default()
                        .to_owned()
                }
            };
        }
        out.extend_from_slice(value.as_bytes());
    }

    fn value(&self, what: What, line: &Line<'_>, text: &str) -> String {
        let (severity, severity_text) = match line.stream {
            Stream::Stdout => (6, "info"),
            Stream::Stderr => (5, "notice"),
            Stream::Monopod => (4, "warning"),
        };
        let own = &self.attributes;
        match what {
            What::Message => text.to_owned(),
            What::Time(date) => time(line.time, date),
            What::Host => own.hostname.clone(),
            What::Tag => format!("{}:", own.application_id),
            What::Program => own.application_id.clone(),
            What::Facility => "16".to_owned(),
            What::FacilityText => "local0".to_owned(),
            What::Severity => severity.to_string(),
            What::SeverityText => severity_text.to_owned(),
            What::Priority => (16 * 8 + severity).to_string(),
            What::Dash => "-".to_owned(),
            What::Account => own.account.clone(),
            What::Region => own.region.clone(),
        }
    }
}

/// A line's time in another form; as it is where it isn't one.
fn time(rfc3339: &str, date: Date) -> String {
    let (Some(day), Some(clock)) = (rfc3339.get(..10), rfc3339.get(11..19)) else {
        return rfc3339.to_owned();
    };
    match date {
        Date::Rfc3339 => rfc3339.to_owned(),
        Date::Mysql => format!("{day}{clock}").replace(['-', ':'], ""),
        Date::Unix => text::parse_timestamp_millis(rfc3339)
            .map_or_else(|| rfc3339.to_owned(), |millis| (millis / 1000).to_string()),
        Date::Rfc3164 => {
            let month = rfc3339.get(5..7).and_then(|month| month.parse::<usize>().ok());
            let name = month.and_then(|month| MONTHS.get(month.checked_sub(1)?));
            let day = rfc3339.get(8..10).unwrap_or_default().trim_start_matches('0');
            match name {
                Some(name) => format!("{name} {day:>2} {clock}"),
                None => rfc3339.to_owned(),
            }
        }
    }
}

fn parse(template: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut properties = 0;
    let mut rest = template.chars();
    while let Some(next) = rest.next() {
        match next {
            '\\' => match rest.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some(other) => text.push(other),
                None => text.push('\\'),
            },
            '%' => {
                let (inside, after) = rest
                    .as_str()
                    .split_once('%')
                    .ok_or("a `%` has no second one: write `%%` or `\\%` for the sign itself")?;
                rest = after.chars();
                if inside.is_empty() {
                    text.push('%');
                    continue;
                }
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                properties += 1;
                // Counted, not quoted: what a value holds is nobody's business in a report.
                let read =
                    property(inside).map_err(|what| format!("its property number {properties} {what}"))?;
                pieces.push(Piece::Property(read));
            }
            other => text.push(other),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(pieces)
}

/// `name:from:to:options`.
fn property(inside: &str) -> Result<Property, String> {
    let mut parts = inside.splitn(4, ':');
    let name = parts.next().unwrap_or_default();
    let (from, to) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let cut = match (from, to) {
        ("", "") => None,
        (from, "$") => Some((number(from)?, usize::MAX)),
        (from, to) => Some((number(from)?, number(to)?)),
    };
    let mut date = Date::Rfc3164;
    let mut options = Vec::new();
    for option in parts
        .next()
        .unwrap_or_default()
        .split(',')
        .filter(|option| !option.is_empty())
    {
        match option.to_ascii_lowercase().as_str() {
            "date-rfc3339" => date = Date::Rfc3339,
            "date-rfc3164" | "date-rfc3164-buggyday" => date = Date::Rfc3164,
            "date-mysql" => date = Date::Mysql,
            "date-unixtimestamp" => date = Date::Unix,
            "lowercase" => options.push(Change::Lowercase),
            "uppercase" => options.push(Change::Uppercase),
            "sp-if-no-1st-sp" => options.push(Change::SpaceIfNone),
            "json" => options.push(Change::Json),
            // A line has no line feed and no control characters but what the application wrote.
            "drop-last-lf" | "drop-cc" | "space-cc" | "escape-cc" => {}
            _ => return Err("has an option that is not known here".to_owned()),
        }
    }
    let what = match name.to_ascii_lowercase().as_str() {
        "msg" | "rawmsg" | "rawmsg-after-pri" => What::Message,
        "timestamp" | "timereported" | "timegenerated" => What::Time(date),
        "hostname" | "source" | "fromhost" | "$myhostname" => What::Host,
        "syslogtag" => What::Tag,
        "programname" | "app-name" => What::Program,
        "syslogfacility" => What::Facility,
        "syslogfacility-text" => What::FacilityText,
        "syslogseverity" | "syslogpriority" => What::Severity,
        "syslogseverity-text" | "syslogpriority-text" => What::SeverityText,
        "pri" => What::Priority,
        "procid" | "msgid" | "structured-data" => What::Dash,
        "account" => What::Account,
        "region" => What::Region,
        _ => return Err("is not known here".to_owned()),
    };
    Ok(Property { what, cut, options })
}

fn number(text: &str) -> Result<usize, String> {
    text.parse()
        .map_err(|_| "is cut by something else than numbers, as in `%msg:1:100%`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(style: LineStyle, metadata: bool, max_line: Option<u64>, text: &str) -> String {
        let attributes = Attributes {
            application_id: "my-app".into(),
            hostname: "ip-10-0-0-1".into(),
            account: "123456789012".into(),
            region: "eu-central-1".into(),
            ..Attributes::default()
        };
        let line = Line {
            time: "2026-01-02T03:04:05.678901234Z",
            stream: Stream::Stderr,
            text,
        };
        let mut out = Vec::new();
        let styler = LineStyler::new(&style, metadata, max_line, &attributes).unwrap();
        styler.render(&line, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn template(template: &str, text: &str) -> String {
        rendered(LineStyle::Template(template.into()), false, None, text)
    }

    #[test]
    fn the_three_formats() {
        assert_eq!(rendered(LineStyle::Bare, false, None, "a b"), "a b\n");
        assert_eq!(
            rendered(LineStyle::Legacy, false, None, "a b"),
            "Jan  2 03:04:05 ip-10-0-0-1 my-app: a b\n"
        );
        assert_eq!(
            template("%timegenerated:::date-rfc3339% %PRI% %msg%\\n", "a"),
            "2026-01-02T03:04:05.678901234Z 133 a\n"
        );
    }

    #[test]
    fn account_and_region_go_in_front() {
        assert_eq!(
            rendered(LineStyle::Bare, true, None, "a"),
            "123456789012 eu-central-1 a\n"
        );
        assert_eq!(
            rendered(LineStyle::Legacy, true, None, "a"),
            "Jan  2 03:04:05 123456789012 eu-central-1 ip-10-0-0-1 my-app: a\n"
        );
    }

    #[test]
    fn properties_can_be_cut_and_changed() {
        assert_eq!(template("%msg:2:3%|%msg:2:$:uppercase%", "abcü"), "bc|BCÜ\n");
        assert_eq!(
            template("{\"m\":\"%msg:::json%\"}\\n", "a\"\tb"),
            "{\"m\":\"a\\\"\\tb\"}\n"
        );
        assert_eq!(
            template("%%%syslogtag%%msg:::sp-if-no-1st-sp%%msg%", " a"),
            "%my-app: a\n"
        );
        assert_eq!(
            template("100\\% %timestamp:::date-unixtimestamp%", "a"),
            "100% 1767323045\n"
        );
    }

    #[test]
    fn what_is_not_known_is_said() {
        for (template, says) in [
            ("%msg", "no second one"),
            ("%msg% %inputname%", "property number 2 is not known"),
            (
                "%msg:::compressspace%",
                "number 1 has an option that is not known",
            ),
            ("%msg:F,58:2%", "else than numbers"),
        ] {
            let error = LineStyler::check(template).unwrap_err();
            assert!(error.contains(says), "{template}: {error}");
        }
    }

    #[test]
    fn a_long_line_is_cut_at_a_character_and_says_so() {
        assert_eq!(
            rendered(LineStyle::Bare, false, Some(4), "abcüd"),
            "abc [monopod: cut, 3 bytes missing]\n"
        );
        assert_eq!(
            rendered(LineStyle::Legacy, false, Some(3), "abcd"),
            "Jan  2 03:04:05 ip-10-0-0-1 my-app: abc [monopod: cut, 1 bytes missing]\n"
        );
        assert_eq!(rendered(LineStyle::Bare, false, Some(4), "abcd"), "abcd\n");
    }
}
