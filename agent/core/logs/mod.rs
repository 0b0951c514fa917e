//! Logs, the pure half: records in, lines, positions and decisions out.
//!
//! The engine's own json-file logs are the spool: nothing is copied before a sink has it, and a sink that is away
//! costs disk the engine has budgeted anyway. What that needs and can be decided without touching a file is here.
//!
//! ```text
//! bytes of a file ─► record::Joiner ─► batch::Batch of lines ─► redaction::LineRedaction, where asked for
//! cursor + files present ─► resume::resume ─► where to read on, what is known to be lost (gap::Gap)
//! size of application.log ─► rotation::decide ─► rotate or not, what to remove
//! ```
//!
//! Invariants:
//! - Only whole records move a position; a torn one waits for its rest.
//! - A line is delivered, or it is in a gap. Where the count isn't known, the gap says "at least".
//! - No input makes this code fail: garbage is counted and skipped.
//!
//! Deliberately absent: filters of application lines, joining of lines that belong together (stack
//! traces), other sources than json-file. They come as steps between `record` and `batch`.

mod batch;
pub mod cloudwatch;
mod cursor;
mod gap;
pub mod ledger;
mod plain;
mod record;
mod redaction;
mod resume;
mod rotation;
mod route;
mod style;
pub mod syslog;
mod treatment;
pub mod verify;

pub use batch::{Batch, Line, Stream};
pub use cursor::{AheadFile, Cursor, CursorError, FileIdentity, Partial, Planned, Position, Source};
pub use gap::{Gap, GapReason};
pub use ledger::{Ledger, Span};
pub use plain::{Lines, Rotated, fingerprint, read_at_time};
pub use record::{Decoded, Joiner, MAX_LINE};
pub use redaction::{LineRedaction, Patience, Redacted};
pub use resume::{Look, Name, PresentFile, Resume, resume};
pub use rotation::{RotatedFile, Rotation, RotationPolicy, decide, sacrifice};
pub use route::{
    ApplicationLogPlan, Attributes, Framing, LineStyle, LogKey, LogPlan, Origin, Protocol, RedactRule,
    Rotate, Route, RsyslogTarget, S3Target, SamplingRule, ScalyrTarget, Split, StreamName, SyslogFormat,
    Target, Treatment,
};
pub use style::LineStyler;
pub use treatment::{PatternError, Pending, Treated, Treater, compile};
