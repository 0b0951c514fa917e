//! Who waits for the boot's result, and what becomes of a machine whose boot failed, read out of a text that is no YAML.
//!
//! A mistake in any line of the user data would otherwise leave the stack or the group waiting until it gives up, without
//! a word, and a machine standing that was to go. So the lines of `notify_cfn` and `lifecycle_hooks` are looked for by
//! themselves, in the two forms people write, and the line of `on_boot_failure`:
//!
//! ```text
//! notify_cfn:                      notify_cfn: {stack: my-stack, resource: AppServer}
//!   stack: my-stack
//!   resource: AppServer
//! ```
//!
//! Invariants: what is returned stands in the text as it is returned. Nothing is guessed: a name with a character that
//! stack and resource never have (a template's braces, an anchor, an escape, what was no UTF-8), a key that stands twice,
//! or two places that could be meant give nothing at all. A key that stands there and cannot be read is the default, as in
//! a text that can be read; what the image says holds only where the text does not name the key.

#[cfg(test)]
mod tests;

use super::check::is_hook;
use super::yaml::{self, Resolved};
use crate::lifecycle::{Hooks, LifecyclePlan, OnBootFailure, SignWith, SignalTarget};

/// What indents and separates; other blanks are characters like any other.
const BLANKS: [char; 2] = [' ', '\t'];
/// A stack's ARN is far shorter, and so is a presigned URL.
const LONGEST: usize = 2048;

/// What a text that is no YAML says for certain.
#[derive(Debug, Default)]
pub(super) struct Salvaged {
    /// Who waits for the boot's result.
    pub(super) signal: Option<SignalTarget>,
    /// `None` where the text does not name the key.
    on_boot_failure: Option<OnBootFailure>,
    /// `None` where the text does not name the key.
    hooks: Option<Hooks>,
}

impl Salvaged {
    /// What the text names takes the place of what the image says; the signal is not the image's to say.
    pub(super) fn put_over(&self, plan: &mut LifecyclePlan) {
        if let Some(on_boot_failure) = self.on_boot_failure {
            plan.on_boot_failure = on_boot_failure;
        }
        if let Some(hooks) = &self.hooks {
            plan.hooks = hooks.clone();
        }
    }
}

/// What the lines say, as far as they certainly say it.
pub(super) fn salvage(text: &str) -> Salvaged {
    let lines: Vec<&str> = text.lines().collect();
    Salvaged {
        signal: pairs(&lines, "notify_cfn").and_then(Pairs::target),
        on_boot_failure: names(&lines, "on_boot_failure")
            .then(|| on_boot_failure(&lines).unwrap_or_default()),
        hooks: names(&lines, "lifecycle_hooks").then(|| {
            let pairs = pairs(&lines, "lifecycle_hooks");
            pairs.map(Pairs::hooks).unwrap_or_default()
        }),
    }
}

/// Whether the key stands anywhere but in a comment, readable or not.
fn names(lines: &[&str], key: &str) -> bool {
    let is_comment = |line: &str| line.trim_start_matches(BLANKS).starts_with('#');
    lines.iter().any(|line| line.contains(key) && !is_comment(line))
}

/// What stands behind the key on its line, and the lines below; `None` unless it is there once, in the first document.
fn find<'l, 't>(lines: &'l [&'t str], key: &str) -> Option<(&'t str, &'l [&'t str])> {
    let mut places = lines.iter().enumerate().filter_map(|(index, line)| {
        let rest = line.strip_prefix(key)?.strip_prefix(':')?;
        Some((index, rest))
    });
    let (index, rest) = places.next()?;
    if places.next().is_some() || after_a_document(lines, index) {
        return None;
    }
    // `a:b` is one word to YAML.
    let is_key = rest.is_empty() || rest.starts_with(BLANKS);
    Some((without_comment(rest).filter(|_| is_key)?, lines.get(index + 1..)?))
}

/// The map below a key.
fn pairs<'t>(lines: &[&'t str], key: &str) -> Option<Pairs<'t>> {
    let (rest, below) = find(lines, key)?;
    if rest.is_empty() { block(below) } else { flow(rest) }
}

fn on_boot_failure(lines: &[&str]) -> Option<OnBootFailure> {
    let (rest, below) = find(lines, "on_boot_failure")?;
    // An indented line below it would be more of the value.
    let says_something = |line: &&&str| !line.trim_matches(BLANKS).is_empty() && !line.starts_with('#');
    if below
        .iter()
        .find(says_something)
        .is_some_and(|line| line.starts_with(BLANKS))
    {
        return None;
    }
    match plain(rest)? {
        "poweroff" => Some(OnBootFailure::Poweroff),
        "replace" => Some(OnBootFailure::Replace),
        "stay" => Some(OnBootFailure::Stay),
        _ => None,
    }
}

/// Whether a document ends before the line: nobody would have read the next one.
fn after_a_document(lines: &[&str], index: usize) -> bool {
    let is_marker = |line: &&str| line.starts_with("---") || line.starts_with("...");
    let says_something = |line: &&str| !line.trim_matches(BLANKS).is_empty() && !line.starts_with('#');
    lines
        .iter()
        .take(index)
        .skip_while(|line| !says_something(line) || is_marker(line))
        .any(is_marker)
}

/// What the pairs say so far; `None` inside where a pair stands there and cannot be read.
#[derive(Default)]
struct Pairs<'t> {
    stack: Option<Option<&'t str>>,
    resource: Option<Option<&'t str>>,
    sign: Option<Option<&'t str>>,
    wait_handle: Option<Option<&'t str>>,
    group: Option<Option<&'t str>>,
    launch: Option<Option<&'t str>>,
    terminate: Option<Option<&'t str>>,
}

impl<'t> Pairs<'t> {
    fn slot(&mut self, key: &str) -> Option<&mut Option<Option<&'t str>>> {
        match key {
            "stack" => Some(&mut self.stack),
            "resource" => Some(&mut self.resource),
            "sign" => Some(&mut self.sign),
            "wait_handle" => Some(&mut self.wait_handle),
            "group" => Some(&mut self.group),
            "launch" => Some(&mut self.launch),
            "terminate" => Some(&mut self.terminate),
            _ => None,
        }
    }

    /// A key that stands twice says two things, so the whole says nothing.
    fn put(&mut self, key: &str, value: Option<&'t str>) -> Option<()> {
        let Some(slot) = self.slot(key) else {
            // A key nobody knows changes nothing, as in a text that can be read.
            return Some(());
        };
        if slot.is_some() {
            return None;
        }
        *slot = Some(value);
        Some(())
    }

    fn target(self) -> Option<SignalTarget> {
        let stack = self.stack.flatten().filter(|name| is_name(name))?;
        let resource = self.resource.flatten().filter(|name| is_name(name))?;
        let sign = match self.sign {
            None | Some(Some("instance")) => SignWith::Instance,
            Some(Some("role")) => SignWith::Role,
            Some(_) => return None,
        };
        // Without it the stack is told all the same.
        let wait_handle = self.wait_handle.flatten().filter(|url| is_url(url));
        Some(SignalTarget {
            stack: stack.to_owned(),
            resource: resource.to_owned(),
            sign,
            wait_handle: wait_handle.map(str::to_owned),
        })
    }

    /// Each by itself, as in a text that can be read; a group that cannot be read is asked for.
    fn hooks(self) -> Hooks {
        // What is a number or a boolean to YAML is not the text it looks like.
        let is_text = |name: &&str| matches!(yaml::plain(name), Ok(Resolved::Str));
        let hook = |name: Option<Option<&str>>| {
            let is_one = |name: &&str| is_text(name) && is_hook(name);
            name.flatten().filter(is_one).map(str::to_owned)
        };
        let group = self.group.flatten();
        Hooks {
            group: group
                .filter(|name| is_text(name) && is_name(name))
                .map(str::to_owned),
            launch: hook(self.launch),
            terminate: hook(self.terminate),
        }
    }
}

/// The lines below the key, up to the next one that is not indented.
fn block<'t>(lines: &[&'t str]) -> Option<Pairs<'t>> {
    let mut pairs = Pairs::default();
    let mut indentation: Option<&str> = None;
    let mut last: Option<&str> = None;
    for line in lines {
        let content = line.trim_start_matches(BLANKS);
        if content.trim_end_matches(BLANKS).is_empty() || content.starts_with('#') {
            continue;
        }
        let blanks = line.strip_suffix(content).unwrap_or_default();
        if blanks.is_empty() {
            break;
        }
        match indentation {
            None => indentation = Some(blanks),
            Some(first) if first == blanks => {}
            // More of the value before, which then is not what its own line says.
            Some(first) if blanks.starts_with(first) => {
                if let Some(slot) = last.and_then(|key| pairs.slot(key)) {
                    *slot = Some(None);
                }
                continue;
            }
            Some(_) => return None,
        }
        let (key, value) = pair(content)?;
        pairs.put(key, value)?;
        last = Some(key);
    }
    Some(pairs)
}

/// `{stack: my-stack, resource: AppServer}` on one line.
fn flow(text: &str) -> Option<Pairs<'_>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut pairs = Pairs::default();
    let inner = inner.trim_matches(BLANKS);
    // No value that is taken has a comma, a brace or a bracket, so that none is cut where it should not be.
    for part in inner.strip_suffix(',').unwrap_or(inner).split(',') {
        let (key, value) = pair(part.trim_matches(BLANKS))?;
        pairs.put(key, value)?;
    }
    Some(pairs)
}

/// A key and its value; `None` inside for a value that is not plain.
fn pair(text: &str) -> Option<(&str, Option<&str>)> {
    let (key, rest) = text.split_once(':')?;
    let key = key.trim_end_matches(BLANKS);
    let quoted = unquoted(key);
    // `a:b` is one word to YAML, unless the key is in quotes, as in JSON.
    if quoted.is_none() && !rest.is_empty() && !rest.starts_with(BLANKS) {
        return None;
    }
    let key = quoted.unwrap_or(key);
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    Some((key, without_comment(rest).and_then(plain)))
}

/// The text between two quotes of one kind; the characters that are taken need no escape.
fn unquoted(text: &str) -> Option<&str> {
    ['"', '\''].iter().find_map(|quote| {
        let inner = text.strip_prefix(*quote)?.strip_suffix(*quote)?;
        (!inner.contains(*quote)).then_some(inner)
    })
}

/// A scalar that is certainly the text it looks like.
fn plain(value: &str) -> Option<&str> {
    let is_quoted = value.starts_with(['"', '\'']);
    let inner = if is_quoted { unquoted(value)? } else { value };
    let is_null = !is_quoted && inner.eq_ignore_ascii_case("null");
    (!inner.is_empty() && inner.len() <= LONGEST && !is_null).then_some(inner)
}

/// Without a comment behind it and the blanks around; `None` where a sign stands that begins one in some places only.
fn without_comment(text: &str) -> Option<&str> {
    if !text.is_empty() && !text.starts_with(BLANKS) {
        // `"stack":"my-stack"`, as JSON has it.
        return (!text.contains('#')).then(|| text.trim_matches(BLANKS));
    }
    match text.split_once('#') {
        None => Some(text.trim_matches(BLANKS)),
        Some((before, _)) if before.ends_with(BLANKS) => Some(before.trim_matches(BLANKS)),
        Some(_) => None,
    }
}

/// The name or ARN of a stack, the logical id of a resource.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/'))
        // A secret that was pasted into the wrong place is refused in a text that can be read.
        && crate::secret::SecretRef::parse(text).is_none()
}

fn is_url(text: &str) -> bool {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && text.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'-' | b'_' | b'.' | b'~' | b':' | b'/' | b'?' | b'&' | b'=' | b'%' | b'+'
                )
        })
}
