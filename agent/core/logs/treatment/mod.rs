//! What is done to lines on their way to a sink.
//!
//! ```text
//! lines ─► joined to events ─► filter ─► sampling ─► tokens and the like out ─► cut ─► events
//!              │    ▲
//!     pending, in the cursor
//! ```
//!
//! Events
//! - Lines are joined where a pattern says what a first line looks like and the sink has fields; `\n` is between them,
//!   the time is the first one's. Standard output and standard error are apart.
//! - An event ends before the next first line and before a line that is a JSON object, which is always an event of its
//!   own; at 500 lines, and before a line that would make it larger than a line may be. What comes behind without a
//!   first line is an event a line.
//!
//! Sampling
//! - The first rule that matches decides how many are kept, and a checksum of stream, time and text which ones. So the
//!   same lines read again after a crash are decided alike, and sinks with the same rules have the same lines. Equal
//!   lines have different times, and are decided one by one; those of one time, to the nanosecond, share their fate.
//!
//! Invariants
//! - Nothing is lost uncounted: lines in are lines of events out, excluded, sampled out, or pending.
//! - Where the input is divided into batches makes no difference.
//! - Our own words pass as they are, in their place; they don't end an event.
//! - What was a JSON object is one after redaction, unless it is too long and cut.
//! - A batch that nothing is done to is not copied.
//! - Whether a pattern matches is known in time linear in the line, and in the compiled pattern's size at worst. To
//!   replace many matches of a contrived one can take the square of the line.
//!
//! Deliberately absent: a clock (who calls knows how long an event has been pending), and the secrets of this machine,
//! which the redactor takes out before.

mod drops;
mod json;
mod limit;
mod multiline;
mod pattern;
#[cfg(test)]
mod tests;
mod tokens;

use std::borrow::Cow;
use std::fmt;
use std::ops::AddAssign;

use super::batch::{Batch, Line, Stream};
use super::route::Treatment;
use drops::{Drops, Fate};
use multiline::{Event, Multiline};
use tokens::Tokens;

pub use multiline::Pending;
pub use pattern::{PatternError, compile};

/// What was done, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Treated {
    /// Lines that the filter dropped. An event counts as the lines it was made of, here and below.
    pub excluded: u64,
    /// Lines that sampling dropped.
    pub sampled_out: u64,
    /// Places that something was taken out of.
    pub redacted: u64,
    /// Events that were cut.
    pub cut: u64,
    /// Bytes that were cut off.
    pub cut_bytes: u64,
    /// Bytes of the lines that were dropped, by the filter and by sampling.
    pub excluded_bytes: u64,
}

impl AddAssign for Treated {
    fn add_assign(&mut self, other: Self) {
        let Self {
            excluded,
            sampled_out,
            redacted,
            cut,
            cut_bytes,
            excluded_bytes,
        } = other;
        self.excluded += excluded;
        self.sampled_out += sampled_out;
        self.redacted += redacted;
        self.cut += cut;
        self.cut_bytes += cut_bytes;
        self.excluded_bytes += excluded_bytes;
    }
}

/// A [`Treatment`], compiled, and the events that haven't ended. One for each sink's task.
pub struct Treater {
    multiline: Multiline,
    stages: Stages,
}

/// All that comes after joining. It keeps no state.
struct Stages {
    drops: Drops,
    tokens: Tokens,
    limit: Option<usize>,
}

impl Treater {
    /// Compiles a treatment. `joins` says whether lines are joined at all: the sink takes events with fields.
    pub fn new(treatment: &Treatment, joins: bool) -> Result<Self, PatternError> {
        let start = treatment.multiline_start.as_deref().filter(|_| joins);
        let start = start.map(|start| pattern::compile_for("multiline", start));
        Ok(Self {
            multiline: Multiline::new(start.transpose()?),
            stages: Stages {
                drops: Drops::new(treatment)?,
                tokens: Tokens::new(treatment)?,
                limit: treatment
                    .max_line
                    .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            },
        })
    }

    /// Goes on with events that a cursor kept.
    pub fn resume(&mut self, pending: Vec<Pending>) {
        self.multiline.resume(pending);
    }

    /// Changes a batch in place.
    pub fn treat(&mut self, batch: &mut Batch) -> Treated {
        let mut treated = Treated::default();
        let changed = if self.multiline.is_idle() {
            self.stages.each(batch, &mut treated)
        } else {
            let Self { multiline, stages } = self;
            let mut out = Batch::default();
            for line in batch.lines() {
                multiline.take(line, |event| stages.put(event, &mut out, &mut treated));
            }
            Some(out)
        };
        if let Some(changed) = changed {
            *batch = changed;
        }
        treated
    }

    /// Events that have begun and not ended, to be kept with the position in the cursor: at most one of each stream,
    /// none larger than a line may be.
    pub fn pending(&self) -> &[Pending] {
        self.multiline.pending()
    }

    /// Ends them, because the source is at its end or their time is up, and adds what comes of them to the batch.
    pub fn flush(&mut self, batch: &mut Batch) -> Treated {
        let mut treated = Treated::default();
        let Self { multiline, stages } = self;
        multiline.flush(|event| stages.put(event, batch, &mut treated));
        treated
    }

    /// Whether there is nothing to do: no call changes a batch.
    pub fn is_idle(&self) -> bool {
        self.multiline.is_idle() && self.stages.is_idle()
    }
}

// Patterns are values of the user data.
impl fmt::Debug for Treater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Treater")
            .field("pending", &self.multiline.pending())
            .finish_non_exhaustive()
    }
}

impl Stages {
    fn is_idle(&self) -> bool {
        self.drops.is_idle() && self.tokens.is_idle() && self.limit.is_none()
    }

    /// Takes each line for an event. Nothing is copied before the first one that changes; none if none does.
    fn each(&self, batch: &Batch, treated: &mut Treated) -> Option<Batch> {
        if self.is_idle() {
            return None;
        }
        let mut out: Option<Batch> = None;
        for (number, line) in batch.lines().enumerate() {
            let text = self.text(line.into(), treated);
            if out.is_none() && !matches!(text, Some(Cow::Borrowed(_))) {
                let mut same = Batch::default();
                batch.lines().take(number).for_each(|line| same.push(line));
                out = Some(same);
            }
            if let (Some(out), Some(text)) = (&mut out, &text) {
                out.push(Line { text, ..line });
            }
        }
        out
    }

    /// Adds what comes of an event.
    fn put(&self, event: Event<'_>, out: &mut Batch, treated: &mut Treated) {
        if let Some(text) = self.text(event, treated) {
            out.push(Line {
                text: &text,
                ..event.line
            });
        }
    }

    /// The text of an event as it leaves, owned if it changed; none if it is dropped.
    fn text<'a>(&self, event: Event<'a>, treated: &mut Treated) -> Option<Cow<'a, str>> {
        let mut text = Cow::Borrowed(event.line.text);
        if event.line.stream == Stream::Monopod {
            return Some(text);
        }
        let dropped = match self.drops.fate(&event.line) {
            Fate::Kept => None,
            Fate::Excluded => Some(&mut treated.excluded),
            Fate::SampledOut => Some(&mut treated.sampled_out),
        };
        if let Some(dropped) = dropped {
            *dropped += event.lines;
            treated.excluded_bytes += event.bytes;
            return None;
        }
        if let Some((without, places)) = self.tokens.take_out(&text) {
            treated.redacted += places;
            text = Cow::Owned(without);
        }
        if let Some((short, bytes)) = self.limit.and_then(|limit| limit::cut(&text, limit)) {
            treated.cut += 1;
            treated.cut_bytes += bytes;
            text = Cow::Owned(short);
        }
        Some(text)
    }
}
