//! The report on a sink, for people and for programs.

use serde::Serialize;

use super::super::gap::Gap;
use crate::text;

/// What it means that a sink has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handover {
    /// The far end has taken it for good.
    Acknowledged,
    /// It was written to a socket.
    BestEffort,
}

impl Handover {
    const fn word(self) -> &'static str {
        match self {
            Self::Acknowledged => "delivered",
            Self::BestEffort => "handed over",
        }
    }
}

/// Whether bytes are still those that were delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// They are.
    Match,
    /// Others are there.
    Differs,
    /// The file ends before them.
    Shorter,
}

/// A piece of a file that is there, and that the sink has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileRow {
    /// The file's name by now.
    pub file: String,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
    /// Lines that ended in it.
    pub lines: u64,
    /// Whether it is still what was delivered.
    pub checksum: Check,
}

/// What the sink has of files that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Gone {
    /// Pieces of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their lines.
    pub lines: u64,
}

/// Bytes that the sink doesn't have and nobody told about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Hole {
    /// In which file.
    pub file: String,
    /// The first byte.
    pub from: u64,
    /// Behind the last byte.
    pub to: u64,
}

/// Lines known to be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldGap {
    /// Which, and why.
    pub gap: Gap,
    /// Whether the stream says so already.
    pub told: bool,
}

impl Serialize for ToldGap {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            lines: u64,
            exact: bool,
            bytes: u64,
            from: Option<&'a str>,
            to: Option<&'a str>,
            why: &'a str,
            told: bool,
        }
        Row {
            lines: self.gap.lines,
            exact: self.gap.exact,
            bytes: self.gap.bytes,
            from: self.gap.from.as_deref(),
            to: self.gap.to.as_deref(),
            why: self.gap.why(),
            told: self.told,
        }
        .serialize(serializer)
    }
}

/// A parcel that was about to leave when the cursor was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedRow {
    /// The file its last line is in; none if that is gone.
    pub file: Option<String>,
    /// Behind its last byte.
    pub to: u64,
}

/// Lines, all in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Lines {
    /// Read for the sink.
    pub read: u64,
    /// Given to it.
    pub delivered: u64,
    /// Left out because the user data says so.
    pub excluded: u64,
    /// Known to be lost.
    pub lost: u64,
    /// Whether that is all of them.
    pub lost_exact: bool,
}

/// What it comes to; the later the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything that is in the files is delivered or waits, and it is what was delivered.
    Complete,
    /// Something is missing: gaps or holes.
    Lost,
    /// A file is not any more what was delivered of it.
    Differs,
}

/// What a sink has, and how far that can be proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkReport {
    /// The cursor's name.
    pub cursor: String,
    /// Which stream of the machine.
    pub stream: String,
    /// The sink.
    pub sink: String,
    /// What it means that it has a line.
    #[serde(rename = "guarantee")]
    pub handover: Handover,
    /// Where the lines come from; none where that is the container.
    pub origin: Option<String>,
    /// Where they go, where that is known.
    pub target: Option<String>,
    /// Piece by piece, of files that are there.
    pub files: Vec<FileRow>,
    /// The sum of what can't be looked at any more.
    pub gone: Gone,
    /// Bytes that wait.
    pub behind_bytes: u64,
    /// Bytes nobody accounts for.
    pub holes: Vec<Hole>,
    /// Lines known to be lost, as far as they are remembered one by one.
    pub gaps: Vec<ToldGap>,
    /// Gaps before those.
    pub gaps_not_listed: u64,
    /// A parcel on its way.
    pub planned: Option<PlannedRow>,
    /// The sums.
    pub lines: Lines,
    /// What it comes to.
    pub verdict: Verdict,
}

/// What all of them come to.
pub fn verdict(reports: &[SinkReport]) -> Verdict {
    reports
        .iter()
        .map(|report| report.verdict)
        .max()
        .unwrap_or(Verdict::Complete)
}

/// The reports, for a person at a terminal.
pub fn to_text(reports: &[SinkReport]) -> String {
    let mut out = String::new();
    for report in reports {
        sink(report, &mut out);
        out.push('\n');
    }
    out.push_str(match verdict(reports) {
        Verdict::Complete => "All that is in the files was delivered or waits, and every checksum matches.\n",
        Verdict::Lost => "Some lines never came and never will: see the gaps and holes above.\n",
        Verdict::Differs => {
            "A file is not what was delivered of it: somebody has changed it, or a crash took its end.\n"
        }
    });
    out
}

fn sink(report: &SinkReport, out: &mut String) {
    let mut say = |line: String| {
        // What others wrote must not move the cursor of the terminal.
        out.push_str(&text::printable(&line));
        out.push('\n');
    };
    let from = report
        .origin
        .as_deref()
        .map_or_else(String::new, |origin| format!(" of {origin}"));
    let to = report
        .target
        .as_deref()
        .map_or_else(String::new, |target| format!(", {target}"));
    say(format!("{}{from} to {}{to}", report.stream, report.sink));
    table(report).into_iter().for_each(&mut say);
    for hole in &report.holes {
        let name = short(&hole.file);
        say(format!(
            "  HOLE in {name}: bytes {} to {}, and no gap tells of them",
            hole.from, hole.to
        ));
    }
    for gap in &report.gaps {
        let marker = gap.gap.marker();
        let marker = marker.strip_prefix("monopod: ").unwrap_or(&marker);
        let told = if gap.told { "" } else { " (not told yet)" };
        say(format!("  gap: {marker}{told}"));
    }
    if report.gaps_not_listed > 0 {
        say(format!("  gap: {} before those", report.gaps_not_listed));
    }
    if let Some(planned) = &report.planned {
        let file = planned
            .file
            .as_deref()
            .map_or_else(|| "a file that is gone".to_owned(), short);
        say(format!(
            "  a parcel was about to leave, with the lines up to byte {} of {file}",
            planned.to
        ));
    }
    say(totals(report));
}

fn totals(report: &SinkReport) -> String {
    let lines = &report.lines;
    let mut all = format!(
        "  {} {}",
        text::count(lines.delivered, "line"),
        report.handover.word()
    );
    if lines.excluded > 0 {
        all.push_str(&format!(", {} excluded", lines.excluded));
    }
    match (lines.lost_exact, lines.lost) {
        (true, lost) => all.push_str(&format!(", {lost} lost")),
        (false, 0) => all.push_str(", an unknown number lost"),
        (false, lost) => all.push_str(&format!(", at least {lost} lost")),
    }
    match report.behind_bytes {
        0 => all.push_str(", nothing waits"),
        waiting => all.push_str(&format!(", {} of the log wait", text::bytes(waiting))),
    }
    all
}

/// A row for each piece, columns aligned.
fn table(report: &SinkReport) -> Vec<String> {
    let gone = report.gone;
    if report.files.is_empty() && gone.files == 0 {
        return vec!["  nothing yet".to_owned()];
    }
    let head = ["file", "from", "to", "lines", "checksum"].map(str::to_owned);
    let mut rows = vec![head];
    if gone.files > 0 {
        let name = format!("({} gone)", text::count(gone.files, "file"));
        rows.push([
            name,
            String::new(),
            gone.bytes.to_string(),
            gone.lines.to_string(),
            "-".to_owned(),
        ]);
    }
    rows.extend(report.files.iter().map(|row| {
        let check = match row.checksum {
            Check::Match => "match",
            Check::Differs => "DIFFERS",
            Check::Shorter => "DIFFERS, shorter",
        };
        [
            short(&row.file),
            row.from.to_string(),
            row.to.to_string(),
            row.lines.to_string(),
            check.to_owned(),
        ]
    }));
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let [a, b, c, d] = widths;
    rows.iter()
        .map(|[name, from, to, lines, check]| {
            format!("  {name:<a$}  {from:>b$}  {to:>c$}  {lines:>d$}  {check}")
        })
        .collect()
}

/// The name without its folder, and of a container's log the beginning of the container's id.
fn short(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    match name.split_once("-json.log") {
        Some((id, rest)) if id.len() == 64 => format!("{}-json.log{rest}", text::short_id(id)),
        _ => name.to_owned(),
    }
}
