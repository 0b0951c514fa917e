//! Which images a rule of the policy is about: `registry.example.org/team/*`.
//!
//! ```text
//! REGISTRY/COMPONENT[/COMPONENT...]    registry.example.org, registry.example.org:5000, *.example.org
//! *     any letters within one component
//! **    as a whole component: one component or more
//! **    alone: every image
//! ```
//!
//! A registry is compared as what it is, not as it is spelled: upper case, `:443` and leading zeros of a port name the
//! same one, and a rule that could be passed by with another spelling would protect nothing. For the same reason a short
//! name is completed as Docker does before it is compared. A pattern that no image could ever match is no pattern.

use std::fmt;

use thiserror::Error;

use crate::config::{ImageRef, RegistryHost as Host};

/// Longer than any name an image can have.
const LONGEST: usize = 512;

/// Which images a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    registries: Registries,
    path: Vec<Part>,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// Nothing to compare with.
    #[error("it names no registry and repository")]
    NoRegistry,
    /// The part before the first slash.
    #[error("its registry's name or port cannot be read, or has a `*` that is not the beginning `*.`")]
    Registry,
    /// A tag or a digest.
    #[error("it has a tag or a digest, which rules do not look at")]
    Tag,
    /// A component no repository has.
    #[error("no repository's name can look like it")]
    Component,
    /// `docker.io/nginx`.
    #[error("an image of docker.io without a path has `library/` before its name")]
    Library,
    /// `index.docker.io`, and the other names of Docker Hub's API.
    #[error("Docker Hub is called docker.io in rules, by whichever of its names the image comes")]
    Alias,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Registries {
    All,
    One(Host),
    /// Everything below a domain, at one port.
    Below(Host),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// One component, with `*` in it or not.
    Component(String),
    /// One or more, whatever they are.
    Deep,
}

impl Pattern {
    /// Reads a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let of = |registries, path| Self {
            written: text.to_owned(),
            registries,
            path,
        };
        if text == "**" {
            return Ok(of(Registries::All, vec![Part::Deep]));
        }
        if text.len() > LONGEST {
            return Err(PatternError::Component);
        }
        let (registry, path) = text.split_once('/').ok_or(PatternError::NoRegistry)?;
        let registries = registries(registry)?;
        let path = path.split('/').map(part).collect::<Result<Vec<Part>, _>>()?;
        if let Registries::One(host) = &registries
            && host.is_docker_hub()
            && matches!(path.as_slice(), [Part::Component(_)])
        {
            return Err(PatternError::Library);
        }
        Ok(of(registries, path))
    }

    /// Whether an image is meant.
    pub fn matches(&self, image: &ImageRef) -> bool {
        let host = Host::new(image.registry());
        let mut components: Vec<&str> = image.repository().split('/').collect();
        // `Docker.io/nginx` is completed nowhere else.
        if host.is_docker_hub() && components.len() == 1 {
            components.insert(0, "library");
        }
        let items: Vec<Item<'_>> = components.into_iter().map(Item::Word).collect();
        self.registries.hold(&host) && path_holds(&self.path, &items)
    }

    /// Whether every image the other one is about is this one's too.
    pub fn covers(&self, other: &Self) -> bool {
        let items: Vec<Item<'_>> = other
            .path
            .iter()
            .map(|part| match part {
                Part::Component(text) => Item::Word(text),
                Part::Deep => Item::Deep,
            })
            .collect();
        self.registries.cover(&other.registries) && path_holds(&self.path, &items)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl Registries {
    fn hold(&self, host: &Host) -> bool {
        match self {
            Self::All => true,
            Self::One(one) => one == host,
            Self::Below(domain) => host.is_below(domain),
        }
    }

    fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (_, Self::All) | (Self::One(_), Self::Below(_)) => false,
            (_, Self::One(host)) => self.hold(host),
            (Self::Below(wide), Self::Below(domain)) => wide == domain || domain.is_below(wide),
        }
    }
}

fn registries(text: &str) -> Result<Registries, PatternError> {
    let checked = |text: &str| {
        let image = ImageRef::parse(&format!("{text}/a")).map_err(|_| PatternError::Registry)?;
        match image.registry() {
            registry if registry == text => Ok(Host::new(registry)),
            // Without a dot or a port the first component is a path on docker.io.
            _ => Err(PatternError::NoRegistry),
        }
    };
    if Host::is_hub_alias(text) {
        return Err(PatternError::Alias);
    }
    match text.strip_prefix("*.") {
        Some(domain) => {
            checked(&format!("x.{domain}"))?;
            Ok(Registries::Below(Host::new(domain)))
        }
        None => checked(text).map(Registries::One),
    }
}

fn part(text: &str) -> Result<Part, PatternError> {
    if text == "**" {
        return Ok(Part::Deep);
    }
    if text.contains([':', '@']) {
        return Err(PatternError::Tag);
    }
    // A letter fits between any two separators, and at both ends: if it doesn't help, nothing does.
    let likely = text.replace('*', "a");
    let fits =
        !text.contains("**") && !likely.is_empty() && ImageRef::parse(&format!("x.y/{likely}")).is_ok();
    if fits {
        Ok(Part::Component(text.to_owned()))
    } else {
        Err(PatternError::Component)
    }
}

/// What stands where a part of a pattern is held against it: a component, or another pattern's part, whose `*` is a letter
/// that only a `*` can stand for.
#[derive(Clone, Copy)]
enum Item<'a> {
    Word(&'a str),
    Deep,
}

/// Whether a path of these components is meant.
pub(crate) fn path_matches(parts: &[Part], components: &[&str]) -> bool {
    let items: Vec<Item<'_>> = components.iter().copied().map(Item::Word).collect();
    path_holds(parts, &items)
}

/// Which prefixes of the items the parts so far can stand for; no backtracking, so that no pattern takes long.
fn path_holds(parts: &[Part], items: &[Item<'_>]) -> bool {
    let mut reached = vec![false; items.len() + 1];
    if let Some(none) = reached.first_mut() {
        *none = true;
    }
    for part in parts {
        let mut next = vec![false];
        let mut before = false;
        for (item, here) in items.iter().zip(&reached) {
            before |= here;
            next.push(match (part, item) {
                (Part::Deep, _) => before,
                (Part::Component(glob), Item::Word(word)) => *here && glob_holds(glob, word),
                (Part::Component(_), Item::Deep) => false,
            });
        }
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

/// The same for the letters of one component.
fn glob_holds(glob: &str, word: &str) -> bool {
    let mut reached = vec![false; word.len() + 1];
    if let Some(none) = reached.first_mut() {
        *none = true;
    }
    for letter in glob.bytes() {
        let mut before = false;
        if letter == b'*' {
            for here in &mut reached {
                before |= *here;
                *here = before;
            }
            continue;
        }
        let mut next = vec![false];
        next.extend(
            word.bytes()
                .zip(&reached)
                .map(|(own, here)| *here && own == letter),
        );
        reached = next;
    }
    reached.last().copied().unwrap_or(false)
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
