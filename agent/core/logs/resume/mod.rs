//! Where to read on, given what is still there: after a restart, and for plain files at every look.
//!
//! Two kinds of logs, each with its own rules: [`records`] of the engine, and [`plain`] files that anybody writes,
//! renames, copies and truncates.

mod plain;
#[cfg(test)]
mod plain_tests;
mod records;

use super::cursor::{AheadFile, Position};
use super::gap::Gap;

/// Which kind of log, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The engine's files, after a start.
    Records,
    /// Plain files, after a start: the cursor can be older or newer than what a power cut left of them.
    Plain,
    /// Plain files that are being read: the position is the reader's own, and a file that got shorter was truncated.
    PlainAgain,
}

/// By which name a file was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The one that is written to.
    Current,
    /// One that rotation gives.
    Rotated,
    /// By none: it is only held open.
    Gone,
}

/// A file of the rotation set as it's found now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentFile {
    /// Which.
    pub identity: super::FileIdentity,
    /// Its length.
    pub size: u64,
    /// By which name.
    pub name: Name,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Read these files in this order, as indexes into the list given.
    pub files: Vec<usize>,
    /// Begin after so many bytes of the first.
    pub offset: u64,
    /// Whether this is the cursor's own place, so that lines begun before it go on.
    pub continues: bool,
    /// What is lost between the cursor and that place.
    pub gap: Option<Gap>,
    /// Those of the others that are never to be read: known before, or older than where reading began. What is
    /// neither here nor in `files` may be a copy of what is being read, and shows at a later look what it is.
    pub done: Vec<usize>,
}

/// Decides from the position, the files known (`ahead`, oldest first; for plain files also those before the position,
/// which are done with) and the files there are now, newest first.
pub fn resume(
    look: Look,
    position: Option<&Position>,
    ahead: &[AheadFile],
    present: &[PresentFile],
) -> Resume {
    match look {
        Look::Records => records::resume(position, ahead, present),
        Look::Plain | Look::PlainAgain => plain::resume(look, position, ahead, present),
    }
}
