//! The sets of secret files beside the running container: fetched again in their rhythm, swapped whole.
//!
//! When, and what follows, is decided in `monopod_core::supervise::refresh`; here values are fetched and put in place.
//! What the container is told is the supervisor's to do, as all that is asked of the engine.
//!
//! Invariants
//! - A set is written only when every value of it was fetched: one failure leaves it as it is.
//! - New values are known to whoever redacts before they are written.
//! - That the container has to be told is noted before the swap: an agent that is killed in between tells it twice
//!   rather than never.

use std::rc::Rc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{LocalBoxFuture, OptionFuture};
use futures_util::stream::FuturesUnordered;
use monopod_core::event::Event;
use monopod_core::plan::sets::{Contents, SetName};
use monopod_core::secret::Secret;
use monopod_core::supervise::refresh::{Begin, Failure, Freshness, Rhythm};
use monopod_core::text;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::fetch::{self, FetchError, Got, Round};
use crate::boot::copies;
use crate::boot::hint::{self, Charge};
use crate::boot::sets::SetCharge;
use crate::context::Context;
use crate::host::clock::{self, Monotonic};
use crate::host::mint::Mint;
use crate::host::secret_set::Delivered;
use crate::host::secrets::Stores;
use crate::host::{chain, delivery::DeliveryError};

/// An encrypted copy is written when a set changes, and this often for its age to be right.
const COPY_AGE: Duration = Duration::from_secs(3600);

/// What the supervisor has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// The container has other files now than it was told of.
    Changed(SetName),
    /// No fetch has worked for too long: why, and what to do.
    Unhealthy(String),
    /// A fetch has worked again after that.
    Recovered,
}

/// All sets of the container.
pub(super) struct Refreshing<'a> {
    context: &'a Context,
    charge: &'a Charge,
    clock: Monotonic,
    sources: Rc<Sources>,
    sets: Vec<Looked>,
    fetching: FuturesUnordered<LocalBoxFuture<'a, Fetched>>,
    /// A copy is on its way to the disk; one at a time, so that an older one can't replace a newer.
    copying: Option<JoinHandle<()>>,
}

/// Who is asked; none is before its first fetch.
struct Sources {
    stores: Stores,
    mint: Mint,
}

impl Sources {
    fn new(charge: &Charge) -> Self {
        let bucket = charge.sets.iter().find_map(|set| match &set.wanted.contents {
            Contents::Bucket { bucket, .. } => Some(bucket.as_str()),
            Contents::Stores(_) => None,
        });
        let region = &charge.facts.region;
        Self {
            stores: Stores::new(region),
            mint: Mint::new(region, bucket.unwrap_or_default(), &charge.application.id),
        }
    }
}

/// How a fetch ended, with what it has of a round that is not complete.
struct Fetched {
    name: SetName,
    outcome: Result<Round, FetchError>,
    got: Got,
}

struct Looked {
    set: SetCharge,
    rhythm: Rhythm,
    is_fetching: bool,
    /// Of a round that is not complete, and since when.
    got: Got,
    got_since: Instant,
    /// When its encrypted copy was written last, where one is kept.
    kept: Option<Instant>,
    /// Its copy is to be written.
    is_copy_due: bool,
    /// What was told last.
    told: Freshness,
}

impl<'a> Refreshing<'a> {
    pub(super) fn new(context: &'a Context, charge: &'a Charge, clock: Monotonic) -> Self {
        let wall = clock::now_millis();
        let since = |at: u64| Duration::from_millis(wall.saturating_sub(at));
        let sets = charge.sets.iter().map(|set| {
            let begin = Begin {
                age: set.fetched_at.map_or(Duration::ZERO, since),
                stale_for: set.stale_since.map(since),
            };
            Looked {
                rhythm: Rhythm::new(
                    set.wanted.interval(),
                    set.wanted.max_age(),
                    begin,
                    clock.now(),
                    clock::chance(),
                ),
                set: set.clone(),
                is_fetching: false,
                got: Got::new(),
                got_since: Instant::now(),
                kept: None,
                is_copy_due: false,
                told: Freshness::Fresh,
            }
        });
        let refreshing = Self {
            context,
            charge,
            clock,
            sources: Rc::new(Sources::new(charge)),
            sets: sets.collect(),
            fetching: FuturesUnordered::new(),
            copying: None,
        };
        for looked in &refreshing.sets {
            refreshing.tell(looked, String::new());
        }
        refreshing
    }

    /// Sets of which the container was not told yet: by an agent that ended before it could.
    pub(super) fn untold(&self) -> Vec<SetName> {
        self.sets
            .iter()
            .filter(|looked| looked.set.untold)
            .map(|looked| looked.set.wanted.name)
            .collect()
    }

    /// What has to be told of a change.
    pub(super) fn of(&self, name: SetName) -> Option<&SetCharge> {
        self.sets
            .iter()
            .map(|looked| &looked.set)
            .find(|set| set.wanted.name == name)
    }

    /// The container knows what it has.
    pub(super) fn told(&mut self, names: &[SetName]) {
        let mut any = false;
        for looked in &mut self.sets {
            if names.contains(&looked.set.wanted.name) {
                any |= std::mem::take(&mut looked.set.untold);
            }
        }
        if any {
            self.note();
        }
    }

    /// The container finds its sets when it is started; false where one is gone and its values are not known.
    pub(super) fn ensure(&self) -> Result<bool, DeliveryError> {
        for looked in &self.sets {
            if looked.set.ensure()?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Why the machine is unhealthy, if it is by its secrets.
    pub(super) fn unhealthy(&self) -> Option<String> {
        let now = self.clock.now();
        self.sets
            .iter()
            .find(|looked| looked.rhythm.freshness(now) == Freshness::Unhealthy)
            .map(|looked| unhealthy_text(looked, now))
    }

    /// Fetches what is due and returns when there is something to act on. It may be dropped and called again.
    pub(super) async fn next(&mut self) -> News {
        loop {
            let now = self.clock.now();
            for looked in &mut self.sets {
                if !looked.is_fetching && looked.rhythm.is_due(now) {
                    looked.is_fetching = true;
                    if looked.got.is_empty() || looked.got_since.elapsed() >= looked.rhythm.retry_within() {
                        looked.got.clear();
                        looked.got_since = Instant::now();
                    }
                    let got = std::mem::take(&mut looked.got);
                    self.fetching
                        .push(fetched(Rc::clone(&self.sources), &looked.set, got));
                }
            }
            self.copy_one();
            let wake = self.sets.iter().filter_map(|looked| match looked.is_fetching {
                true => looked.rhythm.too_old(now),
                false => looked.rhythm.wake(now),
            });
            // A sleep for ever and a day where nothing is to be looked after.
            let wait = wake
                .min()
                .map_or(Duration::from_secs(86_400), |at| at.saturating_sub(now));
            let deadline = Instant::now() + wait;
            let news = tokio::select! {
                Some(fetched) = self.fetching.next() => self.take(fetched),
                Some(_) = OptionFuture::from(self.copying.as_mut()) => {
                    self.copying = None;
                    None
                }
                () = tokio::time::sleep_until(deadline) => None,
            };
            if let Some(news) = news.or_else(|| self.look_at_ages()) {
                return news;
            }
        }
    }

    /// On another thread: a disk that is throttled or hangs must hold up nothing here.
    fn copy_one(&mut self) {
        if self.copying.is_some() {
            return;
        }
        if let Some(looked) = self.sets.iter_mut().find(|looked| looked.is_copy_due) {
            looked.is_copy_due = false;
            let copying = copies::copying(self.context, &self.charge.facts.instance_id, &looked.set);
            self.copying = Some(tokio::task::spawn_blocking(copying));
        }
    }

    /// One outcome in; whether the container has to be told.
    fn take(&mut self, fetched: Fetched) -> Option<News> {
        let Fetched { name, outcome, got } = fetched;
        let (context, now) = (self.context, self.clock.now());
        let at = self
            .sets
            .iter()
            .position(|looked| looked.set.wanted.name == name)?;
        let failed = match outcome {
            Ok(round) => self.put(at, round).map_err(|error| (Failure::Any, chain(&error))),
            Err(error) => Err((error.failure(), chain(&error))),
        };
        let looked = self.sets.get_mut(at)?;
        looked.is_fetching = false;
        looked.got = got;
        let swapped = match failed {
            Ok(swapped) => {
                looked.rhythm.succeeded(now, clock::chance());
                swapped
            }
            Err((failure, error)) => {
                let error = context.reporter.redacted(&error);
                looked.rhythm.failed(failure, now, clock::chance());
                looked.set.stale_since.get_or_insert_with(clock::now_millis);
                if looked.set.last_error.as_ref() != Some(&error) {
                    let age = text::duration(looked.rhythm.age(now));
                    let text = format!(
                        "{} stays as it was {age} ago, and is tried again: {error}",
                        name.target()
                    );
                    context.reporter.tell(Event::Warning { text });
                }
                looked.set.last_error = Some(error);
                Delivered::Unchanged
            }
        };
        self.note();
        let looked = self.sets.get(at)?;
        let news = match swapped {
            Delivered::Unchanged => String::new(),
            Delivered::Swapped => format!("{} has changed; {}", name.target(), looked.set.wanted.on_change),
        };
        self.tell(looked, news);
        (swapped == Delivered::Swapped).then_some(News::Changed(name))
    }

    /// Every value is here: the set changes as a whole, or was right already.
    fn put(&mut self, at: usize, round: Round) -> Result<Delivered, DeliveryError> {
        let Round { mut files, whole } = round;
        files.sort_by(|one, other| one.0.cmp(&other.0));
        let changed = |looked: &&mut Looked| looked.set.values.as_ref() != Some(&files);
        if let Some(looked) = self.sets.get_mut(at).filter(changed) {
            looked.set.untold = true;
            let name = looked.set.wanted.name;
            // What has not changed is known already.
            let before = looked.set.values.as_deref().unwrap_or_default();
            let new = files.iter().filter(|file| !before.contains(file)).cloned();
            SetCharge {
                values: Some(new.collect()),
                ..looked.set.clone()
            }
            .learn(self.context);
            let is_part = |document: &&Secret| !files.iter().any(|(_, value)| value == *document);
            for document in whole.iter().filter(is_part) {
                self.context.reporter.learn(name.word(), document);
            }
            self.note();
        }
        let Some(looked) = self.sets.get_mut(at) else {
            return Ok(Delivered::Unchanged);
        };
        let delivered = looked.set.place.ensure(&files)?;
        looked.set.fetched_now(files);
        let is_recent = looked.kept.is_some_and(|at| at.elapsed() < COPY_AGE);
        if looked.set.wanted.keep && (delivered == Delivered::Swapped || !is_recent) {
            looked.kept = Some(Instant::now());
            looked.is_copy_due = true;
        }
        Ok(delivered)
    }

    /// Whether one has become too old, or is not any more.
    fn look_at_ages(&mut self) -> Option<News> {
        let now = self.clock.now();
        for at in 0..self.sets.len() {
            let looked = self.sets.get_mut(at)?;
            let freshness = looked.rhythm.freshness(now);
            let before = std::mem::replace(&mut looked.told, freshness);
            if before == freshness {
                continue;
            }
            let looked = self.sets.get(at)?;
            let name = looked.set.wanted.name.target();
            let news = match (before, freshness) {
                (_, Freshness::Fresh) => format!("{name} is up to date again"),
                _ => String::new(),
            };
            self.tell(looked, news);
            match (before, freshness) {
                (_, Freshness::Unhealthy) => return Some(News::Unhealthy(unhealthy_text(looked, now))),
                (Freshness::Unhealthy, Freshness::Fresh) if self.unhealthy().is_none() => {
                    return Some(News::Recovered);
                }
                _ => {}
            }
        }
        None
    }

    fn tell(&self, looked: &Looked, news: String) {
        let unhealthy = looked.rhythm.freshness(self.clock.now()) == Freshness::Unhealthy;
        self.context.reporter.tell(Event::FileSet {
            set: Box::new(looked.set.record(unhealthy)),
            news,
        });
    }

    /// For an agent that goes on after this one.
    fn note(&self) {
        let sets: Vec<SetCharge> = self.sets.iter().map(|looked| looked.set.clone()).collect();
        hint::save_sets(self.context, self.charge, &sets);
    }
}

fn unhealthy_text(looked: &Looked, now: Duration) -> String {
    format!(
        "{} is {} old, more than `refresh.max_age` allows, and could not be fetched again: {}; the container keeps what it has, and this ends by itself when a fetch works",
        looked.set.wanted.name.target(),
        text::duration(looked.rhythm.age(now)),
        looked
            .set
            .last_error
            .as_deref()
            .unwrap_or("no fetch has ended yet"),
    )
}

/// One look, with nothing borrowed from the set.
fn fetched<'a>(sources: Rc<Sources>, set: &SetCharge, mut got: Got) -> LocalBoxFuture<'a, Fetched> {
    let (name, contents) = (set.wanted.name, set.wanted.contents.clone());
    let known = set.values.clone().unwrap_or_default();
    Box::pin(async move {
        let outcome = match &contents {
            Contents::Stores(wanted) => fetch::from_stores(&sources.stores, wanted, &known, &mut got).await,
            Contents::Bucket { .. } => fetch::from_bucket(&sources.mint, &known).await,
        };
        Fetched { name, outcome, got }
    })
}
