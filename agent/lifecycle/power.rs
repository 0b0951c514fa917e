//! Powering the machine off, which the agent may not do itself: it leaves an order that a unit of systemd's waits for.

use monopod_core::event::Event;

use crate::context::Context;
use crate::host::{chain, files};

/// In the runtime directory; `monopod-poweroff.path` waits for it.
const ORDER: &str = "poweroff";

/// Orders it; the reason goes to the journal of the unit that does it.
pub(crate) fn ensure_powered_off(context: &Context, why: &str) {
    let path = context.directories.runtime.join(ORDER);
    let text = match files::ensure_content(&path, format!("{why}\n").as_bytes()) {
        Ok(()) => format!("the machine is powered off: {why}"),
        Err(error) => format!("the machine could not be powered off: {}", chain(&error)),
    };
    context.reporter.tell(Event::Warning { text });
}
