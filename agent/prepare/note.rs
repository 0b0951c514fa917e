//! What is noted for the agent, which waits for it: `prepare.json` in the runtime directory.
//!
//! The note is all that goes between the two. It is replaced whole at every change, so that an agent never reads half of one, and it is
//! begun anew at every start, so that nobody takes an earlier failure for this one's.

use std::cell::RefCell;

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::preparation::{FILE, Mounted, Prepared, State};

use crate::context::Context;
use crate::host::{chain, files};

/// The note of one run.
pub(crate) struct Note<'a> {
    context: &'a Context,
    said: RefCell<Prepared>,
}

impl<'a> Note<'a> {
    /// From here on the agent sees that somebody is at work.
    pub(super) fn begin(context: &'a Context, boot_id: &str) -> Self {
        let note = Self {
            context,
            said: RefCell::new(Prepared::new(boot_id, env!("CARGO_PKG_VERSION"))),
        };
        note.save();
        note
    }

    /// What is waited for, or done now.
    pub(crate) fn doing(&self, text: &str) {
        let text = self.context.reporter.redacted(text);
        let news = State::Working { doing: text.clone() };
        if self.said.borrow().state == news {
            return;
        }
        self.said.borrow_mut().state = news;
        self.save();
        self.context.reporter.tell(Event::StepProgress {
            step: StepId::Prepare,
            text,
        });
    }

    /// What is there now.
    pub(crate) fn done(&self, text: &str) {
        let text = self.context.reporter.redacted(text);
        self.context.reporter.tell(Event::StepProgress {
            step: StepId::Prepare,
            text: text.clone(),
        });
        self.said.borrow_mut().done.push(text);
    }

    /// What somebody should look at.
    pub(crate) fn warn(&self, text: &str) {
        let text = self.context.reporter.redacted(text);
        self.context.reporter.tell(Event::Warning { text: text.clone() });
        self.said.borrow_mut().warnings.push(text);
        self.save();
    }

    /// What is mounted for the container.
    pub(super) fn mounted(&self, place: &str, what: &str) {
        self.said.borrow_mut().mounts.push(Mounted {
            place: place.to_owned(),
            what: what.to_owned(),
        });
    }

    /// The end: nothing is noted after it.
    pub(super) fn end(self, state: State) {
        self.said.borrow_mut().state = state;
        self.save();
    }

    fn save(&self) {
        let path = self.context.directories.runtime.join(FILE);
        let written = serde_json::to_vec_pretty(&*self.said.borrow())
            .map_err(|error| error.to_string())
            .and_then(|json| files::ensure_content(&path, &json).map_err(|error| chain(&error)));
        if let Err(error) = written {
            let text = format!("the agent does not hear how far the machine is prepared: {error}");
            self.context.reporter.tell(Event::Warning { text });
        }
    }
}
