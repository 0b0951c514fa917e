//! YAML as PyYAML reads it, as a tree in which every node knows its place.
//!
//! ```text
//! text ─► events (saphyr-parser) ─► load: tree ─► config::check
//!                                    │
//!                                    └─ resolve: what a scalar means; number, stamp: how Python prints it
//! ```
//!
//! The tree keeps the text of every scalar beside its meaning, because what a value means depends on
//! the key: an environment value is what Python printed, an unquoted version is its own text. Keys
//! are named by what Python's `str` makes of them. Aliases and merge keys are expanded here, within
//! limits, so nobody else has to know them.
//!
//! A text cut out of a template has holes, which somebody fills in later: a scalar with a hole in it is
//! [`Kind::Hole`], and nothing can be wrong with it yet.
//!
//! It deliberately does no type checks, knows no key, and does not write YAML.

mod explain;
mod load;
mod number;
mod resolve;
mod stamp;
#[cfg(test)]
mod tests;

pub(super) use load::{Tags, load};
pub(super) use resolve::{Resolved, plain};

use super::problem::Place;

/// Opens a hole in a text cut out of a template; a number and [`HOLE_END`] follow. Neither character has a meaning in
/// Unicode, and intake refuses user data that holds them.
pub(super) const HOLE: char = '\u{e000}';
/// Closes a hole.
pub(super) const HOLE_END: char = '\u{e001}';

/// A value, where it begins, and where it ends.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    /// The first column behind it; for a value of several lines, in its last line.
    pub(super) end: Place,
    /// The tag of a template's own (`!Sub`), where those are kept: without the `!`.
    pub(super) tag: Option<String>,
    pub(super) kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Scalar(Scalar),
    Seq(Vec<Node>),
    Map(Vec<Entry>),
    /// Could not be read, and the problem is already reported.
    Broken,
    /// Filled in by somebody else, later.
    Hole,
}

/// A scalar: its text after unquoting and unfolding, and its meaning.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    pub(super) value: Resolved,
    /// Neither quoted nor tagged.
    pub(super) plain: bool,
}

impl Scalar {
    /// What Python's `str` prints.
    pub(super) fn python_str(&self) -> String {
        match &self.value {
            Resolved::Null => "None".to_owned(),
            Resolved::Bool(true) => "True".to_owned(),
            Resolved::Bool(false) => "False".to_owned(),
            Resolved::Int(text) | Resolved::Stamp(text) => text.clone(),
            Resolved::Float(value) => number::float_repr(*value),
            Resolved::Str => self.text.clone(),
        }
    }
}

/// One key of a map.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The key as Python prints it.
    pub(super) name: String,
    /// The key as written, with its meaning.
    pub(super) key: Scalar,
    /// Where the key begins.
    pub(super) place: Place,
    /// The first column behind the key.
    pub(super) end: Place,
    pub(super) value: Node,
}
