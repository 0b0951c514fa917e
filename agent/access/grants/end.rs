//! The end of a grant, one look at a time: nobody who does not end keeps the others waiting.

use monopod_core::access::{AccessRecord, Grant, Phase, UserName, What, Why, chosen_text};

use super::{AFTERWARDS_MS, Grants, about};
use crate::access::accounts;
use crate::access::processes::{Reach, sweep};
use crate::host::{chain, files};

/// What sshd holds of a session tells PAM and ends by itself when the user's processes are gone; it gets as long.
const GRACE_MS: u64 = 1000;
/// Nobody was found for as long: nobody is left.
const QUIET_MS: u64 = 300;

/// How far the end of a grant is; not kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    since_ms: u64,
    last_seen_ms: u64,
    /// Since when its home alone is there.
    home_since_ms: Option<u64>,
    killed: usize,
    complained: bool,
}

impl Grants {
    /// No key from here on. What cannot be written now is tried again with every look; an end that began goes on.
    pub(super) fn begin_end(&mut self, user: &UserName, why: Why, by: Option<String>) {
        let Some(grant) = self.grants.get(user) else {
            return;
        };
        if grant.phase == Phase::Live {
            let ending = Grant {
                phase: Phase::Ending { why, by },
                ..grant.clone()
            };
            if let Err(error) = self.keep(ending.clone()) {
                tracing::error!(
                    "the end of {user}'s login goes on without a note of it: {}",
                    chain(&error)
                );
                self.grants.insert(user.clone(), ending);
            }
        }
        if let Err(error) = accounts::ensure_no_key(&self.places, user) {
            tracing::error!("{user} may still log in: {}", chain(&error));
        }
    }

    /// One look at a grant that ends; when to look again, if it is not over.
    pub(super) fn go_on(&mut self, user: &UserName, now: u64) -> Option<u64> {
        let grant = self.grants.get(user).cloned()?;
        let mut end = self.ends.get(user).copied().unwrap_or(End {
            since_ms: now,
            last_seen_ms: now,
            home_since_ms: None,
            killed: 0,
            complained: false,
        });
        let gone = accounts::ensure_no_key(&self.places, user);
        let reach = if now.saturating_sub(end.since_ms) < GRACE_MS {
            Reach::Own
        } else {
            Reach::Logins
        };
        let found = sweep(grant.uid, reach);
        if !found.is_clean() {
            end.last_seen_ms = now;
            end.killed = end.killed.saturating_add(found.own);
        }
        let is_quiet = found.is_clean() && now.saturating_sub(end.last_seen_ms) >= QUIET_MS;
        let over = is_quiet
            && gone
                .and_then(|()| accounts::ensure_no_user(&self.places, user, grant.uid))
                .map_err(|error| self.complain(user, &mut end, &chain(&error)))
                .is_ok()
            && self.is_home_done(user, &mut end, now);
        if over {
            self.finish(user, &grant, end.killed, now);
            return None;
        }
        let is_late = now.saturating_sub(end.since_ms) > AFTERWARDS_MS;
        if is_late && !found.is_clean() {
            let text = format!("processes of {user} do not end: {found:?}");
            self.complain(user, &mut end, &text);
        }
        self.ends.insert(user.clone(), end);
        // What did not end by now takes a while: a look at all processes costs something.
        Some(now + if is_late { 1000 } else { 50 })
    }

    /// Whether a home is gone, or stays: nobody is there any more who could do anything with it.
    fn is_home_done(&mut self, user: &UserName, end: &mut End, now: u64) -> bool {
        let Err(error) = accounts::ensure_no_home(&self.places, user) else {
            return true;
        };
        let since = *end.home_since_ms.get_or_insert(now);
        if now.saturating_sub(since) < AFTERWARDS_MS {
            return false;
        }
        tracing::error!(
            "the login of {user} has ended, but its home stays: {}",
            chain(&error)
        );
        let text = format!("its home stays: {}", chain(&error));
        self.note(AccessRecord {
            detail: Some(chosen_text(&text, 500)),
            ..AccessRecord::new(What::Failed, user.as_str())
        });
        true
    }

    /// Once for each end.
    fn complain(&mut self, user: &UserName, end: &mut End, text: &str) {
        if std::mem::replace(&mut end.complained, true) {
            return;
        }
        tracing::error!("the login of {user} has ended, but not all of it is gone, trying on: {text}");
        self.note(AccessRecord {
            detail: Some(chosen_text(text, 500)),
            ..AccessRecord::new(What::Failed, user.as_str())
        });
    }

    fn finish(&mut self, user: &UserName, grant: &Grant, killed: usize, now: u64) {
        let (why, by) = match &grant.phase {
            Phase::Live => (Why::Expired, None),
            Phase::Ending { why, by } => (*why, by.clone()),
        };
        let detail = match killed {
            0 => why.words().to_owned(),
            _ => format!("{}; who was there was sent away", why.words()),
        };
        self.note(AccessRecord {
            detail: Some(detail),
            ..about(grant, What::Ended, by)
        });
        if let Err(error) = files::ensure_gone(&self.state_file(user)) {
            tracing::error!("{}", chain(&error));
        }
        self.grants.remove(user);
        self.ends.remove(user);
        self.whole.remove(user);
        self.afterwards.insert(grant.uid, now + AFTERWARDS_MS);
    }
}
