//! `shutdown`: the machine goes with its container, once the lines are out.

use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::text;
use tokio::time::Instant;

use crate::context::Context;
use crate::lifecycle::power;

/// So long the machine waits for its sinks: it costs money, and what is left is lost with its disk.
const LINES: Duration = Duration::from_secs(300);
/// An order that could not be left is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Waits for the lines, tells what is missing, and leaves the order.
pub(super) async fn run(context: &Context, why: String) {
    let begun = Instant::now();
    context.reporter.tell(Event::Warning {
        text: format!(
            "{why}: the machine is powered off when its log lines are out, in {} at most (`shutdown`)",
            text::duration(LINES)
        ),
    });
    let lines = match context.lines_out(begun + LINES).await {
        Ok(()) => "its log lines are out".to_owned(),
        Err(missing) => {
            let text = format!("the machine is powered off, and {missing}");
            context.reporter.tell(Event::Warning { text: text.clone() });
            missing
        }
    };
    let text = format!("{why}, {lines}");
    context.reporter.tell(Event::Drained { text: text.clone() });
    while !power::ensure_powered_off(context, &text) {
        tokio::time::sleep(AGAIN).await;
    }
}
