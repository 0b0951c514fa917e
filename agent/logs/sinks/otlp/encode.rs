//! Lines as the body of a request: records of the protocol's JSON form, in gzip.
//!
//! What waits is the text of the lines; a body is made when it leaves and kept until it is taken, compressed, so that an
//! attempt after a failed one sends the same bytes.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use monopod_core::logs::{Batch, Gap, GapReason, Line};
use monopod_core::otlp::logs::{FOOT, Frame};

/// A body has at most so many lines: what a receiver refuses is found by halving.
pub(super) const LINES: usize = 2_000;
/// And so many bytes of text and times, where receivers take some megabytes.
pub(super) const TEXT: usize = 512 * 1024;

/// Lines that leave in one request: some of a parcel's, in their order.
#[derive(Debug)]
pub(super) struct Piece {
    /// The first, by its number in the parcel.
    from: usize,
    /// How many.
    pub(super) lines: usize,
    sealed: Option<Bytes>,
}

impl Piece {
    /// Its lines.
    fn of<'b>(&self, parcel: &'b Batch) -> impl Iterator<Item = Line<'b>> {
        parcel.lines().skip(self.from).take(self.lines)
    }

    /// The request's body: the same bytes for every attempt.
    pub(super) fn seal(&mut self, parcel: &Batch, frame: &Frame, observed: u64) -> io::Result<Bytes> {
        if let Some(sealed) = &self.sealed {
            return Ok(sealed.clone());
        }
        let sealed = body(frame, self.of(parcel), observed)?;
        self.sealed = Some(sealed.clone());
        Ok(sealed)
    }

    /// Keeps the first half and gives the second; none if there is but one line.
    pub(super) fn split(&mut self) -> Option<Self> {
        if self.lines < 2 {
            return None;
        }
        let kept = self.lines / 2;
        let second = Self {
            from: self.from + kept,
            lines: self.lines - kept,
            sealed: None,
        };
        (self.lines, self.sealed) = (kept, None);
        Some(second)
    }

    /// The time of its first line, or none.
    pub(super) fn time<'b>(&self, parcel: &'b Batch) -> &'b str {
        self.of(parcel).next().map_or("", |line| line.time)
    }

    /// So many of its lines as a gap. Of all of them their bytes are known, too.
    pub(super) fn lost(&self, parcel: &Batch, lines: u64, why: String) -> Gap {
        let time = |line: Option<Line<'_>>| {
            line.map(|line| line.time.to_owned())
                .filter(|time| !time.is_empty())
        };
        let all = lines >= self.lines as u64;
        let bytes = self.of(parcel).map(|line| line.text.len() as u64).sum();
        Gap {
            lines: lines.min(self.lines as u64),
            bytes: if all { bytes } else { 0 },
            exact: true,
            from: time(self.of(parcel).next()),
            to: time(self.of(parcel).last()),
            reason: GapReason::Other(why),
        }
    }
}

/// Cuts what is behind the first `done` lines of a parcel into pieces.
pub(super) fn cut(parcel: &Batch, done: usize) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut bytes = 0;
    for (number, line) in parcel.lines().enumerate().skip(done) {
        let more = line.time.len() + line.text.len();
        match pieces.last_mut() {
            Some(piece) if piece.lines < LINES && bytes + more <= TEXT => {
                piece.lines += 1;
                bytes += more;
            }
            _ => {
                pieces.push(Piece {
                    from: number,
                    lines: 1,
                    sealed: None,
                });
                bytes = more;
            }
        }
    }
    pieces
}

/// A whole body; `observed` in nanoseconds since the epoch.
pub(super) fn body<'b>(
    frame: &Frame,
    lines: impl Iterator<Item = Line<'b>>,
    observed: u64,
) -> io::Result<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(frame.head())?;
    let mut record = Vec::new();
    for (index, line) in lines.enumerate() {
        record.clear();
        if index > 0 {
            record.push(b',');
        }
        frame.put(line, observed, &mut record);
        gzip.write_all(&record)?;
    }
    gzip.write_all(FOOT)?;
    Ok(gzip.finish()?.into())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use monopod_core::logs::Stream;
    use serde_json::json;

    use super::*;

    fn parcel(texts: &[&str]) -> Batch {
        let mut batch = Batch::default();
        for (number, text) in texts.iter().enumerate() {
            let time = format!("2026-01-02T03:04:{number:02}Z");
            let stream = Stream::Stdout;
            batch.push(Line {
                time: &time,
                stream,
                text,
            });
        }
        batch
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let mut json = String::new();
        GzDecoder::new(bytes).read_to_string(&mut json).unwrap();
        let body: serde_json::Value = serde_json::from_str(&json).unwrap();
        let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
            .as_array()
            .unwrap();
        let text = |record: &serde_json::Value| record["body"]["stringValue"].as_str().unwrap().to_owned();
        records.iter().map(text).collect()
    }

    #[test]
    fn every_line_is_in_one_piece_and_pieces_halve() {
        let long = "x".repeat(TEXT);
        let parcel = parcel(&["a", "b", &long, "c", "d", "e"]);
        let frame = Frame::new(&json!({}), None, "1");
        let mut pieces = cut(&parcel, 0);
        let lines: Vec<usize> = pieces.iter().map(|piece| piece.lines).collect();
        assert_eq!(lines, [2, 1, 3]);
        let last = &mut pieces[2];
        let whole = last.seal(&parcel, &frame, 1).unwrap();
        assert_eq!(texts(&whole), ["c", "d", "e"]);
        assert_eq!(
            last.seal(&parcel, &frame, 2).unwrap(),
            whole,
            "the same bytes again"
        );
        let mut second = last.split().unwrap();
        assert_eq!(texts(&last.seal(&parcel, &frame, 1).unwrap()), ["c"]);
        assert_eq!(texts(&second.seal(&parcel, &frame, 1).unwrap()), ["d", "e"]);
        assert!(last.split().is_none());
        let gap = second.lost(&parcel, 9, "no".into());
        assert_eq!((gap.lines, gap.bytes, gap.exact), (2, 2, true));
        assert_eq!(gap.from.as_deref(), Some("2026-01-02T03:04:04Z"));
        assert_eq!(gap.to.as_deref(), Some("2026-01-02T03:04:05Z"));
        assert_eq!(
            second.lost(&parcel, 1, "no".into()).bytes,
            0,
            "nobody knows which"
        );
        assert_eq!(cut(&parcel, 5).len(), 1);
        assert!(cut(&parcel, 6).is_empty());
    }
}
