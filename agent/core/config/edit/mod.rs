//! Changing single values of a YAML text, and nothing else in it.
//!
//! ```text
//! text ─► locate: where each value is written ─► search: the values meant ─► edits ─► the new text
//!   └───► yaml: what it means ────────────────────────────────► verify: ◄────────────────┘
//! ```
//!
//! Whoever keeps user data keeps comments, an order and quotes in it. So a text is not written anew from what it
//! means: the bytes of a value are replaced, and the result is read again. It has to mean what the old text meant but for
//! these values, or it is refused.
//!
//! Invariants: no message quotes a value. A value in clear leaves only as a [`Secret`].
//!
//! It deliberately follows no alias and no merge key: what is written once and used twice would change twice.

mod error;
mod locate;
mod reference;
mod search;
mod verify;

#[cfg(test)]
mod tests;

use std::ops::Range;

pub use self::error::EditError;
use self::locate::{Style, Value, What};
pub use self::reference::{Context, ContextError, KeyIdError, context, key_id, nearest_alias, written};
use self::search::Found;
use super::problem::{Problem, Severity};
use super::yaml::{self, Entry, Kind, Node, Resolved, Tags};
use crate::secret::Secret;
use crate::text;

/// A value that begins like this is where a secret comes from, and none in clear.
const REFERENCES: [&str; 3] = ["aws:kms:", "aws:ssm:", "aws:secretsmanager:"];

/// One that stands for those that are still to come.
const SAMPLE: &str = "aws:kms:AQICAHhFeGFtcGxl";

/// What stands at a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A value in clear, as the container would get it.
    Clear {
        /// The value.
        value: Secret,
        /// The text is the same; `0755` is 493.
        is_as_written: bool,
    },
    /// Already a reference, such as `aws:kms:...`.
    Reference,
    /// Nothing.
    Empty,
    /// The key is new.
    Absent,
}

/// A value that can be replaced, or a place where one can be put.
#[derive(Clone, Debug)]
pub struct Target {
    /// As it was asked for.
    pub key: String,
    /// What stands there now.
    pub standing: Standing,
    path: Vec<String>,
    edit: Edit,
}

/// One change: the new value takes the range's place.
#[derive(Clone, Debug)]
struct Edit {
    range: Range<usize>,
    before: String,
    quote: char,
    after: String,
}

/// A text whose values can be found and replaced.
#[derive(Debug)]
pub struct Editable<'t> {
    text: &'t str,
    root: Value,
    tree: Node,
}

impl<'t> Editable<'t> {
    /// Reads a text.
    pub fn read(bytes: &'t [u8]) -> Result<Self, EditError> {
        let text = std::str::from_utf8(bytes).map_err(|_| EditError::NotText)?;
        let tree = read(text)?;
        let root = locate::locate(text).ok_or(EditError::NotAMap)?;
        if !matches!(root.what, What::Map(_)) {
            return Err(EditError::NotAMap);
        }
        Ok(Self { text, root, tree })
    }

    /// The file's own `encryption_context`, which a machine takes for every value that carries none.
    pub fn encryption_context(&self) -> Context {
        let path = ["encryption_context".to_owned()];
        let Some(Kind::Map(entries)) = verify::node(&self.tree, &path).map(|node| &node.kind) else {
            return Context::new();
        };
        let text = |entry: &Entry| match &entry.value.kind {
            Kind::Scalar(scalar) => Some((entry.name.clone(), scalar.text.clone())),
            Kind::Seq(_) | Kind::Map(_) | Kind::Broken | Kind::Hole => None,
        };
        entries.iter().filter_map(text).collect()
    }

    /// The value at `environment.DB_PASSWORD`, whose own dots may stand in the path too.
    pub fn find(&self, key: &str) -> Result<Target, EditError> {
        let Found { path, entry, shared } = search::find(&self.root, key)?;
        let error = |make: fn(String) -> EditError| Err(make(key.to_owned()));
        if shared || entry.value.anchored || matches!(entry.value.what, What::Alias) {
            return error(|key| EditError::Shared { key });
        }
        let style = match &entry.value.what {
            What::Scalar(style) => *style,
            What::Map(entries) => {
                let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
                let keys = text::shortened(&keys.join(", "), 200);
                return Err(EditError::NotAValue {
                    key: key.to_owned(),
                    what: format!("a map with the keys {keys}"),
                });
            }
            What::Seq | What::Alias => {
                return Err(EditError::NotAValue {
                    key: key.to_owned(),
                    what: "a list".to_owned(),
                });
            }
        };
        if entry.value.tagged {
            return error(|key| EditError::Tagged { key });
        }
        let edit = self
            .edit(entry.key_end, &entry.value, style)
            .ok_or_else(|| EditError::Form { key: key.to_owned() })?;
        let Some(Kind::Scalar(scalar)) = verify::node(&self.tree, &path).map(|node| &node.kind) else {
            return error(|key| EditError::NoValue { key });
        };
        let value = scalar.python_str();
        let standing = if scalar.value == Resolved::Null || value.is_empty() {
            Standing::Empty
        } else if REFERENCES.iter().any(|prefix| value.starts_with(prefix)) {
            Standing::Reference
        } else {
            Standing::Clear {
                is_as_written: value == scalar.text,
                value: Secret::new(value),
            }
        };
        Ok(Target {
            key: key.to_owned(),
            standing,
            path,
            edit,
        })
    }

    /// The same, or the place for a new key in a map that is there.
    pub fn find_or_place(&self, key: &str) -> Result<Target, EditError> {
        let missing = match self.find(key) {
            Err(missing @ EditError::NotThere { .. }) => missing,
            found => return found,
        };
        let Some((parent, name)) = search::parent(&self.root, key) else {
            return Err(missing);
        };
        if parent.shared || parent.value.anchored || parent.value.tagged {
            return Err(EditError::Shared { key: key.to_owned() });
        }
        let form = || EditError::Form { key: key.to_owned() };
        let edit = self.insertion(parent.value, name).ok_or_else(form)?;
        let mut path = parent.path;
        path.push(name.to_owned());
        Ok(Target {
            key: key.to_owned(),
            standing: Standing::Absent,
            path,
            edit,
        })
    }

    /// The text with these values in it, the rest byte for byte as it was.
    pub fn replaced(&self, changes: &[(Target, String)]) -> Result<String, EditError> {
        let mut edits: Vec<(&Edit, &str)> = changes
            .iter()
            .map(|(target, value)| (&target.edit, value.as_str()))
            .collect();
        edits.sort_by_key(|(edit, _)| edit.range.start);
        let mut new = String::with_capacity(self.text.len());
        let mut done = 0;
        for (edit, value) in edits {
            let unchanged = self.text.get(done..edit.range.start);
            new.push_str(unchanged.ok_or(EditError::WouldChangeMore)?);
            new.push_str(&edit.before);
            new.push(edit.quote);
            new.push_str(value);
            new.push(edit.quote);
            new.push_str(&edit.after);
            done = edit.range.end;
        }
        new.push_str(self.text.get(done..).unwrap_or_default());
        let changes: Vec<verify::Change<'_>> = changes
            .iter()
            .map(|(target, value)| verify::Change {
                path: &target.path,
                value,
                is_new: target.standing == Standing::Absent,
            })
            .collect();
        let tree = read(&new).map_err(|_| EditError::WouldChangeMore)?;
        if verify::differs_only(&self.tree, &tree, &changes) {
            Ok(new)
        } else {
            Err(EditError::WouldChangeMore)
        }
    }

    /// Whether it will go well, before anything is encrypted: the text can be changed so, and user data takes a reference
    /// where these values are.
    pub fn can_replace(&self, targets: &[Target]) -> Result<(), EditError> {
        let changes: Vec<(Target, String)> = targets
            .iter()
            .map(|target| (target.clone(), SAMPLE.to_owned()))
            .collect();
        let new = self.replaced(&changes)?;
        let errors = |text: &str| -> Vec<Problem> {
            let report = super::parse(text.as_bytes(), "the file");
            let all = report.problems().iter().cloned();
            all.filter(|problem| problem.severity == Severity::Error)
                .collect()
        };
        // A text that is not ours, or not yet right, has errors of its own.
        let before = errors(self.text);
        let is_known = |one: &Problem| {
            before
                .iter()
                .any(|other| (one.code, &one.key) == (other.code, &other.key))
        };
        match errors(&new).into_iter().find(|problem| !is_known(problem)) {
            None => Ok(()),
            Some(problem) => Err(EditError::NoSecretHere {
                what: problem.message,
            }),
        }
    }

    /// How a value of this style is replaced.
    fn edit(&self, key_end: usize, value: &Value, style: Style) -> Option<Edit> {
        let start = value.start;
        let whole = |quote, end| Edit {
            range: start..end,
            before: String::new(),
            quote,
            after: String::new(),
        };
        Some(match style {
            Style::Nothing => {
                let at = self.colon(key_end)? + 1;
                Edit {
                    range: at..at,
                    before: " ".to_owned(),
                    quote: '"',
                    after: String::new(),
                }
            }
            Style::Plain => {
                let written = self.text.get(start..value.end)?;
                whole('"', start + written.trim_end().len())
            }
            Style::Single => whole('\'', value.end),
            Style::Double => whole('"', value.end),
            Style::Block => self.block(self.colon(key_end)? + 1)?,
        })
    }

    /// Where the colon behind a key is.
    fn colon(&self, key_end: usize) -> Option<usize> {
        let rest = self.text.get(key_end..)?;
        let at = rest.find(|c: char| c != ' ')?;
        rest.get(at..)?.starts_with(':').then_some(key_end + at)
    }

    /// A block scalar: its header is replaced, the header's comment stays, its lines go.
    fn block(&self, colon_end: usize) -> Option<Edit> {
        let rest = self.text.get(colon_end..)?;
        let start = colon_end + rest.find(|c: char| c != ' ')?;
        let rest = self
            .text
            .get(start..)
            .filter(|rest| rest.starts_with(['|', '>']))?;
        let header = rest.find(|c: char| c.is_whitespace())?;
        let mut lines = rest.split_inclusive('\n');
        let first = lines.next()?;
        let after = first.get(header..)?.to_owned();
        let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let is_blank = |line: &str| line.trim().is_empty();
        // Blank lines belong to it, but those behind its last line may as well stay.
        let (mut end, mut blank) = (start + first.len(), 0);
        let mut least = None;
        for line in lines {
            if is_blank(line) {
                blank += line.len();
                continue;
            }
            let least = *least.get_or_insert_with(|| indent(line));
            if least == 0 || indent(line) < least {
                break;
            }
            end += blank + line.len();
            blank = 0;
        }
        Some(Edit {
            range: start..end,
            before: String::new(),
            quote: '"',
            after,
        })
    }

    /// A new key at the head of a map, where its form is plainest.
    fn insertion(&self, parent: &Value, name: &str) -> Option<Edit> {
        let What::Map(entries) = &parent.what else {
            return None;
        };
        let name = search::written_key(name)?;
        if self.text.get(parent.start..)?.starts_with('{') {
            let at = parent.start + 1;
            return Some(Edit {
                range: at..at,
                before: format!("{name}: "),
                quote: '"',
                after: if entries.is_empty() { "" } else { ", " }.to_owned(),
            });
        }
        let at = entries.first()?.key_start;
        let head = self.text.get(..at)?;
        let line = head.rfind('\n').map_or(0, |end| end + 1);
        let indent = head.get(line..)?;
        if !indent.chars().all(|c| c == ' ') {
            return None;
        }
        let newline = if head.ends_with(&format!("\r\n{indent}")) {
            "\r\n"
        } else {
            "\n"
        };
        Some(Edit {
            range: at..at,
            before: format!("{name}: "),
            quote: '"',
            after: format!("{newline}{indent}"),
        })
    }
}

/// What a text means. What is wrong with single values is no concern here: it stays as it is.
fn read(text: &str) -> Result<Node, EditError> {
    let mut values = Vec::new();
    yaml::load(text, 0, Tags::Keep, &mut values)
        .map_err(|problem| EditError::Unreadable {
            line: problem.place.map_or(1, |place| place.line),
            what: problem.message,
        })?
        .ok_or(EditError::NotAMap)
}
