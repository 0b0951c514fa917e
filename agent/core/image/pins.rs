//! Which digest each reference was resolved to, once in the life of an instance, and which images were pulled for it.
//!
//! A tag that is pushed again must not change the application: not at a reboot, not after the container or the image
//! was removed. The record belongs to one instance, so that a disk that became a machine image starts from nothing.
//!
//! A record that can't be read is told apart from none: the application might change, so whoever reads it warns, and
//! takes what is written on a container of ours before it asks the registry again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::ImageRef;

/// Changes when the meaning of the record does.
const SCHEMA: u32 = 1;
/// More references than a machine has in its life; the oldest give way.
const MOST: usize = 32;

/// The record of one instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pins {
    schema: u32,
    instance_id: String,
    resolved: BTreeMap<String, Resolved>,
    pulled: BTreeMap<String, u64>,
    /// Containers that came with the disk are not removed yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    copied: bool,
}

/// What a reference stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resolved {
    /// `sha256:...`.
    pub digest: String,
    /// When it was resolved, in seconds since the epoch.
    pub at: u64,
}

/// What was found where the record should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// No record: nothing was resolved yet.
    Nothing,
    /// This instance's.
    Ours(Pins),
    /// Another instance's: this disk was copied from it.
    OtherInstance,
    /// Nobody can read it; why.
    Torn(String),
}

/// Where a digest is known from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The record, and when it was written there.
    Record {
        /// Seconds since the epoch.
        at: u64,
    },
    /// A container made from the same reference.
    Container,
}

impl Pins {
    /// For an instance that has resolved nothing.
    pub fn new(instance_id: &str) -> Self {
        Self {
            schema: SCHEMA,
            instance_id: instance_id.to_owned(),
            resolved: BTreeMap::new(),
            pulled: BTreeMap::new(),
            copied: false,
        }
    }

    /// For an instance whose disk was another one's, until [`Self::settled`].
    pub fn copied(instance_id: &str) -> Self {
        Self {
            copied: true,
            ..Self::new(instance_id)
        }
    }

    /// Notes that no container of another instance is left.
    pub fn settled(&mut self) {
        self.copied = false;
    }

    /// Notes what a reference stands for. What is known already stays.
    pub fn resolve(&mut self, reference: &str, digest: &str, at: u64) {
        let resolved = Resolved {
            digest: digest.to_owned(),
            at,
        };
        self.resolved.entry(reference.to_owned()).or_insert(resolved);
        drop_oldest(&mut self.resolved, reference, |one| one.at);
    }

    /// Notes that an image was loaded for us, by its name with the digest.
    pub fn pulled(&mut self, image: &str, at: u64) {
        self.pulled.insert(image.to_owned(), at);
        drop_oldest(&mut self.pulled, image, |at| *at);
    }

    /// Notes that it is gone.
    pub fn removed(&mut self, image: &str) {
        self.pulled.remove(image);
    }

    /// Images loaded for us that may go when space is short, the oldest first; none of the names in `keep`.
    pub fn prunable(&self, keep: &[String]) -> Vec<String> {
        let mut images: Vec<(&String, &u64)> = self
            .pulled
            .iter()
            .filter(|(image, _)| !keep.contains(image))
            .collect();
        images.sort_by_key(|(_, at)| **at);
        images.into_iter().map(|(image, _)| image.clone()).collect()
    }
}

/// The newest stay, and the one that was just added whatever the clock says.
fn drop_oldest<T>(map: &mut BTreeMap<String, T>, added: &str, at: impl Fn(&T) -> u64) {
    while map.len() > MOST {
        let oldest = map
            .iter()
            .filter(|(name, _)| *name != added)
            .min_by_key(|(_, value)| at(value))
            .map(|(name, _)| name.clone());
        let Some(oldest) = oldest else { return };
        map.remove(&oldest);
    }
}

impl Found {
    /// Whether containers on this disk may be another instance's.
    pub fn is_copied(&self) -> bool {
        match self {
            Self::OtherInstance => true,
            Self::Ours(pins) => pins.copied,
            Self::Nothing | Self::Torn(_) => false,
        }
    }
}

/// Reads a record; `None` is no file.
pub fn read(bytes: Option<&[u8]>, instance_id: &str) -> Found {
    let Some(bytes) = bytes else {
        return Found::Nothing;
    };
    let pins: Pins = match serde_json::from_slice(bytes) {
        Ok(pins) => pins,
        // The error's own text may quote what is in the file.
        Err(error) => return Found::Torn(format!("it is no record of ours (line {})", error.line())),
    };
    if pins.schema != SCHEMA {
        return Found::Torn("another version of monopod wrote it in another form".to_owned());
    }
    if pins.instance_id != instance_id {
        return Found::OtherInstance;
    }
    if pins.resolved.values().any(|one| !is_digest(&one.digest)) {
        return Found::Torn("it has something else where a digest belongs".to_owned());
    }
    Found::Ours(pins)
}

/// The digest that a reference stands for on this instance, if it was ever resolved here. `made` are the references
/// and digests that containers of ours were made from.
pub fn lookup(found: &Found, reference: &str, made: &[(String, String)]) -> Option<(String, Source)> {
    let recorded = match found {
        // Its containers came with the disk, like the record.
        Found::OtherInstance => return None,
        Found::Ours(pins) => pins.resolved.get(reference),
        Found::Nothing | Found::Torn(_) => None,
    };
    if let Some(one) = recorded {
        return Some((one.digest.clone(), Source::Record { at: one.at }));
    }
    if found.is_copied() {
        return None;
    }
    made.iter()
        .find(|(of, digest)| of == reference && is_digest(digest))
        .map(|(_, digest)| (digest.clone(), Source::Container))
}

fn is_digest(text: &str) -> bool {
    ImageRef::parse(&format!("a@{text}")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "registry.example.org/app:1";

    fn digest(n: u32) -> String {
        format!("sha256:{n:064x}")
    }

    fn bytes(pins: &Pins) -> Vec<u8> {
        serde_json::to_vec(pins).unwrap()
    }

    fn recorded() -> Pins {
        let mut pins = Pins::new("i-1");
        pins.resolve(APP, &digest(1), 7);
        pins
    }

    #[test]
    fn what_was_resolved_stays_whatever_a_container_says() {
        let found = read(Some(&bytes(&recorded())), "i-1");
        let made = [(APP.to_owned(), digest(2))];
        let known = Some((digest(1), Source::Record { at: 7 }));
        assert_eq!(lookup(&found, APP, &made), known);
        let mut again = recorded();
        again.resolve(APP, &digest(3), 9);
        assert_eq!(again, recorded());
    }

    #[test]
    fn another_reference_is_another_question() {
        let found = read(Some(&bytes(&recorded())), "i-1");
        assert_eq!(lookup(&found, "registry.example.org/app:2", &[]), None);
    }

    #[test]
    fn a_copied_disk_knows_nothing_not_even_by_its_containers() {
        let found = read(Some(&bytes(&recorded())), "i-2");
        assert_eq!(found, Found::OtherInstance);
        assert_eq!(lookup(&found, APP, &[(APP.to_owned(), digest(2))]), None);
    }

    #[test]
    fn a_copied_disk_stays_one_until_its_containers_are_gone() {
        let mut pins = Pins::copied("i-2");
        pins.pulled("b@1", 20);
        let made = [(APP.to_owned(), digest(2))];
        let found = read(Some(&bytes(&pins)), "i-2");
        assert!(found.is_copied() && lookup(&found, APP, &made).is_none());
        pins.settled();
        let found = read(Some(&bytes(&pins)), "i-2");
        assert!(!found.is_copied() && lookup(&found, APP, &made).is_some());
        assert!(read(Some(&bytes(&recorded())), "i-2").is_copied());
    }

    #[test]
    fn without_a_record_a_container_of_the_same_reference_tells() {
        let made = [
            ("registry.example.org/app:0".to_owned(), digest(5)),
            (APP.to_owned(), "nonsense".to_owned()),
            (APP.to_owned(), digest(2)),
        ];
        for found in [read(None, "i-1"), read(Some(b"{\"sch"), "i-1")] {
            assert_eq!(lookup(&found, APP, &made), Some((digest(2), Source::Container)));
            assert_eq!(lookup(&found, APP, &[]), None);
        }
    }

    #[test]
    fn what_cannot_be_read_is_torn_and_quotes_nothing() {
        let mut forged = recorded();
        forged.resolved.insert(
            "b".to_owned(),
            Resolved {
                digest: "canary".to_owned(),
                at: 0,
            },
        );
        let mut newer = recorded();
        newer.schema = 2;
        for torn in [
            b"".to_vec(),
            b"canary".to_vec(),
            b"[\"canary\"]".to_vec(),
            bytes(&forged),
            bytes(&newer),
        ] {
            match read(Some(&torn), "i-1") {
                Found::Torn(why) => assert!(!why.contains("canary"), "{why}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn the_oldest_may_go_first_and_what_is_kept_never() {
        let mut pins = recorded();
        pins.pulled("b@1", 20);
        pins.pulled("a@1", 30);
        pins.pulled("c@1", 10);
        assert_eq!(pins.prunable(&["b@1".to_owned()]), ["c@1", "a@1"]);
        pins.removed("c@1");
        assert_eq!(pins.prunable(&[]), ["b@1", "a@1"]);
    }

    #[test]
    fn the_record_does_not_grow_for_ever_and_keeps_what_was_added_last() {
        let mut pins = Pins::new("i-1");
        for n in 0..100 {
            // A clock that goes back.
            pins.resolve(&format!("app:{n}"), &digest(n), u64::from(100 - n));
            pins.pulled(&format!("app@{n}"), u64::from(100 - n));
        }
        assert_eq!((pins.resolved.len(), pins.pulled.len()), (MOST, MOST));
        assert!(pins.resolved.contains_key("app:99") && pins.pulled.contains_key("app@99"));
    }
}
