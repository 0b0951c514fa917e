//! Powering the machine off, which the agent may not do itself: it leaves an order in the runtime directory, and a unit of
//! systemd's (`monopod-poweroff.path`) waits for it. The directory does not outlive the boot, nor does the order.

use monopod_core::event::Event;
use monopod_core::text;

use crate::context::Context;
use crate::host::{chain, files};

/// In the runtime directory; one line, why.
const ORDER: &str = "poweroff";

/// Characters of the line.
const LENGTH: usize = 500;

/// Orders it, and says whether that worked; the reason goes to the journal of the unit that does it. Given twice it is
/// the same order.
pub(crate) fn ensure_powered_off(context: &Context, why: &str) -> bool {
    let path = context.directories.runtime.join(ORDER);
    let why = text::one_line(&context.reporter.redacted(why), LENGTH);
    let written = files::ensure_content(&path, format!("{why}\n").as_bytes());
    let text = match &written {
        Ok(()) => format!("the machine is powered off: {why}"),
        Err(error) => format!("the machine could not be powered off: {}", chain(error)),
    };
    context.reporter.tell(Event::Warning { text });
    written.is_ok()
}
