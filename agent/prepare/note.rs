//! What is noted for the agent, which waits for it: `prepare.json` in the runtime directory.
//!
//! The note is all that goes between the two. It is replaced whole at every change, so that an agent never reads half of one, and it is
//! begun anew at every start, so that nobody takes an earlier failure for this one's.

use std::cell::RefCell;

use monopod_core::event::Event;
use monopod_core::plan::StepId;
use monopod_core::preparation::{FILE, Mounted, Prepared, State};

use crate::context::Context;
use crate::host::files::{self, FileError};
use crate::host::{chain, clock};

/// The note of one run.
pub(crate) struct Note<'a> {
    context: &'a Context,
    said: RefCell<Prepared>,
}

impl<'a> Note<'a> {
    /// From here on the agent sees that somebody is at work.
    pub(super) fn begin(context: &'a Context, boot_id: &str) -> Self {
        let before = files::read(&context.directories.runtime.join(FILE))
            .ok()
            .flatten();
        let before = before.and_then(|bytes| serde_json::from_slice::<Prepared>(&bytes).ok());
        let mut said = Prepared::new(boot_id, env!("CARGO_PKG_VERSION"), clock::since_boot_millis());
        // Every start of this boot has the budget of the first, as the agent's have.
        if let Some(before) = before.filter(|before| before.boot_id == boot_id) {
            said.first_start = before.first_start;
            // Who gives up meanwhile has to say why, not that somebody has just started again.
            if let State::Failed { reason, .. } = before.state {
                said.state = State::Working {
                    doing: format!("trying again after this: {reason}"),
                };
            }
        }
        let note = Self {
            context,
            said: RefCell::new(said),
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

    /// When this boot's first start of prepare was, in milliseconds since the kernel started.
    pub(super) fn first_start(&self) -> u64 {
        self.said.borrow().first_start
    }

    /// The end: nothing is noted after it.
    pub(super) fn end(self, state: State) -> Result<(), FileError> {
        self.said.borrow_mut().state = state;
        self.written()
    }

    fn save(&self) {
        if let Err(error) = self.written() {
            let text = format!(
                "the agent does not hear how far the machine is prepared: {}",
                chain(&error)
            );
            self.context.reporter.tell(Event::Warning { text });
        }
    }

    fn written(&self) -> Result<(), FileError> {
        let json = serde_json::to_vec_pretty(&*self.said.borrow()).unwrap_or_default();
        files::ensure_content(&self.context.directories.runtime.join(FILE), &json)
    }
}
