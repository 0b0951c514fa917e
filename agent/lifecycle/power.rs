//! Powering the machine off.
//!
//! The agent may not do that: it leaves an order in the runtime directory, and systemd carries it out
//! (`monopod-poweroff.path`). The directory does not outlive the boot, nor does the order.

use monopod_core::text;

use crate::context::Context;
use crate::host::files::{self, FileError};

/// In the runtime directory; one line, why.
pub const ORDER: &str = "poweroff";

/// Characters of the line.
const LENGTH: usize = 500;

/// Leaves the order. Given twice it is the same one.
pub fn ensure_powered_off(context: &Context, why: &str) -> Result<(), FileError> {
    let path = context.directories.runtime.join(ORDER);
    let why = context.reporter.redacted(why);
    files::ensure_content(&path, format!("{}\n", text::one_line(&why, LENGTH)).as_bytes())
}
