//! Has credentials ready: asks AWS ahead of their end, and again while it does not answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use monopod_core::event::Event;
use monopod_core::identity::protocol::SessionCredentials;
use monopod_core::identity::refresh;
use monopod_core::retry::{self, Backoff};
use monopod_core::text;

use super::{Failure, Orders, Shared};
use crate::host::aws::AwsError;
use crate::host::identity::Provider;
use crate::host::{Class, Classified as _, chain, clock};

/// A refusal: permissions that were granted just now take seconds to be known everywhere, those that were forgotten a person.
const REFUSED: Backoff = Backoff {
    first: Duration::from_secs(2),
    max: Duration::from_secs(300),
};
/// After so many failures in a row it is tried again only while somebody asks.
const IN_VAIN: u32 = 8;

pub(super) async fn keep(orders: Orders, shared: Arc<Shared>) {
    let provider = Provider::new(&orders.served, &orders.region, &orders.instance_id).await;
    let (mut failures, mut told) = (0, None);
    loop {
        match provider.fetch().await {
            Ok(credentials) => {
                if told.take().is_some() {
                    tracing::info!("the container's AWS credentials are here again");
                }
                failures = 0;
                let wait = have(&shared, credentials);
                until_due(&shared, wait).await;
                asked(&shared).await;
            }
            Err(error) => {
                failures += 1;
                lack(&shared, &error, &mut told);
                let backoff = match error.class() {
                    Class::Permanent => REFUSED,
                    Class::Transient | Class::Throttled => retry::AWS,
                };
                tokio::time::sleep(backoff.delay(failures, clock::chance())).await;
                if failures >= IN_VAIN {
                    asked(&shared).await;
                }
            }
        }
    }
}

/// From now on these are served; how long they do.
fn have(shared: &Shared, credentials: SessionCredentials) -> Duration {
    shared
        .reporter
        .learn_passing("aws_credentials", credentials.secrets());
    let now = clock::now_millis();
    let expires_at = credentials.expires_at;
    let left = Duration::from_millis(expires_at.saturating_sub(now));
    let wait = refresh::wait(left, clock::chance());
    shared.asked.store(false, Ordering::Relaxed);
    shared.state.send_modify(|state| {
        state.credentials = Some(Arc::new(credentials));
        state.due = now.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        state.failure = None;
    });
    shared.count(|record| {
        record.fetched_at = Some(now);
        record.expires_at = Some(expires_at);
        record.last_error = None;
    });
    wait
}

/// The old ones go on as long as they do; each reason is told once.
fn lack(shared: &Shared, error: &AwsError, told: &mut Option<(String, bool)>) {
    let why = chain(error);
    let now = clock::now_millis();
    shared.asked.store(false, Ordering::Relaxed);
    let left = shared
        .state
        .borrow()
        .valid(now)
        .map(|credentials| Duration::from_millis(credentials.expires_at - now));
    let message = shared.reporter.redacted(&why);
    let failure = Failure {
        is_refusal: error.class() == Class::Permanent,
        message: message.clone(),
    };
    shared.state.send_modify(|state| state.failure = Some(failure));
    shared.count(|record| record.last_error = Some(message));
    let news = (why, left.is_some());
    if told.as_ref() == Some(&news) {
        return;
    }
    let text = match left {
        Some(left) => format!(
            "the container's AWS credentials were not renewed, those it has are good for {}; trying again: {}",
            text::duration(left),
            news.0
        ),
        None => format!(
            "there are no AWS credentials for the container, trying again: {}",
            news.0
        ),
    };
    shared.reporter.tell(Event::Warning { text });
    *told = Some(news);
}

/// The wall clock may be set meanwhile: whoever asks for what has ended by it is not left waiting.
async fn until_due(shared: &Shared, wait: Duration) {
    let mut sleep = std::pin::pin!(tokio::time::sleep(wait));
    loop {
        tokio::select! {
            () = &mut sleep => return,
            () = shared.wanted.notified() => {
                if shared.state.borrow().is_due(clock::now_millis()) {
                    return;
                }
            }
        }
    }
}

/// At once where somebody asked since the last fetch, else when somebody does.
async fn asked(shared: &Shared) {
    while !shared.asked.load(Ordering::Relaxed) {
        shared.wanted.notified().await;
    }
}
