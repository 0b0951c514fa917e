//! One receiver: sends what waits for it in order, and waits when it can't.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use monopod_core::event::Event;
use monopod_core::notice::{Notice, What, entry};
use monopod_core::retry::Backoff;
use monopod_core::secret::Secret;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::AskHeaders;
use super::queue::{Item, Kept, Queue};
use crate::host::event_bus::{EventBus, Refusal};
use crate::host::webhook::Webhook;
use crate::host::{AskError, Class, Classified as _, chain, clock};
use crate::report::Reporter;
use crate::report::figures::Receiver;

/// The receiver of many machines: 1, 2, 4 ... 300 s.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(300),
};
/// A receiver that refuses one for good is asked so often before it is believed: it may be a proxy's word.
const BELIEVED: u32 = 3;
/// EventBridge takes so many in a call.
const BATCH: usize = 10;
/// And so many bytes, 256 KB, of which some are the entries' own.
const BATCH_BYTES: usize = 180 << 10;
/// While somebody waits for the last ones, a receiver that is away is asked so often.
const HURRY: Duration = Duration::from_secs(1);

/// How a receiver is reached.
pub(super) enum Way {
    Webhook(Hook),
    /// With the bus's name.
    Bus(Box<EventBus>, String),
}

/// A webhook with its headers.
pub(super) struct Hook {
    webhook: Webhook,
    ask: AskHeaders,
    headers: Option<Vec<(String, Secret)>>,
}

impl Hook {
    pub(super) fn new(webhook: Webhook, ask: AskHeaders) -> Self {
        Self {
            webhook,
            ask,
            headers: None,
        }
    }

    async fn post(&mut self, json: &Value) -> Result<(), Refusal> {
        if self.headers.is_none() {
            let asked = (self.ask)().await;
            let failed = |AskError { class: _, text }| Refusal {
                class: Class::Transient,
                text,
            };
            self.headers = Some(asked.map_err(failed)?);
        }
        let headers = self.headers.as_deref().unwrap_or_default();
        let posted = self.webhook.post(headers, Bytes::from(json.to_string())).await;
        posted.map_err(|error| {
            if error.is_about_login() {
                // They may have changed since they were fetched.
                self.headers = None;
            }
            Refusal {
                class: error.class(),
                text: chain(&error),
            }
        })
    }
}

impl Way {
    /// One answer for each that was sent, in order; those behind the last answer were not sent.
    async fn send(&mut self, items: &[Item]) -> Vec<Result<(), Refusal>> {
        match self {
            Self::Webhook(hook) => match items.first() {
                Some(item) => vec![hook.post(&item.json).await],
                None => Vec::new(),
            },
            Self::Bus(bus, name) => {
                let entries: Vec<Value> = items.iter().map(|item| entry(name, &item.json)).collect();
                match bus.put(&entries).await {
                    Ok(answers) => answers
                        .into_iter()
                        .map(|refusal| refusal.map_or(Ok(()), Err))
                        .collect(),
                    // What is said about the call is about none of its entries.
                    Err(error) => vec![Err(Refusal {
                        class: Class::Transient,
                        text: chain(&error),
                    })],
                }
            }
        }
    }

    const fn batch(&self) -> usize {
        match self {
            Self::Webhook(_) => 1,
            Self::Bus(..) => BATCH,
        }
    }
}

/// What one receiver needs.
pub(super) struct Lane {
    receiver: Receiver,
    queue: Mutex<Queue>,
    reporter: Reporter,
    news: Notify,
    hurry: Notify,
    waiting: watch::Sender<usize>,
    full_told: Mutex<bool>,
}

impl Lane {
    pub(super) fn new(receiver: Receiver, queue: Queue, reporter: Reporter) -> Self {
        let (waiting, _) = watch::channel(queue.len());
        let lane = Self {
            receiver,
            queue: Mutex::new(queue),
            reporter,
            news: Notify::new(),
            hurry: Notify::new(),
            waiting,
            full_told: Mutex::default(),
        };
        lane.count();
        lane
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn full_told(&self) -> MutexGuard<'_, bool> {
        self.full_told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self) {
        let waiting = self.queue().len();
        let figures = self.reporter.notice_figures();
        figures.waits(self.receiver, waiting as u64);
        self.waiting.send_replace(waiting);
    }

    /// Keeps one until it is taken.
    pub(super) fn keep(&self, notice: &Notice, json: &Value) {
        let is_boot = matches!(notice.what, What::Boot(_));
        let kept = self.queue().keep(&notice.id, json, is_boot);
        match kept {
            Kept::Yes | Kept::Already => {
                self.count();
                self.news.notify_one();
                return;
            }
            Kept::Full => {}
        }
        self.reporter.notice_figures().dropped(self.receiver);
        if !std::mem::replace(&mut *self.full_told(), true) {
            let text = format!(
                "the {} will not hear of everything, what is lost is counted: too many wait for it already",
                self.receiver.words()
            );
            self.reporter.tell(Event::Warning { text });
        }
    }

    /// Sends as long as there is somebody to send for.
    pub(super) async fn run(self: Arc<Self>, mut way: Way) {
        let (mut failures, mut refused, mut told) = (0_u32, 0_u32, None::<String>);
        loop {
            let items = self.queue().oldest(way.batch(), BATCH_BYTES);
            if items.is_empty() {
                self.news.notified().await;
                continue;
            }
            let (mut away, mut final_word) = (None, false);
            for (item, answer) in items.iter().zip(way.send(&items).await) {
                match answer {
                    Ok(()) => {
                        self.over(&item.name, true);
                        (failures, refused, told) = (0, 0, None);
                    }
                    Err(refusal) => {
                        final_word |= refusal.class == Class::Permanent;
                        if refusal.class == Class::Permanent && refused >= BELIEVED {
                            self.over(&item.name, false);
                            refused = 0;
                            let text = format!(
                                "the {} will not hear of one notice: {}",
                                self.receiver.words(),
                                refusal.text
                            );
                            self.reporter.tell(Event::Warning { text });
                        } else {
                            away = Some(refusal.text);
                        }
                    }
                }
            }
            let Some(text) = away else { continue };
            failures = failures.saturating_add(1);
            refused += u32::from(final_word);
            if told.as_ref() != Some(&text) {
                told = Some(text.clone());
                let text = format!("what happens here waits on this machine: {text}");
                self.reporter.tell(Event::Warning { text });
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN.delay(failures, clock::chance())) => {}
                () = self.hurry.notified() => {}
            }
        }
    }

    fn over(&self, name: &str, taken: bool) {
        self.queue().remove(name);
        *self.full_told() = false;
        let figures = self.reporter.notice_figures();
        match taken {
            true => figures.delivered(self.receiver),
            false => figures.dropped(self.receiver),
        }
        self.count();
    }

    /// Returns when nothing waits any more; a receiver that is away is asked more often meanwhile.
    pub(super) async fn flushed(&self) {
        let mut waiting = self.waiting.subscribe();
        loop {
            self.hurry.notify_one();
            let empty = waiting.wait_for(|waiting| *waiting == 0);
            if let Ok(answer) = tokio::time::timeout(HURRY, empty).await {
                drop(answer);
                return;
            }
        }
    }
}
