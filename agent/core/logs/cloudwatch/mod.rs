//! Lines as events of CloudWatch Logs: what PutLogEvents takes, and in which order.
//!
//! ```text
//! lines ─► push: a message AWS takes, a time in milliseconds ─► is_full: the parcel leaves
//!          next: too new and too old ones out, in order, the first batch within every limit ─► delivered
//! ```
//!
//! Limits of one call
//! - 10,000 events and 1,048,576 bytes: the messages in UTF-8 and 26 bytes an event. So no message is longer than what
//!   one event leaves of that (1 MiB; it was 256 KiB until April 2025). A longer one is cut, and says so.
//! - In the order of their times, 24 hours from the first to the last.
//! - Not older than 14 days and not more than 2 hours ahead. Those are left out here and counted; AWS counts by its own
//!   clock and the group's retention, and what it says it left out is counted too.
//! - A message has at least one byte: an empty line is one space.
//!
//! Order
//! - Standard output and standard error are read by two threads of the engine, so their times can be in a slightly other
//!   order than their records. A parcel is sorted by time, and lines of one time stay as they came.
//! - Lines of one stream stay in their order whatever the clock does: one that a clock set back makes earlier than the
//!   line before it has that line's time, within a parcel.
//! - Across parcels nothing is sorted. AWS takes a batch that begins before the last one's end, and shows the events of a
//!   log stream by their times, so a line that was a moment late is in its place all the same. Only when a clock was set
//!   back between two parcels do later lines show before earlier ones: with the times they were written at.
//! - Sinks that count on the order of arrival (a subscription, a live tail) see the order of the parcels.
//!
//! Our own words have a time that AWS takes, even where they tell of something older: a marker that is refused would be
//! lines lost, of which a marker tells.

#[cfg(test)]
mod tests;

use super::batch::{Line, Stream};
use super::gap::{Gap, GapReason};
use crate::text;

/// Bytes that one call takes.
pub const BATCH_BYTES: usize = 1_048_576;
/// Bytes that an event counts beside its message.
pub const EVENT_OVERHEAD: usize = 26;
/// Events that one call takes.
pub const BATCH_EVENTS: usize = 10_000;
/// The longest message.
pub const MESSAGE_MAX: usize = BATCH_BYTES - EVENT_OVERHEAD;

const HOUR: u64 = 3_600_000;
const SPAN: u64 = 24 * HOUR;
const PAST: u64 = 14 * 24 * HOUR;
const AHEAD: u64 = 2 * HOUR;
/// The shortest retention is a day: what is younger than that is taken by every group.
const MARKER_PAST: u64 = 23 * HOUR;

/// A parcel this large leaves: another batch of the reader, about 128 KiB, mostly fits the same call.
const FULL_BYTES: usize = 900 * 1024;
const FULL_EVENTS: usize = 9_000;

const TOO_OLD: &str = "CloudWatch Logs takes no lines older than 14 days, or than the log group keeps them";
const TOO_NEW: &str = "CloudWatch Logs takes no lines more than 2 hours ahead of its clock";

/// Lines on their way, in one piece of memory.
#[derive(Debug, Default)]
pub struct Parcel {
    text: String,
    events: Vec<Event>,
    /// Of a call: messages and overhead.
    bytes: usize,
    /// In order, with nothing too new among them.
    sorted: bool,
    /// Events that are delivered or left out.
    done: usize,
    too_old: Lost,
    too_new: Lost,
    refused: Lost,
    /// What AWS said to the last one it refused.
    refusal: String,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    /// Milliseconds since the epoch.
    time: u64,
    start: usize,
    length: usize,
    stream: Stream,
}

/// What an answer says of events that were left out: indexes of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejected {
    /// Those before it are older than 14 days.
    pub too_old_end: Option<usize>,
    /// Those before it are older than the group keeps events.
    pub expired_end: Option<usize>,
    /// Those from it on are more than 2 hours ahead.
    pub too_new_start: Option<usize>,
}

impl Parcel {
    /// Adds a line. One without a time that can be read has that of the line before it.
    pub fn push(&mut self, line: Line<'_>, now: u64) {
        let before = self.events.last().map_or(now, |event| event.time);
        let start = self.text.len();
        match line.text {
            "" => self.text.push(' '),
            text if text.len() <= MESSAGE_MAX => self.text.push_str(text),
            text => push_cut(&mut self.text, text),
        }
        let length = self.text.len() - start;
        self.bytes += length + EVENT_OVERHEAD;
        self.sorted = false;
        self.events.push(Event {
            time: text::parse_timestamp_millis(line.time).unwrap_or(before),
            start,
            length,
            stream: line.stream,
        });
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Whether it had better leave.
    pub fn is_full(&self) -> bool {
        self.bytes >= FULL_BYTES || self.events.len() >= FULL_EVENTS
    }

    /// How many events go with the next call, at most so many; they are the first of [`events`](Self::events). None when
    /// the parcel is done with.
    pub fn next(&mut self, now: u64, most: usize) -> usize {
        if !self.sorted {
            self.sort(now);
        }
        self.skip_old(now);
        let Some(first) = self.events.get(self.done) else {
            return 0;
        };
        let end = first.time.saturating_add(SPAN);
        let mut bytes = 0;
        self.waiting()
            .take(most.clamp(1, BATCH_EVENTS))
            .take_while(|event| {
                bytes += event.length + EVENT_OVERHEAD;
                bytes <= BATCH_BYTES && event.time <= end
            })
            .count()
    }

    /// The times and messages that wait, in order.
    pub fn events(&self) -> impl Iterator<Item = (u64, &str)> {
        self.waiting().map(|event| (event.time, self.message(event)))
    }

    /// AWS has so many events of the front, but for those it said it left out.
    pub fn delivered(&mut self, count: usize, rejected: Rejected) {
        let count = count.min(self.events.len() - self.done);
        let old = rejected
            .too_old_end
            .max(rejected.expired_end)
            .unwrap_or(0)
            .min(count);
        let new = rejected.too_new_start.unwrap_or(count).clamp(old, count);
        for at in 0..count {
            let Some(&event) = self.events.get(self.done + at) else {
                break;
            };
            if at < old {
                self.too_old.add(&event, message(&self.text, &event));
            } else if at >= new {
                self.too_new.add(&event, message(&self.text, &event));
            }
        }
        self.done += count;
    }

    /// AWS will never take the first event: this is what it said.
    pub fn refused(&mut self, answer: &str) {
        if let Some(event) = self.events.get(self.done) {
            self.refused.add(event, message(&self.text, event));
            answer.clone_into(&mut self.refusal);
            self.done += 1;
        }
    }

    /// What was left out, by reason.
    pub fn gaps(&self) -> Vec<Gap> {
        let refusal = format!("CloudWatch Logs refused them: {}", self.refusal);
        let gaps = [
            self.too_old.gap(TOO_OLD),
            self.too_new.gap(TOO_NEW),
            self.refused.gap(&refusal),
        ];
        gaps.into_iter().flatten().collect()
    }

    fn waiting(&self) -> impl Iterator<Item = &Event> {
        self.events.get(self.done..).unwrap_or_default().iter()
    }

    fn message(&self, event: &Event) -> &str {
        message(&self.text, event)
    }

    /// See the module: what is too new goes first, so that it sets no other line's time.
    fn sort(&mut self, now: u64) {
        let Self {
            text,
            events,
            too_new,
            done,
            ..
        } = self;
        let mut index = 0;
        let mut latest: [u64; 2] = [0; 2];
        events.retain_mut(|event| {
            index += 1;
            if index <= *done {
                return true;
            }
            let latest = match event.stream {
                Stream::Stdout => &mut latest[0],
                Stream::Stderr => &mut latest[1],
                Stream::Monopod => {
                    if !(now.saturating_sub(MARKER_PAST)..=now.saturating_add(AHEAD)).contains(&event.time) {
                        event.time = now;
                    }
                    return true;
                }
            };
            if event.time > now.saturating_add(AHEAD) {
                too_new.add(event, message(text, event));
                return false;
            }
            event.time = event.time.max(*latest);
            *latest = event.time;
            true
        });
        if let Some(waiting) = events.get_mut(*done..) {
            waiting.sort_by_key(|event| event.time);
        }
        self.sorted = true;
    }

    fn skip_old(&mut self, now: u64) {
        let oldest = now.saturating_sub(PAST);
        while let Some(event) = self.events.get_mut(self.done).filter(|event| event.time < oldest) {
            // It has waited for two weeks.
            if event.stream == Stream::Monopod {
                event.time = now;
                self.sort(now);
                continue;
            }
            let event = *event;
            self.too_old.add(&event, message(&self.text, &event));
            self.done += 1;
        }
    }
}

fn message<'a>(text: &'a str, event: &Event) -> &'a str {
    let end = event.start + event.length;
    text.get(event.start..end).unwrap_or_default()
}

fn push_cut(into: &mut String, text: &str) {
    let marker = |missing: usize| format!(" [monopod: cut, {missing} bytes missing]");
    let room = MESSAGE_MAX - marker(text.len()).len();
    let kept = text.floor_char_boundary(room);
    into.push_str(text.get(..kept).unwrap_or_default());
    into.push_str(&marker(text.len() - kept));
}

/// Lines that were left out for one reason.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    lines: u64,
    bytes: u64,
    first: u64,
    last: u64,
}

impl Lost {
    fn add(&mut self, event: &Event, message: &str) {
        // Our own words are no lines: a gap about a marker would be told by a marker.
        if event.stream == Stream::Monopod {
            return;
        }
        if self.lines == 0 {
            self.first = event.time;
        }
        // An event of several lines has a line feed between them.
        self.lines += 1 + message.bytes().filter(|byte| *byte == b'\n').count() as u64;
        self.bytes += message.len() as u64;
        self.first = self.first.min(event.time);
        self.last = self.last.max(event.time);
    }

    fn gap(&self, reason: &str) -> Option<Gap> {
        (self.lines > 0).then(|| Gap {
            lines: self.lines,
            bytes: self.bytes,
            exact: true,
            from: Some(rfc3339(self.first)),
            to: Some(rfc3339(self.last)),
            reason: GapReason::Other(reason.to_owned()),
        })
    }
}

fn rfc3339(millis: u64) -> String {
    let seconds = text::timestamp(millis / 1000);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), millis % 1000)
}
