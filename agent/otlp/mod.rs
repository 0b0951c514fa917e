//! What is sent by OTLP beside lines: the machine's metrics, and the boot as a trace.
//!
//! Design: one part of the daemon, which waits until the user data asks for it and does nothing at all where nobody does:
//! no timer, no connection. Lines go by the shipper's own sink; both use the same transport.
//!
//! Invariants
//! - No boot waits for it, and none ends with it: what fails is told once.
//! - Metrics are not kept: one that is late is worth nothing. The trace is, until it is taken.

mod metrics;
mod trace;

use std::convert::Infallible;
use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use monopod_core::facts::InstanceFacts;
use monopod_core::otlp::answer::Verdict;
use monopod_core::otlp::{OtlpPlan, Signal};
use serde_json::Value;
use tokio::time::Instant;

use crate::boot::log_keys;
use crate::context::{Context, Life};
use crate::host::{Class, chain};
use crate::logs::OtlpTransport;

/// Sends what is asked for, for as long as the agent lives. Never returns.
pub(crate) async fn run(context: &Context) -> Infallible {
    let mut life = context.watch_life();
    let asked = |life: &Life| life.extras.otlp.is_some() && life.facts.is_some();
    let known = match life.wait_for(asked).await {
        Ok(life) => life.clone(),
        Err(_) => return std::future::pending().await,
    };
    drop(life);
    if let (Some(plan), Some(facts)) = (&known.extras.otlp, &known.facts) {
        tokio::join!(
            metrics::push(context, plan, facts),
            trace::tell(context, plan, facts, known.stage),
        );
    }
    std::future::pending().await
}

/// For an agent that gives up: tells how its boot went, as far as that is taken before the deadline.
pub(crate) async fn last_words(context: &Context, deadline: Instant) {
    let life = context.life();
    if let (Some(plan), Some(facts)) = (&life.extras.otlp, &life.facts) {
        let told = trace::tell_now(context, plan, facts);
        if tokio::time::timeout_at(deadline, told).await.is_err() {
            tracing::warn!(
                "how the boot went was not sent by OTLP in time, the next start of this boot tries it again"
            );
        }
    }
}

/// Why something was not taken.
struct Failure {
    class: Class,
    text: String,
}

fn transport(context: &Context, plan: &OtlpPlan, facts: &InstanceFacts, signal: Signal) -> OtlpTransport {
    let keys = log_keys::of(
        &facts.region,
        &context.sources,
        &context.directories,
        &context.reporter,
    );
    OtlpTransport::new(&plan.target, signal, keys)
}

/// Sends one body. `Ok` has what the receiver said of what it will not have.
async fn post(transport: &mut OtlpTransport, body: &Value) -> Result<Option<String>, Failure> {
    let failure = |class, text| Failure { class, text };
    let body = gzip(body).map_err(|error| failure(Class::Permanent, chain(&error)))?;
    let verdict = transport.post(body).await;
    let verdict = verdict.map_err(|error| failure(error.class, error.text))?;
    let place = transport.place();
    match verdict {
        Verdict::Taken { rejected: 0, .. } => Ok(None),
        Verdict::Taken { rejected, message } => {
            let why = message.unwrap_or_else(|| "it did not say why".to_owned());
            Ok(Some(format!("{place} refused {rejected} of them: {why}")))
        }
        Verdict::Busy { said, throttled, .. } => {
            let class = match throttled {
                true => Class::Throttled,
                false => Class::Transient,
            };
            Err(failure(class, format!("{place} takes nothing now: {said}")))
        }
        Verdict::TooLarge { said } | Verdict::Refused { said } => {
            Err(failure(Class::Permanent, format!("{place} refuses it: {said}")))
        }
        Verdict::Denied { said, advice, .. } => Err(failure(
            Class::Permanent,
            format!("{place} refuses it: {said}{advice}"),
        )),
    }
}

fn gzip(body: &Value) -> io::Result<Bytes> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(body.to_string().as_bytes())?;
    Ok(gzip.finish()?.into())
}
