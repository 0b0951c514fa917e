//! One notice for a burst: the first at once, and those like it that follow as one with their number, later.
//!
//! Time is any that only goes forward.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Notice, What};

/// What follows the first within this time is told together.
pub const WINDOW: Duration = Duration::from_secs(60);
/// More kinds of the same are told together whatever they are.
const MOST: usize = 64;

/// What makes two notices the same burst.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    kind: &'static str,
    like: String,
    about: String,
}

impl Key {
    /// Of this kind, and alike in this.
    pub fn new(kind: &'static str, like: &str) -> Self {
        Self {
            kind,
            like: like.to_owned(),
            about: String::new(),
        }
    }

    /// What is told of this one thing again is no news within a burst.
    #[must_use]
    pub fn about(mut self, about: &str) -> Self {
        about.clone_into(&mut self.about);
        self
    }
}

#[derive(Debug)]
struct Burst {
    until: Duration,
    about: String,
    /// The newest that was not told, and how many.
    held: Option<(Notice, u64)>,
}

/// The bursts that go on.
#[derive(Debug, Default)]
pub struct Bursts(BTreeMap<(&'static str, String), Burst>);

impl Bursts {
    /// What is to be told at once, if anything.
    pub fn take(&mut self, key: Key, notice: Notice, now: Duration) -> Option<Notice> {
        self.0
            .retain(|_, burst| burst.until > now || burst.held.is_some());
        let mut slot = (key.kind, key.like);
        if !self.0.contains_key(&slot) && self.0.len() >= MOST {
            slot.1 = String::new();
        }
        match self.0.get_mut(&slot) {
            None => {
                let burst = Burst {
                    until: now + WINDOW,
                    about: key.about,
                    held: None,
                };
                self.0.insert(slot, burst);
                Some(notice)
            }
            // A container that was made is started: that is the same news.
            Some(burst) if !key.about.is_empty() && burst.about == key.about => None,
            Some(burst) => {
                let held = burst.held.take().map_or(0, |(_, held)| held);
                burst.held = Some((notice, held + 1));
                burst.about = key.about;
                None
            }
        }
    }

    /// When [`Self::over`] has something to say.
    pub fn due(&self) -> Option<Duration> {
        self.0
            .values()
            .filter(|burst| burst.held.is_some())
            .map(|burst| burst.until)
            .min()
    }

    /// What is to be told of bursts that are over.
    pub fn over(&mut self, now: Duration) -> Vec<Notice> {
        let mut all = Vec::new();
        self.0.retain(|_, burst| {
            if burst.until > now {
                return true;
            }
            let Some((mut notice, held)) = burst.held.take() else {
                return false;
            };
            match &mut notice.what {
                What::Exec { times, .. } | What::ContainerNotOurs { times, .. } => *times = held,
                _ => {}
            }
            all.push(notice);
            // What goes on is told once a window.
            burst.until = now + WINDOW;
            true
        });
        all
    }

    /// What is held, for an agent that ends.
    pub fn rest(mut self) -> Vec<Notice> {
        self.over(Duration::MAX.saturating_sub(WINDOW))
    }
}
