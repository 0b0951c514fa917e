//! The boot as a trace, sent once a boot of the machine.
//!
//! It lies in the runtime directory from the moment the boot's outcome is known until the receiver has it: an agent that is
//! started again sends that one, not one of its own, whose steps would all be "known already". After that an empty file
//! says that it was told. A kill between the receiver's yes and the note sends the same trace again, by the same ids.

use std::path::{Path, PathBuf};
use std::time::Duration;

use monopod_core::audit::is_told;
use monopod_core::event::Event;
use monopod_core::facts::InstanceFacts;
use monopod_core::otlp::resource::Who;
use monopod_core::otlp::trace::body;
use monopod_core::otlp::{OtlpPlan, Signal};
use monopod_core::retry::Backoff;
use serde_json::Value;

use super::{Failure, post, transport};
use crate::context::{Context, Stage};
use crate::host::{Class, chain, clock, files};
use crate::logs::OtlpTransport;

/// In the runtime directory: gone with the boot.
const FILE: &str = "boot-trace.json";
/// 1, 2, 4 ... 300 s.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(300),
};
/// After that many failures, more than an hour, nobody waits for it any more.
const TRIES: u32 = 24;
/// A no that somebody may mend is asked again, but not as often.
const TRIES_REFUSED: u32 = 3;

/// What the runtime directory says.
enum Noted {
    Nothing,
    Waiting(Value),
    Sent,
}

/// Waits for the boot's outcome and tells it.
pub(super) async fn tell(context: &Context, plan: &OtlpPlan, facts: &InstanceFacts, stage: Stage) {
    if !plan.traces {
        return;
    }
    let path = path(context);
    let trace = match noted(&path) {
        Noted::Sent => return,
        Noted::Waiting(trace) => trace,
        // The one who saw this boot did not ask for a trace: what is known now is none of it.
        Noted::Nothing if stage == Stage::Over => return,
        Noted::Nothing => {
            // The reporter lives as long as the agent.
            if context.reporter.outcomes().wait_for(is_told).await.is_err() {
                return;
            }
            match keep(context, &path) {
                Some(trace) => trace,
                None => return,
            }
        }
    };
    let mut transport = transport(context, plan, facts, Signal::Traces);
    let mut failures = 0;
    loop {
        let Err(why) = send(context, &mut transport, &trace, &path).await else {
            return;
        };
        failures += 1;
        let most = match why.class {
            Class::Permanent => TRIES_REFUSED,
            Class::Transient | Class::Throttled => TRIES,
        };
        if failures == 1 || failures >= most {
            let then = match failures >= most {
                true => "the next start of the agent in this boot tries it again",
                false => "trying again",
            };
            let text = format!("how the boot went was not sent by OTLP, {then}: {}", why.text);
            context.reporter.tell(Event::Warning { text });
        }
        if failures >= most {
            return;
        }
        tokio::time::sleep(AGAIN.delay(failures, clock::chance())).await;
    }
}

/// One attempt, for an agent that gives up.
pub(super) async fn tell_now(context: &Context, plan: &OtlpPlan, facts: &InstanceFacts) {
    if !plan.traces {
        return;
    }
    let path = path(context);
    let trace = match noted(&path) {
        Noted::Sent => None,
        Noted::Waiting(trace) => Some(trace),
        Noted::Nothing => keep(context, &path),
    };
    let Some(trace) = trace else { return };
    let mut transport = transport(context, plan, facts, Signal::Traces);
    if let Err(why) = send(context, &mut transport, &trace, &path).await {
        let text = format!("how the boot went was not sent by OTLP: {}", why.text);
        context.reporter.tell(Event::Warning { text });
    }
}

fn path(context: &Context) -> PathBuf {
    context.directories.runtime.join(FILE)
}

/// What can't be read is as if there were nothing.
fn noted(path: &Path) -> Noted {
    match files::read(path) {
        Ok(Some(bytes)) if bytes.is_empty() => Noted::Sent,
        Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_or(Noted::Nothing, Noted::Waiting),
        Ok(None) | Err(_) => Noted::Nothing,
    }
}

/// The trace of the boot as it stands, noted until it is sent; `None` while there is none.
fn keep(context: &Context, path: &Path) -> Option<Value> {
    let record = context.reporter.snapshot();
    let boot_id = context.boot_id().unwrap_or_default();
    let trace = body(&record, &boot_id, &Who::of_machine(&record).resource())?;
    note(context, path, trace.to_string().as_bytes());
    Some(trace)
}

/// Without the note a restarted agent may send the trace once more.
fn note(context: &Context, path: &Path, bytes: &[u8]) {
    if let Err(error) = files::ensure_private_content(path, bytes) {
        let text = format!(
            "the trace of the boot may be sent more than once: {}",
            chain(&error)
        );
        context.reporter.tell(Event::Warning { text });
    }
}

async fn send(
    context: &Context,
    transport: &mut OtlpTransport,
    trace: &Value,
    path: &Path,
) -> Result<(), Failure> {
    let remark = post(transport, trace).await?;
    note(context, path, b"");
    if let Some(text) = remark {
        let text = format!("how the boot went was sent by OTLP, and {text}");
        context.reporter.tell(Event::Warning { text });
    }
    Ok(())
}
