//! The record of resolved references and pulled images, below the state directory.

use std::cell::RefCell;
use std::path::PathBuf;

use monopod_core::event::Event;
use monopod_core::image::pins::{self, Found, Pins, Source};

use crate::context::Context;
use crate::host::{chain, clock, files};

const FILE: &str = "images.json";

/// The record of this instance, written at every change.
pub(in crate::boot) struct Store<'a> {
    context: &'a Context,
    path: PathBuf,
    found: Found,
    pins: RefCell<Pins>,
}

impl<'a> Store<'a> {
    /// Reads the record. One that can't be read is as if it were not there, and told when it is missed.
    pub(in crate::boot) fn open(context: &'a Context, instance_id: &str) -> Self {
        let path = context.directories.state.join(FILE);
        let found = match files::read(&path) {
            Ok(bytes) => pins::read(bytes.as_deref(), instance_id),
            Err(error) => Found::Torn(chain(&error)),
        };
        let pins = match &found {
            Found::Ours(pins) => pins.clone(),
            Found::OtherInstance => Pins::copied(instance_id),
            Found::Nothing | Found::Torn(_) => Pins::new(instance_id),
        };
        Self {
            context,
            path,
            found,
            pins: RefCell::new(pins),
        }
    }

    /// The digest a reference was resolved to before, if it was; `made` is what containers of ours say.
    pub(in crate::boot) fn lookup(
        &self,
        reference: &str,
        made: &[(String, String)],
    ) -> Option<(String, Source)> {
        let known = pins::lookup(&self.found, reference, made);
        if let Found::Torn(why) = &self.found {
            let instead = match known {
                Some(_) => "the container made from it says it still",
                None => "the registry is asked anew, and may have another image by now",
            };
            let text = format!(
                "what {reference} was resolved to can't be read from {}, {why}; {instead}",
                self.path.display()
            );
            self.context.reporter.tell(Event::Warning { text });
        }
        known
    }

    /// Notes what a reference stands for from now on.
    pub(in crate::boot) fn resolve(&self, reference: &str, digest: &str) {
        self.change(|pins| pins.resolve(reference, digest, clock::now_seconds()));
    }

    /// Whether containers on this disk may be another instance's.
    pub(in crate::boot) fn is_copied(&self) -> bool {
        self.found.is_copied()
    }

    /// Notes that the container of this instance is the only one.
    pub(in crate::boot) fn settle(&self) {
        if self.is_copied() {
            self.change(Pins::settled);
        }
    }

    pub(super) fn pulled(&self, image: &str) {
        self.change(|pins| pins.pulled(image, clock::now_seconds()));
    }

    pub(super) fn removed(&self, image: &str) {
        self.change(|pins| pins.removed(image));
    }

    pub(super) fn prunable(&self, keep: &[String]) -> Vec<String> {
        self.pins.borrow().prunable(keep)
    }

    fn change(&self, change: impl FnOnce(&mut Pins)) {
        let mut pins = self.pins.borrow_mut();
        let before = pins.clone();
        change(&mut pins);
        if *pins == before && matches!(self.found, Found::Ours(_)) {
            return;
        }
        let json = serde_json::to_vec(&*pins).unwrap_or_default();
        drop(pins);
        let written = files::ensure_directory(&self.context.directories.state)
            .and_then(|()| files::ensure_durable_content(&self.path, &json));
        if let Err(error) = written {
            let text = format!(
                "a reboot may resolve the image anew, as what it is now was not written down: {}",
                chain(&error)
            );
            self.context.reporter.tell(Event::Warning { text });
        }
    }
}
