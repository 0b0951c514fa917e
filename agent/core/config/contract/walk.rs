//! Ways through the contract: every key with its path, and a key by its path.

use super::{CONTRACT, Key, POLICY, Shape, keys};

/// A key and the keys it stands in.
#[derive(Clone, Debug)]
pub struct Path {
    /// `mounts.*.filesystem`.
    pub dotted: String,
    /// Those it stands in, the outermost first, and the key itself.
    keys: Vec<&'static Key>,
}

impl Path {
    /// The key itself.
    pub fn key(&self) -> &'static Key {
        self.keys.last().copied().unwrap_or(&NOBODY)
    }

    /// The key of the top level it stands in.
    pub fn outermost(&self) -> &'static Key {
        self.keys.first().copied().unwrap_or(&NOBODY)
    }

    /// From the top level to the key itself.
    pub fn keys(&self) -> &[&'static Key] {
        &self.keys
    }

    /// Every key inside it.
    pub fn inner(&self) -> Vec<Self> {
        let mut out = Vec::new();
        inside(&self.dotted, &self.keys, &self.key().shape, &mut out);
        out
    }

    /// Whether this is the path; names the user chose and names of a family fit too.
    pub fn is(&self, dotted: &str) -> bool {
        if self.dotted == dotted {
            return true;
        }
        let (mut known, mut asked) = (self.dotted.split('.'), dotted.split('.'));
        loop {
            return match (known.next(), asked.next()) {
                (None, None) => true,
                (Some("*"), Some(name)) if !name.is_empty() => continue,
                (Some(known), Some(name)) if known == name => continue,
                (Some(known), Some(name)) => {
                    let family = known.strip_suffix('*').filter(|prefix| !prefix.is_empty());
                    if family.is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix)) {
                        continue;
                    }
                    false
                }
                _ => false,
            };
        }
    }

    /// The same with `policy.` in front, which tells the policy's keys from those of user data.
    pub(super) fn of_policy(self) -> Self {
        Self {
            dotted: format!("policy.{}", self.dotted),
            ..self
        }
    }

    pub(super) fn starts_with(&self, key: &Key) -> bool {
        self.outermost().name == key.name
    }
}

/// Stands in for the last of no keys, which nobody makes.
const NOBODY: Key = Key::new("", Shape::Anything, super::Fate::Read, "");

/// Every key of user data with its path, inner ones behind their own.
pub fn every() -> Vec<Path> {
    let mut out = Vec::new();
    for key in CONTRACT.iter().flat_map(|group| group.keys) {
        add("", &[], key, &mut out);
    }
    out
}

/// Every key of the policy file with its path.
pub fn every_policy() -> Vec<Path> {
    let mut out = Vec::new();
    for key in POLICY {
        add("", &[], key, &mut out);
    }
    out
}

fn add(before: &str, parents: &[&'static Key], key: &'static Key, out: &mut Vec<Path>) {
    let path = Path {
        dotted: format!("{before}{}", key.name),
        keys: parents.iter().copied().chain([key]).collect(),
    };
    out.push(path.clone());
    inside(&path.dotted, &path.keys, &key.shape, out);
}

fn inside(path: &str, parents: &[&'static Key], shape: &'static Shape, out: &mut Vec<Path>) {
    match shape {
        Shape::Object(keys) => keys
            .iter()
            .for_each(|key| add(&format!("{path}."), parents, key, out)),
        Shape::Map { value, .. } => inside(&format!("{path}.*"), parents, value, out),
        Shape::List(item) => inside(path, parents, item, out),
        Shape::Either(shapes) => shapes.iter().for_each(|shape| inside(path, parents, shape, out)),
        _ => {}
    }
}

/// A key by its dotted path; the names users choose (`mounts./data.filesystem`) are written `*`.
pub fn find(path: &str) -> Option<&'static Key> {
    walk(path, keys())
}

/// A key of the policy file by its dotted path.
pub fn find_policy(path: &str) -> Option<&'static Key> {
    walk(path, POLICY.iter())
}

fn walk(path: &str, mut top: impl Iterator<Item = &'static Key>) -> Option<&'static Key> {
    let mut parts = path.split('.');
    let first = parts.next()?;
    let mut key = top.find(|key| key.matches(first))?;
    let mut shape = key.shape.map();
    for part in parts {
        match shape? {
            // A name the user chose; one with dots takes all the rest.
            Shape::Map {
                value: Shape::Scalar, ..
            } => return Some(key),
            Shape::Map { value, .. } => shape = value.map(),
            Shape::Object(keys) => {
                key = keys.iter().find(|key| key.matches(part))?;
                shape = key.shape.map();
            }
            _ => return None,
        }
    }
    Some(key)
}
